//! The high watermarks of replicated logs on disk, in one file per shard: what a start leads or follows from.
//!
//! Of a log without other replicas the watermark is its end, and nothing is written. Losing the file costs nothing that
//! was promised: a log goes on from the watermark in its own checkpoint, and learns from its replicas how far they are.

use super::{
    super::{paths, watermarks},
    Job, Operations, Slot, Store,
};
use corelane_seam::{FileOperation, Monotonic, Now, Slice};
use std::io;

/// From one record to the next (`replica.high.watermark.checkpoint.interval.ms`' default).
const INTERVAL_MS: u64 = 5_000;

/// When they are recorded.
#[derive(Debug, Default)]
pub(super) struct Watermarks {
    /// Some moved since they were last recorded.
    pub is_due: bool,
    is_asked: bool,
    not_before: Monotonic,
}

impl Store {
    /// Whether the log has replicas elsewhere: then its high watermark is recorded.
    pub fn set_replicated(&mut self, slot: Slot, is_replicated: bool) {
        let log = self.log_mut(slot);
        self.watermarks.is_due |= is_replicated && !std::mem::replace(&mut log.is_replicated, is_replicated);
    }

    pub(super) fn next_watermarks_tick(&self) -> Option<Monotonic> {
        let waits = self.watermarks.is_due && !self.watermarks.is_asked && self.journal.failed.is_none();
        waits.then_some(self.watermarks.not_before)
    }

    pub(super) fn tick_watermarks(&mut self, now: Now, out: &mut Operations) {
        if self.next_watermarks_tick().is_some_and(|at| at <= now.monotonic) {
            self.watermarks.not_before = now.monotonic.after_ms(INTERVAL_MS);
            self.write_watermarks(out);
        }
    }

    pub(super) fn write_watermarks(&mut self, out: &mut Operations) {
        let logs = self.ids.iter().filter_map(|(id, slot)| Some((*id, self.get(*slot)?)));
        let marks = logs.filter(|(_, log)| log.is_replicated).map(|(id, log)| (id, log.high_watermark));
        let data = Slice::copy_from(&watermarks::encode(marks));
        let path =
            paths::watermarks(&self.settings.data_dir, self.settings.boot.generation, self.settings.shard.0);
        (self.watermarks.is_due, self.watermarks.is_asked) = (false, true);
        self.ask(Job::Watermarks, FileOperation::Replace { path, data }, out);
    }

    pub(super) fn watermarks_written(&mut self, result: io::Result<()>) {
        self.watermarks.is_asked = false;
        if let Err(error) = result {
            // They are recorded again when the next one moves; until then a start knows older ones.
            tracing::warn!(%error, "the high watermarks could not be recorded");
        }
    }
}
