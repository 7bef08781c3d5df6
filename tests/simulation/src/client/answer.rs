//! What clients are answered, read from the wire.

use super::{
    group::GroupAnswer,
    history::Seen,
    quorum::QuorumAnswer,
    record,
    request::{Fetch, Request},
    transaction::TransactionAnswer,
};
use bytes::Bytes;
use corelane_core::{
    error::ErrorCode,
    ids::{Offset, PartitionId, ProducerEpoch, ProducerId, TopicId},
    wire::{WireError, decode_response},
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsResponse, ApiVersionsResponse, CreatePartitionsResponse, CreateTopicsResponse,
    DeleteRecordsResponse, DeleteTopicsResponse, ElectLeadersResponse, FetchResponse,
    IncrementalAlterConfigsResponse, InitProducerIdResponse, ListOffsetsResponse, MetadataResponse,
    ProduceResponse,
};

/// A topic as Metadata shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
    /// The leader of each that has one.
    pub leaders: Vec<(i32, i32)>,
    /// The replicas of each, the preferred leader first.
    pub replicas: Vec<(i32, Vec<i32>)>,
}

/// What became of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// As the answer says.
    pub error: ErrorCode,
    /// Of the first record.
    pub base_offset: Offset,
}

/// What a fetch found in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    /// Which.
    pub partition: PartitionId,
    /// From where it was read.
    pub from: Offset,
    /// As the answer says.
    pub error: ErrorCode,
    /// Log start offset; −1 where the version does not tell.
    pub log_start: Offset,
    /// High watermark.
    pub high_watermark: Offset,
    /// Last stable offset.
    pub last_stable: Offset,
    /// Whether only what is committed was asked for.
    pub committed: bool,
    /// From the offset that was asked for on.
    pub records: Vec<Seen>,
    /// From where a client reads on.
    pub next: Offset,
}

/// An answer to a request of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Answer {
    ApiVersions(ErrorCode),
    Metadata(Vec<Topic>),
    CreateTopic(Result<TopicId, ErrorCode>),
    DeleteTopic(ErrorCode),
    CreatePartitions(ErrorCode),
    AlterConfig(ErrorCode),
    InitProducerId(Result<(ProducerId, ProducerEpoch), ErrorCode>),
    ElectLeaders(ErrorCode),
    Reassign(ErrorCode),
    /// In the order of the request's batches; nothing for acks=0.
    Produce(Vec<Produced>),
    /// The session's id, and the partitions that the answer names.
    Fetch(ErrorCode, i32, Vec<FetchedPartition>),
    ListOffsets(Result<Offset, ErrorCode>),
    DeleteRecords(Result<Offset, ErrorCode>),
    Group(GroupAnswer),
    Quorum(QuorumAnswer),
    Transaction(TransactionAnswer),
}

fn code(number: i16) -> Result<ErrorCode, String> {
    ErrorCode::from_code(number).ok_or_else(|| format!("error code {number} is unknown"))
}

fn unreadable(error: WireError) -> String {
    error.to_string()
}

fn only<T>(mut list: Vec<T>, what: &str) -> Result<T, String> {
    let count = list.len();
    list.pop().filter(|_| count == 1).ok_or_else(|| format!("{count} {what}s where one was asked for"))
}

impl Answer {
    /// Reads the answer to `request`, asked in `version` under `correlation`, from a frame without its length.
    ///
    /// # Errors
    /// Whatever a client could not make sense of.
    pub fn decode(
        request: &Request,
        version: i16,
        correlation: i32,
        frame: &Bytes,
    ) -> Result<Answer, String> {
        let (answered, answer) = decode(request, version, frame)?;
        if answered == correlation {
            Ok(answer)
        } else {
            Err(format!("an answer to request {answered} where one to {correlation} was due"))
        }
    }
}

fn decode(request: &Request, version: i16, frame: &Bytes) -> Result<(i32, Answer), String> {
    Ok(match request {
        Request::ApiVersions => {
            let (id, response) =
                decode_response::<ApiVersionsResponse>(version, frame).map_err(unreadable)?;
            (id, Answer::ApiVersions(code(response.error_code)?))
        }
        Request::Metadata => {
            let (id, response) = decode_response::<MetadataResponse>(version, frame).map_err(unreadable)?;
            (id, Answer::Metadata(topics(response)?))
        }
        Request::CreateTopic { .. } => {
            let (id, response) =
                decode_response::<CreateTopicsResponse>(version, frame).map_err(unreadable)?;
            let topic = only(response.topics, "topic")?;
            let outcome = match code(topic.error_code)? {
                ErrorCode::None => Ok(TopicId(topic.topic_id)),
                error => Err(error),
            };
            (id, Answer::CreateTopic(outcome))
        }
        Request::DeleteTopic { .. } => {
            let (id, response) =
                decode_response::<DeleteTopicsResponse>(version, frame).map_err(unreadable)?;
            (id, Answer::DeleteTopic(code(only(response.responses, "topic")?.error_code)?))
        }
        Request::CreatePartitions { .. } => {
            let (id, response) =
                decode_response::<CreatePartitionsResponse>(version, frame).map_err(unreadable)?;
            (id, Answer::CreatePartitions(code(only(response.results, "topic")?.error_code)?))
        }
        Request::AlterConfig { .. } => {
            let (id, response) =
                decode_response::<IncrementalAlterConfigsResponse>(version, frame).map_err(unreadable)?;
            (id, Answer::AlterConfig(code(only(response.responses, "resource")?.error_code)?))
        }
        Request::InitProducerId => {
            let (id, response) =
                decode_response::<InitProducerIdResponse>(version, frame).map_err(unreadable)?;
            let outcome = match code(response.error_code)? {
                ErrorCode::None => {
                    Ok((ProducerId(response.producer_id.0), ProducerEpoch(response.producer_epoch)))
                }
                error => Err(error),
            };
            (id, Answer::InitProducerId(outcome))
        }
        Request::ElectLeaders => {
            let (id, response) =
                decode_response::<ElectLeadersResponse>(version, frame).map_err(unreadable)?;
            (id, Answer::ElectLeaders(code(response.error_code)?))
        }
        Request::Reassign { .. } => {
            let (id, response) =
                decode_response::<AlterPartitionReassignmentsResponse>(version, frame).map_err(unreadable)?;
            (id, Answer::Reassign(reassigned(response)?))
        }
        Request::Produce { batches, .. } => {
            let (id, response) = decode_response::<ProduceResponse>(version, frame).map_err(unreadable)?;
            let produced = batches.iter().map(|batch| produced(batch.partition, &batch.topic, &response));
            (id, Answer::Produce(produced.collect::<Result<_, String>>()?))
        }
        Request::Fetch(fetch) => {
            let (id, response) = decode_response::<FetchResponse>(version, frame).map_err(unreadable)?;
            (id, fetched(fetch, response)?)
        }
        Request::ListOffsets { .. } => {
            let (id, response) =
                decode_response::<ListOffsetsResponse>(version, frame).map_err(unreadable)?;
            let partition = only(only(response.topics, "topic")?.partitions, "partition")?;
            let outcome = match code(partition.error_code)? {
                ErrorCode::None => Ok(Offset(partition.offset)),
                error => Err(error),
            };
            (id, Answer::ListOffsets(outcome))
        }
        Request::DeleteRecords { .. } => {
            let (id, response) =
                decode_response::<DeleteRecordsResponse>(version, frame).map_err(unreadable)?;
            let partition = only(only(response.topics, "topic")?.partitions, "partition")?;
            let outcome = match code(partition.error_code)? {
                ErrorCode::None => Ok(Offset(partition.low_watermark)),
                error => Err(error),
            };
            (id, Answer::DeleteRecords(outcome))
        }
        Request::Group { request, .. } => request.decode(version, frame)?,
        Request::Quorum(request) => request.decode(version, frame)?,
        Request::Transaction { request, .. } => request.decode(version, frame)?,
    })
}

fn topics(response: MetadataResponse) -> Result<Vec<Topic>, String> {
    let mut topics = Vec::new();
    for topic in response.topics {
        // The broker's own topics are not the clients' to use.
        if !code(topic.error_code)?.is_none() || topic.is_internal {
            continue;
        }
        topics.push(Topic {
            name: topic.name.ok_or("a topic without a name")?.to_string(),
            id: TopicId(topic.topic_id),
            partitions: i32::try_from(topic.partitions.len()).map_err(|error| error.to_string())?,
            leaders: topic
                .partitions
                .iter()
                .filter(|partition| partition.leader_id.0 >= 0)
                .map(|partition| (partition.partition_index, partition.leader_id.0))
                .collect(),
            replicas: topic
                .partitions
                .iter()
                .map(|partition| {
                    let nodes = partition.replica_nodes.iter().map(|node| node.0);
                    (partition.partition_index, nodes.collect())
                })
                .collect(),
        });
    }
    Ok(topics)
}

fn reassigned(response: AlterPartitionReassignmentsResponse) -> Result<ErrorCode, String> {
    match code(response.error_code)? {
        ErrorCode::None => code(only(only(response.responses, "topic")?.partitions, "partition")?.error_code),
        error => Ok(error),
    }
}

fn produced(partition: PartitionId, topic: &str, response: &ProduceResponse) -> Result<Produced, String> {
    let topics = response.responses.iter().filter(|found| {
        if found.topic_id.is_nil() {
            found.name.as_str() == topic
        } else {
            found.topic_id == partition.topic.0
        }
    });
    let mut partitions =
        topics.flat_map(|topic| &topic.partition_responses).filter(|found| found.index == partition.index);
    let found = partitions.next().ok_or_else(|| format!("no answer for {partition}"))?;
    Ok(Produced { error: code(found.error_code)?, base_offset: Offset(found.base_offset) })
}

fn fetched(fetch: &Fetch, response: FetchResponse) -> Result<Answer, String> {
    let mut partitions = Vec::new();
    for topic in response.responses {
        for found in topic.partitions {
            let wanted = fetch.wanted.iter().find(|wanted| {
                let same_topic = if fetch.by_id {
                    wanted.partition.topic.0 == topic.topic_id
                } else {
                    *wanted.topic == *topic.topic.as_str()
                };
                same_topic && wanted.partition.index == found.partition_index
            });
            let Some(wanted) = wanted else {
                return Err(format!(
                    "partition {} of {:?} was not asked for",
                    found.partition_index, topic.topic
                ));
            };
            let bytes = found.records.unwrap_or_default();
            let aborted: Vec<_> = found
                .aborted_transactions
                .iter()
                .flatten()
                .map(|it| (ProducerId(it.producer_id.0), Offset(it.first_offset)))
                .collect();
            let (records, next) = record::records(&bytes, wanted.from, &aborted)
                .map_err(|text| format!("{} from {}: {text}", wanted.partition, wanted.from))?;
            partitions.push(FetchedPartition {
                partition: wanted.partition,
                from: wanted.from,
                error: code(found.error_code)?,
                log_start: Offset(found.log_start_offset),
                high_watermark: Offset(found.high_watermark),
                last_stable: Offset(found.last_stable_offset),
                committed: fetch.committed,
                records,
                next,
            });
        }
    }
    Ok(Answer::Fetch(code(response.error_code)?, response.session_id, partitions))
}
