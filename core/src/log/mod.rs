//! The log: what an acknowledgement means, and how it survives.
//!
//! One [`Store`] per data shard owns the shard's journal and the logs of the partitions that live on the shard. An
//! append copies a batch into the partition's tail memory; the end of the turn seals one journal group of everything
//! that was appended meanwhile, and one write with one flush makes it durable. Segments are written lazily behind.
//! [`recover`] turns whatever a crash left into logs again, before any shard serves.

mod checkpoint;
mod chunks;
mod compaction;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod cut_tests;
pub mod epochs;
pub mod index;
mod journal;
mod partition_log;
mod paths;
#[cfg(test)]
mod pressure_tests;
pub mod producers;
mod recovery;
mod recovery_point;
#[cfg(test)]
mod recovery_point_tests;
mod sealed;
mod segment;
mod settings;
mod store;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod timestamp;
#[cfg(test)]
mod transaction_tests;
mod watermarks;

pub use compaction::CleanerSettings;
pub use recovery::{Recovered, RecoveredLog, RecoveryReport, RecoverySettings, has_data, recover};
pub use settings::{Boot, Fault, FlushPolicy, LogSettings, StoreSettings};
pub use store::{
    AppendError, Appended, CopyError, CutError, EndTransaction, Event, Operations, Read, ReadError,
    ReadRequest, Slot, Store, TimestampOffset,
};
