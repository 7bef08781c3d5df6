//! The metadata quorum: core's metadata records in a raft log of openraft's.
//!
//! [`Quorum`] is the whole face: synchronous, without a clock, without I/O of its own. Inside, openraft's futures
//! run on a small executor ([`executor`]) that is polled with the time passed in; their file operations go out as
//! the seam's operations and end when the completions come in. So a quorum runs on any driver, and in a simulator.
//!
//! A node without a vote has an [`Observer`] instead, with the same inputs and outputs. A controller has both in its
//! [`Seat`], since it may not be a voter yet, or any more.

mod call_port;
pub mod data_directory;
pub mod executor;
mod identity;
mod inbound;
mod log;
mod machine;
mod meta;
mod network;
mod observer;
mod port;
mod proposal;
mod quorum;
mod run;
mod seat;
mod snapshot;
mod standing;
mod succession;
mod types;
mod voters;
mod wire;

pub use corelane_core::controller::{ChangeError, VoterChange};
pub use meta::is_formatted;
pub use observer::{Observer, ObserverSettings};
pub use proposal::{PROPOSALS_IN_FLIGHT_MAX, PROPOSED_BYTES_MAX, ProposeError};
pub use quorum::{Bounds, Quorum, QuorumInput, QuorumOutput, QuorumSettings, Timing};
pub use seat::Seat;
pub use wire::CALL_BYTES_MAX;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
