//! What is measured one after the other, and for how long.

use super::Access;
use std::time::Duration;

/// Of the largest write; a file holds two at least.
const LARGEST: usize = 4 << 20;
pub(super) const FILE_BYTES_MIN: u64 = 2 * LARGEST as u64;

/// What a group of a journal may come to.
const FLUSHED: [usize; 6] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, LARGEST];
/// What segments are written in.
const STREAMED: [usize; 3] = [64 << 10, 256 << 10, 1 << 20];
/// Operations of a stream at a time, as a shard has them under way behind its journal.
const STREAM_DEPTH: u16 = 4;
/// Reads at a time for the most that the disk does.
const READS_DEPTH: u16 = 32;

/// One measurement to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) access: Access,
    pub(super) bytes: usize,
    pub(super) depth: u16,
    pub(super) time: Duration,
}

/// For writing the files the first time: they are smaller on a disk that is too slow for more.
pub(super) fn grow_time(time: Duration) -> Duration {
    time / 6
}

/// All of them. Streams of writes come first: they put other bytes than zeros into the files, which some disks do not
/// store. What is flushed gets twice the time of the others: its tail is what counts.
pub(super) fn phases(time: Duration, shards: u16) -> Vec<Phase> {
    let phase = |access, bytes, depth| Phase { access, bytes, depth, time: Duration::ZERO };
    let mut phases: Vec<Phase> =
        STREAMED.iter().map(|bytes| phase(Access::Write, *bytes, STREAM_DEPTH)).collect();
    let depths = if shards > 1 { vec![1, shards] } else { vec![1] };
    for depth in depths {
        phases.extend(FLUSHED.iter().map(|bytes| phase(Access::WriteFlushed, *bytes, depth)));
    }
    phases.push(phase(Access::Read, 1 << 20, STREAM_DEPTH));
    phases.push(phase(Access::ReadAnywhere, 4 << 10, 1));
    phases.push(phase(Access::ReadAnywhere, 4 << 10, READS_DEPTH));
    let shares = |phase: &Phase| if phase.access == Access::WriteFlushed { 2 } else { 1 };
    let share = time.saturating_sub(grow_time(time)) / phases.iter().map(shares).sum::<u32>();
    phases.iter_mut().for_each(|phase| phase.time = share * shares(phase));
    phases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_phases_together_take_the_time_that_is_given() {
        for (shards, count) in [(1, 12), (8, 18)] {
            let time = Duration::from_secs(30);
            let phases = phases(time, shards);
            assert_eq!(phases.len(), count);
            let sum: Duration = phases.iter().map(|phase| phase.time).sum();
            assert!(sum + grow_time(time) <= time && sum + grow_time(time) > time - Duration::from_millis(1));
        }
    }

    #[test]
    fn a_file_holds_what_is_under_way_at_a_time_without_writing_one_place_twice() {
        for phase in phases(Duration::from_secs(1), 8) {
            let files = if phase.access == Access::WriteFlushed { u64::from(phase.depth) } else { 1 };
            let under_way = phase.bytes as u64 * u64::from(phase.depth);
            assert!(under_way <= files * FILE_BYTES_MIN, "{phase:?}");
        }
    }
}
