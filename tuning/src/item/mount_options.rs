//! How the data directory's file system is mounted.

use super::{Item, Outcome};
use crate::{
    Readings, Remedy,
    mounts::{self, Mount},
};

pub(super) const ITEM: Item = Item {
    name: "mount-options",
    why: "Without noatime a read of a segment dates it, and that date must go through the file system's own journal, which \
          every flush waits for. With discard a deleted segment's blocks are told to the disk in the same place, and some \
          disks take long over that; a weekly fstrim does it better. sync and data=journal write everything twice or at \
          once. With barrier=0 (nobarrier) flushes do not reach the disk: they are fast, and a power cut loses what was \
          acknowledged.",
    change: "# POINT as `tune check` names it; the words that it lacks\n\
             mount -o remount,noatime,nodiscard POINT\n\
             systemctl enable --now fstrim.timer    # instead of discard\n\
             # to keep it: the same options in /etc/fstab",
    undo: "# the options that `tune check` found before\n\
           mount -o remount,relatime,discard POINT",
    remedy: Remedy::Told(told),
    check,
};

const WANTED: &str = "noatime, no discard, no sync, barriers";
/// File systems on disks of this machine: of others the options say nothing of the disk.
const ON_DISKS: [&str; 8] = ["bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "ntfs3", "xfs"];

/// What was found, and the word that a remount mends it with, if one does.
const FAULTS: [(&str, Option<&str>); 8] = [
    ("barrier=0", Some("barrier=1")),
    ("nobarrier", Some("barrier")),
    ("sync", Some("async")),
    ("dirsync", None),
    ("data=journal", None),
    ("discard", Some("nodiscard")),
    ("discard=async", Some("nodiscard")),
    ("strictatime", Some("noatime")),
];

/// The faults of a mount with what mends each.
fn faults(mount: &Mount) -> Vec<(&'static str, Option<&'static str>)> {
    let mut faults: Vec<_> = FAULTS.into_iter().filter(|(option, _)| mount.has(option)).collect();
    if !mount.has("noatime") && !mount.has("strictatime") {
        // What the kernel does when nothing is said.
        faults.push(("relatime", Some("noatime")));
    }
    faults
}

fn check(readings: &dyn Readings) -> Outcome {
    let mount = match mounts::of_data(readings) {
        Ok(mount) => mount,
        Err(reason) => return Outcome::cannot_tell(WANTED, reason),
    };
    if !ON_DISKS.contains(&mount.fs_type.as_str()) {
        return Outcome::not_here(WANTED, format!("the options of {} say nothing of a disk", mount.fs_type));
    }
    let faults = faults(&mount);
    let found = match faults.is_empty() {
        true => "noatime".into(),
        false => faults.iter().map(|(option, _)| *option).collect::<Vec<_>>().join(", "),
    };
    Outcome::judged(format!("{found} at {}", mount.point), WANTED, faults.is_empty())
}

fn told(readings: &dyn Readings) -> String {
    let mount = match mounts::of_data(readings) {
        Ok(mount) => mount,
        Err(reason) => return reason,
    };
    let faults = faults(&mount);
    let words: Vec<_> = faults.iter().filter_map(|(_, mend)| *mend).collect();
    let rest: Vec<_> = faults.iter().filter(|(_, mend)| mend.is_none()).map(|(option, _)| *option).collect();
    let mut told = "a remount is yours to do".to_owned();
    if !words.is_empty() {
        told += &format!(": mount -o remount,{} {}", words.join(","), mount.point);
    }
    if !rest.is_empty() {
        told += &format!("; {} goes only with /etc/fstab and another mount", rest.join(", "));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn machine(fs_type: &str, mount: &str, file_system: &str) -> Fake {
        let line = format!("27 1 254:0 / /var/lib {mount} - {fs_type} /dev/vda {file_system}");
        Fake::new().with("/proc/self/mountinfo", &line)
    }

    #[test]
    fn noatime_and_nothing_else_is_good() {
        let outcome = check(&machine("ext4", "rw,noatime", "rw,errors=remount-ro"));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("noatime at /var/lib", Verdict::Good));
    }

    #[test]
    fn what_the_kernel_does_by_itself_could_be_better_and_the_remount_is_told() {
        let machine = machine("ext4", "rw,relatime", "rw,discard");
        let outcome = check(&machine);
        assert_eq!(outcome.found, "discard, relatime at /var/lib");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
        let told = told(&machine);
        assert_eq!(told, "a remount is yours to do: mount -o remount,nodiscard,noatime /var/lib");
    }

    #[test]
    fn flushes_that_do_not_reach_the_disk_are_told_first() {
        let machine = machine("ext4", "rw,noatime,sync", "rw,barrier=0,data=journal");
        assert_eq!(check(&machine).found, "barrier=0, sync, data=journal at /var/lib");
        let told = told(&machine);
        assert!(told.contains("remount,barrier=1,async /var/lib; data=journal goes only"), "{told}");
    }

    #[test]
    fn a_file_system_without_a_disk_has_no_such_options() {
        assert!(matches!(check(&machine("overlay", "rw", "rw")).verdict, Verdict::NotHere(_)));
    }
}
