//! The first groups of a new boot's journal: what filled no block of its segment.

use super::{
    super::{
        Boot,
        journal::{
            entry::{ENTRY_HEADER_BYTES, Entry, Kind},
            group::{self, GROUP_HEADER_BYTES, GroupHeader},
        },
        paths,
    },
    RecoveredLog, RecoverySettings, failed,
};
use crate::{error::Fatal, ids::LeaderEpoch, limits::JOURNAL_GROUP_BYTES_MAX};
use corelane_seam::{BLOCK, ChunkWriter, Disk};

/// A group that recovery wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct CarriedGroup {
    pub number: u64,
    pub offset: u64,
    pub bytes: u64,
    pub next_sequence: u64,
}

/// Makes one shard's journal for the new boot, with all that its logs (`mine`) carry over, flushed.
pub(super) fn write_journal(
    disk: &dyn Disk,
    settings: &RecoverySettings,
    boot: Boot,
    shard: u16,
    mut mine: Vec<&mut RecoveredLog>,
) -> Result<(), Fatal> {
    let path = paths::journal(&settings.journal_dir, boot.generation, shard);
    let io = |error| failed("making the journal", &path, &error);
    disk.remove(&path).map_err(io)?;
    let mut groups: Vec<(GroupHeader, usize)> = Vec::new();
    let (mut first, mut offset, mut sequence) = (0, 0, 0);
    while first < mine.len() || groups.is_empty() || groups.last().is_some_and(|(_, count)| *count > 0) {
        let mut bytes = GROUP_HEADER_BYTES;
        let fits = |log: &&&mut RecoveredLog| {
            bytes += ENTRY_HEADER_BYTES + log.carried.len();
            bytes <= JOURNAL_GROUP_BYTES_MAX
        };
        let count = mine[first..].iter().take_while(fits).count();
        let payload: usize = mine[first..first + count].iter().map(|log| log.carried.len()).sum();
        let header = GroupHeader {
            number: groups.len() as u64,
            offset,
            bytes: (GROUP_HEADER_BYTES + count * ENTRY_HEADER_BYTES + payload) as u64,
            first_sequence: sequence,
            entries: count as u64,
            low: 0,
            // True by the time anyone reads it: the manifest names this journal only after its flush.
            flushed: sequence + count as u64,
        };
        (first, offset, sequence) = (first + count, offset + header.padded(), header.next_sequence());
        groups.push((header, count));
    }
    let size = settings.journal_bytes_initial.max(4 * offset).next_multiple_of(BLOCK as u64);
    disk.zero(&path, 0, size).map_err(io)?;
    let mut rest = mine.as_mut_slice();
    for (header, count) in groups {
        let (these, later) = rest.split_at_mut(count);
        rest = later;
        let mut chunk =
            ChunkWriter::with_capacity(usize::try_from(header.padded()).expect("a group's bytes"));
        group::write(&mut chunk, boot, shard, &header, |space| {
            for log in these.iter() {
                let segment = log.segments.last().expect("carried bytes are of a segment");
                let kind =
                    Kind::Append { base: segment.base, serial: segment.serial, position: segment.flushed };
                let epoch = log.epochs.latest().map_or(LeaderEpoch::UNKNOWN, |latest| latest.epoch);
                let entry = Entry { id: log.id, kind, leader_epoch: epoch, sequence: 0 };
                space.entry(entry, log.carried.len(), |bytes| bytes.copy_from_slice(&log.carried));
            }
        });
        disk.write_at(&path, header.offset, &chunk.slice(0..chunk.len())).map_err(io)?;
        let (number, bytes, next_sequence) = (header.number, header.padded(), header.next_sequence());
        for log in these {
            log.carried_in = Some(CarriedGroup { number, offset: header.offset, bytes, next_sequence });
        }
    }
    disk.flush(&path).map_err(io)
}
