//! What the journals hold of a log that is offline, kept beside the log for the start after its repair.
//!
//! Recovery retires the old journals. From them a log that it could not recover has taken over nothing, so what they
//! hold of it goes into a file of its directory before, and the next recovery reads that as it reads a journal: it
//! finds the same damage again or, where the segment was restored, everything that was acknowledged. Without it, a
//! damaged batch would be served from the second start on, since only what a journal covers is read whole, and bytes
//! that were in the journal alone would be gone.

use super::{
    super::{
        paths,
        sealed::{seal, unseal},
    },
    failed,
    journals::{Piece, Replay},
};
use crate::{error::Fatal, ids::Offset};
use corelane_seam::Disk;
use std::{collections::BTreeSet, path::Path, sync::Arc};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{I64, U32, U64},
};

const MAGIC: [u8; 8] = *b"CLKEPT\x00\x01";
/// Stands for "the log start did not move".
const NONE: i64 = -1;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    log_start: I64,
    pieces: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PieceImage {
    base: I64,
    position: U64,
    bytes: U64,
    serial: U32,
}

/// What was kept of a log, before what the journals say of it now; `None` where nothing was.
///
/// # Errors
/// The disk's; the inner one says that the file is damaged.
pub(super) fn read(
    disk: &dyn Disk,
    directory: &Path,
    replay: &Replay,
) -> Result<Option<Result<Replay, Fatal>>, Fatal> {
    let path = paths::kept(directory);
    let bytes = disk.read(&path).map_err(|error| failed("reading", &path, &error))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let Some(mut kept) = decode(&bytes, &path) else {
        return Ok(Some(Err(Fatal::new(format!(
            "{}: it is damaged. It holds records of a partition that is offline. Restore it from a copy, or delete \
             the topic.",
            path.display()
        )))));
    };
    // What an interrupted start kept, the journals say once more.
    let known: BTreeSet<_> = kept.pieces.iter().map(place).collect();
    kept.pieces.extend(replay.pieces.iter().filter(|piece| !known.contains(&place(piece))).cloned());
    kept.log_start = kept.log_start.max(replay.log_start);
    Ok(Some(Ok(kept)))
}

fn place(piece: &Piece) -> (u32, u64, u64) {
    (piece.serial, piece.position, piece.len)
}

/// Keeps all that there is of a log.
pub(super) fn write(disk: &dyn Disk, directory: &Path, replay: &Replay) -> Result<(), Fatal> {
    let log_start = replay.log_start.map_or(NONE, |(_, offset)| offset.0);
    let pieces = U64::new(replay.pieces.len() as u64);
    let mut out = Head { magic: MAGIC, log_start: I64::new(log_start), pieces }.as_bytes().to_vec();
    for piece in &replay.pieces {
        let image = PieceImage {
            base: I64::new(piece.base.0),
            position: U64::new(piece.position),
            bytes: U64::new(piece.len),
            serial: U32::new(piece.serial),
        };
        out.extend_from_slice(image.as_bytes());
        out.extend_from_slice(&piece.read(disk)?);
    }
    seal(&mut out);
    let path = paths::kept(directory);
    disk.replace(&path, &out).map_err(|error| failed("replacing", &path, &error))
}

fn decode(bytes: &[u8], path: &Path) -> Option<Replay> {
    let content = unseal(bytes)?;
    let (head, mut rest) = Head::ref_from_prefix(content).ok().filter(|(head, _)| head.magic == MAGIC)?;
    let journal = Arc::new(path.to_owned());
    let mut pieces = Vec::new();
    for _ in 0..head.pieces.get() {
        let (image, behind) = PieceImage::ref_from_prefix(rest).ok()?;
        pieces.push(Piece {
            base: Offset(image.base.get()),
            serial: image.serial.get(),
            position: image.position.get(),
            journal: Arc::clone(&journal),
            offset: (content.len() - behind.len()) as u64,
            len: image.bytes.get(),
        });
        rest = behind.get(usize::try_from(image.bytes.get()).ok()?..)?;
    }
    let log_start = Some(head.log_start.get()).filter(|start| *start != NONE);
    let log_start = log_start.map(|start| (u32::MAX, Offset(start)));
    rest.is_empty().then_some(Replay { pieces, log_start, ..Replay::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{Machine, MemDisk, Shape, batch, partition, start};

    /// A disk whose one log ends in a batch of which a block is in the segment and the rest in the journal alone; and
    /// the segment.
    fn disk() -> (MemDisk, std::path::PathBuf) {
        let mut machine =
            Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).expect("an empty disk");
        machine.append(0, &batch(1, 1, 6000, 0)).expect("there is room");
        machine.settle();
        let disk = machine.disk.fork();
        assert_eq!(start(&disk, 2).end, Offset(1));
        let segment = disk.paths().into_iter().find(|path| path.extension().is_some_and(|it| it == "log"));
        (disk, segment.expect("a block of the log is in its segment"))
    }

    #[test]
    fn a_damaged_log_stays_offline_over_starts_and_loses_nothing_when_it_is_repaired() {
        let (disk, segment) = disk();
        disk.flip(&segment, 1000);
        for salt in 3..6 {
            let log = start(&disk, salt);
            assert!(log.offline.is_some_and(|why| why.0.contains("checksum")), "start {salt}");
        }
        disk.flip(&segment, 1000);
        for salt in 6..8 {
            let log = start(&disk, salt);
            assert_eq!((log.offline, log.start, log.end), (None, Offset(0), Offset(1)), "start {salt}");
        }
        let kept = paths::kept(&paths::log_directory(Path::new("/data"), partition(0)));
        assert!(!disk.paths().contains(&kept));
    }

    #[test]
    fn damage_to_what_was_kept_is_damage_to_the_log() {
        let (disk, segment) = disk();
        disk.flip(&segment, 1000);
        start(&disk, 3);
        disk.flip(&segment, 1000);
        let kept = paths::kept(&paths::log_directory(Path::new("/data"), partition(0)));
        disk.flip(&kept, 60);
        for salt in 4..6 {
            assert!(start(&disk, salt).offline.is_some_and(|why| why.0.contains("kept")), "start {salt}");
        }
        disk.flip(&kept, 60);
        assert_eq!(start(&disk, 6).end, Offset(1));
    }

    #[test]
    fn what_was_kept_comes_before_what_the_journals_say_now() {
        let disk = MemDisk::new();
        let piece = |position, offset| Piece {
            base: Offset(0),
            serial: 7,
            position,
            journal: Arc::new("/data/journal".into()),
            offset,
            len: 3,
        };
        disk.write_at(Path::new("/data/journal"), 0, b"onetwo").expect("there is room");
        let old = Replay { pieces: vec![piece(0, 0)], log_start: Some((4, Offset(5))), ..Replay::default() };
        write(&disk, Path::new("/data/log"), &old).expect("there is room");
        let new = Replay { pieces: vec![piece(3, 3)], log_start: None, ..Replay::default() };
        let both = read(&disk, Path::new("/data/log"), &new).expect("the disk works");
        let both = both.expect("something was kept").expect("it is sound");
        let bytes: Vec<_> = both.pieces.iter().map(|piece| piece.read(&disk).expect("there")).collect();
        assert_eq!(bytes, [b"one", b"two"]);
        assert_eq!(both.log_start, Some((u32::MAX, Offset(5))));
    }
}
