//! A disk in memory that loses what was not flushed, and tears it.

#![allow(dead_code, reason = "each test uses a part of it")]

use corelane_seam::{
    Allocation, DirectoryEntry, Disk, FileHandle, FileObject, FileOperation, FileResult, Slice,
};
use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Bytes that reach the medium together.
const SECTOR: usize = 512;

/// Bytes that the page cache keeps, and writes back, together.
const PAGE: usize = 4096;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What the process sees.
    live: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// Pages written since the last flush, whether that succeeded or failed: a failed one leaves them clean, shown
    /// and lost.
    dirty: BTreeSet<usize>,
}

impl File {
    fn write(&mut self, offset: usize, data: &[u8]) {
        put(&mut self.live, offset, data);
        self.dirty.extend(offset / PAGE..(offset + data.len()).div_ceil(PAGE));
    }

    fn flush(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            let end = self.live.len().min((page + 1) * PAGE);
            put(&mut self.durable, page * PAGE, &self.live[page * PAGE..end]);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, File>,
    /// Calls of the blocking face left before it fails.
    calls_left: Option<usize>,
    fail_flushes: bool,
    fail_writes: bool,
    /// No space is left: of a write some bytes go through.
    is_full: bool,
    lies: bool,
}

impl State {
    fn repair(&mut self) {
        self.fail_flushes = false;
        self.fail_writes = false;
        self.is_full = false;
        self.calls_left = None;
    }
}

/// Clones are the same disk; [`MemoryDisk::copy`] is another one.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct MemoryFile(PathBuf);

impl FileObject for MemoryFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..offset + data.len()].copy_from_slice(data);
}

/// What is left of an operation that was begun.
#[derive(Debug)]
pub enum Rest {
    Nothing,
    /// The flush of a write; its write was done.
    Flush(FileHandle),
}

impl MemoryDisk {
    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.0.lock().expect("no test panics within"))
    }

    pub fn copy(&self) -> MemoryDisk {
        MemoryDisk(Arc::new(Mutex::new(self.with(|state| state.clone()))))
    }

    /// Power is cut: of what was not flushed, any subset of sectors survives.
    pub fn power_cut(&self, random: &mut Random) {
        self.with(|state| {
            for file in state.files.values_mut() {
                for page in std::mem::take(&mut file.dirty) {
                    let end = file.live.len().min((page + 1) * PAGE);
                    for start in (page * PAGE..end).step_by(SECTOR) {
                        let sector = &file.live[start..end.min(start + SECTOR)];
                        // Also parts of a sector, as a file system's length may lag behind the data.
                        let keep = match random.below(4) {
                            0 => sector.len(),
                            1 => random.below(sector.len() + 1),
                            _ => 0,
                        };
                        put(&mut file.durable, start, &sector[..keep]);
                    }
                }
                file.live.clone_from(&file.durable);
            }
            state.repair();
        });
    }

    /// Power is cut, and nothing that was not flushed survives.
    pub fn hard_cut(&self) {
        self.with(|state| {
            for file in state.files.values_mut() {
                file.dirty.clear();
                file.live.clone_from(&file.durable);
            }
            state.repair();
        });
    }

    /// Nothing fails any more. What failed flushes lost stays lost, and shown.
    pub fn repair(&self) {
        self.with(State::repair);
    }

    pub fn fail_flushes(&self) {
        self.with(|state| state.fail_flushes = true);
    }

    pub fn fail_writes(&self) {
        self.with(|state| state.fail_writes = true);
    }

    pub fn fill(&self) {
        self.with(|state| state.is_full = true);
    }

    /// From now on flushes succeed without effect.
    pub fn lie(&self) {
        self.with(|state| state.lies = true);
    }

    /// The blocking face works for `calls` more calls.
    pub fn fail_after(&self, calls: usize) {
        self.with(|state| state.calls_left = Some(calls));
    }

    pub fn contents(&self, path: &Path) -> Vec<u8> {
        self.with(|state| state.files.get(path).map(|file| file.live.clone()).unwrap_or_default())
    }

    /// Replaces a file's content behind everyone's back.
    pub fn tamper(&self, path: &Path, bytes: Vec<u8>) {
        self.with(|state| {
            let file = File { live: bytes.clone(), durable: bytes, dirty: BTreeSet::new() };
            state.files.insert(path.to_owned(), file);
        });
    }

    pub fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().expect("a file").to_string_lossy().into_owned();
        self.with(|state| state.files.keys().map(name).collect())
    }

    /// Carries out an operation up to its first completion.
    pub fn begin(&self, operation: FileOperation) -> (FileResult, Rest) {
        let result = match operation {
            FileOperation::Open { path, .. } => self.with(|state| {
                let len = state.files.entry(path.clone()).or_default().live.len() as u64;
                FileResult::Opened(Ok((FileHandle::new(MemoryFile(path)), len)))
            }),
            FileOperation::Write { file, offset, data, flush } => {
                if self.with(|state| state.fail_writes) {
                    return (FileResult::Written(Err(io::Error::other("written in vain"))), Rest::Nothing);
                }
                if self.with(|state| state.is_full) {
                    self.store(&path_of(&file), offset, &data[..data.len() / 2]);
                    return (FileResult::Written(Err(io::ErrorKind::StorageFull.into())), Rest::Nothing);
                }
                self.store(&path_of(&file), offset, &data);
                let rest = if flush.is_wanted() { Rest::Flush(file) } else { Rest::Nothing };
                return (FileResult::Written(Ok(())), rest);
            }
            FileOperation::Allocate { how: Allocation::Reserve, .. } => {
                let full = self.with(|state| state.is_full);
                FileResult::Done(if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) })
            }
            FileOperation::Replace { path, data } => {
                self.tamper(&path, data.to_vec());
                FileResult::Done(Ok(()))
            }
            FileOperation::Remove { path } => {
                self.with(|state| state.files.remove(&path));
                FileResult::Done(Ok(()))
            }
            other => panic!("the quorum does not ask for {other:?}"),
        };
        (result, Rest::Nothing)
    }

    pub fn flush_handle(&self, file: &FileHandle) -> FileResult {
        FileResult::Flushed(self.sync(&path_of(file)))
    }

    fn store(&self, path: &Path, offset: u64, data: &[u8]) {
        let offset = usize::try_from(offset).expect("small");
        self.with(|state| {
            state.files.entry(path.to_owned()).or_default().write(offset, data);
        });
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            let file = state.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
            if state.fail_flushes {
                file.dirty.clear();
                return Err(io::Error::other("flushed in vain"));
            }
            if !state.lies {
                file.flush();
            }
            Ok(())
        })
    }

    fn call(&self) -> io::Result<()> {
        self.with(|state| match &mut state.calls_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("crashed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        })
    }
}

fn path_of(file: &FileHandle) -> PathBuf {
    file.downcast::<MemoryFile>().expect("a file of this disk").0.clone()
}

impl Disk for MemoryDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.call()?;
        let entry = |(path, file): (&PathBuf, &File)| DirectoryEntry {
            path: path.clone(),
            is_directory: false,
            len: file.live.len() as u64,
        };
        let inside = |(path, _): &(&PathBuf, &File)| path.parent() == Some(directory);
        Ok(self.with(|state| state.files.iter().filter(inside).map(entry).collect()))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.call()?;
        Ok(self.with(|state| state.files.get(path).map(|file| file.live.clone())))
    }

    fn read_at(&self, _path: &Path, _offset: u64, _buffer: &mut [u8]) -> io::Result<usize> {
        unimplemented!("the quorum reads whole files")
    }

    fn write_at(&self, path: &Path, offset: u64, data: &[u8]) -> io::Result<()> {
        self.call()?;
        self.store(path, offset, data);
        Ok(())
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        self.sync(path)
    }

    fn set_length(&self, _path: &Path, _len: u64) -> io::Result<()> {
        unimplemented!("the quorum changes no length")
    }

    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.call()?;
        self.tamper(path, Slice::copy_from(data).to_vec());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        self.with(|state| state.files.remove(path));
        Ok(())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        unimplemented!("the quorum renames nothing")
    }

    fn zero(&self, _path: &Path, _offset: u64, _len: u64) -> io::Result<()> {
        unimplemented!("the quorum zeroes nothing")
    }

    fn space(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}
