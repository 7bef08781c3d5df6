//! One run: brokers with their quorum on made-up machines, clients at work, disturbances, audits, judgement.
//!
//! A run is a few phases. In each, clients work while the broker is disturbed; then all is made well, the clients
//! finish, everything is read back and held against the invariants; then the process ends in one way or another and
//! starts again. After the last phase every partition must take a record again. Whatever takes too many events or
//! too much virtual time is a failure: a stuck broker loses nothing, and is of no use.

mod actor;
mod broker;
mod events;
mod options;
mod replicas;

use crate::{
    client::{
        catalog::Catalog,
        history::{Event, History},
        model::{Client, KnownBroker},
    },
    invariants,
    rng::Rng,
    workload::{
        Disturbance, Operation, audit::Audit, consumer_session, disk_faults, draw_disturbance, group_session,
        link_faults, probe::Probe, transaction_session,
    },
    world::{CrashKind, Failure, ProcessId, Settings, World},
};
use actor::Actor;
use broker::Cluster;
use corelane_shard::{Node, Report};
pub use options::Options;
use replicas::Watch;
use std::{cell::RefCell, rc::Rc, sync::mpsc::Receiver};

/// Wake-up keys of clients are their numbers, far below these. Behind this one: which broker is to start.
const WAKE_START: u64 = 1 << 40;
/// Behind this one: whose links are to be well again.
const WAKE_HEAL: u64 = 1 << 41;
const WAKE_DISTURB: u64 = (1 << 32) + 1;
const WAKE_DEADLINE: u64 = (1 << 32) + 2;
const WAKE_REST: u64 = (1 << 32) + 3;

/// The client that reads everything back.
const AUDITOR: usize = 0;

/// Virtual time that clients may need to finish once all is well, and an audit to read everything, in ns.
const CALM_NS_MAX: u64 = 180_000_000_000;

/// Virtual time of a phase of work, in ns: disturbed clients may wait for time-outs many times.
const WORK_NS_MAX: u64 = 1_200_000_000_000;

/// How long nothing begins in a cluster whose disks are at fault before someone repairs them, in ns: longer than clients
/// wait for three answers.
const REPAIR_NS: u64 = 120_000_000_000;

/// Virtual time within which a cluster heals once nothing is wrong any more, in ns: the longest session, an election
/// and the longest lag that is suffered, several times.
const HEAL_NS_MAX: u64 = 60_000_000_000;

/// How much longer a stop may take among many, in ns.
const STOP_AMONG_MANY_NS: u64 = 15_000_000_000;

/// How often it is looked whether it has, in ns.
const LOOK_NS: u64 = 200_000_000;

/// How long something stays wrong between machines, in ns.
const HEALS_AFTER_NS_MAX: u64 = 12_000_000_000;

/// Longer than any operation of the disk, in ns.
const REST_NS: u64 = 3_000_000_000;

/// Longer than the active controller works on a change of the voters, in ns.
const CHANGE_NS: u64 = 6_000_000_000;

/// A run in which nothing was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Of the whole schedule.
    pub hash: u64,
    /// Steps of the world.
    pub events: u64,
    /// Records that clients made.
    pub records: u64,
    /// How often the process started.
    pub starts: u32,
}

/// A run in which something was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which promise was broken: an invariant's name, or `liveness`, `answers`, `machine`.
    pub promise: &'static str,
    /// How.
    pub text: String,
    /// The last events, oldest first.
    pub last_events: Vec<String>,
    /// Of the schedule up to there.
    pub hash: u64,
}

/// What broke a run.
#[derive(Debug)]
struct Broken {
    promise: &'static str,
    text: String,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Broken {
        Broken { promise: "machine", text: failure.0 }
    }
}

/// Runs a seed.
///
/// # Errors
/// What was wrong.
pub fn run(options: &Options) -> Result<Passed, Box<Failed>> {
    let mut run = Run::new(options);
    let outcome = run.go();
    if outcome.is_err() {
        for line in replicas::describe(&run.world) {
            run.world.note(&line);
        }
    }
    match outcome {
        Ok(()) => Ok(Passed {
            hash: run.world.hash().value(),
            events: run.world.events(),
            records: run.catalog.records(),
            starts: run.starts,
        }),
        Err(Broken { promise, text }) => Err(Box::new(Failed {
            promise,
            text,
            last_events: run.world.last_events().collect(),
            hash: run.world.hash().value(),
        })),
    }
}

/// A broker as whoever runs it sees it.
struct Broker {
    process: ProcessId,
    reports: Receiver<Report>,
    serving: bool,
    /// A disturbance broke the disk since it was repaired last.
    disk_is_bad: bool,
    /// Or filled it.
    disk_is_full: bool,
}

impl Broker {
    /// Whether its disk explains what is wrong with it.
    fn is_excused(&self) -> bool {
        self.disk_is_bad || self.disk_is_full
    }
}

struct Run {
    events_max: u64,
    rng: Rng,
    world: World<Node>,
    brokers: Vec<Broker>,
    watch: Rc<RefCell<Watch>>,
    history: History,
    catalog: Catalog,
    actors: Vec<Actor>,
    starts: u32,
    /// Counts of operations begun after which something happens, latest first.
    disturbances: Vec<(u64, Disturbance)>,
    operations_begun: u64,
    /// When the last of them began.
    last_begun_ns: u64,
    /// The next disturbance, on its way.
    disturbing: Option<Disturbance>,
    /// How many disturbances of a cluster have yet to pass.
    passing: usize,
    /// The broker whose disk was replaced by an empty one. As a voter it has forgotten what it promised: the others do
    /// without it until someone removes it and adds it again, and so it learns nothing of the metadata.
    emptied: Option<usize>,
    /// How many brokers have a vote, the first ones.
    voters: usize,
}

impl Run {
    fn new(options: &Options) -> Run {
        let mut rng = Rng::new(options.seed);
        let mut settings = Settings::draw(&mut rng);
        settings.trace = options.trace;
        if options.brokers > 1 {
            // Others must take over what it leads, which is waited for as long as requests are.
            settings.stop_ns_max += STOP_AMONG_MANY_NS;
        }
        let mut world: World<Node> = World::new(rng.fork("machines"), settings);
        let cluster = Cluster::draw(&mut rng, options);
        let brokers: Vec<Broker> = (0..cluster.brokers)
            .map(|index| {
                let (factory, reports) = broker::factory(&mut rng.fork("broker"), &cluster, index);
                let process = world.add_process(&Cluster::host(index), cluster.listeners(index), factory);
                disk_faults::repair(&world, process);
                cluster.format(world.disk(process), index);
                Broker { process, reports, serving: false, disk_is_bad: false, disk_is_full: false }
            })
            .collect();
        let known = brokers.iter().enumerate();
        let known: Vec<KnownBroker> = known
            .map(|(index, broker)| KnownBroker { node: Cluster::node(index), process: broker.process })
            .collect();
        let watch: Rc<RefCell<Watch>> = Rc::default();
        let watching = Rc::clone(&watch);
        world.inspect_every(16, move |process, life, node| {
            if let Node::Data(shard) = node {
                shard.engine().check();
            }
            watching.borrow_mut().look(process, life, node);
        });
        let clients = rng.between(2, 5);
        let actors = (0..=clients).map(|number| {
            let mut own = rng.fork("client");
            Actor::new(Client::new(number, &known, own.fork("wire")), own)
        });
        let actors = actors.collect();
        let mut history = if options.brokers > 1 { History::of_cluster() } else { History::default() };
        let mut catalog = Catalog::new(options.brokers);
        catalog.quorum.controllers = cluster.controllers();
        if let Some(founders) = cluster.founders {
            let voters = catalog.quorum.controllers.iter().take(founders).map(|it| it.voter);
            history.note(Event::Voters { voters: voters.collect() });
        }
        Run {
            events_max: options.events_max,
            rng,
            world,
            brokers,
            watch,
            history,
            catalog,
            actors,
            starts: 0,
            disturbances: Vec::new(),
            operations_begun: 0,
            last_begun_ns: 0,
            disturbing: None,
            passing: 0,
            emptied: None,
            voters: cluster.voters,
        }
    }

    fn go(&mut self) -> Result<(), Broken> {
        for index in 0..self.brokers.len() {
            self.start_later(index);
        }
        let phases = self.rng.between(1, 3);
        for _ in 0..phases {
            self.work()?;
            self.calm()?;
            self.alone(Box::new(Audit::new()))?;
            self.judge()?;
            self.compare_replicas()?;
            self.end_processes()?;
        }
        self.calm()?;
        self.alone(Box::new(Audit::new()))?;
        self.alone(Box::new(Probe::default()))?;
        let v2 = self.rng.below(2) == 0;
        let transforming: Vec<_> = transaction_session::settling(&self.catalog, v2).collect();
        let groups = group_session::settling().chain([consumer_session::settling()]);
        for settling in groups.chain(transforming) {
            self.alone(settling)?;
        }
        self.alone(Box::new(Audit::new()))?;
        self.compare_replicas()?;
        self.judge()
    }

    // ---- the parts of a run ----

    /// Clients work, the broker is disturbed.
    fn work(&mut self) -> Result<(), Broken> {
        self.world.note("== work");
        let mut total = 0;
        for actor in &mut self.actors[AUDITOR + 1..] {
            actor.left = self.rng.between(4, 16);
            total += actor.left;
            actor.begin_soon(&mut self.world);
        }
        self.operations_begun = 0;
        let many = self.brokers.len() > 1;
        let count = self.rng.below(if many { 7 } else { 4 });
        self.disturbances =
            (0..count).map(|_| (self.rng.below(total), draw_disturbance(&mut self.rng, many))).collect();
        self.disturbances.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        self.last_begun_ns = self.world.now_ns();
        self.pump(WORK_NS_MAX, "work", |run| run.actors.iter().all(Actor::is_done) || run.awaits_repair())
    }

    /// With disks at fault on the machines of a cluster, too few replicas may be left: then all wait for whoever repairs
    /// them.
    fn awaits_repair(&self) -> bool {
        self.brokers.len() > 1
            && self.brokers.iter().any(Broker::is_excused)
            && self.world.now_ns() > self.last_begun_ns + REPAIR_NS
    }

    /// Everything is well again; clients finish.
    fn calm(&mut self) -> Result<(), Broken> {
        self.world.note("== calm");
        self.disturbances.clear();
        self.disturbing = None;
        for index in 0..self.brokers.len() {
            link_faults::heal(&mut self.world, self.brokers[index].process);
            disk_faults::repair(&self.world, self.brokers[index].process);
            if std::mem::take(&mut self.brokers[index].disk_is_bad) {
                self.crash_somehow(index);
                self.brokers[index].serving = false;
                while self.brokers[index].reports.try_recv().is_ok() {
                    // What it said of its broken disk is excused.
                }
            }
        }
        self.pump(CALM_NS_MAX, "calm", |run| run.all_serve() && run.actors.iter().all(Actor::is_done))?;
        self.brokers.iter_mut().for_each(|broker| broker.disk_is_full = false);
        // What acks=1 acknowledged is readable once it is flushed; a slow disk may have that under way yet.
        self.pause(REST_NS)?;
        self.heal()?;
        if self.catalog.quorum.controllers.is_empty() {
            return Ok(());
        }
        // A change whose answer was lost may be under way yet.
        self.pause(CHANGE_NS)?;
        self.heal()?;
        self.catalog.quorum.settled();
        Ok(())
    }

    /// Waits until a cluster is well.
    fn heal(&mut self) -> Result<(), Broken> {
        let until_ns = self.world.now_ns() + HEAL_NS_MAX;
        while self.brokers.len() > 1
            && let Some(text) = self.unwell()
        {
            if self.world.now_ns() >= until_ns {
                return Err(Broken { promise: "it_heals", text });
            }
            self.pause(LOOK_NS)?;
        }
        self.history.note(Event::Settled);
        self.catalog.are_reassigned = false;
        Ok(())
    }

    /// From here on what a cluster tells may be old.
    fn unsettle(&mut self) {
        if self.brokers.len() > 1 {
            self.history.note(Event::Unsettled);
        }
    }

    /// Lets time pass.
    fn pause(&mut self, ns: u64) -> Result<(), Broken> {
        let over_ns = self.world.now_ns() + ns;
        self.world.wake_after(ns, WAKE_REST);
        self.pump(CALM_NS_MAX, "a rest", |run| run.world.now_ns() >= over_ns)
    }

    /// One operation of the auditor, nothing else.
    fn alone(&mut self, operation: Box<dyn Operation>) -> Result<(), Broken> {
        self.world.note(&format!("== {}", operation.name()));
        let mut outside =
            actor::Outside { world: &mut self.world, history: &mut self.history, catalog: &mut self.catalog };
        self.actors[AUDITOR].begin(operation, &mut outside).map_err(answers)?;
        self.pump(CALM_NS_MAX, "an audit or a probe", |run| run.actors[AUDITOR].is_done())
    }

    fn judge(&self) -> Result<(), Broken> {
        invariants::check(&self.history)
            .map_err(|violation| Broken { promise: violation.invariant, text: violation.text })
    }

    fn all_serve(&self) -> bool {
        self.brokers.iter().all(|broker| broker.serving)
    }

    /// The place of a process among the brokers: every process is one.
    fn index_of(&self, process: ProcessId) -> usize {
        self.brokers.iter().position(|it| it.process == process).expect("no other processes were added")
    }

    /// One of the brokers, without chance when there is only one.
    fn some_broker(&mut self) -> usize {
        if self.brokers.len() == 1 { 0 } else { self.rng.index(self.brokers.len()) }
    }

    /// Every process ends somehow and is started again by [`Notice`]: all at once, or one after another.
    fn end_processes(&mut self) -> Result<(), Broken> {
        self.unsettle();
        let rolling = self.brokers.len() > 1 && self.rng.below(2) == 0;
        for index in 0..self.brokers.len() {
            let broker = &mut self.brokers[index];
            match self.rng.below(4) {
                0 => self.world.crash(broker.process, CrashKind::Kill),
                1 => self.world.crash(broker.process, CrashKind::PowerCut),
                _ => self.world.stop(broker.process),
            }
            broker.serving = false;
            if rolling {
                self.pump(CALM_NS_MAX, "a stop and a start", Run::all_serve)?;
            }
        }
        self.pump(CALM_NS_MAX, "a stop and a start", Run::all_serve)
    }

    /// Whether the others have everything that one broker has, and go on without it, and it stays out: a voter does.
    fn may_lose_a_disk(&self, index: usize) -> bool {
        let is_sound = |broker: &Broker| broker.serving && !broker.is_excused();
        self.emptied.is_none()
            && self.voters > 2
            // Nobody formats it again there.
            && self.catalog.quorum.controllers.is_empty()
            && index < self.voters
            && self.passing == 0
            && !self.catalog.are_reassigned
            && self.brokers.iter().all(is_sound)
            && self.all_are_in_sync()
    }
}

fn answers(text: String) -> Broken {
    Broken { promise: "answers", text }
}

#[cfg(test)]
mod tests;
