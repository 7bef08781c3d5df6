//! What a shard does for the partitions it owns: appends, reads, and the questions about offsets.
//!
//! A request of one connection for several partitions of this shard is one job here; it is answered when every
//! partition's condition is met. Everything is dispatched in the order in which it came, also while there is no room.

mod append;
mod confirmation;
mod coordinators;
mod inspect;
mod jobs;
mod offsets;
mod read;
mod replica_sessions;
mod replication;

use super::{
    Effects,
    follower::Followers,
    message::{Asker, OwnerRequest, OwnerResponse},
    partition::{ParkedQueue, Partition},
    producer_ids::ProducerIdPool,
};
use crate::{
    error::ErrorCode,
    groups,
    ids::{Map, Offset, PartitionId},
    log::{Event, Fault, Slot, Store},
    loggers::Loggers,
    records::Scratch,
    transactions,
};
pub use coordinators::MarkersOf;
pub(super) use jobs::JobId;

use append::Delayed;
use confirmation::Confirmations;
use coordinators::{Host, Wishes};
use corelane_seam::{FileResult, Now, Token};
use jobs::Jobs;
use replica_sessions::ReplicaSessions;
use replication::Replication;
use std::collections::{BTreeMap, VecDeque};

/// A DeleteRecords that waits for the moved log start to be durable, here and on every follower that lives.
#[derive(Debug)]
struct Deletion {
    slot: Slot,
    before: Offset,
    asker: Asker,
    job: JobId,
    place: u32,
}

/// A search by time that waits for the disk.
#[derive(Clone, Copy, Debug)]
struct Search {
    job: JobId,
    place: u32,
    /// Where nothing is found, there is nothing; else it may lie above what this leader knows to be committed.
    is_final: bool,
}

/// The answers an owner gives, for the engine to carry to whom they belong.
pub(super) type Answers = Vec<(Asker, OwnerResponse)>;

/// The partitions of one shard with their logs.
pub(super) struct Owner {
    pub store: Store,
    pub partitions: Map<PartitionId, Partition>,
    by_slot: Map<Slot, PartitionId>,
    jobs: Jobs,
    delayed: VecDeque<Delayed>,
    deletions: Vec<Deletion>,
    /// Reads whose partitions got something new in this turn.
    woken: Vec<JobId>,
    readers_by_asker: BTreeMap<Asker, JobId>,
    /// Reads of consumers that want more of what is followed here.
    follower_readers: Map<PartitionId, Vec<JobId>>,
    /// Why nothing is acknowledged any more, if so.
    offline: Option<String>,
    events: Vec<Event>,
    searches: Map<u64, Search>,
    next_search: u64,
    stopping: bool,
    stopped: bool,
    scratch: Scratch,
    /// The coordinators of the groups that live in partitions of this shard, and of the transactions.
    groups: Host<groups::Coordinator>,
    transactions: Host<transactions::Coordinator>,
    wishes: Wishes,
    next_coordinator_read: u64,
    /// Producer ids that this shard may give out.
    pub producer_ids: ProducerIdPool,
    /// Of meaning on one shard only.
    pub loggers: Loggers,
    replication: Replication,
    /// Of the followers of what is led here.
    replica_sessions: ReplicaSessions,
    /// What is followed of other brokers.
    followers: Followers,
    /// Answers that wait for the followers' word that this broker leads yet.
    confirmations: Confirmations,
    /// Replies of reigns that are over: of a planted bug only.
    kept: Map<PartitionId, ParkedQueue>,
}

impl Owner {
    pub fn new(store: Store) -> Owner {
        Owner {
            store,
            partitions: Map::default(),
            by_slot: Map::default(),
            jobs: Jobs::default(),
            delayed: VecDeque::new(),
            deletions: Vec::new(),
            woken: Vec::new(),
            readers_by_asker: BTreeMap::new(),
            follower_readers: Map::default(),
            offline: None,
            events: Vec::new(),
            searches: Map::default(),
            next_search: 0,
            stopping: false,
            stopped: false,
            scratch: Scratch::default(),
            groups: Host::default(),
            transactions: Host::default(),
            wishes: Wishes::default(),
            next_coordinator_read: 0,
            producer_ids: ProducerIdPool::default(),
            loggers: Loggers::default(),
            replication: Replication::default(),
            replica_sessions: ReplicaSessions::default(),
            followers: Followers::default(),
            confirmations: Confirmations::default(),
            kept: Map::default(),
        }
    }

    /// A partition is led from now on.
    pub fn lead(&mut self, slot: Slot, mut partition: Partition) {
        let id = partition.id;
        if let Some(kept) = self.kept.remove(&id) {
            partition.until_committed = kept;
        }
        self.by_slot.insert(slot, id);
        self.partitions.insert(id, partition);
        self.take_in_followers(id);
    }

    /// A partition was deleted, or is led by another: whoever waits is told.
    pub fn leave(&mut self, id: PartitionId, error: ErrorCode, answers: &mut Answers) {
        self.news_for_followers(id);
        let Some(mut partition) = self.partitions.remove(&id) else { return };
        self.resign_coordinators(id, answers);
        self.fail_unconfirmed(id, answers);
        self.forget_shared(id);
        if let Some(slot) = self.store.slot(id) {
            self.by_slot.remove(&slot);
            self.fail_deletions(slot, error, answers);
        }
        if self.store.fault() == Fault::KeepParked {
            self.kept.insert(id, std::mem::take(&mut partition.until_committed));
        }
        self.fail_parked(&mut partition, error, answers);
        self.readers_move(std::mem::take(&mut partition.readers));
    }

    fn fail_parked(&mut self, partition: &mut Partition, error: ErrorCode, answers: &mut Answers) {
        for parked in partition.until_written.take_all().chain(partition.until_committed.take_all()) {
            self.jobs.settle(parked.job, parked.place, Some(error), answers);
        }
    }

    /// Nothing is acknowledged any more: what waits fails, what comes is refused.
    pub fn go_offline(&mut self, reason: &str, answers: &mut Answers) {
        self.offline = Some(reason.to_owned());
        self.followers.stop();
        self.woken.extend(self.follower_readers.values().flatten().copied());
        let ids: Vec<PartitionId> = self.partitions.keys().copied().collect();
        for id in ids {
            self.partition_offline(id, reason, answers);
        }
        for delayed in std::mem::take(&mut self.delayed) {
            let error = Some(ErrorCode::KafkaStorageError);
            self.jobs.settle(delayed.job, delayed.partition.place, error, answers);
        }
    }

    fn partition_offline(&mut self, id: PartitionId, reason: &str, answers: &mut Answers) {
        let Some(mut partition) = self.partitions.remove(&id) else { return };
        partition.offline = Some(reason.to_owned());
        self.resign_coordinators(id, answers);
        self.fail_unconfirmed(id, answers);
        if let Some(slot) = self.store.slot(id) {
            self.fail_deletions(slot, ErrorCode::KafkaStorageError, answers);
        }
        self.fail_parked(&mut partition, ErrorCode::KafkaStorageError, answers);
        self.woken.extend(partition.readers.iter().copied());
        self.partitions.insert(id, partition);
        self.news_for_followers(id);
    }

    /// Takes a request from a connection's shard.
    pub fn ask(
        &mut self,
        now: Now,
        asker: Asker,
        request: OwnerRequest,
        effects: &mut Effects,
        answers: &mut Answers,
    ) {
        self.dispatch(now, asker, request, effects, answers);
        self.take_events(now, effects, answers);
    }

    fn dispatch(
        &mut self,
        now: Now,
        asker: Asker,
        request: OwnerRequest,
        effects: &mut Effects,
        answers: &mut Answers,
    ) {
        match request {
            OwnerRequest::Append(request) => self.append_all(now, asker, request, answers),
            OwnerRequest::Read(request) => self.read_all(now, asker, request, effects, answers),
            OwnerRequest::Follow(request) => self.follow_request(now, asker, request, effects, answers),
            OwnerRequest::Offsets(queries) => self.offsets(now, asker, queries, effects, answers),
            OwnerRequest::EpochEnds(queries) => {
                let results = queries.iter().map(|query| (query.place, self.epoch_end(query))).collect();
                answers.push((asker, OwnerResponse::EpochEnds(results)));
            }
            OwnerRequest::DeleteRecords(queries) => self.delete_records(now, asker, queries, answers),
            OwnerRequest::LogSizes(queries) => {
                answers.push((asker, OwnerResponse::LogSizes(self.log_sizes(&queries))));
            }
            OwnerRequest::Producers(queries) => {
                let results = queries.iter().map(|query| (query.place, self.producers(query))).collect();
                answers.push((asker, OwnerResponse::Producers(results)));
            }
            OwnerRequest::Loggers(request) => {
                let answer = request.answer(&mut self.loggers, &mut effects.log_filter);
                answers.push((asker, answer));
            }
            OwnerRequest::Group(query) => self.ask_group(now, asker, *query, answers),
            OwnerRequest::ListGroups { states, kinds } => {
                let listed = self.list_groups(&states, &kinds);
                answers.push((asker, OwnerResponse::ListedGroups(listed)));
            }
            OwnerRequest::TransactionBegun(id, transaction) => {
                let begun = self.may_begin(id, transaction, None).map_err(|(error, _)| error);
                answers.push((asker, OwnerResponse::TransactionBegun(begun)));
            }
            OwnerRequest::Transaction(query) => self.ask_transaction(now, asker, *query, answers),
            OwnerRequest::ListTransactions(filter) => {
                let listed = self.list_transactions(now, &filter);
                answers.push((asker, OwnerResponse::ListedTransactions(listed)));
            }
        }
    }

    /// A file operation of the store completed.
    pub fn file(
        &mut self,
        now: Now,
        token: Token,
        result: FileResult,
        effects: &mut Effects,
        answers: &mut Answers,
    ) {
        self.store.file(now, token, result, &mut effects.files, &mut self.events);
        self.take_events(now, effects, answers);
    }

    /// What comes due by time in the logs.
    pub fn tick(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        self.store.tick(now, &mut effects.files, &mut self.events);
        self.take_events(now, effects, answers);
    }

    /// Ends the logs' turn. What that brings, room for appends above all, belongs to the same turn.
    pub fn end_of_turn(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        loop {
            self.store.end_of_turn(now, &mut effects.files, &mut self.events);
            if self.events.is_empty() {
                return;
            }
            self.take_events(now, effects, answers);
        }
    }

    /// Begins the clean stop, or goes on with it; whether it is complete.
    pub fn stop(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) -> bool {
        if !self.stopping {
            self.stopping = true;
            self.store.stop(now, &mut effects.files, &mut self.events);
            self.take_events(now, effects, answers);
        }
        self.stopped
    }

    /// Asserts what must hold between any two inputs.
    pub fn check(&self) {
        self.store.check();
        for (id, partition) in &self.partitions {
            if let Some(slot) = self.store.slot(*id).filter(|_| partition.offline.is_none()) {
                assert!(!self.store.is_cutting(slot), "{id} is led while its log is cut");
                partition.check(self.store.log_start(slot), self.store.log_end(slot));
            }
        }
        self.replica_sessions.check();
        self.groups.check();
        self.transactions.check();
    }

    /// Applies what the store reports; one report may bring another.
    fn take_events(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        while !self.events.is_empty() {
            let mut events = std::mem::take(&mut self.events);
            for event in events.drain(..) {
                self.take_event(now, event, effects, answers);
            }
            if self.events.is_empty() {
                // The vector goes back, so that it is allocated once.
                self.events = events;
            }
        }
    }

    fn take_event(&mut self, now: Now, event: Event, effects: &mut Effects, answers: &mut Answers) {
        match event {
            Event::Written { slot, end } => self.written(now, slot, end, answers),
            Event::Flushed { slot, end } => self.commit(now, slot, end, answers),
            Event::LogStartMoved { slot, .. } => self.log_start_moved(slot),
            Event::Room => {
                self.append_delayed(now, answers);
                self.append_blocked(now, answers);
            }
            Event::DiskFull(is_full) => effects.disk_full = Some(is_full),
            Event::BytesRead { job, result } => self.coordinator_bytes_read(now, job, result),
            Event::Readable { slot } => {
                self.coordinators_readable(slot);
                if let Some(id) = self.by_slot.get(&slot).copied()
                    && let Some(partition) = self.partitions.get(&id)
                {
                    self.woken.extend(partition.readers.iter().copied());
                    self.news_for_followers(id);
                }
                self.wake_readers_of_followed(slot);
            }
            Event::TimestampFound { job, result } => self.offset_found(job, result, answers),
            Event::Cut { slot, .. } => self.log_was_cut(slot),
            Event::Stopped => self.stopped = true,
            Event::PartitionOffline { slot, reason } => {
                if let Some(id) = self.followers.id_of(slot) {
                    self.note_offline(id);
                }
                self.followers.offline(slot);
                self.wake_readers_of_followed(slot);
                self.log_was_cut(slot);
                if let Some(id) = self.by_slot.get(&slot).copied() {
                    if self.partitions.get(&id).is_some_and(|partition| !partition.replicas.is_alone()) {
                        self.note_offline(id);
                    }
                    self.partition_offline(id, &reason.0, answers);
                }
            }
            Event::DirectoryOffline { reason } => {
                effects.directory_offline = Some(reason.clone());
                self.go_offline(&reason.0, answers);
            }
        }
    }

    fn written(&mut self, now: Now, slot: Slot, end: Offset, answers: &mut Answers) {
        let Some(partition) = self.by_slot.get(&slot).and_then(|id| self.partitions.get_mut(id)) else {
            self.followers.flushed(slot, self.store.held_end(slot));
            return self.wake_readers_of_followed(slot);
        };
        partition.written = partition.written.max(end);
        while let Some(parked) = partition.until_written.pop_met(end) {
            self.jobs.settle(parked.job, parked.place, None, answers);
        }
        if partition.commits_when_written() {
            self.commit(now, slot, end, answers);
        }
    }

    /// Everything below `end` is flushed here: the high watermark may rise.
    fn commit(&mut self, now: Now, slot: Slot, end: Offset, answers: &mut Answers) {
        let Some(id) = self.by_slot.get(&slot).copied() else {
            self.followers.flushed(slot, end);
            return self.wake_readers_of_followed(slot);
        };
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        partition.own = partition.own.max(end);
        self.advance(now, id, answers);
    }
}
