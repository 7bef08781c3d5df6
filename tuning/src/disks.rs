//! From a directory to the disks under it.

use crate::{Readings, mounts};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A block device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// LUKS on LVM on RAID on a partition is four; more than this is a loop.
const LAYERS_MAX: u32 = 16;

/// The device of the file system that holds `data`, or would hold it once it is made.
pub(crate) fn device_of(data: &Path) -> Result<Device, String> {
    let path = nearest(data)?;
    let metadata = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let number = metadata.dev();
    Ok(Device { major: libc::major(number), minor: libc::minor(number) })
}

/// The directory, or the nearest above it that exists.
pub(crate) fn nearest(data: &Path) -> Result<PathBuf, String> {
    let absolute =
        std::path::absolute(data).map_err(|error| format!("the path {}: {error}", data.display()))?;
    for path in absolute.ancestors() {
        match fs::metadata(path) {
            Ok(_) => return Ok(path.to_path_buf()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Err(format!("{}: nothing of this path exists", data.display()))
}

/// The whole disks at the bottom: partitions count as their disk, device mapper and RAID as their members. Sorted,
/// each once. `sys` is `/sys`.
pub(crate) fn below(sys: &Path, device: Device) -> Result<Vec<String>, String> {
    let Device { major, minor } = device;
    // Numbers that the kernel gives to file systems without a device of their own.
    if major == 0 {
        return Err(
            "the file system is not on one block device (overlay, btrfs, ZFS, tmpfs or a network)".into()
        );
    }
    let path = sys.join(format!("dev/block/{major}:{minor}"));
    let path = fs::canonicalize(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut disks = BTreeSet::new();
    descend(path, LAYERS_MAX, &mut disks)?;
    Ok(disks.into_iter().collect())
}

/// What is measured when a directory's disk is: the ids that its disks bear, which are the same after another boot under
/// other names, with their sizes; of a file system that is not on disks of its own, its type and source.
pub(crate) fn identity(readings: &dyn Readings) -> Result<String, String> {
    let disks = match readings.disks() {
        Ok(disks) if !disks.is_empty() => disks,
        Ok(_) | Err(_) => {
            let mount = mounts::of_data(readings)?;
            return Ok(format!("{} {}", mount.fs_type, mount.source));
        }
    };
    let told = |disk: &String| {
        let first_line = |file: &str| {
            let text = readings.text(&format!("/sys/block/{disk}/{file}")).ok()?;
            text.lines().next().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let id = ["wwid", "device/wwid", "serial", "device/serial"]
            .into_iter()
            .filter_map(first_line)
            .find(|id| !id.is_empty());
        let sectors = first_line("size").unwrap_or_else(|| "?".into());
        format!("{} of {sectors} sectors", id.unwrap_or_else(|| disk.clone()))
    };
    Ok(disks.iter().map(told).collect::<Vec<_>>().join(", "))
}

fn descend(mut path: PathBuf, layers: u32, disks: &mut BTreeSet<String>) -> Result<(), String> {
    let Some(layers) = layers.checked_sub(1) else {
        return Err(format!("{}: too many layers of devices", path.display()));
    };
    if path.join("partition").exists() {
        path.pop();
    }
    let members: Vec<_> = fs::read_dir(path.join("slaves")).into_iter().flatten().flatten().collect();
    for member in &members {
        let member = fs::canonicalize(member.path())
            .map_err(|error| format!("{}: {error}", member.path().display()))?;
        descend(member, layers, disks)?;
    }
    if members.is_empty() {
        disks.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A `/sys` in which `259:0` is the disk nvme0n1, `259:1` its partition, `259:2` the disk nvme1n1.
    fn sys() -> tempfile::TempDir {
        let sys = tempfile::tempdir().expect("a directory");
        let at = |path: &str| sys.path().join(path);
        for path in ["dev/block", "devices/nvme0n1/nvme0n1p1", "devices/nvme0n1/slaves", "devices/nvme1n1"] {
            fs::create_dir_all(at(path)).expect("made");
        }
        fs::write(at("devices/nvme0n1/nvme0n1p1/partition"), "1\n").expect("written");
        for (number, path) in [("259:0", "nvme0n1"), ("259:1", "nvme0n1/nvme0n1p1"), ("259:2", "nvme1n1")] {
            link(sys.path(), &format!("dev/block/{number}"), &format!("devices/{path}"));
        }
        sys
    }

    fn link(sys: &Path, from: &str, to: &str) {
        symlink(sys.join(to), sys.join(from)).expect("linked");
    }

    /// Adds a device of several members under the number `9:0`.
    fn add_raid(sys: &Path, members: &[&str]) {
        fs::create_dir_all(sys.join("devices/md0/slaves")).expect("made");
        link(sys, "dev/block/9:0", "devices/md0");
        for (number, member) in members.iter().enumerate() {
            link(sys, &format!("devices/md0/slaves/member{number}"), &format!("devices/{member}"));
        }
    }

    fn below_device(sys: &Path, major: u32, minor: u32) -> Result<Vec<String>, String> {
        below(sys, Device { major, minor })
    }

    #[test]
    fn a_disk_is_itself() {
        assert_eq!(below_device(sys().path(), 259, 0), Ok(vec!["nvme0n1".to_owned()]));
    }

    #[test]
    fn a_partition_counts_as_its_disk() {
        assert_eq!(below_device(sys().path(), 259, 1), Ok(vec!["nvme0n1".to_owned()]));
    }

    #[test]
    fn a_raid_counts_as_the_disks_of_its_members_each_once() {
        let sys = sys();
        add_raid(sys.path(), &["nvme1n1", "nvme0n1/nvme0n1p1", "nvme0n1"]);
        assert_eq!(below_device(sys.path(), 9, 0), Ok(vec!["nvme0n1".to_owned(), "nvme1n1".to_owned()]));
    }

    #[test]
    fn a_loop_of_devices_ends() {
        let sys = sys();
        add_raid(sys.path(), &["md0"]);
        assert!(below_device(sys.path(), 9, 0).expect_err("a loop").ends_with("too many layers of devices"));
    }

    #[test]
    fn a_file_system_without_a_device_is_told() {
        let reason = below_device(sys().path(), 0, 42).expect_err("no device");
        assert!(reason.contains("not on one block device"), "{reason}");
    }

    #[test]
    fn a_device_that_sys_does_not_show_is_told() {
        let reason = below_device(sys().path(), 8, 16).expect_err("unknown");
        assert!(reason.contains("dev/block/8:16"), "{reason}");
    }

    #[test]
    fn a_data_directory_yet_to_be_made_is_on_the_device_above_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let above = device_of(directory.path());
        assert!(above.is_ok());
        assert_eq!(device_of(&directory.path().join("not/yet")), above);
    }

    #[test]
    fn a_disk_is_known_by_its_id_under_another_name() {
        let machine = |name: &str, file: &str| {
            crate::fake::Fake::new()
                .with_disks(&[name])
                .with(&format!("/sys/block/{name}/{file}"), "eui.0025 38")
                .with(&format!("/sys/block/{name}/size"), "2048")
        };
        let known = identity(&machine("nvme0n1", "wwid")).expect("told");
        assert_eq!(known, "eui.0025 38 of 2048 sectors");
        assert_eq!(identity(&machine("sdb", "device/wwid")), Ok(known.clone()));
        let larger = machine("nvme0n1", "wwid").with("/sys/block/nvme0n1/size", "4096");
        assert_ne!(identity(&larger), Ok(known));
        let nameless = crate::fake::Fake::new().with_disks(&["vda", "vdb"]).with("/sys/block/vda/serial", "");
        assert_eq!(identity(&nameless), Ok("vda of ? sectors, vdb of ? sectors".to_owned()));
    }

    #[test]
    fn what_is_on_no_disk_is_known_by_its_mount() {
        let line = "30 1 0:27 / / rw,relatime - btrfs /dev/sda2 rw";
        let machine = crate::fake::Fake::new().with("/proc/self/mountinfo", line);
        assert_eq!(identity(&machine), Ok("btrfs /dev/sda2".to_owned()));
        assert!(identity(&crate::fake::Fake::new()).is_err());
    }
}
