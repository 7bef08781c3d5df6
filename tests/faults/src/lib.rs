//! Faults on the real binary and real io_uring: kill -9, power cuts, hostile peers, crowds, full disks.
//!
//! The scenarios are functions of this library. The tests beside it call them bounded, for CI; `corelane-faults` calls
//! them for as long as wanted:
//!
//! ```text
//! cargo run --release --package corelane-fault-tests -- kill --rounds 200 --seed 1
//! cargo run --release --package corelane-fault-tests -- cluster --rounds 100 --seed 1
//! cargo run --release --package corelane-fault-tests -- transform --rounds 50 --stack java --seed 1
//! cargo run --release --package corelane-fault-tests -- word-count --rounds 50 --seed 1
//! cargo run --release --package corelane-fault-tests -- failover --repeats 5
//! cargo run --release --package corelane-fault-tests -- kill-groups --rounds 100 --seed 1
//! cargo run --release --package corelane-fault-tests -- power-cut --rounds 10 --images 100 --seed 1
//! cargo run --release --package corelane-fault-tests -- topics --topics 1000 --partitions 10
//! cargo run --release --package corelane-fault-tests -- backlog --mib 1024
//! cargo run --release --package corelane-fault-tests -- connections --connections 10000
//! ```
//!
//! The binary under test is built from this workspace; `CORELANE_BINARY` names another. `CORELANE_FAULTS_SEED` gives the
//! kill test another seed.

pub mod backlog;
mod broker;
mod client;
pub mod clock;
pub mod cluster;
pub mod commits;
pub mod crowd;
mod group_requests;
pub mod hostile;
pub mod kill;
pub mod kill_groups;
pub mod ledger;
pub mod many_offsets;
pub mod many_topics;
mod members;
pub mod payload;
pub mod power_cut;
mod producer;
mod read_back;
pub mod requests;
pub mod small_disk;
pub mod stack;
mod transformer;

pub use broker::{Broker, BrokerOptions, Limit, START_PATIENCE, binary, driver, set_limit};
pub use client::Client;
pub use producer::{Ended, Producer, ProducerSettings, is_disconnect};
pub use read_back::{read_all, read_on, whole_batches};
pub use requests::{ACKS_ALL, ACKS_LEADER, FetchWanted};
pub use stack::Stack;
pub use transformer::Transformer;
