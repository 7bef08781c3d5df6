//! Group coordination: consumer groups of the classic protocol and of the new one (KIP-848), and committed offsets.
//!
//! One [`Coordinator`] per partition of `__consumer_offsets` that this broker leads, on the shard that owns the
//! partition. It decides, then replays: [`Coordinator::handle`] returns an [`Outcome`] of records and replies; the
//! records go into the partition by its ordinary append, [`Coordinator::replay`] applies them when they are appended,
//! and the replies leave when they are committed. A reply of a decision without records waits for what was decided
//! before it. Losing the leadership discards the coordinator, and the next leader loads one from the log.
//!
//! What a classic group knows beyond its last generation (who is joining, who waits for an assignment) is not
//! durable, as in Kafka: members join again after a restart of the coordinator.

mod alarms;
mod classic;
mod commits;
mod consumer;
mod coordinator;
mod expiry;
mod face;
mod group;
mod offsets;
mod pending;
pub mod records;

#[cfg(test)]
mod tests;

pub use alarms::Alarm;
pub use consumer::{Refusal, validate as validate_consumer_heartbeat};
pub use coordinator::Coordinator;
pub use face::{
    Client, CommitOffsets, CommittedOffset, DeleteOffsets, DescribedGroup, DescribedMember, FetchOffsets,
    ListedGroup, NewOffset, Outcome, Reply, Request, Response, Scene, Then, Ticket, TopicOffsets,
    Transaction,
};
pub use records::GroupId;

/// The topic in which groups live.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
