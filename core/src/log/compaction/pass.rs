//! One cleaning of one log: from the operations' answers to the next operation.

use super::{
    super::{
        Fault,
        index::SegmentIndex,
        partition_log::PartitionLog,
        paths::{self, SegmentName},
        producers::{AbortedTransaction, ProducerStates},
    },
    Cleanable, CleanerSettings, OffsetMap,
    offset_map::Full,
    plan::{Source, groups},
    target::{Replacement, Target, Trouble, files_of, opened, trouble},
    transactions::Transactions,
};
use crate::{
    ids::Offset,
    limits::{COMPACTED_BATCH_BYTES_MAX, COMPACTION_SLICE_BYTES, COMPACTION_WORK_BYTES, INDEX_BYTES_MAX},
    records::{Batch, BatchFault, BatchHeader, Batches, DecodedBatch, Filter, Filtered, Scratch, filter},
};
use corelane_seam::{FileHandle, FileOperation, FileResult, OpenHow};
use std::{
    collections::VecDeque,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    OpenIndex,
    ReadIndex,
    OpenSource,
    Read,
    OpenTarget,
    /// Away with what an earlier pass left in a file of this name.
    Empty,
    Write,
    Flush,
    Index,
    Rename,
    Discard,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Next {
    /// This operation; its answer goes to [`Pass::answered`].
    Ask(Step, FileOperation),
    /// [`Pass::replacement`] takes the place of its segments.
    Swap,
    /// All is clean up to this offset.
    Finished(Offset),
    /// The pass was given up, and nothing of it is left.
    GivenUp,
}

/// Bytes that an answer moved, for the throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub bytes: u64,
}

/// The part that a pass is in.
#[derive(Debug)]
enum Phase {
    /// Indexes of segments in which aborted transactions ended are read, the last of these first.
    Learning(Vec<SegmentName>),
    /// Keys of dirty records are noted.
    Mapping,
    /// What stays is written.
    Cleaning { groups: VecDeque<Range<usize>>, target: Option<Box<Target>> },
    /// Files of a group that was not swapped are removed.
    GivingUp(Vec<PathBuf>),
}

/// What a pass was told at its beginning.
#[derive(Clone, Copy, Debug)]
struct Rules {
    now_ms: i64,
    delete_horizon_ms: i64,
    segment_bytes: u64,
    index_interval_bytes: u32,
    fault: Fault,
}

/// See the module.
pub(crate) struct Pass {
    sources: Vec<Source>,
    first_dirty: Offset,
    /// Behind what the map speaks of.
    end: Offset,
    rules: Rules,
    map: OffsetMap,
    /// Those that were aborted and touch what is cleaned.
    aborted: Vec<AbortedTransaction>,
    transactions: Transactions,
    scratch: Scratch,
    phase: Phase,
    /// The source that is being read, up to where it was, and what the next read must bring at least.
    source: usize,
    file: Option<(FileHandle, usize)>,
    position: u64,
    batch_bytes: usize,
    /// Bytes of records that were gone over in this turn.
    work_bytes: usize,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass({:?}, {:?}, source {} at {})", self.phase, self.map, self.source, self.position)
    }
}

impl Pass {
    /// A pass over what is cleanable of a log, with a secret for its map of keys.
    pub fn new(
        log: &PartitionLog,
        cleanable: Cleanable,
        settings: &CleanerSettings,
        now_ms: i64,
        secret: u64,
        fault: Fault,
    ) -> Pass {
        let Cleanable { first_dirty, sources, .. } = cleanable;
        let end = sources.last().map_or(first_dirty, |last| last.next);
        let keys_max = u64::try_from(end.0 - first_dirty.0).unwrap_or(0);
        let retention_ms = i64::try_from(log.settings.delete_retention_ms).unwrap_or(i64::MAX);
        let (aborted, unread) = aborted_before(log, end);
        Pass {
            sources,
            first_dirty,
            end,
            rules: Rules {
                now_ms,
                delete_horizon_ms: now_ms.saturating_add(retention_ms),
                segment_bytes: log.settings.segment_bytes,
                index_interval_bytes: log.index_interval_bytes(),
                fault,
            },
            map: OffsetMap::new(settings.map_bytes_max, settings.map_load_max, keys_max, secret),
            transactions: Transactions::new(aborted.iter().copied()),
            aborted,
            scratch: Scratch::default(),
            phase: if unread.is_empty() { Phase::Mapping } else { Phase::Learning(unread) },
            source: 0,
            file: None,
            position: 0,
            batch_bytes: 0,
            work_bytes: 0,
        }
    }

    /// What is to be done next, when nothing is under way.
    pub fn next(&mut self, directory: &Path) -> Next {
        loop {
            let next = match &self.phase {
                Phase::Learning(unread) => Some(self.next_of_learning(directory, unread)),
                Phase::Mapping => self.next_of_mapping(directory),
                Phase::Cleaning { .. } => self.next_of_cleaning(directory),
                Phase::GivingUp(paths) => Some(match paths.last() {
                    Some(path) => Next::Ask(Step::Discard, FileOperation::Remove { path: path.clone() }),
                    None => Next::GivenUp,
                }),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    fn next_of_learning(&self, directory: &Path, unread: &[SegmentName]) -> Next {
        let path = paths::index(directory, *unread.last().expect("else it is over"));
        match &self.file {
            None => Next::Ask(Step::OpenIndex, FileOperation::Open { path, how: OpenHow::Read }),
            Some((file, len)) => {
                let operation = FileOperation::Read { file: file.clone(), offset: 0, len: *len };
                Next::Ask(Step::ReadIndex, operation)
            }
        }
    }

    /// Takes what an index says; the last one ends the phase.
    fn learn(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let Phase::Learning(unread) = &mut self.phase else { return Ok(()) };
        let name = unread.pop().expect("it was asked for");
        let index = SegmentIndex::decode(bytes).ok().filter(|index| index.base() == name.base);
        let index = index.ok_or_else(|| {
            Trouble::Uncleanable(format!("the index of the segment that begins at {} is damaged", name.base))
        })?;
        self.aborted.extend(index.aborted());
        self.file = None;
        if unread.is_empty() {
            self.transactions = Transactions::new(self.aborted.iter().copied());
            self.phase = Phase::Mapping;
        }
        Ok(())
    }

    fn next_of_mapping(&mut self, directory: &Path) -> Option<Next> {
        while self.sources.get(self.source).is_some_and(|source| source.next <= self.first_dirty) {
            self.source += 1;
        }
        if let Some(next) = self.next_of_source(directory, self.sources.len()) {
            return Some(next);
        }
        self.end_mapping();
        None
    }

    fn end_mapping(&mut self) {
        self.end = self.map.latest().map_or(self.first_dirty, |latest| latest.plus(1));
        let end = self.end;
        self.sources.retain(|source| source.name.base < end);
        let groups = groups(&self.sources, self.rules.segment_bytes).into();
        self.transactions = Transactions::new(self.aborted.iter().copied());
        self.go_to(0);
        self.phase = Phase::Cleaning { groups, target: None };
    }

    fn go_to(&mut self, source: usize) {
        (self.source, self.file, self.position, self.batch_bytes) = (source, None, 0, 0);
    }

    /// Reads on, up to a source; none there.
    fn next_of_source(&mut self, directory: &Path, end: usize) -> Option<Next> {
        while self.source < end {
            let source = self.sources[self.source];
            let Some((file, _)) = self.file.clone() else {
                let path = paths::segment(directory, source.name);
                return Some(Next::Ask(Step::OpenSource, FileOperation::Open { path, how: OpenHow::Read }));
            };
            if self.position < source.bytes {
                let len = self.asked(source.bytes - self.position);
                let operation = FileOperation::Read { file, offset: self.position, len };
                return Some(Next::Ask(Step::Read, operation));
            }
            if matches!(self.phase, Phase::Mapping) {
                self.map.passed(Offset(source.next.0 - 1));
            }
            self.go_to(self.source + 1);
        }
        None
    }

    fn next_of_cleaning(&mut self, directory: &Path) -> Option<Next> {
        let Phase::Cleaning { groups, target } = &mut self.phase else { return None };
        let Some(target) = target else {
            let Some(group) = groups.pop_front() else { return Some(Next::Finished(self.end)) };
            let first = group.start;
            let made = Target::new(group, &self.sources, self.rules.index_interval_bytes);
            *target = Some(Box::new(made));
            self.go_to(first);
            return None;
        };
        if let Some(next) = target.next_of_file(directory) {
            return Some(next);
        }
        let end = target.group.end;
        if let Some(next) = self.next_of_source(directory, end) {
            return Some(next);
        }
        let Phase::Cleaning { target, .. } = &mut self.phase else { return None };
        let made = target.as_deref().expect("looked at above");
        if made.is_different {
            return Some(made.next_of_end(directory));
        }
        let path = paths::cleaned(directory, made.name);
        Some(Next::Ask(Step::Discard, FileOperation::Remove { path }))
    }

    /// Takes the answer to what was asked last.
    pub fn answered(
        &mut self,
        step: Step,
        result: FileResult,
        producers: &ProducerStates,
    ) -> Result<Answered, Trouble> {
        let mut bytes = 0;
        match (step, result) {
            (Step::OpenSource | Step::OpenIndex, FileResult::Opened(result)) => {
                let (file, length) = opened(result)?;
                self.file = Some((file, usize::try_from(length).unwrap_or(usize::MAX).min(INDEX_BYTES_MAX)));
            }
            (Step::ReadIndex, FileResult::Read(result)) => {
                let slice = result.map_err(trouble)?;
                bytes = slice.len() as u64;
                self.learn(&slice)?;
            }
            (Step::Read, FileResult::Read(result)) => {
                let slice = result.map_err(trouble)?;
                bytes = slice.len() as u64;
                self.take(&slice, producers).map_err(|why| self.damaged(&why))?;
            }
            (Step::Discard, FileResult::Done(result)) => self.discarded(result)?,
            (step, result) => {
                let target = self.target().expect("a file is being made");
                bytes = target.answered(step, result)?;
            }
        }
        Ok(Answered { bytes })
    }

    fn target(&mut self) -> Option<&mut Target> {
        match &mut self.phase {
            Phase::Cleaning { target, .. } => target.as_deref_mut(),
            Phase::Learning(_) | Phase::Mapping | Phase::GivingUp(_) => None,
        }
    }

    fn discarded(&mut self, result: io::Result<()>) -> Result<(), Trouble> {
        match &mut self.phase {
            // A start removes what cannot be removed now.
            Phase::GivingUp(paths) => drop(paths.pop()),
            Phase::Cleaning { target, .. } => {
                *target = None;
                result.map_err(trouble)?;
            }
            Phase::Learning(_) | Phase::Mapping => {}
        }
        Ok(())
    }

    fn damaged(&self, why: &str) -> Trouble {
        let name = self.sources[self.source].name;
        Trouble::Uncleanable(format!(
            "the segment that begins at {} is damaged at position {}: {why}",
            name.base, self.position
        ))
    }

    /// Goes over the whole batches of a slice.
    fn take(&mut self, slice: &[u8], producers: &ProducerStates) -> Result<(), String> {
        let left = self.sources[self.source].bytes - self.position;
        if slice.len() < self.asked(left) {
            return Err("the file is shorter than it was".to_owned());
        }
        let mut batches = Batches::new(slice);
        (self.batch_bytes, self.work_bytes) = (0, 0);
        let from = self.position;
        while let Some(batch) = batches.next() {
            let batch = match batch {
                Ok(batch) => batch,
                Err(BatchFault::Truncated { need, .. }) => {
                    let is_there = need as u64 <= left - (self.position - from);
                    self.batch_bytes = need;
                    return if is_there { Ok(()) } else { Err("a batch is cut short".to_owned()) };
                }
                Err(fault @ (BatchFault::Length(_) | BatchFault::Magic(_))) => return Err(fault.to_string()),
            };
            if !batch.checksum_matches() {
                return Err("a batch's checksum does not match".to_owned());
            }
            if matches!(self.phase, Phase::Mapping) {
                if self.map_batch(&batch)? == Some(Full) {
                    // What follows is for another pass.
                    self.source = self.sources.len();
                    return Ok(());
                }
            } else {
                self.clean_batch(batch, producers)?;
            }
            self.position = from + batches.position() as u64;
            if self.work_bytes >= COMPACTION_WORK_BYTES {
                // The shard's others wait; the next read begins here.
                break;
            }
        }
        Ok(())
    }

    /// Bytes that are read at once of those that are left: a slice, or the batch that is larger.
    fn asked(&self, left: u64) -> usize {
        COMPACTION_SLICE_BYTES.max(self.batch_bytes).min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    fn map_batch(&mut self, batch: &Batch<'_>) -> Result<Option<Full>, String> {
        let header = batch.header();
        if header.last_offset() < self.first_dirty {
            return Ok(None);
        }
        let may_go = self.transactions.pass(batch, &mut self.scratch);
        if !header.is_control() && !may_go {
            let decoded = decode(*batch, &mut self.scratch)?;
            self.work_bytes += decoded.records_bytes();
            for record in decoded.records() {
                let record = record.map_err(|fault| fault.to_string())?;
                let keeps_first = self.rules.fault == Fault::KeepFirstOfKey;
                if keeps_first && record.key.is_some_and(|key| self.map.get(key).is_some()) {
                    continue;
                }
                if let Some(key) = record.key
                    && record.offset >= self.first_dirty
                    && self.map.put(key, record.offset).is_err()
                {
                    return Ok(Some(Full));
                }
            }
        }
        self.map.passed(header.last_offset());
        Ok(None)
    }

    fn clean_batch(&mut self, batch: Batch<'_>, producers: &ProducerStates) -> Result<(), String> {
        let Phase::Cleaning { target: Some(target), .. } = &mut self.phase else { return Ok(()) };
        let header = batch.header();
        let may_go = self.transactions.pass(&batch, &mut self.scratch);
        let now_ms = self.rules.now_ms;
        let horizon_passed = header.delete_horizon_ms().is_some_and(|horizon_ms| horizon_ms <= now_ms);
        let all_go = may_go && (!header.is_control() || horizon_passed);
        let how = Filter {
            keeps_header: header.next_offset() == target.next || is_last_of_producer(header, producers),
            // A cleaning that passed a part of a batch only has not passed its tombstones.
            delete_horizon_ms: (header.last_offset() < self.end).then_some(self.rules.delete_horizon_ms),
            is_spent_marker: may_go && header.is_control(),
        };
        let (map, end, fault) = (&self.map, self.end, self.rules.fault);
        let decoded = decode(batch, &mut self.scratch)?;
        self.work_bytes += decoded.records_bytes();
        let filtered = filter(&decoded, how, |record| {
            if all_go || header.is_control() {
                return !all_go;
            }
            if record.offset >= end {
                return true;
            }
            // Keyless records are of a time when the topic was not compacted.
            let is_last = record.key.is_some_and(|key| match (map.get(key), fault) {
                (Some(first), Fault::KeepFirstOfKey) => record.offset <= first,
                (last, _) => last.is_none_or(|last| record.offset >= last),
            });
            is_last && (record.value.is_some() || !horizon_passed)
        });
        match filtered.map_err(|fault| fault.to_string())? {
            Filtered::Unchanged => target.push(batch.bytes()),
            Filtered::Rewritten(bytes) => {
                target.is_different = true;
                target.push(&bytes)
            }
            Filtered::Removed => {
                target.is_different = true;
                Ok(())
            }
        }
    }

    /// Whether what is being read still is a part of the log.
    pub fn is_source_of(&self, log: &PartitionLog) -> bool {
        if let Phase::Learning(unread) = &self.phase {
            return unread.iter().all(|name| log.segments.iter().any(|segment| segment.name() == *name));
        }
        let Some(source) = self.sources.get(self.source) else { return true };
        log.segments.iter().any(|segment| segment.name() == source.name && segment.next > log.start)
    }

    /// The file that is whole, when [`next`](Self::next) says so.
    pub fn replacement(&mut self) -> Option<Replacement> {
        let Phase::Cleaning { target, .. } = &mut self.phase else { return None };
        let target = target.take()?;
        let of = self.sources[target.group.clone()].iter().map(|source| source.name).collect();
        Some(target.into_replacement(of))
    }

    /// Stops: what was made and not swapped is removed.
    pub fn give_up(&mut self, directory: &Path) {
        self.file = None;
        let made = match &self.phase {
            Phase::Cleaning { target: Some(target), .. } => Some(target.name),
            Phase::Cleaning { target: None, .. } | Phase::Learning(_) | Phase::Mapping => None,
            Phase::GivingUp(_) => return,
        };
        let paths = made.map(|name| files_of(directory, name)).unwrap_or_default();
        self.phase = Phase::GivingUp(paths);
    }

    /// The same, for a file that was whole and could not be swapped.
    pub fn give_up_replacement(&mut self, directory: &Path, name: SegmentName) {
        self.phase = Phase::GivingUp(files_of(directory, name));
    }
}

/// The aborted transactions that touch what lies below `end`, as far as memory knows, and the segments whose indexes
/// tell of others. All of them have ended, maybe further on.
fn aborted_before(log: &PartitionLog, end: Offset) -> (Vec<AbortedTransaction>, Vec<SegmentName>) {
    let (mut known, mut unread) = (Vec::new(), Vec::new());
    for segment in &log.segments {
        match &segment.index {
            _ if !segment.has_aborted => {}
            Some(index) => known.extend(index.aborted()),
            None => unread.push(segment.name()),
        }
        if log.open_from(segment) >= end {
            break;
        }
    }
    (known, unread)
}

fn decode<'a>(batch: Batch<'a>, scratch: &mut Scratch) -> Result<DecodedBatch<'a>, String> {
    DecodedBatch::within(batch, COMPACTED_BATCH_BYTES_MAX, scratch).map_err(|fault| fault.to_string())
}

/// Whether a batch is the last witness of its producer's sequence or epoch.
fn is_last_of_producer(header: &BatchHeader, producers: &ProducerStates) -> bool {
    let Some(known) = header.producer().and_then(|batch| producers.get(batch.id)) else { return false };
    match known.batches.last() {
        Some(last) => last.last_offset == header.last_offset(),
        None => header.is_control() && header.producer_epoch() == known.epoch,
    }
}
