//! The metadata quorum.

pub mod executor;
