//! The file system of the data directory.

use super::{Item, Outcome};
use crate::{Readings, Remedy, Verdict, mounts};

pub(super) const ITEM: Item = Item {
    name: "file-system",
    why: "The journal is written again and again into blocks that it has already, past the page cache, so that a flush has \
          nothing to say about names or sizes. ext4 and XFS do just that. A file system that copies on write (btrfs, \
          ZFS) gives each such write another place and writes its tables with every flush; one over a network, or a \
          container's own layer, waits for others; in memory nothing survives.",
    change: "# on a disk, or a partition, of the broker's own; DEVICE loses all that it holds\n\
             mkfs.xfs /dev/DEVICE    # or: mkfs.ext4 /dev/DEVICE\n\
             mount -o noatime /dev/DEVICE /var/lib/corelane\n\
             # in a container: a volume on such a file system, never the container's own layer\n\
             # where btrfs must stay: chattr +C on the empty directory, before the first start",
    undo: "# copy the directory back while the broker is stopped, and mount what was there before",
    remedy: Remedy::ByHand("chosen when a disk is formatted; `explain` says how"),
    check,
};

const WANTED: &str = "ext4 or xfs";
const GOOD: [&str; 2] = ["ext4", "xfs"];
/// Known to be worse, each for one of the reasons above.
const WORSE: [&str; 17] = [
    "9p", "bcachefs", "btrfs", "ceph", "cifs", "ext2", "ext3", "fuse", "nfs", "nfs4", "ntfs3", "overlay",
    "ramfs", "smb3", "tmpfs", "vfat", "zfs",
];

fn check(readings: &dyn Readings) -> Outcome {
    let mount = match mounts::of_data(readings) {
        Ok(mount) => mount,
        Err(reason) => return Outcome::cannot_tell(WANTED, reason),
    };
    let found = format!("{} at {}", mount.fs_type, mount.point);
    // fuse.sshfs and the like.
    let (kind, _) = mount.fs_type.split_once('.').unwrap_or((&mount.fs_type, ""));
    if GOOD.contains(&kind) || WORSE.contains(&kind) {
        return Outcome::judged(found, WANTED, GOOD.contains(&kind));
    }
    let verdict =
        Verdict::CannotTell(format!("how {kind} flushes is not known here; `tune measure` finds out"));
    Outcome { found, wanted: WANTED.into(), verdict }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn outcome(fs_type: &str) -> Outcome {
        let line = format!("27 1 254:0 / / rw,relatime - {fs_type} /dev/vda rw");
        check(&Fake::new().with("/proc/self/mountinfo", &line))
    }

    #[test]
    fn ext4_and_xfs_are_good() {
        assert_eq!(outcome("xfs").verdict, Verdict::Good);
        let outcome = outcome("ext4");
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("ext4 at /", Verdict::Good));
    }

    #[test]
    fn layers_memory_and_networks_could_be_better() {
        for fs_type in ["overlay", "tmpfs", "nfs4", "fuse.sshfs", "btrfs"] {
            assert_eq!(outcome(fs_type).verdict, Verdict::CouldBeBetter, "{fs_type}");
        }
    }

    #[test]
    fn a_file_system_nobody_knows_cannot_be_told() {
        assert!(matches!(outcome("papyrus").verdict, Verdict::CannotTell(_)));
    }
}
