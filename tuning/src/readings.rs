//! What the items may look at.

use crate::{Setting, Writes, disks};
use corelane_io::probe;
use std::{
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

    /// The disks that hold the data directory, as in `/sys/block`: several under RAID or LVM, else one.
    fn disks(&self) -> Result<Vec<String>, String>;

    /// What the start-up probe sees: the limits of this process, and the clock.
    fn probe(&self) -> &probe::Readings;
}

/// This machine.
#[derive(Clone, Debug)]
pub struct Machine {
    data: PathBuf,
    probe: probe::Readings,
}

impl Machine {
    /// Takes the probe's readings. That raises this process's own soft limit of open files to its hard one, as a broker
    /// does when it starts; nothing outlives the process. `data` need not exist yet: then the nearest directory above
    /// that does is looked at.
    pub fn new(data: &Path) -> Machine {
        Machine { data: data.to_path_buf(), probe: probe::Readings::take(None) }
    }
}

impl Readings for Machine {
    fn text(&self, path: &str) -> Result<String, String> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    fn cpus(&self) -> Vec<String> {
        let entries = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
        let is_cpu =
            |name: &String| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_cpu).collect()
    }

    fn disks(&self) -> Result<Vec<String>, String> {
        let device = disks::device_of(&self.data)?;
        disks::below(Path::new("/sys"), device)
    }

    fn probe(&self) -> &probe::Readings {
        &self.probe
    }
}

impl Writes for Machine {
    fn write(&mut self, setting: &Setting) -> Result<(), String> {
        let file = fs::OpenOptions::new().write(true).open(&setting.path);
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
