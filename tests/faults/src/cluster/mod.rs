//! Clusters of real processes, in network namespaces where there may be such: killed, paused, cut off and filled up while
//! clients of two stacks produce and read, and what all of them saw is judged.
//!
//! - `ground`: namespaces and links, and how they are cut.
//! - `nodes`: the brokers on it, and waiting until they are well.
//! - `load`: the clients, as processes of their own.
//! - `history`: what they saw, and the judge of it.
//! - `disturbance`: what is done to a node, and how that ends.
//! - `rounds`: one disturbance after the other, under load.
//! - `exactly_once`: transactions, while brokers and the application are killed.
//! - `apart`: controllers and brokers as nodes of their own, on loopback.
//! - `failover`: how long producers wait, here and with Apache Kafka's nodes (`kafka`).

pub mod apart;
pub mod disturbance;
pub mod exactly_once;
pub mod failover;
pub mod ground;
pub mod history;
mod kafka;
pub mod load;
pub mod nodes;
pub mod rounds;

pub use failover::FailoverSettings;
pub use ground::{Ground, Sender};
pub use history::{Anomaly, Event, History, Value};
pub use load::Load;
pub use nodes::{Cluster, ClusterOptions, Software};
pub use rounds::{RoundsReport, RoundsSettings};
