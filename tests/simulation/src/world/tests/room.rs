//! Several processes: what they say to each other, and what goes wrong between them.

use super::*;
use corelane_seam::Disk as _;
use std::{cell::RefCell, io::ErrorKind, rc::Rc};

/// What a toy does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Accepts, and sends back what it receives.
    Answers,
    /// Accepts and reads, and says nothing.
    Listens,
    /// Accepts, and does not read.
    Ignores,
    /// Connects as soon as it can, sends what it has to say, then reads.
    Calls,
    /// As `Calls`, and closes when all is sent.
    CallsAndCloses,
    /// As `Calls`, and sends a byte every 10 ms.
    CallsOften,
    /// Moves what it has connected: against the rules.
    CallsAndMoves,
    /// Connects, and sends what it has to say out of a file.
    CallsWithFile,
}

/// What a toy saw.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Saw {
    Accepted(ListenerId, ShardId),
    Connected,
    NotConnected(ErrorKind),
    Bytes(usize),
    Sent,
    End,
    Closed,
    /// A timer, and the wall clock.
    Tick(i64),
}

#[derive(Default)]
struct Diary {
    saw: Vec<Saw>,
    bytes: Vec<u8>,
}

impl Diary {
    fn has(&self, what: &Saw) -> bool {
        self.saw.contains(what)
    }
}

type Shared = Rc<RefCell<Diary>>;

struct RoomToy {
    role: Role,
    id: ShardId,
    call: (&'static str, u16),
    says: Bytes,
    connection: Option<ConnectionId>,
    sending: bool,
    file: Option<FileHandle>,
    diary: Shared,
}

const FILE: &str = "data/words";

const TICK_NS: u64 = 10_000_000;

impl RoomToy {
    fn calls(&self) -> bool {
        self.id == ShardId(0) && !matches!(self.role, Role::Answers | Role::Listens | Role::Ignores)
    }

    fn receive(connection: ConnectionId) -> Operation<Vec<u8>> {
        Operation::Receive { connection, buffer: BytesMut::with_capacity(1000) }
    }

    fn say(&mut self, connection: ConnectionId, bytes: Bytes, out: &mut Out) {
        self.sending = true;
        out.push(Operation::Send { connection, parts: vec![Part::Bytes(bytes)] });
    }

    /// Once it is connected and the file is open.
    fn say_what_the_file_has(&mut self, out: &mut Out) {
        if let (Some(connection), Some(file)) = (self.connection, &self.file) {
            let part = Part::File { file: file.clone(), offset: 0, len: self.says.len() as u64 };
            out.push(Operation::Send { connection, parts: vec![part] });
        }
    }

    fn connected(&mut self, connection: ConnectionId, out: &mut Out) {
        self.connection = Some(connection);
        if self.role == Role::CallsAndMoves {
            return out.push(Operation::Move { connection, to: ShardId(1) });
        }
        if self.role == Role::CallsWithFile {
            return self.say_what_the_file_has(out);
        }
        self.say(connection, self.says.clone(), out);
        out.push(Self::receive(connection));
    }
}

impl Shard for RoomToy {
    type Message = Vec<u8>;

    fn start(&mut self, now: Now, out: &mut Out) {
        if self.calls() {
            let (host, port) = (self.call.0.to_owned(), self.call.1);
            out.push(Operation::Connect { token: Token(7), host, port });
            out.push(Operation::Timer { at: Monotonic(now.monotonic.0 + TICK_NS) });
        }
        if self.calls() && self.role == Role::CallsWithFile {
            let operation = FileOperation::Open { path: FILE.into(), how: OpenHow::Read };
            out.push(Operation::File { token: Token(0), operation });
        }
    }

    fn complete(&mut self, now: Now, completion: Completion<Vec<u8>>, out: &mut Out) {
        let saw = match completion {
            Completion::Accepted { connection, listener, .. } => {
                if self.role != Role::Ignores {
                    out.push(Self::receive(connection));
                }
                Saw::Accepted(listener, self.id)
            }
            Completion::Connected { token, result } => {
                assert_eq!(token, Token(7));
                match result {
                    Ok(connection) => {
                        self.connected(connection, out);
                        Saw::Connected
                    }
                    Err(error) => Saw::NotConnected(error.kind()),
                }
            }
            Completion::Received { connection, bytes: 0, .. } => {
                out.push(Operation::Close { connection });
                Saw::End
            }
            Completion::Received { connection, buffer, bytes } => {
                self.diary.borrow_mut().bytes.extend_from_slice(&buffer);
                if self.role == Role::Answers {
                    self.say(connection, buffer.freeze(), out);
                } else {
                    out.push(Self::receive(connection));
                }
                Saw::Bytes(bytes)
            }
            Completion::Sent { connection } => {
                self.sending = false;
                match self.role {
                    Role::Answers => out.push(Self::receive(connection)),
                    Role::CallsAndCloses => out.push(Operation::Close { connection }),
                    _ => {}
                }
                Saw::Sent
            }
            Completion::Closed { .. } => {
                self.connection = None;
                Saw::Closed
            }
            Completion::Timer => {
                out.push(Operation::Timer { at: Monotonic(now.monotonic.0 + TICK_NS) });
                if let (Role::CallsOften, Some(connection), false) =
                    (self.role, self.connection, self.sending)
                {
                    self.say(connection, Bytes::from_static(b"."), out);
                }
                Saw::Tick(now.unix_ms)
            }
            Completion::Stop => return out.push(Operation::Stopped),
            Completion::File { result: FileResult::Opened(opened), .. } => {
                self.file = Some(opened.expect("it is there").0);
                return self.say_what_the_file_has(out);
            }
            Completion::File { .. } | Completion::Message { .. } => return,
        };
        self.diary.borrow_mut().saw.push(saw);
    }

    fn end_of_turn(&mut self, _: Now, _: &mut Out) {}

    fn busy_with(&self) -> String {
        "talking".to_owned()
    }
}

/// Two machines, the callee first, each of two data shards and a last one.
struct Room {
    world: World<RoomToy>,
    callee: ProcessId,
    caller: ProcessId,
    heard: Shared,
    told: Shared,
}

const CLIENTS: u16 = 9092;
const QUORUM: u16 = 9093;

fn room(seed: u64, callee: Role, caller: Role, says: usize) -> Room {
    room_that_calls(seed, callee, caller, says, ("callee", CLIENTS))
}

fn words(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

fn room_that_calls(seed: u64, callee: Role, caller: Role, says: usize, call: (&'static str, u16)) -> Room {
    let mut rng = Rng::new(seed);
    let settings = Settings::draw(&mut rng);
    let mut world = World::new(rng, settings);
    let mut add = |host: &str, role: Role| {
        let diary = Shared::default();
        let shared = Rc::clone(&diary);
        let listeners = vec![
            Listener { port: CLIENTS, accepting: Accepting::DataShards },
            Listener { port: QUORUM, accepting: Accepting::LastShard },
        ];
        let factory = move |boot: &Boot| {
            if role == Role::CallsWithFile {
                boot.disk.write_at(Path::new(FILE), 0, &words(says))?;
                boot.disk.flush(Path::new(FILE))?;
            }
            let toy = |id| RoomToy {
                role,
                id: ShardId(id),
                call,
                says: words(says).into(),
                connection: None,
                sending: false,
                file: None,
                diary: Rc::clone(&shared),
            };
            Ok((0..=boot.shards).map(toy).collect())
        };
        (world.add_process(host, listeners, Box::new(factory)), diary)
    };
    let (callee, heard) = add("callee", callee);
    let (caller, told) = add("caller", caller);
    world.start(callee, 2);
    while world.advance().expect("no failure") != Some(Notice::Started(callee)) {}
    world.start(caller, 2);
    Room { world, callee, caller, heard, told }
}

const SECOND: u64 = 1_000_000_000;

impl Room {
    fn run_for(&mut self, ns: u64) {
        self.world.wake_after(ns, 99);
        while self.world.advance().expect("no failure") != Some(Notice::Wake(99)) {}
    }

    fn run_until(&mut self, diary: &Shared, what: &Saw) {
        while !diary.borrow().has(what) {
            self.run_for(100_000);
        }
    }

    fn told(&self, what: &Saw) -> bool {
        self.told.borrow().has(what)
    }

    fn heard(&self, what: &Saw) -> bool {
        self.heard.borrow().has(what)
    }
}

#[test]
fn what_one_process_says_to_another_comes_back_whole() {
    for seed in 0..20 {
        let mut room = room(seed, Role::Answers, Role::Calls, 50_000);
        room.run_for(30 * SECOND);
        assert!(room.told.borrow().bytes == words(50_000), "seed {seed}");
        assert!(!room.told(&Saw::Closed) && !room.heard(&Saw::Closed), "seed {seed}");
    }
}

#[test]
fn each_listener_is_accepted_by_the_shards_that_listen_there() {
    let accepted = |port| {
        let of = |seed| {
            let mut room = room_that_calls(seed, Role::Answers, Role::Calls, 1, ("callee", port));
            room.run_for(SECOND);
            let heard = room.heard.borrow();
            heard.saw.first().cloned().expect("something was accepted")
        };
        (0..20).map(of).collect::<Vec<_>>()
    };
    assert!(accepted(QUORUM).iter().all(|saw| *saw == Saw::Accepted(ListenerId(1), ShardId(2))));
    let clients = accepted(CLIENTS);
    for shard in [0, 1] {
        assert!(clients.contains(&Saw::Accepted(ListenerId(0), ShardId(shard))), "shard {shard}");
    }
    assert!(clients.iter().all(|saw| *saw != Saw::Accepted(ListenerId(0), ShardId(2))));
}

#[test]
fn a_connect_to_where_nobody_listens_fails() {
    let errors = |host, port, stopped: bool| {
        let of = |seed| {
            let mut room = room_that_calls(seed, Role::Answers, Role::Calls, 1, (host, port));
            if stopped {
                room.world.crash(room.callee, CrashKind::Kill);
            }
            room.run_for(5 * SECOND);
            let told = room.told.borrow();
            let error = told.saw.iter().find_map(|saw| match saw {
                Saw::NotConnected(kind) => Some(*kind),
                _ => None,
            });
            error.expect("a connect fails once")
        };
        (0..10).map(of).collect::<Vec<_>>()
    };
    assert!(errors("nobody", CLIENTS, false).iter().all(|kind| *kind == ErrorKind::NotFound));
    assert!(errors("callee", 1, false).iter().all(|kind| *kind == ErrorKind::ConnectionRefused));
    let down = errors("callee", CLIENTS, true);
    assert!(down.contains(&ErrorKind::ConnectionRefused) && down.contains(&ErrorKind::TimedOut));
}

#[test]
fn who_closes_lets_the_other_read_what_was_sent_before() {
    for seed in 0..20 {
        let mut room = room(seed, Role::Listens, Role::CallsAndCloses, 30_000);
        room.run_for(20 * SECOND);
        assert!(room.heard.borrow().bytes == words(30_000), "seed {seed}");
        assert!(room.heard(&Saw::End) && room.told(&Saw::Closed), "seed {seed}");
    }
}

#[test]
fn a_file_that_is_cut_under_a_send_ends_the_connection_and_nothing_else_arrives() {
    const BYTES: usize = 1 << 20;
    for seed in 0..20 {
        let mut room = room(seed, Role::Listens, Role::CallsWithFile, BYTES);
        let heard = Rc::clone(&room.heard);
        while heard.borrow().bytes.len() < 1_000 {
            room.run_for(100_000);
        }
        room.world.disk(room.caller).set_length(Path::new(FILE), BYTES as u64 / 2).expect("it is there");
        room.run_for(30 * SECOND);
        assert!(room.told(&Saw::Closed) && !room.told(&Saw::Sent), "seed {seed}");
        let heard = room.heard.borrow();
        assert!(heard.bytes == words(BYTES / 2), "seed {seed}: {} bytes", heard.bytes.len());
        assert!(heard.has(&Saw::End) || heard.has(&Saw::Closed), "seed {seed}");
    }
}

#[test]
fn who_does_not_read_holds_up_who_sends() {
    for seed in 0..10 {
        let mut room = room(seed, Role::Ignores, Role::Calls, 1 << 20);
        room.run_for(20 * SECOND);
        assert!(room.told(&Saw::Connected) && !room.told(&Saw::Sent), "seed {seed}");
    }
}

#[test]
fn a_killed_process_ends_its_connections_at_the_other_side() {
    for seed in 0..20 {
        let mut room = room(seed, Role::Listens, Role::Calls, 10);
        room.run_for(SECOND);
        assert!(room.told(&Saw::Connected) && !room.told(&Saw::Closed), "seed {seed}");
        room.world.crash(room.callee, CrashKind::Kill);
        room.run_for(SECOND);
        assert!(room.told(&Saw::Closed), "seed {seed}");
    }
}

#[test]
fn a_power_cut_may_show_only_to_who_says_something() {
    let closed = |caller, seed| {
        let mut room = room(seed, Role::Listens, caller, 10);
        room.run_for(SECOND);
        room.world.crash(room.callee, CrashKind::PowerCut);
        room.run_for(60 * SECOND);
        room.told(&Saw::Closed)
    };
    let silent: Vec<bool> = (0..20).map(|seed| closed(Role::Calls, seed)).collect();
    assert!(silent.contains(&true) && silent.contains(&false));
    assert!((0..20).all(|seed| closed(Role::CallsOften, seed)));
}

#[test]
fn a_cut_holds_back_one_direction_until_it_heals_or_the_connection_is_given_up() {
    let mut ends = Vec::new();
    for seed in 0..30 {
        let mut room = room(seed, Role::Listens, Role::CallsOften, 10);
        room.run_for(SECOND);
        room.world.cut(room.caller, room.callee);
        let before = room.heard.borrow().bytes.len();
        room.run_for(5 * SECOND);
        assert_eq!(room.heard.borrow().bytes.len(), before, "seed {seed}");
        assert!(before > 10 && !room.told(&Saw::Closed), "seed {seed}");
        room.world.heal(room.caller, room.callee);
        room.run_for(2 * SECOND);
        let given_up = room.told(&Saw::Closed) && room.heard(&Saw::Closed);
        assert!(given_up || room.heard.borrow().bytes.len() > before + 100, "seed {seed}");
        ends.push(given_up);
    }
    assert!(ends.contains(&true) && ends.contains(&false));
}

#[test]
fn what_passes_after_a_cut_is_in_order() {
    for seed in 0..20 {
        let mut room = room(seed, Role::Listens, Role::Calls, 60_000);
        let told = Rc::clone(&room.told);
        room.run_until(&told, &Saw::Connected);
        for _ in 0..5 {
            room.world.cut(room.caller, room.callee);
            room.run_for(3_000_000);
            room.world.heal(room.caller, room.callee);
            room.run_for(5_000_000);
        }
        room.run_for(20 * SECOND);
        let heard = room.heard.borrow();
        assert!(words(60_000).starts_with(&heard.bytes), "seed {seed}");
        assert!(heard.bytes.len() == 60_000 || heard.has(&Saw::Closed), "seed {seed}");
    }
}

#[test]
fn nobody_connects_across_a_cut_of_either_direction() {
    for seed in 0..10 {
        for back in [false, true] {
            let mut room = room(seed, Role::Answers, Role::Calls, 10);
            let (from, to) = if back { (room.callee, room.caller) } else { (room.caller, room.callee) };
            room.world.cut(from, to);
            room.run_for(5 * SECOND);
            assert!(room.told(&Saw::NotConnected(ErrorKind::TimedOut)), "seed {seed}");
            assert!(room.heard.borrow().saw.is_empty(), "seed {seed}");
        }
    }
}

#[test]
fn an_isolated_process_reaches_nobody_and_healing_ends_that() {
    let mut room = room(1, Role::Answers, Role::Calls, 10);
    room.world.isolate(room.callee);
    room.run_for(SECOND);
    assert!(room.heard.borrow().saw.is_empty() && !room.told(&Saw::Connected));
    room.world.heal_links_of(room.callee);
    room.run_for(SECOND);
    assert_eq!(room.told.borrow().bytes, words(10));
}

#[test]
fn a_slow_link_delays_what_passes() {
    let echoed = |slow| {
        let of = |seed| {
            let mut room = room(seed, Role::Answers, Role::CallsOften, 10);
            if slow {
                room.world.slow_link(room.caller, room.callee, 2 * SECOND);
            }
            room.run_for(SECOND);
            room.told.borrow().bytes.len()
        };
        (0..10).map(of).sum::<usize>()
    };
    assert!(echoed(true) < echoed(false) / 2);
}

#[test]
fn nothing_of_a_paused_process_happens_and_it_catches_up_in_order() {
    for seed in 0..10 {
        let mut room = room(seed, Role::Listens, Role::CallsOften, 20_000);
        room.world.pause(room.callee);
        room.run_for(2 * SECOND);
        assert!(room.told(&Saw::Connected), "seed {seed}: its kernel accepts");
        assert!(room.heard.borrow().saw.is_empty(), "seed {seed}");
        room.world.go_on(room.callee);
        room.run_for(5 * SECOND);
        let heard = room.heard.borrow();
        assert!(matches!(heard.saw.first(), Some(Saw::Accepted(..))), "seed {seed}");
        assert_eq!(heard.bytes[..20_000], words(20_000), "seed {seed}");
    }
}

#[test]
fn timers_of_a_paused_process_wait() {
    let mut room = room(3, Role::Listens, Role::Calls, 1);
    room.run_for(SECOND);
    room.world.pause(room.caller);
    let seen = room.told.borrow().saw.len();
    room.run_for(SECOND);
    assert_eq!(room.told.borrow().saw.len(), seen);
    room.world.go_on(room.caller);
    room.run_for(SECOND);
    assert!(room.told.borrow().saw.len() > seen + 10);
}

#[test]
fn a_paused_process_can_be_killed_and_started() {
    let mut room = room(3, Role::Answers, Role::Calls, 1);
    room.run_for(SECOND);
    room.world.pause(room.caller);
    room.run_for(SECOND);
    room.world.crash(room.caller, CrashKind::Kill);
    assert!(!room.world.is_paused(room.caller));
    room.told.borrow_mut().bytes.clear();
    room.world.start(room.caller, 2);
    room.run_for(SECOND);
    assert_eq!(room.told.borrow().bytes, words(1));
}

#[test]
fn a_stop_that_a_pause_holds_up_is_not_overdue() {
    let mut room = room(3, Role::Answers, Role::Calls, 1);
    room.run_for(SECOND);
    room.world.pause(room.callee);
    room.world.stop(room.callee);
    room.world.wake_after(60 * SECOND, 99);
    let mut notices = Vec::new();
    while notices.last() != Some(&Notice::Wake(99)) {
        notices.extend(room.world.advance().expect("no failure"));
    }
    room.world.go_on(room.callee);
    room.world.wake_after(60 * SECOND, 98);
    while notices.last() != Some(&Notice::Wake(98)) {
        notices.extend(room.world.advance().expect("no failure"));
    }
    assert!(!notices.contains(&Notice::StopOverdue(room.callee)));
    assert!(notices.contains(&Notice::Stopped(room.callee)));
}

#[test]
fn the_wall_clock_of_one_machine_is_its_own() {
    let mut room = room(3, Role::Answers, Role::Calls, 1);
    let last = |room: &mut Room| {
        room.run_for(SECOND);
        let told = room.told.borrow();
        let tick =
            told.saw.iter().rev().find_map(|saw| if let Saw::Tick(ms) = saw { Some(*ms) } else { None });
        tick.expect("it ticks") - room.world.unix_ms()
    };
    room.world.jump_wall_clock_of(room.callee, 5_000);
    assert!((-100..=0).contains(&last(&mut room)));
    room.world.jump_wall_clock_of(room.caller, -5_000);
    assert!((-5_100..=-5_000).contains(&last(&mut room)));
}

#[test]
fn a_replaced_disk_is_empty_and_as_large() {
    use corelane_seam::Disk;
    let mut room = room(3, Role::Answers, Role::Calls, 1);
    room.world.disk(room.callee).set_faults(|faults| faults.capacity = 12_345);
    room.world.disk(room.callee).replace(Path::new("data/x"), b"x").expect("no faults here");
    room.world.crash(room.callee, CrashKind::Kill);
    let before = room.world.hash();
    room.world.replace_disk(room.callee);
    assert_eq!(room.world.disk(room.callee).live(Path::new("data/x")), None);
    assert_eq!(room.world.disk(room.callee).faults().capacity, 12_345);
    assert_ne!(room.world.hash(), before);
}

#[test]
fn a_connection_that_was_made_is_never_moved() {
    let mut room = room(1, Role::Answers, Role::CallsAndMoves, 1);
    let failure = loop {
        if let Err(failure) = room.world.advance() {
            break failure;
        }
    };
    assert!(failure.0.contains("moves connection"), "{}", failure.0);
}

fn hash_of_trouble(seed: u64, cut: bool) -> u64 {
    let mut room = room(seed, Role::Answers, Role::CallsOften, 20_000);
    room.run_for(SECOND);
    if cut {
        room.world.cut(room.callee, room.caller);
    }
    room.world.pause(room.caller);
    room.run_for(SECOND);
    room.world.go_on(room.caller);
    room.world.heal_links_of(room.callee);
    room.run_for(SECOND);
    room.world.crash(room.callee, CrashKind::PowerCut);
    room.run_for(SECOND);
    room.world.hash().value()
}

#[test]
fn the_same_trouble_is_the_same_run_and_other_trouble_is_another() {
    for seed in 0..5 {
        assert_eq!(hash_of_trouble(seed, true), hash_of_trouble(seed, true), "seed {seed}");
        assert_ne!(hash_of_trouble(seed, true), hash_of_trouble(seed, false), "seed {seed}");
    }
}
