//! A disk in memory with a live and a durable image, and a machine of stores on it.

use super::{
    Appended, CleanerSettings, Event, Fault, LogSettings, Operations, ReadRequest, RecoveredLog,
    RecoveryReport, RecoverySettings, Slot, Store, StoreSettings, recover,
};
use crate::{
    error::Fatal,
    ids::{LeaderEpoch, Offset, PartitionId, TopicId},
    records::{Batch, BatchBuilder, NewRecord},
};
use corelane_seam::{
    Allocation, BLOCK, DirectoryEntry, Disk, FileHandle, FileObject, FileOperation, FileResult, Flush,
    Monotonic, Now, OpenHow, Page, Part, ShardId, Slice, Space, Token,
};
use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// splitmix64.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Its directory entry is durable.
    named: bool,
}

impl Inode {
    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(data);
        self.dirty.extend(offset / BLOCK..end.div_ceil(BLOCK));
    }
    fn flush(&mut self) {
        self.durable.resize(self.live.len(), 0);
        for block in std::mem::take(&mut self.dirty) {
            let from = (block * BLOCK).min(self.live.len());
            let to = (from + BLOCK).min(self.live.len());
            self.durable[from..to].copy_from_slice(&self.live[from..to]);
        }
    }
    fn crash(&mut self, rng: &mut Rng) {
        if rng.below(2) == 0 {
            self.durable.resize(self.live.len().max(self.durable.len()), 0);
        }
        for block in std::mem::take(&mut self.dirty) {
            let from = block * BLOCK;
            let to = (from + BLOCK).min(self.durable.len()).min(self.live.len());
            if from < to && rng.below(2) == 0 {
                self.durable[from..to].copy_from_slice(&self.live[from..to]);
            }
        }
        self.live.clone_from(&self.durable);
    }
}

#[derive(Clone, Debug, Default)]
struct Image {
    names: BTreeMap<PathBuf, u64>,
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    /// Bytes that blocking calls read of segments.
    segments_read: u64,
    segments_written: SegmentsWritten,
    /// Blocking calls until the power goes.
    calls_left: Option<u64>,
    pub space: u64,
    /// The next flush, or write, of a path that contains this fails.
    fail_flush: Option<String>,
}

/// What stores asked of the disk for their segments.
#[derive(Clone, Copy, Debug, Default)]
pub struct SegmentsWritten {
    pub bytes: u64,
    pub flushes: u64,
}

impl Image {
    fn create(&mut self, path: &Path) -> u64 {
        if let Some(id) = self.names.get(path) {
            return *id;
        }
        self.next += 1;
        self.names.insert(path.to_owned(), self.next);
        self.inodes.insert(self.next, Inode::default());
        self.next
    }
    fn by_path(&mut self, path: &Path) -> io::Result<&mut Inode> {
        let id = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.inodes.get_mut(&id).expect("a name has an inode"))
    }
    fn replace(&mut self, path: &Path, data: &[u8]) {
        self.names.remove(path);
        let id = self.create(path);
        let inode = self.inodes.get_mut(&id).expect("just made");
        inode.write(0, data);
        inode.flush();
        inode.named = true;
    }
    fn remove(&mut self, path: &Path) {
        self.names.retain(|name, _| !name.starts_with(path));
    }
}

#[derive(Debug)]
struct MemFile {
    inode: u64,
    path: PathBuf,
    how: OpenHow,
}

impl FileObject for MemFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub struct MemDisk(Arc<Mutex<Image>>);

impl MemDisk {
    pub fn new() -> MemDisk {
        let disk = MemDisk::default();
        disk.image().space = 1 << 40;
        disk
    }
    fn image(&self) -> std::sync::MutexGuard<'_, Image> {
        self.0.lock().unwrap()
    }
    fn call(&self) -> io::Result<std::sync::MutexGuard<'_, Image>> {
        let mut image = self.image();
        if let Some(left) = &mut image.calls_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the power went"))?;
        }
        Ok(image)
    }
    /// A copy with a life of its own.
    pub fn fork(&self) -> MemDisk {
        MemDisk(Arc::new(Mutex::new(self.image().clone())))
    }
    /// What a power cut leaves.
    pub fn crash(&self, rng: &mut Rng) {
        let mut image = self.image();
        image.calls_left = None;
        let named: BTreeSet<u64> = image.names.values().copied().collect();
        image.inodes.retain(|id, inode| named.contains(id) && (inode.named || rng.below(2) == 0));
        let kept: BTreeSet<u64> = image.inodes.keys().copied().collect();
        image.names.retain(|_, id| kept.contains(id));
        image.inodes.values_mut().for_each(|inode| inode.crash(rng));
    }
    /// Blocking calls that still work.
    pub fn calls_left(&self, calls: Option<u64>) {
        self.image().calls_left = calls;
    }
    pub fn space_left(&self, bytes: u64) {
        self.image().space = bytes;
    }
    pub fn fail_next_flush_of(&self, path: &str) {
        self.image().fail_flush = Some(path.to_owned());
    }
    pub fn paths(&self) -> Vec<PathBuf> {
        self.image().names.keys().cloned().collect()
    }
    /// Those that end in this.
    pub fn paths_in(&self, end: &str) -> Vec<PathBuf> {
        self.paths().into_iter().filter(|path| path.display().to_string().ends_with(end)).collect()
    }
    /// Bytes that starts have read of segments.
    pub fn segments_read(&self) -> u64 {
        self.image().segments_read
    }
    pub fn segments_written(&self) -> SegmentsWritten {
        self.image().segments_written
    }
    pub fn flip(&self, path: &Path, offset: usize) {
        let mut image = self.image();
        let inode = image.by_path(path).unwrap();
        inode.live[offset] ^= 0x10;
        inode.flush();
    }
    /// Carries out one operation.
    pub fn run(&self, operation: FileOperation) -> Vec<FileResult> {
        let mut image = self.image();
        let file = |file: &FileHandle| {
            let file = file.downcast::<MemFile>().unwrap();
            (file.inode, file.path.clone(), file.how)
        };
        match operation {
            FileOperation::Open { path, how } => {
                if how == OpenHow::Read && !image.names.contains_key(&path) {
                    return vec![FileResult::Opened(Err(io::ErrorKind::NotFound.into()))];
                }
                let inode = image.create(&path);
                let entry = image.inodes.get_mut(&inode).unwrap();
                entry.named = true;
                let len = entry.live.len() as u64;
                vec![FileResult::Opened(Ok((FileHandle::new(MemFile { inode, path, how }), len)))]
            }
            FileOperation::Write { file: handle, offset, data, flush } => {
                let (inode, path, how) = file(&handle);
                assert!(how != OpenHow::Direct || data.is_aligned() && offset.is_multiple_of(BLOCK as u64));
                image.inodes.get_mut(&inode).unwrap().write(usize::try_from(offset).unwrap(), &data);
                if path.extension().is_some_and(|end| end == "log") {
                    image.segments_written.bytes += data.len() as u64;
                }
                let mut results = vec![FileResult::Written(Ok(()))];
                if flush.is_wanted() {
                    results.push(FileResult::Flushed(flush_inode(&mut image, inode, &path)));
                }
                results
            }
            FileOperation::Flush { file: handle } => {
                let (inode, path, _) = file(&handle);
                vec![FileResult::Flushed(flush_inode(&mut image, inode, &path))]
            }
            FileOperation::Read { file: handle, offset, len } => {
                let live = &image.inodes[&file(&handle).0].live;
                let from = usize::try_from(offset).unwrap().min(live.len());
                let bytes = &live[from..live.len().min(from + len)];
                vec![FileResult::Read(Ok(Slice::copy_from(bytes)))]
            }
            FileOperation::Allocate { len, .. } if len > image.space => {
                vec![FileResult::Done(Err(io::ErrorKind::StorageFull.into()))]
            }
            FileOperation::Allocate { file: handle, offset, len, how } => {
                let inode = image.inodes.get_mut(&file(&handle).0).unwrap();
                let end = usize::try_from(offset + len).unwrap();
                if inode.live.len() < end {
                    inode.live.resize(end, 0);
                }
                if how == Allocation::Zero {
                    inode.live[usize::try_from(offset).unwrap()..end].fill(0);
                    inode.flush();
                }
                vec![FileResult::Done(Ok(()))]
            }
            FileOperation::SetLength { file: handle, len } => {
                let inode = image.inodes.get_mut(&file(&handle).0).unwrap();
                inode.live.resize(usize::try_from(len).unwrap(), 0);
                vec![FileResult::Done(Ok(()))]
            }
            FileOperation::Replace { path, data } => {
                image.replace(&path, &data);
                vec![FileResult::Done(Ok(()))]
            }
            FileOperation::Remove { path } => {
                image.remove(&path);
                vec![FileResult::Done(Ok(()))]
            }
            FileOperation::Rename { from, to } => {
                let inode = image.names.remove(&from).expect("what is renamed is there");
                image.names.insert(to, inode);
                vec![FileResult::Done(Ok(()))]
            }
            FileOperation::Space { .. } => {
                vec![FileResult::Space(Ok(Space { free: image.space, total: u64::MAX }))]
            }
            FileOperation::Page => vec![FileResult::Page(Page::plain())],
        }
    }
}

fn flush_inode(image: &mut Image, inode: u64, path: &Path) -> io::Result<()> {
    let fails = image.fail_flush.take_if(|part| path.display().to_string().contains(part.as_str())).is_some();
    if fails {
        return Err(io::Error::other("a planted error"));
    }
    image.inodes.get_mut(&inode).unwrap().flush();
    if path.extension().is_some_and(|end| end == "log") {
        image.segments_written.flushes += 1;
    }
    Ok(())
}

impl Disk for MemDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let image = self.call()?;
        let mut entries = BTreeMap::new();
        for (name, id) in &image.names {
            let Ok(rest) = name.strip_prefix(directory) else { continue };
            let mut parts = rest.iter();
            let Some(first) = parts.next() else { continue };
            let path = directory.join(first);
            let is_directory = parts.next().is_some();
            let len = if is_directory { 0 } else { image.inodes[id].live.len() as u64 };
            entries.insert(path.clone(), DirectoryEntry { path, is_directory, len });
        }
        Ok(entries.into_values().collect())
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.call()?.by_path(path).ok().map(|inode| inode.live.clone()))
    }
    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut image = self.call()?;
        let live = &image.by_path(path)?.live;
        let from = usize::try_from(offset).unwrap().min(live.len());
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        if path.extension().is_some_and(|end| end == "log") {
            image.segments_read += count as u64;
        }
        Ok(count)
    }
    fn write_at(&self, path: &Path, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut image = self.call()?;
        let id = image.create(path);
        image.inodes.get_mut(&id).unwrap().write(usize::try_from(offset).unwrap(), data);
        Ok(())
    }
    fn flush(&self, path: &Path) -> io::Result<()> {
        let mut image = self.call()?;
        let inode = image.by_path(path)?;
        inode.flush();
        inode.named = true;
        Ok(())
    }
    fn set_length(&self, path: &Path, len: u64) -> io::Result<()> {
        self.call()?.by_path(path)?.live.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }
    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.call()?.replace(path, data);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?.remove(path);
        Ok(())
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        panic!("the log renames nothing")
    }
    fn zero(&self, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        let mut image = self.call()?;
        let id = image.create(path);
        let inode = image.inodes.get_mut(&id).unwrap();
        inode.write(usize::try_from(offset).unwrap(), &vec![0; usize::try_from(len).unwrap()]);
        inode.flush();
        inode.named = true;
        Ok(())
    }
    fn space(&self, _: &Path) -> io::Result<u64> {
        Ok(self.call()?.space)
    }
}

/// What a machine's stores are made with.
#[derive(Clone, Debug)]
pub struct Shape {
    pub shards: u16,
    pub journal_bytes: u64,
    pub journal_bytes_max: u64,
    pub recovery_point_bytes: u64,
    pub group_bytes: usize,
    pub cache_bytes: usize,
    pub memory_bytes: usize,
    pub log: LogSettings,
    pub cleaner: CleanerSettings,
    pub fault: Fault,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            shards: 2,
            journal_bytes: 256 << 10,
            journal_bytes_max: 512 << 10,
            recovery_point_bytes: 4 << 10,
            group_bytes: 64 << 10,
            cache_bytes: 64 << 10,
            memory_bytes: 4 << 20,
            log: LogSettings { segment_bytes: 100 << 10, retention_ms: None, ..LogSettings::default() },
            cleaner: CleanerSettings::default(),
            fault: Fault::None,
        }
    }
}

impl Shape {
    fn recovery(&self, boot: u64) -> RecoverySettings {
        RecoverySettings {
            data_dir: PathBuf::from("/data"),
            journal_dir: PathBuf::from("/data"),
            shards: self.shards,
            salt: Rng(boot).next(),
            journal_bytes_initial: self.journal_bytes,
            unix_ms: 1_000,
            fault: self.fault,
        }
    }
}

/// Stores on a disk.
pub struct Machine {
    pub disk: MemDisk,
    pub report: RecoveryReport,
    pub stores: Vec<Store>,
    queue: VecDeque<(usize, Token, FileOperation)>,
    pub now: Now,
    pub shape: Shape,
    /// Operations carried out.
    pub done: u64,
    pub events: Vec<(usize, Event)>,
    checks: bool,
    /// Whether what is flushed is committed.
    pub commits: bool,
}

pub fn partition(index: i32) -> PartitionId {
    PartitionId { topic: TopicId(uuid::Uuid::from_u128(0x51ED)), index }
}

/// A batch of `count` records of `bytes` each, whose values begin with `mark`.
pub fn batch(mark: u64, count: usize, bytes: usize, timestamp_ms: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let mut value = vec![u8::try_from(mark % 251).unwrap(); bytes.max(8)];
    value[..8].copy_from_slice(&mark.to_be_bytes());
    for _ in 0..count {
        builder.push(NewRecord { timestamp_ms, key: None, value: Some(&value), ..NewRecord::default() });
    }
    builder.build().to_vec()
}

/// The one log on a disk, as the next start on one shard finds it.
pub fn start(disk: &MemDisk, salt: u64) -> RecoveredLog {
    let shape = Shape { shards: 1, ..Shape::default() };
    recover(disk, &shape.recovery(salt)).expect("the journal is sound").logs.remove(0)
}

impl Machine {
    pub fn boot(disk: MemDisk, shape: Shape, boot: u64) -> Result<Machine, Fatal> {
        let data_dir = PathBuf::from("/data");
        let recovered = recover(&disk, &shape.recovery(boot))?;
        let report = recovered.report;
        let mut logs: Vec<Vec<_>> = (0..shape.shards).map(|_| Vec::new()).collect();
        for log in recovered.logs {
            logs[log.id.owner(shape.shards).index()].push(log);
        }
        let stores = logs.into_iter().enumerate().map(|(shard, logs)| {
            let shard = ShardId(u16::try_from(shard).unwrap());
            let settings = StoreSettings {
                journal_bytes_initial: shape.journal_bytes,
                journal_bytes_max: shape.journal_bytes_max,
                recovery_point_bytes: shape.recovery_point_bytes,
                group_bytes_max: shape.group_bytes,
                unsealed_bytes_max: 8 * shape.group_bytes as u64,
                tail_cache_bytes: shape.cache_bytes,
                memory_bytes_max: shape.memory_bytes,
                disk_reserve_bytes: 1000,
                read_handles_max: 3,
                cleaner: shape.cleaner,
                fault: shape.fault,
                ..StoreSettings::new(shard, data_dir.clone(), recovered.boot)
            };
            Store::new(settings, logs)
        });
        let now = Now { monotonic: Monotonic(1), unix_ms: 1_000 };
        let stores = stores.collect();
        let mut machine = Machine {
            disk,
            report,
            stores,
            queue: VecDeque::new(),
            now,
            shape,
            done: 0,
            events: Vec::new(),
            checks: true,
            commits: true,
        };
        for shard in 0..machine.stores.len() {
            machine.with(shard, |store, now, out| store.start(now, out));
            let ids: Vec<PartitionId> = machine.stores[shard].slots().map(|(id, _)| id).collect();
            for id in ids {
                let settings = machine.shape.log.clone();
                machine.stores[shard].create(now, id, settings);
            }
            machine.stores[shard].check();
        }
        Ok(machine)
    }

    pub fn with<R>(&mut self, shard: usize, act: impl FnOnce(&mut Store, Now, &mut Operations) -> R) -> R {
        let mut out = Vec::new();
        let result = act(&mut self.stores[shard], self.now, &mut out);
        self.queue.extend(out.into_iter().map(|(token, operation)| (shard, token, operation)));
        result
    }

    /// Shard and slot of a partition, made if missing.
    pub fn open(&mut self, index: i32) -> (usize, Slot) {
        let id = partition(index);
        let shard = id.owner(self.shape.shards).index();
        let settings = self.shape.log.clone();
        let now = self.now;
        let slot =
            self.stores[shard].slot(id).unwrap_or_else(|| self.stores[shard].create(now, id, settings));
        (shard, slot)
    }

    pub fn append(&mut self, index: i32, bytes: &[u8]) -> Result<Appended, super::AppendError> {
        let (shard, slot) = self.open(index);
        let now = self.now;
        self.stores[shard].append(now, slot, LeaderEpoch(3), bytes)
    }

    /// Ends the turn of every shard.
    pub fn turn(&mut self) {
        for shard in 0..self.stores.len() {
            let mut events = Vec::new();
            self.with(shard, |store, now, out| store.end_of_turn(now, out, &mut events));
            self.events.extend(events.into_iter().map(|event| (shard, event)));
        }
    }

    /// How the writes that are under way are to be flushed.
    pub fn asked_flushes(&self) -> Vec<Flush> {
        let flush = |operation: &FileOperation| match operation {
            FileOperation::Write { flush, .. } => Some(*flush),
            _ => None,
        };
        self.queue.iter().filter_map(|(_, _, operation)| flush(operation)).collect()
    }
    /// Carries out any operation. Gives whether there was one.
    pub fn step_any(&mut self, rng: &mut Rng) -> bool {
        if let Some(last) = self.queue.len().checked_sub(1) {
            let chosen = usize::try_from(rng.below(last as u64 + 1)).unwrap();
            let operation = self.queue.remove(chosen).unwrap();
            self.queue.push_front(operation);
        }
        self.step()
    }

    /// Carries out one operation, the oldest. Gives whether there was one.
    pub fn step(&mut self) -> bool {
        let Some((shard, token, operation)) = self.queue.pop_front() else { return false };
        self.done += 1;
        // The power may go between a write and its flush.
        let operation = match operation {
            FileOperation::Write { file, offset, data, flush } if flush.is_wanted() => {
                self.queue.push_front((shard, token, FileOperation::Flush { file: file.clone() }));
                FileOperation::Write { file, offset, data, flush: Flush::No }
            }
            other => other,
        };
        let mut results = self.disk.run(operation);
        for result in results.drain(..) {
            let mut events = Vec::new();
            self.with(shard, |store, now, out| store.file(now, token, result, out, &mut events));
            for event in &events {
                if let Event::Flushed { slot, end } = event
                    && self.commits
                {
                    self.stores[shard].set_high_watermark(*slot, *end);
                }
            }
            self.events.extend(events.into_iter().map(|event| (shard, event)));
        }
        if self.checks {
            self.stores[shard].check();
        }
        true
    }

    /// As [`settle`](Self::settle), without checking after every step: for very many logs.
    pub fn settle_quickly(&mut self) {
        self.checks = false;
        self.settle();
        self.checks = true;
    }

    /// Everything that is under way or waits, to its end.
    pub fn settle(&mut self) {
        for _ in 0..1_000_000 {
            self.turn();
            if !self.step() {
                return;
            }
            while self.step() {}
        }
        panic!("the stores never come to rest");
    }

    pub fn tick(&mut self, ms: u64) {
        self.now.monotonic = self.now.monotonic.after_ms(ms);
        self.now.unix_ms += i64::try_from(ms).unwrap();
        for shard in 0..self.stores.len() {
            let mut events = Vec::new();
            self.with(shard, |store, now, out| store.tick(now, out, &mut events));
            self.events.extend(events.into_iter().map(|event| (shard, event)));
        }
        self.settle();
    }

    /// The value marks of every record from the log start to the end, with offsets checked.
    pub fn read_all(&mut self, index: i32) -> Vec<u64> {
        let (shard, slot) = self.open(index);
        let start = self.stores[shard].log_start(slot);
        let end = self.stores[shard].flushed_end(slot);
        let mut from = start;
        let mut marks = Vec::new();
        while from < end {
            let request = ReadRequest { from, max_bytes: 30_000, up_to: end, at_least_one: true };
            let read = self.with(shard, |store, now, out| store.read(now, slot, request, out));
            let read = match read {
                Err(super::ReadError::Later) => {
                    self.settle();
                    continue;
                }
                other => other.unwrap_or_else(|error| panic!("{index} at {from}: {error:?}")),
            };
            let bytes = self.bytes(&read.parts);
            assert_eq!(bytes.len() as u64, read.bytes);
            let before = from;
            let mut rest = bytes.as_slice();
            while let Ok((batch, behind)) = Batch::split_from(rest) {
                rest = behind;
                assert!(batch.checksum_matches());
                let header = batch.header();
                if header.last_offset() < from {
                    continue;
                }
                assert!(header.base_offset() <= from, "dense: {} then {}", from, header.base_offset());
                assert_eq!(header.leader_epoch(), LeaderEpoch(3));
                let mark = value_mark(&batch);
                marks.extend((from.0..header.next_offset().0).map(|_| mark));
                from = header.next_offset();
            }
            assert!(from > before, "partition {index}: a read at {before} of {end} gave nothing");
        }
        marks
    }

    pub fn bytes(&self, parts: &[Part]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Part::Bytes(part) => bytes.extend_from_slice(part),
                Part::Memory(part) => bytes.extend_from_slice(part),
                Part::File { file, offset, len } => {
                    let file = file.clone();
                    let len = usize::try_from(*len).unwrap();
                    let results = self.disk.run(FileOperation::Read { file, offset: *offset, len });
                    let [FileResult::Read(Ok(part))] = results.as_slice() else { panic!("{results:?}") };
                    assert_eq!(part.len(), len, "all of a file part exists");
                    bytes.extend_from_slice(part);
                }
            }
        }
        bytes
    }
}

fn value_mark(batch: &Batch<'_>) -> u64 {
    let mut scratch = crate::records::Scratch::default();
    let decoded = crate::records::DecodedBatch::new(*batch, &mut scratch).unwrap();
    let record = decoded.records().next().unwrap().unwrap();
    u64::from_be_bytes(record.value.unwrap()[..8].try_into().unwrap())
}

pub fn offsets(machine: &mut Machine, index: i32) -> (Offset, Offset) {
    let (shard, slot) = machine.open(index);
    (machine.stores[shard].log_start(slot), machine.stores[shard].log_end(slot))
}
