//! The broker under one seed: shards, disk, network, mesh and clock of one or many processes in one thread.
//!
//! [`world`] is a driver of the seam, as glommio's is, but of a made-up machine in which time is a number and every
//! delay, fault and order is drawn from one seed. [`client::history`] is what clients asked and were answered, and
//! [`invariants`] judge it, knowing nothing of how the broker is made.
//!
//! The same seed is the same run, event by event: [`world::ScheduleHash`] proves it.

pub mod client;
pub mod invariants;
pub mod rng;
pub mod run;
pub mod workload;
pub mod world;
