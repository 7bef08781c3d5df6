//! Toy shards prove the world.

use super::*;
use bytes::BytesMut;
use corelane_seam::{FileHandle, FileOperation, Flush, ListenerId, Monotonic, OpenHow, Slice, Token};
use std::path::Path;

mod room;

type Out = Vec<Operation<Vec<u8>>>;

/// What a toy does with the bytes it receives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Toy {
    /// Sends them back.
    Echo,
    /// Sends them round through the next shard.
    EchoByNeighbour,
    /// Writes them to a file, flushes, then answers "ok".
    Store {
        before_flush: bool,
    },
    /// Breaks a rule of the seam.
    ReceivesTwice,
    WritesMisaligned,
    /// Goes on when it is asked to stop.
    NeverStops,
    /// Has more to say when it has stopped.
    SpeaksAfterStop,
}

struct ToyShard {
    toy: Toy,
    id: ShardId,
    shards: u16,
    file: Option<FileHandle>,
    end: u64,
    waiting: BTreeMap<u64, ConnectionId>,
    tokens: u64,
}

impl ToyShard {
    fn reply(connection: ConnectionId, bytes: &[u8]) -> Operation<Vec<u8>> {
        Operation::Send { connection, parts: vec![Part::Bytes(Bytes::copy_from_slice(bytes))] }
    }

    fn received(&mut self, connection: ConnectionId, bytes: &[u8], out: &mut Out) {
        match self.toy {
            Toy::Echo | Toy::ReceivesTwice | Toy::NeverStops | Toy::SpeaksAfterStop => {
                out.push(Self::reply(connection, bytes))
            }
            Toy::EchoByNeighbour => {
                let mut message = connection.0.to_le_bytes().to_vec();
                message.extend_from_slice(bytes);
                out.push(Operation::Message { to: ShardId((self.id.0 + 1) % self.shards), message });
            }
            Toy::Store { .. } | Toy::WritesMisaligned => {
                self.tokens += 1;
                self.waiting.insert(self.tokens, connection);
                let file = self.file.clone().expect("opened before the first byte came");
                let (offset, data) = (self.end, Slice::copy_from(bytes));
                self.end += bytes.len() as u64;
                let operation = FileOperation::Write { file, offset, data, flush: Flush::After };
                out.push(Operation::File { token: Token(self.tokens), operation });
            }
        }
    }
}

impl Shard for ToyShard {
    type Message = Vec<u8>;

    fn start(&mut self, _: Now, out: &mut Out) {
        let how = if self.toy == Toy::WritesMisaligned { OpenHow::Direct } else { OpenHow::Buffered };
        let path = format!("data/{}", self.id.0).into();
        out.push(Operation::File { token: Token(0), operation: FileOperation::Open { path, how } });
    }

    fn complete(&mut self, _: Now, completion: Completion<Vec<u8>>, out: &mut Out) {
        match completion {
            Completion::Accepted { connection, .. } => {
                out.push(Operation::Receive { connection, buffer: BytesMut::with_capacity(64) });
                if self.toy == Toy::ReceivesTwice {
                    out.push(Operation::Receive { connection, buffer: BytesMut::with_capacity(64) });
                }
            }
            Completion::Received { connection, bytes: 0, .. } => out.push(Operation::Close { connection }),
            Completion::Received { connection, buffer, .. } => self.received(connection, &buffer, out),
            Completion::Sent { connection } => {
                out.push(Operation::Receive { connection, buffer: BytesMut::with_capacity(64) });
            }
            Completion::File { result: FileResult::Opened(result), .. } => {
                let (file, len) = result.expect("no faults here");
                (self.file, self.end) = (Some(file), len);
            }
            Completion::File { token, result: FileResult::Written(Ok(())) } => {
                if self.toy == (Toy::Store { before_flush: true }) {
                    out.push(Self::reply(self.waiting[&token.0], b"ok"));
                }
            }
            Completion::File { token, result: FileResult::Flushed(Ok(())) } => {
                if self.toy == (Toy::Store { before_flush: false }) {
                    out.push(Self::reply(self.waiting[&token.0], b"ok"));
                }
            }
            Completion::Message { from, mut message } => {
                let bytes = message.split_off(8);
                let connection = ConnectionId(u64::from_le_bytes(message[..8].try_into().unwrap()));
                if from.0 == (self.id.0 + 1) % self.shards && self.shards > 1 && bytes.starts_with(b"back:") {
                    out.push(Self::reply(connection, &bytes[5..]));
                } else {
                    message.extend_from_slice(b"back:");
                    message.extend_from_slice(&bytes);
                    out.push(Operation::Message { to: from, message });
                }
            }
            Completion::Stop if matches!(self.toy, Toy::NeverStops) => {}
            Completion::Stop => {
                out.push(Operation::Stopped);
                if self.toy == Toy::SpeaksAfterStop {
                    out.push(Operation::Timer { at: Monotonic(0) });
                }
            }
            Completion::Connected { .. }
            | Completion::Closed { .. }
            | Completion::File { .. }
            | Completion::Timer => {}
        }
    }

    fn end_of_turn(&mut self, _: Now, _: &mut Out) {}

    fn busy_with(&self) -> String {
        "playing".to_owned()
    }
}

fn listeners() -> Vec<Listener> {
    vec![Listener { port: 9092, accepting: Accepting::DataShards }]
}

fn world(seed: u64, toy: Toy, shards: u16) -> (World<ToyShard>, ProcessId) {
    let mut rng = Rng::new(seed);
    let settings = Settings::draw(&mut rng);
    let mut world = World::new(rng, settings);
    let process = world.add_process(
        "toy",
        listeners(),
        Box::new(move |boot: &Boot| {
            Ok((0..boot.shards)
                .map(|id| ToyShard {
                    toy,
                    id: ShardId(id),
                    shards: boot.shards,
                    file: None,
                    end: 0,
                    waiting: BTreeMap::new(),
                    tokens: 0,
                })
                .collect())
        }),
    );
    world.start(process, shards);
    // Open files before the first client comes.
    world.wake_after(1_000_000_000, 0);
    while world.advance().expect("no failure") != Some(Notice::Wake(0)) {}
    (world, process)
}

fn run_until_quiet(world: &mut World<ToyShard>) -> Result<Vec<Notice>, Failure> {
    let mut notices = Vec::new();
    while let Some(notice) = world.advance()? {
        notices.push(notice);
    }
    Ok(notices)
}

fn received(notices: &[Notice], connection: ConnectionId) -> Vec<u8> {
    let of = |notice: &Notice| match notice {
        Notice::Received(from, bytes) if *from == connection => bytes.to_vec(),
        _ => Vec::new(),
    };
    notices.iter().flat_map(of).collect()
}

const LISTENER: ListenerId = ListenerId(0);

#[test]
fn an_echo_comes_back_whole_whatever_the_pieces() {
    let sent: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for (seed, pace) in (0..20).zip([ReaderPace::PROMPT, ReaderPace::SLOW].into_iter().cycle()) {
        for (toy, shards) in [(Toy::Echo, 1), (Toy::EchoByNeighbour, 3)] {
            let (mut world, process) = world(seed, toy, shards);
            let connection = world.connect(process, LISTENER, pace);
            world.client_send(connection, Bytes::from(sent.clone()));
            world.client_half_close(connection);
            let notices = run_until_quiet(&mut world).expect("no failure");
            assert_eq!(received(&notices, connection), sent, "seed {seed}");
            assert_eq!(notices.last(), Some(&Notice::Closed(connection)));
        }
    }
}

fn hash_of(seed: u64) -> (u64, u64) {
    let (mut world, process) = world(seed, Toy::EchoByNeighbour, 3);
    for _ in 0..3 {
        let connection = world.connect(process, LISTENER, ReaderPace::PROMPT);
        world.client_send(connection, Bytes::from_static(b"hello"));
    }
    world.crash(process, CrashKind::PowerCut);
    run_until_quiet(&mut world).expect("no failure");
    (world.hash().value(), world.events())
}

#[test]
fn the_same_seed_gives_the_same_hash_and_others_give_others() {
    let hashes: Vec<(u64, u64)> = (0..10).map(hash_of).collect();
    assert_eq!(hashes, (0..10).map(hash_of).collect::<Vec<_>>());
    let mut distinct: Vec<u64> = hashes.iter().map(|(hash, _)| *hash).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 10);
}

/// Writes 10 bytes, cuts the power once they are acknowledged, returns what the disk then holds of them.
fn acknowledged_then_cut(seed: u64, before_flush: bool) -> Option<Vec<u8>> {
    let (mut world, process) = world(seed, Toy::Store { before_flush }, 1);
    let connection = world.connect(process, LISTENER, ReaderPace::PROMPT);
    world.client_send(connection, Bytes::from_static(b"0"));
    while !matches!(world.advance().expect("no failure"), Some(Notice::Received(..))) {}
    world.crash(process, CrashKind::PowerCut);
    world.disk(process).live(Path::new("data/0"))
}

#[test]
fn a_shard_that_acknowledges_before_the_flush_is_caught() {
    let lost = |before_flush| {
        (0..60).filter(|seed| acknowledged_then_cut(*seed, before_flush).as_deref() != Some(b"0")).count()
    };
    assert_eq!(lost(false), 0, "acknowledged after the flush, and lost");
    assert!(lost(true) > 0, "the bug went unseen in 60 seeds");
}

#[test]
fn breaking_a_rule_of_the_seam_ends_the_run() {
    for (toy, rule) in [(Toy::ReceivesTwice, "receives twice"), (Toy::WritesMisaligned, "misaligned")] {
        let (mut world, process) = world(1, toy, 1);
        let connection = world.connect(process, LISTENER, ReaderPace::PROMPT);
        world.client_send(connection, Bytes::from_static(b"x"));
        let failure = run_until_quiet(&mut world).expect_err("a rule was broken");
        assert!(failure.0.contains(rule), "{}", failure.0);
    }
}

#[test]
fn a_shard_that_asks_for_something_after_it_has_stopped_ends_the_run() {
    let (mut world, process) = world(1, Toy::SpeaksAfterStop, 1);
    world.stop(process);
    let failure = run_until_quiet(&mut world).expect_err("a rule was broken");
    assert!(failure.0.contains("after it has stopped"), "{}", failure.0);
}

#[test]
fn a_process_stops_restarts_with_other_shards_and_refuses_while_down() {
    let (mut world, process) = world(1, Toy::Echo, 2);
    let before = world.connect(process, LISTENER, ReaderPace::PROMPT);
    world.client_send(before, Bytes::from_static(b"x"));
    while !matches!(world.advance().expect("no failure"), Some(Notice::Received(..))) {}
    world.stop(process);
    let notices = run_until_quiet(&mut world).expect("no failure");
    assert!(notices.contains(&Notice::Stopped(process)) && notices.contains(&Notice::Closed(before)));
    let refused = world.connect(process, LISTENER, ReaderPace::PROMPT);
    assert_eq!(run_until_quiet(&mut world).expect("no failure"), [Notice::Refused(refused)]);
    world.start(process, 3);
    assert_eq!(run_until_quiet(&mut world).expect("no failure"), [Notice::Started(process)]);
    assert_eq!(world.data_shards(process), 3);
}

#[test]
fn a_stop_that_does_not_end_is_told() {
    let (mut world, process) = world(1, Toy::NeverStops, 2);
    world.stop(process);
    assert_eq!(run_until_quiet(&mut world).expect("no failure"), [Notice::StopOverdue(process)]);
}

#[test]
fn a_start_that_crashes_in_recovery_is_a_crash_and_not_a_failure() {
    let mut rng = Rng::new(3);
    let settings = Settings::draw(&mut rng);
    let mut world: World<ToyShard> = World::new(rng, settings);
    let process = world.add_process(
        "toy",
        listeners(),
        Box::new(|boot: &Boot| {
            use corelane_seam::Disk;
            for step in 0..10 {
                boot.disk.write_at(Path::new("data/log"), step, b"x")?;
            }
            anyhow::bail!("recovered only in part")
        }),
    );
    world.disk(process).crash_after_calls(Some(5));
    world.start(process, 1);
    assert_eq!(world.advance().expect("no failure"), Some(Notice::Crashed(process, CrashKind::PowerCut)));
    world.start(process, 1);
    let refused = Notice::StartFailed(process, "recovered only in part".to_owned());
    assert_eq!(world.advance().expect("no failure"), Some(refused));
}
