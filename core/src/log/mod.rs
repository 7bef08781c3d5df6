//! .
pub mod epochs;
pub mod index;
pub mod producers;
pub mod timestamp;
