//! The broker under one seed: shards, disk, network, mesh and clock of one or many processes in one thread.
//!
//! [`world`] is a driver of the seam, as glommio's is, but of a made-up machine in which time is a number and every
//! delay, fault and order is drawn from one seed. [`client`] speaks Kafka's protocol to the shards over simulated
//! connections and writes down what it saw ([`client::history`]); [`workload`] decides what is asked and when the
//! machine breaks; [`invariants`] judge the history, knowing nothing of how the broker is made. [`run`] joins them.
//!
//! The same seed is the same run, event by event: [`world::ScheduleHash`] proves it.

pub mod client;
pub mod invariants;
pub mod rng;
pub mod run;
pub mod toy;
pub mod workload;
pub mod world;
