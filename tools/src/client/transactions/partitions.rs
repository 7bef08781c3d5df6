//! Producers of transactions as the leaders of partitions know them, and the marker that ends a transaction there, past its
//! coordinator.

use super::{nonsense, refused};
use crate::client::{
    TopicPartition,
    cluster::{Attempt, Cluster, Topics},
    connection::Connection,
    error::{ClientError, Result},
    topic_name,
};
use corelane_core::error::ErrorCode;
use kafka_protocol::messages::{
    DescribeProducersRequest, WriteTxnMarkersRequest,
    describe_producers_request::TopicRequest,
    describe_producers_response::PartitionResponse,
    metadata_response::MetadataResponseTopic,
    write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

/// A producer that a partition remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i32,
    /// Of its last record.
    pub last_sequence: i32,
    /// Of its last batch, in Unix milliseconds.
    pub last_timestamp_ms: i64,
    /// Of the coordinator that wrote its last marker, if one has.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins, if it has one.
    pub transaction_start: Option<i64>,
}

/// The producers of partitions, as their leaders know them, or this broker.
///
/// # Errors
/// The first partition's that has one. An unknown partition is waited for.
pub fn describe_producers(
    cluster: &mut Cluster,
    partitions: &[TopicPartition],
    broker: Option<i32>,
) -> Result<BTreeMap<TopicPartition, Vec<ActiveProducer>>> {
    let call = match broker {
        Some(_) => "describeProducers(api=DESCRIBE_PRODUCERS)",
        None => "describeProducers(api=METADATA)",
    };
    let mut found = BTreeMap::new();
    cluster.drive(call, |cluster| {
        let left = partitions.iter().filter(|place| !found.contains_key(*place)).cloned();
        let left: Vec<TopicPartition> = left.collect();
        let by_broker = match broker {
            Some(id) => BTreeMap::from([(id, left)]),
            None => leaders(cluster, &left)?,
        };
        for (id, asked) in by_broker {
            for (place, answer) in cluster.on_node(id, |connection| producers_of(connection, &asked))? {
                match producers_refused(&place, broker, &answer) {
                    None => drop(found.insert(place, active(answer))),
                    Some(refused) => refused.map_or(Ok(()), Err)?,
                }
            }
        }
        let is_done = partitions.iter().all(|place| found.contains_key(place));
        Ok(if is_done { Attempt::Done(()) } else { Attempt::Again(call) })
    })?;
    Ok(found)
}

fn producers_of(
    connection: &mut Connection,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, PartitionResponse)>> {
    let version = connection.version::<DescribeProducersRequest>()?;
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics = topics.into_iter().map(|(name, indexes)| {
        TopicRequest::default().with_name(topic_name(name)).with_partition_indexes(indexes)
    });
    let request = DescribeProducersRequest::default().with_topics(topics.collect());
    let answer = connection.call(version, &request)?;
    let answered = answer.topics.into_iter().flat_map(|topic| {
        let name = topic.name.0.to_string();
        let place = move |it: PartitionResponse| (TopicPartition::new(&*name, it.partition_index), it);
        topic.partitions.into_iter().map(place)
    });
    Ok(answered.collect())
}

fn active(answer: PartitionResponse) -> Vec<ActiveProducer> {
    let producers = answer.active_producers.into_iter().map(|producer| ActiveProducer {
        id: producer.producer_id.0,
        epoch: producer.producer_epoch,
        last_sequence: producer.last_sequence,
        last_timestamp_ms: producer.last_timestamp,
        coordinator_epoch: Some(producer.coordinator_epoch).filter(|epoch| *epoch >= 0),
        transaction_start: Some(producer.current_txn_start_offset).filter(|offset| *offset >= 0),
    });
    producers.collect()
}

/// What becomes of a partition's error: `Some(None)` where it passes.
fn producers_refused(
    place: &TopicPartition,
    broker: Option<i32>,
    answer: &PartitionResponse,
) -> Option<Option<ClientError>> {
    let code = answer.error_code;
    let message = match (ErrorCode::from_code(code), broker) {
        (Some(ErrorCode::None), _) => return None,
        // A broker that was chosen does not become another by asking again.
        (Some(ErrorCode::NotLeaderOrFollower), Some(id)) => {
            format!("Failed to describe active producers for partition {place} on brokerId {id}")
        }
        (Some(ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition), _) => return Some(None),
        (Some(ErrorCode::InvalidTopicException), _) => {
            let why = ClientError::of(code, answer.error_message.as_deref())?;
            format!("Failed to fetch metadata for partition {place} due to invalid topic error: {why}")
        }
        (Some(ErrorCode::TopicAuthorizationFailed), _) => format!(
            "Failed to describe active producers for partition {place} due to authorization failure on topic `{}`",
            place.topic
        ),
        _ => format!("Failed to describe active producers for partition {place} due to unexpected error"),
    };
    Some(Some(refused(code, message)))
}

/// The partitions that have a leader, by that; the others may have one later (`PartitionLeaderStrategy`).
fn leaders(
    cluster: &mut Cluster,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<i32, Vec<TopicPartition>>> {
    let names: BTreeSet<&String> = partitions.iter().map(|place| &place.topic).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let answer = cluster.metadata(Topics::Named(&names))?;
    let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
    for place in partitions {
        let is_its = |topic: &&MetadataResponseTopic| {
            topic.name.as_ref().is_some_and(|name| name.0.as_str() == place.topic)
        };
        let Some(topic) = answer.topics.iter().find(is_its) else { continue };
        if let Some(refused) = lookup_refused(place, topic.error_code, true) {
            return Err(refused);
        }
        let found = topic.partitions.iter().find(|it| it.partition_index == place.partition);
        let Some(found) = found else { continue };
        if let Some(refused) = lookup_refused(place, found.error_code, false) {
            return Err(refused);
        }
        if found.error_code == 0 && found.leader_id.0 >= 0 {
            by_leader.entry(found.leader_id.0).or_default().push(place.clone());
        }
    }
    Ok(by_leader)
}

/// What metadata say of a topic, or of a partition of it, that asking again does not help.
fn lookup_refused(place: &TopicPartition, code: i16, of_topic: bool) -> Option<ClientError> {
    let (topic, fetch) = (&place.topic, format!("Failed to fetch metadata for partition {place} due to"));
    let message = match (ErrorCode::from_code(code), of_topic) {
        (
            Some(
                ErrorCode::None
                | ErrorCode::UnknownTopicOrPartition
                | ErrorCode::LeaderNotAvailable
                | ErrorCode::BrokerNotAvailable,
            ),
            _,
        )
        | (
            Some(
                ErrorCode::NotLeaderOrFollower
                | ErrorCode::ReplicaNotAvailable
                | ErrorCode::KafkaStorageError,
            ),
            false,
        ) => return None,
        (Some(ErrorCode::TopicAuthorizationFailed), true) => format!("{fetch} topic authorization failure"),
        (Some(ErrorCode::InvalidTopicException), true) => format!("{fetch} invalid topic `{topic}`"),
        (_, true) => format!("{fetch} unexpected error for topic `{topic}`"),
        (_, false) => format!("Unexpected error during metadata lookup for {place}"),
    };
    Some(refused(code, message))
}

/// A transaction that is to be aborted in one partition, past its coordinator. Its text is that of Kafka's class of this
/// name, which errors show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortTransactionSpec {
    /// Where.
    pub partition: TopicPartition,
    /// Whose it is.
    pub producer_id: i64,
    /// Whose it is.
    pub producer_epoch: i16,
    /// Not below that of the coordinator that wrote the producer's last marker.
    pub coordinator_epoch: i32,
}

impl std::fmt::Display for AbortTransactionSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let AbortTransactionSpec { partition, producer_id, producer_epoch, coordinator_epoch } = self;
        write!(
            f,
            "AbortTransactionSpec(topicPartition={partition}, producerId={producer_id}, producerEpoch={producer_epoch}, \
             coordinatorEpoch={coordinator_epoch})"
        )
    }
}

/// Has the partition's leader write the marker that aborts a transaction.
///
/// # Errors
/// The leader's. An unknown partition is waited for.
pub fn abort(cluster: &mut Cluster, spec: &AbortTransactionSpec) -> Result<()> {
    let lookup = "abortTransaction(api=METADATA)";
    cluster.drive(lookup, |cluster| {
        let leaders = leaders(cluster, slice::from_ref(&spec.partition))?;
        let Some((&leader, _)) = leaders.first_key_value() else { return Ok(Attempt::Again(lookup)) };
        let code = cluster.on_node(leader, |connection| write_marker(connection, spec))?;
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => Ok(Attempt::Done(())),
            Some(
                ErrorCode::NotLeaderOrFollower
                | ErrorCode::ReplicaNotAvailable
                | ErrorCode::BrokerNotAvailable
                | ErrorCode::UnknownTopicOrPartition,
            ) => Ok(Attempt::Again(lookup)),
            _ => Err(abort_refused(spec, code)),
        }
    })
}

/// The error code of the one partition.
fn write_marker(connection: &mut Connection, spec: &AbortTransactionSpec) -> Result<i16> {
    let version = connection.version::<WriteTxnMarkersRequest>()?;
    let TopicPartition { topic, partition } = &spec.partition;
    let marker = WritableTxnMarker::default()
        .with_producer_id(spec.producer_id.into())
        .with_producer_epoch(spec.producer_epoch)
        .with_coordinator_epoch(spec.coordinator_epoch)
        .with_transaction_result(false)
        .with_topics(vec![
            WritableTxnMarkerTopic::default()
                .with_name(topic_name(topic))
                .with_partition_indexes(vec![*partition]),
        ]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let answer = connection.call(version, &request)?;
    let markers = answer.markers.iter().filter(|marker| marker.producer_id.0 == spec.producer_id);
    let topics = markers.flat_map(|marker| &marker.topics).filter(|it| it.name.0.as_str() == topic);
    let mut partitions = topics.flat_map(|it| &it.partitions).filter(|it| it.partition_index == *partition);
    match (partitions.next(), partitions.next()) {
        (Some(result), None) => Ok(result.error_code),
        _ => Err(nonsense(connection, "an answer about other markers")),
    }
}

fn abort_refused(spec: &AbortTransactionSpec, code: i16) -> ClientError {
    let why = match ErrorCode::from_code(code) {
        Some(ErrorCode::ClusterAuthorizationFailed) => "due to cluster authorization error".into(),
        Some(ErrorCode::InvalidProducerEpoch) => "due an invalid producer epoch".into(),
        Some(ErrorCode::TransactionCoordinatorFenced) => format!(
            "since the provided coordinator epoch {} has been fenced by the active coordinator",
            spec.coordinator_epoch
        ),
        _ => format!(
            "due to unexpected error: {}",
            ClientError::of(code, None).map_or_else(String::new, |error| error.to_string())
        ),
    };
    refused(code, format!("WriteTxnMarkers request with {spec} failed {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> TopicPartition {
        TopicPartition::new("t", 3)
    }

    fn partition(error: ErrorCode) -> PartitionResponse {
        PartitionResponse::default().with_partition_index(3).with_error_code(error.code())
    }

    #[test]
    fn a_chosen_broker_without_the_partition_is_told_and_another_leader_is_looked_for() {
        let elsewhere = partition(ErrorCode::NotLeaderOrFollower);
        assert!(matches!(producers_refused(&place(), None, &elsewhere), Some(None)));
        let told = producers_refused(&place(), Some(2), &elsewhere).flatten().expect("refused").to_string();
        assert_eq!(told, "Failed to describe active producers for partition t-3 on brokerId 2");
        for broker in [None, Some(2)] {
            let unknown = partition(ErrorCode::UnknownTopicOrPartition);
            assert!(matches!(producers_refused(&place(), broker, &unknown), Some(None)));
            assert!(producers_refused(&place(), broker, &partition(ErrorCode::None)).is_none());
        }
    }

    #[test]
    fn a_topic_that_is_not_there_yet_is_waited_for_and_one_that_cannot_be_is_not() {
        for error in [ErrorCode::UnknownTopicOrPartition, ErrorCode::LeaderNotAvailable] {
            assert!(lookup_refused(&place(), error.code(), true).is_none(), "{error}");
            assert!(lookup_refused(&place(), error.code(), false).is_none(), "{error}");
        }
        let told = lookup_refused(&place(), ErrorCode::InvalidTopicException.code(), true).expect("refused");
        assert_eq!(told.to_string(), "Failed to fetch metadata for partition t-3 due to invalid topic `t`");
        assert!(lookup_refused(&place(), ErrorCode::KafkaStorageError.code(), false).is_none());
        assert!(lookup_refused(&place(), ErrorCode::KafkaStorageError.code(), true).is_some());
    }

    #[test]
    fn an_abort_that_is_refused_says_what_was_to_be_aborted() {
        let spec = AbortTransactionSpec {
            partition: place(),
            producer_id: 7,
            producer_epoch: 1,
            coordinator_epoch: 2,
        };
        let shown =
            "AbortTransactionSpec(topicPartition=t-3, producerId=7, producerEpoch=1, coordinatorEpoch=2)";
        for (error, why) in [
            (ErrorCode::InvalidProducerEpoch, "due an invalid producer epoch"),
            (
                ErrorCode::TransactionCoordinatorFenced,
                "since the provided coordinator epoch 2 has been fenced by the active coordinator",
            ),
            (ErrorCode::RequestTimedOut, "due to unexpected error: The request timed out."),
        ] {
            let told = abort_refused(&spec, error.code()).to_string();
            assert_eq!(told, format!("WriteTxnMarkers request with {shown} failed {why}"));
        }
    }
}
