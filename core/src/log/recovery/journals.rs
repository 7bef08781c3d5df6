//! Reading journals: what they know, what of it counts, and where each log's bytes lie in them.

use super::{
    super::{
        Boot, Fault,
        journal::{
            entry::{Entry, Kind},
            group::{self, GroupHeader},
        },
    },
    RecoveryReport, each, failed,
};
use crate::{
    error::Fatal,
    ids::{Offset, PartitionId},
};
use corelane_seam::{BLOCK, Disk};
use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Read at once while headers are looked for.
const SCAN_BYTES: usize = 1024 * 1024;

/// The part of a journal that is looked through by one task.
const STRETCH_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes of a segment that a journal holds.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub base: Offset,
    pub serial: u32,
    pub position: u64,
    pub journal: Arc<PathBuf>,
    pub offset: u64,
    pub len: u64,
}

impl Piece {
    /// Its bytes.
    pub fn read(&self, disk: &dyn Disk) -> Result<Vec<u8>, Fatal> {
        let mut bytes = vec![0; usize::try_from(self.len).expect("within a group")];
        let count = disk
            .read_at(&self.journal, self.offset, &mut bytes)
            .map_err(|error| failed("reading", &self.journal, &error))?;
        if count < bytes.len() {
            return Err(Fatal::new(format!("{} became shorter", self.journal.display())));
        }
        Ok(bytes)
    }
}

/// What the journals say of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    /// In the order of their sequences.
    pub pieces: Vec<Piece>,
    /// The last one said, with the serial that the next segment was to have.
    pub log_start: Option<(u32, Offset)>,
    pub deleted: bool,
    /// Above 0, a log of the partition was deleted, and what is said since is of another one, whose serials are not lower.
    pub serial_min: u32,
}

/// Of every log that the journals name. A log's entries are all in one journal: its shard's.
pub(super) type Replays = BTreeMap<PartitionId, Replay>;

/// A journal of the last boot.
struct Journal {
    path: PathBuf,
    headers: Headers,
}

/// Groups' headers by number.
type Headers = BTreeMap<u64, GroupHeader>;

/// Reads all journals of a boot, with their lengths. They are looked through in stretches, because the time is the disk's.
pub(super) fn read_all(
    disk: &dyn Disk,
    paths: Vec<(PathBuf, u64)>,
    boot: Boot,
    fault: Fault,
    report: &mut RecoveryReport,
) -> Result<Replays, Fatal> {
    let mut stretches = Vec::new();
    let mut journals = Vec::new();
    for (shard, (path, len)) in (0..).zip(paths) {
        let of_journal = (0..len.div_ceil(STRETCH_BYTES)).map(|number| (shard, path.clone(), number));
        stretches.extend(of_journal);
        journals.push(Journal { path, headers: Headers::new() });
    }
    let found = each(disk, stretches, |(shard, path, number)| {
        let stretch = number * STRETCH_BYTES..(number + 1) * STRETCH_BYTES;
        read_headers(disk, &path, boot, shard, stretch).map(|headers| (shard, headers))
    });
    for found in found {
        let (shard, mut headers) = found?;
        journals[usize::from(shard)].headers.append(&mut headers);
    }
    let read = each(disk, journals, |journal| {
        let (mut replays, mut report) = (Replays::new(), RecoveryReport::default());
        read(disk, journal, boot, fault, &mut replays, &mut report).map(|()| (replays, report))
    });
    let mut replays = Replays::new();
    for read in read {
        let (mut of_one, of_journal) = read?;
        replays.append(&mut of_one);
        report.add(&of_journal);
    }
    Ok(replays)
}

/// Reads one journal.
fn read(
    disk: &dyn Disk,
    journal: Journal,
    boot: Boot,
    fault: Fault,
    replays: &mut Replays,
    report: &mut RecoveryReport,
) -> Result<(), Fatal> {
    let Journal { path, headers } = journal;
    let low = headers.values().map(|header| header.low).max().unwrap_or(0);
    let flushed = headers.values().map(|header| header.flushed).max().unwrap_or(0);
    let journal = Arc::new(path);
    report.journals += 1;
    // The low group's first sequence is not known if its header is gone; whatever is known to be flushed reaches it
    // then, or nothing was ever promised.
    let mut sequence = headers.get(&low).map(|header| header.first_sequence);
    let mut number = low;
    loop {
        let Some(header) = headers.get(&number).filter(|header| Some(header.first_sequence) == sequence)
        else {
            let promised = sequence.map_or(flushed > 0, |sequence| sequence < flushed);
            if promised {
                return Err(damaged(&journal, None, number, "is missing"));
            }
            break;
        };
        if let Err(why) = read_group(disk, &journal, header, boot, fault, replays, report)? {
            if header.next_sequence() <= flushed && header.entries > 0 {
                return Err(damaged(&journal, Some(header.offset), number, &why));
            }
            break;
        }
        sequence = Some(header.next_sequence());
        number += 1;
    }
    report.groups_cut += headers.range(number..).count() as u64;
    Ok(())
}

fn damaged(journal: &Path, offset: Option<u64>, number: u64, why: &str) -> Fatal {
    let place = offset.map_or(String::new(), |offset| format!(" at offset {offset}"));
    Fatal::new(format!(
        "{}{place}: group {number} {why}, although later groups say that it was flushed: records that were \
         acknowledged are damaged. Restore the file from a copy; or, to give these records up, move the data and \
         journal directories away and start anew (with replicas, they are copied again).",
        journal.display()
    ))
}

/// The headers of groups that begin in a stretch of a journal.
fn read_headers(
    disk: &dyn Disk,
    path: &Path,
    boot: Boot,
    shard: u16,
    stretch: Range<u64>,
) -> Result<Headers, Fatal> {
    let mut headers = Headers::new();
    let mut buffer = vec![0; SCAN_BYTES];
    let mut offset = stretch.start;
    while offset < stretch.end {
        let count =
            disk.read_at(path, offset, &mut buffer).map_err(|error| failed("reading", path, &error))?;
        for (index, block) in buffer[..count].chunks(BLOCK).enumerate() {
            let at = offset + (index * BLOCK) as u64;
            if let Some(header) = group::read_header(block, boot, shard, at) {
                headers.insert(header.number, header);
            }
        }
        if count < SCAN_BYTES {
            break;
        }
        offset += SCAN_BYTES as u64;
    }
    Ok(headers)
}

/// Notes a group's entries; the inner error says why it is damaged.
fn read_group(
    disk: &dyn Disk,
    journal: &Arc<PathBuf>,
    header: &GroupHeader,
    boot: Boot,
    fault: Fault,
    replays: &mut Replays,
    report: &mut RecoveryReport,
) -> Result<Result<(), String>, Fatal> {
    let Ok(length) = usize::try_from(header.bytes) else { return Ok(Err("is too long".to_owned())) };
    let mut bytes = vec![0; length];
    let count = disk
        .read_at(journal, header.offset, &mut bytes)
        .map_err(|error| failed("reading", journal, &error))?;
    if count < length {
        return Ok(Err("reaches beyond the file".to_owned()));
    }
    let start = bytes.as_ptr().addr();
    let result = group::read_entries(&bytes, header, boot, |entry, payload| {
        report.entries += 1;
        let offset = header.offset + (payload.as_ptr().addr() - start) as u64;
        note(replays.entry(entry.id).or_default(), &entry, journal, offset, payload.len() as u64, fault);
    });
    Ok(result.map_err(|bad| format!("is damaged ({bad})")))
}

fn note(replay: &mut Replay, entry: &Entry, journal: &Arc<PathBuf>, offset: u64, len: u64, fault: Fault) {
    match entry.kind {
        Kind::Append { base, serial, position } => {
            replay.deleted = false;
            let journal = Arc::clone(journal);
            replay.pieces.push(Piece { base, serial, position, journal, offset, len });
        }
        Kind::LogStart { offset, serial } => {
            replay.deleted = false;
            replay.log_start = replay.log_start.max(Some((serial, offset)));
        }
        Kind::Deleted { .. } if fault == Fault::ReplayDeleted => {}
        Kind::Deleted { serial } => {
            *replay = Replay { deleted: true, serial_min: serial, ..Replay::default() };
        }
    }
}
