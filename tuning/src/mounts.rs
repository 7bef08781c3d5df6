//! Which mount holds a directory, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use crate::Readings;

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: String,
    pub(crate) fs_type: String,
    /// A device, or what the file system calls itself by.
    pub(crate) source: String,
    /// Of the mount, and of the file system behind it.
    pub(crate) options: Vec<String>,
}

impl Mount {
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|each| each == option)
    }
}

/// The mount of the data directory.
pub(crate) fn of_data(readings: &dyn Readings) -> Result<Mount, String> {
    let path = readings.data_path()?;
    let mounts = readings.text("/proc/self/mountinfo")?;
    holding(&mounts, &path).ok_or_else(|| format!("/proc/self/mountinfo names no mount of {path}"))
}

/// The mount with the longest point above `path`; of two at one point the later one hides the other.
fn holding(mounts: &str, path: &str) -> Option<Mount> {
    let is_above = |mount: &Mount| {
        let point = mount.point.trim_end_matches('/');
        path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts.lines().filter_map(parse).filter(is_above).max_by_key(|mount| mount.point.len())
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE OPTIONS`.
fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(4);
    let (point, options) = (mount.next()?, mount.next()?);
    let mut file_system = file_system.split(' ');
    let (fs_type, source) = (file_system.next()?, file_system.next()?);
    let options = options.split(',').chain(file_system.next().unwrap_or_default().split(','));
    Some(Mount {
        point: unescaped(point),
        fs_type: fs_type.to_owned(),
        source: unescaped(source),
        options: options.filter(|option| !option.is_empty()).map(str::to_owned).collect(),
    })
}

/// The kernel writes white space and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, char)| text.replace(escape, char))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 27 259:1 / /var/lib rw,noatime shared:2 master:3 - xfs /dev/nvme0n1p1 rw,attr2
41 40 259:2 / /var/lib/a\\040b rw - ext4 /dev/nvme1n1 rw";

    fn point_of(path: &str) -> Option<String> {
        holding(MOUNTS, path).map(|mount| mount.point)
    }

    #[test]
    fn the_nearest_mount_above_a_directory_holds_it() {
        assert_eq!(point_of("/var/lib/corelane").as_deref(), Some("/var/lib"));
        assert_eq!(point_of("/var/lib").as_deref(), Some("/var/lib"));
        assert_eq!(point_of("/var/library").as_deref(), Some("/"), "only whole names count");
        assert_eq!(point_of("/").as_deref(), Some("/"));
        assert_eq!(point_of("/var/lib/a b/c").as_deref(), Some("/var/lib/a b"));
    }

    #[test]
    fn of_two_mounts_at_one_point_the_later_one_counts() {
        let mounts = format!("{MOUNTS}\n50 27 0:9 / /var/lib rw - tmpfs none rw");
        assert_eq!(holding(&mounts, "/var/lib/x").map(|mount| mount.fs_type).as_deref(), Some("tmpfs"));
    }

    #[test]
    fn options_of_the_mount_and_of_the_file_system_both_count() {
        let mount = holding(MOUNTS, "/var/lib/x").expect("mounted");
        assert_eq!((mount.fs_type.as_str(), mount.source.as_str()), ("xfs", "/dev/nvme0n1p1"));
        assert!(mount.has("noatime") && mount.has("attr2") && !mount.has("discard"));
    }

    #[test]
    fn lines_of_another_form_are_passed_over() {
        assert_eq!(holding("", "/x"), None);
        assert_eq!(holding("27 1 254:0 /", "/x"), None);
        assert_eq!(holding("27 1 254:0 / / rw - ext4", "/x"), None);
    }
}
