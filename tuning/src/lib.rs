//! Advice about the machine: what it is set to, what would serve the tail better, why, and how that is changed and
//! undone. It looks and explains; only [`apply`] changes anything.
//!
//! One file per [`Item`] in `item/`. An item judges [`Readings`] that are handed to it, so that every verdict has a
//! test; [`Machine`] is the real ones.

mod apply;
mod disks;
mod item;
mod mounts;
mod page;
mod readings;

pub use apply::{Change, Remedy, Setting, Step, Writes, apply, plan, scripts};
pub use item::{ITEMS, Item, Outcome, Verdict};
pub use page::{check_page, explain_page};
pub use readings::{Machine, Measurement, Readings};

/// What `tune measure` measures of a machine's data directory: the same text as long as its disks are the same, and another
/// when they are others.
///
/// # Errors
/// When nothing tells what the directory lies on.
pub fn device_identity(readings: &dyn Readings) -> Result<String, String> {
    disks::identity(readings)
}

#[cfg(test)]
mod fake;
