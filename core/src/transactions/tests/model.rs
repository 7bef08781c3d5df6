//! Random histories: producers of both versions that are fenced, give up and ask again, a log that commits late and loses
//! its end with its leader, markers that are lost, late or doubled. Whatever happens:
//!
//! - a transaction that was answered committed is never aborted;
//! - markers say what is committed, and those of one transaction say the same everywhere;
//! - a producer changes nothing any more when a later one was handed out;
//! - whoever replays the log knows what the living coordinator knows;
//! - when nothing goes wrong any more, every transaction ends, at every partition.
//!
//! A producer of version 1 has one epoch for many transactions, so what comes late of it cannot be told from what is new
//! (the reason for KIP-890): late requests and doubled markers are of version 2 only.

use super::*;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

/// A bug that is planted to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transactions) enum Bug {
    /// In the coordinator: partitions are added whatever the epoch of the producer.
    OldEpochsAreLetIn,
    /// In its owner: it is told that records are stored when they are appended.
    StoredTooEarly,
    /// In its owner: answers do not wait for their records.
    AnsweredTooEarly,
}

const PARTITIONS: i32 = 3;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Init(usize),
    /// A producer goes on after an error.
    Continue(usize),
    Add(usize, i32),
    End(usize, bool),
    /// A client waits no longer for its answer.
    GiveUp(usize),
    /// A request that was given up arrives (again).
    Late(usize),
    Commit(usize),
    /// The next append is refused.
    Refuse,
    /// No producer id is at hand, the next time.
    NoProducerId,
    /// The leader is gone; of what was not committed so much is left.
    Failover(usize),
    Marker(usize, Fate),
    LateMarker(usize),
    Pass(u64),
    /// Partition 0 has this leader from now on, or none.
    Lead(Option<i32>),
    /// `transaction.version` is raised by one.
    Upgrade,
}

/// What becomes of markers on their way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Written,
    AnswerLost,
    Lost,
    /// Written, and once more later.
    Doubled,
}

fn event() -> impl Strategy<Value = Event> {
    // Mostly one, or nobody would get far.
    let client = || prop_oneof![9 => Just(0_usize), 2 => Just(1), 1 => Just(2)];
    prop_oneof![
        1 => client().prop_map(Event::Init),
        1 => client().prop_map(Event::Continue),
        8 => (client(), 0..PARTITIONS).prop_map(|(client, partition)| Event::Add(client, partition)),
        6 => (client(), 0..4).prop_map(|(client, abort)| Event::End(client, abort != 0)),
        1 => client().prop_map(Event::GiveUp),
        1 => (0_usize..8).prop_map(Event::Late),
        14 => (1_usize..4).prop_map(Event::Commit),
        1 => Just(Event::Refuse),
        1 => Just(Event::NoProducerId),
        1 => (0_usize..4).prop_map(Event::Failover),
        8 => (0_usize..4, 0..8).prop_map(|(at, fate)| Event::Marker(at, match fate {
            0 => Fate::AnswerLost,
            1 => Fate::Lost,
            2 => Fate::Doubled,
            _ => Fate::Written,
        })),
        1 => (0_usize..4).prop_map(Event::LateMarker),
        1 => (0_u64..40_000).prop_map(Event::Pass),
        1 => proptest::option::of(0..PARTITIONS).prop_map(Event::Lead),
        1 => (0..8).prop_map(|it| if it == 0 { Event::Upgrade } else { Event::Commit(1) }),
    ]
}

/// One transaction as its client sees it.
type Tag = usize;

#[derive(Debug, Default)]
struct Client {
    /// Speaks version 2 of transactions.
    v2: bool,
    producer: Option<Producer>,
    /// A producer that goes on after an error.
    continues: Option<Producer>,
    tag: Option<Tag>,
    /// How it wants to end its transaction: from then on it asks nothing else.
    ending: Option<bool>,
    asked: Option<(Ticket, Request)>,
}

/// What a partition knows of a producer.
#[derive(Debug, Default)]
struct Seen {
    epoch: i16,
    coordinator_epoch: i32,
    open: Option<Tag>,
}

#[derive(Debug)]
struct Waiting {
    until: usize,
    replies: Vec<(Ticket, Reply)>,
    then: Option<Then>,
}

struct World {
    bench: Bench,
    bug: Option<Bug>,
    log: Vec<Record>,
    committed: usize,
    waiting: VecDeque<Waiting>,
    refuse: bool,
    on_their_way: Vec<Markers>,
    late_markers: Vec<Markers>,
    clients: [Client; 3],
    late: Vec<Request>,
    partitions: BTreeMap<(i32, ProducerId), Seen>,
    tags: Tag,
    /// Producers in the order in which they were handed out.
    handed_out: Vec<Producer>,
    /// Transactions that were answered committed.
    answered: BTreeSet<Tag>,
    /// What each transaction was told by markers.
    told: BTreeMap<Tag, bool>,
    violated: Option<String>,
}

impl World {
    fn new((level, v2, used_up): (i16, bool, bool), bug: Option<Bug>) -> World {
        let mut bench = Bench::new(level);
        bench.coordinator.bug = bug;
        let client = |v2| Client { v2, ..Client::default() };
        // Epochs that are nearly used up: other producer ids are needed soon.
        let log: Vec<Record> = used_up.then(|| nearly_used_up(level)).into_iter().collect();
        log.iter().for_each(|record| bench.coordinator.replay(record.clone()));
        World {
            bench,
            bug,
            committed: log.len(),
            log,
            waiting: VecDeque::new(),
            refuse: false,
            on_their_way: Vec::new(),
            late_markers: Vec::new(),
            clients: [client(v2), client(!v2), client(v2)],
            late: Vec::new(),
            partitions: BTreeMap::new(),
            tags: 0,
            handed_out: Vec::new(),
            answered: BTreeSet::new(),
            told: BTreeMap::new(),
            violated: None,
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Init(client) => self.ask_init(client, false),
            Event::Continue(client) => self.ask_init(client, true),
            Event::Add(client, partition) => self.ask_add(client, partition),
            Event::End(client, commit) => self.ask_end(client, commit),
            Event::GiveUp(client) => self.give_up(client),
            Event::Late(at) => {
                if at < self.late.len() {
                    let request = self.late.remove(at);
                    self.ask(request);
                }
            }
            Event::Commit(count) => self.commit(count),
            Event::Refuse => self.refuse = true,
            Event::NoProducerId => self.bench.fresh_id = None,
            Event::Failover(kept) => self.fail_over(kept),
            Event::Marker(at, fate) => self.marker(at, fate),
            Event::LateMarker(at) => {
                if at < self.late_markers.len() {
                    let markers = self.late_markers.remove(at);
                    self.write_markers(&markers);
                }
            }
            Event::Pass(ms) => self.pass(ms),
            Event::Lead(leader) => self.bench.lead(leader),
            Event::Upgrade => {
                let level = self.bench.image.feature(TRANSACTION_VERSION);
                self.bench.finalize((level + 1).min(2));
            }
        }
        self.look();
    }

    // ---- clients ----

    fn ask_init(&mut self, at: usize, goes_on: bool) {
        let client = &mut self.clients[at];
        if client.asked.is_some() || (client.producer.is_some() && !goes_on) {
            return;
        }
        let continues = client.producer.take().or(client.continues).filter(|_| goes_on);
        (client.continues, client.tag, client.ending) = (continues, None, None);
        self.ask_for(at, init(continues));
    }

    fn ask_add(&mut self, at: usize, partition: i32) {
        let client = &self.clients[at];
        if let (Some(producer), None, None) = (client.producer, &client.asked, client.ending) {
            self.ask_for(at, add(producer, &[partition], if client.v2 { 4 } else { 3 }));
        }
    }

    fn ask_end(&mut self, at: usize, commit: bool) {
        let client = &mut self.clients[at];
        let (Some(producer), None) = (client.producer, &client.asked) else { return };
        // Only version 2 may abort what it does not know to have begun.
        if client.tag.is_none() && client.ending.is_none() && (commit || !client.v2) {
            return;
        }
        let commit = *client.ending.get_or_insert(commit);
        let version = if client.v2 { 5 } else { 4 };
        self.ask_for(at, end(producer, commit, version));
    }

    fn give_up(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if let Some((_, request)) = client.asked.take()
            && client.v2
        {
            self.late.push(request);
        }
    }

    fn ask_for(&mut self, at: usize, request: Request) {
        let ticket = self.bench.ticket();
        self.clients[at].asked = Some((ticket, request.clone()));
        self.take_request(ticket, request);
    }

    fn ask(&mut self, request: Request) {
        let ticket = self.bench.ticket();
        self.take_request(ticket, request);
    }

    fn take_request(&mut self, ticket: Ticket, request: Request) {
        let by = match &request {
            Request::Init(request) => request.continues,
            Request::AddPartitions(request) => Some(request.producer),
            Request::End(request) => Some(request.producer),
            _ => None,
        };
        let outcome = self.bench.with(|coordinator, scene| coordinator.handle(scene, ticket, request));
        self.judge_change(by, &outcome);
        self.take(outcome);
    }

    /// A producer changes nothing any more when a later one was handed out, but that it may be told of that one again.
    fn judge_change(&mut self, by: Option<Producer>, outcome: &Outcome) {
        let place = by.and_then(|by| self.handed_out.iter().position(|it| *it == by));
        let latest = self.handed_out.last();
        for value in outcome.records.iter().filter_map(|record| record.value.as_ref()) {
            let same = latest == Some(&value.producer()) && value.state == State::Empty;
            if place.is_some_and(|place| place + 1 < self.handed_out.len()) && !same {
                self.violate(format!("{by:?} was followed by {latest:?} and made it {value:?}"));
                return;
            }
        }
    }

    /// Markers say what is committed.
    fn judge_markers(&mut self, markers: &[Markers]) {
        let last = self.log[..self.committed].last().and_then(|record| record.value.clone());
        let says = |it: &Markers| {
            let state = if it.commit { State::PrepareCommit } else { State::PrepareAbort };
            last.as_ref().is_some_and(|last| last.state == state && last.producer() == it.producer)
        };
        if let Some(wrong) = markers.iter().find(|it| !says(it)) {
            self.violate(format!("{wrong:?} and {last:?} is committed"));
        }
    }

    fn answered(&mut self, ticket: Ticket, reply: Reply) {
        let asked = |client: &Client| client.asked.as_ref().is_some_and(|(asked, _)| *asked == ticket);
        let Some(at) = self.clients.iter().position(asked) else { return };
        let Some((_, request)) = self.clients[at].asked.take() else { return };
        let client = &mut self.clients[at];
        match (request, reply) {
            (Request::Init(_), Ok(Response::Initialised(producer))) => {
                (client.producer, client.continues) = (Some(producer), None);
                self.hand_out(producer);
            }
            (Request::AddPartitions(request), Ok(Response::Partitions(_))) => {
                self.tags += usize::from(client.tag.is_none());
                let tag = *client.tag.get_or_insert(self.tags);
                let partitions: Vec<i32> = request.partitions.iter().map(|(_, it)| it).collect();
                partitions.into_iter().for_each(|partition| self.write(at, request.producer, partition, tag));
            }
            (Request::End(request), Ok(Response::Ended(next))) => {
                client.ending = None;
                if let Some(tag) = client.tag.take()
                    && request.commit
                {
                    self.answered.insert(tag);
                }
                if let Some(next) = next {
                    self.clients[at].producer = Some(next);
                    self.hand_out(next);
                }
            }
            (_, Ok(other)) => self.violate(format!("the answer is of another kind: {other:?}")),
            (Request::Init(_), Err(ErrorCode::ProducerFenced)) => client.continues = None,
            (_, Err(ErrorCode::ProducerFenced | ErrorCode::InvalidProducerIdMapping)) => {
                *client = Client { v2: client.v2, ..Client::default() };
            }
            (_, Err(ErrorCode::InvalidTxnState)) => {
                *client = Client { v2: client.v2, continues: client.producer, ..Client::default() };
            }
            // It asks again.
            (_, Err(ErrorCode::ConcurrentTransactions | ErrorCode::CoordinatorNotAvailable)) => {}
            (request, Err(error)) => self.violate(format!("{error:?} answers {request:?}")),
        }
    }

    fn hand_out(&mut self, producer: Producer) {
        if !self.handed_out.contains(&producer) {
            self.handed_out.push(producer);
        }
    }

    /// A record of a transaction goes to a partition that was added.
    fn write(&mut self, client: usize, producer: Producer, partition: i32, tag: Tag) {
        let seen = self.partitions.entry((partition, producer.id)).or_default();
        if producer.epoch.0 < seen.epoch {
            let client = &mut self.clients[client];
            *client = Client { v2: client.v2, ..Client::default() };
            return;
        }
        seen.epoch = producer.epoch.0;
        if let Some(open) = seen.open.replace(tag).filter(|open| *open != tag) {
            self.violate(format!("partition {partition}: {tag} begins before {open} has ended"));
        }
    }

    // ---- the owner of the coordinator ----

    fn take(&mut self, outcome: Outcome) {
        if !matches!(outcome.producer_id, ProducerIdUse::Unused) || self.bench.fresh_id.is_none() {
            self.bench.applied += 1;
            self.bench.fresh_id = Some(ProducerId(i64::try_from(self.bench.applied).expect("few") * 1000));
        }
        if let ProducerIdUse::Wanted(Some(again)) = outcome.producer_id {
            let (ticket, request) = *again;
            return self.take_request(ticket, request);
        }
        self.judge_markers(&outcome.markers);
        self.on_their_way.extend(outcome.markers);
        if !outcome.records.is_empty() && std::mem::take(&mut self.refuse) {
            let error = refused(ErrorCode::NotEnoughReplicas);
            outcome.replies.into_iter().for_each(|(ticket, _)| self.answered(ticket, Err(error)));
            return self.go_on(outcome.then, Err(error));
        }
        for record in outcome.records {
            self.log.push(record.clone());
            self.bench.coordinator.replay(record);
        }
        let mut waiting = Waiting { until: self.log.len(), replies: outcome.replies, then: outcome.then };
        if self.bug == Some(Bug::AnsweredTooEarly) {
            let replies = std::mem::take(&mut waiting.replies);
            replies.into_iter().for_each(|(ticket, reply)| self.answered(ticket, reply));
        }
        let early = waiting.then.take_if(|_| self.bug == Some(Bug::StoredTooEarly));
        self.waiting.push_back(waiting);
        self.go_on(early, Ok(()));
        self.deliver();
    }

    fn go_on(&mut self, then: Option<Then>, result: Result<(), ErrorCode>) {
        if let Some(then) = then {
            let next = self.bench.with(|coordinator, scene| coordinator.stored(scene, then, result));
            self.take(next);
        }
    }

    fn commit(&mut self, count: usize) {
        self.committed = (self.committed + count).min(self.log.len());
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some(met) = self.waiting.pop_front_if(|waiting| waiting.until <= self.committed) {
            met.replies.into_iter().for_each(|(ticket, reply)| self.answered(ticket, reply));
            self.go_on(met.then, Ok(()));
        }
    }

    fn fail_over(&mut self, kept: usize) {
        self.log.truncate(self.committed + kept);
        self.committed = self.log.len();
        self.waiting.clear();
        self.late_markers.append(&mut self.on_their_way);
        (0..self.clients.len()).for_each(|client| self.give_up(client));
        self.bench.log = self.log.clone();
        self.bench.restart();
        self.bench.coordinator.bug = self.bug;
    }

    fn pass(&mut self, ms: u64) {
        self.bench.now.monotonic = self.bench.now.monotonic.after_ms(ms);
        self.bench.now.unix_ms += i64::try_from(ms).expect("small");
        for _ in 0..20 {
            let Some(outcome) = self.bench.with(Coordinator::alarm) else { return };
            self.take(outcome);
        }
    }

    // ---- markers ----

    fn marker(&mut self, at: usize, fate: Fate) {
        if self.on_their_way.is_empty() {
            return;
        }
        let markers = self.on_their_way.remove(at % self.on_their_way.len());
        let result = match fate {
            Fate::Written => Ok(self.write_markers(&markers)),
            Fate::Lost => Err(ErrorCode::NetworkException),
            Fate::AnswerLost => {
                self.write_markers(&markers);
                Err(ErrorCode::NetworkException)
            }
            Fate::Doubled => {
                if markers.transaction_version >= 2 {
                    self.late_markers.push(markers.clone());
                }
                Ok(self.write_markers(&markers))
            }
        };
        let next = self.bench.with(|coordinator, scene| coordinator.marked(scene, &markers, result));
        self.take(next);
    }

    /// What the logs of partitions do (`ProducerAppendInfo.appendEndTxnMarker`).
    fn write_markers(&mut self, markers: &Markers) -> PartitionErrors {
        let mut errors = Vec::new();
        for (topic, partition) in markers.partitions.iter() {
            let seen = self.partitions.entry((partition, markers.producer.id)).or_default();
            let (epoch, v2) = (markers.producer.epoch.0, markers.transaction_version >= 2);
            let repeats = epoch == seen.epoch && (seen.open.is_none() || epoch == i16::MAX);
            let error = if epoch < seen.epoch || (v2 && epoch == seen.epoch && !repeats) {
                ErrorCode::InvalidProducerEpoch
            } else if markers.coordinator_epoch.0 < seen.coordinator_epoch {
                ErrorCode::TransactionCoordinatorFenced
            } else {
                (seen.epoch, seen.coordinator_epoch) = (epoch, markers.coordinator_epoch.0);
                if let Some(tag) = seen.open.take() {
                    let before = self.told.insert(tag, markers.commit);
                    if before.is_some_and(|before| before != markers.commit) {
                        self.violated = Some(format!("transaction {tag} was told both"));
                    }
                }
                ErrorCode::None
            };
            errors.push((Arc::clone(topic), partition, error));
        }
        errors
    }

    // ---- what must hold ----

    fn violate(&mut self, what: String) {
        self.violated.get_or_insert(what);
    }

    fn look(&mut self) {
        let aborted = self.answered.iter().find(|tag| self.told.get(tag) == Some(&false));
        if let Some(tag) = aborted {
            self.violated = Some(format!("transaction {tag} was answered committed and is aborted"));
        }
        let mut replayed = Coordinator::new(COORDINATOR_EPOCH);
        self.log.iter().for_each(|record| replayed.replay(record.clone()));
        if replayed.transactions != self.bench.coordinator.transactions {
            self.violate("the living coordinator and its log differ".to_owned());
        }
    }

    /// Nothing goes wrong any more, and clients are gone.
    fn heal(&mut self) {
        (0..self.clients.len()).for_each(|client| self.give_up(client));
        self.refuse = false;
        self.bench.lead(Some(0));
        for _ in 0..40 {
            self.commit(usize::MAX / 2);
            while !self.on_their_way.is_empty() {
                self.marker(0, Fate::Written);
                self.commit(usize::MAX / 2);
            }
            self.pass(15_000);
            self.look();
        }
        let standing = self.bench.state();
        if standing.is_some_and(|state| !state.is_idle()) {
            self.violate(format!("it stands in {standing:?}"));
        }
        if let Some(open) = self.partitions.iter().find(|(_, seen)| seen.open.is_some()) {
            self.violate(format!("a transaction never ended: {open:?}"));
        }
        let untold = self.answered.iter().find(|tag| self.told.get(tag) != Some(&true));
        if let Some(tag) = untold {
            self.violated = Some(format!("transaction {tag} was answered committed and is not"));
        }
    }
}

/// `transaction.version`, whether most is done by clients that know version 2, whether epochs are nearly used up; and what
/// happens.
type History = ((i16, bool, bool), Vec<Event>);

fn nearly_used_up(level: i16) -> Record {
    let layout = if level == 0 { Layout::Plain } else { Layout::Flexible };
    let value = empty(layout, ProducerId(1), i16::MAX - 4);
    Record { id: "x".into(), value: Some(value.laid_out(layout)) }
}

/// Lives through a history.
fn live((begins, events): &History, bug: Option<Bug>) -> Result<World, TestCaseError> {
    let mut world = World::new(*begins, bug);
    for event in events {
        world.happens(*event);
        if let Some(violated) = world.violated {
            return Err(TestCaseError::fail(format!("{event:?}: {violated}")));
        }
    }
    world.heal();
    match world.violated.take() {
        Some(violated) => Err(TestCaseError::fail(violated)),
        None => Ok(world),
    }
}

fn history() -> impl Strategy<Value = History> {
    let level = prop_oneof![Just(0_i16), Just(1), Just(2), Just(2)];
    ((level, any::<bool>(), any::<bool>()), proptest::collection::vec(event(), 1..400))
}

/// `PROPTEST_CASES` may ask for more.
fn config(cases: u32) -> Config {
    let asked = Config::default();
    Config { cases: cases.max(asked.cases), failure_persistence: None, max_shrink_iters: 2000, ..asked }
}

/// The same histories in every run.
fn deterministic(cases: u32) -> TestRunner {
    TestRunner::new_with_rng(config(cases), TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn whatever_happens_transactions_are_whole(history in history()) {
        live(&history, None)?;
    }
}

#[test]
fn histories_are_worth_something() {
    let counts = Cell::new((0, 0, 0, 0));
    let ran = deterministic(200).run(&history(), |history| {
        let world = live(&history, None)?;
        let (committed, aborted, handed_out, rotated) = counts.get();
        let aborts = world.told.values().filter(|commit| !**commit).count();
        let ids: BTreeSet<ProducerId> = world.handed_out.iter().map(|producer| producer.id).collect();
        counts.set((
            committed + world.answered.len(),
            aborted + aborts,
            handed_out + world.handed_out.len(),
            rotated + ids.len().saturating_sub(1),
        ));
        Ok(())
    });
    assert_eq!(ran, Ok(()));
    let (committed, aborted, handed_out, rotated) = counts.get();
    assert!(rotated > 20 && committed > 100 && aborted > 100 && handed_out > 400, "{:?}", counts.get());
}

#[test]
fn each_planted_bug_is_found() {
    for bug in [Bug::OldEpochsAreLetIn, Bug::StoredTooEarly, Bug::AnsweredTooEarly] {
        let found = deterministic(2000).run(&history(), |history| live(&history, Some(bug)).map(|_| ()));
        assert!(matches!(found, Err(TestError::Fail(..))), "{bug:?} is not found");
    }
}
