//! Several quorums, the network between them and their disks, under one seed and in virtual time.

use crate::{
    checker::{Checker, name},
    support::{MemoryDisk, Random, Rest},
};
use bytes::Bytes;
use corelane_core::{
    ids::NodeId,
    log::Fault,
    metadata::{Batch, Image, Record},
};
use corelane_raft_meta::{
    Bounds, CALL_BYTES_MAX, ChangeError, Observer, QuorumInput, QuorumOutput, QuorumSettings, Seat, Timing,
    VoterChange,
};
use corelane_seam::{FileHandle, FileOperation, Monotonic, Now, Token};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

pub const MS: u64 = 1_000_000;

/// In the calendar, when the world begins.
const BEGIN_UNIX_MS: i64 = 1_700_000_000_000;

/// How bad the network is: of a thousand messages.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub lost: usize,
    pub twice: usize,
    /// Late by up to half a second; the others by up to 2 ms, so that order means little.
    pub late: usize,
}

pub struct Node {
    pub quorum: Option<Seat>,
    pub disk: MemoryDisk,
    pub directory_id: u128,
    pub image: Image,
    pub leader: Option<i32>,
    pub term: u64,
    pub writable: bool,
    pub fatal: Option<String>,
    pub stopped: bool,
    /// Where it listens.
    pub endpoint: String,
    /// It is one of those that form the cluster.
    pub is_founder: bool,
    /// It forms no cluster but waits to be added.
    pub joins: bool,
    /// Where it believes that others listen.
    located: BTreeMap<i32, String>,
    /// Of the process: what belongs to an earlier one comes to nothing.
    life: u64,
}

/// A node without a vote.
pub struct Watching {
    pub observer: Option<Observer>,
    pub disk: MemoryDisk,
    pub image: Image,
    pub leader: Option<i32>,
    pub fatal: Option<String>,
    /// How many snapshots it has read.
    pub replaced: usize,
    pub life: u64,
}

enum Event {
    Begin(i32, u64, Token, FileOperation),
    Flush(i32, u64, Token, FileHandle),
    /// A call arrives.
    Call(Call, Bytes),
    /// What becomes of a call arrives where it came from.
    Answer(Call, Result<Bytes, String>),
}

#[derive(Clone, Copy)]
struct Call {
    from: i32,
    life: u64,
    id: u64,
    to: i32,
    /// The network's own copy: its answer goes nowhere.
    is_copy: bool,
}

pub struct World {
    pub now_ns: u64,
    pub random: Random,
    pub nodes: BTreeMap<i32, Node>,
    /// Their ids are others than the voters'.
    pub observers: BTreeMap<i32, Watching>,
    pub weather: Weather,
    /// Directed: nothing gets from the first to the second.
    pub cut: BTreeSet<(i32, i32)>,
    pub checker: Checker,
    /// What every node told, in order: what two runs of a seed are compared by.
    pub told: Vec<String>,
    pub calls: u64,
    /// Bytes of the largest body.
    pub largest: usize,
    pub bounds: Bounds,
    /// A bug on purpose, in all nodes.
    pub fault: Fault,
    queue: BTreeMap<(u64, u64), Event>,
    serial: u64,
    /// Answers to what no voter said.
    pub strange_answers: usize,
    /// Calls that a node has not answered, under the ids that it knows them by.
    asked: BTreeMap<u64, Call>,
    next_proposal: u64,
    /// What became of changes of the voters.
    pub changes: BTreeMap<u64, Result<(), ChangeError>>,
    next_change: u64,
}

fn located(endpoints: &[(NodeId, String)]) -> BTreeMap<i32, String> {
    // Of two places the first counts here.
    endpoints.iter().rev().map(|(id, endpoint)| (id.0, endpoint.clone())).collect()
}

fn endpoint(id: i32) -> String {
    format!("node-{id}:9093")
}

impl World {
    /// Nodes 1 to `count`, none of them started.
    pub fn new(seed: u64, count: i32) -> World {
        let node = |id: i32| Node {
            quorum: None,
            disk: MemoryDisk::default(),
            directory_id: u128::from(id.unsigned_abs()),
            image: Image::new(),
            leader: None,
            term: 0,
            writable: false,
            fatal: None,
            stopped: false,
            endpoint: endpoint(id),
            is_founder: true,
            joins: false,
            located: BTreeMap::new(),
            life: 0,
        };
        World {
            now_ns: 0,
            random: Random(seed),
            nodes: (1..=count).map(|id| (id, node(id))).collect(),
            observers: BTreeMap::new(),
            weather: Weather::default(),
            cut: BTreeSet::new(),
            checker: Checker::default(),
            told: Vec::new(),
            calls: 0,
            largest: 0,
            bounds: Bounds {
                segment_bytes_max: 2_000,
                snapshot_entries: 40,
                snapshot_log_bytes_min: 1 << 20,
            },
            fault: Fault::None,
            queue: BTreeMap::new(),
            serial: 0,
            strange_answers: 0,
            asked: BTreeMap::new(),
            next_proposal: 0,
            changes: BTreeMap::new(),
            next_change: 0,
        }
    }

    /// All of them started, and a leader found.
    pub fn formed(seed: u64, count: i32) -> World {
        let mut world = World::new(seed, count);
        world.start_all();
        world.until("a leader", 10_000, |world| world.leader().is_some());
        world
    }

    pub fn settings(&self, id: i32) -> QuorumSettings {
        let founders = self.nodes.iter().filter(|(_, node)| node.is_founder);
        QuorumSettings {
            node_id: NodeId(id),
            voters: founders.map(|(id, _)| (NodeId(*id), endpoint(*id))).collect(),
            directories: BTreeMap::new(),
            joins: self.nodes[&id].joins,
            directory: PathBuf::from("/quorum"),
            cluster_id: Some("cluster".to_owned()),
            new_cluster_id: "another".to_owned(),
            new_directory_id: self.nodes[&id].directory_id,
            seed: 0,
            first_token: 1 << 40,
            bounds: self.bounds,
            timing: Timing::default(),
            fault: self.fault,
        }
    }

    pub fn now(&self) -> Now {
        let ms = i64::try_from(self.now_ns / MS).expect("small");
        Now { monotonic: Monotonic(self.now_ns), unix_ms: BEGIN_UNIX_MS + ms }
    }

    pub fn start_all(&mut self) {
        let ids: Vec<i32> = self.nodes.keys().copied().collect();
        ids.into_iter()
            .filter(|id| self.nodes[id].quorum.is_none())
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|id| {
                let settings = self.settings(id);
                self.start_with(id, settings);
            });
    }

    pub fn start_with(&mut self, id: i32, settings: QuorumSettings) {
        let seed = self.random.next();
        let mut choice = Random(self.random.next());
        let now = self.now();
        let founders = self.nodes.iter().filter(|(_, node)| node.is_founder);
        // Who knows no voters knows where to ask.
        let knows_nobody = settings.voters.is_empty();
        let bootstrap = founders.filter(|_| knows_nobody).map(|(id, _)| endpoint(*id)).collect();
        let node = self.nodes.get_mut(&id).expect("a node");
        let opened = Seat::open(QuorumSettings { seed, ..settings }, bootstrap, &node.disk, now);
        let mut quorum = match opened {
            Ok(quorum) => quorum,
            Err(fatal) => {
                return self.checker.violations.push(format!("refused: {id} does not start: {fatal}"));
            }
        };
        quorum.quorum_mut().set_choice(Box::new(move |count| choice.below(count)));
        node.image = quorum.image();
        node.located = located(&quorum.endpoints());
        (node.leader, node.writable, node.fatal, node.stopped) = (None, false, None, false);
        node.life += 1;
        node.quorum = Some(quorum);
        self.checker.started(id);
        self.poll(id);
    }

    /// The process is gone; the disk stays as it is.
    pub fn kill(&mut self, id: i32) {
        let node = self.nodes.get_mut(&id).expect("a node");
        if node.quorum.take().is_none() {
            return;
        }
        node.writable = false;
        self.checker.crashed(id);
        let broken: Vec<u64> =
            self.asked.iter().filter(|(_, call)| call.to == id).map(|(id, _)| *id).collect();
        for asked in broken {
            let call = self.asked.remove(&asked).expect("listed");
            self.answer(call, Err("the connection was lost".to_owned()));
        }
    }

    /// The disk is replaced by an empty one.
    pub fn wipe(&mut self, id: i32) {
        self.kill(id);
        let node = self.nodes.get_mut(&id).expect("a node");
        node.disk = MemoryDisk::default();
        node.directory_id += 1_000;
    }

    /// Nothing gets to or from this node.
    pub fn isolate(&mut self, id: i32) {
        let others: Vec<i32> = self.nodes.keys().copied().filter(|other| *other != id).collect();
        self.cut.extend(others.into_iter().flat_map(|other| [(id, other), (other, id)]));
    }

    /// The one that may decide: of several, the latest.
    pub fn leader(&self) -> Option<i32> {
        let writable = self.nodes.iter().filter(|(_, node)| node.writable && node.quorum.is_some());
        writable.max_by_key(|(_, node)| node.term).map(|(id, _)| *id)
    }

    pub fn propose(&mut self, id: i32) -> u64 {
        let record = |proposal| Record::FeatureLevel { name: name(proposal), level: 1 };
        self.next_proposal += 1;
        let proposal = self.next_proposal;
        self.propose_batch(id, proposal, Batch::of(vec![record(proposal)]));
        proposal
    }

    /// With as many bytes beside.
    pub fn propose_long(&mut self, id: i32, bytes: usize) -> u64 {
        self.next_proposal += 1;
        let proposal = self.next_proposal;
        let record = |name| Record::FeatureLevel { name, level: 1 };
        let padding = format!("{proposal}-{}", "x".repeat(bytes));
        self.propose_batch(id, proposal, Batch::of(vec![record(name(proposal)), record(padding)]));
        proposal
    }

    /// Asks a node to change who votes; [`changes`](Self::changes) tells what became of it.
    pub fn change(&mut self, id: i32, change: VoterChange) -> u64 {
        self.next_change += 1;
        let number = self.next_change;
        self.input(id, QuorumInput::ChangeVoters { id: number, change });
        number
    }

    fn propose_batch(&mut self, id: i32, proposal: u64, batch: Batch) {
        self.checker.proposed(id, proposal);
        self.input(id, QuorumInput::Propose { id: proposal, batch });
    }

    /// Something arrives that no voter said.
    pub fn strange_call(&mut self, from: i32, to: i32, body: Bytes) {
        self.serial += 1;
        let id = self.serial;
        self.input(to, QuorumInput::Called { id, from: NodeId(from), body });
    }

    pub fn input(&mut self, id: i32, input: QuorumInput) {
        let now = self.now();
        if let Some(quorum) = self.nodes.get_mut(&id).and_then(|node| node.quorum.as_mut()) {
            quorum.handle(now, input);
            self.poll(id);
        } else if let Some(observer) = self.observers.get_mut(&id).and_then(|it| it.observer.as_mut()) {
            observer.handle(now, input);
            self.poll(id);
        }
    }

    pub fn poll(&mut self, id: i32) {
        let now = self.now();
        let mut out = Vec::new();
        if let Some(quorum) = self.nodes.get_mut(&id).and_then(|node| node.quorum.as_mut()) {
            quorum.poll(now, &mut out);
        }
        if let Some(watching) = self.observers.get_mut(&id) {
            watching.observer.iter_mut().for_each(|observer| observer.poll(now, &mut out));
            return out.into_iter().for_each(|output| self.observed(id, output));
        }
        out.into_iter().for_each(|output| self.output(id, output));
    }

    fn output(&mut self, id: i32, output: QuorumOutput) {
        let node = self.nodes.get_mut(&id).expect("a node");
        match output {
            QuorumOutput::File { token, operation } => {
                let life = node.life;
                return self.later((20_000, MS), Event::Begin(id, life, token, operation));
            }
            QuorumOutput::Call { id: call, to, ref body } => {
                // Endpoints without ids are those of the founders, in order.
                let (is_found, to) = match to.0 {
                    to @ 0.. => {
                        let place = self.nodes.get(&to).map(|node| &node.endpoint);
                        (self.nodes[&id].located.get(&to) == place, to)
                    }
                    to => (true, -to),
                };
                let life = self.nodes[&id].life;
                let call = Call { from: id, life, id: call, to, is_copy: false };
                self.send(call, is_found, body.clone());
            }
            QuorumOutput::Answer { id: asked, ref body } => {
                assert!(body.len() <= CALL_BYTES_MAX);
                match self.asked.remove(&asked) {
                    Some(call) => self.answer(call, Ok(body.clone())),
                    None => self.strange_answers += 1,
                }
            }
            QuorumOutput::Applied { offset, ref batch, ref image } => {
                node.image = image.clone();
                self.checker.applied(id, offset.0, batch, image);
            }
            QuorumOutput::ImageReplaced { ref image, .. } => {
                node.image = image.clone();
                self.checker.replaced(id, image);
            }
            QuorumOutput::Proposed { id: proposal, ref result } => {
                self.checker.answered(id, proposal, &result.clone().map(|offset| offset.0));
            }
            QuorumOutput::LeaderChanged { leader, term, writable } => {
                (node.leader, node.term) = (leader.map(|leader| leader.0), term);
                // Observers learn so where voters are.
                if let Some(quorum) = &node.quorum {
                    node.located = located(&quorum.endpoints());
                }
                let was_writable = std::mem::replace(&mut node.writable, writable);
                if let Some(leader) = leader {
                    self.checker.leader(term, leader.0);
                }
                if writable && !was_writable {
                    self.checker.writable(id, &self.nodes[&id].image);
                }
            }
            QuorumOutput::VotersChanged { id: change, ref result } => {
                let known = self.changes.insert(change, result.clone());
                assert_eq!(known, None, "change {change} is answered once");
            }
            QuorumOutput::Located(ref endpoints) => node.located = located(endpoints),
            QuorumOutput::Fatal(ref fatal) => node.fatal = Some(fatal.to_string()),
            QuorumOutput::Stopped => node.stopped = true,
        }
        if !matches!(output, QuorumOutput::Call { .. } | QuorumOutput::Answer { .. }) {
            self.told.push(format!("{} {id} {output:?}", self.now_ns));
        }
    }

    fn observed(&mut self, id: i32, output: QuorumOutput) {
        let watching = self.observers.get_mut(&id).expect("an observer");
        match output {
            QuorumOutput::Call { id: call, to, ref body } => {
                // Endpoints without ids are those of the voters, in order.
                let to = to.0.abs();
                let call = Call { from: id, life: watching.life, id: call, to, is_copy: false };
                self.send(call, true, body.clone());
            }
            QuorumOutput::Applied { offset, ref batch, ref image } => {
                watching.image = image.clone();
                self.checker.applied(id, offset.0, batch, image);
            }
            QuorumOutput::ImageReplaced { ref image, .. } => {
                watching.image = image.clone();
                watching.replaced += 1;
                self.checker.replaced(id, image);
            }
            QuorumOutput::LeaderChanged { leader, term, writable } => {
                watching.leader = leader.map(|leader| leader.0);
                assert!(!writable, "it decides nothing");
                if let Some(leader) = leader {
                    self.checker.leader(term, leader.0);
                }
            }
            QuorumOutput::Fatal(ref fatal) => watching.fatal = Some(fatal.to_string()),
            QuorumOutput::Stopped | QuorumOutput::VotersChanged { .. } | QuorumOutput::Located(_) => {}
            other => panic!("an observer says {other:?}"),
        }
    }

    fn later(&mut self, (min_ns, max_ns): (u64, u64), event: Event) {
        let span = usize::try_from(max_ns - min_ns).expect("small");
        let at = self.now_ns + min_ns + self.random.below(span) as u64;
        self.serial += 1;
        self.queue.insert((at, self.serial), event);
    }

    fn happens(&mut self, of_a_thousand: usize) -> bool {
        of_a_thousand > 0 && self.random.below(1000) < of_a_thousand
    }

    /// How long a message takes; `None`: for ever.
    fn travel(&mut self, from: i32, to: i32) -> Option<(u64, u64)> {
        if self.cut.contains(&(from, to)) || self.happens(self.weather.lost) {
            None
        } else if self.happens(self.weather.late) {
            Some((2 * MS, 500 * MS))
        } else {
            Some((50_000, 2 * MS))
        }
    }

    fn send(&mut self, call: Call, is_found: bool, body: Bytes) {
        assert!(body.len() <= CALL_BYTES_MAX);
        self.calls += 1;
        self.largest = self.largest.max(body.len());
        match self.travel(call.from, call.to).filter(|_| is_found) {
            Some(time) => self.later(time, Event::Call(call, body.clone())),
            None => self.fail(call),
        }
        if is_found && self.happens(self.weather.twice) {
            self.later((MS, 300 * MS), Event::Call(Call { is_copy: true, ..call }, body));
        }
    }

    /// Whoever called hears of it at some time.
    fn fail(&mut self, call: Call) {
        self.later((MS, 3_000 * MS), Event::Answer(call, Err("the connection was lost".to_owned())));
    }

    fn answer(&mut self, call: Call, result: Result<Bytes, String>) {
        if call.is_copy {
            return;
        }
        match self.travel(call.to, call.from) {
            Some(time) => self.later(time, Event::Answer(call, result)),
            None => self.fail(call),
        }
    }

    /// Lets the next thing happen, at the latest at `until_ns`. False if that came first.
    pub fn step(&mut self, until_ns: u64) -> bool {
        let deadline = |(id, node): (&i32, &Node)| Some((node.quorum.as_ref()?.next_deadline()?.0, *id));
        let watching = |(id, it): (&i32, &Watching)| Some((it.observer.as_ref()?.next_deadline()?.0, *id));
        let timers = self.nodes.iter().filter_map(deadline);
        let timer = timers.chain(self.observers.iter().filter_map(watching)).min();
        let event = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timer = timer.filter(|(at, _)| event.is_none_or(|event| *at <= event));
        let at = timer.map(|(at, _)| at).or(event).unwrap_or(u64::MAX);
        if at > until_ns {
            self.now_ns = self.now_ns.max(until_ns);
            return false;
        }
        self.now_ns = self.now_ns.max(at);
        match timer {
            Some((_, id)) => self.poll(id),
            None => {
                let (_, event) = self.queue.pop_first().expect("seen above");
                self.happen(event);
            }
        }
        true
    }

    fn is_alive(&self, id: i32, life: u64) -> bool {
        match (self.nodes.get(&id), self.observers.get(&id)) {
            (Some(node), _) => node.quorum.is_some() && node.life == life,
            (None, watching) => watching.is_some_and(|it| it.observer.is_some() && it.life == life),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Begin(id, life, token, operation) if self.is_alive(id, life) => {
                let (result, rest) = self.nodes[&id].disk.begin(operation);
                if let Rest::Flush(file) = rest {
                    self.later((100_000, 3 * MS), Event::Flush(id, life, token, file));
                }
                self.input(id, QuorumInput::FileCompletion(token, result));
            }
            Event::Flush(id, life, token, file) if self.is_alive(id, life) => {
                let result = self.nodes[&id].disk.flush_handle(&file);
                self.input(id, QuorumInput::FileCompletion(token, result));
            }
            Event::Begin(..) | Event::Flush(..) => {}
            Event::Call(call, _) if self.nodes.get(&call.to).is_none_or(|node| node.quorum.is_none()) => {
                self.answer(call, Err("nobody listens".to_owned()));
            }
            Event::Call(call, body) => {
                self.serial += 1;
                let id = self.serial;
                self.asked.insert(id, call);
                self.input(call.to, QuorumInput::Called { id, from: NodeId(call.from), body });
            }
            Event::Answer(call, result) if self.is_alive(call.from, call.life) => {
                self.input(call.from, QuorumInput::Answered { id: call.id, result });
            }
            Event::Answer(..) => {}
        }
    }

    /// Lets time pass.
    pub fn run_ms(&mut self, ms: u64) {
        let until_ns = self.now_ns + ms * MS;
        while self.step(until_ns) {}
    }

    /// Lets time pass until it is so; gives how long that took, in ms.
    pub fn until(&mut self, what: &str, within_ms: u64, is_so: impl Fn(&World) -> bool) -> u64 {
        let began_ns = self.now_ns;
        while !is_so(self) {
            let happened = self.step(began_ns + within_ms * MS);
            assert!(happened, "no {what} within {within_ms} ms: {}", self.state());
        }
        (self.now_ns - began_ns) / MS
    }

    /// How the nodes stand, for messages.
    pub fn state(&self) -> String {
        let mut text = format!("{} ms", self.now_ns / MS);
        for (id, node) in &self.nodes {
            let Node { leader, term, writable, fatal, image, .. } = node;
            let last = image.last_applied().map(|offset| offset.0);
            text += &format!(
                "\n{id}: leader {leader:?} of term {term}, writable {writable}, fatal {fatal:?}, applied {last:?}, lives {}",
                node.quorum.is_some()
            );
        }
        for (id, Watching { observer, image, leader, fatal, .. }) in &self.observers {
            let (last, lives) = (image.last_applied(), observer.is_some());
            text += &format!("\n{id}: observes {leader:?}, fatal {fatal:?}, applied {last:?}, lives {lives}");
        }
        text
    }

    /// The same image everywhere.
    pub fn agrees(&self) -> bool {
        let mut images = self.nodes.values().map(|node| &node.image);
        let first = images.next().expect("a node");
        images.all(|image| image == first)
    }

    pub fn holds(&self, id: i32, proposal: u64) -> bool {
        self.nodes[&id].image.feature(&name(proposal)) == 1
    }

    /// A hash over what every process that lives has scheduled.
    pub fn trace(&self) -> u64 {
        let traces = self.nodes.values().filter_map(|node| Some(node.quorum.as_ref()?.quorum().trace()));
        traces.fold(self.now_ns, |all, trace| all.rotate_left(7) ^ trace)
    }
}
