//! A made-up machine room: processes of shards, each on a disk of its own, under one clock and one queue of events.
//!
//! The world is a driver as the seam defines it. It calls one shard at a time with one completion, takes the
//! operations back, and draws from its seed how long each takes, in what order those of the same moment come, and
//! what goes wrong. Virtual time jumps from event to event: an hour of idleness costs nothing.
//!
//! Whoever runs the world (a test, or [`crate::run`]) calls [`World::advance`] until it returns what concerns the
//! outside: bytes for a client, a wake-up asked for, a process that started, stopped or crashed; and acts on it
//! through [`World::connect`], [`World::client_send`], [`World::crash`] and their like.

pub mod disk;
mod mesh;
mod network;
mod pause;
mod process;
mod schedule;

pub use disk::{CrashKind, DiskFaults, SimDisk};
pub use network::ReaderPace;
pub use process::{Accepting, Boot, Factory, Listener, ProcessId};
pub use schedule::{ScheduleHash, Trace};

use crate::rng::Rng;
use bytes::Bytes;
use corelane_seam::{Completion, ConnectionId, FileResult, Monotonic, Now, Operation, Part, Shard, ShardId};
use network::{Connection, Links};
use process::Process;
use std::{
    any::Any,
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap, VecDeque},
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Wall clock at the beginning of every run: 2026-01-01 00:00 UTC, in ms.
const UNIX_MS_AT_START: i64 = 1_767_225_600_000;

/// Events at one and the same virtual time before the run is taken for one that never moves on.
const EVENTS_WITHOUT_PROGRESS_MAX: u32 = 100_000;

/// What concerns the outside of the machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// [`World::wake_at`]'s time has come.
    Wake(u64),
    /// A client's connection was refused: nobody listens.
    Refused(ConnectionId),
    /// Bytes for a client.
    Received(ConnectionId, Bytes),
    /// A client's connection ended; what was sent before has been received.
    Closed(ConnectionId),
    /// A process serves.
    Started(ProcessId),
    /// A process refused to start, with its reason.
    StartFailed(ProcessId, String),
    /// One shard ended its loop without the process having been asked to stop.
    ShardStopped(ProcessId, ShardId),
    /// It was asked to stop [`Settings::stop_ns_max`] ago and still runs.
    StopOverdue(ProcessId),
    /// All shards ended their loops.
    Stopped(ProcessId),
    /// A process crashed, because it was asked to or because its disk was.
    Crashed(ProcessId, CrashKind),
}

/// The run is over: someone broke the seam's rules, or panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

/// What is drawn from the seed at the world's making, and may be changed by whoever makes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest delay of a message between shards, in ns.
    pub mesh_delay_ns_max: u64,
    /// Longest delay of bytes on the network, in ns.
    pub network_delay_ns_max: u64,
    /// How late a timer may be, in ns.
    pub timer_late_ns_max: u64,
    /// How long a stop may take on a disk that is not broken, in ns: many flushes, and less than a client's patience,
    /// because a stop that waits for clients to give up must be seen.
    pub stop_ns_max: u64,
    /// Whether each event is printed.
    pub trace: bool,
}

impl Settings {
    /// Of a seed.
    pub fn draw(rng: &mut Rng) -> Settings {
        Settings {
            mesh_delay_ns_max: 1 << rng.between(8, 20),
            network_delay_ns_max: 1 << rng.between(14, 23),
            timer_late_ns_max: 1 << rng.between(10, 23),
            stop_ns_max: 20_000_000_000,
            trace: false,
        }
    }
}

enum Event<M> {
    Boot { process: ProcessId, incarnation: u32, shards: u16 },
    StopOverdue { process: ProcessId, incarnation: u32 },
    Shard { process: ProcessId, incarnation: u32, shard: ShardId, happening: Happening<M> },
    File { process: ProcessId, incarnation: u32, operation: u64 },
    Network { connection: ConnectionId, happening: network::Happening },
    Wake(u64),
}

enum Happening<M> {
    Complete(Completion<M>),
    EndOfTurn,
    Timer { generation: u64 },
}

struct Queued<M> {
    at_ns: u64,
    /// Random, so that the order of simultaneous events is the seed's choice.
    tie: u64,
    number: u64,
    /// Apart, for the queue moves what it holds.
    event: Box<Event<M>>,
}

impl<M> PartialEq for Queued<M> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl<M> Eq for Queued<M> {}
impl<M> PartialOrd for Queued<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<M> Ord for Queued<M> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_ns, self.tie, self.number).cmp(&(other.at_ns, other.tie, other.number))
    }
}

/// Looks at a shard of a process in one of its lives.
type Inspect<S> = Box<dyn FnMut(ProcessId, u32, &S)>;

/// The machine room.
pub struct World<S: Shard> {
    now_ns: u64,
    wall_offset_ms: i64,
    settings: Settings,
    rng: Rng,
    queue: BinaryHeap<Reverse<Queued<S::Message>>>,
    queued: u64,
    events: u64,
    events_at_this_time: u32,
    processes: Vec<Process<S>>,
    connections: BTreeMap<ConnectionId, Connection>,
    connections_made: u64,
    links: Links,
    /// What a process that goes on has yet to catch up with, before anything else happens.
    backlog: VecDeque<Event<S::Message>>,
    notices: VecDeque<Notice>,
    hash: ScheduleHash,
    trace: Trace,
    /// Where events are put into words, one after the other.
    words: String,
    failure: Option<Failure>,
    /// How often to look at a shard, and how.
    inspection: Option<(u64, Inspect<S>)>,
    calls: u64,
}

impl<S: Shard> World<S> {
    /// An empty one.
    pub fn new(mut rng: Rng, settings: Settings) -> World<S> {
        let trace = Trace::new(60, settings.trace);
        World {
            now_ns: 0,
            wall_offset_ms: 0,
            settings,
            rng: rng.fork("world"),
            queue: BinaryHeap::new(),
            queued: 0,
            events: 0,
            events_at_this_time: 0,
            processes: Vec::new(),
            connections: BTreeMap::new(),
            connections_made: 0,
            links: Links::default(),
            backlog: VecDeque::new(),
            notices: VecDeque::new(),
            hash: ScheduleHash::default(),
            trace,
            words: String::new(),
            failure: None,
            inspection: None,
            calls: 0,
        }
    }

    /// Virtual time since the beginning, in ns.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The wall clock of clients, and of every machine whose own was not set, in Unix ms.
    pub fn unix_ms(&self) -> i64 {
        let elapsed_ms = i64::try_from(self.now_ns / 1_000_000).unwrap_or(i64::MAX);
        UNIX_MS_AT_START.saturating_add(elapsed_ms).saturating_add(self.wall_offset_ms)
    }

    /// Calls `inspect` with a shard after every `every`th call into one, with its process and the number of its life; a
    /// panic in it ends the run as a shard's own.
    pub fn inspect_every(&mut self, every: u64, inspect: impl FnMut(ProcessId, u32, &S) + 'static) {
        self.inspection = Some((every, Box::new(inspect)));
    }

    /// All shards of all processes.
    pub fn shards(&self) -> impl Iterator<Item = (ProcessId, ShardId, &S)> {
        self.processes.iter().enumerate().flat_map(|(at, process)| {
            let slots = process.shards.iter().enumerate();
            slots.map(move |(index, slot)| (ProcessId(at), process::shard_id(index), &slot.shard))
        })
    }

    /// Calls into a shard from outside, between two events, and carries out what it asks for.
    pub fn call_into(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        function: impl FnOnce(&mut S, Now, &mut Vec<Operation<S::Message>>),
    ) {
        self.call(process, shard, function);
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The digest of the run so far, the disks' blocking calls included.
    pub fn hash(&self) -> ScheduleHash {
        let mut hash = self.hash;
        for process in &self.processes {
            hash.word(process.disk.hash().value());
        }
        hash
    }

    /// The last events in words, oldest first.
    pub fn last_events(&self) -> impl Iterator<Item = String> {
        self.trace.last()
    }

    /// Notes a line of the outside's own among the events.
    pub fn note(&mut self, line: &str) {
        self.trace.note(self.now_ns, format_args!("{line}"));
    }

    /// Notes a line that is worth its making only where someone reads all of them.
    pub fn detail(&mut self, line: impl FnOnce() -> String) {
        if self.settings.trace {
            self.note(&line());
        }
    }

    /// Lets the wall clock jump, forward or back, on all machines and clients.
    pub fn jump_wall_clock(&mut self, ms: i64) {
        self.note(&format!("wall clock jumps by {ms} ms"));
        self.wall_offset_ms += ms;
    }

    /// Lets the wall clock of one machine jump, forward or back.
    pub fn jump_wall_clock_of(&mut self, process: ProcessId, ms: i64) {
        self.note_fault(&format!("the wall clock of {process} jumps by {ms} ms"));
        self.processes[process.0].wall_offset_ms += ms;
    }

    /// Notes what someone lets go wrong, as a part of the schedule.
    fn note_fault(&mut self, line: &str) {
        self.hash.bytes(line.as_bytes());
        self.note(line);
    }

    /// Asks for [`Notice::Wake`] after `delay_ns`.
    pub fn wake_after(&mut self, delay_ns: u64, key: u64) {
        self.schedule_after(delay_ns, Event::Wake(key));
    }

    /// Runs until something concerns the outside, until nothing is left to happen (`None`), or until someone breaks
    /// the rules.
    pub fn advance(&mut self) -> Result<Option<Notice>, Failure> {
        loop {
            if let Some(failure) = &self.failure {
                return Err(failure.clone());
            }
            if let Some(notice) = self.notices.pop_front() {
                return Ok(Some(notice));
            }
            let event = if let Some(event) = self.backlog.pop_front() {
                event
            } else {
                let Some(Reverse(queued)) = self.queue.pop() else { return Ok(None) };
                if queued.at_ns > self.now_ns {
                    self.events_at_this_time = 0;
                }
                self.now_ns = queued.at_ns;
                *queued.event
            };
            self.events += 1;
            self.events_at_this_time += 1;
            if self.events_at_this_time > EVENTS_WITHOUT_PROGRESS_MAX {
                self.fail(format!("{EVENTS_WITHOUT_PROGRESS_MAX} events and no time passed"));
                continue;
            }
            self.hash.word(self.now_ns);
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event<S::Message>) {
        let Some(event) = self.unless_paused(event) else { return };
        match event {
            Event::Boot { process, incarnation, shards } => {
                self.hash.word(1);
                self.boot(process, incarnation, shards);
            }
            Event::StopOverdue { process, incarnation } => {
                self.hash.word(6);
                self.stop_overdue(process, incarnation);
            }
            Event::Shard { process, incarnation, shard, happening } => {
                if self.processes[process.0].incarnation == incarnation {
                    self.hash.word(2);
                    self.happen_to_shard(process, shard, happening);
                }
            }
            Event::File { process, incarnation, operation } => {
                if self.processes[process.0].incarnation == incarnation {
                    self.hash.word(3);
                    self.finish_file_operation(process, operation);
                }
            }
            Event::Network { connection, happening } => {
                self.hash.word(4);
                self.hash.word(connection.0);
                self.happen_to_connection(connection, happening);
            }
            Event::Wake(key) => {
                self.hash.word(5);
                self.hash.word(key);
                self.notices.push_back(Notice::Wake(key));
            }
        }
    }

    fn happen_to_shard(&mut self, process: ProcessId, shard: ShardId, happening: Happening<S::Message>) {
        let Some(slot) = self.processes[process.0].shards.get_mut(shard.index()) else { return };
        match happening {
            Happening::Complete(completion) => self.deliver(process, shard, completion),
            Happening::EndOfTurn => {
                slot.turn_ends = false;
                self.call(process, shard, |shard, now, out| shard.end_of_turn(now, out));
            }
            Happening::Timer { generation } => {
                if slot.timer_generation == generation {
                    self.deliver(process, shard, Completion::Timer);
                }
            }
        }
    }

    /// Hands a completion to its shard now.
    fn deliver(&mut self, process: ProcessId, shard: ShardId, completion: Completion<S::Message>) {
        let Some(completion) = self.deliver_later(process, shard, completion) else { return };
        self.fold_completion(process, shard, &completion);
        self.call(process, shard, |shard, now, out| shard.complete(now, completion, out));
        let end_of_turn_ns = self.rng.below(2_000);
        let process_now = &mut self.processes[process.0];
        let incarnation = process_now.incarnation;
        if let Some(slot) = process_now.shards.get_mut(shard.index())
            && !slot.turn_ends
        {
            slot.turn_ends = true;
            let happening = Happening::EndOfTurn;
            self.schedule_after(end_of_turn_ns, Event::Shard { process, incarnation, shard, happening });
        }
    }

    /// Calls into a shard, carries out what it asks for, and sees to it when it panics or its disk crashes.
    fn call(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        function: impl FnOnce(&mut S, Now, &mut Vec<Operation<S::Message>>),
    ) {
        let now = self.clock_of(process);
        let machine = &mut self.processes[process.0];
        let life = machine.incarnation;
        let Some(slot) = machine.shards.get_mut(shard.index()) else { return };
        if slot.stopped {
            return;
        }
        self.calls += 1;
        let inspection = self.inspection.as_mut().filter(|(every, _)| self.calls.is_multiple_of(*every));
        let mut out = Vec::new();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            function(&mut slot.shard, now, &mut out);
            if let Some((_, inspect)) = inspection {
                inspect(process, life, &slot.shard);
            }
        }));
        match outcome {
            Ok(()) => self.submit(process, shard, out),
            Err(payload) if payload.is::<disk::CrashNow>() => self.crash(process, CrashKind::PowerCut),
            Err(payload) => {
                self.fail(format!("{process} {shard:?} panicked: {}", panic_text(payload.as_ref())));
            }
        }
    }

    fn clock_of(&self, process: ProcessId) -> Now {
        let machine = &self.processes[process.0];
        let since_boot = self.now_ns.saturating_sub(machine.monotonic_origin_ns);
        let unix_ms = self.unix_ms().saturating_add(machine.wall_offset_ms);
        Now { monotonic: Monotonic(since_boot), unix_ms }
    }

    fn submit(&mut self, process: ProcessId, shard: ShardId, operations: Vec<Operation<S::Message>>) {
        for operation in operations {
            // Breaking a rule ends the run; what follows it means nothing.
            if self.failure.is_some() {
                return;
            }
            self.fold_operation(process, shard, &operation);
            let slot = self.processes[process.0].shards.get(shard.index());
            if slot.is_none_or(|slot| slot.stopped) {
                self.fail(format!("{process} shard {} asks for something after it has stopped", shard.0));
                return;
            }
            match operation {
                Operation::Receive { connection, buffer } => {
                    self.ask_receive(process, shard, connection, buffer);
                }
                Operation::Send { connection, parts } => self.ask_send(process, shard, connection, parts),
                Operation::Close { connection } => self.ask_close(process, shard, connection),
                Operation::Connect { token, host, port } => {
                    self.ask_connect(process, shard, token, &host, port);
                }
                Operation::Move { connection, to } => self.ask_move(process, shard, connection, to),
                Operation::File { token, operation } => {
                    self.start_file_operation(process, shard, token, operation);
                }
                Operation::Message { to, message } => self.send_message(process, shard, to, message),
                Operation::Timer { at } => self.set_timer(process, shard, at),
                Operation::Stopped => self.shard_stopped(process, shard),
            }
        }
    }

    fn set_timer(&mut self, process: ProcessId, shard: ShardId, at: Monotonic) {
        let late_ns = self.rng.below(self.settings.timer_late_ns_max);
        let machine = &mut self.processes[process.0];
        let incarnation = machine.incarnation;
        let slot = &mut machine.shards[shard.index()];
        slot.timer_generation += 1;
        let generation = slot.timer_generation;
        // A deadline beyond all reach is no timer; one in the past is due now.
        let Some(due_ns) = at.0.checked_add(machine.monotonic_origin_ns) else { return };
        let at_ns = due_ns.max(self.now_ns).saturating_add(late_ns);
        let happening = Happening::Timer { generation };
        self.schedule_at(at_ns, Event::Shard { process, incarnation, shard, happening });
    }

    fn schedule_after(&mut self, delay_ns: u64, event: Event<S::Message>) {
        self.schedule_at(self.now_ns.saturating_add(delay_ns), event);
    }

    fn schedule_at(&mut self, at_ns: u64, event: Event<S::Message>) {
        let tie = self.rng.next_u64();
        self.queued += 1;
        self.queue.push(Reverse(Queued { at_ns, tie, number: self.queued, event: Box::new(event) }));
    }

    fn fail(&mut self, text: String) {
        self.trace.note(self.now_ns, format_args!("{text}"));
        if self.failure.is_none() {
            self.failure = Some(Failure(text));
        }
    }

    fn fold_completion(&mut self, process: ProcessId, shard: ShardId, completion: &Completion<S::Message>) {
        self.hash.word(process.0 as u64);
        self.hash.word(u64::from(shard.0));
        let mut text = std::mem::take(&mut self.words);
        text.clear();
        let written = match completion {
            Completion::Accepted { connection, .. } => write!(text, "accepted {}", connection.0),
            Completion::Received { connection, buffer, bytes } => {
                let fresh = buffer.len().saturating_sub(*bytes);
                self.hash.bytes(&buffer[fresh..]);
                write!(text, "received {bytes} bytes from {}", connection.0)
            }
            Completion::Sent { connection } => write!(text, "sent to {}", connection.0),
            Completion::Connected { token, result } => match result {
                Ok(connection) => write!(text, "connect {}: connection {}", token.0, connection.0),
                Err(error) => write!(text, "connect {}: {error}", token.0),
            },
            Completion::Closed { connection, reason } => write!(text, "closed {} ({reason:?})", connection.0),
            Completion::File { token, result } => {
                if let FileResult::Read(Ok(bytes)) = result {
                    self.hash.bytes(bytes);
                }
                write!(text, "file {}: {}", token.0, file_result_text(result))
            }
            Completion::Message { from, .. } => write!(text, "message from shard {}", from.0),
            Completion::Timer => text.write_str("timer"),
            Completion::Stop => text.write_str("stop"),
        };
        written.expect("a string takes what is written");
        self.hash.bytes(text.as_bytes());
        self.trace.note(self.now_ns, format_args!("{process}/{} <- {text}", shard.0));
        self.words = text;
    }

    fn fold_operation(&mut self, process: ProcessId, shard: ShardId, operation: &Operation<S::Message>) {
        let mut text = std::mem::take(&mut self.words);
        text.clear();
        let written = match operation {
            Operation::Receive { connection, .. } => write!(text, "receive from {}", connection.0),
            Operation::Send { connection, parts } => {
                for part in parts {
                    match part {
                        Part::Bytes(bytes) => self.hash.bytes(bytes),
                        Part::Memory(slice) => self.hash.bytes(slice),
                        Part::File { offset, len, .. } => self.hash.word(offset.rotate_left(32) ^ len),
                    }
                }
                write!(text, "send {} bytes to {}", parts.iter().map(Part::len).sum::<u64>(), connection.0)
            }
            Operation::Close { connection } => write!(text, "close {}", connection.0),
            Operation::Connect { token, host, port } => write!(text, "connect {} to {host}:{port}", token.0),
            Operation::Move { connection, to } => write!(text, "move {} to shard {}", connection.0, to.0),
            Operation::File { token, operation } => {
                if let corelane_seam::FileOperation::Write { data, .. } = operation {
                    self.hash.bytes(data);
                }
                write!(text, "file {}: {}", token.0, disk::describe(operation))
            }
            Operation::Message { to, .. } => write!(text, "message to shard {}", to.0),
            Operation::Timer { at } => {
                let us = at.0 / 1000;
                write!(text, "timer at {}.{:03} ms", us / 1000, us % 1000)
            }
            Operation::Stopped => text.write_str("stopped"),
        };
        written.expect("a string takes what is written");
        self.hash.bytes(text.as_bytes());
        self.trace.note(self.now_ns, format_args!("{process}/{} -> {text}", shard.0));
        self.words = text;
    }
}

fn file_result_text(result: &FileResult) -> String {
    let outcome = |name: &str, result: Result<String, &std::io::Error>| match result {
        Ok(detail) => format!("{name}{detail}"),
        Err(error) => format!("{name} failed: {error}"),
    };
    match result {
        FileResult::Opened(result) => {
            outcome("opened", result.as_ref().map(|(_, len)| format!(", {len} bytes")))
        }
        FileResult::Written(result) => outcome("written", result.as_ref().map(|()| String::new())),
        FileResult::Flushed(result) => outcome("flushed", result.as_ref().map(|()| String::new())),
        FileResult::Read(result) => {
            outcome("read", result.as_ref().map(|bytes| format!(" {} bytes", bytes.len())))
        }
        FileResult::Done(result) => outcome("done", result.as_ref().map(|()| String::new())),
        FileResult::Space(result) => {
            outcome("space", result.as_ref().map(|space| format!(" {} bytes", space.free)))
        }
        FileResult::Page(_) => "a page".to_owned(),
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(no text)".to_owned()
    }
}

#[cfg(test)]
mod tests;
