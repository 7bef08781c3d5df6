//! Stores whose memory or journal runs short.

use super::{testing::*, *};

/// One shard with room for many logs, in groups and segments as large as in production.
fn many_logs() -> Shape {
    Shape {
        shards: 1,
        group_bytes: 1 << 20,
        memory_bytes: 64 << 20,
        log: LogSettings { retention_ms: None, ..LogSettings::default() },
        ..Shape::default()
    }
}

#[test]
fn a_thousand_logs_written_once_and_left_alone_do_not_hold_the_journal() {
    let mut machine = Machine::boot(MemDisk::new(), many_logs(), 1).unwrap();
    for index in 0..1_000 {
        machine.append(index, &batch(1, 1, 100, 0)).unwrap();
        if index % 10 == 0 {
            machine.settle_quickly();
        }
    }
    // Many times what the journal holds goes through it.
    for mark in 0..1_000 {
        machine.append(1_000, &batch(mark, 1, 100_000, 0)).unwrap();
        machine.settle_quickly();
    }
    machine.stores[0].check();
    assert!(machine.stores[0].journal_low() > 900, "the low mark moves: {}", machine.stores[0].journal_low());
    assert_eq!(machine.disk.paths_in(".log").len(), 1, "nobody's remainder made a file");
    let disk = machine.disk.clone();
    disk.crash(&mut Rng(5));
    let mut machine = Machine::boot(disk, machine.shape, 2).unwrap();
    assert_eq!(machine.read_all(999), vec![1]);
    assert_eq!(machine.read_all(1_000).len(), 1_000);
}

#[test]
fn many_large_batches_at_once_do_not_fill_the_journal_with_beginnings() {
    let shape = Shape {
        shards: 1,
        journal_bytes: 512 << 10,
        journal_bytes_max: 512 << 10,
        group_bytes: 256 << 10,
        ..Shape::default()
    };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    machine.settle();
    for round in 0..4 {
        for index in 0..12 {
            machine.append(index, &batch(round, 1, 90_000, 0)).unwrap();
        }
        machine.settle();
        for index in 0..12 {
            let (shard, slot) = machine.open(index);
            let store = &machine.stores[shard];
            assert_eq!(store.flushed_end(slot), store.log_end(slot), "partition {index}, round {round}");
        }
    }
}

#[test]
fn more_quiet_logs_than_are_looked_at_in_a_turn_let_go_of_a_group_they_share() {
    let mut machine = Machine::boot(MemDisk::new(), many_logs(), 1).unwrap();
    for index in 0..6_000 {
        machine.append(index, &batch(1, 1, 10, 0)).unwrap();
    }
    machine.settle_quickly();
    // Twice through the journal, which has six blocks per log.
    for mark in 0..3_000 {
        machine.append(6_000, &batch(mark, 1, 100_000, 0)).unwrap();
        if mark % 5 == 0 {
            machine.settle_quickly();
        }
    }
    machine.settle_quickly();
    machine.stores[0].check();
    assert_eq!(machine.read_all(6_000).len(), 3_000);
    assert!(machine.stores[0].journal_low() > 100, "the low mark moves: {}", machine.stores[0].journal_low());
}

#[test]
fn room_that_the_end_of_a_turn_makes_is_told_by_it() {
    let shape = Shape { shards: 1, memory_bytes: 200 << 10, cache_bytes: 0, ..Shape::default() };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    machine.settle();
    let mut mark = 0;
    for _ in 0..20 {
        let full = loop {
            match machine.append(0, &batch(mark, 1, 10_000, 0)) {
                Ok(_) => mark += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full, AppendError::Full);
        machine.events.clear();
        machine.settle();
        assert!(machine.events.iter().any(|(_, event)| *event == Event::Room), "after {mark} batches");
    }
    assert_eq!(machine.read_all(0).len() as u64, mark);
}

#[test]
fn what_waits_before_the_journal_is_bounded_and_is_taken_again_when_groups_have_left() {
    let shape = Shape { shards: 1, ..Shape::default() };
    let bound = 8 * shape.group_bytes as u64;
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    machine.settle();
    let one = batch(0, 1, 10_000, 0);
    for _ in 0..3 {
        let mut bytes = 0;
        while machine.append(0, &one) != Err(AppendError::Full) {
            bytes += one.len() as u64;
        }
        // Whatever brings it to the bound is taken.
        assert!((bound..bound + one.len() as u64).contains(&bytes), "{bytes}");
        machine.settle();
    }
}

/// Appends a batch to each of so many logs in turn, while the disk does one operation for every second of them.
fn append_in_turn(machine: &mut Machine, logs: i32, rounds: u64) {
    for round in 0..rounds {
        for index in 0..logs {
            while machine.append(index, &batch(round, 1, 1_000, 0)) == Err(AppendError::Full) {
                machine.turn();
                assert!(machine.step(), "memory comes free");
            }
            machine.turn();
            if index % 2 == 0 {
                machine.step();
            }
        }
    }
    machine.settle_quickly();
}

#[test]
fn logs_that_fill_memory_together_are_written_and_flushed_much_at_a_time() {
    let shape = Shape {
        journal_bytes: 64 << 20,
        journal_bytes_max: 64 << 20,
        memory_bytes: 4 << 20,
        cache_bytes: 0,
        ..many_logs()
    };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    append_in_turn(&mut machine, 64, 200);
    // Memory holds three quarters of 64 KiB for each: a log that is its turn has about that to write.
    let written = machine.disk.segments_written();
    let each = written.bytes / written.flushes.max(1);
    assert!(written.bytes > 8 << 20, "{written:?}");
    assert!(each > 24 << 10, "{each} bytes with each flush: {written:?}");
}

#[test]
fn while_the_journal_may_grow_no_segment_is_hurried_for_it() {
    let shape = Shape { journal_bytes: 1 << 20, journal_bytes_max: 32 << 20, ..many_logs() };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    for round in 0..100 {
        for index in 0..64 {
            machine.append(index, &batch(round, 1, 1_000, 0)).unwrap();
        }
        machine.settle_quickly();
    }
    assert_eq!(machine.disk.segments_written().flushes, 0);
    // What it has grown to at most is full of many more.
    append_in_turn(&mut machine, 64, 400);
    let written = machine.disk.segments_written();
    assert!(written.flushes > 0, "{written:?}");
    let each = written.bytes / written.flushes;
    assert!(each > 64 << 10, "{each} bytes with each flush: {written:?}");
}
