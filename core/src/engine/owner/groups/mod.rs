//! The coordinators of the groups that live in this shard's partitions of `__consumer_offsets`: what they decide is
//! appended here, by the same path as everything else, and their replies leave when it is committed.

mod hosts;
mod loading;

use super::{Answers, Asker, Owner};
use crate::{
    config::BrokerConfig,
    engine::{
        Effects,
        message::{GroupQuery, OwnerResponse},
    },
    error::ErrorCode,
    groups::{
        Coordinator, ListedGroup, Outcome, Reply, Request, Scene, Then, Ticket, Transaction, records::Record,
    },
    ids::{Offset, PartitionId, TopicId},
    log::{AppendError, EndTransaction, Fault},
    metadata::Image,
    records::{BatchBuilder, NO_SEQUENCE, NewRecord},
};
use corelane_seam::{Monotonic, Now};
use hosts::Hosts;
use loading::{Loading, Step};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Records of one batch of an outcome that may be split.
const SPLIT_RECORDS: usize = 1000;

/// The coordinators of one shard.
#[derive(Debug, Default)]
pub(super) struct Groups {
    image: Image,
    config: Arc<BrokerConfig>,
    hosted: Hosts,
    /// Reads of files that are under way, for whom.
    reads: BTreeMap<u64, PartitionId>,
    next_read: u64,
}

/// One coordinator with its partition.
#[derive(Debug)]
struct Hosted {
    coordinator: Coordinator,
    phase: Phase,
    /// Replies that wait for their records, in the order of the log.
    pending: VecDeque<Pending>,
    /// Decisions for which there is no room in the log, and the requests that came after them: what is decided next
    /// must know of them.
    blocked: VecDeque<Outcome>,
    waiting: VecDeque<(Ticket, Request)>,
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

#[derive(Debug)]
struct Pending {
    until: Offset,
    replies: Vec<(Ticket, Reply)>,
    then: Option<Then>,
}

impl Groups {
    /// Why the marker of a transaction cannot be appended to a partition of `__consumer_offsets` now: what the transaction
    /// has committed is not known yet, or was decided and is not in the log yet, so that it would come behind the marker.
    pub(super) fn defers_marker(&self, id: PartitionId) -> Option<Deferred> {
        let hosted = self.hosted.get(id)?;
        match &hosted.phase {
            Phase::Loading(_) => Some(Deferred::Refused(ErrorCode::CoordinatorLoadInProgress)),
            Phase::Failed | Phase::Stopped => Some(Deferred::Refused(ErrorCode::NotCoordinator)),
            Phase::Serving => (!hosted.blocked.is_empty()).then_some(Deferred::NoRoom),
        }
    }

    /// A marker was appended: what its transaction has committed counts, or is forgotten.
    pub(super) fn transaction_ended(&mut self, id: PartitionId, end: &EndTransaction) {
        if let Some(hosted) = self.hosted.get_mut(id) {
            hosted.coordinator.end_transaction(end.producer, end.marker.outcome);
        }
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

impl Hosted {
    /// When it wants to be called next.
    fn due(&self) -> Option<Monotonic> {
        match &self.phase {
            Phase::Loading(loading) if loading.step == Step::Ready => Some(Monotonic(0)),
            Phase::Serving if self.blocked.is_empty() => self.coordinator.next_alarm(),
            Phase::Loading(_) | Phase::Serving | Phase::Failed | Phase::Stopped => None,
        }
    }
}

/// Calls a coordinator with the scene of the moment.
macro_rules! with_coordinator {
    ($groups:expr, $now:expr, $id:expr, |$hosted:ident, $scene:ident| $body:expr) => {{
        let groups = &mut $groups;
        let $scene = Scene { now: $now, image: &groups.image, config: &groups.config };
        groups.hosted.get_mut($id).map(|$hosted| $body)
    }};
}

impl Owner {
    /// New metadata and settings, before this shard follows them.
    pub fn know(&mut self, image: Image, config: Arc<BrokerConfig>) {
        self.groups.image = image;
        self.groups.config = config;
    }

    /// A partition of `__consumer_offsets` is led from now on: its groups are loaded.
    pub fn lead_groups(&mut self, now: Now, id: PartitionId) {
        let Some(slot) = self.store.slot(id) else { return };
        let loading = Loading {
            next: self.store.log_start(slot),
            up_to: self.store.log_end(slot),
            step: Step::Ready,
            behind: Vec::new(),
            began: now.monotonic,
            records: 0,
        };
        self.groups.hosted.insert(
            id,
            Hosted {
                coordinator: Coordinator::new(),
                phase: Phase::Loading(loading),
                pending: VecDeque::new(),
                blocked: VecDeque::new(),
                waiting: VecDeque::new(),
            },
        );
        let empty = self.store.log_start(slot) == self.store.log_end(slot);
        if empty {
            self.load_slice(now, id, &mut Effects::default());
        }
    }

    /// A partition is led no more, or is offline: nobody here coordinates its groups.
    pub(super) fn resign_groups(&mut self, id: PartitionId, answers: &mut Answers) {
        let Some(mut hosted) = self.groups.hosted.remove(id) else { return };
        let waiting = hosted.waiting.drain(..).map(|(ticket, _)| ticket);
        let members = hosted.coordinator.waiting();
        let undecided = hosted.blocked.into_iter().flat_map(|outcome| outcome.replies);
        let decided = hosted.pending.into_iter().flat_map(|pending| pending.replies).chain(undecided);
        let tickets = decided.map(|(ticket, _)| ticket).chain(waiting).chain(members);
        let told: Vec<Ticket> = tickets.collect();
        told.into_iter().for_each(|ticket| reply(ticket, Err(ErrorCode::NotCoordinator), answers));
    }

    /// The broker stops: members that wait for others are told to go elsewhere; what was decided is committed yet.
    pub fn stop_groups(&mut self, answers: &mut Answers) {
        for hosted in self.groups.hosted.values_mut() {
            hosted.phase = Phase::Stopped;
            let waiting = hosted.waiting.drain(..).map(|(ticket, _)| ticket).collect::<Vec<_>>();
            for ticket in waiting.into_iter().chain(hosted.coordinator.waiting()) {
                reply(ticket, Err(ErrorCode::NotCoordinator), answers);
            }
        }
    }

    /// Topics are gone, and what was committed for them goes with them.
    pub fn groups_lose_topics(&mut self, now: Now, topics: &[(Arc<str>, TopicId)], answers: &mut Answers) {
        if topics.is_empty() {
            return;
        }
        let serving = self.groups.hosted.iter().filter(|(_, hosted)| matches!(hosted.phase, Phase::Serving));
        let outcomes: Vec<_> =
            serving.map(|(id, hosted)| (id, hosted.coordinator.topics_deleted(topics))).collect();
        for (id, outcome) in outcomes {
            self.decided(now, id, outcome, answers);
        }
    }

    /// A question about a group.
    pub(super) fn ask_group(&mut self, now: Now, asker: Asker, query: GroupQuery, answers: &mut Answers) {
        let ticket = Ticket { asker, place: query.place };
        let Some(hosted) = self.groups.hosted.get_mut(query.partition) else {
            return reply(ticket, Err(ErrorCode::NotCoordinator), answers);
        };
        match &hosted.phase {
            Phase::Loading(_) => return reply(ticket, Err(ErrorCode::CoordinatorLoadInProgress), answers),
            Phase::Failed | Phase::Stopped => return reply(ticket, Err(ErrorCode::NotCoordinator), answers),
            Phase::Serving => {}
        }
        if !hosted.blocked.is_empty() {
            return hosted.waiting.push_back((ticket, query.request));
        }
        self.take_group_request(now, query.partition, ticket, query.request, answers);
    }

    fn take_group_request(
        &mut self,
        now: Now,
        id: PartitionId,
        ticket: Ticket,
        request: Request,
        answers: &mut Answers,
    ) {
        let outcome = with_coordinator!(self.groups, now, id, |hosted, scene| {
            hosted.coordinator.handle(scene, ticket, request)
        });
        if let Some(outcome) = outcome {
            self.decided(now, id, outcome, answers);
        }
    }

    /// The groups of this shard.
    pub(super) fn list_groups(
        &self,
        states: &[String],
        kinds: &[String],
    ) -> Result<Vec<ListedGroup>, ErrorCode> {
        let mut listed = Vec::new();
        for (_, hosted) in self.groups.hosted.iter() {
            match &hosted.phase {
                Phase::Loading(_) => return Err(ErrorCode::CoordinatorLoadInProgress),
                Phase::Serving => listed.append(&mut hosted.coordinator.list(states, kinds)),
                Phase::Failed | Phase::Stopped => {}
            }
        }
        Ok(listed)
    }

    // ---- decide, append, replay, answer ----

    /// A decision: its records are appended and replayed; its replies wait until they are committed.
    fn decided(&mut self, now: Now, id: PartitionId, outcome: Outcome, answers: &mut Answers) {
        let Some(hosted) = self.groups.hosted.get_mut(id) else { return };
        if hosted.blocked.is_empty() {
            self.append_decision(now, id, outcome, answers);
        } else {
            hosted.blocked.push_back(outcome);
        }
    }

    fn append_decision(&mut self, now: Now, id: PartitionId, mut outcome: Outcome, answers: &mut Answers) {
        while !outcome.records.is_empty() {
            let records = next_batch(&mut outcome);
            match self.append_group_records(now, id, &records, outcome.transaction) {
                Ok(first) => {
                    let (applied, whose) = (outcome.applied, outcome.transaction.map(|it| it.producer));
                    let Some(hosted) = self.groups.hosted.get_mut(id) else { return };
                    if !applied {
                        for (at, record) in (first.0..).zip(records) {
                            hosted.coordinator.replay(record, Offset(at), whose);
                        }
                    }
                }
                Err(Refusal::NoRoom) => {
                    let Some(hosted) = self.groups.hosted.get_mut(id) else { return };
                    outcome.records.splice(..0, records);
                    hosted.blocked.push_front(outcome);
                    return;
                }
                Err(Refusal::Because(error)) => return self.undecided(now, id, outcome, error, answers),
            }
        }
        if outcome.is_empty() {
            return;
        }
        let Some(slot) = self.store.slot(id) else { return };
        let until = self.store.log_end(slot);
        let Some(partition) = self.partitions.get(&id) else { return };
        let early = self.store.fault() == Fault::AnswerGroupsEarly && outcome.then.is_none();
        let high_watermark = if early { until } else { partition.high_watermark };
        let Some(hosted) = self.groups.hosted.get_mut(id) else { return };
        if until > high_watermark {
            let Outcome { replies, then, .. } = outcome;
            hosted.pending.push_back(Pending { until, replies, then });
            return;
        }
        for (ticket, answer) in outcome.replies {
            reply(ticket, answer, answers);
        }
        debug_assert!(outcome.then.is_none(), "what waits for records has records");
    }

    /// The records of a decision were refused: so are those who wait for it.
    fn undecided(
        &mut self,
        now: Now,
        id: PartitionId,
        outcome: Outcome,
        error: ErrorCode,
        answers: &mut Answers,
    ) {
        for (ticket, _) in outcome.replies {
            reply(ticket, Err(error), answers);
        }
        if let Some(then) = outcome.then {
            self.go_on(now, id, then, Err(told_to_members(error)), answers);
        }
    }

    fn go_on(
        &mut self,
        now: Now,
        id: PartitionId,
        then: Then,
        stored: Result<(), ErrorCode>,
        answers: &mut Answers,
    ) {
        let next = with_coordinator!(self.groups, now, id, |hosted, scene| {
            hosted.coordinator.stored(scene, then, stored)
        });
        if let Some(next) = next {
            self.decided(now, id, next, answers);
        }
    }

    /// Appends records as one batch, of a producer's transaction if it is given. Gives the first one's offset.
    fn append_group_records(
        &mut self,
        now: Now,
        id: PartitionId,
        records: &[Record],
        transaction: Option<Transaction>,
    ) -> Result<Offset, Refusal> {
        let Some(partition) = self.partitions.get(&id).filter(|partition| partition.offline.is_none()) else {
            return Err(Refusal::Because(ErrorCode::NotLeaderOrFollower));
        };
        if !partition.has_enough_in_sync() {
            return Err(Refusal::Because(ErrorCode::NotEnoughReplicas));
        }
        let mut batch = BatchBuilder::new().codec(self.groups.config.groups.topic_codec);
        if let Some(Transaction { producer, epoch }) = transaction {
            // The coordinator counts no sequences.
            batch = batch.producer(producer, epoch, NO_SEQUENCE).transactional();
        }
        for record in records {
            let (key, value) = (record.key(), record.value());
            batch.push(NewRecord {
                timestamp_ms: now.unix_ms,
                key: Some(&key),
                value: value.as_deref(),
                headers: &[],
            });
        }
        let bytes = batch.build();
        if bytes.len() > usize::try_from(partition.config.message_bytes_max).unwrap_or(0) {
            return Err(Refusal::Because(ErrorCode::RecordListTooLarge));
        }
        let Some(slot) = self.store.slot(id) else {
            return Err(Refusal::Because(ErrorCode::KafkaStorageError));
        };
        match self.store.append(now, slot, partition.leader_epoch, &bytes) {
            Ok(appended) => Ok(appended.base_offset),
            Err(AppendError::Full) => Err(Refusal::NoRoom),
            Err(AppendError::Offline(_) | AppendError::DiskReserve | AppendError::Unknown) => {
                Err(Refusal::Because(ErrorCode::KafkaStorageError))
            }
            Err(AppendError::Producer(refused)) => Err(Refusal::Because(refused.code)),
        }
    }

    /// The high watermark of a partition has risen.
    pub(super) fn groups_committed(
        &mut self,
        now: Now,
        id: PartitionId,
        high_watermark: Offset,
        answers: &mut Answers,
    ) {
        if let Some(Hosted { phase: Phase::Loading(_), .. }) = self.groups.hosted.get(id) {
            return self.load_on(id);
        }
        loop {
            let Some(hosted) = self.groups.hosted.get_mut(id) else { return };
            let met = hosted.pending.front().is_some_and(|pending| pending.until <= high_watermark);
            let Some(pending) = hosted.pending.pop_front_if(|_| met) else { return };
            for (ticket, answer) in pending.replies {
                reply(ticket, answer, answers);
            }
            if let Some(then) = pending.then {
                self.go_on(now, id, then, Ok(()), answers);
            }
        }
    }

    /// There is room again: what was decided is appended, then what waited behind it is decided.
    pub(super) fn append_blocked_groups(&mut self, now: Now, answers: &mut Answers) {
        let blocked: Vec<PartitionId> = self
            .groups
            .hosted
            .iter()
            .filter(|(_, hosted)| !hosted.blocked.is_empty())
            .map(|(id, _)| id)
            .collect();
        for id in blocked {
            let count = self.groups.hosted.get(id).map_or(0, |hosted| hosted.blocked.len());
            for _ in 0..count {
                let Some(hosted) = self.groups.hosted.get_mut(id) else { break };
                let Some(outcome) = hosted.blocked.pop_front() else { break };
                let before = hosted.blocked.len();
                self.append_decision(now, id, outcome, answers);
                if self.groups.hosted.get(id).is_some_and(|hosted| hosted.blocked.len() > before) {
                    break;
                }
            }
            while let Some(hosted) = self.groups.hosted.get_mut(id)
                && hosted.blocked.is_empty()
                && let Some((ticket, request)) = hosted.waiting.pop_front()
            {
                self.take_group_request(now, id, ticket, request, answers);
            }
        }
    }

    // ---- time ----

    /// When [`tick_groups`](Self::tick_groups) is to be called next. Costs nothing where no group has changed.
    pub fn groups_due(&mut self) -> Option<Monotonic> {
        self.groups.hosted.due()
    }

    /// What comes due in the groups: alarms, and the next slice of one that loads.
    pub fn tick_groups(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        let ids: Vec<PartitionId> = self.groups.hosted.iter().map(|(id, _)| id).collect();
        let mut loaded = false;
        for id in ids {
            let Some(hosted) = self.groups.hosted.get_mut(id) else { continue };
            match &hosted.phase {
                // One slice a turn, whosever: requests get their turn between them.
                Phase::Loading(loading) if loading.step == Step::Ready && !loaded => {
                    loaded = true;
                    self.load_slice(now, id, effects);
                }
                Phase::Serving => self.ring_alarms(now, id, answers),
                Phase::Loading(_) | Phase::Failed | Phase::Stopped => {}
            }
        }
    }

    fn ring_alarms(&mut self, now: Now, id: PartitionId, answers: &mut Answers) {
        loop {
            let outcome = with_coordinator!(self.groups, now, id, |hosted, scene| {
                // What is decided next must know of what is not in the log yet.
                hosted.blocked.is_empty().then(|| hosted.coordinator.alarm(scene)).flatten()
            });
            let Some(outcome) = outcome.flatten() else { return };
            // Work that goes on at once goes on in another turn.
            let pauses = outcome.may_split;
            self.decided(now, id, outcome, answers);
            if pauses {
                return;
            }
        }
    }
}

/// Why a marker is not appended.
pub(super) enum Deferred {
    /// The coordinator of transactions tries again.
    Refused(ErrorCode),
    /// When there is room.
    NoRoom,
}

enum Refusal {
    NoRoom,
    Because(ErrorCode),
}

fn reply(ticket: Ticket, answer: Reply, answers: &mut Answers) {
    answers.push((ticket.asker, OwnerResponse::Group(ticket.place, answer)));
}

/// What of an outcome is appended next: all of it, unless it may be split.
fn next_batch(outcome: &mut Outcome) -> Vec<Record> {
    if outcome.may_split && outcome.records.len() > SPLIT_RECORDS {
        let rest = outcome.records.split_off(SPLIT_RECORDS);
        std::mem::replace(&mut outcome.records, rest)
    } else {
        std::mem::take(&mut outcome.records)
    }
}

/// What members of a group are told when its records could not be appended
/// (`GroupMetadataManager.appendGroupMetadataErrorToResponseError`).
fn told_to_members(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        _ => ErrorCode::UnknownServerError,
    }
}
