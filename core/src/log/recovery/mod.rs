//! From what a crash left to logs again.
//!
//! 1. The manifest says which boot's journals count, and how many there are.
//! 2. Each journal is read twice: for its groups' headers, which tell what is needed and what is known to be
//!    flushed, and then group by group for where each log's bytes lie in it ([`journals`]).
//! 3. Each log's bytes are put where they belong in its segments, as far as they fill blocks; segments are read
//!    from the last checkpoint on ([`logs`]).
//! 4. What fills no block is carried over into the first groups of the new boot's journals ([`carry`]).
//!    What is there of a log that cannot be recovered stays beside it ([`kept`]).
//! 5. One replacement of the manifest makes the new boot the one that counts; then the old journals go.
//!
//! Within a step, what needs nothing of the rest may run side by side ([`Disk::carry_out`]).
//!
//! Until step 5 nothing that the old journals need is changed, and what is written to segments is what they say, so
//! an interrupted recovery begins again from the start.

mod carry;
mod journals;
mod kept;
mod logs;
mod manifest;
mod scan;

use super::{
    Boot, Fault, LogSettings,
    checkpoint::Snapshot,
    chunks::Chunks,
    epochs::LeaderEpochs,
    partition_log::{PartitionLog, Pin},
    paths,
    producers::ProducerStates,
    segment::{Segment, Stage},
    tail::{Mark, Tail},
    watermarks,
};
use crate::{
    error::Fatal,
    ids::{Offset, PartitionId},
};
use corelane_seam::{Disk, Task};
use journals::Replays;
use manifest::Manifest;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

pub(super) use carry::CarriedGroup;

/// What recovery is told.
#[derive(Clone, Debug)]
pub struct RecoverySettings {
    /// As in [`StoreSettings`](super::StoreSettings).
    pub data_dir: PathBuf,
    /// As in [`StoreSettings`](super::StoreSettings).
    pub journal_dir: PathBuf,
    /// Data shards of the boot that begins.
    pub shards: u16,
    /// Random, for [`Boot::salt`].
    pub salt: u64,
    /// Bytes of journal that are zeroed per shard.
    pub journal_bytes_initial: u64,
    /// Wall clock, for producers that are found again.
    pub unix_ms: i64,
    /// Planted by tests.
    pub fault: Fault,
}

/// A log as recovery found it, for [`Store::new`](super::Store::new).
#[derive(Debug)]
pub struct RecoveredLog {
    /// Whose; its [`owner`](PartitionId::owner) among the new number of shards decides to which store it goes.
    pub id: PartitionId,
    /// Where it starts.
    pub start: Offset,
    /// Where it ends; all of it is flushed.
    pub end: Offset,
    /// Why it cannot be served, if it cannot.
    pub offline: Option<Fatal>,
    next_serial: u32,
    cleaned_to: Offset,
    cut_serial: u32,
    high_watermark: Offset,
    segments: Vec<Segment>,
    epochs: LeaderEpochs,
    producers: ProducerStates,
    snapshot: Snapshot,
    /// Bytes of the last segment that fill no block, and the batches that they are of (places are positions).
    carried: Vec<u8>,
    marks: Vec<Mark>,
    /// Where the batch before these ends, if that is known.
    gap: Option<Offset>,
    carried_in: Option<CarriedGroup>,
    /// Something was [`kept`] of it.
    was_offline: bool,
}

impl RecoveredLog {
    /// Whether the new journal must say where it ends: there are bytes that fill no block, or the file holds bytes
    /// behind the end.
    fn carries(&self) -> bool {
        !self.carried.is_empty() || self.segments.last().is_some_and(|segment| segment.needs_cut)
    }

    /// Where the batches are that reach into the last block, and where the one before them ends.
    #[cfg(test)]
    pub(super) fn tail(&self) -> (Option<Offset>, Vec<Mark>, Vec<u8>) {
        (self.gap, self.marks.clone(), self.carried.clone())
    }

    /// The group of the new journal that holds what was carried over.
    pub(super) fn carried_in(&self) -> Option<CarriedGroup> {
        self.carried_in
    }

    /// The log that goes on from here. Of an active segment, places are positions in it.
    pub(super) fn into_log(self, directory: PathBuf) -> PartitionLog {
        let mut log = PartitionLog::new(self.id, directory, LogSettings::default());
        (log.start, log.start_checkpointed) = (self.start, self.start);
        (log.end, log.written, log.flushed) = (self.end, self.end, self.end);
        log.high_watermark = self.high_watermark.clamp(self.start, self.end);
        (log.next_serial, log.offline) = (self.next_serial, self.offline);
        (log.cleaned_to, log.cut_serial) = (self.cleaned_to, self.cut_serial);
        (log.epochs, log.producers, log.snapshot) = (self.epochs, self.producers, self.snapshot);
        log.producers.commit(log.high_watermark);
        log.segments = self.segments.into();
        if let Some(active) = log.segments.back().filter(|segment| segment.stage == Stage::Active) {
            let mut tail = Tail::starting_at(active.flushed);
            tail.append_bytes(&self.carried, &mut Chunks::of(corelane_seam::BLOCK));
            self.marks.into_iter().for_each(|mark| tail.mark(mark));
            tail.note_gap(self.gap);
            log.persisted = active.flushed;
            log.tail = tail;
        }
        let end = log.tail.end();
        (log.sealed, log.written_place, log.flushed_place, log.durable_place) = (end, end, end, end);
        if let Some(group) = self.carried_in {
            log.pins.push_back(Pin { group: group.number, to: end });
        }
        log
    }
}

impl RecoveryReport {
    /// Adds what a part of a recovery did.
    fn add(&mut self, part: &RecoveryReport) {
        self.journals += part.journals;
        self.entries += part.entries;
        self.bytes += part.bytes;
        self.groups_cut += part.groups_cut;
    }
}

/// What recovery did.
#[derive(Debug)]
pub struct Recovered {
    /// For [`StoreSettings::boot`](super::StoreSettings::boot).
    pub boot: Boot,
    /// In order of their ids.
    pub logs: Vec<RecoveredLog>,
    /// For the start-up's log lines.
    pub report: RecoveryReport,
}

/// Figures of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The last boot ended with a clean stop of every shard, or there was none.
    pub clean: bool,
    /// Journals read.
    pub journals: usize,
    /// Entries replayed.
    pub entries: u64,
    /// Bytes of them that went to segments.
    pub bytes: u64,
    /// Groups that were cut off because no one was promised anything about them.
    pub groups_cut: u64,
}

/// Whether a directory of data was ever used: an earlier boot has begun on it.
///
/// # Errors
/// When what says so is damaged or of an unknown format, or the disk fails.
pub fn has_data(disk: &dyn Disk, data_dir: &Path) -> Result<bool, Fatal> {
    Ok(Manifest::read(disk, data_dir)?.is_some())
}

/// Recovers the directories and begins a new boot: blocking, before any shard serves. May be interrupted anywhere
/// and run again.
///
/// # Errors
/// When a journal is damaged that held acknowledged records, or is of an unknown format, or the disk fails: nothing
/// may be served then. The text names file, offset and what to do. A damaged segment takes only its own log
/// [offline](RecoveredLog::offline).
pub fn recover(disk: &dyn Disk, settings: &RecoverySettings) -> Result<Recovered, Fatal> {
    let mut report = RecoveryReport { clean: true, ..RecoveryReport::default() };
    let logs_dir = paths::logs(&settings.data_dir);
    let directories = list(disk, &logs_dir)?;
    let manifest = Manifest::read(disk, &settings.data_dir)?;
    if manifest.is_none() && !directories.is_empty() {
        return Err(Fatal::new(format!(
            "{} holds logs, but {} is missing: without it no one knows which journals belong to them. Restore it, \
             or start with an empty data directory.",
            logs_dir.display(),
            paths::manifest(&settings.data_dir).display()
        )));
    }
    let mut replays = Replays::new();
    if let Some(old) = &manifest {
        report.clean = (0..old.shards).all(|shard| {
            let mark = paths::clean_mark(&settings.data_dir, old.boot.generation, shard);
            matches!(disk.read(&mark), Ok(Some(_)))
        });
        let lengths = list(disk, &settings.journal_dir)?;
        let journal = |shard| {
            let path = paths::journal(&settings.journal_dir, old.boot.generation, shard);
            // Reading one that is missing says so.
            let len = lengths.iter().find(|entry| entry.path == path).map_or(1, |entry| entry.len);
            (path, len)
        };
        let paths = (0..old.shards).map(journal).collect();
        replays = journals::read_all(disk, paths, old.boot, settings.fault, &mut report)?;
    }
    let found = directories.iter().filter_map(|entry| paths::parse_log_directory(&entry.path));
    let ids: BTreeSet<PartitionId> = found.chain(replays.keys().copied()).collect();
    let marks = read_watermarks(disk, settings, manifest.as_ref())?;
    let mut logs = recover_logs(disk, settings, ids, replays, &marks, &mut report)?;
    let generation = manifest.map_or(1, |old| old.boot.generation + 1);
    let boot = Boot { generation, salt: settings.salt };
    let mut of_shards: BTreeMap<u16, Vec<&mut RecoveredLog>> =
        (0..settings.shards).map(|shard| (shard, Vec::new())).collect();
    for log in logs.iter_mut().filter(|log| log.carries()) {
        of_shards.entry(log.id.owner(settings.shards).0).or_default().push(log);
    }
    let written = each(disk, of_shards.into_iter().collect(), |(shard, mine)| {
        carry::write_journal(disk, settings, boot, shard, mine)
    });
    written.into_iter().collect::<Result<(), Fatal>>()?;
    if !marks.is_empty() {
        let marks = logs.iter().filter(|log| marks.contains_key(&log.id));
        let content = watermarks::encode(marks.map(|log| (log.id, log.high_watermark.min(log.end))));
        let path = paths::watermarks(&settings.data_dir, generation, 0);
        disk.replace(&path, &content).map_err(|error| failed("replacing", &path, &error))?;
    }
    Manifest { boot, shards: settings.shards }.write(disk, &settings.data_dir)?;
    remove_retired(disk, settings, generation, &logs)?;
    Ok(Recovered { boot, logs, report })
}

/// Recovers each of the logs with what the journals say of it, in the order of their ids.
fn recover_logs(
    disk: &dyn Disk,
    settings: &RecoverySettings,
    ids: BTreeSet<PartitionId>,
    mut replays: Replays,
    marks: &BTreeMap<PartitionId, Offset>,
    report: &mut RecoveryReport,
) -> Result<Vec<RecoveredLog>, Fatal> {
    let ids = ids.into_iter().map(|id| (id, replays.remove(&id).unwrap_or_default())).collect();
    let recovered = each(disk, ids, |(id, replay)| {
        let mut report = RecoveryReport::default();
        let mut log = logs::recover_log(disk, settings, id, &replay, &mut report)?;
        // What was recorded may be of a log that was deleted.
        if let (Some(log), Some(mark), 0) = (&mut log, marks.get(&id), replay.serial_min) {
            log.high_watermark = log.high_watermark.max(*mark);
        }
        Ok((log, report))
    });
    let mut logs = Vec::new();
    for recovered in recovered {
        let (log, of_one) = recovered?;
        logs.extend(log);
        report.add(&of_one);
    }
    Ok(logs)
}

/// Does something with each of `items`, side by side where the disk does that, and gives what came of it in their order.
fn each<T: Send, R: Send>(disk: &dyn Disk, items: Vec<T>, act: impl Fn(T) -> R + Sync) -> Vec<R> {
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut tasks: Vec<Task<'_>> = Vec::with_capacity(items.len());
    for (item, result) in items.into_iter().zip(&mut results) {
        let act = &act;
        tasks.push(Box::new(move || *result = Some(act(item))));
    }
    disk.carry_out(tasks);
    results.into_iter().map(|result| result.expect("the disk carries out all tasks")).collect()
}

/// What the last boot recorded of high watermarks. A file that is damaged or missing says nothing: then a log goes on
/// from what its checkpoint says.
fn read_watermarks(
    disk: &dyn Disk,
    settings: &RecoverySettings,
    manifest: Option<&Manifest>,
) -> Result<BTreeMap<PartitionId, Offset>, Fatal> {
    let mut marks = BTreeMap::new();
    let Some(old) = manifest else { return Ok(marks) };
    for entry in list(disk, &settings.data_dir)? {
        let of = paths::parse_shard_file(&entry.path, "watermarks-");
        if of.is_none_or(|(generation, _)| generation != old.boot.generation) {
            continue;
        }
        let bytes = disk.read(&entry.path).map_err(|error| failed("reading", &entry.path, &error))?;
        for (id, mark) in bytes.as_deref().and_then(watermarks::decode).unwrap_or_default() {
            let known = marks.entry(id).or_insert(mark);
            *known = mark.max(*known);
        }
    }
    Ok(marks)
}

/// Journals, clean marks and watermarks of other boots, and what was kept of logs that are no longer offline.
fn remove_retired(
    disk: &dyn Disk,
    settings: &RecoverySettings,
    generation: u64,
    logs: &[RecoveredLog],
) -> Result<(), Fatal> {
    for log in logs.iter().filter(|log| log.was_offline && log.offline.is_none()) {
        let path = paths::kept(&paths::log_directory(&settings.data_dir, log.id));
        disk.remove(&path).map_err(|error| failed("removing", &path, &error))?;
    }
    let journals = list(disk, &settings.journal_dir)?.into_iter().map(|entry| ("journal-", entry));
    let marks = list(disk, &settings.data_dir)?.into_iter().map(|entry| ("clean-", entry));
    let watermarks = list(disk, &settings.data_dir)?.into_iter().map(|entry| ("watermarks-", entry));
    let is_retired = |(prefix, path): &(&str, PathBuf)| {
        paths::parse_shard_file(path, prefix).is_some_and(|(of, _)| of != generation)
    };
    let files = journals.chain(marks).chain(watermarks).map(|(prefix, entry)| (prefix, entry.path));
    // To remove a large file takes a while: what is kept of it in memory goes, too.
    let removed = each(disk, files.filter(is_retired).collect(), |(_, path)| {
        disk.remove(&path).map_err(|error| failed("removing", &path, &error))
    });
    removed.into_iter().collect()
}

fn list(disk: &dyn Disk, path: &Path) -> Result<Vec<corelane_seam::DirectoryEntry>, Fatal> {
    disk.list(path).map_err(|error| failed("listing", path, &error))
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Fatal {
    Fatal::new(format!("{doing} {} failed: {error}. Check the disk, then start again.", path.display()))
}
