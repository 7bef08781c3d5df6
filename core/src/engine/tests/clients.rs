//! Requests as clients send them.

use crate::{
    ids::{ProducerEpoch, ProducerId},
    records::{BatchBuilder, Batches, DecodedBatch, NewRecord, Scratch},
};
use bytes::Bytes;
use kafka_protocol::{
    messages::{
        BrokerId, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest,
        FetchResponse, IncrementalAlterConfigsRequest, ProduceRequest, TopicName,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        delete_topics_request::DeleteTopicState,
        fetch_request::{FetchPartition, FetchTopic},
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};

pub fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

pub fn create(topic: &str, partitions: i32, configs: &[(&str, &str)]) -> CreateTopicsRequest {
    let configs = configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string((*key).to_owned()))
            .with_value(Some(StrBytes::from_string((*value).to_owned())))
    });
    let topic = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect());
    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000)
}

/// Sets one of a topic's settings.
pub fn alter(topic: &str, key: &str, value: &str) -> IncrementalAlterConfigsRequest {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_string(key.to_owned()))
        .with_value(Some(StrBytes::from_string(value.to_owned())));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_configs(vec![config]);
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

pub fn delete_topic(topic: &str) -> DeleteTopicsRequest {
    let state = DeleteTopicState::default().with_name(Some(name(topic)));
    DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(1000)
}

pub fn delete_records(topic: &str, offset: i64) -> DeleteRecordsRequest {
    let partition = DeleteRecordsPartition::default().with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000)
}

/// A batch of records with these values.
pub fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.push(NewRecord {
            timestamp_ms: 1_700_000_000_000,
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: &[],
        });
    }
    builder.build()
}

/// The same of an idempotent producer.
pub fn sequenced(values: &[&str], id: i64, epoch: i16, sequence: i32) -> Bytes {
    of_producer(values, BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence))
}

/// The same, in a transaction.
pub fn transactional(values: &[&str], id: i64, epoch: i16, sequence: i32) -> Bytes {
    let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    of_producer(values, builder.transactional())
}

fn of_producer(values: &[&str], mut builder: BatchBuilder) -> Bytes {
    for value in values {
        builder.push(NewRecord {
            timestamp_ms: 1_700_000_000_000,
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        });
    }
    builder.build()
}

pub fn produce(topic: &str, acks: i16, batches: &[(i32, Bytes)]) -> ProduceRequest {
    let data = batches.iter().map(|(index, batch)| {
        PartitionProduceData::default().with_index(*index).with_records(Some(batch.clone()))
    });
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(data.collect());
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1000).with_topic_data(vec![topic])
}

pub fn fetch(topic: &str, from: &[(i32, i64)], min_bytes: i32, max_wait_ms: i32) -> FetchRequest {
    let partitions = from.iter().map(|(index, offset)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_current_leader_epoch(-1)
            .with_partition_max_bytes(1 << 20)
    });
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(partitions.collect());
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_min_bytes(min_bytes)
        .with_max_wait_ms(max_wait_ms)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// Values of all records of a response but markers, with partition and offset.
pub fn records(response: &FetchResponse) -> Vec<(i32, i64, String)> {
    let mut scratch = Scratch::default();
    let mut found = Vec::new();
    for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
        let Some(bytes) = &partition.records else { continue };
        for batch in Batches::new(bytes) {
            let batch = batch.expect("whole batches");
            assert!(batch.checksum_matches());
            if batch.header().is_control() {
                continue;
            }
            let decoded = DecodedBatch::new(batch, &mut scratch).expect("decodes");
            for record in decoded.records() {
                let record = record.expect("a sound record");
                let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
                found.push((partition.partition_index, record.offset.0, value));
            }
        }
    }
    found
}
