//! Single questions about transactions and their producers, and what ends a transaction by force (KIP-664).
//!
//! Which errors pass, and what the others say, is as in the handlers of Kafka's admin client
//! (`org.apache.kafka.clients.admin.internals`).

use super::{
    TopicPartition,
    cluster::{Attempt, Cluster, Topics},
    connection::Connection,
    error::{ClientError, Result},
    text, topic_name,
};
use corelane_core::error::ErrorCode;
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, InitProducerIdRequest, ListTransactionsRequest,
    WriteTxnMarkersRequest,
    describe_producers_request::TopicRequest,
    describe_producers_response::PartitionResponse,
    describe_transactions_response::TransactionState,
    metadata_response::MetadataResponseTopic,
    write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

/// A transactional id in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTransaction {
    /// Which.
    pub id: String,
    /// Its producer.
    pub producer_id: i64,
    /// As `Ongoing`.
    pub state: String,
}

/// Which transactional ids are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFilter {
    /// Those of these producers; of all where none is named.
    pub producer_ids: Vec<i64>,
    /// Those whose transaction lasts longer, in milliseconds; all where it is negative (KIP-994).
    pub duration_ms: i64,
    /// Those that match this as a whole; all where it is empty (KIP-1152).
    pub pattern: String,
}

/// The transactional ids that each broker coordinates, by the broker.
///
/// # Errors
/// The first broker's that has one.
pub fn list(cluster: &mut Cluster, filter: &ListFilter) -> Result<BTreeMap<i32, Vec<ListedTransaction>>> {
    let lookup = "listTransactions(api=METADATA)";
    let brokers = cluster.drive(lookup, |cluster| {
        cluster.metadata(Topics::None)?;
        let ids: Vec<i32> = cluster.nodes().map(|node| node.id).collect();
        Ok(if ids.is_empty() { Attempt::Again(lookup) } else { Attempt::Done(ids) })
    })?;
    let mut listed = BTreeMap::new();
    for broker in brokers {
        let call = "listTransactions(api=LIST_TRANSACTIONS)";
        let found = cluster.drive(call, |cluster| {
            cluster.on_node(broker, |connection| {
                let version = connection.version::<ListTransactionsRequest>()?;
                let answer = connection.call(version, &list_request(version, filter)?)?;
                if let Some(refused) = list_refused(broker, answer.error_code) {
                    return refused.map_or(Ok(Attempt::Again(call)), Err);
                }
                let found = answer.transaction_states.into_iter().map(|transaction| ListedTransaction {
                    id: transaction.transactional_id.to_string(),
                    producer_id: transaction.producer_id.0,
                    state: state(&transaction.transaction_state),
                });
                Ok(Attempt::Done(found.collect()))
            })
        })?;
        listed.insert(broker, found);
    }
    Ok(listed)
}

fn list_request(version: i16, filter: &ListFilter) -> Result<ListTransactionsRequest> {
    let too_old = |what: &str, least: i16, instead: &str| {
        Err(ClientError::Unsupported(format!(
            "{what} filter can be set only when using API version {least} or higher. If client is connected to an older \
             broker, do not specify {instead}."
        )))
    };
    if filter.duration_ms >= 0 && version < 1 {
        return too_old("Duration", 1, "duration filter or set duration filter to -1");
    }
    if !filter.pattern.is_empty() && version < 2 {
        return too_old("Transactional ID pattern", 2, "the pattern filter");
    }
    let pattern = (!filter.pattern.is_empty()).then(|| text(&filter.pattern));
    Ok(ListTransactionsRequest::default()
        .with_producer_id_filters(filter.producer_ids.iter().map(|id| (*id).into()).collect())
        .with_duration_filter(filter.duration_ms)
        .with_transactional_id_pattern(pattern))
}

/// What becomes of a broker's error: `Some(None)` where it passes.
fn list_refused(broker: i32, code: i16) -> Option<Option<ClientError>> {
    let why = match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => return None,
        Some(ErrorCode::CoordinatorLoadInProgress) => return Some(None),
        Some(ErrorCode::CoordinatorNotAvailable) => "failed because the coordinator is shutting down",
        _ => "failed with an unexpected exception",
    };
    Some(ClientError::of(code, Some(&format!("ListTransactions request sent to broker {broker} {why}"))))
}

/// Where a transactional id stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTransaction {
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// As `Ongoing`.
    pub state: String,
    /// Its producer.
    pub producer_id: i64,
    /// Its producer.
    pub producer_epoch: i16,
    /// After so long an open transaction is aborted, in milliseconds.
    pub timeout_ms: i32,
    /// When its transaction began, in Unix milliseconds, if it has one.
    pub started_ms: Option<i64>,
    /// Those that have no marker yet.
    pub partitions: BTreeSet<TopicPartition>,
}

/// Describes a transactional id.
///
/// # Errors
/// The coordinator's; TRANSACTIONAL_ID_NOT_FOUND for one that is not there.
pub fn describe(cluster: &mut Cluster, id: &str) -> Result<DescribedTransaction> {
    let lookup = "describeTransactions(api=FIND_COORDINATOR)";
    cluster.drive(lookup, |cluster| {
        let Some(coordinator) = coordinator(cluster, id)? else { return Ok(Attempt::Again(lookup)) };
        cluster.on_node(coordinator, |connection| {
            let version = connection.version::<DescribeTransactionsRequest>()?;
            let request =
                DescribeTransactionsRequest::default().with_transactional_ids(vec![text(id).into()]);
            let answer = connection.call(version, &request)?;
            let described = answer.transaction_states.into_iter().next();
            let described =
                described.ok_or_else(|| nonsense(connection, "an answer about no transaction"))?;
            match ErrorCode::from_code(described.error_code) {
                Some(ErrorCode::None) => Ok(Attempt::Done(from_state(coordinator, described))),
                Some(ErrorCode::CoordinatorLoadInProgress) => {
                    Ok(Attempt::Again("describeTransactions(api=DESCRIBE_TRANSACTIONS)"))
                }
                Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                    Ok(Attempt::Again(lookup))
                }
                _ => Err(describe_refused(id, described.error_code)),
            }
        })
    })
}

fn from_state(coordinator: i32, described: TransactionState) -> DescribedTransaction {
    let partitions = described.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|index| TopicPartition::new(topic.topic.as_str(), *index))
    });
    DescribedTransaction {
        coordinator,
        state: state(&described.transaction_state),
        producer_id: described.producer_id.0,
        producer_epoch: described.producer_epoch,
        timeout_ms: described.transaction_timeout_ms,
        started_ms: Some(described.transaction_start_time_ms).filter(|at| *at >= 0),
        partitions: partitions.collect(),
    }
}

fn describe_refused(id: &str, code: i16) -> ClientError {
    let why = match ErrorCode::from_code(code) {
        Some(ErrorCode::TransactionalIdAuthorizationFailed) => "failed due to authorization failure",
        Some(ErrorCode::TransactionalIdNotFound) => "failed because the ID could not be found",
        _ => "failed due to unexpected error",
    };
    refused(code, format!("DescribeTransactions request for transactionalId `{id}` {why}"))
}

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

/// Fences the producer of a transactional id, which aborts its transaction.
///
/// # Errors
/// The coordinator's.
pub fn fence(cluster: &mut Cluster, id: &str) -> Result<()> {
    // Kafka's gives the producer that nobody will be the time-out of its own requests.
    let timeout_ms = i32::try_from(cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX);
    let lookup = "fenceProducer(api=FIND_COORDINATOR)";
    cluster.drive(lookup, |cluster| {
        let Some(coordinator) = coordinator(cluster, id)? else { return Ok(Attempt::Again(lookup)) };
        let code = cluster.on_node(coordinator, |connection| {
            let version = connection.version::<InitProducerIdRequest>()?;
            let request = InitProducerIdRequest::default()
                .with_transactional_id(Some(text(id).into()))
                .with_transaction_timeout_ms(timeout_ms);
            Ok(connection.call(version, &request)?.error_code)
        })?;
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => Ok(Attempt::Done(())),
            Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::ConcurrentTransactions) => {
                Ok(Attempt::Again("fenceProducer(api=INIT_PRODUCER_ID)"))
            }
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                Ok(Attempt::Again(lookup))
            }
            _ => Err(fence_refused(id, code)),
        }
    })
}

fn fence_refused(id: &str, code: i16) -> ClientError {
    let why = match ErrorCode::from_code(code) {
        Some(ErrorCode::ClusterAuthorizationFailed) => "cluster authorization failure",
        Some(ErrorCode::TransactionalIdAuthorizationFailed) => "transactional ID authorization failure",
        _ => "unexpected error",
    };
    refused(code, format!("InitProducerId request for transactionalId `{id}` failed due to {why}"))
}

/// The broker that coordinates a transactional id; `None` while there is none (`CoordinatorStrategy`).
fn coordinator(cluster: &mut Cluster, id: &str) -> Result<Option<i32>> {
    let code = match cluster.transaction_coordinator(id) {
        Ok(broker) => return Ok(Some(broker)),
        Err(ClientError::Broker { code, .. }) => code,
        Err(error) => return Err(error),
    };
    let key = format!("CoordinatorKey(idValue='{id}', type=TRANSACTION)");
    Err(match ErrorCode::from_code(code) {
        Some(ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress) => return Ok(None),
        Some(ErrorCode::TransactionalIdAuthorizationFailed) => refused(
            code,
            format!(
                "FindCoordinator request for transactionalId `{key}` failed due to authorization failure"
            ),
        ),
        _ => refused(
            code,
            format!("FindCoordinator request for key `{key}` failed due to an unexpected error"),
        ),
    })
}

/// A state's name, of those that Kafka's client knows (`TransactionState`).
fn state(name: &str) -> String {
    const KNOWN: [&str; 7] = [
        "Ongoing",
        "PrepareAbort",
        "PrepareCommit",
        "CompleteAbort",
        "CompleteCommit",
        "Empty",
        "PrepareEpochFence",
    ];
    if KNOWN.contains(&name) { name.to_owned() } else { "Unknown".to_owned() }
}

fn refused(code: i16, message: String) -> ClientError {
    ClientError::Broker { code, message: Some(message) }
}

fn nonsense(connection: &Connection, reason: &str) -> ClientError {
    ClientError::Protocol { peer: connection.peer().into(), reason: reason.into() }
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

    #[test]
    fn what_an_old_broker_cannot_filter_by_is_told() {
        let all = ListFilter { producer_ids: vec![5], duration_ms: -1, pattern: String::new() };
        let request = list_request(0, &all).expect("of all");
        assert_eq!((request.duration_filter, request.transactional_id_pattern), (-1, None));
        let long = ListFilter { duration_ms: 0, ..all.clone() };
        let told = list_request(0, &long).expect_err("too old").to_string();
        assert!(told.starts_with("Duration filter can be set only when using API version 1 or higher."));
        let named = ListFilter { pattern: "a.*".into(), ..all };
        let told = list_request(1, &named).expect_err("too old").to_string();
        assert!(
            told.ends_with("If client is connected to an older broker, do not specify the pattern filter.")
        );
        assert!(list_request(2, &named).expect("new").transactional_id_pattern.is_some());
    }

    #[test]
    fn a_broker_that_still_loads_is_asked_again() {
        assert!(matches!(list_refused(1, ErrorCode::CoordinatorLoadInProgress.code()), Some(None)));
        let told = list_refused(1, ErrorCode::CoordinatorNotAvailable.code()).flatten().expect("refused");
        let sentence =
            "ListTransactions request sent to broker 1 failed because the coordinator is shutting down";
        assert_eq!(told.to_string(), sentence);
        assert!(list_refused(1, 0).is_none());
    }

    #[test]
    fn a_state_that_kafkas_client_does_not_know_is_unknown() {
        assert_eq!((state("Ongoing"), state("Dead")), ("Ongoing".to_owned(), "Unknown".to_owned()));
    }
}
