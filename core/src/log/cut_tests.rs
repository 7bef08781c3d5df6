//! A follower's log: copies, and cuts whenever the power goes.

use super::{
    CopyError, CutError, Event, LogSettings, ReadError, ReadRequest, Slot,
    testing::{Machine, MemDisk, Rng, Shape, batch, offsets, partition},
};
use crate::{
    ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId},
    records::{BatchBuilder, NewRecord, header},
};

fn shape() -> Shape {
    let log = LogSettings { segment_bytes: 10 << 10, retention_ms: None, ..LogSettings::default() };
    Shape { shards: 1, log, ..Shape::default() }
}

fn follower(shape: Shape) -> Machine {
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).expect("an empty disk");
    machine.commits = false;
    machine.open(0);
    machine
}

/// A batch as a leader stores it.
fn stored(mark: u64, base: i64, count: usize, bytes: usize, epoch: i32) -> Vec<u8> {
    let mut stored = batch(mark, count, bytes, 0);
    header::place(&mut stored, Offset(base), LeaderEpoch(epoch));
    stored
}

fn slot(machine: &mut Machine) -> Slot {
    machine.open(0).1
}

fn copy(machine: &mut Machine, bytes: &[u8]) -> Result<Offset, CopyError> {
    copy_of(machine, i64::MAX, bytes)
}

/// From a leader that says what is committed.
fn copy_of(machine: &mut Machine, committed: i64, bytes: &[u8]) -> Result<Offset, CopyError> {
    let slot = slot(machine);
    machine.with(0, |store, now, _| store.append_copies(now, slot, LeaderEpoch(9), Offset(committed), bytes))
}

fn cut(machine: &mut Machine, to: i64, even_committed: bool) -> Result<(), CutError> {
    let slot = slot(machine);
    let mut events = Vec::new();
    let result =
        machine.with(0, |store, now, _| store.truncate(now, slot, Offset(to), even_committed, &mut events));
    machine.events.extend(events.into_iter().map(|event| (0, event)));
    result
}

/// Where the last cut that is done left the log.
fn cut_end(machine: &Machine) -> Option<Offset> {
    machine.events.iter().rev().find_map(|(_, event)| match event {
        Event::Cut { end, .. } => Some(*end),
        _ => None,
    })
}

#[test]
fn copies_keep_the_leaders_offsets_and_epochs_byte_for_byte() {
    let mut machine = follower(shape());
    let batches =
        [stored(1, 0, 2, 100, 1), stored(2, 2, 1, 900, 1), stored(3, 3, 3, 700, 4), stored(4, 9, 1, 50, 4)];
    assert_eq!(copy(&mut machine, &batches.concat()), Ok(Offset(10)));
    machine.settle();
    let slot = slot(&mut machine);
    let store = &machine.stores[0];
    assert_eq!((store.flushed_end(slot), store.last_epoch(slot)), (Offset(10), Some(LeaderEpoch(4))));
    assert_eq!(store.epoch_end(slot, LeaderEpoch(1)), Some((LeaderEpoch(1), Offset(3))));
    let request = ReadRequest { from: Offset(0), max_bytes: 1 << 20, up_to: Offset(10), at_least_one: true };
    let read = machine.with(0, |store, now, out| store.read(now, slot, request, out)).expect("is in memory");
    assert_eq!(machine.bytes(&read.parts), batches.concat());
}

#[test]
fn what_a_leader_must_not_send_is_not_appended() {
    let mut machine = follower(shape());
    copy(&mut machine, &stored(1, 0, 5, 10, 3)).expect("sound");
    let refused = |machine: &mut Machine, bytes: &[u8]| {
        let before = offsets(machine, 0);
        assert!(matches!(copy(machine, bytes), Err(CopyError::Unsound(_))));
        assert_eq!(offsets(machine, 0), before);
    };
    refused(&mut machine, &stored(2, 3, 5, 10, 3));
    refused(&mut machine, &stored(2, 5, 1, 10, 2));
    refused(&mut machine, &stored(2, 1 << 33, 1, 10, 3));
    refused(&mut machine, &stored(2, 5, 1, 10, -1));
    let mut damaged = stored(2, 5, 1, 10, 3);
    *damaged.last_mut().expect("not empty") ^= 1;
    refused(&mut machine, &damaged);
    let mut old = stored(2, 5, 1, 10, 3);
    old[16] = 1;
    refused(&mut machine, &old);
    // Cut short at the end, repeated, or of an epoch that this leader cannot have written: no more than passed over.
    let whole = stored(2, 5, 1, 10, 3);
    assert_eq!(copy(&mut machine, &whole[..whole.len() - 1]), Ok(Offset(5)));
    assert_eq!(copy(&mut machine, &stored(1, 0, 5, 10, 3)), Ok(Offset(5)));
    assert_eq!(copy(&mut machine, &stored(2, 5, 1, 10, 10)), Ok(Offset(5)));
    assert_eq!(copy(&mut machine, &[whole, stored(3, 6, 1, 10, 10)].concat()), Ok(Offset(6)));
}

#[test]
fn what_a_cut_zeroes_under_a_send_is_not_taken_for_what_the_leader_had() {
    let batches = [stored(1, 0, 2, 100, 1), stored(2, 2, 1, 100, 1), stored(3, 3, 3, 100, 1)];
    let sent = batches.concat();
    // The leader was cut behind the first batch, or the second, and the rest of the page is zeros; whole pages that
    // had been taken out of the file before still arrive.
    for (kept, end) in [(batches[0].len(), 2), (batches[0].len() + batches[1].len(), 3)] {
        for page_end in kept + 1..=sent.len() {
            for from in [0, kept] {
                let mut machine = follower(shape());
                copy_of(&mut machine, 0, &sent[..kept]).expect("sound");
                let mut arrives = sent[from..].to_vec();
                arrives[kept - from..page_end - from].fill(0);
                // Of an offset, most bytes are zeros anyway.
                let is_whole = arrives == sent[from..];
                let _ = copy_of(&mut machine, end, &arrives);
                let copied = offsets(&mut machine, 0).1.0;
                assert_eq!(
                    copied,
                    if is_whole { 6 } else { end },
                    "zeros from {kept} to {page_end}, from {from}"
                );
            }
        }
    }
}

#[test]
fn a_log_is_cut_at_the_end_of_a_batch_and_goes_on_from_there() {
    for to in 0..=24 {
        let mut machine = follower(shape());
        let batches: Vec<Vec<u8>> =
            (0..8).map(|n| stored(n, 3 * i64::try_from(n).unwrap(), 3, 1200, 2 + n as i32)).collect();
        copy(&mut machine, &batches.concat()).expect("sound");
        if to % 2 == 0 {
            machine.settle();
        }
        assert_eq!(cut(&mut machine, to, false), Ok(()));
        machine.settle();
        let kept = to / 3;
        let end = Offset(kept * 3);
        assert_eq!(cut_end(&machine), Some(end), "cut at {to}");
        assert_eq!(offsets(&mut machine, 0), (Offset(0), end));
        let slot = slot(&mut machine);
        let latest = (kept > 0).then(|| LeaderEpoch(1 + i32::try_from(kept).unwrap()));
        assert_eq!(machine.stores[0].last_epoch(slot), latest);
        copy(&mut machine, &stored(50, end.0, 4, 1500, 9)).expect("it goes on");
        machine.settle();
        for boot in 2..4 {
            let disk = machine.disk.fork();
            machine = Machine::boot(disk, shape(), boot).expect("it is sound");
            machine.commits = false;
            assert_eq!(offsets(&mut machine, 0), (Offset(0), end.plus(4)), "after boot {boot}");
            let slot = machine.open(0).1;
            assert_eq!(machine.stores[0].offline(slot), None);
            assert_eq!(machine.stores[0].last_epoch(slot), Some(LeaderEpoch(9)));
        }
    }
}

#[test]
fn nothing_committed_is_cut_away_unless_that_was_given_up() {
    let mut machine = follower(shape());
    copy(&mut machine, &[stored(1, 0, 5, 10, 3), stored(2, 5, 5, 10, 3)].concat()).expect("sound");
    machine.settle();
    let slot = slot(&mut machine);
    machine.stores[0].set_high_watermark(slot, Offset(5));
    assert_eq!(cut(&mut machine, 4, false), Err(CutError::Committed { high_watermark: Offset(5) }));
    assert_eq!(cut(&mut machine, 4, true), Ok(()));
    assert_eq!(cut(&mut machine, 4, true), Err(CutError::UnderWay));
    machine.settle();
    assert_eq!(offsets(&mut machine, 0), (Offset(0), Offset(0)));
    assert_eq!(machine.stores[0].high_watermark(slot), Offset(0));
}

#[test]
fn a_reset_log_starts_where_it_is_told_also_below_a_start_that_the_journal_remembers() {
    let mut machine = follower(shape());
    copy(&mut machine, &stored(1, 0, 50, 100, 3)).expect("sound");
    machine.settle();
    let slot = slot(&mut machine);
    machine.stores[0].set_high_watermark(slot, Offset(50));
    machine.with(0, |store, now, _| {
        store.advance_log_start(now, slot, Offset(40), &mut Vec::new()).expect("below the watermark")
    });
    machine.settle();
    for (start, boot) in [(20, 2), (1000, 3), (7, 4)] {
        let slot = machine.open(0).1;
        machine.with(0, |store, now, _| store.reset(now, slot, Offset(start)).expect("it is there"));
        machine.settle();
        assert_eq!(cut_end(&machine), Some(Offset(start)));
        copy(&mut machine, &stored(2, start, 3, 10, 5)).expect("sound");
        machine.settle();
        machine = Machine::boot(machine.disk.fork(), shape(), boot).expect("it is sound");
        assert_eq!(offsets(&mut machine, 0), (Offset(start), Offset(start + 3)));
        let slot = machine.open(0).1;
        assert_eq!(machine.stores[0].offline(slot), None);
    }
}

#[test]
fn producers_go_back_with_the_log() {
    let mut machine = follower(shape());
    let sequenced = |id: i64, sequence: i32, base: i64| {
        let mut builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), sequence);
        builder.push(NewRecord { timestamp_ms: 0, value: Some(b"v"), ..NewRecord::default() });
        let mut bytes = builder.build().to_vec();
        header::place(&mut bytes, Offset(base), LeaderEpoch(3));
        bytes
    };
    copy(&mut machine, &[sequenced(1, 0, 0), sequenced(1, 1, 1), sequenced(2, 0, 2)].concat())
        .expect("sound");
    cut(&mut machine, 1, false).expect("nothing is committed");
    machine.settle();
    let slot = slot(&mut machine);
    let producers = machine.stores[0].producers(slot);
    assert_eq!(producers.len(), 1);
    let known = producers.get(ProducerId(1)).expect("its first batch is kept");
    assert_eq!(known.batches.last().map(|batch| batch.last_sequence), Some(0));
}

#[test]
fn a_recorded_watermark_is_known_after_a_power_cut_and_a_lost_file_costs_nothing_promised() {
    let mut machine = follower(shape());
    copy(&mut machine, &stored(1, 0, 50, 100, 3)).expect("sound");
    machine.settle();
    let slot = slot(&mut machine);
    machine.stores[0].set_replicated(slot, true);
    machine.stores[0].set_high_watermark(slot, Offset(30));
    machine.tick(6_000);
    let disk = machine.disk.fork();
    disk.crash(&mut Rng(5));
    let mut again = Machine::boot(disk, Shape { shards: 2, ..shape() }, 2).expect("it is sound");
    let (shard, slot) = again.open(0);
    assert_eq!(again.stores[shard].high_watermark(slot), Offset(30));
    let mut third = Machine::boot(again.disk.fork(), shape(), 3).expect("it is sound");
    let slot = third.open(0).1;
    assert_eq!(third.stores[0].high_watermark(slot), Offset(30), "a start hands it on");
    let disk = third.disk.fork();
    for path in disk.paths().into_iter().filter(|path| path.display().to_string().contains("watermarks")) {
        disk.flip(&path, 9);
    }
    let mut fourth = Machine::boot(disk, shape(), 4).expect("it is sound");
    let slot = fourth.open(0).1;
    assert_eq!(fourth.stores[0].high_watermark(slot), Offset(0));
}

#[test]
fn a_follower_reads_what_is_not_flushed_and_a_consumer_does_not() {
    let mut machine = follower(shape());
    machine.settle();
    copy(&mut machine, &stored(1, 0, 2, 10, 3)).expect("sound");
    let slot = slot(&mut machine);
    let request = ReadRequest { from: Offset(0), max_bytes: 1 << 20, up_to: Offset(2), at_least_one: true };
    let read = machine.with(0, |store, now, out| store.read(now, slot, request, out)).expect("in range");
    assert_eq!(read.bytes, 0);
    let read = machine.with(0, |store, _, out| store.read_unflushed(slot, request, out)).expect("in range");
    assert_eq!(machine.bytes(&read.parts), stored(1, 0, 2, 10, 3));
    let beyond = ReadRequest { from: Offset(3), ..request };
    let read = machine.with(0, |store, _, out| store.read_unflushed(slot, beyond, out));
    assert!(matches!(read, Err(ReadError::OutOfRange { .. })));
}

#[test]
fn a_hole_that_the_leaders_compaction_left_is_read_over_also_after_a_restart() {
    // The largest begin their segments, behind a hole some of them, and go over several blocks.
    for bytes in [900, 2300, 4500] {
        read_over_holes(bytes);
    }
}

/// Batches of two records of so many bytes.
fn read_over_holes(bytes: usize) {
    let log = LogSettings { compact: true, ..shape().log };
    let shape = Shape { log, ..shape() };
    let mut machine = follower(shape.clone());
    let mut base = 0;
    for mark in 0..12 {
        copy(&mut machine, &stored(mark, base, 2, bytes, 3)).expect("sound");
        machine.settle();
        base += 2 + 5 * i64::from(mark % 3 != 2);
        // Each may be the last one before a restart.
        let mut again = Machine::boot(machine.disk.fork(), shape.clone(), 2).expect("it is sound");
        assert_brings_on(&mut again);
    }
    for boot in 2..4 {
        assert_brings_on(&mut machine);
        machine = Machine::boot(machine.disk.fork(), shape.clone(), boot).expect("it is sound");
    }
}

/// Wherever one reads, one is given something at or behind that offset.
fn assert_brings_on(machine: &mut Machine) {
    let (start, end) = offsets(machine, 0);
    for from in start.0..end.0 {
        let slot = machine.open(0).1;
        let request = ReadRequest { from: Offset(from), max_bytes: 1, up_to: end, at_least_one: true };
        let read = loop {
            match machine.with(0, |store, now, out| store.read(now, slot, request, out)) {
                Err(ReadError::Later) => machine.settle(),
                other => break other.expect("in range"),
            }
        };
        let bytes = machine.bytes(&read.parts);
        let brings_on = crate::records::Batches::new(&bytes)
            .filter_map(Result::ok)
            .any(|batch| batch.header().last_offset().0 >= from);
        assert!(brings_on, "a read at {from} brings nothing at or behind it");
    }
}

/// What a follower's log should hold: the mark of each batch, with its offsets.
#[derive(Clone, Default)]
struct Model {
    batches: Vec<(i64, i64, u64)>,
    start: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(self.start, |(_, next, _)| *next)
    }
    fn cut(&mut self, to: i64) {
        self.batches.retain(|(_, next, _)| *next <= to);
    }
    fn marks(&self) -> Vec<u64> {
        self.batches.iter().flat_map(|(base, next, mark)| (*base..*next).map(|_| *mark)).collect()
    }
}

/// One life, and the next start after the power went in the middle of it.
fn live_and_die(seed: u64) {
    let mut rng = Rng(seed);
    let mut machine = follower(shape());
    let mut model = Model::default();
    // What else the disk may hold: the log as it was before the cut that is under way.
    let mut before: Option<Model> = None;
    let (mut mark, mut flushed) = (0, 0);
    for _ in 0..rng.below(120) {
        if machine.events.iter().any(|(_, event)| matches!(event, Event::Cut { .. })) {
            (before, flushed) = (None, model.end());
            machine.events.clear();
        }
        match rng.below(12) {
            0..4 if before.is_none() => {
                mark += 1;
                let (base, count) = (model.end(), 1 + rng.below(4));
                let bytes = 1 + usize::try_from(rng.below(4000)).unwrap();
                let batch = stored(mark, base, usize::try_from(count).unwrap(), bytes, 3);
                if copy(&mut machine, &batch).is_ok() {
                    model.batches.push((base, base + i64::try_from(count).unwrap(), mark));
                }
            }
            4 if before.is_none() => {
                let to = model.start + rng.below(1 + (model.end() - model.start).unsigned_abs()) as i64;
                if to < model.end() {
                    before = Some(model.clone());
                    model.cut(to);
                    cut(&mut machine, to, false).expect("nothing is committed");
                }
            }
            5 if before.is_none() && rng.below(4) == 0 => {
                let slot = slot(&mut machine);
                let start = rng.below(1 + model.end().unsigned_abs() * 2) as i64;
                before = Some(model.clone());
                model = Model { batches: Vec::new(), start };
                machine.with(0, |store, now, _| store.reset(now, slot, Offset(start)).expect("it is there"));
            }
            6 => machine.settle(),
            7 => machine.turn(),
            _ => {
                machine.step();
            }
        }
        for (_, event) in &machine.events {
            if let Event::Flushed { end, .. } = event {
                flushed = end.0;
            }
        }
    }
    if machine.events.iter().any(|(_, event)| matches!(event, Event::Cut { .. })) {
        (before, flushed) = (None, model.end());
    }
    let disk = machine.disk.fork();
    disk.crash(&mut rng);
    let mut again = Machine::boot(disk, shape(), 2).unwrap_or_else(|fatal| panic!("seed {seed}: {fatal}"));
    let slot = again.open(0).1;
    assert_eq!(again.stores[0].offline(slot), None, "seed {seed}");
    let read = again.read_all(0);
    let (start, end) = offsets(&mut again, 0);
    let is_of = |model: &Model, least: i64| {
        let marks = model.marks();
        start.0 == model.start && end.0 >= least.min(model.end()) && marks.starts_with(&read)
    };
    let holds = is_of(&model, if before.is_some() { model.end() } else { flushed })
        || before.as_ref().is_some_and(|before| is_of(before, flushed));
    assert!(
        holds,
        "seed {seed}: {start} to {end}, flushed to {flushed}; model {} to {}, before {:?}",
        model.start,
        model.end(),
        before.map(|before| (before.start, before.end()))
    );
    // It goes on.
    copy(&mut again, &stored(7, end.0, 1, 10, 3)).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    again.settle();
    assert_eq!(offsets(&mut again, 0).1, end.plus(1));
    assert!(again.stores[0].slot(partition(0)).is_some());
}

#[test]
fn a_log_is_as_it_was_or_cut_whenever_the_power_goes() {
    (0..400).for_each(live_and_die);
}

#[test]
fn a_cut_that_leaves_nothing_at_or_behind_the_log_start_leaves_an_empty_log_that_begins_there() {
    // The log starts in the middle of its first batch, or at the end of it; the cut goes through that batch, or the next.
    for (start, to) in [(3, 4), (5, 7), (3, 3)] {
        let mut machine = follower(shape());
        copy(&mut machine, &[stored(1, 0, 5, 10, 1), stored(2, 5, 5, 10, 1)].concat()).expect("sound");
        machine.settle();
        let slot = slot(&mut machine);
        machine.stores[0].set_high_watermark(slot, Offset(start));
        let mut events = Vec::new();
        let moved =
            machine.with(0, |store, now, _| store.advance_log_start(now, slot, Offset(start), &mut events));
        moved.expect("it is committed");
        machine.settle();
        cut(&mut machine, to, false).expect("nothing below it is taken");
        machine.settle();
        assert_eq!(offsets(&mut machine, 0), (Offset(start), Offset(start)), "start {start}, cut at {to}");
        assert_eq!(cut_end(&machine), Some(Offset(start)));
        // What its leader has from there on is taken in again.
        let again = copy(&mut machine, &stored(3, start, 4, 10, 2));
        assert_eq!(again, Ok(Offset(start + 4)));
        machine.settle();
        let disk = machine.disk.fork();
        let log = super::testing::start(&disk, 2);
        assert_eq!((log.offline, log.start, log.end), (None, Offset(start), Offset(start + 4)));
    }
}
