//! Every decision of the broker.
//!
//! Sans-IO and synchronous: this crate knows no clock, no socket, no file, no thread and no randomness. Time comes
//! in with each input, what shall happen goes out as effects, and the disk effects are the seam's operations
//! themselves. The same code therefore serves production and runs, many brokers in one process, in the simulator.

pub mod api;
pub mod config;
pub mod controller;
pub mod engine;
pub mod error;
pub mod groups;
pub mod ids;
pub mod limits;
pub mod log;
pub mod loggers;
mod message_format;
pub mod metadata;
pub mod records;
mod timers;
pub mod transactions;
pub mod wire;
