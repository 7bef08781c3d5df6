//! From the segments back to the log, blocking, before the quorum starts.

use super::format::{
    Frame, Salt, StreamState, encode, find_group, frame, read, segment_number, segment_path,
};
use crate::types::{RaftEntry, StoredPayload};
use corelane_core::{error::Fatal, metadata::Batch};
use corelane_seam::Disk;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::Path,
};

/// A segment, as far as the log must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The highest index of an entry in it: once that is purged, the segment can go.
    pub index_max: Option<u64>,
}

/// What the segments say.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// At the end of the stream.
    pub state: StreamState,
    /// The entries behind the purged one, without gaps.
    pub entries: BTreeMap<u64, RaftEntry>,
    /// In order; the last one is appended to. Never empty.
    pub segments: VecDeque<Segment>,
}

fn failed(path: &Path, what: &str, error: &io::Error) -> Fatal {
    Fatal::new(format!("{what} {} failed: {error}. Check the disk, then start again", path.display()))
}

fn damaged(path: &Path, offset: usize, reason: &str) -> Fatal {
    Fatal::new(format!(
        "{} is damaged at offset {offset}: {reason}. What stands there was flushed and may have been acknowledged, \
         so it is not cut off. Restore the directory from a copy; a voter of a larger quorum can be removed, emptied \
         and added again",
        path.display()
    ))
}

/// Writes the first segment of an empty log, durably. For formatting a directory.
pub(crate) fn create(disk: &dyn Disk, directory: &Path, salt: Salt) -> Result<(), Fatal> {
    let entries = disk.list(directory).map_err(|error| failed(directory, "listing", &error))?;
    for old in entries.iter().filter(|entry| segment_number(&entry.path).is_some()) {
        disk.remove(&old.path).map_err(|error| failed(&old.path, "removing", &error))?;
    }
    let mut bytes = Vec::new();
    let open = Frame::Open { previous_bytes: None, state: StreamState::default() };
    frame(&mut bytes, salt, 1, 0, &encode(&open));
    let path = segment_path(directory, 1);
    disk.write_at(&path, 0, &bytes).map_err(|error| failed(&path, "writing", &error))?;
    disk.flush(&path).map_err(|error| failed(&path, "flushing", &error))
}

/// Reads all segments, cuts what was written but never promised, and makes what is left durable.
///
/// # Errors
/// When flushed bytes are damaged or missing, naming file and offset; or when the disk fails.
pub(crate) fn recover(disk: &dyn Disk, directory: &Path, salt: Salt) -> Result<Recovered, Fatal> {
    let listed = disk.list(directory).map_err(|error| failed(directory, "listing", &error))?;
    let numbers: Vec<u64> = listed.iter().filter_map(|entry| segment_number(&entry.path)).collect();
    let mut replay = Replay { salt, state: None, entries: BTreeMap::new(), segments: VecDeque::new() };
    for (place, number) in numbers.iter().copied().enumerate() {
        let path = segment_path(directory, number);
        if let Some(before) = replay.segments.back()
            && before.number + 1 != number
        {
            return Err(Fatal::new(format!(
                "{} does not follow segment {}: what lies between them is missing. Restore the directory from a copy",
                path.display(),
                before.number
            )));
        }
        let bytes = disk.read(&path).map_err(|error| failed(&path, "reading", &error))?.ok_or_else(|| {
            Fatal::new(format!(
                "{} vanished while it was read. Stop whoever removes files there, then start again",
                path.display()
            ))
        })?;
        let is_last = place + 1 == numbers.len();
        replay.segment(disk, &path, number, &bytes, is_last)?;
    }
    let (Some(state), false) = (replay.state, replay.segments.is_empty()) else {
        return Err(Fatal::new(format!(
            "{} is formatted but holds no readable log segment. Restore it from a copy",
            directory.display()
        )));
    };
    let recovered = Recovered { state, entries: replay.entries, segments: replay.segments };
    recovered.check_no_gap(directory)?;
    Ok(recovered)
}

impl Recovered {
    fn check_no_gap(&self, directory: &Path) -> Result<(), Fatal> {
        let first = self.state.purged.map_or(0, |purged| purged.index + 1);
        let count = self.entries.len() as u64;
        let is_whole = match (self.entries.first_key_value(), self.state.last) {
            (None, last) => last == self.state.purged,
            (Some((low, _)), Some(last)) => *low == first && low + count == last.index + 1,
            (Some(_), None) => false,
        };
        if is_whole {
            return Ok(());
        }
        Err(Fatal::new(format!(
            "the log in {} should hold entries {first} to {:?}, but holds {count} beginning with {:?}: segments are \
             missing. Restore the directory from a copy",
            directory.display(),
            self.state.last.map(|last| last.index),
            self.entries.keys().next(),
        )))
    }
}

/// Makes what was read of the last segment durable, in a new file under its name.
///
/// It may stand in the page cache only, and a flush would not mend that: after a failed one the kernel takes the pages
/// for clean, shows them to whoever reads, and lets the next flush succeed without them. Every segment before the
/// last is durable already: the next one is begun only after a flush of all of it, or after it was restated here. The
/// replacement flushes the directory as well, and with it what an earlier process renamed there but could not flush.
fn restate(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), Fatal> {
    disk.replace(path, bytes).map_err(|error| failed(path, "rewriting", &error))
}

struct Replay {
    salt: Salt,
    /// None before the first segment's first frame.
    state: Option<StreamState>,
    entries: BTreeMap<u64, RaftEntry>,
    segments: VecDeque<Segment>,
}

impl Replay {
    fn segment(
        &mut self,
        disk: &dyn Disk,
        path: &Path,
        number: u64,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<(), Fatal> {
        let mut segment = Segment { number, bytes: 0, index_max: None };
        let mut offset = 0;
        while offset < bytes.len() || offset == 0 {
            match read(bytes, self.salt, number, offset) {
                Ok((frame, next)) => {
                    self.frame(frame, offset, &mut segment)
                        .map_err(|reason| damaged(path, offset, &reason))?;
                    offset = next;
                }
                Err(reason) if is_last && find_group(bytes, self.salt, number, offset).is_none() => {
                    return self.cut(disk, path, segment, &bytes[..offset], &reason);
                }
                Err(reason) => return Err(damaged(path, offset, &reason)),
            }
        }
        segment.bytes = bytes.len() as u64;
        self.segments.push_back(segment);
        if is_last { restate(disk, path, bytes) } else { Ok(()) }
    }

    /// Cuts the last segment behind `kept`.
    fn cut(
        &mut self,
        disk: &dyn Disk,
        path: &Path,
        mut segment: Segment,
        kept: &[u8],
        reason: &str,
    ) -> Result<(), Fatal> {
        let offset = kept.len();
        tracing::info!(path = %path.display(), offset, reason, "cut an unflushed end of the metadata log");
        if offset > 0 {
            segment.bytes = offset as u64;
            self.segments.push_back(segment);
            return restate(disk, path, kept);
        }
        if self.segments.is_empty() {
            // The first segment is flushed when the directory is formatted; a later one, before older ones go.
            return Err(damaged(path, offset, reason));
        }
        disk.remove(path).map_err(|error| failed(path, "removing", &error))
    }

    fn frame(&mut self, frame: Frame, offset: usize, segment: &mut Segment) -> Result<(), String> {
        let is_open = matches!(frame, Frame::Open { .. });
        if is_open != (offset == 0) {
            return Err("the frame that opens a segment is not the first, or not the only one".to_owned());
        }
        if let Frame::Open { previous_bytes, state } = &frame {
            let before = self.segments.back().map(|before| before.bytes);
            // Segments before the first one that is left were removed.
            if before.is_some() && *previous_bytes != before {
                return Err(format!("the segment before has {before:?} bytes, not {previous_bytes:?}"));
            }
            self.state.get_or_insert(*state);
        }
        let state = self.state.as_mut().ok_or("a frame before the one that opens a segment")?;
        state.follow(&frame)?;
        match frame {
            Frame::Open { .. } | Frame::Group | Frame::Vote(_) | Frame::Committed(_) => {}
            Frame::Entry(entry) => {
                let index = entry.id.index;
                if let StoredPayload::Batch(bytes) = &entry.payload {
                    // Found now, it is a refusal with a place; found when applied, the node would already serve.
                    Batch::decode(bytes).map_err(|error| format!("entry {index}: {error}"))?;
                }
                segment.index_max = segment.index_max.max(Some(index));
                self.entries.insert(index, entry.into_entry()?);
            }
            Frame::Truncate(last) => {
                let keep = last.map_or(0, |last| last.index + 1);
                self.entries.split_off(&keep);
            }
            Frame::Purge(upto) => self.entries = self.entries.split_off(&(upto.index + 1)),
        }
        Ok(())
    }
}
