//! What of a log may be compacted, how dirty it is, and which segments become one (Kafka's `LogCleanerManager` and
//! `Cleaner.groupSegmentsBySize`).

use super::super::{
    partition_log::{Life, PartitionLog},
    paths::SegmentName,
    segment::{Segment, Stage},
};
use crate::ids::Offset;
use std::ops::Range;

/// A segment that is to be cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub name: SegmentName,
    /// The offset behind its last batch.
    pub next: Offset,
    pub bytes: u64,
}

/// What of a log may be cleaned now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cleanable {
    /// Everything below was cleaned before.
    pub first_dirty: Offset,
    /// From the log's first segment on.
    pub sources: Vec<Source>,
    /// The share of dirty bytes among these.
    pub dirty_share: f64,
}

impl Cleanable {
    /// What is to be cleaned of a compacted log, if enough of it is dirty, or some of it for too long.
    ///
    /// Never the last segment, nor what is not closed, committed, or older than `min.compaction.lag.ms`; never a part
    /// of a segment.
    pub fn of(log: &PartitionLog, now_ms: i64) -> Option<Cleanable> {
        let settings = &log.settings;
        let fit = log.life == Life::Lives
            && log.offline.is_none()
            && log.cut.is_none()
            && !log.uncleanable
            && settings.compact;
        if !fit {
            return None;
        }
        let first_dirty = log.first_dirty();
        let stable = log.last_stable();
        let too_young = |segment: &Segment| {
            let latest = segment.max_timestamp.map_or(segment.first_append_ms, |max| max.timestamp_ms);
            let lag_ms = i64::try_from(settings.compaction_lag_ms_min).unwrap_or(i64::MAX);
            lag_ms > 0 && latest > now_ms.saturating_sub(lag_ms)
        };
        let may = |segment: &&Segment| {
            let dirty = segment.next > first_dirty;
            segment.stage == Stage::Closed && segment.next <= stable && !(dirty && too_young(segment))
        };
        let but_last = log.segments.len().saturating_sub(1);
        let segments: Vec<&Segment> = log.segments.iter().take(but_last).take_while(may).collect();
        let bytes = |dirty: bool| {
            let of = |segment: &&&Segment| {
                if dirty { segment.next > first_dirty } else { segment.base < first_dirty }
            };
            segments.iter().filter(of).map(|segment| segment.bytes).sum::<u64>()
        };
        let (clean_bytes, dirty_bytes) = (bytes(false), bytes(true));
        if dirty_bytes == 0 {
            return None;
        }
        let dirty_share = dirty_bytes as f64 / (clean_bytes + dirty_bytes) as f64;
        let dirty = segments.iter().filter(|segment| segment.next > first_dirty);
        let oldest_ms =
            dirty.filter_map(|segment| segment.first_timestamp_ms.filter(|first| *first > 0)).min();
        let lag_ms = i64::try_from(settings.compaction_lag_ms_max).unwrap_or(i64::MAX);
        let is_overdue = oldest_ms.is_some_and(|oldest| oldest < now_ms.saturating_sub(lag_ms));
        if !is_overdue && dirty_share <= settings.dirty_share_min {
            return None;
        }
        let source =
            |segment: &&Segment| Source { name: segment.name(), next: segment.next, bytes: segment.bytes };
        Some(Cleanable { first_dirty, sources: segments.iter().map(source).collect(), dirty_share })
    }
}

/// Neighbours that become one file of at most `bytes_max`, as far as one index can hold their offsets.
pub(super) fn groups(sources: &[Source], bytes_max: u64) -> Vec<Range<usize>> {
    let bytes_max = bytes_max.min(u64::from(u32::MAX));
    let mut groups = Vec::new();
    let mut from = 0;
    let mut bytes = 0;
    for (index, source) in sources.iter().enumerate() {
        let span = source.next.0 - sources[from].name.base.0;
        let fits = bytes + source.bytes <= bytes_max && span <= i64::from(i32::MAX);
        if index > from && !fits {
            groups.push(from..index);
            (from, bytes) = (index, 0);
        }
        bytes += source.bytes;
    }
    if from < sources.len() {
        groups.push(from..sources.len());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogSettings, index::MaxTimestamp};

    /// Segments of ten records and the given (bytes, timestamp); the last one is active.
    fn log(segments: &[(u64, i64)]) -> PartitionLog {
        let settings = LogSettings { compact: true, ..LogSettings::default() };
        let mut log = PartitionLog::new(crate::log::testing::partition(0), "/d".into(), settings);
        for (index, (bytes, timestamp_ms)) in segments.iter().enumerate() {
            let base = i64::try_from(index).expect("few") * 10;
            let serial = u32::try_from(index).expect("few");
            let mut segment = Segment::new(Offset(base), serial, 0, 4096);
            segment.next = Offset(base + 10);
            segment.bytes = *bytes;
            segment.max_timestamp = Some(MaxTimestamp { timestamp_ms: *timestamp_ms, batch: Offset(base) });
            segment.first_timestamp_ms = Some(*timestamp_ms);
            segment.stage = if index + 1 == segments.len() { Stage::Active } else { Stage::Closed };
            (log.end, log.high_watermark) = (segment.next, segment.next);
            log.segments.push_back(segment);
        }
        log
    }

    fn serials(log: &PartitionLog, now_ms: i64) -> Option<usize> {
        Cleanable::of(log, now_ms).map(|cleanable| cleanable.sources.len())
    }

    #[test]
    fn the_last_segment_what_is_open_and_what_is_not_committed_stay_as_they_are() {
        let mut log = log(&[(100, 5), (100, 5), (100, 5), (100, 5)]);
        assert_eq!(serials(&log, 10), Some(3));
        log.high_watermark = Offset(29);
        assert_eq!(serials(&log, 10), Some(2));
        log.segments[1].stage = Stage::Closing;
        assert_eq!(serials(&log, 10), Some(1));
        log.settings.compact = false;
        assert_eq!(serials(&log, 10), None);
    }

    #[test]
    fn a_log_waits_until_enough_of_it_is_dirty() {
        let mut log = log(&[(600, 5), (300, 5), (300, 5), (100, 5)]);
        log.cleaned_to = Offset(10);
        assert_eq!(serials(&log, 10), None, "half is not more than half");
        log.segments[2].bytes += 1;
        assert_eq!(serials(&log, 10), Some(3));
        log.cleaned_to = Offset(30);
        log.settings.dirty_share_min = 0.0;
        assert_eq!(serials(&log, 10), None, "nothing is dirty");
    }

    #[test]
    fn what_was_cleaned_beyond_the_log_is_cleaned_anew() {
        let mut log = log(&[(600, 5), (600, 5), (100, 5)]);
        log.settings.dirty_share_min = 0.0;
        log.cleaned_to = Offset(40);
        assert_eq!(Cleanable::of(&log, 10).map(|it| it.first_dirty), Some(Offset(0)));
        (log.start, log.cleaned_to) = (Offset(12), Offset(3));
        assert_eq!(Cleanable::of(&log, 10).map(|it| it.first_dirty), Some(Offset(12)));
    }

    #[test]
    fn records_younger_than_the_least_lag_are_left_and_older_than_the_greatest_are_not() {
        let mut log = log(&[(100, 1_000), (100, 2_000), (100, 1_500), (100, 1_000)]);
        log.settings.compaction_lag_ms_min = 500;
        assert_eq!(serials(&log, 2_400), Some(1), "the third comes behind the second");
        assert_eq!(serials(&log, 2_500), Some(3));
        log.settings.compaction_lag_ms_min = 0;
        log.settings.dirty_share_min = 1.0;
        log.settings.compaction_lag_ms_max = 700;
        assert_eq!(serials(&log, 1_700), None);
        assert_eq!(serials(&log, 1_701), Some(3));
    }

    #[test]
    fn neighbours_are_grouped_by_size_and_by_offsets() {
        let source = |base: i64, next: i64, bytes| Source {
            name: SegmentName { base: Offset(base), serial: 0, cleaning: 0 },
            next: Offset(next),
            bytes,
        };
        let far = i64::from(i32::MAX);
        let sources = [
            source(0, 10, 40),
            source(10, 20, 60),
            source(20, 30, 1),
            source(30, far + 20, 1),
            source(far + 20, far + 21, 1),
        ];
        assert_eq!(groups(&sources, 100), [0..2, 2..4, 4..5]);
        assert_eq!(groups(&sources[..2], 10), [0..1, 1..2], "larger than they may be");
        assert!(groups(&[], 10).is_empty());
    }
}
