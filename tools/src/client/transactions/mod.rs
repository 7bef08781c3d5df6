//! Single questions about transactions and their producers, and what ends a transaction by force (KIP-664).
//!
//! Which errors pass, and what the others say, is as in the handlers of Kafka's admin client
//! (`org.apache.kafka.clients.admin.internals`).

mod partitions;

pub use partitions::{AbortTransactionSpec, ActiveProducer, abort, describe_producers};

use super::{
    TopicPartition,
    cluster::{Attempt, Cluster, Topics},
    connection::Connection,
    error::{ClientError, Result},
    text,
};
use corelane_core::error::ErrorCode;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, InitProducerIdRequest, ListTransactionsRequest,
    describe_transactions_response::TransactionState,
};
use std::collections::{BTreeMap, BTreeSet};

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
