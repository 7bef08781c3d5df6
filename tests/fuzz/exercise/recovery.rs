//! Recovery of a data directory whose files hold arbitrary bytes.
//!
//! An input is pieces of files, one after the other: which file (a kind and two numbers of its name), at which block, how
//! many bytes (16 bits, little-endian), and those. Blocks between are zeros, so a journal of a few groups makes a short
//! input. Checksums are not made to fit: what has the right one was written by the log itself, and damage has not.
//!
//! Whatever there is, recovery says no or finds logs; and those it finds are found again by the next one, with the same
//! ends, for nothing was written meanwhile.

use corelane_core::{
    ids::{Offset, PartitionId},
    log::{Fault, Recovered, RecoverySettings, recover},
};
use corelane_seam::{DirectoryEntry, Disk};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

const BLOCK: usize = corelane_seam::BLOCK;

/// The directory of the one log: the seeds' journals name its topic.
const LOG: &str = "/data/logs/2ac5b69100ee427f881d832eee89e6f5-0";

/// More than any file of an input needs: a write beyond it finds the disk full.
const FILE_BYTES_MAX: usize = 16 << 20;

/// One input. Where the logs that are served start and end; none if recovery refused.
pub fn exercise(data: &[u8]) -> Vec<(Offset, Offset)> {
    let (disk, settings) = (MemoryDisk::new(data), settings());
    let Ok(first) = recover(&disk, &settings) else { return Vec::new() };
    let second = recover(&disk, &RecoverySettings { salt: 8, shards: 2, ..settings });
    let second = second.expect("what was recovered can be recovered");
    assert_eq!(ends(&first), ends(&second));
    first.logs.iter().filter(|log| log.offline.is_none()).map(|log| (log.start, log.end)).collect()
}

fn settings() -> RecoverySettings {
    RecoverySettings {
        data_dir: "/data".into(),
        journal_dir: "/data".into(),
        shards: 1,
        salt: 7,
        journal_bytes_initial: 16 * BLOCK as u64,
        unix_ms: 1_700_000_000_000,
        fault: Fault::None,
    }
}

/// Where each log starts and ends, and whether it is served.
fn ends(recovered: &Recovered) -> Vec<(PartitionId, Offset, Offset, bool)> {
    recovered.logs.iter().map(|log| (log.id, log.start, log.end, log.offline.is_some())).collect()
}

/// Which file a piece belongs to.
fn path(kind: u8, one: u8, two: u8) -> PathBuf {
    match kind % 6 {
        0 => PathBuf::from("/data/manifest"),
        1 => PathBuf::from(format!("/data/journal-{one:016x}-{two:04x}")),
        2 => PathBuf::from(format!("/data/clean-{one:016x}-{two:04x}")),
        3 => Path::new(LOG).join("checkpoint"),
        4 => Path::new(LOG).join(format!("{one:020}-{two:08x}.log")),
        _ => Path::new(LOG).join(format!("{one:020}-{two:08x}.index")),
    }
}

/// Files in memory, every one of them durable at once.
struct MemoryDisk(Mutex<BTreeMap<PathBuf, Vec<u8>>>);

impl MemoryDisk {
    fn new(mut data: &[u8]) -> MemoryDisk {
        let disk = MemoryDisk(Mutex::default());
        while let Some((&[kind, one, two, block, low, high], rest)) = data.split_first_chunk() {
            let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
            let (bytes, rest) = rest.split_at(length);
            let at = u64::from(block) * BLOCK as u64;
            disk.write_at(&path(kind, one, two), at, bytes).expect("256 blocks are no full disk");
            data = rest;
        }
        disk
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Vec<u8>>> {
        self.0.lock().expect("nothing panics with the lock")
    }

    fn resize(&self, path: &Path, resize: impl FnOnce(usize) -> Option<usize>) -> io::Result<()> {
        let mut files = self.files();
        let file = files.entry(path.to_owned()).or_default();
        let length = resize(file.len()).filter(|length| *length <= FILE_BYTES_MAX);
        file.resize(length.ok_or(io::ErrorKind::StorageFull)?, 0);
        Ok(())
    }
}

fn end_of(offset: u64, len: u64) -> Option<usize> {
    usize::try_from(offset.checked_add(len)?).ok()
}

impl Disk for MemoryDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let files = self.files();
        let mut entries = BTreeSet::new();
        for (path, bytes) in files.iter() {
            let Ok(below) = path.strip_prefix(directory) else { continue };
            let Some(name) = below.components().next() else { continue };
            let entry = directory.join(name);
            let is_directory = entry != *path;
            let len = if is_directory { 0 } else { bytes.len() as u64 };
            entries.insert(DirectoryEntry { path: entry, is_directory, len });
        }
        Ok(entries.into_iter().collect())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files().get(path).cloned())
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let files = self.files();
        let file = files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = file.get(from..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    fn write_at(&self, path: &Path, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = end_of(offset, data.len() as u64);
        self.resize(path, |length| Some(end?.max(length)))?;
        let end = end.expect("the file was made that long");
        self.files().get_mut(path).expect("it was just made")[end - data.len()..end].copy_from_slice(data);
        Ok(())
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        self.files().get(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn set_length(&self, path: &Path, len: u64) -> io::Result<()> {
        self.resize(path, |_| usize::try_from(len).ok())
    }

    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.files().insert(path.to_owned(), data.to_vec());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().retain(|file, _| !file.starts_with(path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn zero(&self, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        let end = end_of(offset, len);
        self.resize(path, |length| Some(end?.max(length)))
    }

    fn space(&self, _: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }
}
