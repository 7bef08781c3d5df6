//! Transaction coordination (KIP-98, KIP-360, KIP-890): transactional ids, and the transactions of their producers.
//!
//! One [`Coordinator`] per partition of `__transaction_state` that this broker leads, on the shard that owns the
//! partition. It decides, then replays, as the coordinators of [groups](crate::groups) do: [`Coordinator::handle`]
//! returns an [`Outcome`] of records and replies; the records go into the partition by its ordinary append,
//! [`Coordinator::replay`] applies them when they are appended, and the replies leave when they are committed. Then
//! [`Coordinator::stored`] goes on: a decision to commit or to abort is carried out, as [`Markers`] for the leaders of
//! the transaction's partitions, only when nothing can take it back. Losing the leadership discards the coordinator,
//! and the next leader loads one from the log and sends the markers that may be missing.
//!
//! While something of a transactional id is on its way (a record to its commitment, markers to their partitions),
//! whatever else is asked of it is answered with CONCURRENT_TRANSACTIONS, as in Kafka. One thing is not: partitions are
//! added while others are being added, so that producers that add them implicitly through several brokers (KIP-890)
//! need not wait for each other.

mod alarms;
mod coordinator;
mod end;
mod expiry;
mod face;
mod init;
mod list;
mod marking;
mod partition_set;
mod partitions;
pub mod records;
mod state;
mod versions;

#[cfg(test)]
mod tests;

pub use coordinator::Coordinator;
pub use face::{
    AddPartitions, DescribedTransaction, EndTransaction, InitProducer, Markers, MarkersRound, Outcome,
    PartitionErrors, Producer, ProducerIdUse, Reply, Request, Response, Scene, Then, refused,
};
pub use list::{ListFilter, ListedTransaction};
pub use partition_set::PartitionSet;
pub use records::TransactionalId;
pub use state::State;
pub use versions::{Versioned, told};

pub use crate::groups::Ticket;

/// The topic in which transactional ids live.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// Kafka's feature of transactions (`TransactionVersion`): from 1 on records have the flexible layout, from 2 on every
/// transaction has an epoch of its own (KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";
