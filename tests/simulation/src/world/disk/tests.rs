use super::*;
use corelane_seam::{ChunkWriter, Disk};

fn disk(seed: u64) -> SimDisk {
    SimDisk::new(Rng::new(seed))
}

fn open(disk: &SimDisk, path: &str, how: OpenHow) -> FileHandle {
    match disk.perform(&FileOperation::Open { path: path.into(), how }, 0) {
        FileResult::Opened(Ok((file, _))) => file,
        other => panic!("{other:?}"),
    }
}

fn write(file: &FileHandle, offset: u64, data: &[u8]) -> FileOperation {
    FileOperation::Write { file: file.clone(), offset, data: Slice::copy_from(data), flush: Flush::No }
}

#[test]
fn a_removed_file_stays_readable_through_its_handles() {
    let disk = disk(1);
    let writer = open(&disk, "data/a", OpenHow::Buffered);
    disk.perform(&write(&writer, 0, b"abc"), 0);
    let reader = open(&disk, "data/a", OpenHow::Read);
    disk.perform(&FileOperation::Remove { path: "data".into() }, 0);
    assert_eq!(disk.live(Path::new("data/a")), None);
    assert_eq!(SimDisk::read_for_send(&reader, 1, 9).as_deref(), Some(&b"bc"[..]));
}

#[test]
fn misaligned_direct_writes_are_objected_to() {
    let disk = disk(1);
    let file = open(&disk, "a", OpenHow::Direct);
    assert!(SimDisk::objection(&write(&file, 0, b"abc")).is_some_and(|text| text.contains("misaligned")));
    let mut chunk = ChunkWriter::with_capacity(BLOCK);
    chunk.append(&[1; BLOCK]);
    let data = chunk.slice(0..BLOCK);
    let at =
        |offset| FileOperation::Write { file: file.clone(), offset, data: data.clone(), flush: Flush::No };
    assert!(SimDisk::objection(&at(1)).is_some());
    assert!(SimDisk::objection(&at(4096)).is_none());
}

#[test]
fn writes_to_a_file_open_for_reading_are_objected_to() {
    let disk = disk(1);
    open(&disk, "a", OpenHow::Buffered);
    let reader = open(&disk, "a", OpenHow::Read);
    assert!(SimDisk::objection(&write(&reader, 0, b"abc")).is_some());
}

#[test]
fn sending_what_is_not_flushed_or_not_there_is_objected_to() {
    let disk = disk(1);
    let writer = open(&disk, "a", OpenHow::Buffered);
    let reader = open(&disk, "a", OpenHow::Read);
    disk.perform(&write(&writer, 0, b"abc"), 0);
    assert!(SimDisk::send_objection(&reader, 0, 3, false).is_some_and(|text| text.contains("not flushed")));
    disk.perform(&FileOperation::Flush { file: writer.clone() }, SimDisk::covered(&writer));
    assert_eq!(SimDisk::send_objection(&reader, 0, 3, false), None);
    assert!(SimDisk::send_objection(&reader, 0, 4, false).is_some_and(|text| text.contains("past the end")));
    assert_eq!(SimDisk::send_objection(&reader, 0, 4, true), None);
}

#[test]
fn a_full_disk_refuses_growth_and_nothing_else() {
    let disk = disk(1);
    disk.set_faults(|faults| faults.capacity = 2 * BLOCK as u64);
    let file = open(&disk, "a", OpenHow::Buffered);
    assert!(matches!(disk.perform(&write(&file, 0, &[1; 2 * BLOCK]), 0), FileResult::Written(Ok(()))));
    match disk.perform(&write(&file, 2 * BLOCK as u64, &[1]), 0) {
        FileResult::Written(Err(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
        other => panic!("{other:?}"),
    }
    assert!(matches!(disk.perform(&write(&file, 0, &[2; BLOCK]), 0), FileResult::Written(Ok(()))));
    assert_eq!(disk.space(Path::new("a")).unwrap(), 0);
}

#[test]
fn a_power_cut_keeps_flushed_bytes_and_atomic_replacements() {
    for seed in 0..100 {
        let disk = disk(seed);
        disk.replace(Path::new("manifest"), b"old").unwrap();
        let under_way =
            [(FileOperation::Replace { path: "manifest".into(), data: Slice::copy_from(b"new") }, 0)];
        disk.crash(CrashKind::PowerCut, &under_way);
        let found = disk.live(Path::new("manifest")).unwrap();
        assert!(found == b"old" || found == b"new", "torn: {found:?}");
    }
}

#[test]
fn kill_keeps_the_page_cache_and_a_later_power_cut_does_not() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = disk(seed);
        let file = open(&disk, "a", OpenHow::Buffered);
        disk.perform(&write(&file, 0, b"abc"), 0);
        disk.crash(CrashKind::Kill, &[]);
        assert_eq!(disk.live(Path::new("a")).as_deref(), Some(&b"abc"[..]));
        disk.crash(CrashKind::PowerCut, &[]);
        lost += i32::from(disk.live(Path::new("a")).as_deref() != Some(b"abc"));
    }
    assert!((1..50).contains(&lost), "{lost} of 50 lost");
}

#[test]
fn a_file_that_recovery_made_may_vanish_until_it_is_flushed() {
    let survivors = |flush: bool| {
        (0..50)
            .filter(|seed| {
                let disk = disk(*seed);
                disk.write_at(Path::new("dir/a"), 0, b"abc").unwrap();
                if flush {
                    Disk::flush(&disk, Path::new("dir/a")).unwrap();
                }
                disk.crash(CrashKind::PowerCut, &[]);
                disk.live(Path::new("dir/a")).is_some()
            })
            .count()
    };
    assert_eq!(survivors(true), 50);
    assert!((1..50).contains(&survivors(false)));
}

#[test]
fn a_directory_lists_its_files_and_directories_in_order() {
    let disk = disk(1);
    for path in ["d/b", "d/a/x", "d/a/y", "e"] {
        disk.replace(Path::new(path), b"12").unwrap();
    }
    let listed = disk.list(Path::new("d")).unwrap();
    let seen: Vec<(&str, bool, u64)> =
        listed.iter().map(|entry| (entry.path.to_str().unwrap(), entry.is_directory, entry.len)).collect();
    assert_eq!(seen, [("d/a", true, 0), ("d/b", false, 2)]);
    assert!(disk.list(Path::new("nowhere")).unwrap().is_empty());
    disk.rename(Path::new("d/a"), Path::new("f")).unwrap();
    assert_eq!(disk.live(Path::new("f/x")).as_deref(), Some(&b"12"[..]));
}

#[test]
fn a_failed_write_leaves_any_subset_of_its_blocks() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        let file = open(&disk, "a", OpenHow::Buffered);
        disk.set_faults(|faults| faults.write_error = 1_000_000);
        assert!(matches!(disk.perform(&write(&file, 0, &[1; 2 * BLOCK]), 0), FileResult::Written(Err(_))));
        let bytes = disk.live(Path::new("a")).unwrap();
        seen.insert((bytes.first().copied(), bytes.get(BLOCK).copied()));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}
