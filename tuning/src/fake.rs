//! A machine made of what a test says.

use crate::Readings;
use corelane_io::probe::{self, ClockReading, RingReading};
use std::collections::BTreeMap;

pub(crate) struct Fake {
    texts: BTreeMap<String, String>,
    cpus: Vec<String>,
    disks: Result<Vec<String>, String>,
    pub(crate) probe: probe::Readings,
}

impl Fake {
    /// A machine of which nothing can be read.
    pub(crate) fn new() -> Fake {
        let probe = probe::Readings {
            ring: RingReading::Refused { errno: libc::ENOSYS },
            io_uring_disabled: None,
            is_filtered: false,
            missing_for_ring: Vec::new(),
            memlock: None,
            may_lock_all: false,
            open_files: (0, 0),
            direct: None,
            clock: ClockReading { source: None, unix_ms: 0 },
        };
        Fake { texts: BTreeMap::new(), cpus: Vec::new(), disks: Err("no such disk".into()), probe }
    }

    pub(crate) fn with(mut self, path: &str, text: &str) -> Fake {
        self.texts.insert(path.into(), text.into());
        self
    }

    pub(crate) fn with_cpus(mut self, number: usize) -> Fake {
        self.cpus = (0..number).map(|cpu| format!("cpu{cpu}")).collect();
        self
    }

    pub(crate) fn with_disks(mut self, names: &[&str]) -> Fake {
        self.disks = Ok(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }
}

impl Readings for Fake {
    fn text(&self, path: &str) -> Result<String, String> {
        self.texts.get(path).cloned().ok_or_else(|| format!("{path}: not there"))
    }

    fn cpus(&self) -> Vec<String> {
        self.cpus.clone()
    }

    fn disks(&self) -> Result<Vec<String>, String> {
        self.disks.clone()
    }

    fn probe(&self) -> &probe::Readings {
        &self.probe
    }
}
