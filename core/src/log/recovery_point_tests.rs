//! Recovery points: what they spare a start, and that they are trusted no longer than they are true.

use super::{
    LogSettings,
    testing::{Machine, MemDisk, Shape, batch, offsets, start},
};
use crate::ids::Offset;
use corelane_seam::Disk as _;

/// A segment that stays active, and a journal that is small beside it.
fn shape() -> Shape {
    let log = LogSettings { segment_bytes: 1 << 30, retention_ms: None, ..LogSettings::default() };
    Shape { shards: 1, log, journal_bytes: 128 << 10, journal_bytes_max: 128 << 10, ..Shape::default() }
}

fn written(shape: Shape, batches: u64) -> Machine {
    let mut machine = Machine::boot(MemDisk::new(), shape, 1).expect("an empty disk");
    for mark in 0..batches {
        machine.append(0, &batch(mark, 1, 6_000, 0)).expect("there is room");
        machine.settle();
    }
    machine
}

#[test]
fn a_start_reads_an_active_segment_from_its_recovery_point_on() {
    let disk = written(shape(), 300).disk;
    let [point] = &disk.paths_in(".point")[..] else { panic!("{:?}", disk.paths()) };
    let (with, without) = (disk.fork(), disk.fork());
    without.remove(point).expect("it is there");
    for disk in [&with, &without] {
        let log = start(disk, 2);
        assert_eq!((log.offline, log.end), (None, Offset(300)));
    }
    assert!(without.segments_read() >= 300 * 6_000);
    assert!(with.segments_read() * 4 < without.segments_read(), "{}", with.segments_read());
    // And the log goes on, is read from everywhere, and writes the next one.
    let mut machine = Machine::boot(with, shape(), 2).expect("it is sound");
    let before = machine.disk.read(point).expect("readable");
    for mark in 300..400 {
        machine.append(0, &batch(mark, 1, 6_000, 0)).expect("there is room");
        machine.settle();
    }
    assert_eq!(machine.read_all(0), (0..400).collect::<Vec<_>>());
    assert_ne!(machine.disk.read(point).expect("readable"), before);
    let mut again = Machine::boot(machine.disk.fork(), shape(), 3).expect("it is sound");
    assert_eq!(again.read_all(0), (0..400).collect::<Vec<_>>());
}

#[test]
fn a_damaged_recovery_point_costs_nothing_but_time() {
    let disk = written(shape(), 100).disk;
    let point = disk.paths_in(".point").remove(0);
    disk.flip(&point, 40);
    let log = start(&disk, 2);
    assert_eq!((log.offline, log.end), (None, Offset(100)));
    assert!(disk.segments_read() >= 100 * 6_000);
}

#[test]
fn a_segment_that_lost_what_was_flushed_of_it_is_offline() {
    let disk = written(shape(), 100).disk;
    let segment = disk.paths_in(".log").remove(0);
    let shorter = disk.fork();
    shorter.set_length(&segment, 100_000).expect("it is there");
    let why = start(&shorter, 2).offline.expect("it is not served");
    assert!(why.0.contains("shorter"), "{why}");
}

#[test]
fn closed_segments_have_no_recovery_point_and_a_cut_meets_none() {
    let log = LogSettings { segment_bytes: 90 << 10, ..shape().log };
    let mut machine = written(Shape { log, ..shape() }, 100);
    let segments = machine.disk.paths_in(".log");
    assert!(segments.len() > 3, "{segments:?}");
    let last = segments.last().expect("some").with_extension("point");
    assert!(machine.disk.paths_in(".point").iter().all(|point| *point == last));
    let slot = machine.open(0).1;
    let cut = machine.with(0, |store, now, _| store.truncate(now, slot, Offset(97), true, &mut Vec::new()));
    cut.expect("it is there");
    machine.settle();
    assert_eq!(machine.disk.paths_in(".point"), Vec::<std::path::PathBuf>::new());
    let mut again = Machine::boot(machine.disk.fork(), machine.shape.clone(), 2).expect("it is sound");
    assert_eq!(offsets(&mut again, 0), (Offset(0), Offset(97)));
}
