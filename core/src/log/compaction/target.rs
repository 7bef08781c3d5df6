//! The file that takes the place of segments: written, flushed, indexed, and then given their name.

use super::{
    super::{
        index::SegmentIndex,
        paths::{self, SegmentName},
        segment::{Segment, Stage},
    },
    pass::{Next, Step},
    plan::Source,
};
use crate::{ids::Offset, records::BatchHeader};
use corelane_seam::{FileHandle, FileOperation, FileResult, Flush, OpenHow, Slice};
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

/// A new file is flushed once so many bytes were written to it, so that no flush is a large one.
const FLUSH_BYTES: u64 = 4 * 1024 * 1024;

/// Why a pass cannot go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The disk is full: later, maybe.
    Full,
    /// This log is not to be cleaned again before a restart.
    Uncleanable(String),
}

/// A finished file, and the segments whose place it takes.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub of: Vec<SegmentName>,
    pub name: SegmentName,
    pub next: Offset,
    pub index: SegmentIndex,
    pub first_timestamp_ms: Option<i64>,
}

impl Replacement {
    /// The segment that it is from now on.
    ///
    /// `open_from` is that of the last segment whose place it takes.
    pub fn into_segment(self, first_append_ms: i64, open_from: Offset) -> Segment {
        let SegmentName { base, serial, cleaning } = self.name;
        let mut segment = Segment::new(base, serial, 0, 0);
        let bytes = u64::from(self.index.observed_bytes());
        (segment.cleaning, segment.next, segment.bytes) = (cleaning, self.next, bytes);
        (segment.written, segment.flushed, segment.allocated) = (bytes, bytes, bytes);
        (segment.max_timestamp, segment.first_append_ms) = (self.index.max_timestamp(), first_append_ms);
        segment.first_timestamp_ms = self.first_timestamp_ms;
        (segment.stage, segment.in_tail, segment.index) = (Stage::Closed, false, None);
        segment.open_from = open_from;
        segment
    }
}

/// The file that a group of segments becomes.
#[derive(Debug)]
pub(super) struct Target {
    pub group: Range<usize>,
    pub name: SegmentName,
    /// The offset behind the group: the batch that ends there stays, empty if need be.
    pub next: Offset,
    file: Option<FileHandle>,
    is_emptied: bool,
    index: SegmentIndex,
    first_timestamp_ms: Option<i64>,
    /// Of the last slice, not written yet.
    pending: Vec<u8>,
    written: u64,
    flushed: u64,
    has_index: bool,
    is_renamed: bool,
    /// Something went, or was dated, or segments become one.
    pub is_different: bool,
}

impl Target {
    /// The file of a group that nothing is known of yet.
    pub fn new(group: Range<usize>, sources: &[Source], index_interval_bytes: u32) -> Target {
        let all = &sources[group.clone()];
        let (first, last) = (all.first().expect("a group has one"), all.last().expect("a group has one"));
        let cleaning = all.iter().map(|source| source.name.cleaning).max().unwrap_or(0) + 1;
        let name = SegmentName { base: first.name.base, serial: last.name.serial, cleaning };
        Target {
            is_different: group.len() > 1,
            group,
            name,
            next: last.next,
            file: None,
            is_emptied: true,
            index: SegmentIndex::new(name.base, index_interval_bytes),
            first_timestamp_ms: None,
            pending: Vec::new(),
            written: 0,
            flushed: 0,
            has_index: false,
            is_renamed: false,
        }
    }

    /// Takes a batch that stays.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        let header = BatchHeader::view(bytes).expect("a whole batch");
        let position = self.written + self.pending.len() as u64;
        self.index.observe(header, position).map_err(|why| why.to_string())?;
        if self.first_timestamp_ms.is_none() {
            self.first_timestamp_ms = Some(header.max_timestamp_ms());
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// What the file needs before more of the sources is read.
    pub fn next_of_file(&self, directory: &Path) -> Option<Next> {
        let Some(file) = self.file.clone() else {
            let path = paths::cleaned(directory, self.name);
            return Some(Next::Ask(Step::OpenTarget, FileOperation::Open { path, how: OpenHow::Buffered }));
        };
        if !self.is_emptied {
            return Some(Next::Ask(Step::Empty, FileOperation::SetLength { file, len: 0 }));
        }
        if !self.pending.is_empty() {
            let data = Slice::copy_from(&self.pending);
            let operation = FileOperation::Write { file, offset: self.written, data, flush: Flush::No };
            return Some(Next::Ask(Step::Write, operation));
        }
        let is_much = self.written - self.flushed >= FLUSH_BYTES;
        is_much.then(|| Next::Ask(Step::Flush, FileOperation::Flush { file }))
    }

    /// What the file needs when all of it is written.
    pub fn next_of_end(&self, directory: &Path) -> Next {
        if self.flushed < self.written {
            let file = self.file.clone().expect("opened before it was written");
            return Next::Ask(Step::Flush, FileOperation::Flush { file });
        }
        if !self.has_index {
            let path = paths::index(directory, self.name);
            let data = Slice::copy_from(&self.index.encode());
            return Next::Ask(Step::Index, FileOperation::Replace { path, data });
        }
        if !self.is_renamed {
            let from = paths::cleaned(directory, self.name);
            let to = paths::segment(directory, self.name);
            return Next::Ask(Step::Rename, FileOperation::Rename { from, to });
        }
        Next::Swap
    }

    /// Whole, it takes the place of these.
    pub fn into_replacement(self, of: Vec<SegmentName>) -> Replacement {
        let Target { name, next, index, first_timestamp_ms, .. } = self;
        Replacement { of, name, next, index, first_timestamp_ms }
    }

    /// Takes the disk's answer. Gives the bytes that were written.
    pub fn answered(&mut self, step: Step, result: FileResult) -> Result<u64, Trouble> {
        match (step, result) {
            (Step::OpenTarget, FileResult::Opened(result)) => {
                let (file, length) = opened(result)?;
                (self.file, self.is_emptied) = (Some(file), length == 0);
            }
            (Step::Empty, FileResult::Done(result)) => {
                result.map_err(trouble)?;
                self.is_emptied = true;
            }
            (Step::Write, FileResult::Written(result)) => {
                result.map_err(trouble)?;
                let bytes = self.pending.len() as u64;
                self.written += bytes;
                self.pending.clear();
                return Ok(bytes);
            }
            (Step::Flush, FileResult::Flushed(result)) => {
                result.map_err(trouble)?;
                self.flushed = self.written;
            }
            (Step::Index, FileResult::Done(result)) => {
                if self.index.next_offset() != self.next {
                    let why = format!("it would end at {}, not at {}", self.index.next_offset(), self.next);
                    return Err(Trouble::Uncleanable(why));
                }
                result.map_err(trouble)?;
                self.has_index = true;
            }
            (Step::Rename, FileResult::Done(result)) => {
                result.map_err(trouble)?;
                self.is_renamed = true;
            }
            (step, result) => panic!("{step:?} was answered with {result:?}"),
        }
        Ok(0)
    }
}

/// All that may be there of a file in the making.
pub(super) fn files_of(directory: &Path, name: SegmentName) -> Vec<PathBuf> {
    vec![paths::index(directory, name), paths::segment(directory, name), paths::cleaned(directory, name)]
}

/// An open file and its length.
pub(super) fn opened(result: io::Result<(FileHandle, u64)>) -> Result<(FileHandle, u64), Trouble> {
    result.map_err(trouble)
}

/// What an error of the disk means for a pass.
pub(super) fn trouble(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::StorageFull => Trouble::Full,
        _ => Trouble::Uncleanable(error.to_string()),
    }
}
