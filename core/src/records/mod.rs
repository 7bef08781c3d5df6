//! Record batches in Kafka's v2 layout (KIP-98): read in place, checked before they are believed, never decoded and
//! encoded again.

pub mod header;

pub use header::{Batch, BatchFault, BatchHeader, Batches, Codec, ProducerBatch, TimestampType};
