//! The coordinators that live in this shard's partitions of internal topics, of groups and of transactions: what they
//! decide is appended here, by the same path as everything else, and their replies leave when it is committed.

mod decisions;
mod groups;
mod hosts;
mod loading;
mod transactions;

pub(super) use groups::Deferred;
pub use transactions::MarkersOf;
pub(super) use transactions::Wishes;

use super::{Answers, Owner};
use crate::{
    config::BrokerConfig,
    engine::{Effects, message::OwnerResponse},
    error::ErrorCode,
    groups::{Coordinator as Groups, Ticket},
    ids::{LeaderEpoch, Offset, PartitionId, ProducerId},
    log::Fault,
    message_format::RecordFault,
    metadata::Image,
    records::{Codec, Outcome as Ending},
    transactions::Coordinator as Transactions,
};
use corelane_seam::{Monotonic, Now};
use decisions::{Decision, Pending};
use hosts::Hosts;
use loading::{Loading, Step};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
    sync::Arc,
};

/// Alarms of one coordinator that are seen to in one turn: requests get their turn between them.
const ALARMS_PER_TURN: usize = 64;

/// What a coordinator may look at.
#[derive(Clone, Copy)]
pub(super) struct Stage<'a> {
    now: Now,
    image: &'a Image,
    config: &'a BrokerConfig,
    /// A producer id that was never given out, if one is at hand.
    fresh_id: Option<ProducerId>,
}

/// A coordinator as its host sees it: it decides, then replays. Losing the leadership discards it, and the next leader
/// loads another from the log.
pub(super) trait Coordination: Debug + Sized {
    /// The internal topic in whose partitions these live.
    const TOPIC: &'static str;
    /// What is loaded must be committed before anything is done about it.
    const ACTS_ON_COMMITTED: bool;

    /// What it is asked.
    type Request: Debug;
    /// What it answers.
    type Response: Debug;
    /// Word of something that it has set going.
    type Notice: Debug;
    /// What its log holds.
    type Record: Debug;
    /// What it goes on with when records are committed, or are not.
    type Then: Debug;
    /// What a decision brings about.
    type Outcome;

    /// Without anything, for a leadership.
    fn new(epoch: LeaderEpoch) -> Self;
    /// Those that this shard hosts.
    fn host(owner: &mut Owner) -> &mut Host<Self>;

    fn handle(&mut self, stage: Stage<'_>, ticket: Ticket, request: Self::Request) -> Self::Outcome;
    fn noticed(&mut self, stage: Stage<'_>, notice: Self::Notice) -> Self::Outcome;
    fn stored(&mut self, stage: Stage<'_>, then: Self::Then, result: Result<(), ErrorCode>) -> Self::Outcome;
    fn alarm(&mut self, stage: Stage<'_>) -> Option<Self::Outcome>;
    fn next_alarm(&self) -> Option<Monotonic>;
    /// The whole log is replayed.
    fn loaded(&mut self, stage: Stage<'_>);
    fn replay(&mut self, record: Self::Record, offset: Offset, whose: Option<ProducerId>);
    /// A producer's transaction, which this partition has a part of, has ended.
    fn transaction_ended(&mut self, producer: ProducerId, ending: Ending);
    /// Whoever waits for others here, to be told to go elsewhere.
    fn take_waiting(&mut self) -> Vec<Ticket>;
    fn check(&self);
    /// What was loaded, for the log line.
    fn summary(&self) -> String;

    /// A planted bug: replies do not wait for their records.
    fn answers_early(_fault: Fault) -> bool {
        false
    }

    /// Carries out what of a decision is not the log's, and gives the rest.
    fn unpack(owner: &mut Owner, id: PartitionId, outcome: Self::Outcome) -> Decision<Self>;
    /// A record as key and value.
    fn encode(record: &Self::Record) -> (Vec<u8>, Option<Vec<u8>>);
    /// The record of a key and value, if it is of a known type.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self::Record>, RecordFault>;
    /// Of the batches.
    fn codec(config: &BrokerConfig) -> Codec;
    /// What [`stored`](Self::stored) and those who wait are told when records could not be appended.
    fn refused(error: ErrorCode) -> (ErrorCode, ErrorCode);
    fn response(place: u32, reply: Result<Self::Response, ErrorCode>) -> OwnerResponse;
}

/// The coordinators of one kind of one shard.
#[derive(Debug)]
pub(super) struct Host<C: Coordination> {
    image: Image,
    config: Arc<BrokerConfig>,
    hosted: Hosts<C>,
    /// Reads of files that are under way, for whom.
    reads: BTreeMap<u64, PartitionId>,
}

impl<C: Coordination> Default for Host<C> {
    fn default() -> Host<C> {
        Host {
            image: Image::default(),
            config: Arc::default(),
            hosted: Hosts::default(),
            reads: BTreeMap::new(),
        }
    }
}

/// One coordinator with its partition.
#[derive(Debug)]
struct Hosted<C: Coordination> {
    coordinator: C,
    phase: Phase,
    /// Replies that wait for their records, in the order of the log.
    pending: VecDeque<Pending<C>>,
    /// Decisions for which there is no room in the log, and what came after them: what is decided next must know of them.
    blocked: VecDeque<Decision<C>>,
    waiting: VecDeque<Input<C>>,
}

#[derive(Debug)]
enum Phase {
    /// The log is replayed from its start.
    Loading(Loading),
    Serving,
    /// The log could not be read.
    Failed,
    /// The broker stops: what is decided is still committed, nothing new is taken.
    Stopped,
}

/// What a coordinator is given to decide about.
#[derive(Debug)]
enum Input<C: Coordination> {
    Request(Ticket, C::Request),
    Notice(C::Notice),
}

impl<C: Coordination> Host<C> {
    /// New metadata and settings, before this shard follows them.
    fn know(&mut self, image: Image, config: Arc<BrokerConfig>) {
        self.image = image;
        self.config = config;
    }

    /// Asserts what must hold between any two inputs.
    pub fn check(&self) {
        self.hosted.check();
        for (_, hosted) in self.hosted.iter() {
            hosted.coordinator.check();
            assert!(hosted.waiting.is_empty() || !hosted.blocked.is_empty(), "requests wait for nothing");
            let ordered = hosted.pending.iter().zip(hosted.pending.iter().skip(1));
            assert!(ordered.into_iter().all(|(a, b)| a.until <= b.until), "replies are out of order");
        }
    }
}

impl<C: Coordination> Hosted<C> {
    fn new(coordinator: C, loading: Loading) -> Hosted<C> {
        Hosted {
            coordinator,
            phase: Phase::Loading(loading),
            pending: VecDeque::new(),
            blocked: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    /// When it wants to be called next.
    fn due(&self) -> Option<Monotonic> {
        match &self.phase {
            Phase::Loading(loading) if loading.step == Step::Ready => Some(Monotonic(0)),
            Phase::Serving if self.blocked.is_empty() => self.coordinator.next_alarm(),
            Phase::Loading(_) | Phase::Serving | Phase::Failed | Phase::Stopped => None,
        }
    }

    /// Why nothing can be asked, if so.
    fn refuses(&self) -> Option<ErrorCode> {
        match &self.phase {
            Phase::Loading(_) => Some(ErrorCode::CoordinatorLoadInProgress),
            Phase::Failed | Phase::Stopped => Some(ErrorCode::NotCoordinator),
            Phase::Serving => None,
        }
    }
}

impl Owner {
    /// New metadata and settings, before this shard follows them.
    pub fn know(&mut self, image: &Image, config: &Arc<BrokerConfig>) {
        self.groups.know(image.clone(), Arc::clone(config));
        self.transactions.know(image.clone(), Arc::clone(config));
    }

    /// A partition is led from now on: if coordinators live in its topic, one is loaded.
    pub fn lead_coordinator(&mut self, now: Now, topic: &str, id: PartitionId, epoch: LeaderEpoch) {
        match topic {
            Groups::TOPIC => self.lead_one::<Groups>(now, id, epoch),
            Transactions::TOPIC => {
                self.lead_one::<Transactions>(now, id, epoch);
            }
            _ => {}
        }
    }

    fn lead_one<C: Coordination>(&mut self, now: Now, id: PartitionId, epoch: LeaderEpoch) {
        let Some(slot) = self.store.slot(id) else { return };
        let (start, end) = (self.store.log_start(slot), self.store.log_end(slot));
        let hosted = Hosted::new(C::new(epoch), Loading::new(now, start, end));
        C::host(self).hosted.insert(id, hosted);
        if start == end {
            self.load_slice::<C>(now, id, &mut Effects::default());
        }
    }

    /// A partition is led no more, or is offline: nobody here coordinates what lives in it.
    pub(super) fn resign_coordinators(&mut self, id: PartitionId, answers: &mut Answers) {
        self.resign::<Groups>(id, answers);
        self.resign::<Transactions>(id, answers);
        self.forget_wanted_ids(id, answers);
    }

    fn resign<C: Coordination>(&mut self, id: PartitionId, answers: &mut Answers) {
        let Some(mut hosted) = C::host(self).hosted.remove(id) else { return };
        let waiting = hosted.waiting.drain(..).filter_map(Input::ticket);
        let members = hosted.coordinator.take_waiting();
        let undecided = hosted.blocked.into_iter().flat_map(|decision| decision.replies);
        let decided = hosted.pending.into_iter().flat_map(|pending| pending.replies).chain(undecided);
        let tickets = decided.map(|(ticket, _)| ticket).chain(waiting).chain(members);
        let told: Vec<Ticket> = tickets.collect();
        told.into_iter().for_each(|ticket| reply::<C>(ticket, Err(ErrorCode::NotCoordinator), answers));
    }

    /// The broker stops: members that wait for others are told to go elsewhere; what was decided is committed yet.
    pub fn stop_coordinators(&mut self, answers: &mut Answers) {
        self.fail_all_unconfirmed(answers);
        self.stop_all::<Groups>(answers);
        self.stop_all::<Transactions>(answers);
    }

    fn stop_all<C: Coordination>(&mut self, answers: &mut Answers) {
        for hosted in C::host(self).hosted.values_mut() {
            hosted.phase = Phase::Stopped;
            let waiting = hosted.waiting.drain(..).filter_map(Input::ticket).collect::<Vec<_>>();
            for ticket in waiting.into_iter().chain(hosted.coordinator.take_waiting()) {
                reply::<C>(ticket, Err(ErrorCode::NotCoordinator), answers);
            }
        }
    }

    /// A question to a coordinator.
    fn ask_coordinator<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        ticket: Ticket,
        request: C::Request,
        answers: &mut Answers,
    ) {
        let refused = match C::host(self).hosted.get(id) {
            Some(hosted) => hosted.refuses(),
            None => Some(ErrorCode::NotCoordinator),
        };
        match refused {
            Some(error) => reply::<C>(ticket, Err(error), answers),
            None => self.give(now, id, Input::<C>::Request(ticket, request), answers),
        }
    }

    /// Gives a coordinator that serves something to decide about, behind what has no room in the log yet.
    fn give<C: Coordination>(&mut self, now: Now, id: PartitionId, input: Input<C>, answers: &mut Answers) {
        let Some(hosted) = C::host(self).hosted.get_mut(id) else { return };
        if !hosted.blocked.is_empty() {
            return hosted.waiting.push_back(input);
        }
        let outcome = self.with::<C, _>(now, id, |coordinator, stage| match input {
            Input::Request(ticket, request) => coordinator.handle(stage, ticket, request),
            Input::Notice(notice) => coordinator.noticed(stage, notice),
        });
        if let Some(outcome) = outcome {
            self.decided::<C>(now, id, outcome, answers);
        }
    }

    /// Calls a coordinator with the scene of the moment.
    fn with<C: Coordination, R>(
        &mut self,
        now: Now,
        id: PartitionId,
        call: impl FnOnce(&mut C, Stage<'_>) -> R,
    ) -> Option<R> {
        let fresh_id = self.producer_ids.peek();
        let host = C::host(self);
        let stage = Stage { now, image: &host.image, config: &host.config, fresh_id };
        host.hosted.get_mut(id).map(|hosted| call(&mut hosted.coordinator, stage))
    }

    // ---- time ----

    /// When [`tick_coordinators`](Self::tick_coordinators) is to be called next. Costs nothing where none has changed.
    pub fn coordinators_due(&mut self) -> Option<Monotonic> {
        [self.groups.hosted.due(), self.transactions.hosted.due()].into_iter().flatten().min()
    }

    /// What comes due in the coordinators: alarms, and the next slice of one that loads.
    pub fn tick_coordinators(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        self.tick_all::<Groups>(now, effects, answers);
        self.tick_all::<Transactions>(now, effects, answers);
    }

    fn tick_all<C: Coordination>(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        let ids: Vec<PartitionId> = C::host(self).hosted.iter().map(|(id, _)| id).collect();
        let mut loaded = false;
        for id in ids {
            let Some(hosted) = C::host(self).hosted.get(id) else { continue };
            match &hosted.phase {
                // One slice a turn, whosever: requests get their turn between them.
                Phase::Loading(loading) if loading.step == Step::Ready && !loaded => {
                    loaded = true;
                    self.load_slice::<C>(now, id, effects);
                }
                Phase::Serving => self.ring_alarms::<C>(now, id, answers),
                Phase::Loading(_) | Phase::Failed | Phase::Stopped => {}
            }
        }
    }

    fn ring_alarms<C: Coordination>(&mut self, now: Now, id: PartitionId, answers: &mut Answers) {
        for _ in 0..ALARMS_PER_TURN {
            // What is decided next must know of what is not in the log yet.
            if C::host(self).hosted.get(id).is_none_or(|hosted| !hosted.blocked.is_empty()) {
                return;
            }
            let outcome = self.with::<C, _>(now, id, |coordinator, stage| coordinator.alarm(stage)).flatten();
            let Some(outcome) = outcome else { return };
            let decision = C::unpack(self, id, outcome);
            // Work that goes on at once goes on in another turn.
            let pauses = decision.may_split;
            self.take_decision(now, id, decision, answers);
            if pauses {
                return;
            }
        }
    }
}

impl<C: Coordination> Input<C> {
    /// Who waits for an answer.
    fn ticket(self) -> Option<Ticket> {
        match self {
            Input::Request(ticket, _) => Some(ticket),
            Input::Notice(_) => None,
        }
    }
}

fn reply<C: Coordination>(ticket: Ticket, answer: Result<C::Response, ErrorCode>, answers: &mut Answers) {
    answers.push((ticket.asker, C::response(ticket.place, answer)));
}
