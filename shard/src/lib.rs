//! What joins decisions and the kernel: connections, data shards, the quorum's shard, and the broker that they make.
//!
//! Nothing here decides about Kafka and nothing here knows an operating system: a [`Node`] is what one thread of any
//! driver runs, the simulator's included.

mod assemble;
mod broker;
mod connection;
mod data;
mod formatted;
mod lines;
mod load;
mod log_control;
mod log_limit;
mod node;
mod peers;
mod quorum;
mod rules;

pub use assemble::{Assembled, BrokerSettings, NodeSeed, assemble};
pub use broker::{MachineSettings, RunningBroker, StartError, start};
pub use data::DataShard;
pub use load::Load;
pub use log_control::LogControl;
pub use node::{Broken, Node, Report};
pub use quorum::QuorumShard;
