//! Transactions in a log, as a client that reads committed records sees them: through restarts, lost indexes, cuts and
//! compaction.

use super::{
    AppendError, EndTransaction, Fault, LogSettings, ReadError, ReadRequest,
    testing::{Machine, MemDisk, Rng, Shape, start},
};
use crate::{
    error::ErrorCode,
    ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId},
    records::{Batch, BatchBuilder, Batches, DecodedBatch, Marker, NewRecord, Outcome, Scratch},
};
use corelane_seam::Disk as _;
use std::collections::{BTreeMap, BTreeSet};

/// Offset and value of a record.
type Seen = (i64, u64);

/// A producer, and what it has in its open transaction.
#[derive(Clone, Copy, Default)]
struct Writer {
    epoch: i16,
    sequence: i32,
    start: Option<i64>,
}

/// What a log holds, as its clients know it.
#[derive(Default)]
struct Model {
    writers: BTreeMap<i64, Writer>,
    committed: Vec<Seen>,
    /// Of open transactions.
    open: BTreeMap<i64, Vec<Seen>>,
    mark: u64,
}

struct World {
    machine: Machine,
    model: Model,
    rng: Rng,
    boots: u64,
    /// The log is compacted: of a key only the last record is sure to be there.
    is_compacted: bool,
}

fn shape() -> Shape {
    let log = LogSettings { segment_bytes: 12 << 10, retention_ms: None, ..LogSettings::default() };
    Shape { shards: 1, log, cache_bytes: 8 << 10, memory_bytes: 256 << 10, ..Shape::default() }
}

impl World {
    fn new(seed: u64, shape: Shape) -> World {
        let machine = Machine::boot(MemDisk::new(), shape, 1).expect("an empty disk");
        let is_compacted = machine.shape.log.compact;
        World { machine, model: Model::default(), rng: Rng(seed), boots: 1, is_compacted }
    }

    fn write(&mut self, id: Option<i64>, bytes: usize) {
        self.model.mark += 1;
        let mark = self.model.mark;
        let mut value = vec![3; bytes.max(8)];
        value[..8].copy_from_slice(&mark.to_be_bytes());
        let mut builder = BatchBuilder::new();
        if let Some(id) = id {
            let writer = self.model.writers.entry(id).or_default();
            builder = builder.producer(ProducerId(id), ProducerEpoch(writer.epoch), writer.sequence);
            builder = builder.transactional();
            writer.sequence += 1;
        }
        let timestamp_ms = self.machine.now.unix_ms;
        builder.push(NewRecord { timestamp_ms, key: Some(b"k"), value: Some(&value), headers: &[] });
        let batch = builder.build();
        let appended = self.machine.append(0, &batch).or_else(|error| {
            assert_eq!(error, AppendError::Full);
            self.machine.tick(1_000);
            self.machine.append(0, &batch)
        });
        let at = appended.expect("there is room").base_offset.0;
        match id {
            None => self.model.committed.push((at, mark)),
            Some(id) => {
                self.model.writers.get_mut(&id).expect("it writes").start.get_or_insert(at);
                self.model.open.entry(id).or_default().push((at, mark));
            }
        }
    }

    /// Ends a transaction, of version 2 if its number is even: then the marker has an epoch of its own.
    fn end(&mut self, id: i64, outcome: Outcome) {
        let Some(writer) = self.model.writers.get_mut(&id).filter(|writer| writer.start.is_some()) else {
            return;
        };
        let is_v2 = id % 2 == 0;
        if is_v2 {
            (writer.epoch, writer.sequence) = (writer.epoch + 1, 0);
        }
        writer.start = None;
        let end = EndTransaction {
            producer: ProducerId(id),
            epoch: ProducerEpoch(writer.epoch),
            marker: Marker { outcome, coordinator_epoch: 0 },
            transaction_version: if is_v2 { 2 } else { 1 },
        };
        let (shard, slot) = self.machine.open(0);
        let mut append = || {
            self.machine.with(shard, |store, now, _| store.end_transaction(now, slot, LeaderEpoch(3), end))
        };
        if append() == Err(AppendError::Full) {
            self.machine.tick(1_000);
            let again = self
                .machine
                .with(shard, |store, now, _| store.end_transaction(now, slot, LeaderEpoch(3), end));
            again.expect("there is room");
        }
        let records = self.model.open.remove(&id).unwrap_or_default();
        if outcome == Outcome::Commit {
            self.model.committed.extend(records);
            self.model.committed.sort_unstable();
        }
    }

    fn act(&mut self) {
        let id = i64::try_from(self.rng.below(5)).expect("small");
        let bytes = usize::try_from(self.rng.below(3_000)).expect("small");
        match self.rng.below(20) {
            0..=2 => self.write(None, bytes),
            3..=12 => self.write(Some(id), bytes),
            13..=14 => self.end(id, Outcome::Commit),
            15..=16 => self.end(id, Outcome::Abort),
            17 => self.machine.tick(1_000),
            18 => self.machine.settle(),
            _ if self.rng.below(4) == 0 => self.restart(),
            _ => {
                self.machine.settle();
                self.check();
            }
        }
    }

    fn restart(&mut self) {
        self.machine.settle();
        self.boots += 1;
        if self.rng.below(3) == 0 {
            // Whatever index is lost is built again.
            let indexes = self.machine.disk.paths();
            for path in indexes.iter().filter(|path| path.extension().is_some_and(|end| end == "index")) {
                self.machine.disk.remove(path).expect("it is there");
            }
        }
        self.machine.disk.crash(&mut self.rng);
        let disk = self.machine.disk.fork();
        self.machine = Machine::boot(disk, self.machine.shape.clone(), self.boots).expect("it was flushed");
        let (shard, slot) = self.machine.open(0);
        let end = self.machine.stores[shard].log_end(slot);
        self.machine.stores[shard].set_high_watermark(slot, end);
        self.check();
    }

    /// Holds what a client reads against what it may see, from everywhere.
    fn check(&mut self) {
        let (shard, slot) = self.machine.open(0);
        let (stable, end) =
            (self.machine.stores[shard].last_stable(slot), self.machine.stores[shard].log_end(slot));
        let open = self.model.writers.values().filter_map(|writer| writer.start).min();
        assert_eq!(stable, open.map_or(end, Offset), "the last stable offset");
        let from =
            i64::try_from(self.rng.below(u64::try_from(stable.0).expect("positive") + 1)).expect("small");
        let most = 1 + usize::try_from(self.rng.below(20_000)).expect("small");
        for from in [0, from] {
            let seen = read_committed(&mut self.machine, Offset(from), stable, most);
            let may = self.model.committed.iter().filter(|(at, _)| (from..stable.0).contains(at));
            let may: Vec<Seen> = may.copied().collect();
            if self.is_compacted {
                assert_eq!(seen.last(), may.last(), "the last record of the key stays");
                let may: BTreeSet<Seen> = may.into_iter().collect();
                assert!(seen.iter().all(|one| may.contains(one)), "nothing that was aborted comes back");
                continue;
            }
            assert_eq!(seen, may, "from {from} to {stable}, {most} bytes at a time");
        }
    }
}

/// What a client that reads committed records gives to its application (Java's `CompletedFetch`).
fn read_committed(machine: &mut Machine, from: Offset, stable: Offset, most: usize) -> Vec<Seen> {
    let (shard, slot) = machine.open(0);
    let (mut at, mut seen) = (from, Vec::new());
    while at < stable {
        let request = ReadRequest { from: at, max_bytes: most, up_to: stable, at_least_one: true };
        let read = machine.with(shard, |store, now, out| {
            let read = store.read(now, slot, request, out)?;
            let aborted = store.aborted(slot, at, read.end.min(stable), out)?;
            Ok((read, aborted))
        });
        let (read, mut aborted) = match read {
            Err(ReadError::Later) => {
                machine.settle();
                continue;
            }
            other => other.unwrap_or_else(|error: ReadError| panic!("at {at}: {error:?}")),
        };
        aborted.sort_unstable_by_key(|one| std::cmp::Reverse(one.first));
        let bytes = machine.bytes(&read.parts);
        let (before, mut out_of_account) = (at, BTreeSet::new());
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            let header = batch.header();
            assert!(header.last_offset() < read.end.max(at), "{} reaches {}", header.last_offset(), read.end);
            assert!(header.last_offset() < stable, "nothing undecided is read");
            while aborted.last().is_some_and(|next| next.first <= header.last_offset()) {
                out_of_account.insert(aborted.pop().expect("looked at").producer);
            }
            if header.is_control() {
                let marker = Marker::of(&batch, &mut Scratch::default());
                if marker.is_some_and(|marker| marker.outcome == Outcome::Abort) {
                    out_of_account.remove(&header.producer_id());
                }
            } else if !(header.is_transactional() && out_of_account.contains(&header.producer_id())) {
                seen.extend(values(&batch).into_iter().filter(|(offset, _)| *offset >= at.0));
            }
            at = at.max(header.next_offset());
        }
        assert!(at > before, "a read at {before} of {stable} brought nothing");
    }
    seen
}

fn values(batch: &Batch<'_>) -> Vec<Seen> {
    let mut scratch = Scratch::default();
    let decoded = DecodedBatch::new(*batch, &mut scratch).expect("readable");
    let value = |record: crate::records::Record<'_>| {
        (record.offset.0, u64::from_be_bytes(record.value.expect("a value")[..8].try_into().expect("eight")))
    };
    decoded.records().map(|record| value(record.expect("readable"))).collect()
}

#[test]
fn a_reader_of_committed_records_sees_all_of_what_was_committed_and_nothing_of_what_was_aborted() {
    for seed in 0..40 {
        let mut world = World::new(seed, shape());
        for _ in 0..250 {
            world.act();
        }
        world.restart();
        for id in 0..5 {
            world.end(id, if id == 3 { Outcome::Abort } else { Outcome::Commit });
        }
        world.machine.settle();
        world.check();
        assert!(world.model.committed.len() > 20, "seed {seed}: something happened");
    }
}

#[test]
fn a_transaction_that_stays_open_hides_nothing_in_front_of_it_even_when_all_of_it_is_in_files() {
    let mut world = World::new(7, shape());
    for _ in 0..3 {
        world.write(None, 100);
    }
    world.write(Some(1), 100);
    for _ in 0..200 {
        world.write(None, 2_000);
        world.machine.tick(1_000);
    }
    world.check();
    world.restart();
    world.end(1, Outcome::Abort);
    world.machine.settle();
    world.check();
}

#[test]
fn a_marker_counts_when_it_is_committed_and_a_cut_takes_it_back() {
    let mut world = World::new(1, shape());
    world.machine.commits = false;
    world.write(Some(2), 10);
    world.write(None, 10);
    world.end(2, Outcome::Commit);
    world.machine.settle();
    let (shard, slot) = world.machine.open(0);
    let stable = |machine: &Machine| machine.stores[shard].last_stable(slot).0;
    assert_eq!(stable(&world.machine), 0);
    world.machine.stores[shard].set_high_watermark(slot, Offset(2));
    assert_eq!(stable(&world.machine), 0, "the marker is at 2");
    let mut events = Vec::new();
    let cut =
        world.machine.with(shard, |store, now, _| store.truncate(now, slot, Offset(2), false, &mut events));
    cut.expect("nothing of it is committed");
    world.machine.settle();
    assert_eq!(stable(&world.machine), 0, "it is open again");
    world.model.writers.get_mut(&2).expect("it wrote").start = Some(0);
    world.model.writers.get_mut(&2).expect("it wrote").epoch -= 1;
    world.model.open.insert(2, vec![(0, 1)]);
    world.model.committed.retain(|(at, _)| *at != 0);
    world.end(2, Outcome::Abort);
    world.machine.settle();
    world.machine.stores[shard].set_high_watermark(slot, Offset(3));
    assert_eq!(stable(&world.machine), 3);
    world.check();
}

#[test]
fn a_zombie_coordinators_marker_and_records_of_an_older_epoch_are_refused() {
    let mut world = World::new(1, shape());
    world.write(Some(2), 10);
    world.end(2, Outcome::Commit);
    let (shard, slot) = world.machine.open(0);
    let mut ends = |epoch, coordinator_epoch, transaction_version| {
        let marker = Marker { outcome: Outcome::Abort, coordinator_epoch };
        let end = EndTransaction {
            producer: ProducerId(2),
            epoch: ProducerEpoch(epoch),
            marker,
            transaction_version,
        };
        match world.machine.with(shard, |store, now, _| store.end_transaction(now, slot, LeaderEpoch(3), end))
        {
            Err(AppendError::Producer(refused)) => Some(refused.code),
            other => other.map(|_| None).expect("there is room"),
        }
    };
    assert_eq!(ends(0, 0, 2), Some(ErrorCode::InvalidProducerEpoch));
    assert_eq!(ends(1, -1, 2), Some(ErrorCode::TransactionCoordinatorFenced));
    assert_eq!(ends(1, 0, 2), None, "it came twice");
    let mut old = BatchBuilder::new().producer(ProducerId(2), ProducerEpoch(0), 1).transactional();
    old.push(NewRecord { key: Some(b"k"), value: Some(&[0; 8]), ..NewRecord::default() });
    let refused = world.machine.append(0, &old.build()).expect_err("a zombie's");
    assert!(matches!(refused, AppendError::Producer(why) if why.code == ErrorCode::InvalidProducerEpoch));
}

#[test]
fn compaction_forgets_what_was_aborted_and_readers_see_the_same_before_and_after() {
    for seed in 0..10 {
        let log = LogSettings {
            delete: false,
            compact: true,
            dirty_share_min: 0.0,
            delete_retention_ms: 0,
            ..shape().log
        };
        let mut world = World::new(seed, Shape { log, ..shape() });
        for _ in 0..150 {
            world.act();
        }
        for id in 0..5 {
            world.end(id, Outcome::Abort);
        }
        for _ in 0..8 {
            world.write(None, 2_000);
        }
        world.machine.settle();
        for _ in 0..12 {
            world.machine.tick(20_000);
        }
        world.check();
        let (shard, slot) = world.machine.open(0);
        let stable = world.machine.stores[shard].last_stable(slot);
        let seen = read_committed(&mut world.machine, Offset(0), stable, 5_000);
        assert!(seen.len() < world.model.committed.len(), "seed {seed}: something went");
        world.machine.disk.crash(&mut world.rng);
        let disk = world.machine.disk.fork();
        world.machine = Machine::boot(disk, world.machine.shape.clone(), 99).expect("it was flushed");
        let (shard, slot) = world.machine.open(0);
        world.machine.stores[shard].set_high_watermark(slot, stable);
        assert_eq!(
            read_committed(&mut world.machine, Offset(0), stable, 5_000),
            seen,
            "seed {seed}: the same again"
        );
    }
}

/// With a journal that has to be given back before a segment is full, so that active segments are flushed on the way.
fn shape_with_points() -> Shape {
    let log = LogSettings { segment_bytes: 150 << 10, ..shape().log };
    Shape { log, journal_bytes: 128 << 10, journal_bytes_max: 128 << 10, ..shape() }
}

/// What a start finds of the one log on a disk, but for when producers were last seen.
fn found(disk: &MemDisk) -> String {
    let recovered = start(disk, 2);
    assert_eq!(recovered.offline, None);
    let tail = recovered.tail();
    let mut log = recovered.into_log("/data".into());
    // Which markers were committed when the point was taken, it knows, and who reads them again does not.
    log.producers.commit(log.end);
    let producers = log.producers.iter().map(|(id, producer)| {
        (id, producer.epoch, &producer.batches, producer.transaction_start, producer.coordinator_epoch)
    });
    let segments = log.segments.iter().map(|it| {
        let aborted = it.index.as_ref().map(|index| (index.aborted(), index.next_offset()));
        let times = (it.max_timestamp, it.first_timestamp_ms);
        (it.name(), it.next, it.bytes, times, it.has_aborted, it.open_from, aborted)
    });
    let (producers, segments): (Vec<_>, Vec<_>) = (producers.collect(), segments.collect());
    let ends = (log.start, log.end, log.persisted, log.tail.end(), log.producers.first_undecided());
    format!("{ends:?} {tail:?} {:?} {producers:?} {segments:?}", log.epochs)
}

#[test]
fn a_recovery_point_tells_what_reading_its_segment_from_the_beginning_would() {
    let mut points = 0;
    for seed in 0..20 {
        let mut world = World::new(seed, shape_with_points());
        for _ in 0..400 {
            world.act();
        }
        world.machine.settle();
        world.machine.disk.crash(&mut world.rng);
        let (with, without) = (world.machine.disk.fork(), world.machine.disk.fork());
        for path in without.paths_in(".point") {
            without.remove(&path).expect("it is there");
            points += 1;
        }
        assert_eq!(found(&with), found(&without), "seed {seed}");
        assert!(with.segments_read() <= without.segments_read(), "seed {seed}");
    }
    assert!(points > 10, "{points}");
}

#[test]
fn clients_see_a_recovery_point_whose_producers_are_forgotten() {
    let sees = |fault| {
        (0..40).any(|seed| {
            let run = || {
                let mut world = World::new(seed, Shape { fault, ..shape_with_points() });
                (0..400).for_each(|_| world.act());
                world.restart();
            };
            std::panic::catch_unwind(run).is_err()
        })
    };
    assert!(sees(Fault::ForgetPointProducers));
    assert!(!sees(Fault::None), "the same runs pass without the fault");
}
