//! Going over the batches of a segment.

use super::{
    super::{
        index::SegmentIndex,
        producers::{AbortedTransaction, Spot},
    },
    failed,
};
use crate::{
    error::Fatal,
    records::{Batch, BatchHeader, Marker, Scratch, header::HEADER_BYTES},
};
use corelane_seam::Disk;
use std::{ops::Range, path::Path};

/// Read at once from a segment.
const WINDOW_BYTES: usize = 256 * 1024;
/// A control batch with a transaction's marker is far shorter.
const MARKER_BYTES_MAX: u64 = 4096;

/// Why a log goes no further: the disk failed (everything stops), or its own bytes are wrong (only it stops).
pub(super) enum Stop {
    Fatal(Fatal),
    Offline(Fatal),
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Stop {
        Stop::Fatal(fatal)
    }
}

pub(super) fn offline(path: &Path, position: u64, why: &str) -> Stop {
    Stop::Offline(Fatal::new(format!(
        "{} at offset {position}: {why}. The partition is offline. Restore the file from a copy, or delete the topic.",
        path.display()
    )))
}

/// A segment's bytes: the file, and behind `overlay_at` what is in the journal only.
pub(super) struct Content<'a> {
    pub disk: &'a dyn Disk,
    pub path: &'a Path,
    pub overlay_at: u64,
    pub overlay: Vec<u8>,
}

impl Content<'_> {
    /// Up to `len` bytes from `from` on.
    pub fn read(&self, from: u64, len: usize) -> Result<Vec<u8>, Fatal> {
        let filed = usize::try_from(self.overlay_at.saturating_sub(from)).unwrap_or(usize::MAX).min(len);
        let mut bytes = vec![0; filed];
        if filed > 0 {
            let io = |error| failed("reading", self.path, &error);
            let count = self.disk.read_at(self.path, from, &mut bytes).map_err(io)?;
            bytes.truncate(count);
        }
        if bytes.len() == filed {
            let at =
                usize::try_from((from + filed as u64).saturating_sub(self.overlay_at)).unwrap_or(usize::MAX);
            let rest = self.overlay.get(at..).unwrap_or_default();
            bytes.extend_from_slice(&rest[..rest.len().min(len - filed)]);
        }
        Ok(bytes)
    }
}

/// Goes over the batches of a range of a segment, which ends at the range's end at the latest, checks what the journal
/// covers (`covered_from`) whole, and gives where the last whole batch ends. What the index knows already has to be there.
/// `visit` tells which batches are markers of aborted transactions.
pub(super) fn scan(
    content: &Content<'_>,
    range: Range<u64>,
    covered_from: Option<u64>,
    index: &mut SegmentIndex,
    mut visit: impl FnMut(&BatchHeader, Option<Marker>, u64) -> Option<AbortedTransaction>,
) -> Result<u64, Stop> {
    let mut window: (u64, Vec<u8>) = (0, Vec::new());
    let Range { start: mut position, end } = range;
    let known = u64::from(index.observed_bytes());
    while position < end {
        let left = end - position;
        let head = windowed(
            content,
            &mut window,
            position,
            HEADER_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX)),
        )?;
        let header = BatchHeader::view(head).copied();
        let total = header.and_then(|header| header.total_bytes()).map(|total| total as u64);
        let covered = covered_from.is_some();
        let (Some(header), Some(total)) = (header, total) else {
            // Behind the last batch a segment holds the zeros of its preallocation; behind the last journalled
            // byte, nothing.
            let ends = if covered { header.is_none() } else { head.iter().all(|byte| *byte == 0) };
            return if ends && position >= known {
                Ok(position)
            } else {
                Err(offline(content.path, position, "no record batch begins here"))
            };
        };
        if total > left {
            let cut = covered && header.base_offset() == index.next_offset();
            return if cut {
                Ok(position)
            } else {
                Err(offline(content.path, position, "a batch is cut short"))
            };
        }
        if covered_from.is_some_and(|from| position + total > from) {
            let whole = content.read(position, usize::try_from(total).expect("a batch is below 2 GiB"))?;
            let sound = matches!(Batch::split_from(&whole), Ok((batch, _)) if batch.checksum_matches());
            if !sound {
                return Err(offline(content.path, position, "a batch's checksum does not match"));
            }
        }
        if position >= known {
            if let Err(why) = index.observe(&header, position) {
                return Err(offline(content.path, position, &why.to_string()));
            }
        } else if position + total > known {
            return Err(offline(
                content.path,
                position,
                "a batch reaches beyond where the recovery point says that one ends",
            ));
        }
        let marker = if header.is_control() { read_marker(content, position, total)? } else { None };
        if let Some(aborted) = visit(&header, marker, position) {
            index.note_aborted(aborted);
        }
        position += total;
    }
    Ok(position)
}

fn read_marker(content: &Content<'_>, position: u64, bytes: u64) -> Result<Option<Marker>, Stop> {
    if bytes > MARKER_BYTES_MAX {
        return Ok(None);
    }
    let whole = content.read(position, usize::try_from(bytes).expect("a batch is below 2 GiB"))?;
    let batch = Batch::split_from(&whole).ok();
    Ok(batch.and_then(|(batch, _)| Marker::of(&batch, &mut Scratch::default())))
}

pub(super) fn spot(serial: u32, position: u64) -> Spot {
    Spot { serial, position: u32::try_from(position).expect("a segment is below 4 GiB") }
}

/// `len` bytes at `position`, read in larger pieces.
fn windowed<'a>(
    content: &Content<'_>,
    window: &'a mut (u64, Vec<u8>),
    position: u64,
    len: usize,
) -> Result<&'a [u8], Fatal> {
    let end = position + len as u64;
    if position < window.0 || end > window.0 + window.1.len() as u64 {
        *window = (position, content.read(position, WINDOW_BYTES)?);
    }
    let at = usize::try_from(position - window.0).expect("within the window");
    Ok(&window.1[at..window.1.len().min(at + len)])
}
