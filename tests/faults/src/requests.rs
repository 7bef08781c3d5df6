//! The requests of these tests, each as one call that names only what differs.

use crate::Client;
use anyhow::{Context, ensure};
use bytes::Bytes;
pub use corelane_core::ids::{ProducerEpoch, ProducerId};
use corelane_core::{
    error::ErrorCode,
    records::{BatchBuilder, NewRecord},
};
use kafka_protocol::{
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest,
        InitProducerIdRequest, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, TopicName,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        delete_topics_request::DeleteTopicState,
        fetch_request::{FetchPartition, FetchTopic},
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};
use std::time::{Duration, Instant};

/// The last version with topic names instead of ids.
pub const PRODUCE_VERSION: i16 = 12;
/// Likewise.
pub const FETCH_VERSION: i16 = 12;

/// acks=all.
pub const ACKS_ALL: i16 = -1;
/// acks=1.
pub const ACKS_LEADER: i16 = 1;

const PRODUCE_TIMEOUT_MS: i32 = 25_000;
const ADMIN_TIMEOUT_MS: i32 = 60_000;

/// What a partition's owner said to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Or why not.
    pub error: ErrorCode,
    /// -1 if unknown.
    pub base_offset: i64,
    /// What it said in words.
    pub message: Option<String>,
}

/// What a fetch of one partition brought.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Or why not.
    pub error: ErrorCode,
    /// Everything below it is committed.
    pub high_watermark: i64,
    /// The first offset there is.
    pub log_start: i64,
    /// Whole batches.
    pub records: Bytes,
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn code(number: i16) -> anyhow::Result<ErrorCode> {
    ErrorCode::from_code(number).with_context(|| format!("no such error code: {number}"))
}

/// A Produce request with one batch for each of some partitions of one topic.
pub fn produce_request(topic: &str, batches: &[(i32, Bytes)], acks: i16) -> ProduceRequest {
    let partitions = batches.iter().map(|(index, batch)| {
        PartitionProduceData::default().with_index(*index).with_records(Some(batch.clone()))
    });
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(partitions.collect());
    ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(PRODUCE_TIMEOUT_MS)
        .with_topic_data(vec![topic])
}

/// A batch of one record, in a transaction of a producer.
pub fn transactional_batch(
    (id, epoch): (ProducerId, ProducerEpoch),
    sequence: i32,
    timestamp_ms: i64,
    value: &[u8],
) -> Bytes {
    let mut batch = BatchBuilder::new().producer(id, epoch, sequence).transactional();
    batch.push(NewRecord { timestamp_ms, value: Some(value), ..NewRecord::default() });
    batch.build()
}

/// What each partition of a response says, in its order.
///
/// # Errors
/// For an error code that Kafka does not know.
pub fn produced(response: &ProduceResponse) -> anyhow::Result<Vec<(i32, Produced)>> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions
        .map(|partition| {
            let produced = Produced {
                error: code(partition.error_code)?,
                base_offset: partition.base_offset,
                message: partition.error_message.as_ref().map(ToString::to_string),
            };
            Ok((partition.index, produced))
        })
        .collect()
}

/// A Fetch request for one partition, without a session.
pub fn fetch_request(topic: &str, partition: i32, from: i64, wanted: FetchWanted) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(from)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(wanted.bytes_max);
    FetchRequest::default()
        .with_max_wait_ms(wanted.wait_ms_max)
        .with_min_bytes(1)
        .with_max_bytes(wanted.bytes_max)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition])])
}

/// How much of a partition is fetched at once.
#[derive(Clone, Copy, Debug)]
pub struct FetchWanted {
    /// `max.partition.fetch.bytes`.
    pub bytes_max: i32,
    /// `fetch.max.wait.ms`.
    pub wait_ms_max: i32,
}

impl Default for FetchWanted {
    fn default() -> Self {
        FetchWanted { bytes_max: 4 << 20, wait_ms_max: 0 }
    }
}

impl Client {
    /// Produces one batch and waits for the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: i16,
    ) -> anyhow::Result<Produced> {
        let response = self.call(PRODUCE_VERSION, &produce_request(topic, &[(partition, batch)], acks))?;
        let (_, produced) = produced(&response)?.pop().context("no partition in the answer")?;
        Ok(produced)
    }

    /// Fetches from one partition.
    ///
    /// # Errors
    /// When there is no answer; what the broker says of the partition is in it.
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
        wanted: FetchWanted,
    ) -> anyhow::Result<Fetched> {
        let response = self.call(FETCH_VERSION, &fetch_request(topic, partition, from, wanted))?;
        ensure!(response.error_code == 0, "Fetch: {}", code(response.error_code)?);
        let mut topics = response.responses;
        let mut topic = topics.pop().context("no topic in the answer")?;
        let data = topic.partitions.pop().context("no partition in the answer")?;
        ensure!(data.partition_index == partition, "another partition was answered");
        Ok(Fetched {
            error: code(data.error_code)?,
            high_watermark: data.high_watermark,
            log_start: data.log_start_offset,
            records: data.records.unwrap_or_default(),
        })
    }

    /// Creates topics that may exist already.
    ///
    /// # Errors
    /// What the broker says.
    pub fn create_topics(
        &mut self,
        topics: &[&str],
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let configs: Vec<_> = configs
            .iter()
            .map(|(key, value)| {
                CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
            })
            .collect();
        let topics = topics.iter().map(|topic| {
            CreatableTopic::default()
                .with_name(name(topic))
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(configs.clone())
        });
        let request =
            CreateTopicsRequest::default().with_timeout_ms(ADMIN_TIMEOUT_MS).with_topics(topics.collect());
        let response = self.call(7, &request)?;
        for topic in response.topics {
            let error = code(topic.error_code)?;
            let fine = matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists);
            ensure!(fine, "topic {:?}: {error} {:?}", topic.name, topic.error_message);
        }
        Ok(())
    }

    /// Deletes topics.
    ///
    /// # Errors
    /// What the broker says.
    pub fn delete_topics(&mut self, topics: &[&str]) -> anyhow::Result<()> {
        let topics = topics.iter().map(|topic| DeleteTopicState::default().with_name(Some(name(topic))));
        let request =
            DeleteTopicsRequest::default().with_timeout_ms(ADMIN_TIMEOUT_MS).with_topics(topics.collect());
        for topic in self.call(6, &request)?.responses {
            ensure!(topic.error_code == 0, "{:?}: {}", topic.name, code(topic.error_code)?);
        }
        Ok(())
    }

    /// Metadata of topics, which are not created by asking.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn metadata(&mut self, topics: &[&str]) -> anyhow::Result<MetadataResponse> {
        let topics = topics.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic))));
        let request = MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(false);
        self.call(12, &request)
    }

    /// Waits until each partition of a topic has a leader: a created topic reaches the shards a moment later.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub fn await_topic(&mut self, topic: &str, partitions: usize, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let metadata = self.metadata(&[topic])?;
            let found = metadata.topics.first().context("no topic in the answer")?;
            let led = found.partitions.iter().filter(|it| it.error_code == 0 && it.leader_id.0 >= 0).count();
            if found.error_code == 0 && led == partitions {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{led} of {partitions} partitions of {topic} have a leader");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A new idempotent producer.
    ///
    /// # Errors
    /// What the broker says.
    pub fn init_producer_id(&mut self) -> anyhow::Result<(ProducerId, ProducerEpoch)> {
        let request =
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        let response = self.call(4, &request)?;
        ensure!(response.error_code == 0, "InitProducerId: {}", code(response.error_code)?);
        Ok((ProducerId(response.producer_id.0), ProducerEpoch(response.producer_epoch)))
    }

    /// Which keys and versions are served.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn api_versions(&mut self) -> anyhow::Result<ApiVersionsResponse> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text("faults"))
            .with_client_software_version(text("1"));
        self.call(3, &request)
    }
}
