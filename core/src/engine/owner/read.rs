//! Reads: what is committed, from memory or as ranges of files; and waiting for more.

use super::{Answers, Asker, JobId, Owner, jobs::Reading};
use crate::{
    engine::{
        Effects,
        message::{OwnerResponse, ReadPartition, ReadRequest, ReadResult},
        partition::Partition,
        replicas::FollowerId,
    },
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, Offset, PartitionId},
    log::{self, ReadError, ReadRequest as LogRead, Slot},
    wire::AbortedTransaction,
};
use corelane_seam::Now;

/// Files that one read has opened at a time. More would push each other out of the store's caches (32 indexes), and
/// ask again for what is on its way.
pub(super) const OPENED_AT_ONCE_MAX: usize = 8;

/// What a partition has for a read.
pub(super) struct Found {
    pub result: ReadResult,
    /// There is more, behind a file that must be opened first.
    pub later: bool,
}

/// Where to read, and for whom.
#[derive(Clone, Copy)]
struct Place {
    slot: Slot,
    high_watermark: Offset,
    follower: Option<FollowerId>,
}

impl From<ReadResult> for Found {
    fn from(result: ReadResult) -> Found {
        Found { result, later: false }
    }
}

impl Owner {
    pub(super) fn read_all(
        &mut self,
        now: Now,
        asker: Asker,
        request: ReadRequest,
        effects: &mut Effects,
        answers: &mut Answers,
    ) {
        self.forget(asker);
        let mut reading = Reading { asker, request, answered: false, moved: false };
        if self.read_now(now, &mut reading, effects, answers) {
            return;
        }
        let job = self.jobs.next_id();
        self.readers_by_asker.insert(asker, job);
        self.await_news(job, &reading);
        self.jobs.keep_reading(job, reading);
    }

    fn await_news(&mut self, job: JobId, reading: &Reading) {
        for partition in &reading.request.partitions {
            if let Some(partition) = self.partitions.get_mut(&partition.id) {
                partition.readers.push(job);
            } else if self.followers.leader_epoch(partition.id).is_some() {
                self.follower_readers.entry(partition.id).or_default().push(job);
            }
        }
    }

    /// No one waits for this fetch, or this deletion, any more.
    pub fn forget(&mut self, asker: Asker) {
        self.forget_follower(asker);
        self.forget_deletions(asker);
        let Some(job) = self.readers_by_asker.get(&asker) else { return };
        if let Some(reading) = self.jobs.take_read(*job) {
            self.end_reading(*job, &reading);
        }
    }

    fn end_reading(&mut self, job: JobId, reading: &Reading) {
        self.readers_by_asker.remove(&reading.asker);
        self.await_nothing(job, reading);
    }

    fn await_nothing(&mut self, job: JobId, reading: &Reading) {
        for partition in &reading.request.partitions {
            if let Some(partition) = self.partitions.get_mut(&partition.id) {
                partition.readers.retain(|reader| *reader != job);
            }
            if let Some(readers) = self.follower_readers.get_mut(&partition.id) {
                readers.retain(|reader| *reader != job);
                if readers.is_empty() {
                    self.follower_readers.remove(&partition.id);
                }
            }
        }
    }

    /// A partition that these reads wait for is led by another than before.
    pub(super) fn readers_move(&mut self, jobs: Vec<JobId>) {
        for job in jobs {
            if let Some(mut reading) = self.jobs.take_read(job) {
                reading.moved = true;
                self.jobs.keep_reading(job, reading);
                self.woken.push(job);
            }
        }
    }

    /// Reads that got something new are answered, each once however many partitions moved.
    pub fn wake_readers(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        self.wake_followers();
        let mut woken = std::mem::take(&mut self.woken);
        woken.sort_unstable();
        woken.dedup();
        for job in woken.drain(..) {
            let Some(mut reading) = self.jobs.take_read(job) else { continue };
            if self.read_now(now, &mut reading, effects, answers) {
                self.end_reading(job, &reading);
            } else {
                if std::mem::take(&mut reading.moved) {
                    self.await_nothing(job, &reading);
                    self.await_news(job, &reading);
                }
                self.jobs.keep_reading(job, reading);
            }
        }
        if self.woken.is_empty() {
            self.woken = woken;
        }
        self.answer_followers(now, effects, answers);
    }

    /// Reads what there is and answers; whether that was the last answer. Where nothing can be said before a file is
    /// open, stays silent until it is. Where something can, what waits for its file does not hold it up: a read of
    /// more cold partitions than files can be held open would else never be answered.
    fn read_now(
        &mut self,
        now: Now,
        reading: &mut Reading,
        effects: &mut Effects,
        answers: &mut Answers,
    ) -> bool {
        let request = &reading.request;
        let mut results = Vec::with_capacity(request.partitions.len());
        let mut bytes = 0;
        let mut urgent = false;
        let mut opening = 0;
        for partition in &request.partitions {
            let may_open = opening < OPENED_AT_ONCE_MAX;
            let room = if may_open { request.bytes_max.saturating_sub(bytes) } else { 0 };
            let at_least_one = may_open && bytes == 0;
            let Found { result, later } = if self.is_followed_for(request, partition.id) {
                self.read_followed(now, partition, room, at_least_one, effects)
            } else if let Some(nearest) = self.nearest(request.rack.as_deref(), partition) {
                self.elsewhere(partition, nearest).into()
            } else {
                self.read_one(now, partition, None, room, at_least_one, effects)
            };
            bytes += result.bytes;
            urgent |= result.is_urgent();
            opening += usize::from(later);
            results.push((partition.place, result));
        }
        let news = urgent || bytes > 0;
        if !news && (opening > 0 || reading.answered) {
            return false;
        }
        reading.answered = true;
        answers.push((reading.asker, OwnerResponse::Read(results)));
        urgent || bytes >= request.wait_for_bytes
    }

    /// Reads one partition, for a consumer or a follower.
    pub(super) fn read_one(
        &mut self,
        now: Now,
        wanted: &ReadPartition,
        follower: Option<FollowerId>,
        room: usize,
        at_least_one: bool,
        effects: &mut Effects,
    ) -> Found {
        let partition = match self.leader_of(wanted.id, wanted.current_leader_epoch) {
            Ok(partition) => partition,
            Err((error, epoch)) => {
                return ReadResult { current_leader_epoch: epoch, ..ReadResult::failed(error) }.into();
            }
        };
        let high_watermark = partition.high_watermark;
        if let Some(who) = follower
            && !partition.replicas.has(who.node)
        {
            // Newer metadata may say so: either of us may be behind.
            let error = match wanted.current_leader_epoch {
                LeaderEpoch::UNKNOWN => ErrorCode::NotLeaderOrFollower,
                _ => ErrorCode::UnknownLeaderEpoch,
            };
            return ReadResult::failed(error).into();
        }
        let Some(slot) = self.store.slot(wanted.id) else {
            return ReadResult::failed(ErrorCode::KafkaStorageError).into();
        };
        let place = Place { slot, high_watermark, follower };
        self.read_at(now, place, wanted, room, at_least_one, effects)
    }

    fn read_at(
        &mut self,
        now: Now,
        Place { slot, high_watermark, follower }: Place,
        wanted: &ReadPartition,
        room: usize,
        at_least_one: bool,
        effects: &mut Effects,
    ) -> Found {
        let stable = self.store.last_stable(slot).min(high_watermark);
        let mut result = ReadResult {
            error: ErrorCode::None,
            high_watermark: high_watermark.0,
            last_stable_offset: stable.0,
            log_start_offset: self.store.log_start(slot).0,
            ..ReadResult::failed(ErrorCode::None)
        };
        if let Some((epoch, end)) = self.divergence(slot, wanted, follower.is_some()) {
            result.diverging = Some((epoch.0, end.0));
            return result.into();
        }
        let is_unknown = wanted.last_fetched_epoch != LeaderEpoch::UNKNOWN
            && self.store.epoch_end(slot, wanted.last_fetched_epoch).is_none();
        if is_unknown && follower.is_none() {
            return ReadResult::failed(ErrorCode::OffsetOutOfRange).into();
        }
        let end = match follower {
            Some(_) => self.store.log_end(slot),
            None if wanted.is_committed_only => stable,
            None => high_watermark,
        };
        if room == 0 && !at_least_one && result.log_start_offset <= wanted.from.0 && wanted.from < end {
            // There is something, but not for this answer: no file is opened in vain.
            return result.into();
        }
        let request =
            LogRead { from: wanted.from, max_bytes: wanted.bytes_max.min(room), up_to: end, at_least_one };
        let out = &mut effects.files;
        let read = match follower {
            Some(_) => self.store.read_unflushed(slot, request, out).map(|read| (read, Vec::new())),
            None => self.store.read(now, slot, request, out).and_then(|read| {
                let wants = wanted.is_committed_only && read.bytes > 0;
                let to = read.end.min(stable);
                let aborted =
                    if wants { self.store.aborted(slot, wanted.from, to, out)? } else { Vec::new() };
                Ok((read, aborted))
            }),
        };
        match read {
            Ok((read, aborted)) => {
                let told = |one: log::producers::AbortedTransaction| AbortedTransaction {
                    producer_id: one.producer,
                    first_offset: one.first,
                };
                result.aborted = aborted.into_iter().map(told).collect();
                result.bytes = usize::try_from(read.bytes).unwrap_or(usize::MAX);
                result.records = read.parts;
                result.into()
            }
            Err(ReadError::OutOfRange { .. }) => ReadResult {
                log_start_offset: result.log_start_offset,
                high_watermark: high_watermark.0,
                ..ReadResult::failed(ErrorCode::OffsetOutOfRange)
            }
            .into(),
            Err(ReadError::Offline(_) | ReadError::Unknown) => {
                ReadResult::failed(ErrorCode::KafkaStorageError).into()
            }
            Err(ReadError::Later) => Found { result, later: true },
        }
    }

    fn is_followed_for(&self, request: &ReadRequest, id: PartitionId) -> bool {
        request.may_follow && !self.partitions.contains_key(&id) && self.followers.leader_epoch(id).is_some()
    }

    /// Reads what this broker follows, as far as it knows it to be committed (KIP-392).
    fn read_followed(
        &mut self,
        now: Now,
        wanted: &ReadPartition,
        room: usize,
        at_least_one: bool,
        effects: &mut Effects,
    ) -> Found {
        let epoch = self.followers.leader_epoch(wanted.id).unwrap_or(LeaderEpoch::UNKNOWN);
        if wanted.current_leader_epoch != LeaderEpoch::UNKNOWN && wanted.current_leader_epoch != epoch {
            let error = match wanted.current_leader_epoch < epoch {
                true => ErrorCode::FencedLeaderEpoch,
                false => ErrorCode::UnknownLeaderEpoch,
            };
            return ReadResult { current_leader_epoch: Some(epoch), ..ReadResult::failed(error) }.into();
        }
        let slot = self.store.slot(wanted.id).filter(|_| self.offline.is_none());
        let Some(slot) = slot else {
            return ReadResult::failed(ErrorCode::KafkaStorageError).into();
        };
        let place = Place { slot, high_watermark: self.store.high_watermark(slot), follower: None };
        self.read_at(now, place, wanted, room, at_least_one, effects)
    }

    /// The replica that a reader in this rack is better served by, if not here.
    fn nearest(&self, rack: Option<&str>, wanted: &ReadPartition) -> Option<NodeId> {
        let (rack, racks) = (rack?, self.replication.racks.as_ref()?);
        let partition = self.leader_of(wanted.id, wanted.current_leader_epoch).ok()?;
        let is_there = |node: NodeId| racks.get(&node).is_some_and(|other| other == rack);
        if is_there(self.replication.node) {
            return None;
        }
        partition.replicas.furthest(wanted.from, is_there)
    }

    fn elsewhere(&self, wanted: &ReadPartition, nearest: NodeId) -> ReadResult {
        let slot = self.store.slot(wanted.id);
        let high_watermark = self.partitions.get(&wanted.id).map_or(-1, |it| it.high_watermark.0);
        ReadResult {
            high_watermark,
            last_stable_offset: high_watermark,
            log_start_offset: slot.map_or(-1, |slot| self.store.log_start(slot).0),
            nearest: Some(nearest),
            ..ReadResult::failed(ErrorCode::None)
        }
    }

    /// The partition if this shard leads it and the client's epoch fits (KIP-320), else the error and our epoch.
    pub(super) fn leader_of(
        &self,
        id: PartitionId,
        client_epoch: LeaderEpoch,
    ) -> Result<&Partition, (ErrorCode, Option<LeaderEpoch>)> {
        let Some(partition) = self.partitions.get(&id) else {
            return Err((ErrorCode::NotLeaderOrFollower, None));
        };
        if client_epoch != LeaderEpoch::UNKNOWN && client_epoch != partition.leader_epoch {
            let error = if client_epoch < partition.leader_epoch {
                ErrorCode::FencedLeaderEpoch
            } else {
                ErrorCode::UnknownLeaderEpoch
            };
            return Err((error, Some(partition.leader_epoch)));
        }
        if partition.offline.is_some() {
            return Err((ErrorCode::KafkaStorageError, None));
        }
        Ok(partition)
    }
}
