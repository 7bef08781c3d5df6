//! The outside of the broker: what clients asked, and what they were answered.

pub mod history;
