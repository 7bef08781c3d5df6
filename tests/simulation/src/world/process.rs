//! A process: its shards, its disk, and its life from start to stop or crash, and to the next start.

use super::{
    Completion, CrashKind, Event, Happening, Notice, Shard, ShardId, SimDisk, World, disk::CrashNow,
    mesh::Mesh, panic_text,
};
use corelane_seam::{FileOperation, FileResult, Flush, ListenerId, Now, Token};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The longest that one shard hears of a stop after another, in ns.
const STOPS_APART_NS_MAX: u64 = 100_000_000;

/// A process of the world: its number, which survives restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub usize);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

impl ProcessId {
    /// The address of its machine, and a port there.
    pub(super) fn address(self, port: u16) -> SocketAddr {
        let number = u8::try_from(self.0 % 250).expect("below 250");
        SocketAddr::from(([10, 0, 1, number + 1], port))
    }
}

/// Which shards of a process accept what comes by a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepting {
    /// Any data shard.
    DataShards,
    /// The last shard: the quorum's.
    LastShard,
}

/// A listener of a process. Its place among the process's listeners is its [`corelane_seam::ListenerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// TCP.
    pub port: u16,
    /// By whom.
    pub accepting: Accepting,
}

/// What a process starts from.
pub struct Boot {
    /// The disk, for recovery.
    pub disk: SimDisk,
    /// Both clocks.
    pub now: Now,
    /// How many data shards it shall have.
    pub shards: u16,
    /// How many times it was started before.
    pub starts_before: u32,
    /// A number for whatever needs one drawn (production takes it from the kernel).
    pub entropy: u64,
}

/// Makes the shards of a process: recovery, then the data shards, then whatever other shards there are. An error is a
/// start that was refused.
pub type Factory<S> = Box<dyn FnMut(&Boot) -> anyhow::Result<Vec<S>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Down,
    Booting,
    Serving,
    Stopping,
}

pub(super) struct Slot<S> {
    pub(super) shard: S,
    pub(super) timer_generation: u64,
    pub(super) turn_ends: bool,
    pub(super) stopped: bool,
}

pub(super) struct UnderWay {
    shard: ShardId,
    token: Token,
    operation: FileOperation,
    covered: u64,
    /// The flush within a write, which is told when this is done, and has failed when this fails.
    within: bool,
}

pub(super) struct Process<S: Shard> {
    pub(super) host: String,
    pub(super) listeners: Vec<Listener>,
    factory: Factory<S>,
    pub(super) disk: SimDisk,
    pub(super) life: Life,
    /// Goes up with every end of a life: events of an earlier one are void.
    pub(super) incarnation: u32,
    starts: u32,
    pub(super) shards: Vec<Slot<S>>,
    pub(super) data_shards: u16,
    pub(super) mesh: Mesh,
    under_way: BTreeMap<u64, UnderWay>,
    pub(super) monotonic_origin_ns: u64,
    /// Besides that of all machines.
    pub(super) wall_offset_ms: i64,
    /// What waits until it goes on, oldest first, while it is paused.
    pub(super) paused: Option<VecDeque<Event<S::Message>>>,
    pub(super) resumed_ns: u64,
}

impl<S: Shard> World<S> {
    /// Adds a machine of that name with an empty disk; nothing runs on it yet.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn add_process(&mut self, host: &str, listeners: Vec<Listener>, factory: Factory<S>) -> ProcessId {
        assert!(self.processes.iter().all(|machine| machine.host != host), "two machines named {host}");
        let disk = SimDisk::new(self.rng.fork("disk"));
        self.processes.push(Process {
            host: host.to_owned(),
            listeners,
            factory,
            disk,
            life: Life::Down,
            incarnation: 0,
            starts: 0,
            shards: Vec::new(),
            data_shards: 0,
            mesh: Mesh::default(),
            under_way: BTreeMap::new(),
            monotonic_origin_ns: 0,
            wall_offset_ms: 0,
            paused: None,
            resumed_ns: 0,
        });
        ProcessId(self.processes.len() - 1)
    }

    /// Its disk.
    pub fn disk(&self, process: ProcessId) -> &SimDisk {
        &self.processes[process.0].disk
    }

    /// Puts an empty disk in the place of its disk, with the capacity of the old one.
    ///
    /// # Panics
    /// When it is not down.
    pub fn replace_disk(&mut self, process: ProcessId) {
        assert_eq!(self.processes[process.0].life, Life::Down, "{process} is up");
        self.note_fault(&format!("{process} gets an empty disk"));
        let disk = SimDisk::new(self.rng.fork("disk"));
        let old = &mut self.processes[process.0].disk;
        disk.set_faults(|faults| *faults = old.faults());
        let old = std::mem::replace(old, disk);
        self.hash.word(old.hash().value());
    }

    /// Whether it is neither down nor on its way there.
    pub fn is_up(&self, process: ProcessId) -> bool {
        matches!(self.processes[process.0].life, Life::Booting | Life::Serving)
    }

    /// How many data shards it has, or had last.
    pub fn data_shards(&self, process: ProcessId) -> u16 {
        self.processes[process.0].data_shards
    }

    /// Starts it with `shards` data shards → [`Notice::Started`], [`Notice::StartFailed`], or a crash on the way.
    ///
    /// # Panics
    /// When it is not down.
    pub fn start(&mut self, process: ProcessId, shards: u16) {
        let delay_ns = self.rng.between(1_000_000, 50_000_000);
        let machine = &mut self.processes[process.0];
        assert_eq!(machine.life, Life::Down, "{process} is already up");
        machine.life = Life::Booting;
        let incarnation = machine.incarnation;
        self.note(&format!("{process} starts with {shards} shards"));
        self.schedule_after(delay_ns, Event::Boot { process, incarnation, shards });
    }

    /// Asks it to stop, as SIGTERM does → [`Notice::Stopped`], after [`Notice::StopOverdue`] if it takes too long
    /// ([`Settings::stop_ns_max`](super::Settings::stop_ns_max)).
    /// Nothing happens to one that does not serve. Its shards learn of it one after another, now and then far apart:
    /// threads of a busy machine do.
    pub fn stop(&mut self, process: ProcessId) {
        let machine = &mut self.processes[process.0];
        if machine.life != Life::Serving {
            return;
        }
        machine.life = Life::Stopping;
        let incarnation = machine.incarnation;
        let count = machine.shards.len();
        self.note(&format!("{process} is asked to stop"));
        self.schedule_after(self.settings.stop_ns_max, Event::StopOverdue { process, incarnation });
        let apart_ns = if self.rng.chance(250_000) { STOPS_APART_NS_MAX } else { 1_000_000 };
        for index in 0..count {
            let delay_ns = self.rng.below(apart_ns);
            let shard = shard_id(index);
            let happening = Happening::Complete(Completion::Stop);
            self.schedule_after(delay_ns, Event::Shard { process, incarnation, shard, happening });
        }
    }

    /// Ends it at once, between two events → [`Notice::Crashed`].
    pub fn crash(&mut self, process: ProcessId, kind: CrashKind) {
        if self.processes[process.0].life == Life::Down {
            return;
        }
        self.note(&format!("{process} crashes ({kind:?})"));
        let under_way: Vec<(FileOperation, u64)> = std::mem::take(&mut self.processes[process.0].under_way)
            .into_values()
            .map(|under_way| (under_way.operation, under_way.covered))
            .collect();
        self.end_life(process, kind == CrashKind::PowerCut);
        self.processes[process.0].disk.crash(kind, &under_way);
        if kind == CrashKind::PowerCut {
            // The monotonic clock of a machine starts over with the machine.
            let uptime_ns = self.rng.below(1_000_000_000);
            self.processes[process.0].monotonic_origin_ns = self.now_ns.saturating_sub(uptime_ns);
        }
        self.notices.push_back(Notice::Crashed(process, kind));
    }

    fn end_life(&mut self, process: ProcessId, power_cut: bool) {
        self.reset_connections_of(process, power_cut);
        let machine = &mut self.processes[process.0];
        machine.incarnation += 1;
        machine.life = Life::Down;
        machine.shards.clear();
        machine.mesh = Mesh::default();
        machine.under_way.clear();
        machine.paused = None;
    }

    /// One of the shards that accept there.
    pub(super) fn accepting_shard(&mut self, process: ProcessId, listener: ListenerId) -> ShardId {
        let machine = &self.processes[process.0];
        match machine.listeners[usize::from(listener.0)].accepting {
            Accepting::DataShards => shard_id(self.rng.index(usize::from(machine.data_shards))),
            Accepting::LastShard => shard_id(machine.shards.len() - 1),
        }
    }

    pub(super) fn boot(&mut self, process: ProcessId, incarnation: u32, shards: u16) {
        let now = self.clock_of(process);
        let entropy = self.rng.next_u64();
        let machine = &mut self.processes[process.0];
        if machine.incarnation != incarnation {
            return;
        }
        let boot = Boot { disk: machine.disk.clone(), now, shards, starts_before: machine.starts, entropy };
        machine.starts += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| (machine.factory)(&boot)));
        match outcome {
            Ok(Ok(made)) => self.serve(process, shards, made),
            Ok(Err(error)) => {
                self.end_life(process, false);
                self.note(&format!("{process} refuses to start: {error:#}"));
                self.notices.push_back(Notice::StartFailed(process, format!("{error:#}")));
            }
            Err(payload) if payload.is::<CrashNow>() => self.crash(process, CrashKind::PowerCut),
            Err(payload) => {
                self.fail(format!("{process} panicked at start: {}", panic_text(payload.as_ref())))
            }
        }
    }

    fn serve(&mut self, process: ProcessId, data_shards: u16, made: Vec<S>) {
        if made.len() < usize::from(data_shards) || data_shards == 0 {
            self.fail(format!("{process} has {} shards of which {data_shards} are data shards", made.len()));
            return;
        }
        let machine = &mut self.processes[process.0];
        machine.life = Life::Serving;
        machine.data_shards = data_shards;
        machine.shards = made
            .into_iter()
            .map(|shard| Slot { shard, timer_generation: 0, turn_ends: false, stopped: false })
            .collect();
        let incarnation = machine.incarnation;
        let count = machine.shards.len();
        self.notices.push_back(Notice::Started(process));
        for index in 0..count {
            self.call(process, shard_id(index), |shard, now, out| shard.start(now, out));
            if self.processes[process.0].incarnation != incarnation {
                return;
            }
        }
    }

    pub(super) fn shard_stopped(&mut self, process: ProcessId, shard: ShardId) {
        let machine = &mut self.processes[process.0];
        machine.shards[shard.index()].stopped = true;
        let asked = machine.life == Life::Stopping;
        let all = machine.shards.iter().all(|slot| slot.stopped);
        if !asked {
            self.notices.push_back(Notice::ShardStopped(process, shard));
        }
        if all {
            let under_way = self.processes[process.0].under_way.len();
            if asked && under_way > 0 {
                self.fail(format!("{process} stopped with {under_way} file operations under way"));
                return;
            }
            self.end_life(process, false);
            self.notices.push_back(Notice::Stopped(process));
        }
    }

    pub(super) fn start_file_operation(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        token: Token,
        operation: FileOperation,
    ) {
        if let Some(objection) = SimDisk::objection(&operation) {
            self.fail(format!("{process} shard {}: {objection}", shard.0));
            return;
        }
        let covered = match &operation {
            FileOperation::Flush { file } => SimDisk::covered(file),
            FileOperation::Open { .. }
            | FileOperation::Write { .. }
            | FileOperation::Read { .. }
            | FileOperation::Allocate { .. }
            | FileOperation::SetLength { .. }
            | FileOperation::Replace { .. }
            | FileOperation::Remove { .. }
            | FileOperation::Rename { .. }
            | FileOperation::Space { .. }
            | FileOperation::Page => 0,
        };
        self.put_under_way(process, UnderWay { shard, token, operation, covered, within: false });
    }

    fn put_under_way(&mut self, process: ProcessId, under_way: UnderWay) {
        let machine = &mut self.processes[process.0];
        let latency_ns = machine.disk.draw_latency_ns();
        let incarnation = machine.incarnation;
        // The number of the event that ends it: unique, and in the order of asking.
        let operation = self.queued + 1;
        machine.under_way.insert(operation, under_way);
        self.schedule_after(latency_ns, Event::File { process, incarnation, operation });
    }

    pub(super) fn finish_file_operation(&mut self, process: ProcessId, operation: u64) {
        let machine = &mut self.processes[process.0];
        let Some(done) = machine.under_way.remove(&operation) else { return };
        let (shard, token) = (done.shard, done.token);
        let result = match (done.within, machine.disk.perform(&done.operation, done.covered)) {
            (true, FileResult::Flushed(Err(error))) => FileResult::Written(Err(error)),
            (_, result) => result,
        };
        let mut is_told = true;
        if let (FileOperation::Write { file, flush, .. }, FileResult::Written(Ok(()))) =
            (&done.operation, &result)
            && flush.is_wanted()
        {
            let covered = SimDisk::covered(file);
            let operation = FileOperation::Flush { file: file.clone() };
            let within = *flush == Flush::Within;
            is_told = !within;
            self.put_under_way(process, UnderWay { shard, token, operation, covered, within });
        }
        if done.within && matches!(result, FileResult::Flushed(_)) {
            let written = FileResult::Written(Ok(()));
            self.deliver(process, shard, Completion::File { token, result: written });
        }
        if is_told {
            self.deliver(process, shard, Completion::File { token, result });
        }
    }
}

pub(super) fn shard_id(index: usize) -> ShardId {
    ShardId(u16::try_from(index).expect("a process has few shards"))
}
