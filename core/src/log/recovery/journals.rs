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

/// Read at once while headers are looked for: little behind a group, whose end is known, and more while none begins.
const LOOK_BYTES_MIN: usize = 16 * 1024;
const LOOK_BYTES_MAX: usize = 1024 * 1024;

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
    // The low group's first sequence is not known if its header is gone. It ends where the next one begins, if that is
    // there; else whatever is known to be flushed reaches it, or nothing was ever promised.
    let mut sequence = headers.get(&low).map(|header| header.first_sequence);
    let low_end = headers.get(&(low + 1)).map(|header| header.first_sequence);
    let mut number = low;
    loop {
        let Some(header) = headers.get(&number).filter(|header| Some(header.first_sequence) == sequence)
        else {
            let low_is_promised = low_end.map_or(flushed > 0, |end| end <= flushed);
            let promised = sequence.map_or(low_is_promised, |sequence| sequence < flushed);
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

/// The headers of groups that begin in a stretch of a journal, but for those that stand where another one whose header is
/// whole reaches: they are not needed. Of groups that are flushed, and were not overwritten since, each begins where the one
/// before ends, or at the file's beginning, so no header that is older than one of them is left before it and reaches
/// over its beginning; and what is newer was written only where nothing was needed.
fn read_headers(
    disk: &dyn Disk,
    path: &Path,
    boot: Boot,
    shard: u16,
    stretch: Range<u64>,
) -> Result<Headers, Fatal> {
    let mut headers = Headers::new();
    let mut buffer = vec![0; LOOK_BYTES_MAX];
    let (mut offset, mut look) = (stretch.start, LOOK_BYTES_MIN);
    while offset < stretch.end {
        let count = disk
            .read_at(path, offset, &mut buffer[..look])
            .map_err(|error| failed("reading", path, &error))?;
        let looked_to = offset + look as u64;
        let mut at = offset;
        while at < offset + count as u64 && at < stretch.end {
            let block = &buffer[usize::try_from(at - offset).expect("within the buffer")..count];
            let header = group::read_header(block, boot, shard, at);
            at = at.saturating_add(header.map_or(BLOCK as u64, |header| header.padded()));
            headers.extend(header.map(|header| (header.number, header)));
        }
        if count < look {
            break;
        }
        look = if at > looked_to { LOOK_BYTES_MIN } else { LOOK_BYTES_MAX.min(2 * look) };
        offset = at.max(looked_to);
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

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            journal::{entry::ENTRY_HEADER_BYTES, group::GROUP_HEADER_BYTES},
            testing::MemDisk,
        },
        *,
    };
    use crate::ids::{LeaderEpoch, TopicId};
    use corelane_seam::ChunkWriter;

    const BOOT: Boot = Boot { generation: 3, salt: 77 };
    const MIB: u64 = 1 << 20;

    /// A group with one entry of so many bytes, all of them `fill`'s.
    fn group(number: u64, offset: u64, payload: usize, fill: impl Fn(&mut [u8])) -> (GroupHeader, Vec<u8>) {
        let header = GroupHeader {
            number,
            offset,
            bytes: (GROUP_HEADER_BYTES + ENTRY_HEADER_BYTES + payload) as u64,
            first_sequence: number,
            entries: 1,
            low: 0,
            flushed: number,
        };
        let entry = Entry {
            id: PartitionId { topic: TopicId(uuid::Uuid::from_u128(9)), index: 4 },
            kind: Kind::Append { base: Offset(0), serial: 1, position: 0 },
            leader_epoch: LeaderEpoch(2),
            sequence: 0,
        };
        let mut chunk = ChunkWriter::with_capacity(usize::try_from(header.padded()).unwrap());
        group::write(&mut chunk, BOOT, 1, &header, |space| space.entry(entry, payload, |bytes| fill(bytes)));
        let bytes = chunk.slice(0..chunk.len()).to_vec();
        (header, bytes)
    }

    #[test]
    fn headers_are_found_behind_each_other_behind_a_gap_and_in_every_stretch_and_not_within_a_group() {
        let (disk, path) = (MemDisk::default(), Path::new("/journal"));
        let (mut expected, mut offset) = (Headers::new(), 0);
        for number in 0..200 {
            // From less than a block to more than is looked at at once.
            let payload = usize::try_from(number * number * 7919 % (1 << 18)).unwrap();
            let (header, bytes) = group(number, offset, payload, |space| {
                // In front of a block's beginning stands what the group before this place's last group was.
                let inner = BLOCK - GROUP_HEADER_BYTES - ENTRY_HEADER_BYTES;
                if let Some(space) = space.get_mut(inner..2 * BLOCK) {
                    let (_, old) = group(1_000 + number, offset + BLOCK as u64, 10, |_| {});
                    space[..BLOCK].copy_from_slice(&old);
                }
            });
            disk.write_at(path, offset, &bytes).unwrap();
            expected.insert(number, header);
            offset += header.padded() + if number % 50 == 49 { MIB + 12 * BLOCK as u64 } else { 0 };
        }
        disk.zero(path, offset, MIB).unwrap();
        let whole = read_headers(&disk, path, BOOT, 1, 0..u64::MAX).unwrap();
        assert_eq!(whole, expected);
        let mut parts = Headers::new();
        for stretch in 0..(offset + MIB).div_ceil(MIB) {
            let mut found = read_headers(&disk, path, BOOT, 1, stretch * MIB..(stretch + 1) * MIB).unwrap();
            parts.append(&mut found);
        }
        // A stretch that begins within a group may find what is left there, which no chain of groups leads to.
        parts.retain(|number, _| *number < 1_000);
        assert_eq!(parts, expected);
    }
}
