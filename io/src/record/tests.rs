use super::*;
use std::collections::BTreeSet;

fn write(recorder: &Recorder, offset: u64, byte: u8, blocks: usize) {
    let data = vec![byte; blocks * 4096];
    recorder.around(Change::Write { file: FileId(1), offset, data }, || Ok(())).expect("recorded");
}

fn flush(recorder: &Recorder) {
    recorder.around(Change::Flush { file: FileId(1) }, || Ok(())).expect("recorded");
}

fn with_file() -> Recorder {
    let recorder = Recorder::in_memory();
    let create = Change::Create { path: "/d/f".into(), file: FileId(1), durable: true };
    recorder.around(create, || Ok(())).expect("recorded");
    recorder
}

fn first_bytes(image: &Image) -> Vec<u8> {
    let content = image.files.get(Path::new("/d/f")).map(Vec::as_slice).unwrap_or_default();
    content.chunks(4096).map(|block| block[0]).collect()
}

#[test]
fn what_was_flushed_is_in_every_image_after_the_flush() {
    let recorder = with_file();
    write(&recorder, 0, 1, 2);
    flush(&recorder);
    let flushed = recorder.trace().marks.len();
    write(&recorder, 8192, 2, 2);
    let trace = recorder.trace();
    for image in images(&trace, 7).take(200).filter(|image| image.cut >= flushed) {
        assert_eq!(&first_bytes(&image)[..2], [1, 1], "cut at {}", image.cut);
    }
}

#[test]
fn an_unflushed_write_survives_whole_in_part_and_not_at_all() {
    let recorder = with_file();
    write(&recorder, 0, 1, 2);
    let trace = recorder.trace();
    let seen: BTreeSet<_> = images(&trace, 1).take(200).map(|image| first_bytes(&image)).collect();
    assert_eq!(seen, BTreeSet::from([vec![], vec![1], vec![0, 1], vec![1, 1]]));
}

#[test]
fn a_write_through_keeps_itself_and_nothing_before_it() {
    let recorder = with_file();
    write(&recorder, 0, 1, 1);
    let through = Change::WriteThrough { file: FileId(1), offset: 4096, data: vec![2; 4096] };
    recorder.around(through, || Ok(())).expect("recorded");
    let trace = recorder.trace();
    let at_end = images(&trace, 1).take(200).filter(|image| image.cut == trace.marks.len());
    let seen: BTreeSet<_> = at_end.map(|image| first_bytes(&image)).collect();
    assert_eq!(seen, BTreeSet::from([vec![0, 2], vec![1, 2]]));
}

#[test]
fn an_unflushed_length_survives_or_not_and_never_cuts() {
    let recorder = with_file();
    write(&recorder, 0, 1, 2);
    flush(&recorder);
    recorder.around(Change::Lengthen { file: FileId(1), to: 3 * 4096 }, || Ok(())).expect("recorded");
    recorder.around(Change::Lengthen { file: FileId(1), to: 4096 }, || Ok(())).expect("recorded");
    let trace = recorder.trace();
    let at_end = |image: &Image| image.cut == trace.marks.len();
    let seen: BTreeSet<_> =
        images(&trace, 1).take(400).filter(at_end).map(|image| first_bytes(&image)).collect();
    assert_eq!(seen, BTreeSet::from([vec![1, 1], vec![1, 1, 0]]));
}

#[test]
fn a_flush_that_began_before_the_write_was_done_promises_nothing() {
    let recorder = with_file();
    let number = recorder.begin(Change::Write { file: FileId(1), offset: 0, data: vec![1; 4096] });
    let early = recorder.begin(Change::Flush { file: FileId(1) });
    recorder.finish(number, true);
    recorder.finish(early, true);
    let trace = recorder.trace();
    assert!(
        images(&trace, 1)
            .take(50)
            .any(|image| first_bytes(&image).is_empty() && image.cut == trace.marks.len())
    );
}

#[test]
fn names_change_atomically_and_are_settled_when_done() {
    let recorder = Recorder::in_memory();
    for data in [b"old", b"new"] {
        let replace = Change::Replace { path: "/d/m".into(), data: data.to_vec() };
        recorder.around(replace, || Ok(())).expect("recorded");
    }
    let rename = Change::Rename { from: "/d".into(), to: "/e".into() };
    recorder.around(rename, || Ok(())).expect("recorded");
    let trace = recorder.trace();
    for image in images(&trace, 3).take(300) {
        let found = image.files.get(Path::new("/d/m")).or(image.files.get(Path::new("/e/m")));
        let legal: &[Option<&[u8]>] = match image.cut {
            0 => &[None],
            1 => &[None, Some(b"old")],
            2 => &[Some(b"old")],
            3 => &[Some(b"old"), Some(b"new")],
            _ => &[Some(b"new")],
        };
        assert!(legal.contains(&found.map(Vec::as_slice)), "{image:?}");
        assert!(image.cut < 6 || image.files.contains_key(Path::new("/e/m")));
    }
}

#[test]
fn the_same_seed_gives_the_same_images() {
    let recorder = with_file();
    for round in 0..20 {
        write(&recorder, round * 4096, round as u8, 3);
        if round % 5 == 4 {
            flush(&recorder);
        }
    }
    let trace = recorder.trace();
    let twice = || images(&trace, 99).take(40).collect::<Vec<_>>();
    assert_eq!(twice(), twice());
}

#[test]
fn a_record_in_a_file_reads_back_and_a_torn_last_mark_is_left_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("trace");
    let recorder = Recorder::to_file(&path).expect("made");
    write(&recorder, 4096, 9, 1);
    let changes = [
        Change::Found { path: "/a".into(), file: FileId(3), content: vec![1, 2] },
        Change::Create { path: "/b".into(), file: FileId(4), durable: false },
        Change::Zero { file: FileId(3), offset: 1, len: 2 },
        Change::SetLength { file: FileId(3), len: 9 },
        Change::WriteThrough { file: FileId(3), offset: 4, data: vec![6] },
        Change::Remove { path: "/a".into() },
        Change::Rename { from: "/b".into(), to: "/c".into() },
        Change::Replace { path: "/r".into(), data: vec![5] },
        Change::Flush { file: FileId(3) },
    ];
    for change in changes.clone() {
        recorder.begin(change);
    }
    let trace = Trace::load(&path).expect("a record");
    assert_eq!(trace.marks.len(), 2 + changes.len());
    for (mark, wanted) in trace.marks[2..].iter().zip(changes) {
        assert!(matches!(mark, Mark::Begun { change, .. } if *change == wanted));
    }
    let bytes = std::fs::read(&path).expect("read");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("torn");
    assert_eq!(Trace::load(&path).expect("a record").marks.len(), trace.marks.len() - 1);
}
