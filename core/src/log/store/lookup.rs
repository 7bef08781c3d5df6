//! ListOffsets by time: a segment by its latest timestamp, a span of it by its index, a record in the span.

use super::{Event, Job, Operations, ReadError, Slot, Store, TimestampOffset, read::Missing};
use crate::{
    error::Fatal,
    ids::Offset,
    log::{
        partition_log::{Life, PartitionLog},
        paths::SegmentName,
        segment::Segment,
        timestamp,
    },
    records::{Batch, Scratch},
};
use corelane_seam::{FileOperation, FileResult, Now};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    AtLeast(i64),
    Latest,
}

/// One search.
#[derive(Debug)]
pub(super) struct Lookup {
    slot: Slot,
    job: u64,
    wanted: Wanted,
    up_to: Offset,
    /// Segments with lower serials were searched.
    serial: u32,
    /// Of the segment with this serial: in another, the places below mean nothing.
    cleaning: u32,
    /// Places in the segment: what is being read, and where the search goes on if nothing is found there.
    from: u64,
    to: u64,
}

impl Store {
    /// The first record whose timestamp is at least `target`, among those below `up_to`; answered by
    /// [`Event::TimestampFound`] with this `job`, maybe at once.
    #[allow(clippy::too_many_arguments)]
    pub fn find_timestamp(
        &mut self,
        _now: Now,
        slot: Slot,
        target: i64,
        up_to: Offset,
        job: u64,
        out: &mut Operations,
        events: &mut Vec<Event>,
    ) {
        self.begin_lookup(slot, Wanted::AtLeast(target), up_to, job, out, events);
    }

    /// The record with the largest timestamp (KIP-734) below `up_to`, answered likewise.
    pub fn find_max_timestamp(
        &mut self,
        _now: Now,
        slot: Slot,
        up_to: Offset,
        job: u64,
        out: &mut Operations,
        events: &mut Vec<Event>,
    ) {
        self.begin_lookup(slot, Wanted::Latest, up_to, job, out, events);
    }

    fn begin_lookup(
        &mut self,
        slot: Slot,
        wanted: Wanted,
        up_to: Offset,
        job: u64,
        out: &mut Operations,
        events: &mut Vec<Event>,
    ) {
        let mut lookup = Lookup { slot, job, wanted, up_to, serial: 0, cleaning: 0, from: 0, to: 0 };
        if let Some(log) = self.get(slot) {
            lookup.begin(log);
        }
        self.look_up(lookup, out);
        events.append(&mut self.events);
    }

    /// Goes on as far as memory serves, and asks the disk for what is missing.
    pub(super) fn look_up(&mut self, mut lookup: Lookup, out: &mut Operations) {
        loop {
            let Some(log) = self.get(lookup.slot).filter(|log| log.life == Life::Lives) else {
                return self.answer(&lookup, Err(ReadError::Unknown));
            };
            if let Some(reason) = &log.offline {
                let reason = reason.clone();
                return self.answer(&lookup, Err(ReadError::Offline(reason)));
            }
            if !lookup.is_of(log) {
                lookup.begin(log);
            }
            let Some((segment, span)) = next_span(log, &lookup) else {
                return self.answer(&lookup, Ok(None));
            };
            let name = segment.name();
            let Some((from, to)) = span else {
                let slot = lookup.slot;
                return self.fetch(slot, name, Missing::Index, Some(Box::new(lookup)), out);
            };
            let memory = segment.in_tail && segment.place + from >= log.tail.start();
            if memory {
                let places = segment.place + from..segment.place + to;
                let mut bytes = vec![0; usize::try_from(to - from).expect("a span is below 4 GiB")];
                log.tail.copy_to(places, &mut bytes);
                lookup.go_to(name, from, to);
                match self.search(&mut lookup, &bytes) {
                    Some(found) => return self.answer(&lookup, found),
                    None => continue,
                }
            }
            let Some(file) = segment.reader.clone() else {
                let slot = lookup.slot;
                return self.fetch(slot, name, Missing::Reader, Some(Box::new(lookup)), out);
            };
            let end =
                if segment.in_tail { to.min(log.tail.start().saturating_sub(segment.place)) } else { to };
            let len = usize::try_from(end - from).expect("a span is below 4 GiB");
            // Behind this span it goes on, or a search that finds nothing in it would never end.
            lookup.go_to(name, from, to);
            return self.ask(
                Job::Scan(Box::new(lookup)),
                FileOperation::Read { file, offset: from, len },
                out,
            );
        }
    }

    /// A span was read from a file; what of it is only in memory is added.
    pub(super) fn scanned(&mut self, mut lookup: Lookup, result: FileResult, out: &mut Operations) {
        let FileResult::Read(read) = result else { panic!("a read was answered with {result:?}") };
        let mut bytes = match read {
            Ok(slice) => slice.to_vec(),
            Err(error) => {
                let reason = Fatal::new(format!("reading a segment failed: {error}"));
                return self.answer(&lookup, Err(ReadError::Offline(reason)));
            }
        };
        if let Some(log) = self.get(lookup.slot)
            && let Some(segment) = lookup.segment(log).filter(|segment| segment.in_tail)
        {
            let have = segment.place + lookup.from + bytes.len() as u64;
            let end = segment.place + lookup.to;
            if have < end && have >= log.tail.start() {
                let old = bytes.len();
                bytes.resize(old + usize::try_from(end - have).expect("a span is below 4 GiB"), 0);
                log.tail.copy_to(have..end, &mut bytes[old..]);
            }
        }
        match self.search(&mut lookup, &bytes) {
            Some(found) => self.answer(&lookup, found),
            None => self.look_up(lookup, out),
        }
    }

    /// The answer, if it is in these bytes of the segment; else the search goes on behind them.
    fn search(
        &mut self,
        lookup: &mut Lookup,
        mut bytes: &[u8],
    ) -> Option<Result<Option<TimestampOffset>, ReadError>> {
        let log_start = self.get(lookup.slot)?.start;
        let mut scratch = Scratch::default();
        while let Ok((batch, rest)) = Batch::split_from(bytes) {
            let header = batch.header();
            if header.base_offset() >= lookup.up_to {
                return Some(Ok(None));
            }
            let found = match lookup.wanted {
                Wanted::AtLeast(target) => {
                    timestamp::first_at_or_after(&batch, target, log_start, &mut scratch)
                }
                Wanted::Latest if header.base_offset() == self.latest_batch(lookup) => {
                    timestamp::latest(&batch, &mut scratch)
                }
                Wanted::Latest => Ok(None),
            };
            match found {
                Ok(Some(timed)) if timed.offset < lookup.up_to => {
                    let leader_epoch = header.leader_epoch();
                    let timestamp = timed.timestamp_ms;
                    return Some(Ok(Some(TimestampOffset { timestamp, offset: timed.offset, leader_epoch })));
                }
                Ok(_) => {}
                Err(fault) => {
                    let reason = Fatal::new(format!(
                        "a batch at offset {} is damaged: {fault:?}",
                        header.base_offset()
                    ));
                    return Some(Err(ReadError::Offline(reason)));
                }
            }
            bytes = rest;
        }
        None
    }

    fn latest_batch(&self, lookup: &Lookup) -> Offset {
        let segment = self.get(lookup.slot).and_then(|log| lookup.segment(log));
        segment.and_then(|segment| segment.max_timestamp).map_or(Offset(-1), |max| max.batch)
    }

    fn answer(&mut self, lookup: &Lookup, result: Result<Option<TimestampOffset>, ReadError>) {
        self.events.push(Event::TimestampFound { job: lookup.job, result });
    }

    pub(super) fn gone(&mut self, lookup: Option<Box<Lookup>>) {
        if let Some(lookup) = lookup {
            self.answer(&lookup, Err(ReadError::Unknown));
        }
    }
}

impl Lookup {
    /// Where the search begins, also anew when compaction has replaced the segment that it was in.
    fn begin(&mut self, log: &PartitionLog) {
        if self.wanted == Wanted::Latest {
            // The first segment that reaches the latest timestamp of all.
            let key = |segment: &&Segment| segment.max_timestamp.map_or(-1, |max| max.timestamp_ms);
            let before = log.segments.iter().filter(|segment| segment.base < self.up_to);
            self.serial = before.rev().max_by_key(key).map_or(0, |segment| segment.serial);
        }
        let at = log.segments.iter().find(|segment| segment.serial == self.serial);
        (self.cleaning, self.from, self.to) = (at.map_or(0, |segment| segment.cleaning), 0, 0);
    }

    fn go_to(&mut self, name: SegmentName, from: u64, to: u64) {
        (self.serial, self.cleaning, self.from, self.to) = (name.serial, name.cleaning, from, to);
    }

    /// The segment that it is in.
    fn segment<'a>(&self, log: &'a PartitionLog) -> Option<&'a Segment> {
        let is_it = |segment: &&Segment| segment.serial == self.serial && segment.cleaning == self.cleaning;
        log.segments.iter().find(is_it)
    }

    /// Whether places in its segment mean what they did.
    fn is_of(&self, log: &PartitionLog) -> bool {
        (self.to == 0 && self.wanted != Wanted::Latest) || self.segment(log).is_some()
    }
}

/// The next span to search: segment, and bytes of it (none when its index is not in memory).
#[allow(clippy::type_complexity)]
fn next_span<'a>(log: &'a PartitionLog, lookup: &Lookup) -> Option<(&'a Segment, Option<(u64, u64)>)> {
    let searched = |serial: u32| if serial == lookup.serial { lookup.to } else { 0 };
    let candidates = log.segments.iter().filter(|segment| {
        segment.serial >= lookup.serial && segment.base < lookup.up_to && segment.next > log.start
    });
    for segment in candidates {
        let Some(max) = segment.max_timestamp else { continue };
        let done = searched(segment.serial);
        if matches!(lookup.wanted, Wanted::AtLeast(target) if max.timestamp_ms < target)
            || done >= segment.bytes
        {
            if lookup.wanted == Wanted::Latest {
                return None;
            }
            continue;
        }
        let Some(index) = &segment.index else { return Some((segment, None)) };
        let first = match lookup.wanted {
            Wanted::AtLeast(target) => index.find_timestamp(target),
            Wanted::Latest => index.find_offset(max.batch),
        };
        let span = first.map(|span| (u64::from(span.from), u64::from(span.to)))?;
        if span.1 > done {
            return Some((segment, Some((span.0.max(done), span.1))));
        }
        // The record was not in the span (it lies below the log start): on to the next ones.
        let offset_behind = index.span_behind(u32::try_from(done).ok()?)?;
        return Some((segment, Some((u64::from(offset_behind.from), u64::from(offset_behind.to)))));
    }
    None
}
