//! All drivers on the real kernel, with toy shards: what the seam promises holds on each.

use bytes::{Bytes, BytesMut};
use corelane_io::{
    DriverError, DriverKind, DriverSettings, Faults, Running, ShardSettings,
    record::{Change, Mark, Recorder, images},
    run,
};
use corelane_seam::{
    Allocation, ChunkWriter, Completion, ConnectionId, FileHandle, FileOperation, FileResult, Flush,
    ListenerId, Monotonic, Now, OpenHow, Operation, Part, Shard, ShardId, Slice, Token,
};
use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, mpsc},
    time::Duration,
};

/// Makes each claim a test of each driver.
macro_rules! on_all_drivers {
    ($($claim:ident,)*) => {
        mod glommio {
            $(#[test]
            fn $claim() { super::$claim(super::DriverKind::Glommio) })*
        }
        mod ring {
            $(#[test]
            fn $claim() { super::$claim(super::DriverKind::Ring) })*
        }
        mod portable {
            $(#[test]
            fn $claim() { super::$claim(super::DriverKind::Portable) })*
        }
    };
}

on_all_drivers! {
    many_connections_get_their_own_bytes_back,
    a_half_closed_peer_still_gets_its_answer,
    what_comes_before_it_is_asked_for_is_held_back_at_the_peer_and_arrives_whole,
    a_burst_on_more_connections_than_a_shard_receives_from_at_once_is_lost_nowhere,
    what_was_sent_before_a_reset_is_received_though_it_was_asked_for_later,
    a_peer_that_never_reads_holds_up_no_one_and_can_be_closed,
    ranges_sent_from_a_file_equal_the_file_cold_and_warm,
    a_file_that_was_cut_closes_the_connection_instead_of_sending_something_else,
    what_was_written_directly_and_flushed_is_read_back,
    a_failed_write_is_an_error_and_reports_no_flush,
    a_flush_within_a_write_covers_what_was_written_before,
    a_skipped_fdatasync_shows_in_the_images_of_a_power_cut_and_a_real_one_does_not,
    messages_arrive_in_order_though_the_queue_is_full_all_the_time,
    a_moved_connection_is_served_by_the_other_shard,
    a_shard_connects_to_a_peer_and_is_told_when_none_is_there,
    each_address_is_accepted_by_the_shards_that_listen_there_and_by_no_other,
    the_same_port_is_bound_again_at_once_and_never_shared,
    the_panic_of_one_shard_stops_all_and_is_reported,
    a_timer_fires_at_its_time_and_a_later_one_replaces_it,
}

type Out<M> = Vec<Operation<M>>;
/// What a toy does with a completion; `None` is the start.
type Script<M> = Box<dyn FnMut(Now, Option<Completion<M>>, &mut Out<M>)>;
type Make<M> = Box<dyn FnOnce() -> Toy<M> + Send>;

struct Toy<M>(Script<M>);

impl<M: Send + 'static> Shard for Toy<M> {
    type Message = M;
    fn start(&mut self, now: Now, out: &mut Out<M>) {
        (self.0)(now, None, out);
    }
    fn complete(&mut self, now: Now, completion: Completion<M>, out: &mut Out<M>) {
        (self.0)(now, Some(completion), out);
    }
    fn end_of_turn(&mut self, _now: Now, _out: &mut Out<M>) {}
    fn busy_with(&self) -> String {
        "a toy".to_owned()
    }
}

fn toy<M: 'static>(script: impl FnMut(Now, Option<Completion<M>>, &mut Out<M>) + Send + 'static) -> Make<M> {
    Box::new(move || Toy(Box::new(script)))
}

fn settings(driver: DriverKind, shards: usize, listens: bool) -> DriverSettings {
    let all = if listens { vec![ListenerId(0)] } else { vec![] };
    let shards = vec![ShardSettings { listens: all, ..ShardSettings::default() }; shards];
    let listeners = if listens { vec!["127.0.0.1:0".parse().expect("an address")] } else { vec![] };
    DriverSettings { driver, ..DriverSettings::new(shards, listeners) }
}

fn start<M: Send + 'static>(settings: DriverSettings, make: Vec<Make<M>>) -> Running {
    run(settings, make).expect("the driver runs")
}

/// Sends back what it receives; closes when the peer has finished and has been answered.
fn echo(room: usize) -> Make<()> {
    toy(move |_, completion, out| match completion {
        Some(Completion::Accepted { connection, .. } | Completion::Sent { connection }) => {
            out.push(Operation::Receive { connection, buffer: BytesMut::with_capacity(room) });
        }
        Some(Completion::Received { connection, bytes: 0, .. }) => out.push(Operation::Close { connection }),
        Some(Completion::Received { connection, buffer, .. }) => {
            out.push(Operation::Send { connection, parts: vec![Part::Bytes(buffer.freeze())] });
        }
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    })
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    stream
}

fn round_trip(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("sent");
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).expect("received");
    assert_eq!(back, bytes);
}

fn finish(running: Running) {
    running.stop();
    running.join().expect("a clean end");
}

fn many_connections_get_their_own_bytes_back(driver: DriverKind) {
    for room in [0, 4096, 100_000] {
        let running = start(settings(driver, 2, true), vec![echo(room), echo(room)]);
        let mut streams: Vec<_> = (0..200).map(|_| connect(running.addresses()[0])).collect();
        for round in 0..5_u8 {
            for (index, stream) in streams.iter_mut().enumerate() {
                round_trip(stream, &[round, index as u8, 3]);
            }
        }
        round_trip(&mut streams[0], &vec![7; 100_000]);
        finish(running);
    }
}

fn a_half_closed_peer_still_gets_its_answer(driver: DriverKind) {
    let running = start(settings(driver, 1, true), vec![echo(0)]);
    let mut stream = connect(running.addresses()[0]);
    stream.write_all(b"last words").expect("sent");
    stream.shutdown(Shutdown::Write).expect("half closed");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("received");
    assert_eq!(all, b"last words");
    finish(running);
}

/// Counts what comes on its connections, but asks for more only after it was told to go on; a connection's first byte
/// says what it is for.
fn reluctant(tell: mpsc::Sender<BytesMut>) -> Make<()> {
    let (mut waiting, mut goes_on) = (None, false);
    toy(move |_, completion: Option<Completion<()>>, out| match completion {
        Some(Completion::Accepted { connection, .. }) => {
            out.push(Operation::Receive { connection, buffer: BytesMut::with_capacity(1) });
        }
        Some(Completion::Received { bytes: 0, .. }) => {}
        Some(Completion::Received { buffer, .. }) if buffer[..] == b"G"[..] => {
            goes_on = true;
            let connection = waiting.take().expect("bytes came first");
            out.push(Operation::Receive { connection, buffer: BytesMut::with_capacity(10_000) });
        }
        Some(Completion::Received { connection, buffer, .. }) => {
            tell.send(buffer).expect("the test listens");
            if goes_on {
                out.push(Operation::Receive { connection, buffer: BytesMut::with_capacity(10_000) });
            } else {
                waiting = Some(connection);
            }
        }
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    })
}

fn what_comes_before_it_is_asked_for_is_held_back_at_the_peer_and_arrives_whole(driver: DriverKind) {
    let (tell, told) = mpsc::channel();
    let running = start(settings(driver, 1, true), vec![reluctant(tell)]);
    let content = pattern(64 << 20);
    let mut eager = connect(running.addresses()[0]);
    eager.set_write_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    let mut sent = 0;
    while let Ok(bytes) = eager.write(&content[sent..]) {
        sent += bytes;
        assert!(sent < content.len(), "no one holds it back");
    }
    assert_eq!(told.recv().expect("the first byte"), &content[..1]);
    connect(running.addresses()[0]).write_all(b"G").expect("sent");
    let rest = content[sent..].to_vec();
    eager.set_write_timeout(None).expect("no time-out");
    let writer = std::thread::spawn(move || eager.write_all(&rest).expect("sent"));
    let mut at = 1;
    while at < content.len() {
        let bytes = told.recv_timeout(Duration::from_secs(20)).expect("the next bytes");
        assert!(content[at..].starts_with(&bytes), "wrong bytes at {at}");
        at += bytes.len();
    }
    writer.join().expect("it wrote");
    finish(running);
}

fn a_burst_on_more_connections_than_a_shard_receives_from_at_once_is_lost_nowhere(driver: DriverKind) {
    const CONNECTIONS: usize = 700;
    // Raises the limit of open files on its way.
    corelane_io::probe::Readings::take(None);
    let ((tell, told), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let shard = toy(move |_, completion: Option<Completion<()>>, out| match completion {
        Some(Completion::Accepted { connection, .. } | Completion::Sent { connection }) => {
            out.push(Operation::Receive { connection, buffer: BytesMut::new() });
        }
        Some(Completion::Received { bytes: 0, .. }) => {}
        Some(Completion::Received { connection, buffer, .. }) => {
            if buffer[..] == b"stand still"[..] {
                tell.send(()).expect("the test listens");
                released.recv().expect("it is released");
            }
            out.push(Operation::Send { connection, parts: vec![Part::Bytes(buffer.freeze())] });
        }
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    });
    let running = start(settings(driver, 1, true), vec![shard]);
    let mut streams: Vec<_> = (0..CONNECTIONS).map(|_| connect(running.addresses()[0])).collect();
    for stream in &mut streams {
        round_trip(stream, b"here");
    }
    for round in 0..3_u8 {
        let mut control = connect(running.addresses()[0]);
        control.write_all(b"stand still").expect("sent");
        told.recv_timeout(Duration::from_secs(20)).expect("it stands still");
        let bytes = |index: usize| vec![round ^ index as u8; 3_000];
        for (index, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&bytes(index)).expect("sent");
        }
        release.send(()).expect("it waits");
        for (index, stream) in streams.iter_mut().enumerate() {
            let mut back = [0; 3_000];
            stream.read_exact(&mut back).expect("received");
            assert_eq!(back[..], bytes(index));
        }
    }
    finish(running);
}

fn what_was_sent_before_a_reset_is_received_though_it_was_asked_for_later(driver: DriverKind) {
    let (tell, told) = mpsc::channel();
    let running = start(settings(driver, 1, true), vec![reluctant(tell)]);
    let mut hasty = connect(running.addresses()[0]);
    hasty.write_all(b"abc").expect("sent");
    assert_eq!(told.recv_timeout(Duration::from_secs(20)).expect("the first byte"), &b"a"[..]);
    socket2::SockRef::from(&hasty).set_linger(Some(Duration::ZERO)).expect("an option");
    // With nothing lingering a close is a reset.
    drop(hasty);
    connect(running.addresses()[0]).write_all(b"G").expect("sent");
    assert_eq!(told.recv_timeout(Duration::from_secs(20)).expect("the rest"), &b"bc"[..]);
    finish(running);
}

fn a_peer_that_never_reads_holds_up_no_one_and_can_be_closed(driver: DriverKind) {
    let (tell, told) = mpsc::channel();
    let mut deaf: Option<ConnectionId> = None;
    let shard = toy(move |_, completion: Option<Completion<()>>, out| match completion {
        Some(Completion::Accepted { connection, .. }) => {
            out.push(Operation::Receive { connection, buffer: BytesMut::new() });
        }
        Some(Completion::Received { connection, buffer, .. }) if buffer[0] == b'D' => {
            deaf = Some(connection);
            out.push(Operation::Send { connection, parts: vec![Part::Bytes(vec![1; 64 << 20].into())] });
        }
        Some(Completion::Received { connection, buffer, .. }) => {
            if buffer[0] == b'C' {
                out.extend(deaf.map(|connection| Operation::Close { connection }));
            }
            out.push(Operation::Send { connection, parts: vec![Part::Bytes(buffer.freeze())] });
        }
        Some(Completion::Sent { connection }) => {
            assert_ne!(Some(connection), deaf, "64 MiB do not fit into the buffers of a socket");
            out.push(Operation::Receive { connection, buffer: BytesMut::new() });
        }
        Some(Completion::Closed { connection, .. }) if Some(connection) == deaf => {
            tell.send(()).expect("someone waits");
        }
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    });
    let running = start(settings(driver, 1, true), vec![shard]);
    let mut silent = connect(running.addresses()[0]);
    silent.write_all(b"D").expect("sent");
    let mut other = connect(running.addresses()[0]);
    for _ in 0..50 {
        round_trip(&mut other, b"x");
    }
    round_trip(&mut other, b"C");
    told.recv_timeout(Duration::from_secs(10)).expect("the deaf connection closed");
    finish(running);
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 + index / 4096) as u8).collect()
}

fn drop_from_cache(path: &Path) {
    use std::os::fd::AsRawFd as _;
    let file = std::fs::File::open(path).expect("opened");
    file.sync_all().expect("flushed");
    // SAFETY: a plain system call on an open descriptor.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Answers every connection with a header, `ranges` of the file, and a trailer.
fn file_server(path: PathBuf, ranges: Vec<(u64, u64)>) -> Make<()> {
    let mut file: Option<FileHandle> = None;
    let mut waiting = Vec::new();
    let answer = move |file: &FileHandle| {
        let mut parts = vec![Part::Bytes(Bytes::from_static(b"head"))];
        parts.extend(ranges.iter().map(|&(offset, len)| Part::File { file: file.clone(), offset, len }));
        parts.push(Part::Memory(Slice::copy_from(b"tail")));
        parts
    };
    toy(move |_, completion, out| match completion {
        None => {
            let operation = FileOperation::Open { path: path.clone(), how: OpenHow::Read };
            out.push(Operation::File { token: Token(1), operation });
        }
        Some(Completion::File { result: FileResult::Opened(opened), .. }) => {
            let handle = file.insert(opened.expect("opened").0);
            for connection in waiting.drain(..) {
                out.push(Operation::Send { connection, parts: answer(handle) });
            }
        }
        Some(Completion::Accepted { connection, .. }) => match &file {
            Some(file) => out.push(Operation::Send { connection, parts: answer(file) }),
            None => waiting.push(connection),
        },
        Some(Completion::Sent { connection }) => out.push(Operation::Close { connection }),
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    })
}

fn ranges_sent_from_a_file_equal_the_file_cold_and_warm(driver: DriverKind) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let path = directory.path().join("segment");
    let content = pattern(9 << 20);
    std::fs::write(&path, &content).expect("written");
    drop_from_cache(&path);
    let ranges = vec![(5, 3), (4095, 2), (100, 0), (1 << 20, 8 << 20), (0, 70_000)];
    let mut wanted = b"head".to_vec();
    for (offset, len) in &ranges {
        wanted.extend_from_slice(&content[*offset as usize..(*offset + *len) as usize]);
    }
    wanted.extend_from_slice(b"tail");
    let running = start(settings(driver, 1, true), vec![file_server(path, ranges)]);
    for _cold_then_warm in 0..2 {
        let mut all = Vec::new();
        connect(running.addresses()[0]).read_to_end(&mut all).expect("received");
        assert!(all == wanted, "{} bytes of {}", all.len(), wanted.len());
    }
    finish(running);
}

fn a_file_that_was_cut_closes_the_connection_instead_of_sending_something_else(driver: DriverKind) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("segment");
    std::fs::write(&path, [1; 1000]).expect("written");
    let running = start(settings(driver, 1, true), vec![file_server(path, vec![(0, 5000)])]);
    let mut all = Vec::new();
    let _ = connect(running.addresses()[0]).read_to_end(&mut all);
    assert!(all.len() <= 4 + 1000, "{} bytes", all.len());
    finish(running);
}

/// Runs the operations one after the other on one direct file and gives back their results.
fn on_file(
    settings: DriverSettings,
    path: PathBuf,
    steps: Vec<fn(FileHandle) -> FileOperation>,
) -> Vec<FileResult> {
    let (tell, told) = mpsc::channel();
    let mut steps = VecDeque::from(steps);
    let mut file: Option<FileHandle> = None;
    let mut awaited = 1;
    let shard = toy(move |_, completion: Option<Completion<()>>, out| {
        match completion {
            None => {
                let operation = FileOperation::Open { path: path.clone(), how: OpenHow::Direct };
                out.push(Operation::File { token: Token(1), operation });
                return;
            }
            Some(Completion::File { token: Token(1), result: FileResult::Opened(opened) }) => {
                file = Some(opened.expect("opened").0);
                awaited -= 1;
            }
            Some(Completion::File { result, .. }) => {
                let failed = matches!(&result, FileResult::Written(Err(_)));
                tell.send(result).expect("someone waits");
                awaited = if failed { 0 } else { awaited - 1 };
            }
            Some(Completion::Stop) => return out.push(Operation::Stopped),
            _ => return,
        }
        if awaited == 0
            && let Some(step) = steps.pop_front()
        {
            let operation = step(file.clone().expect("open"));
            let is_flushed = matches!(&operation, FileOperation::Write { flush, .. } if flush.is_wanted());
            awaited = if is_flushed { 2 } else { 1 };
            out.push(Operation::File { token: Token(2), operation });
        }
        if awaited == 0 {
            out.push(Operation::Stopped);
        }
    });
    start(settings, vec![shard]).join().expect("a clean end");
    told.try_iter().collect()
}

fn blocks(byte: u8, count: usize) -> Slice {
    let mut chunk = ChunkWriter::with_capacity(count * 4096);
    chunk.append(&vec![byte; count * 4096]);
    chunk.slice(0..count * 4096)
}

fn what_was_written_directly_and_flushed_is_read_back(driver: DriverKind) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let results = on_file(
        settings(driver, 1, false),
        directory.path().join("deep/er/journal"),
        vec![
            |file| FileOperation::Allocate { file, offset: 0, len: 1 << 20, how: Allocation::Zero },
            |file| FileOperation::Write { file, offset: 8192, data: blocks(5, 3), flush: Flush::After },
            |file| FileOperation::Write { file, offset: 0, data: blocks(6, 1), flush: Flush::No },
            |file| FileOperation::Flush { file },
            |file| FileOperation::Read { file, offset: 0, len: 1 << 16 },
            |file| FileOperation::SetLength { file, len: 4096 },
            |file| FileOperation::Read { file, offset: 0, len: 8192 },
        ],
    );
    let [done, written, flushed, written2, flushed2, read, cut, short] = &results[..] else {
        panic!("{results:?}")
    };
    assert!(matches!(done, FileResult::Done(Ok(()))) && matches!(cut, FileResult::Done(Ok(()))));
    assert!(matches!((written, written2), (FileResult::Written(Ok(())), FileResult::Written(Ok(())))));
    assert!(matches!((flushed, flushed2), (FileResult::Flushed(Ok(())), FileResult::Flushed(Ok(())))));
    let FileResult::Read(Ok(read)) = read else { panic!("{read:?}") };
    let firsts: Vec<_> = read.chunks(4096).map(|block| block[0]).collect();
    assert_eq!((read.len(), &firsts[..6]), (1 << 16, &[6, 0, 5, 5, 5, 0][..]));
    assert!(matches!(short, FileResult::Read(Ok(slice)) if slice.len() == 4096));
}

fn a_failed_write_is_an_error_and_reports_no_flush(driver: DriverKind) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let results = on_file(
        settings(driver, 1, false),
        directory.path().join("file"),
        vec![
            // Direct access demands whole blocks.
            |file| FileOperation::Write { file, offset: 100, data: blocks(5, 1), flush: Flush::After },
            |file| FileOperation::Flush { file },
        ],
    );
    assert!(
        matches!(&results[..], [FileResult::Written(Err(_)), FileResult::Flushed(Ok(()))]),
        "{results:?}"
    );
}

fn a_flush_within_a_write_covers_what_was_written_before(driver: DriverKind) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let path = directory.path().join("journal");
    let recorder = Arc::new(Recorder::in_memory());
    let settings = DriverSettings { recorder: Some(Arc::clone(&recorder)), ..settings(driver, 1, false) };
    let results = on_file(
        settings,
        path.clone(),
        vec![
            |file| FileOperation::Write { file, offset: 0, data: blocks(1, 1), flush: Flush::Within },
            |file| FileOperation::Write { file, offset: 4096, data: blocks(2, 1), flush: Flush::No },
            |file| FileOperation::Write { file, offset: 8192, data: blocks(3, 1), flush: Flush::Within },
            |file| FileOperation::Write { file, offset: 12288, data: blocks(4, 1), flush: Flush::Within },
        ],
    );
    assert_eq!(results.len(), 7, "{results:?}");
    assert!(
        results
            .iter()
            .all(|result| matches!(result, FileResult::Written(Ok(())) | FileResult::Flushed(Ok(()))))
    );
    let trace = recorder.trace();
    for image in images(&trace, 1).take(100).filter(|image| image.cut == trace.marks.len()) {
        let content = image.files.get(&path).expect("it is there");
        assert_eq!(content.chunks(4096).map(|block| block[0]).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
    // One request where nothing else is to be covered; else the flush that covers it.
    let begun = trace.marks.iter().filter_map(|mark| match mark {
        Mark::Begun { change: Change::Write { .. }, .. } => Some("write"),
        Mark::Begun { change: Change::WriteThrough { .. }, .. } => Some("through"),
        Mark::Begun { change: Change::Flush { .. }, .. } => Some("flush"),
        _ => None,
    });
    let through = driver != DriverKind::Portable && writes_through(directory.path());
    let expected = match through {
        true => vec!["through", "write", "write", "flush", "through"],
        false => vec!["write", "flush", "write", "write", "flush", "write", "flush"],
    };
    assert_eq!(begun.collect::<Vec<_>>(), expected);
}

/// Whether the drivers trust this file system with it: see `fs::writes_through`.
fn writes_through(directory: &Path) -> bool {
    let found = rustix::fs::statfs(directory).expect("a file system");
    matches!(found.f_type as u64, 0xef53 | 0x5846_5342)
}

fn a_skipped_fdatasync_shows_in_the_images_of_a_power_cut_and_a_real_one_does_not(driver: DriverKind) {
    let lost = |skip_fdatasync: bool| {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let path = directory.path().join("journal");
        let recorder = Arc::new(Recorder::in_memory());
        let mut settings = settings(driver, 1, false);
        settings.recorder = Some(Arc::clone(&recorder));
        settings.faults = Faults { skip_fdatasync };
        let write = |file| FileOperation::Write { file, offset: 0, data: blocks(5, 2), flush: Flush::After };
        let results = on_file(settings, path.clone(), vec![write]);
        assert!(matches!(&results[..], [FileResult::Written(Ok(())), FileResult::Flushed(Ok(()))]));
        let trace = recorder.trace();
        images(&trace, 1)
            .take(100)
            .filter(|image| image.cut == trace.marks.len())
            .any(|image| image.files.get(&path).is_none_or(|content| content != &[5; 8192]))
    };
    assert!(lost(true));
    assert!(!lost(false));
}

fn messages_arrive_in_order_though_the_queue_is_full_all_the_time(driver: DriverKind) {
    const COUNT: u32 = 20_000;
    let (tell, told) = mpsc::channel();
    let sender = toy(|_, completion, out| match completion {
        None => out.extend((0..COUNT).map(|message| Operation::Message { to: ShardId(1), message })),
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    });
    let mut next = 0;
    let receiver = toy(move |_, completion, out| match completion {
        Some(Completion::Message { from, message }) => {
            assert_eq!((from, message), (ShardId(0), next));
            next += 1;
            if next == COUNT {
                tell.send(()).expect("someone waits");
            }
        }
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    });
    let mut settings = settings(driver, 2, false);
    settings.mesh_capacity = 8;
    let running = start(settings, vec![sender, receiver]);
    told.recv_timeout(Duration::from_secs(20)).expect("all arrived");
    finish(running);
}

fn a_moved_connection_is_served_by_the_other_shard(driver: DriverKind) {
    let giver = toy(|_, completion: Option<Completion<()>>, out| match completion {
        Some(Completion::Accepted { connection, moved, .. }) => {
            assert!(!moved);
            out.push(Operation::Move { connection, to: ShardId(1) });
        }
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    });
    let taker = toy(|_, completion, out| match completion {
        Some(Completion::Accepted { connection, moved, peer, .. }) => {
            assert!(moved);
            let parts = vec![Part::Bytes(format!("{peer}").into())];
            out.push(Operation::Send { connection, parts });
        }
        Some(Completion::Sent { connection }) => out.push(Operation::Close { connection }),
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    });
    let mut settings = settings(driver, 2, true);
    settings.shards[1].listens.clear();
    let running = start(settings, vec![giver, taker]);
    let mut stream = connect(running.addresses()[0]);
    let mut all = String::new();
    stream.read_to_string(&mut all).expect("received");
    assert_eq!(all, stream.local_addr().expect("a name").to_string());
    finish(running);
}

/// Sends each number back, one more, until there have been enough; says so at the end. The first one begins.
fn ping_pong(to: ShardId, begins: bool, tell: mpsc::Sender<()>) -> Make<u32> {
    const ENOUGH: u32 = 2_000;
    toy(move |_, completion, out| match completion {
        None if begins => out.push(Operation::Message { to, message: 0 }),
        Some(Completion::Message { message: ENOUGH, .. }) => tell.send(()).expect("someone waits"),
        Some(Completion::Message { message, .. }) => {
            out.push(Operation::Message { to, message: message + 1 });
        }
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    })
}

#[test]
fn shards_that_wait_in_rings_and_one_on_glommio_wake_each_other() {
    for on_glommio in [false, true] {
        let mut settings = settings(DriverKind::Ring, 2, false);
        settings.shards[1].on_glommio = on_glommio;
        let (tell, told) = mpsc::channel();
        let make = vec![ping_pong(ShardId(1), true, tell.clone()), ping_pong(ShardId(0), false, tell)];
        let running = start(settings, make);
        told.recv_timeout(Duration::from_secs(20)).expect("an answer to each");
        finish(running);
    }
}

/// Connects to an address as soon as it is told which, says hello, and reports what comes back, or why nothing can.
fn caller(addresses: mpsc::Receiver<SocketAddr>, heard: mpsc::Sender<String>) -> Make<()> {
    let report = move |text: String| heard.send(text).expect("the test listens");
    toy(move |_, completion, out| match completion {
        None => {
            for address in addresses.iter().take(2) {
                let (host, port) = (address.ip().to_string(), address.port());
                out.push(Operation::Connect { token: Token(u64::from(port)), host, port });
            }
        }
        Some(Completion::Connected { result: Ok(connection), .. }) => {
            out.push(Operation::Send { connection, parts: vec![Part::Bytes(Bytes::from_static(b"hello"))] });
            out.push(Operation::Receive { connection, buffer: BytesMut::new() });
        }
        Some(Completion::Connected { token, result: Err(error) }) => {
            report(format!("{} {:?}", token.0, error.kind()));
        }
        Some(Completion::Received { connection, buffer, .. }) => {
            report(String::from_utf8(buffer.to_vec()).expect("an echo"));
            out.push(Operation::Close { connection });
        }
        Some(Completion::Closed { .. }) => report("closed".to_owned()),
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    })
}

fn a_shard_connects_to_a_peer_and_is_told_when_none_is_there(driver: DriverKind) {
    let mut settings = settings(driver, 2, true);
    settings.shards[1].listens.clear();
    let nobody = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("a name")
    };
    let ((address, addresses), (heard, hears)) = (mpsc::channel(), mpsc::channel());
    let bound = corelane_io::bind(settings).expect("bound");
    address.send(bound.addresses()[0]).expect("taken");
    address.send(nobody).expect("taken");
    let running = bound.run(vec![echo(64), caller(addresses, heard)]).expect("it runs");
    let mut all: Vec<String> = hears.iter().take(3).collect();
    all.sort();
    let refused = format!("{} {:?}", nobody.port(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(all, [refused, "closed".to_owned(), "hello".to_owned()]);
    finish(running);
}

fn each_address_is_accepted_by_the_shards_that_listen_there_and_by_no_other(driver: DriverKind) {
    let name = |name: &'static str| -> Make<()> {
        toy(move |_, completion, out| match completion {
            Some(Completion::Accepted { connection, listener, .. }) => {
                let parts = vec![Part::Bytes(format!("{name} {}", listener.0).into())];
                out.push(Operation::Send { connection, parts });
            }
            Some(Completion::Sent { connection }) => out.push(Operation::Close { connection }),
            Some(Completion::Stop) => out.push(Operation::Stopped),
            _ => {}
        })
    };
    let mut settings = settings(driver, 2, true);
    settings.listeners.push("127.0.0.1:0".parse().expect("an address"));
    settings.shards[1].listens = vec![ListenerId(1)];
    let running = start(settings, vec![name("data"), name("quorum")]);
    for (index, expected) in ["data 0", "quorum 1"].into_iter().enumerate() {
        for _ in 0..4 {
            let mut all = String::new();
            connect(running.addresses()[index]).read_to_string(&mut all).expect("received");
            assert_eq!(all, expected);
        }
    }
    finish(running);
}

fn the_same_port_is_bound_again_at_once_and_never_shared(driver: DriverKind) {
    let first = start(settings(driver, 2, true), vec![echo(0), echo(0)]);
    let address = first.addresses()[0];
    let mut stream = connect(address);
    round_trip(&mut stream, b"one");
    let mut second = settings(driver, 2, true);
    second.listeners = vec![address];
    second.bind_patience = Duration::from_millis(50);
    let refused = run(second.clone(), vec![echo(0), echo(0)]).err().expect("the address is taken");
    assert!(matches!(refused, DriverError::AddressInUse { .. }));
    assert!(refused.to_string().contains("listens there already"), "{refused}");
    finish(first);
    let again = start(second, vec![echo(0), echo(0)]);
    round_trip(&mut connect(address), b"two");
    finish(again);
}

fn the_panic_of_one_shard_stops_all_and_is_reported(driver: DriverKind) {
    let bad = toy(|_, completion: Option<Completion<()>>, out| match completion {
        None => out.push(Operation::Timer { at: Monotonic(0) }),
        _ => panic!("a bug in a toy"),
    });
    let error = start(settings(driver, 2, false), vec![echo(0), bad]).join().expect_err("a shard panicked");
    assert!(
        matches!(&error, DriverError::Shard { shard: 1, reason } if reason.contains("a bug in a toy")),
        "{error}"
    );
}

fn a_timer_fires_at_its_time_and_a_later_one_replaces_it(driver: DriverKind) {
    let (tell, told) = mpsc::channel();
    let mut at = Monotonic(0);
    let shard = toy(move |now: Now, completion: Option<Completion<()>>, out| match completion {
        None => {
            at = now.monotonic.after_ms(30);
            out.push(Operation::Timer { at: now.monotonic.after_ms(5) });
            out.push(Operation::Timer { at });
        }
        Some(Completion::Timer) => tell.send(now.monotonic >= at).expect("someone waits"),
        Some(Completion::Stop) => out.push(Operation::Stopped),
        _ => {}
    });
    let running = start(settings(driver, 1, false), vec![shard]);
    assert!(told.recv_timeout(Duration::from_secs(10)).expect("it fired"));
    finish(running);
    assert!(told.try_recv().is_err());
}

/// A file system without direct access, mounted until it is dropped. The tests run as root.
struct Ramfs(tempfile::TempDir);

impl Ramfs {
    fn mount() -> Ramfs {
        let directory = tempfile::tempdir().expect("a directory");
        let status = Command::new("mount").args(["-t", "ramfs", "ramfs"]).arg(directory.path()).status();
        assert!(status.expect("mount runs").success());
        Ramfs(directory)
    }
}

impl Drop for Ramfs {
    fn drop(&mut self) {
        // Lazily, should something still be open.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn where_direct_access_is_refused_the_portable_driver_writes_buffered_and_asks_for_whole_blocks_all_the_same()
{
    let disk = Ramfs::mount();
    let results = on_file(
        settings(DriverKind::Portable, 1, false),
        disk.0.path().join("deep/journal"),
        vec![
            |file| FileOperation::Allocate { file, offset: 0, len: 1 << 16, how: Allocation::Zero },
            |file| FileOperation::Write { file, offset: 8192, data: blocks(5, 3), flush: Flush::After },
            |file| FileOperation::Write { file, offset: 100, data: blocks(6, 1), flush: Flush::No },
            |file| FileOperation::Read { file, offset: 4096, len: 8192 },
        ],
    );
    let [done, written, flushed, refused, read] = &results[..] else { panic!("{results:?}") };
    assert!(matches!(done, FileResult::Done(Ok(()))), "{done:?}");
    assert!(matches!((written, flushed), (FileResult::Written(Ok(())), FileResult::Flushed(Ok(())))));
    assert!(matches!(refused, FileResult::Written(Err(_))));
    let FileResult::Read(Ok(read)) = read else { panic!("{read:?}") };
    assert_eq!((read.len(), read[0], read[4096]), (8192, 0, 5));
}
