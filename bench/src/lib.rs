//! A load generator over the Kafka protocol, for any broker.
//!
//! Arrivals are fixed in advance and latency counts from the scheduled arrival of a record, not from when it could at
//! last be sent: a broker that stalls is charged with everything that arrived meanwhile (no coordinated omission).
//! [`schedule`] and [`produce::flow`] hold that arithmetic, without clock or socket.

pub mod client;
pub mod clock;
pub mod command;
pub mod compare;
pub mod conditions;
pub mod consume;
pub mod coordinator;
pub mod groups;
pub mod latency;
pub mod limits;
pub mod link;
pub mod options;
pub mod payload;
pub mod process;
pub mod produce;
pub mod report;
pub mod schedule;
pub mod topic;
pub mod transactions;
