//! From what a crash left to logs again.

use super::Boot;
use crate::{
    error::Fatal,
    ids::{Offset, PartitionId},
};
use corelane_seam::Disk;
use std::path::PathBuf;

/// What recovery is told.
#[derive(Clone, Debug)]
pub struct RecoverySettings {
    /// As in [`StoreSettings`](super::StoreSettings).
    pub data_dir: PathBuf,
    /// As in [`StoreSettings`](super::StoreSettings).
    pub journal_dir: PathBuf,
    /// Data shards of the boot that begins.
    pub shards: u16,
    /// Random, for [`Boot::salt`].
    pub salt: u64,
    /// Planted by tests.
    pub fault: super::Fault,
}

/// A log as recovery found it. Opaque: for [`Store::new`](super::Store::new).
#[derive(Debug)]
pub struct RecoveredLog {
    /// Whose; its [`owner`](PartitionId::owner) among the new number of shards decides to which store it goes.
    pub id: PartitionId,
    /// Where it starts.
    pub start: Offset,
    /// Where it ends; all of it is flushed.
    pub end: Offset,
    /// Why it cannot be served, if it cannot.
    pub offline: Option<Fatal>,
}

/// What recovery did.
#[derive(Debug)]
pub struct Recovered {
    /// For [`StoreSettings::boot`](super::StoreSettings::boot).
    pub boot: Boot,
    /// In order of their ids.
    pub logs: Vec<RecoveredLog>,
    /// For the start-up's log lines.
    pub report: RecoveryReport,
}

/// Figures of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The last boot ended with a clean stop of every shard.
    pub clean: bool,
    /// Journals read.
    pub journals: usize,
    /// Entries replayed.
    pub entries: u64,
    /// Bytes written to segments.
    pub bytes: u64,
    /// Groups that were cut off because no one was promised anything about them.
    pub groups_cut: u64,
}

/// Recovers the directories and begins a new boot: blocking, before any shard serves. May be interrupted anywhere
/// and run again.
///
/// # Errors
/// When a file is damaged that held acknowledged records, or is of an unknown format, or the disk fails: nothing
/// may be served then. The text names file, offset and what to do.
pub fn recover(disk: &dyn Disk, settings: &RecoverySettings) -> Result<Recovered, Fatal> {
    let _ = (disk, settings);
    unimplemented!("storage under construction")
}
