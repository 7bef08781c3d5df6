//! What clients of a cluster did and saw, and the judge of it, in the manner of Jepsen's workload for Kafka: the history
//! is everything that any producer was told and any reader has read, whenever, from whichever broker.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    time::Duration,
};

/// A record's identity; no two are alike in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    /// Which producer sent it.
    pub producer: u32,
    /// To which partition.
    pub partition: i32,
    /// Its place among what that producer sent to that partition, from 0.
    pub number: u64,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "producer {}'s record {} to partition {}", self.producer, self.number, self.partition)
    }
}

/// One thing that a client did or saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A producer was told that a record is stored.
    Acknowledged {
        /// Which.
        value: Value,
        /// `None` when it was only told that the record had been there already.
        offset: Option<i64>,
        /// Since the run began.
        at: Duration,
    },
    /// A producer was told that a record may or may not be stored.
    Unknown {
        /// Which.
        value: Value,
    },
    /// A reader read a record.
    Read {
        /// Each reader has a number of its own; it reads every partition from offset 0 on.
        reader: u32,
        /// Where it was read from.
        partition: i32,
        /// At which offset.
        offset: i64,
        /// What stood there.
        value: Value,
    },
}

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// Acknowledged, and a reader that came as far as it goes did not find it.
    Lost(Value),
    /// One record at two offsets.
    Duplicate(Value, i64, i64),
    /// The second was sent after the first and stands before it.
    Reordered(Value, Value),
    /// Two records at one offset, by what different clients were told, or one at different times.
    Inconsistent(i32, i64, Value, Value),
    /// Read, and sent by no one, or to another partition.
    Phantom(i32, i64, Value),
    /// A reader that was at the first offset went on at the second.
    Jumped(u32, i32, i64, i64),
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anomaly::Lost(value) => write!(f, "lost: {value} was acknowledged and is not there"),
            Anomaly::Duplicate(value, one, other) => {
                write!(f, "duplicate: {value} stands at offsets {one} and {other}")
            }
            Anomaly::Reordered(before, after) => {
                write!(f, "reordered: {after} stands before its record {}", before.number)
            }
            Anomaly::Inconsistent(partition, offset, one, other) => {
                write!(f, "inconsistent: offset {offset} of partition {partition} holds {one} and {other}")
            }
            Anomaly::Phantom(partition, offset, value) => {
                write!(
                    f,
                    "phantom: offset {offset} of partition {partition} holds {value}, which no one sent there"
                )
            }
            Anomaly::Jumped(reader, partition, from, to) => {
                write!(f, "jumped: reader {reader} of partition {partition} went from offset {from} to {to}")
            }
        }
    }
}

/// One lost group of records is thousands of anomalies.
pub const ANOMALIES_MAX: usize = 20;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
    /// How many records were sent, by producer and partition; known when a producer has ended.
    sent: BTreeMap<(u32, i32), u64>,
}

impl History {
    /// Adds what happened.
    pub fn add(&mut self, event: Event) {
        self.events.push(event);
    }

    /// All that happened, each client's own events in their order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// A producer has ended and says how many records it sent to a partition.
    pub fn ended(&mut self, producer: u32, partition: i32, sent: u64) {
        self.sent.insert((producer, partition), sent);
    }

    /// What this demands of a copy that someone makes of all that was acknowledged, record by record: there the offsets
    /// are others.
    pub fn of_a_copy(&self) -> History {
        let acknowledged = self.events.iter().filter_map(|event| match *event {
            Event::Acknowledged { value, at, .. } => Some(Event::Acknowledged { value, offset: None, at }),
            Event::Unknown { .. } | Event::Read { .. } => None,
        });
        History { events: acknowledged.collect(), sent: self.sent.clone() }
    }

    /// Records that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Acknowledged { .. })).count()
    }

    /// Records of which a producer was told that nothing is known.
    pub fn unknown(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Unknown { .. })).count()
    }

    /// Everything that is wrong, up to [`ANOMALIES_MAX`]. What is acknowledged has to be read by every reader of
    /// `complete`: those that have come to the end of all partitions since the last acknowledgement.
    pub fn anomalies(&self, complete: &[u32]) -> Vec<Anomaly> {
        let mut judge = Judge::default();
        for event in &self.events {
            judge.take(event);
        }
        judge.order();
        judge.completeness(complete);
        judge.strangers(&self.sent);
        judge.found.truncate(ANOMALIES_MAX);
        judge.found
    }

    /// The longest time between two acknowledgements in turn for one producer and partition, of those that ended after
    /// `from`.
    pub fn silence(&self, producer: u32, partition: i32, from: Duration) -> Duration {
        let times = self.events.iter().filter_map(|event| match event {
            Event::Acknowledged { value, at, .. }
                if (value.producer, value.partition) == (producer, partition) =>
            {
                Some(*at)
            }
            _ => None,
        });
        let times: Vec<Duration> = times.collect();
        let gaps =
            times.windows(2).filter(|pair| pair[1] >= from).map(|pair| pair[1].saturating_sub(pair[0]));
        gaps.max().unwrap_or_default()
    }

    /// The longest time between two acknowledgements in turn of one producer for one partition, and which.
    pub fn longest_silence(&self) -> Option<(Duration, u32, i32)> {
        let mut last: BTreeMap<(u32, i32), Duration> = BTreeMap::new();
        let mut longest: Option<(Duration, u32, i32)> = None;
        for event in &self.events {
            let Event::Acknowledged { value, at, .. } = event else { continue };
            if let Some(before) = last.insert((value.producer, value.partition), *at) {
                let silence = at.saturating_sub(before);
                if longest.is_none_or(|(known, ..)| silence > known) {
                    longest = Some((silence, value.producer, value.partition));
                }
            }
        }
        longest
    }
}

#[derive(Default)]
struct Judge {
    /// What stands where, by whoever said so first.
    at: BTreeMap<(i32, i64), Value>,
    /// Where each record stands, by whoever said so first.
    of: BTreeMap<Value, i64>,
    acknowledged: Vec<Value>,
    /// The next offset, by reader and partition: each reads every offset in turn.
    next: BTreeMap<(u32, i32), i64>,
    found: Vec<Anomaly>,
}

impl Judge {
    fn take(&mut self, event: &Event) {
        match *event {
            Event::Acknowledged { value, offset, .. } => {
                self.acknowledged.push(value);
                if let Some(offset) = offset {
                    self.place(value.partition, offset, value);
                }
            }
            Event::Unknown { .. } => {}
            Event::Read { reader, partition, offset, value } => {
                let next = self.next.entry((reader, partition)).or_default();
                if offset != *next {
                    self.found.push(Anomaly::Jumped(reader, partition, *next, offset));
                }
                *next = offset + 1;
                if value.partition == partition {
                    self.place(partition, offset, value);
                } else {
                    self.found.push(Anomaly::Phantom(partition, offset, value));
                }
            }
        }
    }

    fn place(&mut self, partition: i32, offset: i64, value: Value) {
        match self.at.entry((partition, offset)) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(entry) if *entry.get() != value => {
                self.found.push(Anomaly::Inconsistent(partition, offset, *entry.get(), value));
            }
            Entry::Occupied(_) => {}
        }
        let known = *self.of.entry(value).or_insert(offset);
        if known != offset {
            self.found.push(Anomaly::Duplicate(value, known, offset));
        }
    }

    /// The map is in the order of sending within a producer and partition; offsets must be so too.
    fn order(&mut self) {
        let mut before: Option<(Value, i64)> = None;
        for (value, offset) in &self.of {
            if let Some((known, at)) = before
                && (known.producer, known.partition) == (value.producer, value.partition)
                && at > *offset
            {
                self.found.push(Anomaly::Reordered(known, *value));
            }
            before = Some((*value, *offset));
        }
    }

    /// A reader reads densely, or has been found to jump: what stands below its position it has read.
    fn completeness(&mut self, complete: &[u32]) {
        for value in &self.acknowledged {
            let offset = self.of.get(value);
            let is_read = |reader: &u32| {
                let next = self.next.get(&(*reader, value.partition)).copied().unwrap_or(0);
                offset.is_some_and(|offset| *offset < next)
                    && offset.is_some_and(|offset| self.at.get(&(value.partition, *offset)) == Some(value))
            };
            if !complete.iter().all(is_read) {
                self.found.push(Anomaly::Lost(*value));
            }
        }
    }

    fn strangers(&mut self, sent: &BTreeMap<(u32, i32), u64>) {
        for (value, offset) in &self.of {
            let sent = sent.get(&(value.producer, value.partition));
            if sent.is_some_and(|sent| value.number >= *sent) {
                self.found.push(Anomaly::Phantom(value.partition, *offset, *value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: u32 = 1;

    fn value(number: u64) -> Value {
        Value { producer: 1, partition: 0, number }
    }

    fn acknowledged(number: u64, offset: impl Into<Option<i64>>) -> Event {
        let at = Duration::from_millis(number * 10);
        Event::Acknowledged { value: value(number), offset: offset.into(), at }
    }

    fn read(number: u64, offset: i64) -> Event {
        Event::Read { reader: READER, partition: 0, offset, value: value(number) }
    }

    fn history(events: &[Event]) -> History {
        let mut history = History::default();
        events.iter().for_each(|event| history.add(*event));
        history
    }

    fn found(events: &[Event]) -> Vec<Anomaly> {
        history(events).anomalies(&[READER])
    }

    #[test]
    fn what_was_acknowledged_and_read_in_order_is_clean_whatever_became_of_the_unknown() {
        let events = [acknowledged(0, 0), Event::Unknown { value: value(1) }, acknowledged(2, 1)];
        assert_eq!(
            found(&[&events[..], &[read(0, 0), read(2, 1)]].concat()),
            [],
            "the unknown one is not there"
        );
        let events = [acknowledged(0, 0), Event::Unknown { value: value(1) }, acknowledged(2, None)];
        assert_eq!(found(&[&events[..], &[read(0, 0), read(1, 1), read(2, 2)]].concat()), [], "it is there");
    }

    #[test]
    fn an_acknowledged_record_that_no_one_finds_is_lost() {
        assert_eq!(found(&[acknowledged(0, 0)]), [Anomaly::Lost(value(0))]);
        assert_eq!(found(&[acknowledged(0, None)]), [Anomaly::Lost(value(0))]);
        assert_eq!(history(&[acknowledged(0, 0)]).anomalies(&[]), [], "nobody has come that far");
        let other = Event::Read { reader: 2, partition: 0, offset: 0, value: value(0) };
        let found = history(&[acknowledged(0, 0), other]).anomalies(&[READER, 2]);
        assert_eq!(found, [Anomaly::Lost(value(0))], "one of two readers has it");
    }

    #[test]
    fn a_lost_record_whose_offset_holds_another_is_lost_and_inconsistent() {
        let found = found(&[acknowledged(0, 0), read(1, 0)]);
        assert!(found.contains(&Anomaly::Inconsistent(0, 0, value(0), value(1))), "{found:?}");
        let found = history(&[read(1, 0), acknowledged(0, 0)]).anomalies(&[READER]);
        assert!(found.contains(&Anomaly::Lost(value(0))), "{found:?}");
    }

    #[test]
    fn a_record_at_two_offsets_is_a_duplicate() {
        let read_twice = found(&[acknowledged(0, 0), read(0, 0), read(0, 1)]);
        assert_eq!(read_twice, [Anomaly::Duplicate(value(0), 0, 1)]);
        let told_elsewhere = found(&[read(1, 0), read(0, 1), acknowledged(0, 2)]);
        assert!(told_elsewhere.contains(&Anomaly::Duplicate(value(0), 1, 2)), "{told_elsewhere:?}");
    }

    #[test]
    fn two_records_at_one_offset_are_inconsistent_whoever_saw_them_and_when() {
        let other = Event::Read { reader: 2, partition: 0, offset: 0, value: value(1) };
        assert_eq!(found(&[read(0, 0), other]), [Anomaly::Inconsistent(0, 0, value(0), value(1))]);
        let told = found(&[acknowledged(0, 0), acknowledged(1, 0), read(0, 0)]);
        assert!(told.contains(&Anomaly::Inconsistent(0, 0, value(0), value(1))), "{told:?}");
    }

    #[test]
    fn records_that_change_places_are_reordered() {
        assert_eq!(found(&[read(1, 0), read(0, 1)]), [Anomaly::Reordered(value(0), value(1))]);
        let over_an_unknown = found(&[read(2, 0), Event::Unknown { value: value(1) }, read(0, 1)]);
        assert_eq!(over_an_unknown, [Anomaly::Reordered(value(0), value(2))]);
        let other = Value { producer: 2, ..value(0) };
        let between = Event::Read { reader: READER, partition: 0, offset: 0, value: other };
        assert_eq!(found(&[between, read(0, 1)]), [], "producers among themselves have no order");
    }

    #[test]
    fn a_record_that_was_never_sent_or_sent_elsewhere_is_a_phantom() {
        let mut history = history(&[read(0, 0), read(1, 1)]);
        history.ended(1, 0, 1);
        assert_eq!(history.anomalies(&[]), [Anomaly::Phantom(0, 1, value(1))]);
        let elsewhere = Event::Read { reader: READER, partition: 3, offset: 0, value: value(0) };
        assert_eq!(found(&[elsewhere]), [Anomaly::Phantom(3, 0, value(0))]);
    }

    #[test]
    fn a_reader_that_skips_or_goes_back_has_jumped() {
        assert_eq!(found(&[read(0, 0), read(2, 2)]), [Anomaly::Jumped(READER, 0, 1, 2)]);
        assert_eq!(found(&[read(0, 0), read(0, 0)]), [Anomaly::Jumped(READER, 0, 1, 0)]);
    }

    #[test]
    fn a_silence_is_counted_by_its_end() {
        let history = history(&[acknowledged(0, 0), acknowledged(5, 1), acknowledged(6, 2)]);
        assert_eq!(history.silence(1, 0, Duration::from_millis(50)), Duration::from_millis(50));
        assert_eq!(history.silence(1, 0, Duration::from_millis(51)), Duration::from_millis(10));
        assert_eq!(history.silence(2, 0, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn the_longest_silence_is_that_of_one_producer_in_one_partition() {
        let later = Event::Acknowledged {
            value: Value { partition: 1, ..value(9) },
            offset: None,
            at: Duration::from_secs(9),
        };
        let history = history(&[acknowledged(0, 0), acknowledged(3, 1), later, acknowledged(4, 2)]);
        assert_eq!(history.longest_silence(), Some((Duration::from_millis(30), 1, 0)));
    }
}
