//! What the log's files are called.
//!
//! ```text
//! <data>/manifest                                  generation, shards, salt
//! <data>/clean-<generation>-<shard>                a shard's clean stop
//! <data>/watermarks-<generation>-<shard>           high watermarks of replicated logs
//! <journals>/journal-<generation>-<shard>
//! <data>/logs/<topic id>-<partition>/checkpoint
//! <data>/logs/<topic id>-<partition>/kept             only of a log that is offline
//! <data>/logs/<topic id>-<partition>/<segment>.log and .index
//! <data>/logs/<topic id>-<partition>/<segment>.point       only of an active segment
//! <data>/logs/<topic id>-<partition>/<segment>.cleaned     in the making
//! ```
//!
//! A segment is called `<base offset, 20 digits>-<serial, 8 hex digits>`, and once compaction has rewritten it
//! `<base offset>-<serial>-<cleaning, 8 hex digits>`.
//!
//! Topic ids are 32 hexadecimal digits: Kafka's base64 holds letters that differ only in case. The serial counts a
//! log's segments, so that a segment made after a truncation never takes the name of one that was cut away. Where
//! compaction makes one of several, it has the base offset of the first and the serial of the last, and so its name
//! says whose place it takes: that of all with a serial up to its own and a base offset from its own on.

use crate::ids::{Offset, PartitionId, TopicId};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use uuid::Uuid;

pub(super) fn manifest(data: &Path) -> PathBuf {
    data.join("manifest")
}

pub(super) fn clean_mark(data: &Path, generation: u64, shard: u16) -> PathBuf {
    data.join(format!("clean-{generation:016x}-{shard:04x}"))
}

/// See [`watermarks`](super::watermarks).
pub(super) fn watermarks(data: &Path, generation: u64, shard: u16) -> PathBuf {
    data.join(format!("watermarks-{generation:016x}-{shard:04x}"))
}

pub(super) fn journal(journals: &Path, generation: u64, shard: u16) -> PathBuf {
    journals.join(format!("journal-{generation:016x}-{shard:04x}"))
}

pub(super) fn logs(data: &Path) -> PathBuf {
    data.join("logs")
}

pub(super) fn log_directory(data: &Path, id: PartitionId) -> PathBuf {
    logs(data).join(format!("{}-{}", id.topic.0.simple(), id.index))
}

pub(super) fn checkpoint(directory: &Path) -> PathBuf {
    directory.join("checkpoint")
}

pub(super) fn kept(directory: &Path) -> PathBuf {
    directory.join("kept")
}

/// What a segment is called. No two files of a log ever bear the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// Offset of its first record, before compaction.
    pub base: Offset,
    /// Its number in the log.
    pub serial: u32,
    /// How often it was rewritten, or one of those that became one in it.
    pub cleaning: u32,
}

impl SegmentName {
    /// As it was written first.
    pub fn original(base: Offset, serial: u32) -> SegmentName {
        SegmentName { base, serial, cleaning: 0 }
    }

    /// Whether it was written to take the place of `other`.
    pub fn supersedes(&self, other: &SegmentName) -> bool {
        self.cleaning > 0
            && other.base >= self.base
            && (other.serial, other.cleaning) < (self.serial, self.cleaning)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:08x}", self.base.0, self.serial)?;
        if self.cleaning > 0 { write!(f, "-{:08x}", self.cleaning) } else { Ok(()) }
    }
}

/// The kinds of a segment's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Log,
    Index,
    Point,
    Cleaned,
}

pub(super) fn segment(directory: &Path, name: SegmentName) -> PathBuf {
    directory.join(format!("{name}.log"))
}

pub(super) fn index(directory: &Path, name: SegmentName) -> PathBuf {
    directory.join(format!("{name}.index"))
}

/// See [`recovery_point`](super::recovery_point).
pub(super) fn point(directory: &Path, name: SegmentName) -> PathBuf {
    directory.join(format!("{name}.point"))
}

/// A segment that compaction is writing.
pub(super) fn cleaned(directory: &Path, name: SegmentName) -> PathBuf {
    directory.join(format!("{name}.cleaned"))
}

/// The partition of a log's directory, if the name is one of ours.
pub(super) fn parse_log_directory(path: &Path) -> Option<PartitionId> {
    let (topic, index) = path.file_name()?.to_str()?.split_once('-')?;
    let topic = TopicId((topic.len() == 32).then(|| Uuid::try_parse(topic).ok()).flatten()?);
    Some(PartitionId { topic, index: index.parse().ok().filter(|index| *index >= 0)? })
}

/// The segment of a file and which of its files it is, if the name is one of ours.
pub(super) fn parse_segment(path: &Path) -> Option<(SegmentName, Kind)> {
    let (name, kind) = path.file_name()?.to_str()?.rsplit_once('.')?;
    let kind = match kind {
        "log" => Kind::Log,
        "index" => Kind::Index,
        "point" => Kind::Point,
        "cleaned" => Kind::Cleaned,
        _ => return None,
    };
    let hex = |text: &str| (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok()).flatten();
    let (base, rest) = name.split_once('-')?;
    let (serial, cleaning) = rest.split_once('-').map_or((rest, None), |(serial, rest)| (serial, Some(rest)));
    let base = (base.len() == 20).then(|| base.parse().ok()).flatten()?;
    let cleaning = cleaning.map_or(Some(0), |text| hex(text).filter(|cleaning| *cleaning > 0))?;
    Some((SegmentName { base: Offset(base), serial: hex(serial)?, cleaning }, kind))
}

/// Generation and shard of a journal or of a clean mark (by its `prefix`), if the name is one of ours.
pub(super) fn parse_shard_file(path: &Path, prefix: &str) -> Option<(u64, u16)> {
    let rest = path.file_name()?.to_str()?.strip_prefix(prefix)?;
    let (generation, shard) = rest.split_once('-')?;
    let generation = (generation.len() == 16).then(|| u64::from_str_radix(generation, 16).ok()).flatten()?;
    let shard = (shard.len() == 4).then(|| u16::from_str_radix(shard, 16).ok()).flatten()?;
    Some((generation, shard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        let id = PartitionId { topic: TopicId(Uuid::from_u128(0xABCD << 70)), index: 17 };
        let directory = log_directory(Path::new("/d"), id);
        assert_eq!(parse_log_directory(&directory), Some(id));
        for cleaning in [0, 1, 0xABCD] {
            let name = SegmentName { base: Offset(42), serial: 7, cleaning };
            assert_eq!(parse_segment(&segment(&directory, name)), Some((name, Kind::Log)));
            assert_eq!(parse_segment(&index(&directory, name)), Some((name, Kind::Index)));
            assert_eq!(parse_segment(&point(&directory, name)), Some((name, Kind::Point)));
            assert_eq!(parse_segment(&cleaned(&directory, name)), Some((name, Kind::Cleaned)));
        }
        assert_eq!(parse_shard_file(&journal(Path::new("/j"), 3, 2), "journal-"), Some((3, 2)));
        assert_eq!(parse_shard_file(&clean_mark(Path::new("/d"), 3, 2), "clean-"), Some((3, 2)));
    }

    #[test]
    fn foreign_names_are_left_alone() {
        for name in ["x-1", "lost+found", "0123-4", "00000000000000000000000000000001--1"] {
            assert_eq!(parse_log_directory(Path::new(name)), None, "{name}");
        }
        for name in [
            "5.log",
            "00000000000000000042-1.log",
            "00000000000000000042-00000001.log.tmp",
            "00000000000000000042-00000001-00000000.log",
            "00000000000000000042-00000001-00000002-00000003.log",
        ] {
            assert_eq!(parse_segment(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_rewritten_segment_takes_the_place_of_what_it_was_made_of() {
        let name = |base, serial, cleaning| SegmentName { base: Offset(base), serial, cleaning };
        let merged = name(10, 5, 2);
        for (other, expected) in [
            (name(10, 3, 0), true),
            (name(20, 4, 1), true),
            (name(30, 5, 0), true),
            (name(30, 5, 1), true),
            (merged, false),
            (name(0, 2, 0), false),
            (name(40, 6, 0), false),
            (name(10, 5, 3), false),
        ] {
            assert_eq!(merged.supersedes(&other), expected, "{other}");
        }
        assert!(!name(10, 5, 0).supersedes(&name(10, 3, 0)), "it was not made of anything");
    }
}
