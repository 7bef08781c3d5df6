//! What a coordinator is asked, and what it answers.

use super::{
    Ticket,
    partition_set::PartitionSet,
    records::{Record, TransactionalId},
    state::State,
};
use crate::{
    config::BrokerConfig,
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, ProducerEpoch, ProducerId},
    metadata::Image,
    records as marker,
    records::Marker,
};
use corelane_seam::Now;
use std::sync::Arc;

/// What a decision may look at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// When.
    pub now: Now,
    /// Committed metadata. It is the same that the leadership of this coordinator came from, or later: so a partition
    /// that is not in it, and was added to a transaction once, is deleted.
    pub image: &'a Image,
    /// With its dynamic settings.
    pub config: &'a BrokerConfig,
    /// A producer id that was never given out, if one is at hand. See [`ProducerIdUse`].
    pub fresh_id: Option<ProducerId>,
}

/// A producer, as it names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// What is asked of one transactional id.
#[derive(Clone, Debug)]
pub enum Request {
    /// InitProducerId with a transactional id.
    Init(InitProducer),
    /// AddPartitionsToTxn of one transaction, of a client or of a broker in its name.
    AddPartitions(AddPartitions),
    /// AddPartitionsToTxn that only wants to know (KIP-890).
    VerifyPartitions(AddPartitions),
    /// AddOffsetsToTxn.
    AddOffsets {
        /// Of which transactional id.
        id: TransactionalId,
        /// By whom.
        producer: Producer,
        /// Of which group.
        group: Arc<str>,
    },
    /// EndTxn.
    End(EndTransaction),
    /// DescribeTransactions of one transactional id.
    Describe(TransactionalId),
}

/// InitProducerId with a transactional id.
#[derive(Clone, Debug)]
pub struct InitProducer {
    /// Which.
    pub id: TransactionalId,
    /// How long its transactions may go on.
    pub timeout_ms: i32,
    /// The producer that continues after an error (KIP-360); `None` for one that begins.
    pub continues: Option<Producer>,
    /// Whether it takes part in two-phase commits (KIP-939).
    pub two_phase: bool,
    /// Whether a prepared transaction is to be kept (KIP-939).
    pub keep_prepared: bool,
}

/// Partitions for a transaction.
#[derive(Clone, Debug)]
pub struct AddPartitions {
    /// Of which transactional id.
    pub id: TransactionalId,
    /// By whom.
    pub producer: Producer,
    /// Which partitions.
    pub partitions: PartitionSet,
    /// Of the request: from 4 on its client speaks version 2 of transactions (KIP-890).
    pub version: i16,
}

/// EndTxn.
#[derive(Clone, Debug)]
pub struct EndTransaction {
    /// Of which transactional id.
    pub id: TransactionalId,
    /// By whom.
    pub producer: Producer,
    /// Whether it commits.
    pub commit: bool,
    /// Of the request: from 5 on its client speaks version 2 of transactions (KIP-890).
    pub version: i16,
}

impl Request {
    /// The transactional id it is about.
    pub fn id(&self) -> &TransactionalId {
        match self {
            Request::Init(request) => &request.id,
            Request::AddPartitions(request) | Request::VerifyPartitions(request) => &request.id,
            Request::End(request) => &request.id,
            Request::AddOffsets { id, .. } | Request::Describe(id) => id,
        }
    }
}

/// Partitions by topic and number, each with its error.
pub type PartitionErrors = Vec<(Arc<str>, i32, ErrorCode)>;

/// An answer, of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// InitProducerId: what the producer goes by from now on.
    Initialised(Producer),
    /// AddPartitionsToTxn: each partition's own error.
    Partitions(PartitionErrors),
    /// AddOffsetsToTxn.
    OffsetsAdded,
    /// EndTxn: what the producer goes by in its next transaction; `None` before version 2 of transactions.
    Ended(Option<Producer>),
    /// DescribeTransactions.
    Described(DescribedTransaction),
}

/// An answer, or the error that the whole request failed with, as the newest version of its key tells it: see
/// [`told`](super::told).
pub type Reply = Result<Response, ErrorCode>;

/// What DescribeTransactions tells of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTransaction {
    /// Where it stands.
    pub state: State,
    /// How long a transaction may go on.
    pub timeout_ms: i32,
    /// When the transaction began, in milliseconds since 1970; -1 before the first.
    pub started_ms: i64,
    /// Its producer.
    pub producer: Producer,
    /// The partitions of the transaction; of one that is being completed those that have no marker yet.
    pub partitions: PartitionSet,
}

/// What a decision brings about.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be appended, as one batch unless `may_split`.
    pub records: Vec<Record>,
    /// The records need not be one batch: each says something by itself.
    pub may_split: bool,
    /// To go out when everything up to and with these records is committed; if they are not, their error goes out
    /// ([`refused`]).
    pub replies: Vec<(Ticket, Reply)>,
    /// What the coordinator does when its records are committed, or are not.
    pub then: Option<Then>,
    /// To be sent at once: what they say is committed.
    pub markers: Vec<Markers>,
    /// What became of the [producer id](Scene::fresh_id) at hand.
    pub producer_id: ProducerIdUse,
}

/// What a decision did with the producer id at hand.
#[derive(Debug, Default)]
pub enum ProducerIdUse {
    /// It needs none.
    #[default]
    Unused,
    /// It was given out: it must never be at hand again, whatever becomes of the records.
    Taken,
    /// It needs one, and none was at hand. A request comes back, to be asked again with one; an alarm comes again by
    /// itself. Nothing was decided.
    Wanted(Option<Box<(Ticket, Request)>>),
}

impl Outcome {
    /// An answer without records.
    pub fn reply(ticket: Ticket, reply: Reply) -> Outcome {
        Outcome { replies: vec![(ticket, reply)], ..Outcome::default() }
    }

    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.replies.is_empty()
            && self.then.is_none()
            && self.markers.is_empty()
            && matches!(self.producer_id, ProducerIdUse::Unused)
    }
}

/// A transactional id of which a record is on its way.
#[derive(Debug)]
pub struct Then {
    /// Which.
    pub(super) id: TransactionalId,
    /// What is remembered beside the record when it is stored.
    pub(super) memory: Memory,
}

/// What a coordinator remembers of a transactional id, and no log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// The epoch that the producer had before, if it may ask again how it goes on (KIP-360).
    pub last_epoch: Option<ProducerEpoch>,
    /// The producer before the last change, as the plain layout does not hold it.
    pub previous_id: Option<ProducerId>,
}

/// One try to bring a transaction to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkersRound(pub(super) u64);

/// Markers of one transaction for the partitions that one broker leads (WriteTxnMarkers). Whoever sends them brings them
/// back with what became of them, once: [`Coordinator::marked`](super::Coordinator::marked).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markers {
    /// Of which transactional id.
    pub id: TransactionalId,
    /// Of which of its transactions.
    pub round: MarkersRound,
    /// To whom.
    pub to: NodeId,
    /// Who coordinates: the leader epoch of the partition of `__transaction_state`. Partitions refuse an older one.
    pub coordinator_epoch: LeaderEpoch,
    /// Whose transaction, in the epoch of the markers.
    pub producer: Producer,
    /// Whether it commits.
    pub commit: bool,
    /// The client's version of transactions: from 2 on the markers' epoch is above that of the records.
    pub transaction_version: i16,
    /// Where they are to be written.
    pub partitions: PartitionSet,
}

impl Markers {
    /// What is written to each partition.
    pub fn end(&self) -> crate::log::EndTransaction {
        crate::log::EndTransaction {
            producer: self.producer.id,
            epoch: self.producer.epoch,
            marker: Marker {
                outcome: if self.commit { marker::Outcome::Commit } else { marker::Outcome::Abort },
                coordinator_epoch: self.coordinator_epoch.0,
            },
            // Before version 1 they differ in nothing that a partition knows.
            transaction_version: u8::try_from(self.transaction_version).unwrap_or(0).max(1),
        }
    }
}

/// What clients are told when records could not be appended (`TransactionStateManager.appendTransactionToLog`).
pub fn refused(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}
