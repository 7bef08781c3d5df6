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

/// What bears on a measurement of the data directory's disk, a line for people each: the file system, and each disk with its
/// scheduler and its write cache. What cannot be read is left out.
pub fn conditions(readings: &dyn Readings) -> Vec<String> {
    let mount = mounts::of_data(readings).ok();
    let mount = mount.map(|mount| {
        let options = mount.options.join(",");
        format!("file system: {} on {} at {} ({options})", mount.fs_type, mount.source, mount.point)
    });
    let disk = |disk: String| {
        let read = |file: &str| readings.text(&format!("/sys/block/{disk}/queue/{file}"));
        let scheduler = read("scheduler").unwrap_or_default();
        let scheduler = item::chosen(&scheduler).unwrap_or(&scheduler).to_owned();
        let cache = read("write_cache").unwrap_or_default();
        format!("disk: {disk}, scheduler {scheduler}, write cache {cache}")
    };
    mount.into_iter().chain(readings.disks().unwrap_or_default().into_iter().map(disk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn the_conditions_name_file_system_and_disks_and_leave_out_what_is_not_there() {
        let machine = Fake::new()
            .with("/proc/self/mountinfo", "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard")
            .with("/sys/block/vda/queue/scheduler", "none [mq-deadline]")
            .with("/sys/block/vda/queue/write_cache", "write back")
            .with_disks(&["vda"]);
        assert_eq!(
            conditions(&machine),
            [
                "file system: ext4 on /dev/vda at / (rw,relatime,rw,discard)",
                "disk: vda, scheduler mq-deadline, write cache write back"
            ]
        );
        assert_eq!(conditions(&Fake::new()), Vec::<String>::new());
    }
}
