//! What the journal holds of a log that recovery could not make whole.
//!
//! Such a log is offline, and the journal is retired with the boot that wrote it. Its entries are kept beside the
//! log's segments, so that every later start finds the same damage, or, where the damage was mended, the whole log. A
//! start that forgot them would take the log for a shorter one and give its offsets away again.

use super::{
    super::paths,
    failed,
    journals::{Piece, Replay},
};
use crate::{error::Fatal, ids::Offset};
use corelane_seam::Disk;
use std::{path::Path, sync::Arc};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{I64, U32, U64},
};

const MAGIC: [u8; 8] = *b"CLUNRP\x00\x01";

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    /// Of everything behind it.
    crc: U32,
    /// -1: none.
    log_start: I64,
    pieces: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PieceImage {
    base: I64,
    serial: U32,
    position: U64,
    bytes: U64,
}

const CRC_BEHIND: usize = 12;

/// What an earlier start kept, before what the journals say now.
pub(super) fn with_kept(disk: &dyn Disk, directory: &Path, replay: &Replay) -> Result<Option<Replay>, Fatal> {
    let path = paths::unreplayed(directory);
    let Some(bytes) = disk.read(&path).map_err(|error| failed("reading", &path, &error))? else {
        return Ok(None);
    };
    let Some(mut kept) = decode(&path, &bytes) else {
        return Err(Fatal::new(format!(
            "{}: it is damaged or of an unknown version, and holds acknowledged records of a partition that is \
             offline. Restore it from a copy, or, to give these records up, delete the directory.",
            path.display()
        )));
    };
    kept.log_start = kept.log_start.max(replay.log_start);
    kept.pieces.extend(
        replay.pieces.iter().filter(|piece| !is_kept(&kept.pieces, piece)).cloned().collect::<Vec<_>>(),
    );
    Ok(Some(kept))
}

/// A start that was interrupted has kept what the journals say again.
fn is_kept(kept: &[Piece], piece: &Piece) -> bool {
    kept.iter().any(|it| (it.serial, it.position, it.len) == (piece.serial, piece.position, piece.len))
}

/// Keeps a replay for later starts, durable when it returns.
pub(super) fn keep(disk: &dyn Disk, directory: &Path, replay: &Replay) -> Result<(), Fatal> {
    if replay.pieces.is_empty() && replay.log_start.is_none() {
        return Ok(());
    }
    let path = paths::unreplayed(directory);
    let mut body = Vec::new();
    for piece in &replay.pieces {
        let image = PieceImage {
            base: I64::new(piece.base.0),
            serial: U32::new(piece.serial),
            position: U64::new(piece.position),
            bytes: U64::new(piece.len),
        };
        body.extend_from_slice(image.as_bytes());
    }
    for piece in &replay.pieces {
        body.extend_from_slice(&piece.read(disk)?);
    }
    let mut head = Head {
        magic: MAGIC,
        crc: U32::ZERO,
        log_start: I64::new(replay.log_start.map_or(-1, |start| start.0)),
        pieces: U64::new(replay.pieces.len() as u64),
    };
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head.as_bytes()[CRC_BEHIND..]), &body);
    head.crc = U32::new(crc);
    let bytes = [head.as_bytes(), &body].concat();
    disk.replace(&path, &bytes).map_err(|error| failed("replacing", &path, &error))
}

/// The log is whole again.
pub(super) fn forget(disk: &dyn Disk, directory: &Path) -> Result<(), Fatal> {
    let path = paths::unreplayed(directory);
    disk.remove(&path).map_err(|error| failed("removing", &path, &error))
}

fn decode(path: &Path, bytes: &[u8]) -> Option<Replay> {
    let (head, mut rest) = Head::ref_from_prefix(bytes).ok()?;
    if head.magic != MAGIC || head.crc.get() != crc32c::crc32c(&bytes[CRC_BEHIND..]) {
        return None;
    }
    let file = Arc::new(path.to_owned());
    let mut images = Vec::new();
    for _ in 0..head.pieces.get() {
        let (image, behind) = PieceImage::ref_from_prefix(rest).ok()?;
        images.push(image);
        rest = behind;
    }
    let mut offset = (bytes.len() - rest.len()) as u64;
    let mut pieces = Vec::with_capacity(images.len());
    for image in images {
        let len = image.bytes.get();
        pieces.push(Piece {
            base: Offset(image.base.get()),
            serial: image.serial.get(),
            position: image.position.get(),
            journal: Arc::clone(&file),
            offset,
            len,
        });
        offset = offset.checked_add(len)?;
    }
    let log_start = Some(head.log_start.get()).filter(|start| *start >= 0).map(Offset);
    (offset == bytes.len() as u64).then_some(Replay { pieces, log_start, deleted: false })
}
