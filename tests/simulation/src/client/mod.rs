//! The outside of the broker: Kafka clients as far as a test needs them, what they asked, and what they were
//! answered.
//!
//! [`model::Client`] owns a connection and its requests under way; [`request`] and [`answer`] are the wire;
//! everything a client comes to know goes into the [`history`] by [`notes`], in one place for all operations.

pub mod answer;
pub mod catalog;
pub mod group;
pub mod history;
pub mod model;
pub mod notes;
pub mod quorum;
pub mod record;
pub mod request;
pub mod routes;
pub mod transaction;
