//! A disk with two faces, what the machine sees now and what it would find after a power cut, behind both of the
//! seam's interfaces: [`FileOperation`]s, which the world performs when their time has come, and the blocking
//! [`Disk`](corelane_seam::Disk) of recovery ([`blocking`]).
//!
//! What is promised: a completed write is seen by every reader; a flush makes durable what completed before it was
//! asked for; creating, replacing, renaming and removing are atomic and durable when they complete. Nothing else is
//! promised: whatever is unflushed survives a power cut wholly, in any subset of its blocks, or not.

mod blocking;
mod image;

use image::Contents;

use super::schedule::ScheduleHash;
use crate::rng::Rng;
use corelane_seam::{
    Allocation, BLOCK, FileHandle, FileObject, FileOperation, FileResult, Flush, OpenHow, Page, Slice, Space,
};
use std::{
    any::Any,
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How a process ends without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// `kill -9`: what had reached the page cache stays there, unflushed.
    Kill,
    /// The power goes, and with it everything unflushed, or parts of it.
    PowerCut,
}

/// How likely the disk misbehaves, in failures per million operations, and how slow it is.
#[derive(Clone, Debug)]
pub struct DiskFaults {
    /// A write fails; some of its blocks may have gone through.
    pub write_error: u32,
    /// A read fails.
    pub read_error: u32,
    /// A flush fails; nothing is known of what it was to cover.
    pub flush_error: u32,
    /// An operation takes up to [`spike_ns`](Self::spike_ns) longer.
    pub spike: u32,
    /// The longest spike, in ns.
    pub spike_ns: u64,
    /// Whether recovery's blocking calls suffer the same errors.
    pub blocking: bool,
    /// Size of the disk in bytes.
    pub capacity: u64,
}

impl Default for DiskFaults {
    /// A healthy disk of 1 GiB with a rare slow operation.
    fn default() -> Self {
        DiskFaults {
            write_error: 0,
            read_error: 0,
            flush_error: 0,
            spike: 2_000,
            spike_ns: 200_000_000,
            blocking: false,
            capacity: 1 << 30,
        }
    }
}

/// What unwinds out of a blocking call at which the machine crashed. Private to the world, which catches it.
pub(super) struct CrashNow;

/// An open file of the simulated disk.
pub struct SimFile {
    contents: Arc<Mutex<Contents>>,
    path: PathBuf,
    how: OpenHow,
}

impl FileObject for SimFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.path.display(), self.how)
    }
}

struct Entry {
    contents: Arc<Mutex<Contents>>,
    /// Whether the name survives a power cut (what recovery creates does so only once flushed).
    durable: bool,
}

struct State {
    names: BTreeMap<PathBuf, Entry>,
    faults: DiskFaults,
    rng: Rng,
    hash: ScheduleHash,
    calls_before_crash: Option<u64>,
    crashed: bool,
}

/// The disk of one simulated machine. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

/// A panic elsewhere ends the run anyway; what it left behind may still be printed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn injected() -> io::Error {
    // 5 is EIO: shards see what a driver would give them.
    io::Error::from_raw_os_error(5)
}

fn full() -> io::Error {
    // 28 is ENOSPC.
    io::Error::from_raw_os_error(28)
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

impl SimDisk {
    /// An empty disk.
    pub fn new(rng: Rng) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            faults: DiskFaults::default(),
            rng,
            hash: ScheduleHash::default(),
            calls_before_crash: None,
            crashed: false,
        })))
    }

    /// Changes what may go wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut DiskFaults)) {
        change(&mut lock(&self.0).faults);
    }

    /// What may go wrong now.
    pub fn faults(&self) -> DiskFaults {
        lock(&self.0).faults.clone()
    }

    /// Shrinks the disk to what is used now and `left` bytes.
    pub fn fill_but(&self, left: u64) {
        let mut state = lock(&self.0);
        state.faults.capacity = state.used() + left;
    }

    /// Lets the machine crash at the blocking call after `calls` more of them; `None`: at none.
    pub fn crash_after_calls(&self, calls: Option<u64>) {
        lock(&self.0).calls_before_crash = calls;
    }

    /// Removes what `goes`, as somebody who empties another disk of the machine.
    pub fn wipe(&self, goes: impl Fn(&Path) -> bool) {
        lock(&self.0).names.retain(|path, _| !goes(path));
    }

    /// The content as every reader of this machine sees it, if the file exists.
    pub fn live(&self, path: &Path) -> Option<Vec<u8>> {
        let state = lock(&self.0);
        let entry = state.names.get(path)?;
        let bytes = lock(&entry.contents).live().to_vec();
        Some(bytes)
    }

    /// The content that no power cut can take, if the file exists.
    pub fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        let state = lock(&self.0);
        let entry = state.names.get(path)?;
        let bytes = lock(&entry.contents).durable().to_vec();
        entry.durable.then_some(bytes)
    }

    /// A digest of all blocking calls so far and of what they answered.
    pub fn hash(&self) -> ScheduleHash {
        lock(&self.0).hash
    }

    /// How long the next operation takes, in ns.
    pub(super) fn draw_latency_ns(&self) -> u64 {
        let state = &mut *lock(&self.0);
        let spike =
            if state.rng.chance(state.faults.spike) { state.rng.below(state.faults.spike_ns) } else { 0 };
        state.rng.between(20_000, 600_000) + spike
    }

    /// Whether the operation keeps to what a real driver and kernel demand; a sentence if not.
    pub(super) fn objection(operation: &FileOperation) -> Option<String> {
        let block = BLOCK as u64;
        match operation {
            FileOperation::Write { file, offset, data, .. } => {
                let sim = sim_file(file)?;
                let aligned = offset.is_multiple_of(block) && data.is_aligned();
                match sim.how {
                    OpenHow::Read => Some(format!("write to {sim:?}, which is open for reading only")),
                    OpenHow::Direct if !aligned => {
                        Some(format!("misaligned direct write of {data:?} at {offset} to {sim:?}"))
                    }
                    OpenHow::Direct | OpenHow::Buffered => None,
                }
            }
            FileOperation::Read { file, offset, len } => {
                let sim = sim_file(file)?;
                let aligned = offset.is_multiple_of(block) && len.is_multiple_of(BLOCK);
                (sim.how == OpenHow::Direct && !aligned)
                    .then(|| format!("misaligned direct read of {len} at {offset} of {sim:?}"))
            }
            FileOperation::Allocate { file, .. } | FileOperation::SetLength { file, .. } => {
                let sim = sim_file(file)?;
                (sim.how == OpenHow::Read).then(|| format!("{sim:?} is open for reading only"))
            }
            FileOperation::Open { .. }
            | FileOperation::Flush { .. }
            | FileOperation::Replace { .. }
            | FileOperation::Remove { .. }
            | FileOperation::Rename { .. }
            | FileOperation::Space { .. }
            | FileOperation::Page => None,
        }
    }

    /// What a flush of this file that is asked for now covers.
    pub fn covered(file: &FileHandle) -> u64 {
        sim_file(file).map_or(0, |sim| lock(&sim.contents).changes())
    }

    /// Carries an operation out, now and at once. `covered` is what a flush covers.
    pub fn perform(&self, operation: &FileOperation, covered: u64) -> FileResult {
        let mut state = lock(&self.0);
        match operation {
            FileOperation::Open { path, how } => FileResult::Opened(state.open(path, *how)),
            FileOperation::Write { file, offset, data, .. } => {
                FileResult::Written(contents_of(file).and_then(|file| state.write(file, *offset, data)))
            }
            FileOperation::Flush { file } => {
                FileResult::Flushed(contents_of(file).and_then(|file| state.flush(file, covered)))
            }
            FileOperation::Read { file, offset, len } => {
                FileResult::Read(contents_of(file).and_then(|file| state.read(file, *offset, *len)))
            }
            FileOperation::Allocate { file, offset, len, how } => {
                FileResult::Done(contents_of(file).and_then(|file| state.allocate(file, *offset, *len, *how)))
            }
            FileOperation::SetLength { file, len } => {
                FileResult::Done(contents_of(file).and_then(|file| state.set_length(file, *len)))
            }
            FileOperation::Replace { path, data } => FileResult::Done(state.replace(path, data)),
            FileOperation::Remove { path } => {
                state.remove(path);
                FileResult::Done(Ok(()))
            }
            FileOperation::Rename { from, to } => FileResult::Done(state.rename(from, to)),
            FileOperation::Space { .. } => {
                FileResult::Space(Ok(Space { free: state.space(), total: state.faults.capacity }))
            }
            FileOperation::Page => FileResult::Page(Page::plain()),
        }
    }

    /// The process dies with these operations under way: each happened, happened in part where it is not atomic,
    /// or did not. With [`CrashKind::PowerCut`] the unflushed rest goes the same way.
    pub(super) fn crash(&self, kind: CrashKind, under_way: &[(FileOperation, u64)]) {
        for (operation, covered) in under_way {
            let (happens, torn) = {
                let mut state = lock(&self.0);
                (state.rng.below(2) == 0, state.rng.below(2) == 0)
            };
            match operation {
                FileOperation::Write { file, offset, data, .. } if happens && torn => {
                    if let Ok(contents) = contents_of(file) {
                        let mut state = lock(&self.0);
                        lock(contents).write_subset(*offset, data, &mut state.rng);
                    }
                }
                _ if happens => drop(self.perform(operation, *covered)),
                _ => {}
            }
        }
        let mut state = lock(&self.0);
        state.crashed = false;
        state.calls_before_crash = None;
        if kind == CrashKind::PowerCut {
            state.power_cut();
        }
    }

    /// Reads a range of a file as sendfile(2) would, now; fewer bytes at the end of the file.
    pub fn read_for_send(file: &FileHandle, offset: u64, len: usize) -> Option<Vec<u8>> {
        let sim = sim_file(file)?;
        let mut bytes = vec![0; len];
        let count = lock(&sim.contents).live().read(offset, &mut bytes);
        bytes.truncate(count);
        Some(bytes)
    }

    /// Why this range must not be sent, if it must not: it is not all there, unless it `may_be_cut`, or a power cut could
    /// change it.
    pub(super) fn send_objection(
        file: &FileHandle,
        offset: u64,
        len: u64,
        may_be_cut: bool,
    ) -> Option<String> {
        let sim = sim_file(file)?;
        let contents = lock(&sim.contents);
        if sim.how != OpenHow::Read {
            Some(format!("file range of {sim:?}, which is not open for reading"))
        } else if !may_be_cut && offset + len > contents.live().len() {
            Some(format!("file range {offset}+{len} past the end of {sim:?} ({})", contents.live().len()))
        } else if contents.is_unflushed(offset, len) {
            Some(format!("file range {offset}+{len} of {sim:?} is not flushed"))
        } else {
            None
        }
    }
}

/// An operation in words.
pub(super) fn describe(operation: &FileOperation) -> String {
    let name =
        |file: &FileHandle| sim_file(file).map_or("?".to_owned(), |sim| sim.path.display().to_string());
    match operation {
        FileOperation::Open { path, how } => format!("open {} {how:?}", path.display()),
        FileOperation::Write { file, offset, data, flush } => {
            let flush = match flush {
                Flush::No => "",
                Flush::After => ", then flush",
                Flush::Within => " and flush",
            };
            format!("write {}+{offset}, {} bytes{flush}", name(file), data.len())
        }
        FileOperation::Flush { file } => format!("flush {}", name(file)),
        FileOperation::Read { file, offset, len } => format!("read {}+{offset}, {len} bytes", name(file)),
        FileOperation::Allocate { file, offset, len, how } => {
            format!("allocate {}+{offset}, {len} bytes, {how:?}", name(file))
        }
        FileOperation::SetLength { file, len } => format!("set length of {} to {len}", name(file)),
        FileOperation::Replace { path, data } => {
            format!("replace {} by {} bytes", path.display(), data.len())
        }
        FileOperation::Remove { path } => format!("remove {}", path.display()),
        FileOperation::Rename { from, to } => format!("rename {} to {}", from.display(), to.display()),
        FileOperation::Space { path } => format!("space at {}", path.display()),
        FileOperation::Page => "a page".to_owned(),
    }
}

fn sim_file(file: &FileHandle) -> Option<&SimFile> {
    file.downcast::<SimFile>()
}

fn contents_of(file: &FileHandle) -> io::Result<&Mutex<Contents>> {
    match sim_file(file) {
        Some(sim) => Ok(&sim.contents),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "a file of another driver")),
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|entry| lock(&entry.contents).occupied()).sum()
    }

    fn space(&self) -> u64 {
        self.faults.capacity.saturating_sub(self.used())
    }

    /// Whether a file that occupies `now` may come to occupy `end` bytes.
    fn room_for(&self, now: u64, end: u64) -> io::Result<()> {
        if end <= now || end.next_multiple_of(BLOCK as u64) - now <= self.space() {
            Ok(())
        } else {
            Err(full())
        }
    }

    fn open(&mut self, path: &Path, how: OpenHow) -> io::Result<(FileHandle, u64)> {
        if !self.names.contains_key(path) {
            if how == OpenHow::Read {
                return Err(missing(path));
            }
            let contents = Arc::new(Mutex::new(Contents::default()));
            self.names.insert(path.to_owned(), Entry { contents, durable: true });
        }
        let entry = &self.names[path];
        let contents = Arc::clone(&entry.contents);
        let len = lock(&contents).live().len();
        Ok((FileHandle::new(SimFile { contents, path: path.to_owned(), how }), len))
    }

    fn write(&mut self, file: &Mutex<Contents>, offset: u64, data: &[u8]) -> io::Result<()> {
        let occupied = lock(file).occupied();
        self.room_for(occupied, offset + data.len() as u64)?;
        if self.rng.chance(self.faults.write_error) {
            lock(file).write_subset(offset, data, &mut self.rng);
            return Err(injected());
        }
        lock(file).write(offset, data);
        Ok(())
    }

    fn flush(&mut self, file: &Mutex<Contents>, covered: u64) -> io::Result<()> {
        if self.rng.chance(self.faults.flush_error) {
            lock(file).flush_failed(&mut self.rng);
            return Err(injected());
        }
        lock(file).flush(covered);
        Ok(())
    }

    fn read(&mut self, file: &Mutex<Contents>, offset: u64, len: usize) -> io::Result<Slice> {
        if self.rng.chance(self.faults.read_error) {
            return Err(injected());
        }
        let mut bytes = vec![0; len];
        let count = lock(file).live().read(offset, &mut bytes);
        Ok(Slice::copy_from(&bytes[..count]))
    }

    fn allocate(&mut self, file: &Mutex<Contents>, offset: u64, len: u64, how: Allocation) -> io::Result<()> {
        let occupied = lock(file).occupied();
        self.room_for(occupied, offset + len)?;
        match how {
            Allocation::Zero if self.rng.chance(self.faults.flush_error) => return Err(injected()),
            Allocation::Zero => lock(file).zero(offset, len),
            Allocation::Lengthen => lock(file).lengthen(offset + len),
            Allocation::Reserve => lock(file).allocate(offset + len),
        }
        Ok(())
    }

    fn set_length(&mut self, file: &Mutex<Contents>, len: u64) -> io::Result<()> {
        lock(file).set_len(len);
        Ok(())
    }

    fn replace(&mut self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.room_for(0, data.len() as u64)?;
        if self.rng.chance(self.faults.write_error) || self.rng.chance(self.faults.flush_error) {
            return Err(injected());
        }
        let contents = Arc::new(Mutex::new(Contents::durable_from(data)));
        self.names.insert(path.to_owned(), Entry { contents, durable: true });
        Ok(())
    }

    fn remove(&mut self, path: &Path) {
        // `Path::starts_with` compares whole components: the file itself, or all below a directory.
        self.names.retain(|name, _| !name.starts_with(path));
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let moved: Vec<PathBuf> = self.names.keys().filter(|name| name.starts_with(from)).cloned().collect();
        if moved.is_empty() {
            return Err(missing(from));
        }
        for name in moved {
            let Some(mut entry) = self.names.remove(&name) else { continue };
            entry.durable = true;
            let rest = name.strip_prefix(from).unwrap_or(Path::new(""));
            // Joining an empty rest would add a slash.
            let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            self.names.insert(target, entry);
        }
        Ok(())
    }

    fn power_cut(&mut self) {
        let names = std::mem::take(&mut self.names);
        for (name, entry) in names {
            if !entry.durable && self.rng.below(2) == 0 {
                continue;
            }
            // A fresh object: handles of the dead process keep the old one.
            let mut contents = lock(&entry.contents).clone();
            contents.power_cut(&mut self.rng);
            let contents = Arc::new(Mutex::new(contents));
            self.names.insert(name, Entry { contents, durable: true });
        }
    }
}

#[cfg(test)]
mod tests;
