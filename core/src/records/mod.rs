//! Record batches in Kafka's v2 layout (KIP-98): read in place, checked before they are believed, never decoded and
//! encoded again.

pub mod build;
pub mod compress;
pub mod filter;
pub mod header;
pub mod marker;
pub mod read;
pub mod validate;
pub mod walk;

pub use build::{BatchBuilder, NewRecord};
pub use compress::Scratch;
pub use filter::{Filter, Filtered, filter};
pub use header::{Batch, BatchFault, BatchHeader, Batches, Codec, NO_SEQUENCE, ProducerBatch, TimestampType};
pub use marker::{Marker, Outcome};
pub use read::{DecodedBatch, Headers, Record, RecordHeader, Records};
pub use validate::{BatchFacts, ProduceRules, RecordError, Rejected, Validated, validate};
