//! A machine made of what a test says.

use crate::{Measurement, Readings, Setting, Writes, item::chosen};
use corelane_io::probe::{self, ClockReading, RingReading};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Fake {
    texts: BTreeMap<String, String>,
    refused: Option<String>,
    cpus: Vec<String>,
    disks: Result<Vec<String>, String>,
    pub(crate) measurement: Measurement,
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
        Fake {
            texts: BTreeMap::new(),
            refused: None,
            cpus: Vec::new(),
            disks: Err("no such disk".into()),
            measurement: Measurement::Missing,
            probe,
        }
    }

    pub(crate) fn with(mut self, path: &str, text: &str) -> Fake {
        self.texts.insert(path.into(), text.into());
        self
    }

    /// Writing to this file fails.
    pub(crate) fn refusing(mut self, path: &str) -> Fake {
        self.refused = Some(path.into());
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

    /// Whatever stands below the directory in a path that was given.
    fn names(&self, directory: &str) -> Vec<String> {
        let start = format!("{directory}/");
        let below = |path: &String| Some(path.strip_prefix(&start)?.split('/').next()?.to_owned());
        let names: BTreeSet<String> = self.texts.keys().filter_map(below).collect();
        names.into_iter().collect()
    }

    fn disks(&self) -> Result<Vec<String>, String> {
        self.disks.clone()
    }

    fn data_path(&self) -> Result<String, String> {
        Ok("/var/lib/corelane".into())
    }

    fn measurement(&self) -> &Measurement {
        &self.measurement
    }

    fn probe(&self) -> &probe::Readings {
        &self.probe
    }
}

impl Writes for Fake {
    /// As the kernel does: a list of choices keeps its choices, and of ratio and bytes the last one written holds.
    fn write(&mut self, Setting { path, value }: &Setting) -> Result<(), String> {
        if self.refused.as_ref() == Some(path) {
            return Err("read-only".into());
        }
        let old = self.text(path)?;
        let text = match chosen(&old) {
            Some(_) => {
                let bare = old.replace(['[', ']'], "");
                let mark =
                    |choice: &str| if choice == value { format!("[{choice}]") } else { choice.to_owned() };
                bare.split_whitespace().map(mark).collect::<Vec<_>>().join(" ")
            }
            None => value.clone(),
        };
        self.texts.insert(path.clone(), text);
        for (one, other) in [("_bytes", "_ratio"), ("_ratio", "_bytes")] {
            if let Some(start) = path.strip_suffix(one).filter(|start| start.contains("/vm/dirty")) {
                self.texts.insert(format!("{start}{other}"), "0".into());
            }
        }
        Ok(())
    }
}
