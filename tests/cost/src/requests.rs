//! Requests as the clients of today send them, in the versions in which they do.

use crate::machine::{Client, Machine};
use bytes::Bytes;
use corelane_core::{
    ids::{ProducerEpoch, ProducerId, TopicId},
    records::{BatchBuilder, Codec, NewRecord},
};
use kafka_protocol::{
    messages::{
        CreateTopicsRequest, FetchRequest, ProduceRequest, TopicName,
        create_topics_request::CreatableTopic,
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};

/// The version of Produce: topics by their ids.
pub const PRODUCE: i16 = 13;

/// The version of Fetch: topics by their ids.
pub const FETCH: i16 = 17;

/// Session and epoch of a fetch outside of any session.
pub const NO_SESSION: (i32, i32) = (0, -1);

/// How long a fetch waits, in ms.
pub const FETCH_WAIT_MS: i32 = 500;

/// A record has so many bytes.
const RECORD_BYTES: usize = 1024;

/// As Kafka's clients ask for at most, of a partition and of all.
const PARTITION_BYTES_MAX: i32 = 1 << 20;
const FETCH_BYTES_MAX: i32 = 50 << 20;

/// A text of the protocol.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The one topic's name.
pub fn topic_name() -> TopicName {
    TopicName(text("topic"))
}

/// Creates the one topic.
pub fn create_topic(machine: &mut Machine, client: Client, partitions: i32) -> TopicId {
    let topic = CreatableTopic::default()
        .with_name(topic_name())
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
    let created = machine.ask(client, 7, &request).topics.remove(0);
    assert_eq!(created.error_code, 0, "{created:?}");
    TopicId(created.topic_id)
}

/// A batch of so many records of a KiB that compress to about a third.
pub fn batch(records: usize, codec: Codec, producer: Option<(ProducerId, i32)>) -> Bytes {
    let mut batch = BatchBuilder::new().codec(codec);
    if let Some((id, sequence)) = producer {
        batch = batch.producer(id, ProducerEpoch(0), sequence);
    }
    let mut state = 1u32;
    for _ in 0..records {
        let mut value = vec![b'v'; RECORD_BYTES];
        for byte in value.iter_mut().step_by(4) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
        batch.push(NewRecord {
            timestamp_ms: 1_767_225_600_000,
            key: None,
            value: Some(&value),
            headers: &[],
        });
    }
    batch.build()
}

/// A batch to each of these partitions, acks=all.
pub fn produce(topic: TopicId, partitions: impl Iterator<Item = i32>, batch: &Bytes) -> ProduceRequest {
    let data = partitions
        .map(|index| PartitionProduceData::default().with_index(index).with_records(Some(batch.clone())));
    let topic = TopicProduceData::default().with_topic_id(topic.0).with_partition_data(data.collect());
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// From these offsets of these partitions, in this session at this epoch.
pub fn fetch(topic: TopicId, from: &[(i32, i64)], (session, epoch): (i32, i32)) -> FetchRequest {
    let partitions = from.iter().map(|(index, offset)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(PARTITION_BYTES_MAX)
    });
    let topic = FetchTopic::default().with_topic_id(topic.0).with_partitions(partitions.collect());
    FetchRequest::default()
        .with_max_wait_ms(FETCH_WAIT_MS)
        .with_min_bytes(1)
        .with_max_bytes(FETCH_BYTES_MAX)
        .with_session_id(session)
        .with_session_epoch(epoch)
        .with_topics(if from.is_empty() { Vec::new() } else { vec![topic] })
}
