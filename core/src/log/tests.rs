//! The log as a whole: stores, journal, segments and recovery on a disk that loses what was not flushed.

use super::{testing::*, *};
use crate::{
    ids::{Offset, ProducerEpoch, ProducerId},
    records::{BatchBuilder, NewRecord},
};
use corelane_seam::{Disk as _, Flush};

#[test]
fn what_was_flushed_is_read_back_and_recovered_with_another_number_of_shards() {
    let mut machine = Machine::boot(MemDisk::new(), Shape::default(), 1).unwrap();
    for mark in 0..40 {
        machine.append(i32::try_from(mark % 5).unwrap(), &batch(mark, 3, 50, 0)).unwrap();
        machine.settle();
    }
    let before: Vec<_> = (0..5).map(|index| machine.read_all(index)).collect();
    assert!(before.iter().all(|marks| marks.len() == 24));
    for shards in [1, 3, 2] {
        let disk = machine.disk.fork();
        disk.crash(&mut Rng(u64::from(shards)));
        let mut again = Machine::boot(disk, Shape { shards, ..Shape::default() }, 2).unwrap();
        again.settle();
        for index in 0..5 {
            assert_eq!(again.read_all(index), before[usize::try_from(index).unwrap()]);
        }
    }
}

#[test]
fn a_write_is_flushed_within_unless_someone_waits_for_it_alone() {
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).unwrap();
    machine.append(0, &batch(0, 1, 50, 0)).unwrap();
    machine.settle();
    let (shard, slot) = machine.open(0);
    let asked = |machine: &mut Machine| {
        machine.append(0, &batch(1, 1, 50, 0)).unwrap();
        machine.turn();
        let asked = machine.asked_flushes();
        machine.settle();
        asked
    };
    assert_eq!(asked(&mut machine), [Flush::Within]);
    // acks=1, once: what comes after it is awaited by no one.
    machine.append(0, &batch(2, 1, 50, 0)).unwrap();
    machine.with(shard, |store, _, _| store.await_write(slot));
    assert_eq!(asked(&mut machine), [Flush::After]);
    assert_eq!(asked(&mut machine), [Flush::Within]);
    // Followers read what is written.
    machine.with(shard, |store, _, _| store.set_replicated(slot, true));
    assert_eq!(asked(&mut machine), [Flush::After]);
    machine.with(shard, |store, _, _| store.set_replicated(slot, false));
    let interval = FlushPolicy::Interval { messages: 2, ms: 1000 };
    let settings = LogSettings { flush: interval, ..LogSettings::default() };
    machine.with(shard, |store, _, _| store.configure(slot, settings));
    assert_eq!(asked(&mut machine), [Flush::No]);
    assert_eq!(asked(&mut machine), [Flush::After]);
}

#[test]
fn a_deleted_log_stays_deleted_unless_its_deletion_is_not_believed() {
    for (fault, expected) in [(Fault::None, false), (Fault::ReplayDeleted, true)] {
        let mut machine = Machine::boot(MemDisk::new(), Shape { fault, ..Shape::default() }, 1).unwrap();
        machine.append(0, &batch(1, 1, 100_000, 0)).unwrap();
        machine.settle();
        let (shard, slot) = machine.open(0);
        let now = machine.now;
        machine.stores[shard].delete(now, slot);
        machine.settle();
        assert!(machine.disk.paths().iter().all(|path| !path.starts_with("/data/logs")), "files are gone");
        assert_eq!(machine.stores[shard].slot(partition(0)), None);
        let disk = machine.disk.clone();
        disk.crash(&mut Rng(1));
        let machine = Machine::boot(disk, Shape { fault, ..Shape::default() }, 2).unwrap();
        assert_eq!(machine.stores[shard].slot(partition(0)).is_some(), expected);
    }
}

#[test]
fn a_log_that_is_made_again_keeps_what_came_after_the_deletion_and_nothing_else_whenever_the_power_goes() {
    for (old_bytes, new_bytes) in [(100, 100), (100_000, 100), (100, 100_000), (100_000, 100_000)] {
        let mut steps = 0;
        let mut ends = false;
        while !ends {
            let mut machine = Machine::boot(MemDisk::new(), Shape::default(), 1).unwrap();
            machine.append(0, &batch(1, 1, old_bytes, 0)).unwrap();
            machine.append(0, &batch(2, 1, old_bytes, 0)).unwrap();
            machine.settle();
            let (shard, slot) = machine.open(0);
            let now = machine.now;
            machine.stores[shard].delete(now, slot);
            machine.turn();
            machine.append(0, &batch(3, 1, new_bytes, 0)).unwrap();
            machine.turn();
            let (_, new) = machine.open(0);
            assert_ne!(slot, new);
            ends = !(0..steps).all(|_| {
                let went_on = machine.step();
                machine.turn();
                went_on
            });
            let is_flushed = machine.stores[shard].flushed_end(new) == Offset(1);
            let mut marks = Vec::new();
            let mut disk = machine.disk.clone();
            for boot in 2..4 {
                disk.crash(&mut Rng(steps));
                let mut machine = Machine::boot(disk, Shape::default(), boot).unwrap();
                let (_, slot) = machine.open(0);
                assert_eq!(machine.stores[shard].offline(slot), None);
                marks = machine.read_all(0);
                assert!(
                    marks == [3] || (!is_flushed && (marks == [1, 2] || marks.is_empty())),
                    "{marks:?} after {steps} steps"
                );
                disk = machine.disk.clone();
            }
            assert!(!ends || marks == [3], "in the end it is there");
            steps += 1;
        }
        assert!(steps > 3);
    }
}

#[test]
fn a_log_may_be_deleted_while_a_group_with_its_records_is_written_or_flushed() {
    for steps in 0..3 {
        let mut machine = Machine::boot(MemDisk::new(), Shape::default(), 1).unwrap();
        machine.append(0, &batch(1, 1, 100, 0)).unwrap();
        machine.settle();
        machine.events.clear();
        machine.append(0, &batch(2, 1, 100, 0)).unwrap();
        machine.turn();
        (0..steps).for_each(|_| assert!(machine.step(), "the group is under way"));
        let (shard, slot) = machine.open(0);
        let now = machine.now;
        let told = machine.events.len();
        machine.stores[shard].delete(now, slot);
        machine.settle();
        assert_eq!(machine.events.len(), told, "nothing more is told of a log that is being deleted");
        assert!(machine.disk.paths().iter().all(|path| !path.starts_with("/data/logs")), "files are gone");
    }
}

#[test]
fn the_journal_wraps_many_times_under_large_and_small_batches() {
    let shape = Shape { shards: 1, ..Shape::default() };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    let mut expected = 0;
    for mark in 0..400 {
        let size = if mark % 3 == 0 { 40_000 } else { 100 };
        machine.append(i32::try_from(mark % 7).unwrap(), &batch(mark, 1, size, 0)).unwrap();
        expected += 1;
        machine.settle();
    }
    assert!(machine.disk.paths().iter().any(|path| path.ends_with("00000000000000000000-00000000.index")));
    let found: usize = (0..7).map(|index| machine.read_all(index).len()).sum();
    assert_eq!(found, expected);
}

#[test]
fn a_batch_far_larger_than_a_group_is_appended_whole() {
    let shape = Shape { group_bytes: 256 << 10, journal_bytes: 2 << 20, ..Shape::default() };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    machine.append(0, &batch(1, 1, 1_500_000, 0)).unwrap();
    machine.append(2, &batch(2, 1, 20, 0)).unwrap();
    machine.turn();
    let first = std::iter::from_fn(|| {
        machine.step().then(|| {
            machine.turn();
            machine.events.iter().position(|(_, event)| matches!(event, Event::Flushed { .. }))
        })
    });
    first.flatten().next().expect("something is flushed");
    let (shard, small) = machine.open(2);
    assert_eq!(
        machine.stores[shard].flushed_end(small),
        Offset(1),
        "the small one did not wait for the large one"
    );
    machine.settle();
    assert_eq!((machine.read_all(0), machine.read_all(2)), (vec![1], vec![2]));
    let disk = machine.disk.clone();
    disk.crash(&mut Rng(3));
    let mut machine = Machine::boot(disk, Shape::default(), 2).unwrap();
    assert_eq!((machine.read_all(0), machine.read_all(2)), (vec![1], vec![2]));
}

#[test]
fn damage_to_what_is_known_to_be_flushed_is_refused_and_torn_groups_behind_are_cut() {
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).unwrap();
    for mark in 0..4 {
        machine.append(0, &batch(mark, 1, 10, 0)).unwrap();
        machine.settle();
    }
    let journal =
        machine.disk.paths().into_iter().find(|path| path.display().to_string().contains("journal-"));
    let journal = journal.unwrap();
    // Four groups of a batch each; no later group says that the last was flushed.
    for (block, refused) in [(0, true), (1, true), (2, true), (3, false)] {
        let disk = machine.disk.fork();
        disk.flip(&journal, block * 4096 + 200);
        let again = Machine::boot(disk, Shape { shards: 1, ..Shape::default() }, 2);
        match again {
            Err(fatal) => assert!(refused && fatal.0.contains("offset"), "{block}: {fatal}"),
            Ok(mut again) => {
                assert!(!refused, "{block}");
                assert_eq!(again.read_all(0).len(), 3);
            }
        }
    }
}

#[test]
fn a_failed_flush_of_the_journal_ends_all_acknowledgement() {
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).unwrap();
    machine.settle();
    machine.append(0, &batch(1, 1, 10, 0)).unwrap();
    machine.disk.fail_next_flush_of("journal-");
    machine.settle();
    assert!(machine.events.iter().any(|(_, event)| matches!(event, Event::DirectoryOffline { .. })));
    assert!(!machine.events.iter().any(|(_, event)| matches!(event, Event::Flushed { .. })));
    assert!(matches!(machine.append(0, &batch(2, 1, 10, 0)), Err(AppendError::Offline(_))));
}

#[test]
fn a_failed_flush_of_a_segment_takes_only_its_partition_offline() {
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).unwrap();
    machine.disk.fail_next_flush_of("-0/");
    for mark in 0..20 {
        let result = machine.append(0, &batch(mark, 1, 30_000, 0));
        assert!(matches!(result, Ok(_) | Err(AppendError::Offline(_))));
        machine.append(1, &batch(mark, 1, 3_000, 0)).unwrap();
        machine.settle();
    }
    assert!(machine.events.iter().any(|(_, event)| matches!(event, Event::PartitionOffline { .. })));
    assert_eq!(machine.read_all(1).len(), 20);
}

#[test]
fn a_full_disk_refuses_appends_and_serves_reads() {
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).unwrap();
    machine.append(0, &batch(1, 1, 10, 0)).unwrap();
    machine.disk.space_left(999);
    machine.tick(2_000);
    assert_eq!(machine.append(0, &batch(2, 1, 10, 0)), Err(AppendError::DiskReserve));
    assert_eq!(machine.read_all(0), vec![1]);
    machine.disk.space_left(1 << 30);
    machine.tick(2_000);
    machine.append(0, &batch(2, 1, 10, 0)).unwrap();
}

#[test]
fn behind_a_batch_that_a_full_disk_refused_the_next_is_refused_alike_and_a_repeated_one_is_known() {
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).unwrap();
    let sequenced = |sequence| {
        let mut batch = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), sequence);
        batch.push(NewRecord { value: Some(b"12345678"), ..NewRecord::default() });
        batch.build().to_vec()
    };
    machine.append(0, &sequenced(0)).unwrap();
    machine.disk.space_left(999);
    machine.tick(2_000);
    for sequence in [1, 2] {
        assert_eq!(machine.append(0, &sequenced(sequence)), Err(AppendError::DiskReserve));
    }
    assert!(machine.append(0, &sequenced(0)).unwrap().duplicate);
    machine.disk.space_left(1 << 30);
    machine.tick(2_000);
    machine.append(0, &sequenced(1)).unwrap();
}

#[test]
fn a_disk_that_a_write_found_full_takes_appends_again_soon_after_there_is_space() {
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).unwrap();
    machine.append(0, &batch(0, 1, 10, 0)).unwrap();
    machine.settle();
    machine.disk.space_left(999);
    let mut appends = (1..100).map(|mark| {
        machine.settle();
        machine.append(0, &batch(mark, 1, 30_000, 0)).err()
    });
    assert_eq!(appends.find_map(|refused| refused), Some(AppendError::DiskReserve));
    machine.disk.space_left(1 << 30);
    machine.tick(2_000);
    machine.append(0, &batch(100, 1, 30_000, 0)).unwrap();
    let told = machine.events.iter().filter_map(|(_, event)| match event {
        Event::DiskFull(is_full) => Some(*is_full),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn retention_by_size_removes_the_oldest_segments_and_survives_a_restart() {
    let mut log = Shape::default().log;
    log.retention_bytes = Some(250_000);
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, log, ..Shape::default() }, 1).unwrap();
    for mark in 0..60 {
        machine.append(0, &batch(mark, 1, 10_000, 0)).unwrap();
        machine.settle();
    }
    machine.tick(100_000);
    let (start, end) = offsets(&mut machine, 0);
    assert!(start > Offset(20) && end == Offset(60), "{start} {end}");
    let logs =
        machine.disk.paths().iter().filter(|path| path.extension().is_some_and(|ext| ext == "log")).count();
    let indexes =
        machine.disk.paths().iter().filter(|path| path.extension().is_some_and(|ext| ext == "index")).count();
    assert!(logs <= 4 && indexes <= logs, "{logs} segments and {indexes} indexes are left");
    let disk = machine.disk.clone();
    disk.crash(&mut Rng(1));
    let mut machine = Machine::boot(disk, machine.shape, 2).unwrap();
    assert_eq!(offsets(&mut machine, 0), (start, end));
    assert_eq!(machine.read_all(0).len() as i64, end.0 - start.0);
}

#[test]
fn a_log_start_that_was_told_is_kept_through_a_power_cut() {
    let mut machine = Machine::boot(MemDisk::new(), Shape { shards: 1, ..Shape::default() }, 1).unwrap();
    machine.append(0, &batch(1, 10, 10, 0)).unwrap();
    machine.settle();
    let (shard, slot) = machine.open(0);
    let (now, mut events) = (machine.now, Vec::new());
    machine.stores[shard].advance_log_start(now, slot, Offset(4), &mut events).unwrap();
    assert_eq!((events.len(), machine.stores[shard].log_start(slot)), (0, Offset(0)));
    machine.settle();
    assert!(machine.events.contains(&(0, Event::LogStartMoved { slot, offset: Offset(4) })));
    let disk = machine.disk.clone();
    disk.crash(&mut Rng(1));
    let mut machine = Machine::boot(disk, machine.shape, 2).unwrap();
    assert_eq!(offsets(&mut machine, 0), (Offset(4), Offset(10)));
}

#[test]
fn a_record_is_found_by_its_time_in_memory_and_in_files() {
    let shape = Shape { shards: 1, cache_bytes: 0, ..Shape::default() };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    for mark in 0..30 {
        machine.append(0, &batch(mark, 2, 20_000, 1_000 + i64::try_from(mark).unwrap())).unwrap();
        machine.settle();
    }
    let (shard, slot) = machine.open(0);
    for (target, expected) in
        [(0, Some(0)), (1_001, Some(2)), (1_013, Some(26)), (1_029, Some(58)), (1_030, None)]
    {
        machine.events.clear();
        let mut events = Vec::new();
        machine.with(shard, |store, now, out| {
            store.find_timestamp(now, slot, target, Offset(60), 7, out, &mut events);
        });
        machine.settle();
        let all = events.into_iter().chain(machine.events.iter().map(|(_, event)| event.clone()));
        let found: Vec<_> = all.filter(|event| matches!(event, Event::TimestampFound { .. })).collect();
        let [Event::TimestampFound { job: 7, result: Ok(found) }] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(found.map(|found| found.offset.0), expected, "{target}");
    }
}

#[test]
fn a_clean_stop_is_known_at_the_next_start_and_loses_nothing() {
    let killed = Machine::boot(MemDisk::new(), Shape::default(), 1).unwrap();
    assert!(killed.report.clean, "there was nothing to stop");
    let mut machine = Machine::boot(killed.disk, Shape::default(), 1).unwrap();
    assert!(!machine.report.clean);
    machine.append(0, &batch(1, 1, 10, 0)).unwrap();
    machine.append(1, &batch(2, 1, 10, 0)).unwrap();
    for shard in 0..2 {
        let mut events = Vec::new();
        machine.with(shard, |store, now, out| store.stop(now, out, &mut events));
    }
    machine.settle();
    let stopped = machine.events.iter().filter(|(_, event)| *event == Event::Stopped).count();
    assert_eq!(stopped, 2);
    let marks =
        machine.disk.paths().iter().filter(|path| path.display().to_string().contains("clean-")).count();
    assert_eq!(marks, 2);
    let mut machine = Machine::boot(machine.disk, machine.shape, 2).unwrap();
    assert!(machine.report.clean);
    assert_eq!((machine.read_all(0), machine.read_all(1)), (vec![1], vec![2]));
}

#[test]
fn a_log_that_is_deleted_between_its_write_and_its_flush_stays_consistent() {
    let mut machine = Machine::boot(MemDisk::new(), Shape::default(), 1).unwrap();
    machine.append(0, &batch(1, 1, 50, 0)).unwrap();
    machine.settle();
    machine.append(0, &batch(2, 1, 50, 0)).unwrap();
    machine.turn();
    let (shard, slot) = machine.open(0);
    let now = machine.now;
    machine.stores[shard].delete(now, slot);
    // Every step checks that what is flushed was written.
    machine.settle();
    assert_eq!(machine.stores[shard].slot(partition(0)), None);
}

#[test]
fn what_lies_below_the_watermark_is_read_also_where_an_index_span_reaches_into_memory() {
    let shape = Shape {
        shards: 1,
        cache_bytes: 0,
        log: LogSettings { segment_bytes: 1 << 20, retention_ms: None, ..LogSettings::default() },
        ..Shape::default()
    };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    for mark in 0..900 {
        machine.append(0, &batch(mark, 1, 600, 0)).unwrap();
        machine.settle();
    }
    // One more, not flushed: the segment goes on behind the watermark.
    machine.append(0, &batch(900, 1, 600, 0)).unwrap();
    let (shard, slot) = machine.open(0);
    let up_to = machine.stores[shard].flushed_end(slot);
    for from in (0..up_to.0).map(Offset) {
        let request = ReadRequest { from, max_bytes: 10_000, up_to, at_least_one: true };
        let mut read = || {
            machine.with(shard, |store, now, out| store.read(now, slot, request, out).map(|read| read.bytes))
        };
        let mut bytes = read();
        while bytes == Err(ReadError::Later) {
            machine.step();
            bytes = machine
                .with(shard, |store, now, out| store.read(now, slot, request, out).map(|read| read.bytes));
        }
        assert!(bytes.as_ref().is_ok_and(|bytes| *bytes > 0), "at {from}: {bytes:?}");
    }
}

/// A machine whose partition 0 went offline by an error of its segment, with much in the journal; and how many batches
/// it took.
fn with_an_offline_partition() -> (Machine, u64) {
    let shape = Shape { shards: 1, ..Shape::default() };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    machine.settle();
    machine.disk.fail_next_flush_of(".log");
    let mut mark = 0;
    while !machine.events.iter().any(|(_, event)| matches!(event, Event::PartitionOffline { .. })) {
        machine.append(0, &batch(mark, 1, 30_000, 0)).unwrap();
        mark += 1;
        machine.settle();
    }
    (machine, mark)
}

#[test]
fn a_deleted_partition_gives_the_journal_back_also_when_it_was_offline() {
    let (mut machine, first) = with_an_offline_partition();
    let (shard, slot) = machine.open(0);
    let now = machine.now;
    machine.stores[shard].delete(now, slot);
    // Three times what the journal holds.
    for mark in first..first + 50 {
        machine.append(1, &batch(mark, 1, 30_000, 0)).unwrap();
        machine.settle();
    }
    assert_eq!(machine.read_all(1).len(), 50);
}

#[test]
fn a_journal_full_of_what_an_offline_partition_holds_says_so() {
    let (mut machine, mut mark) = with_an_offline_partition();
    let reason = loop {
        match machine.append(1, &batch(mark, 1, 30_000, 0)) {
            Ok(_) => {}
            Err(AppendError::Offline(reason)) => break reason.0,
            Err(other) => panic!("{other:?}"),
        }
        mark += 1;
        machine.settle();
    };
    assert!(reason.contains("full of what a partition holds"), "{reason}");
    assert!(reason.contains("a planted error") && reason.contains("restart the broker"), "{reason}");
}

#[test]
fn many_readers_of_a_cold_segment_open_its_file_once() {
    let shape = Shape { shards: 1, cache_bytes: 0, ..Shape::default() };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    for mark in 0..40 {
        machine.append(0, &batch(mark, 1, 30_000, 0)).unwrap();
        machine.settle();
    }
    let (shard, slot) = machine.open(0);
    let request = ReadRequest { from: Offset(0), max_bytes: 1, up_to: Offset(40), at_least_one: true };
    let mut asked = 0;
    for _ in 0..5 {
        machine.with(shard, |store, now, out| {
            assert!(matches!(store.read(now, slot, request, out), Err(ReadError::Later)));
            asked += out.len();
        });
    }
    assert_eq!(asked, 1);
    let told = |machine: &Machine| {
        machine.events.iter().filter(|(_, event)| matches!(event, Event::Readable { .. })).count()
    };
    let before = told(&machine);
    machine.settle();
    assert_eq!(told(&machine), before + 1);
    assert_eq!(machine.read_all(0).len(), 40);
}

#[test]
fn a_removed_segment_of_which_the_journal_still_holds_a_part_is_passed_over() {
    let shape = Shape { shards: 1, journal_bytes: 1 << 20, journal_bytes_max: 1 << 20, ..Shape::default() };
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).unwrap();
    // A remainder that keeps the first group, and so all that follow, in the journal.
    machine.append(1, &batch(0, 1, 10, 0)).unwrap();
    machine.settle();
    for mark in 0..12 {
        machine.append(0, &batch(mark, 1, 10_000, 0)).unwrap();
        machine.settle();
    }
    let (shard, slot) = machine.open(0);
    let first = |machine: &Machine| {
        machine.disk.paths().into_iter().find(|path| path.ends_with("00000000000000000000-00000000.log"))
    };
    assert!(first(&machine).is_some());
    let mut events = Vec::new();
    machine.with(shard, |store, now, _| store.advance_log_start(now, slot, Offset(11), &mut events)).unwrap();
    machine.settle();
    assert!(first(&machine).is_none(), "its segment was removed");
    let shape = machine.shape.clone();
    let mut machine = Machine::boot(machine.disk, shape, 2).unwrap();
    assert_eq!(offsets(&mut machine, 0), (Offset(11), Offset(12)));
    assert_eq!(machine.read_all(0), vec![11]);
}

#[test]
fn what_the_journal_holds_of_a_damaged_log_is_kept_until_the_log_is_mended() {
    let shape = Shape { shards: 1, ..Shape::default() };
    let mut machine = Machine::boot(MemDisk::new(), shape.clone(), 1).unwrap();
    for mark in 0..12 {
        machine.append(0, &batch(mark, 1, 10_000, 0)).unwrap();
        machine.settle();
    }
    let disk = machine.disk.clone();
    let path =
        disk.paths().into_iter().find(|path| path.ends_with("00000000000000000000-00000000.log")).unwrap();
    let bytes = disk.read(&path).unwrap().unwrap();
    disk.remove(&path).unwrap();
    for boot in 2..5 {
        let mut machine = Machine::boot(disk.clone(), shape.clone(), boot).unwrap();
        let (shard, slot) = machine.open(0);
        assert!(machine.stores[shard].offline(slot).is_some(), "boot {boot}");
        assert!(matches!(machine.append(0, &batch(99, 1, 10, 0)), Err(AppendError::Offline(_))));
        machine.append(1, &batch(boot, 1, 10, 0)).unwrap();
        machine.settle();
    }
    disk.replace(&path, &bytes).unwrap();
    for boot in 5..7 {
        let mut machine = Machine::boot(disk.clone(), shape.clone(), boot).unwrap();
        assert_eq!(machine.read_all(0), (0..12).collect::<Vec<_>>());
        assert_eq!(machine.read_all(1), vec![2, 3, 4]);
        assert!(!disk.paths().iter().any(|path| path.ends_with("kept")));
    }
}
