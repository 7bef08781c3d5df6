//! Compaction as a whole: stores that compact, on a disk that loses what was not flushed.

use crate::{
    ids::{Offset, ProducerEpoch, ProducerId},
    log::{
        AppendError, CleanerSettings, Event, LogSettings, ReadError, ReadRequest,
        testing::{Machine, MemDisk, Shape},
    },
    records::{Batch, BatchBuilder, Batches, Codec, DecodedBatch, NewRecord, Scratch},
};
use corelane_seam::Disk as _;
use std::{collections::BTreeMap, path::PathBuf};

mod power_cuts;

/// Longer than the cleaner rests.
const REST_MS: u64 = 20_000;

fn shape() -> Shape {
    let log = LogSettings {
        segment_bytes: 10 << 10,
        retention_ms: None,
        delete: false,
        compact: true,
        dirty_share_min: 0.0,
        delete_retention_ms: 100_000,
        ..LogSettings::default()
    };
    Shape { shards: 1, log, ..Shape::default() }
}

fn boot(shape: &Shape) -> Machine {
    Machine::boot(MemDisk::new(), shape.clone(), 1).expect("an empty disk")
}

/// A record as it is read: offset, key, value.
type Found = (i64, u8, Option<u64>);

/// Records of a kilobyte: the value's first eight bytes are a number; a tombstone has none.
fn keyed(codec: Codec, records: &[(u8, Option<u64>)], unix_ms: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new().codec(codec);
    push(&mut builder, records, unix_ms);
    builder.build().to_vec()
}

fn push(builder: &mut BatchBuilder, records: &[(u8, Option<u64>)], unix_ms: i64) {
    for (key, number) in records {
        let value = number.map(|number| [&number.to_be_bytes()[..], &[7; 1000]].concat());
        builder.push(NewRecord {
            timestamp_ms: unix_ms,
            key: Some(&[*key]),
            value: value.as_deref(),
            ..NewRecord::default()
        });
    }
}

fn append(machine: &mut Machine, records: &[(u8, Option<u64>)]) {
    let bytes = keyed(Codec::None, records, machine.now.unix_ms);
    machine.append(0, &bytes).expect("there is room");
    machine.settle();
}

/// Ten records of keys 0 to 9 with numbers from `from` on: a segment.
fn append_round(machine: &mut Machine, from: u64) {
    for key in 0..10_u8 {
        append(machine, &[(key, Some(from + u64::from(key)))]);
    }
}

fn compact(machine: &mut Machine) {
    for _ in 0..4 {
        machine.tick(REST_MS);
    }
}

/// What is there from `from` on, read with at most `max_bytes` at a time.
fn read_from(machine: &mut Machine, from: Offset, max_bytes: usize) -> Vec<Found> {
    let (shard, slot) = machine.open(0);
    let end = machine.stores[shard].flushed_end(slot);
    let mut from = from.max(machine.stores[shard].log_start(slot));
    let mut found: Vec<Found> = Vec::new();
    while from < end {
        let request = ReadRequest { from, max_bytes, up_to: end, at_least_one: true };
        let read = match machine.with(shard, |store, now, out| store.read(now, slot, request, out)) {
            Err(ReadError::Later) => {
                machine.settle();
                continue;
            }
            other => other.unwrap_or_else(|error| panic!("at {from}: {error:?}")),
        };
        let bytes = machine.bytes(&read.parts);
        let before = from;
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            assert!(batch.checksum_matches());
            if batch.header().last_offset() < from {
                continue;
            }
            found.extend(records(&batch).into_iter().filter(|(offset, ..)| *offset >= from.0));
            from = batch.header().next_offset();
        }
        assert!(from > before, "a read at {before} of {end} brought nothing");
    }
    assert!(found.is_sorted_by(|one, next| one.0 < next.0), "offsets ascend: {found:?}");
    found
}

fn read_all(machine: &mut Machine) -> Vec<Found> {
    read_from(machine, Offset(0), 30_000)
}

fn records(batch: &Batch<'_>) -> Vec<Found> {
    let mut scratch = Scratch::default();
    let decoded = DecodedBatch::new(*batch, &mut scratch).expect("readable");
    let plain = decoded.records().map(|record| {
        let record = record.expect("readable");
        let number = record.value.map(|value| u64::from_be_bytes(value[..8].try_into().expect("eight")));
        (record.offset.0, record.key.expect("a key")[0], number)
    });
    plain.collect()
}

fn files(machine: &Machine, end: &str) -> Vec<PathBuf> {
    let all = machine.disk.paths().into_iter();
    all.filter(|path| path.display().to_string().ends_with(end)).collect()
}

#[test]
fn of_each_key_the_last_record_stays_at_its_offset_and_small_segments_become_one() {
    let mut machine = boot(&shape());
    for round in 0..4 {
        append_round(&mut machine, round * 100);
    }
    append(&mut machine, &[(3, Some(999))]);
    assert!(files(&machine, ".log").len() >= 4);
    compact(&mut machine);
    let found = read_all(&mut machine);
    let expected: Vec<Found> =
        (0..10_u8).map(|key| (30 + i64::from(key), key, Some(300 + u64::from(key)))).collect();
    assert!(found.ends_with(&[(40, 3, Some(999))]), "{found:?}");
    assert!(expected.iter().all(|record| found.contains(record)), "{found:?}");
    assert_eq!(found[0], (26, 6, Some(206)), "what makes it old is in the last segment: {found:?}");
    let several = files(&machine, ".log").len();
    append_round(&mut machine, 400);
    compact(&mut machine);
    let logs = files(&machine, ".log");
    assert!(logs.len() < several && logs.len() <= 3, "{several} became {logs:?}");
    assert_eq!(files(&machine, ".index").len(), logs.len(), "the last segment is in the journal");
    assert!(files(&machine, ".cleaned").is_empty());
    assert_eq!(read_all(&mut machine).len(), 6 + 10, "the last segment has six");
}

#[test]
fn a_log_that_is_not_to_be_compacted_is_left_alone() {
    for shape in [
        Shape { log: LogSettings { compact: false, ..shape().log }, ..shape() },
        Shape { cleaner: CleanerSettings { enabled: false, ..CleanerSettings::default() }, ..shape() },
    ] {
        let mut machine = boot(&shape);
        for round in 0..4 {
            append_round(&mut machine, round * 100);
        }
        compact(&mut machine);
        assert_eq!(read_all(&mut machine).len(), 40);
    }
}

#[test]
fn a_reader_comes_on_from_every_offset_however_little_it_takes() {
    let mut machine = boot(&shape());
    for round in 0..6 {
        for key in 0..30_u8 {
            let key = if key % 3 == 0 { key + 100 + u8::try_from(round).expect("small") } else { key };
            append(&mut machine, &[(key, Some(round))]);
        }
    }
    compact(&mut machine);
    let all = read_all(&mut machine);
    assert!(all.len() < 120, "{}", all.len());
    for from in 0..180 {
        let expected: Vec<Found> = all.iter().filter(|(offset, ..)| *offset >= from).copied().collect();
        assert_eq!(read_from(&mut machine, Offset(from), 1), expected, "from {from}");
    }
}

#[test]
fn a_range_that_was_handed_out_is_read_to_its_end_after_the_swap() {
    let mut machine = boot(&Shape { cache_bytes: 0, ..shape() });
    for round in 0..3 {
        append_round(&mut machine, round * 100);
    }
    machine.tick(1);
    let (shard, slot) = machine.open(0);
    let request = ReadRequest { from: Offset(0), max_bytes: 5_000, up_to: Offset(30), at_least_one: true };
    let read = loop {
        match machine.with(shard, |store, now, out| store.read(now, slot, request, out)) {
            Err(ReadError::Later) => machine.settle(),
            other => break other.expect("readable"),
        }
    };
    let before = machine.bytes(&read.parts);
    assert!(!before.is_empty());
    append_round(&mut machine, 300);
    compact(&mut machine);
    assert!(read_all(&mut machine).first().is_some_and(|(offset, ..)| *offset > 5), "it was compacted");
    assert_eq!(machine.bytes(&read.parts), before);
}

#[test]
fn a_tombstone_stays_for_its_time_after_the_cleaning_that_passed_it_and_then_goes() {
    let mut machine = boot(&shape());
    append_round(&mut machine, 0);
    append(&mut machine, &[(3, None)]);
    append_round(&mut machine, 100);
    let delete = |machine: &mut Machine| {
        append(machine, &[(3, None)]);
        for number in 0..12 {
            append(machine, &[(200, Some(number))]);
        }
    };
    delete(&mut machine);
    compact(&mut machine);
    let of_3 = |machine: &mut Machine| {
        read_all(machine).into_iter().filter(|(_, key, _)| *key == 3).collect::<Vec<_>>()
    };
    assert_eq!(of_3(&mut machine), [(21, 3, None)]);
    // It is looked at again only by a cleaning, and that needs something dirty.
    machine.tick(110_000);
    assert_eq!(of_3(&mut machine), [(21, 3, None)]);
    for number in 0..12 {
        append(&mut machine, &[(200, Some(number))]);
    }
    compact(&mut machine);
    assert_eq!(of_3(&mut machine), []);
}

#[test]
fn a_full_map_cleans_up_to_there_and_the_next_pass_goes_on() {
    let cleaner = CleanerSettings { map_bytes_max: 0, ..CleanerSettings::default() };
    let mut machine = boot(&Shape { cleaner, ..shape() });
    for round in 0..3 {
        for key in 0..60_u8 {
            append(&mut machine, &[(key, Some(round * 100 + u64::from(key)))]);
        }
    }
    for _ in 0..40 {
        machine.tick(REST_MS);
    }
    let found = read_all(&mut machine);
    let old = found.iter().filter(|(offset, ..)| *offset < 110).count();
    assert_eq!(old, 0, "{found:?}");
    let last: BTreeMap<u8, u64> =
        found.iter().map(|(_, key, number)| (*key, number.expect("a value"))).collect();
    assert!(
        last.iter().all(|(key, number)| *number == 200 + u64::from(*key)) && last.len() == 60,
        "{last:?}"
    );
}

#[test]
fn every_codec_is_compacted_and_kept() {
    for codec in Codec::ALL {
        let mut machine = boot(&shape());
        for round in 0..40_u64 {
            let records: Vec<_> = (0..10_u8).map(|key| (key, Some(round * 10 + u64::from(key)))).collect();
            // One key less each time: the last of the others is in the middle of its batch.
            let records = &records[usize::try_from(round / 8).expect("small")..];
            let bytes = keyed(codec, records, machine.now.unix_ms);
            machine.append(0, &bytes).expect("there is room");
            machine.settle();
        }
        let settings = LogSettings { segment_ms: 1, ..shape().log };
        let (shard, slot) = machine.open(0);
        machine.stores[shard].configure(slot, settings);
        machine.now.unix_ms += 10;
        append(&mut machine, &[(200, Some(1))]);
        compact(&mut machine);
        let found = read_all(&mut machine);
        let expected = |key: u8| match key {
            0 => 7,
            1 => 15,
            2 => 23,
            3 => 31,
            _ => 39,
        };
        let numbers: BTreeMap<u8, Option<u64>> =
            found.iter().map(|(_, key, number)| (*key, *number)).collect();
        for key in 0..10_u8 {
            assert_eq!(numbers[&key], Some(expected(key) * 10 + u64::from(key)), "{codec:?}");
        }
        assert_eq!(found.len(), 11, "{codec:?}: {found:?}");
    }
}

#[test]
fn the_last_sequence_of_a_producer_outlives_its_records_even_without_a_checkpoint() {
    let mut machine = boot(&shape());
    let idempotent = |sequence, number| {
        let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), sequence);
        push(&mut builder, &[(1, Some(number))], 0);
        builder.build().to_vec()
    };
    machine.append(0, &idempotent(0, 5)).expect("there is room");
    machine.append(0, &idempotent(1, 6)).expect("there is room");
    machine.settle();
    for round in 0..3 {
        append_round(&mut machine, 100 * round);
    }
    compact(&mut machine);
    assert!(read_all(&mut machine).iter().all(|(offset, ..)| *offset > 1));
    machine.disk.remove(&files(&machine, "/checkpoint")[0]).expect("it is there");
    let mut machine = Machine::boot(machine.disk.fork(), shape(), 2).expect("sound");
    let again = machine.append(0, &idempotent(1, 6)).expect("a duplicate");
    assert!(again.duplicate && again.base_offset == Offset(1), "{again:?}");
    assert!(matches!(machine.append(0, &idempotent(3, 7)), Err(AppendError::Producer(_))));
    machine.append(0, &idempotent(2, 7)).expect("the next one");
}

#[test]
fn a_log_whose_checkpoint_is_lost_is_found_as_it_was_compacted() {
    let mut machine = boot(&shape());
    for round in 0..5 {
        append_round(&mut machine, 100 * round);
        compact(&mut machine);
    }
    let before = read_all(&mut machine);
    let disk = machine.disk.fork();
    disk.remove(&files(&machine, "/checkpoint")[0]).expect("it is there");
    // What a power cut left of the cleaning before: a file that was superseded, and one that was not finished.
    let is_cleaned = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.display().to_string().matches('-').count() == 2)
    };
    let cleaned = files(&machine, ".log").into_iter().find(is_cleaned);
    let name = cleaned.expect("a compacted segment").display().to_string();
    let (serial, cleaning) = name.trim_end_matches(".log").rsplit_once('-').expect("a cleaned one");
    let older = u32::from_str_radix(cleaning, 16).expect("a number") - 1;
    disk.replace(PathBuf::from(format!("{serial}-{older:08x}.log")).as_path(), b"old")
        .expect("there is room");
    disk.replace(PathBuf::from(name.replace(".log", ".cleaned")).as_path(), b"half").expect("there is room");
    let mut machine = Machine::boot(disk, shape(), 2).expect("sound");
    assert_eq!(read_all(&mut machine), before);
    let left: Vec<_> =
        files(&machine, "").into_iter().filter(|path| path.display().to_string().contains(serial)).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn the_cleaned_part_is_known_after_a_restart() {
    let mut machine = boot(&Shape { log: LogSettings { dirty_share_min: 0.5, ..shape().log }, ..shape() });
    for round in 0..4 {
        append_round(&mut machine, 100 * round);
    }
    compact(&mut machine);
    let shape = machine.shape.clone();
    let mut machine = Machine::boot(machine.disk.fork(), shape, 2).expect("sound");
    let logs = files(&machine, ".log");
    append_round(&mut machine, 400);
    compact(&mut machine);
    assert!(
        logs.iter().all(|path| files(&machine, ".log").contains(path)),
        "one segment in two is not enough"
    );
}

#[test]
fn a_log_that_is_deleted_while_it_is_compacted_leaves_nothing() {
    for steps in 0..60 {
        let mut machine = boot(&shape());
        for round in 0..3 {
            append_round(&mut machine, 100 * round);
        }
        let (shard, slot) = machine.open(0);
        machine.now.monotonic = machine.now.monotonic.after_ms(REST_MS);
        machine.with(shard, |store, now, out| store.tick(now, out, &mut Vec::new()));
        for _ in 0..steps {
            machine.step();
            machine.turn();
        }
        let now = machine.now;
        machine.stores[shard].delete(now, slot);
        machine.settle();
        compact(&mut machine);
        assert_eq!(
            files(&machine, ".log").len() + files(&machine, ".cleaned").len(),
            0,
            "{steps}: {:?}",
            files(&machine, "")
        );
        assert!(!machine.stores[shard].is_cleaning());
    }
}

#[test]
fn a_log_whose_start_moves_while_it_is_compacted_keeps_what_is_above_it() {
    for steps in 0..60 {
        let mut machine = boot(&shape());
        for round in 0..4 {
            append_round(&mut machine, 100 * round);
        }
        let (shard, slot) = machine.open(0);
        machine.now.monotonic = machine.now.monotonic.after_ms(REST_MS);
        machine.with(shard, |store, now, out| store.tick(now, out, &mut Vec::new()));
        for _ in 0..steps {
            machine.step();
            machine.turn();
        }
        let now = machine.now;
        let moved = machine.stores[shard].advance_log_start(now, slot, Offset(12), &mut Vec::new());
        assert_eq!(moved, Ok(()));
        machine.settle();
        compact(&mut machine);
        let found = read_all(&mut machine);
        assert!(!machine.stores[shard].is_uncleanable(slot), "{steps}: nothing is wrong with its files");
        assert!(found.first().is_some_and(|(offset, ..)| *offset >= 12));
        for key in 0..10_u8 {
            assert!(
                found.contains(&(30 + i64::from(key), key, Some(300 + u64::from(key)))),
                "{steps}: {found:?}"
            );
        }
        let shape = machine.shape.clone();
        let mut again = Machine::boot(machine.disk.fork(), shape, 2).expect("sound");
        assert_eq!(read_all(&mut again), found, "{steps}");
    }
}

#[test]
fn a_damaged_segment_is_served_as_it_is_and_not_compacted() {
    let mut machine = boot(&Shape { cache_bytes: 0, ..shape() });
    for round in 0..4 {
        append_round(&mut machine, 100 * round);
    }
    let damaged = files(&machine, ".log")[1].clone();
    machine.disk.flip(&damaged, 2_500);
    compact(&mut machine);
    let logs = files(&machine, ".log");
    assert!(logs.len() >= 4 && logs.contains(&damaged), "{logs:?}");
    assert!(files(&machine, ".cleaned").is_empty());
    let (shard, slot) = machine.open(0);
    assert_eq!(machine.stores[shard].offline(slot), None);
    assert!(machine.stores[shard].is_uncleanable(slot));
    append(&mut machine, &[(1, Some(1))]);
}

#[test]
fn a_new_file_whose_flush_fails_is_thrown_away() {
    let mut machine = boot(&shape());
    for round in 0..4 {
        append_round(&mut machine, 100 * round);
    }
    let before = read_all(&mut machine);
    machine.disk.fail_next_flush_of(".cleaned");
    compact(&mut machine);
    assert_eq!(read_all(&mut machine), before);
    assert!(files(&machine, ".cleaned").is_empty());
    let mut again = Machine::boot(machine.disk.fork(), shape(), 2).expect("sound");
    assert_eq!(read_all(&mut again), before);
    compact(&mut again);
    assert!(read_all(&mut again).len() < before.len(), "after a restart it is tried again");
}

#[test]
fn the_throttle_spreads_a_pass_over_time() {
    let cleaner = CleanerSettings { bytes_per_second_max: Some(10_000.0), ..CleanerSettings::default() };
    let mut machine = boot(&Shape { cleaner, ..shape() });
    for round in 0..4 {
        append_round(&mut machine, 100 * round);
    }
    machine.tick(REST_MS);
    assert!(machine.stores[0].is_cleaning());
    let next = machine.stores[0].next_tick();
    assert!(next > machine.now.monotonic, "it says when to come again");
    machine.tick(500);
    assert!(machine.stores[0].is_cleaning(), "some 80 kB take 8 s");
    for _ in 0..40 {
        machine.tick(500);
    }
    assert!(!machine.stores[0].is_cleaning());
    assert!(read_all(&mut machine).len() < 25);
}

#[test]
fn a_search_by_time_passes_over_what_compaction_emptied() {
    let mut machine = boot(&shape());
    for round in 0..4 {
        machine.now.unix_ms = 10_000 * i64::try_from(round).expect("small") + 10_000;
        append_round(&mut machine, 100 * round);
    }
    compact(&mut machine);
    let found = read_all(&mut machine);
    let first_left = found[0].0;
    let (shard, slot) = machine.open(0);
    let ask = |machine: &mut Machine, target| {
        let mut events = Vec::new();
        machine.with(shard, |store, now, out| {
            store.find_timestamp(now, slot, target, Offset(40), 1, out, &mut events);
        });
        machine.settle();
        events.extend(machine.events.drain(..).map(|(_, event)| event));
        let answer = events.into_iter().find_map(|event| match event {
            Event::TimestampFound { result, .. } => Some(result),
            _ => None,
        });
        answer.expect("an answer").expect("no error").map(|found| found.offset)
    };
    assert_eq!(ask(&mut machine, 0), Some(Offset(first_left)));
    assert_eq!(ask(&mut machine, 40_000), Some(Offset(30)));
    assert_eq!(ask(&mut machine, 40_001), None);
}
