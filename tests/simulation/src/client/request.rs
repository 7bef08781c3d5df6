//! What clients ask, and how it looks on the wire in each version they speak.

use super::{
    group::GroupRequest,
    history::{Acks, RecordId},
    quorum::QuorumRequest,
    transaction::TransactionRequest,
};
use bytes::Bytes;
use corelane_core::{
    ids::{Offset, PartitionId, ProducerId, TopicId},
    records::{BatchHeader, Codec},
    wire::encode_request,
};
use kafka_protocol::{
    messages::{
        AlterPartitionReassignmentsRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
        DeleteRecordsRequest, DeleteTopicsRequest, ElectLeadersRequest, FetchRequest,
        IncrementalAlterConfigsRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
        ProduceRequest, TopicName, alter_partition_reassignments_request, create_partitions_request,
        create_topics_request, delete_records_request, delete_topics_request, fetch_request,
        incremental_alter_configs_request, list_offsets_request, produce_request,
    },
    protocol::StrBytes,
};
use std::{collections::BTreeMap, fmt, rc::Rc};

/// How long a broker may wait for what a request needs, in ms: less than clients wait for the answer.
const BROKER_TIMEOUT_MS: i32 = 10_000;

/// A batch for one partition.
#[derive(Clone)]
pub struct Batch {
    /// Where to.
    pub partition: PartitionId,
    /// The topic's name.
    pub topic: Rc<str>,
    /// What is in it.
    pub records: Vec<RecordId>,
    /// As it is sent.
    pub bytes: Bytes,
    /// By which idempotent producer.
    pub producer: Option<ProducerId>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = [self.records.first(), self.records.last()].map(|record| record.map_or(0, |it| it.0));
        write!(f, "{} records {}..={}", self.partition, ends[0], ends[1])
    }
}

impl Batch {
    fn is_zstd(&self) -> bool {
        BatchHeader::view(&self.bytes).is_some_and(|header| header.codec() == Ok(Codec::Zstd))
    }
}

/// A partition that a fetch reads.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which.
    pub partition: PartitionId,
    /// The topic's name.
    pub topic: Rc<str>,
    /// From where.
    pub from: Offset,
    /// Whether the request names it; a session knows the others.
    pub named: bool,
}

/// A fetch.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// By topic id (from version 13 on) instead of by name.
    pub by_id: bool,
    /// Of leaders only: from version 11 on followers answer too, with the watermark that they know.
    pub of_leader: bool,
    /// Session and its epoch (KIP-227); `None` without sessions.
    pub session: Option<(i32, i32)>,
    /// All that is read, named or known to the session.
    pub wanted: Vec<Wanted>,
    /// What the session shall forget.
    pub forgotten: Vec<Wanted>,
    /// How long to wait for records, in ms.
    pub max_wait_ms: i32,
    /// Bytes of the answer.
    pub max_bytes: i32,
    /// Bytes of each partition.
    pub partition_max_bytes: i32,
    /// Only what is of decided transactions.
    pub committed: bool,
}

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// The log start.
    Earliest,
    /// The high watermark.
    Latest,
    /// Of the largest timestamp.
    MaxTimestamp,
    /// Of the first record that is not older, in Unix ms.
    Timestamp(i64),
}

/// What a client asks.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Request {
    ApiVersions,
    /// All topics.
    Metadata,
    CreateTopic {
        name: Rc<str>,
        partitions: i32,
        configs: Vec<(&'static str, String)>,
    },
    DeleteTopic {
        topic: TopicId,
        name: Rc<str>,
    },
    CreatePartitions {
        topic: TopicId,
        name: Rc<str>,
        count: i32,
    },
    /// Of a topic, or of all brokers.
    AlterConfig {
        name: Option<Rc<str>>,
        key: &'static str,
        value: String,
    },
    InitProducerId,
    /// Every partition's preferred leader.
    ElectLeaders,
    /// A partition to these brokers, by their node ids; `None`: back to where it was.
    Reassign {
        partition: PartitionId,
        topic: Rc<str>,
        replicas: Option<Vec<i32>>,
    },
    Produce {
        acks: Acks,
        by_id: bool,
        batches: Vec<Batch>,
        /// Whose transaction they are of.
        transaction: Option<Transaction>,
    },
    Fetch(Fetch),
    ListOffsets {
        partition: PartitionId,
        topic: Rc<str>,
        spec: Spec,
    },
    DeleteRecords {
        partition: PartitionId,
        topic: Rc<str>,
        before: Offset,
    },
    Group {
        group: Rc<str>,
        request: GroupRequest,
    },
    Quorum(QuorumRequest),
    /// Of the producer of a transactional id.
    Transaction {
        id: Rc<str>,
        request: TransactionRequest,
    },
}

/// A transaction that batches are of.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its transactional id.
    pub id: Rc<str>,
    /// Partitions become a part of it by being written to (version 2).
    pub adds: bool,
}

/// Which broker a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Any.
    Any,
    /// The leader of the first partition that it names: operations name partitions of one leader.
    LeaderOf(PartitionId),
    /// The coordinator of a group.
    CoordinatorOf(Rc<str>),
    /// The coordinator of a transactional id.
    TransactionsOf(Rc<str>),
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn name(value: &str) -> TopicName {
    TopicName(text(value))
}

impl Request {
    /// Which broker it is for.
    pub fn destination(&self) -> Destination {
        let of_first = |first: Option<PartitionId>| first.map_or(Destination::Any, Destination::LeaderOf);
        match self {
            Request::Produce { batches, .. } => of_first(batches.first().map(|batch| batch.partition)),
            Request::Fetch(fetch) => of_first(fetch.wanted.first().map(|wanted| wanted.partition)),
            Request::ListOffsets { partition, .. } | Request::DeleteRecords { partition, .. } => {
                Destination::LeaderOf(*partition)
            }
            Request::Group { request: GroupRequest::FindCoordinator, .. } => Destination::Any,
            Request::Group { group, .. } => Destination::CoordinatorOf(Rc::clone(group)),
            Request::Transaction { request: TransactionRequest::FindCoordinator, .. } => Destination::Any,
            Request::Transaction { id, .. } => Destination::TransactionsOf(Rc::clone(id)),
            Request::ApiVersions
            | Request::Metadata
            | Request::CreateTopic { .. }
            | Request::DeleteTopic { .. }
            | Request::CreatePartitions { .. }
            | Request::AlterConfig { .. }
            | Request::InitProducerId
            | Request::ElectLeaders
            | Request::Reassign { .. }
            | Request::Quorum(_) => Destination::Any,
        }
    }

    /// Versions in which it can be asked.
    pub fn versions(&self) -> &'static [i16] {
        match self {
            Request::ApiVersions => &[0, 1, 2, 3, 4],
            // Topic ids come with version 10.
            Request::Metadata => &[10, 11, 12, 13],
            Request::CreateTopic { .. } => &[7],
            Request::DeleteTopic { .. } => &[1, 3, 5, 6],
            Request::CreatePartitions { .. } => &[0, 1, 2, 3],
            Request::AlterConfig { .. } => &[0, 1],
            Request::InitProducerId => &[0, 1, 2, 3, 4, 5],
            // An error of the whole comes with version 1.
            Request::ElectLeaders => &[1, 2],
            Request::Reassign { .. } => &[0, 1],
            Request::Produce { transaction: Some(Transaction { adds: true, .. }), .. } => &[12],
            // zstd came with version 7 (KIP-110).
            Request::Produce { transaction: Some(_), batches, .. } if batches.iter().any(Batch::is_zstd) => {
                &[7, 9, 11]
            }
            Request::Produce { transaction: Some(_), .. } => &[3, 5, 7, 8, 9, 11],
            Request::Produce { by_id: false, batches, .. } if batches.iter().any(Batch::is_zstd) => {
                &[7, 9, 12]
            }
            Request::Produce { by_id: false, .. } => &[3, 5, 7, 8, 9, 11, 12],
            Request::Produce { by_id: true, .. } => &[13],
            // From version 5 on an answer tells the log start.
            Request::Fetch(Fetch { of_leader: true, .. }) => &[5, 6, 7, 8, 10],
            Request::Fetch(Fetch { by_id: true, .. }) => &[13, 14, 15, 16, 17, 18],
            Request::Fetch(Fetch { session: Some(_), .. }) => &[7, 9, 11, 12],
            Request::Fetch(Fetch { session: None, .. }) => &[5, 6, 7, 8, 10, 11, 12],
            Request::ListOffsets { spec: Spec::MaxTimestamp, .. } => &[7, 8, 9, 10],
            Request::ListOffsets { .. } => &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            Request::DeleteRecords { .. } => &[0, 1, 2],
            Request::Group { request, .. } => request.versions(),
            Request::Quorum(request) => request.versions(),
            Request::Transaction { request, .. } => request.versions(),
        }
    }

    /// Whether it is answered at all.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Request::Produce { acks: Acks::None, .. })
    }

    /// The frame.
    ///
    /// # Panics
    /// When the protocol crate refuses what this module builds.
    pub fn encode(&self, correlation: i32, version: i16) -> Bytes {
        let id = Some("sim");
        let encoded = match self {
            Request::ApiVersions => {
                let mut request = ApiVersionsRequest::default();
                if version >= 3 {
                    request.client_software_name = text("corelane-sim");
                    request.client_software_version = text("1");
                }
                encode_request(correlation, id, version, &request)
            }
            Request::Metadata => {
                let request = MetadataRequest::default().with_topics(None);
                encode_request(correlation, id, version, &request)
            }
            Request::CreateTopic { name, partitions, configs } => {
                encode_request(correlation, id, version, &create_topic(name, *partitions, configs))
            }
            Request::DeleteTopic { topic, name } => {
                encode_request(correlation, id, version, &delete_topic(*topic, name, version))
            }
            Request::CreatePartitions { name, count, .. } => {
                encode_request(correlation, id, version, &create_partitions(name, *count))
            }
            Request::AlterConfig { name, key, value } => {
                encode_request(correlation, id, version, &alter_config(name.as_deref(), key, value))
            }
            Request::InitProducerId => {
                let request = InitProducerIdRequest::default()
                    .with_transactional_id(None)
                    .with_transaction_timeout_ms(60_000);
                encode_request(correlation, id, version, &request)
            }
            Request::ElectLeaders => {
                let request = ElectLeadersRequest::default()
                    .with_topic_partitions(None)
                    .with_timeout_ms(BROKER_TIMEOUT_MS);
                encode_request(correlation, id, version, &request)
            }
            Request::Reassign { partition, topic, replicas } => {
                let request = reassign(*partition, topic, replicas.as_deref());
                encode_request(correlation, id, version, &request)
            }
            Request::Produce { acks, batches, transaction, .. } => {
                let mut request = produce(*acks, batches, version);
                request.transactional_id = transaction.as_ref().map(|it| text(&it.id).into());
                encode_request(correlation, id, version, &request)
            }
            Request::Fetch(request) => encode_request(correlation, id, version, &fetch(request, version)),
            Request::ListOffsets { partition, topic, spec } => {
                encode_request(correlation, id, version, &list_offsets(*partition, topic, *spec, version))
            }
            Request::DeleteRecords { partition, topic, before } => {
                encode_request(correlation, id, version, &delete_records(*partition, topic, *before))
            }
            Request::Group { group, request } => request.encode(group, correlation, version),
            Request::Quorum(request) => request.encode(correlation, version),
            Request::Transaction { id, request } => request.encode(id, correlation, version),
        };
        encoded.unwrap_or_else(|error| panic!("cannot encode {self:?} as version {version}: {error}"))
    }
}

fn create_topic(topic: &str, partitions: i32, configs: &[(&'static str, String)]) -> CreateTopicsRequest {
    let configs = configs.iter().map(|(key, value)| {
        create_topics_request::CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    });
    let topic = create_topics_request::CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        // The brokers' own.
        .with_replication_factor(-1)
        .with_configs(configs.collect());
    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(BROKER_TIMEOUT_MS)
}

fn delete_topic(topic: TopicId, topic_name: &str, version: i16) -> DeleteTopicsRequest {
    let request = DeleteTopicsRequest::default().with_timeout_ms(BROKER_TIMEOUT_MS);
    if version >= 6 {
        let state = delete_topics_request::DeleteTopicState::default().with_name(None).with_topic_id(topic.0);
        request.with_topics(vec![state])
    } else {
        request.with_topic_names(vec![name(topic_name)])
    }
}

fn create_partitions(topic: &str, count: i32) -> CreatePartitionsRequest {
    let topic = create_partitions_request::CreatePartitionsTopic::default()
        .with_name(name(topic))
        .with_count(count)
        .with_assignments(None);
    CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(BROKER_TIMEOUT_MS)
}

fn alter_config(topic: Option<&str>, key: &str, value: &str) -> IncrementalAlterConfigsRequest {
    /// `ConfigResource.Type.TOPIC` and `BROKER`.
    const TOPIC: i8 = 2;
    const BROKER: i8 = 4;
    let config = incremental_alter_configs_request::AlterableConfig::default()
        .with_name(text(key))
        .with_config_operation(0)
        .with_value(Some(text(value)));
    let resource = incremental_alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(if topic.is_some() { TOPIC } else { BROKER })
        .with_resource_name(text(topic.unwrap_or_default()))
        .with_configs(vec![config]);
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

fn reassign(
    partition: PartitionId,
    topic: &str,
    replicas: Option<&[i32]>,
) -> AlterPartitionReassignmentsRequest {
    let replicas = replicas.map(|replicas| replicas.iter().map(|node| (*node).into()).collect());
    let partition = alter_partition_reassignments_request::ReassignablePartition::default()
        .with_partition_index(partition.index)
        .with_replicas(replicas);
    let topic = alter_partition_reassignments_request::ReassignableTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]).with_timeout_ms(BROKER_TIMEOUT_MS)
}

fn produce(acks: Acks, batches: &[Batch], version: i16) -> ProduceRequest {
    let mut topics: BTreeMap<TopicId, produce_request::TopicProduceData> = BTreeMap::new();
    for batch in batches {
        let topic = topics.entry(batch.partition.topic).or_insert_with(|| {
            let data = produce_request::TopicProduceData::default();
            if version >= 13 {
                data.with_topic_id(batch.partition.topic.0)
            } else {
                data.with_name(name(&batch.topic))
            }
        });
        topic.partition_data.push(
            produce_request::PartitionProduceData::default()
                .with_index(batch.partition.index)
                .with_records(Some(batch.bytes.clone())),
        );
    }
    let acks = match acks {
        Acks::None => 0,
        Acks::Leader => 1,
        Acks::All => -1,
    };
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(BROKER_TIMEOUT_MS)
        .with_topic_data(topics.into_values().collect())
}

fn fetch(fetch: &Fetch, version: i16) -> FetchRequest {
    let by_topic = |wanted: &mut dyn Iterator<Item = &Wanted>| {
        let mut topics: BTreeMap<TopicId, (Rc<str>, Vec<Wanted>)> = BTreeMap::new();
        for wanted in wanted {
            let topic = topics
                .entry(wanted.partition.topic)
                .or_insert_with(|| (Rc::clone(&wanted.topic), Vec::new()));
            topic.1.push(wanted.clone());
        }
        topics
    };
    let named = by_topic(&mut fetch.wanted.iter().filter(|wanted| wanted.named));
    let topics = named.into_iter().map(|(id, (topic, wanted))| {
        let partitions = wanted.iter().map(|wanted| {
            fetch_request::FetchPartition::default()
                .with_partition(wanted.partition.index)
                .with_fetch_offset(wanted.from.0)
                .with_partition_max_bytes(fetch.partition_max_bytes)
        });
        let topics = fetch_request::FetchTopic::default().with_partitions(partitions.collect());
        if version >= 13 { topics.with_topic_id(id.0) } else { topics.with_topic(name(&topic)) }
    });
    let forgotten = by_topic(&mut fetch.forgotten.iter()).into_iter().map(|(id, (topic, wanted))| {
        let partitions = wanted.iter().map(|wanted| wanted.partition.index).collect();
        let topics = fetch_request::ForgottenTopic::default().with_partitions(partitions);
        if version >= 13 { topics.with_topic_id(id.0) } else { topics.with_topic(name(&topic)) }
    });
    let mut request = FetchRequest::default()
        .with_max_wait_ms(fetch.max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(fetch.max_bytes)
        .with_topics(topics.collect());
    if version < 15 {
        request.replica_id = (-1).into();
    }
    request.isolation_level = i8::from(fetch.committed);
    if version >= 7 {
        request.forgotten_topics_data = forgotten.collect();
        (request.session_id, request.session_epoch) = fetch.session.unwrap_or((0, -1));
    }
    request
}

fn list_offsets(partition: PartitionId, topic: &str, spec: Spec, version: i16) -> ListOffsetsRequest {
    let timestamp = match spec {
        Spec::Latest => -1,
        Spec::Earliest => -2,
        Spec::MaxTimestamp => -3,
        Spec::Timestamp(at) => at,
    };
    let partition = list_offsets_request::ListOffsetsPartition::default()
        .with_partition_index(partition.index)
        .with_timestamp(timestamp);
    let topic = list_offsets_request::ListOffsetsTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    let mut request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    if version >= 10 {
        request.timeout_ms = BROKER_TIMEOUT_MS;
    }
    request
}

fn delete_records(partition: PartitionId, topic: &str, before: Offset) -> DeleteRecordsRequest {
    let partition = delete_records_request::DeleteRecordsPartition::default()
        .with_partition_index(partition.index)
        .with_offset(before.0);
    let topic = delete_records_request::DeleteRecordsTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(BROKER_TIMEOUT_MS)
}

#[cfg(test)]
mod tests;
