//! A producer's dealings with the coordinator of its transactions: who it is, what they hold, how they end.

use super::{batch::Identity, config::ProducerConfig};
use crate::client::{
    Cluster, Connection, TopicPartition,
    error::{ClientError, Result},
    text, topic_name,
};
use corelane_core::ids::{ProducerEpoch, ProducerId};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, TransactionalId,
    add_partitions_to_txn_request::AddPartitionsToTxnTopic,
};
use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

/// The last version of EndTxn that changes nothing of who the producer is (KIP-890).
const END_VERSION_SAME: i16 = 4;

/// The last version of AddPartitionsToTxn that is for clients.
const ADD_VERSION_MAX: i16 = 3;

/// Before another attempt where the transaction before is still being completed, which is soon.
const COMPLETING_PAUSE: Duration = Duration::from_millis(20);

/// `ProducerFencedException`, of which brokers tell in two ways.
const FENCED: [i16; 2] = [47, 90];

/// The transactions of one transactional id, one after the other. Each method blocks at most `max.block.ms`.
pub struct Transactions {
    cluster: Cluster,
    id: TransactionalId,
    timeout_ms: i32,
    max_block: Duration,
    coordinator: Option<i32>,
    identity: Option<Identity>,
    /// By `transaction.version` 2: leaders add their partitions, and every end gives the producer another epoch.
    is_second: bool,
    open: Option<BTreeSet<TopicPartition>>,
}

/// What is asked of a coordinator, in the words of Kafka's messages.
struct Call {
    /// What `TimeoutException` says was awaited, and why it was not to be.
    awaited: &'static str,
    late: &'static str,
}

const INIT: Call = Call {
    awaited: "InitProducerId",
    late: "InitTransactions timed out - did not complete coordinator discovery or receive the InitProducerId response \
           within max.block.ms.",
};

const COMMIT: Call = Call {
    awaited: "commitTransaction",
    late: "CommitTransaction timed out - did not complete EndTxn with the transaction coordinator within max.block.ms",
};

const ADD: Call = Call {
    awaited: "AddPartitionsToTxn",
    late: "The transaction coordinator did not answer within max.block.ms",
};

impl Transactions {
    /// Where a transactional id is set.
    pub fn new(config: &ProducerConfig) -> Option<Transactions> {
        let id = config.transactional_id.as_deref()?;
        Some(Transactions {
            cluster: Cluster::with(config.client.clone()),
            id: text(id).into(),
            timeout_ms: config.transaction_timeout_ms,
            max_block: config.max_block,
            coordinator: None,
            identity: None,
            is_second: false,
            open: None,
        })
    }

    /// Who the producer is, once it was initialised.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Whether leaders add their partitions by themselves.
    pub fn is_second(&self) -> bool {
        self.is_second
    }

    /// Fences whoever had the transactional id before, and has their open transaction aborted.
    ///
    /// # Errors
    /// What the coordinator answers that cannot be retried; [`ClientError::TimedOut`].
    pub fn init(&mut self) -> Result<Identity> {
        let (id, timeout_ms) = (self.id.clone(), self.timeout_ms);
        let answer = self.until_done(&INIT, |connection| {
            let version = connection.version::<InitProducerIdRequest>()?;
            let mut request = InitProducerIdRequest::default();
            request.transactional_id = Some(id.clone());
            request.transaction_timeout_ms = timeout_ms;
            request.producer_id = (-1).into();
            request.producer_epoch = -1;
            let answer = connection.call(version, &request)?;
            ClientError::check(answer.error_code)?;
            Ok((answer, has_second(connection)))
        });
        let (answer, is_second) = answer.map_err(|error| match error {
            ClientError::Broker { code, .. } if FENCED.contains(&code) => fenced(),
            ClientError::Broker { code: 31 | 53, .. } => error,
            ClientError::Broker { .. } => {
                ClientError::Fatal(format!("Unexpected error in InitProducerIdResponse; {error}"))
            }
            error => error,
        })?;
        let identity = Identity {
            producer: ProducerId(answer.producer_id.0),
            epoch: ProducerEpoch(answer.producer_epoch),
        };
        self.identity = Some(identity);
        self.is_second = is_second;
        Ok(identity)
    }

    /// From here on what is sent belongs together.
    pub fn begin(&mut self) {
        self.open.get_or_insert_default();
    }

    /// Whether a record may be sent to this partition: only within a transaction.
    ///
    /// # Errors
    /// [`ClientError::Fatal`].
    pub fn check_open(&self, place: &TopicPartition) -> Result<()> {
        let problem = match (self.identity, &self.open) {
            (Some(_), Some(_)) => return Ok(()),
            (None, _) => "before completing a call to initTransactions",
            (Some(_), None) => "while in state  READY",
        };
        Err(ClientError::Fatal(format!("Cannot add partition {place} to transaction {problem}")))
    }

    /// Makes a partition part of the open transaction; only then may records be sent there.
    ///
    /// # Errors
    /// What the coordinator answers that cannot be retried; [`ClientError::TimedOut`].
    pub fn add(&mut self, place: TopicPartition) -> Result<()> {
        let (Some(identity), Some(open)) = (self.identity, self.open.as_mut()) else { return Ok(()) };
        if open.contains(&place) {
            return Ok(());
        }
        if self.is_second {
            open.insert(place);
            return Ok(());
        }
        let mut topic = AddPartitionsToTxnTopic::default().with_name(topic_name(&place.topic));
        topic.partitions.push(place.partition);
        let mut request = AddPartitionsToTxnRequest::default();
        request.v3_and_below_transactional_id = self.id.clone();
        request.v3_and_below_producer_id = identity.producer.0.into();
        request.v3_and_below_producer_epoch = identity.epoch.0;
        request.v3_and_below_topics.push(topic);
        let added = self.until_done(&ADD, |connection| {
            let version = connection.version_up_to::<AddPartitionsToTxnRequest>(ADD_VERSION_MAX)?;
            let answer = connection.call(version, &request)?;
            let topics = answer.results_by_topic_v3_and_below.iter();
            let mut codes = topics.flat_map(|topic| &topic.results_by_partition);
            codes.try_for_each(|partition| ClientError::check(partition.partition_error_code))
        });
        added.map_err(|error| if is_fenced(&error) { fenced() } else { error })?;
        self.open.get_or_insert_default().insert(place);
        Ok(())
    }

    /// Commits what is open; who the producer is from here on. Where nothing was sent nobody is asked.
    ///
    /// # Errors
    /// What the coordinator answers that cannot be retried; [`ClientError::TimedOut`].
    pub fn commit(&mut self) -> Result<Option<Identity>> {
        let is_empty = self.open.as_ref().is_none_or(BTreeSet::is_empty);
        let (Some(identity), false) = (self.identity, is_empty) else {
            self.open = None;
            return Ok(self.identity);
        };
        let (id, is_second) = (self.id.clone(), self.is_second);
        let ended = self.until_done(&COMMIT, |connection| end(connection, &id, identity, is_second, true));
        let (next, is_second) = ended.map_err(|error| match error {
            error if is_fenced(&error) => fenced(),
            // TRANSACTIONAL_ID_AUTHORIZATION_FAILED, INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING,
            // UNKNOWN_PRODUCER_ID, TRANSACTION_ABORTABLE
            ClientError::Broker { code: 53 | 48 | 49 | 59 | 120, .. } => error,
            ClientError::Broker { .. } => {
                ClientError::Fatal(format!("Unhandled error in EndTxnResponse: {error}"))
            }
            error => error,
        })?;
        self.open = None;
        self.identity = Some(next);
        self.is_second = is_second;
        Ok(self.identity)
    }

    /// Aborts what is open, so that readers need not wait for the coordinator to. One attempt: the coordinator does it in the
    /// end.
    pub fn abort(&mut self) {
        let is_empty = self.open.take().is_none_or(|open| open.is_empty());
        let (Some(identity), Some(coordinator), false) = (self.identity, self.coordinator, is_empty) else {
            return;
        };
        let (id, is_second) = (self.id.clone(), self.is_second);
        // Of what fails here there is nobody left to tell.
        let _ =
            self.cluster.on_node(coordinator, |connection| end(connection, &id, identity, is_second, false));
    }

    /// Does `what` with the coordinator until it succeeds or fails for good.
    fn until_done<T>(
        &mut self,
        call: &Call,
        mut what: impl FnMut(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + self.max_block;
        let usual = self.cluster.backoff();
        loop {
            let error = match self.on_coordinator(&mut what) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let pause = match error {
                // CONCURRENT_TRANSACTIONS
                ClientError::Broker { code: 51, .. } => usual.min(COMPLETING_PAUSE),
                ref error if error.is_retriable() => {
                    self.coordinator = None;
                    usual
                }
                error => return Err(error),
            };
            if Instant::now() + pause >= deadline {
                let millis = self.max_block.as_millis();
                return Err(ClientError::TimedOut(format!(
                    "Timeout expired after {millis}ms while awaiting {}. {}",
                    call.awaited, call.late
                )));
            }
            thread::sleep(pause);
        }
    }

    fn on_coordinator<T>(&mut self, what: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let coordinator = match self.coordinator {
            Some(known) => known,
            None => self.cluster.transaction_coordinator(&self.id.0).map_err(|error| match error {
                ClientError::Broker { code, message } if !error_is_told(code) => {
                    let told = message.unwrap_or_else(|| "null".into());
                    ClientError::Fatal(format!(
                        "Could not find a coordinator with type TRANSACTION with key {} due to unexpected error: {told}",
                        self.id.0
                    ))
                }
                error => error,
            })?,
        };
        self.coordinator = Some(coordinator);
        self.cluster.on_node(coordinator, what)
    }
}

/// Whether looking for a coordinator fails, for now or for good, with the broker's own error.
fn error_is_told(code: i16) -> bool {
    // TRANSACTIONAL_ID_AUTHORIZATION_FAILED, TRANSACTION_ABORTABLE
    [53, 120].contains(&code) || ClientError::of(code, None).is_some_and(|error| error.is_retriable())
}

/// Ends a transaction; who the producer is behind it, and whether the next is of the second version.
fn end(
    connection: &mut Connection,
    id: &TransactionalId,
    identity: Identity,
    is_second: bool,
    commit: bool,
) -> Result<(Identity, bool)> {
    let most = if is_second { i16::MAX } else { END_VERSION_SAME };
    let version = connection.version_up_to::<EndTxnRequest>(most)?;
    let mut request = EndTxnRequest::default();
    request.transactional_id = id.clone();
    request.producer_id = identity.producer.0.into();
    request.producer_epoch = identity.epoch.0;
    request.committed = commit;
    let answer = connection.call(version, &request)?;
    ClientError::check(answer.error_code)?;
    let next = match answer.producer_id.0 {
        -1 => identity,
        producer => Identity { producer: ProducerId(producer), epoch: ProducerEpoch(answer.producer_epoch) },
    };
    Ok((next, has_second(connection)))
}

/// Whether the cluster's `transaction.version` is 2 or more.
fn has_second(connection: &Connection) -> bool {
    let features = &connection.api_versions().finalized_features;
    features.iter().any(|feature| &*feature.name == "transaction.version" && feature.max_version_level >= 2)
}

fn is_fenced(error: &ClientError) -> bool {
    matches!(error, ClientError::Broker { code, .. } if FENCED.contains(code))
}

fn fenced() -> ClientError {
    ClientError::of(90, None).unwrap_or(ClientError::Interrupted)
}
