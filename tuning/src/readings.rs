//! What the items may look at.

use crate::{Setting, Writes, disks};
use corelane_io::probe;
use std::{
    cell::OnceCell,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The machine as the items see it. An error is a reason in words, for [`Verdict::CannotTell`](crate::Verdict).
pub trait Readings {
    /// A file of `/proc` or `/sys`, without white space around it.
    fn text(&self, path: &str) -> Result<String, String>;

    /// The names of all CPUs, as in `/sys/devices/system/cpu`: `cpu0`, `cpu1`, ... Empty where the kernel hides them.
    fn cpus(&self) -> Vec<String>;

    /// The names in a directory of `/proc` or `/sys`, sorted. Empty where it is not there.
    fn names(&self, directory: &str) -> Vec<String>;

    /// The disks that hold the data directory, as in `/sys/block`: several under RAID or LVM, else one.
    fn disks(&self) -> Result<Vec<String>, String>;

    /// The data directory without links in it; where it does not exist yet, the nearest directory above that does.
    fn data_path(&self) -> Result<String, String>;

    /// What was measured of the disk before.
    fn measurement(&self) -> &Measurement;

    /// What the start-up probe sees: the limits of this process, and the clock.
    fn probe(&self) -> &probe::Readings;
}

/// What is known of a measurement of the data directory's disk (`tune measure`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Measurement {
    /// There is none.
    #[default]
    Missing,
    /// There is a file that cannot be used, for this reason.
    Damaged(String),
    /// There is one.
    Taken {
        /// Of what, as [`device_identity`](crate::device_identity) tells it.
        device: String,
        /// When, in seconds since 1970.
        unix_s: i64,
    },
}

/// This machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `/`, but in tests.
    root: PathBuf,
    data: PathBuf,
    measurement: Measurement,
    /// Taken when it is first asked for.
    probe: OnceCell<probe::Readings>,
}

impl Machine {
    /// `data` need not exist yet: then the nearest directory above that does is looked at. Where an item asks what the probe
    /// sees, this process's own soft limit of open files is raised to its hard one, as a broker does when it starts; nothing
    /// outlives the process.
    pub fn new(data: &Path, measurement: Measurement) -> Machine {
        Machine { root: "/".into(), data: data.to_path_buf(), measurement, probe: OnceCell::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Readings for Machine {
    fn text(&self, path: &str) -> Result<String, String> {
        match fs::read_to_string(self.path(path)) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    fn cpus(&self) -> Vec<String> {
        let is_cpu =
            |name: &String| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
        self.names("/sys/devices/system/cpu").into_iter().filter(is_cpu).collect()
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn disks(&self) -> Result<Vec<String>, String> {
        let device = disks::device_of(&self.data)?;
        disks::below(&self.path("/sys"), device)
    }

    fn data_path(&self) -> Result<String, String> {
        let nearest = disks::nearest(&self.data)?;
        let path = fs::canonicalize(&nearest).map_err(|error| format!("{}: {error}", nearest.display()))?;
        path.into_os_string().into_string().map_err(|path| format!("{}: not UTF-8", path.display()))
    }

    fn measurement(&self) -> &Measurement {
        &self.measurement
    }

    fn probe(&self) -> &probe::Readings {
        self.probe.get_or_init(|| probe::Readings::take(None))
    }
}

impl Writes for Machine {
    fn write(&mut self, setting: &Setting) -> Result<(), String> {
        let file = fs::OpenOptions::new().write(true).open(self.path(&setting.path));
        file.and_then(|mut file| file.write_all(setting.value.as_bytes())).map_err(|error| {
            match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem => {
                    "read-only here, as in a container; change it on the host".to_owned()
                }
                _ => error.to_string(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of which this directory is the root.
    fn machine(root: &Path) -> Machine {
        Machine { root: root.to_path_buf(), ..Machine::new(root, Measurement::Missing) }
    }

    fn with_file(path: &str, text: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
        root
    }

    #[test]
    fn what_is_written_is_read_back_below_the_root() {
        let root = with_file("proc/sys/vm/swappiness", "60\n");
        let mut machine = machine(root.path());
        let path = "/proc/sys/vm/swappiness";
        assert_eq!(machine.text(path), Ok("60".to_owned()));
        machine.write(&Setting { path: path.into(), value: "1".into() }).expect("written");
        assert_eq!(machine.text(path), Ok("10".to_owned()), "in place, as the kernel's files are");
    }

    #[test]
    fn names_are_told_in_order_and_a_missing_directory_has_none() {
        let root = with_file("sys/devices/system/cpu/cpu1/online", "1");
        fs::create_dir_all(root.path().join("sys/devices/system/cpu/cpu0")).expect("made");
        fs::create_dir_all(root.path().join("sys/devices/system/cpu/cpuidle")).expect("made");
        let machine = machine(root.path());
        assert_eq!(machine.names("/sys/devices/system/cpu"), ["cpu0", "cpu1", "cpuidle"]);
        assert_eq!(machine.cpus(), ["cpu0", "cpu1"]);
        assert_eq!(machine.names("/sys/class/net"), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_not_there_is_never_made() {
        let root = tempfile::tempdir().expect("a directory");
        let mut machine = machine(root.path());
        let setting = Setting { path: "/proc/sys/vm/swappiness".into(), value: "1".into() };
        assert!(machine.write(&setting).is_err());
        assert!(machine.text(&setting.path).is_err());
    }

    #[test]
    fn the_path_of_a_directory_yet_to_be_made_is_that_of_the_one_above_it() {
        let root = tempfile::tempdir().expect("a directory");
        let machine =
            Machine { data: root.path().join("not/yet"), ..Machine::new(root.path(), Measurement::Missing) };
        let above = fs::canonicalize(root.path()).expect("there");
        assert_eq!(machine.data_path().as_deref(), Ok(above.to_str().expect("UTF-8")));
    }
}
