//! What the log's files are called.
//!
//! ```text
//! <data>/manifest                                  generation, shards, salt
//! <data>/clean-<generation>-<shard>                a shard's clean stop
//! <journals>/journal-<generation>-<shard>
//! <data>/logs/<topic id>-<partition>/checkpoint
//! <data>/logs/<topic id>-<partition>/kept             only of a log that is offline
//! <data>/logs/<topic id>-<partition>/<base offset, 20 digits>-<serial, 8 hex digits>.log and .index
//! ```
//!
//! Topic ids are 32 hexadecimal digits: Kafka's base64 holds letters that differ only in case. The serial counts a
//! log's segments, so that a segment made after a truncation never takes the name of one that was cut away.

use crate::ids::{Offset, PartitionId, TopicId};
use std::path::{Path, PathBuf};
use uuid::Uuid;

pub(super) fn manifest(data: &Path) -> PathBuf {
    data.join("manifest")
}

pub(super) fn clean_mark(data: &Path, generation: u64, shard: u16) -> PathBuf {
    data.join(format!("clean-{generation:016x}-{shard:04x}"))
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

pub(super) fn segment(directory: &Path, base: Offset, serial: u32) -> PathBuf {
    directory.join(format!("{:020}-{serial:08x}.log", base.0))
}

pub(super) fn index(directory: &Path, base: Offset, serial: u32) -> PathBuf {
    directory.join(format!("{:020}-{serial:08x}.index", base.0))
}

/// The partition of a log's directory, if the name is one of ours.
pub(super) fn parse_log_directory(path: &Path) -> Option<PartitionId> {
    let (topic, index) = path.file_name()?.to_str()?.split_once('-')?;
    let topic = TopicId((topic.len() == 32).then(|| Uuid::try_parse(topic).ok()).flatten()?);
    Some(PartitionId { topic, index: index.parse().ok().filter(|index| *index >= 0)? })
}

/// Base offset and serial of a segment's file, if the name is one of ours.
pub(super) fn parse_segment(path: &Path) -> Option<(Offset, u32)> {
    let (base, serial) = path.file_name()?.to_str()?.strip_suffix(".log")?.split_once('-')?;
    let base = (base.len() == 20).then(|| base.parse().ok()).flatten()?;
    let serial = (serial.len() == 8).then(|| u32::from_str_radix(serial, 16).ok()).flatten()?;
    Some((Offset(base), serial))
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
        assert_eq!(parse_segment(&segment(&directory, Offset(42), 7)), Some((Offset(42), 7)));
        assert_eq!(parse_shard_file(&journal(Path::new("/j"), 3, 2), "journal-"), Some((3, 2)));
        assert_eq!(parse_shard_file(&clean_mark(Path::new("/d"), 3, 2), "clean-"), Some((3, 2)));
    }

    #[test]
    fn foreign_names_are_left_alone() {
        for name in ["x-1", "lost+found", "0123-4", "00000000000000000000000000000001--1"] {
            assert_eq!(parse_log_directory(Path::new(name)), None, "{name}");
        }
        for name in ["5.log", "00000000000000000042-1.log", "00000000000000000042-00000001.log.tmp"] {
            assert_eq!(parse_segment(Path::new(name)), None, "{name}");
        }
    }
}
