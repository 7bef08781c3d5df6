//! What a disk does with a broker's writes: the same operations that a shard asks for, through the same driver, on files
//! without a name, so that nothing of them is left however the process ends.
//!
//! [`measure`] takes the time it is given and fills no disk. What follows from the figures is decided elsewhere.

mod file;
mod plan;
mod shard;

use crate::{DriverError, DriverKind, DriverSettings, ShardSettings, fs, run};
use corelane_seam::Space;
use file::Nameless;
use plan::{FILE_BYTES_MIN, Phase};
use shard::{MeasuringShard, Word};
use std::{fmt, io, path::PathBuf, sync::mpsc, time::Duration};

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct MeasureSettings {
    /// An existing directory on the disk.
    pub directory: PathBuf,
    /// Whose way to the disk is taken.
    pub driver: DriverKind,
    /// How long it may take in all, but for the last operations.
    pub time: Duration,
    /// How many shards write at a time: each has a file of its own, as each has a journal.
    pub shards: u16,
    /// How much is written to the disk at most; what is there already is written again.
    pub bytes_max: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Writes one after the other, several at a time, flushed together at their end.
    Write,
    /// Writes of which each is flushed before its file's next one: a journal's.
    WriteFlushed,
    /// Reads one after the other, several at a time.
    Read,
    /// Reads from anywhere.
    ReadAnywhere,
}

/// One kind of access, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// What was done.
    pub access: Access,
    /// Bytes of each operation.
    pub bytes: usize,
    /// Operations at a time.
    pub depth: u16,
    /// How many were done.
    pub operations: u64,
    /// In this time, the flush at the end of unflushed writes included.
    pub elapsed: Duration,
    /// One operation, with its flush if it has one.
    pub latency: Latency,
}

impl Measurement {
    /// Operations in a second.
    pub fn per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// How long operations took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The median.
    pub p50: Duration,
    /// Of a hundred, the last but one.
    pub p99: Duration,
    /// Of a thousand, the last but one.
    pub p999: Duration,
    /// The longest.
    pub max: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Whether the page cache was passed by; else the figures of reads, and of writes that were not flushed, are the cache's.
    pub is_direct: bool,
    /// How much of the disk was written and read, over and over.
    pub data_bytes: u64,
    /// In the order in which they were taken.
    pub measurements: Vec<Measurement>,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The disk would come too near to being full.
    #[error("only {free_mib} MiB are free there, {needed_mib} MiB are wanted, of which an eighth is used")]
    Space {
        /// What there is.
        free_mib: u64,
        /// What there would have to be.
        needed_mib: u64,
    },
    /// A file could not be made, written or read.
    #[error("{what}: {error}")]
    Io {
        /// What failed.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The driver did not start, or ended early.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// The part of the free space that is used.
const FREE_SHARE: u64 = 8;

/// Measures. `tell` hears of each measurement when it is taken.
///
/// # Errors
/// When there is too little room, or the disk or the driver fails. Nothing stays behind.
pub fn measure(
    settings: &MeasureSettings,
    mut tell: impl FnMut(&Measurement),
) -> Result<Measured, MeasureError> {
    let io = |what: &'static str| move |error: io::Error| MeasureError::Io { what, error };
    let shards = settings.shards.max(1);
    let Space { free, .. } = fs::space(&settings.directory).map_err(io("asking for the free space"))?;
    let file_bytes_max = file_bytes_max(free, settings.bytes_max, shards)?;
    let files = (0..shards)
        .map(|number| Nameless::create(&settings.directory, number))
        .collect::<Result<Vec<_>, _>>()
        .map_err(io("making a file"))?;
    let is_direct = files[0].takes_direct();
    let phases = plan::phases(settings.time, shards);
    let (say, said) = mpsc::channel();
    let paths = files.iter().map(|file| file.path().to_path_buf()).collect();
    let grow_time = plan::grow_time(settings.time);
    let make = move || MeasuringShard::new(paths, (file_bytes_max, grow_time), phases, say);
    let driver = DriverSettings {
        driver: settings.driver,
        ..DriverSettings::new(vec![ShardSettings::default()], Vec::new())
    };
    let running = run(driver, vec![make])?;
    let mut measurements = Vec::new();
    let mut ended = None;
    while let Ok(word) = said.recv() {
        match word {
            Word::Measured(measurement) => {
                tell(&measurement);
                measurements.push(measurement);
            }
            Word::Ended(result) => {
                ended = Some(result);
                break;
            }
        }
    }
    running.stop();
    running.join()?;
    // A shard that says nothing any more has failed, which its driver has just told.
    let file_bytes = ended.unwrap_or(Ok(0)).map_err(|(what, error)| MeasureError::Io { what, error })?;
    Ok(Measured { is_direct, data_bytes: file_bytes * u64::from(shards), measurements })
}

/// The size of each file, at most.
fn file_bytes_max(free: u64, bytes_max: u64, shards: u16) -> Result<u64, MeasureError> {
    let shards = u64::from(shards);
    let each = (free / FREE_SHARE).min(bytes_max.max(FILE_BYTES_MIN * shards)) / shards;
    if each < FILE_BYTES_MIN {
        let needed_mib = (FILE_BYTES_MIN * shards * FREE_SHARE) >> 20;
        return Err(MeasureError::Space { free_mib: free >> 20, needed_mib });
    }
    Ok(each - each % FILE_BYTES_MIN)
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Write => "write",
            Access::WriteFlushed => "write + fdatasync",
            Access::Read => "read",
            Access::ReadAnywhere => "read anywhere",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_an_eighth_of_the_free_space_is_used() {
        const MIB: u64 = 1 << 20;
        assert_eq!(file_bytes_max(u64::MAX, 256 * MIB, 2).expect("room"), 128 * MIB);
        assert_eq!(file_bytes_max(1024 * MIB, 256 * MIB, 2).expect("room"), 64 * MIB);
        let little = file_bytes_max(128 * MIB - 1, 256 * MIB, 2).expect_err("too little");
        assert!(little.to_string().contains("127 MiB are free there, 128 MiB are wanted"), "{little}");
    }

    /// Every driver that this machine has measures in a few moments, and leaves nothing behind.
    #[test]
    fn a_measurement_has_every_figure_and_leaves_no_file() {
        for driver in DriverKind::ALL {
            let directory = tempfile::tempdir_in(".").expect("a directory");
            let settings = MeasureSettings {
                directory: directory.path().to_path_buf(),
                driver,
                time: Duration::from_millis(200),
                shards: 2,
                bytes_max: 16 << 20,
            };
            let mut told = Vec::new();
            let measured = measure(&settings, |measurement| told.push(*measurement)).expect("measured");
            assert_eq!(told, measured.measurements);
            assert_eq!(measured.data_bytes, 16 << 20);
            assert_eq!(told.len(), plan::phases(settings.time, 2).len());
            for one in &told {
                let Latency { p50, p99, p999, max } = one.latency;
                assert!(one.operations >= u64::from(one.depth) && one.elapsed > Duration::ZERO, "{one:?}");
                assert!(Duration::ZERO < p50 && p50 <= p99 && p99 <= p999 && p999 <= max, "{one:?}");
            }
            assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 0);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let settings = MeasureSettings {
            directory: "/nonexistent/here".into(),
            driver: DriverKind::Portable,
            time: Duration::from_millis(100),
            shards: 1,
            bytes_max: 8 << 20,
        };
        let error = measure(&settings, |_| ()).expect_err("nothing there");
        assert!(matches!(error, MeasureError::Io { what: "asking for the free space", .. }), "{error}");
    }
}
