//! Questions about offsets and epochs, and moving the log's start.

use super::{Answers, Asker, Deletion, JobId, Owner, Search};
use crate::{
    engine::{
        Effects,
        message::{
            DeleteQuery, DeleteResult, EpochQuery, EpochResult, OffsetQuery, OffsetResult, OffsetSpec,
        },
    },
    error::ErrorCode,
    ids::{LeaderEpoch, Offset},
    log::{ReadError, Slot, TimestampOffset},
};
use corelane_seam::Now;

impl Owner {
    pub(super) fn offsets(
        &mut self,
        now: Now,
        asker: Asker,
        queries: Vec<OffsetQuery>,
        effects: &mut Effects,
        answers: &mut Answers,
    ) {
        let job = self.jobs.offsets(asker, queries.len());
        for query in queries {
            if let Some(result) = self.offset(now, job, &query, effects) {
                self.jobs.offset(job, query.place, result, answers);
            }
        }
    }

    /// Answers what needs no disk; a search by time may be answered later.
    fn offset(
        &mut self,
        now: Now,
        job: JobId,
        query: &OffsetQuery,
        effects: &mut Effects,
    ) -> Option<OffsetResult> {
        let partition = match self.leader_of(query.id, query.current_leader_epoch) {
            Ok(partition) => partition,
            Err((error, _)) => return Some(OffsetResult::failed(error)),
        };
        let (epoch, high_watermark) = (partition.leader_epoch, partition.high_watermark);
        let knows_what_is_committed = partition.knows_what_is_committed();
        let Some(slot) = self.store.slot(query.id) else {
            return Some(OffsetResult::failed(ErrorCode::KafkaStorageError));
        };
        let plain = |offset: Offset, epoch: i32| {
            Some(OffsetResult {
                error: ErrorCode::None,
                offset: offset.0,
                timestamp: -1,
                leader_epoch: epoch,
            })
        };
        let end = match query.is_committed_only {
            true => self.store.last_stable(slot).min(high_watermark),
            false => high_watermark,
        };
        let target = match query.what {
            OffsetSpec::Earliest => {
                let start = self.store.log_start(slot);
                return plain(start, self.store.epoch_at(slot, start).map_or(epoch.0, |at| at.0));
            }
            // What the last leader told may lie above (KIP-207).
            OffsetSpec::Latest if !knows_what_is_committed => {
                return Some(OffsetResult::failed(ErrorCode::OffsetNotAvailable));
            }
            OffsetSpec::Latest => return plain(end, epoch.0),
            OffsetSpec::MaxTimestamp => None,
            OffsetSpec::Timestamp(at) => Some(at),
        };
        self.next_search += 1;
        let search = self.next_search;
        self.searches.insert(search, Search { job, place: query.place, is_final: knows_what_is_committed });
        let out = &mut effects.files;
        match target {
            Some(at) => {
                self.store.find_timestamp(now, slot, at, end, search, out, &mut self.events);
            }
            None => self.store.find_max_timestamp(now, slot, end, search, out, &mut self.events),
        }
        None
    }

    pub(super) fn offset_found(
        &mut self,
        search: u64,
        found: Result<Option<TimestampOffset>, ReadError>,
        answers: &mut Answers,
    ) {
        let Some(Search { job, place, is_final }) = self.searches.remove(&search) else { return };
        let result = match found {
            Err(ReadError::OutOfRange { .. }) | Ok(None) if !is_final => {
                OffsetResult::failed(ErrorCode::OffsetNotAvailable)
            }
            Err(ReadError::OutOfRange { .. }) | Ok(None) => OffsetResult::failed(ErrorCode::None),
            Err(ReadError::Offline(_) | ReadError::Later | ReadError::Unknown) => {
                OffsetResult::failed(ErrorCode::KafkaStorageError)
            }
            Ok(Some(found)) => OffsetResult {
                error: ErrorCode::None,
                offset: found.offset.0,
                timestamp: found.timestamp,
                leader_epoch: found.leader_epoch.0,
            },
        };
        self.jobs.offset(job, place, result, answers);
    }

    pub(super) fn epoch_end(&self, query: &EpochQuery) -> EpochResult {
        let failed = |error| EpochResult { error, epoch: -1, end_offset: -1 };
        if let Err((error, _)) = self.leader_of(query.id, query.current_leader_epoch) {
            return failed(error);
        }
        let Some(slot) = self.store.slot(query.id) else { return failed(ErrorCode::KafkaStorageError) };
        match self.store.epoch_end(slot, query.epoch) {
            Some((epoch, end)) => EpochResult { error: ErrorCode::None, epoch: epoch.0, end_offset: end.0 },
            None => failed(ErrorCode::None),
        }
    }

    pub(super) fn delete_records(
        &mut self,
        now: Now,
        asker: Asker,
        queries: Vec<DeleteQuery>,
        answers: &mut Answers,
    ) {
        let job = self.jobs.delete(asker, queries.len());
        for query in queries {
            if let Some(result) = self.delete_one(now, (asker, job), &query) {
                self.jobs.deleted(job, query.place, result, answers);
            }
        }
    }

    fn delete_one(
        &mut self,
        now: Now,
        (asker, job): (Asker, JobId),
        query: &DeleteQuery,
    ) -> Option<DeleteResult> {
        let failed = |error| Some(DeleteResult { error, low_watermark: -1 });
        let partition = match self.leader_of(query.id, LeaderEpoch::UNKNOWN) {
            Ok(partition) => partition,
            Err((error, _)) => return failed(error),
        };
        // Nobody may delete by hand what the policy keeps (Kafka's Partition.deleteRecordsOnLeader).
        if !partition.config.cleanup.delete {
            return failed(ErrorCode::PolicyViolation);
        }
        let high_watermark = partition.high_watermark;
        let Some(slot) = self.store.slot(query.id) else { return failed(ErrorCode::KafkaStorageError) };
        let before = query.before.unwrap_or(high_watermark);
        if before > high_watermark && !partition.knows_what_is_committed() {
            // The last leader may have told of more (KIP-207).
            return failed(ErrorCode::OffsetNotAvailable);
        }
        if before.0 < 0 || before > high_watermark {
            return failed(ErrorCode::OffsetOutOfRange);
        }
        match self.store.advance_log_start(now, slot, before, &mut self.events) {
            Ok(()) => {
                self.deletions.push(Deletion { slot, before, asker, job, place: query.place });
                None
            }
            Err(ReadError::OutOfRange { .. }) => failed(ErrorCode::OffsetOutOfRange),
            Err(ReadError::Offline(_) | ReadError::Later | ReadError::Unknown) => {
                failed(ErrorCode::KafkaStorageError)
            }
        }
    }

    /// The log start moved, durably, by a deletion, by retention, or because the leader's has.
    pub(super) fn log_start_moved(&mut self, slot: Slot) {
        match self.by_slot.get(&slot).copied() {
            Some(id) => self.news_for_followers(id),
            None => self.followers.log_start_moved(slot),
        }
    }

    /// Answers the deletions that every replica that lives has carried out, as soon as there are enough in sync: whoever
    /// leads next has deleted it too. With fewer, one that is away may lead next (KIP-966); Kafka answers all the same.
    /// Called once in a turn, because much can meet the condition: a follower's word, its death, other metadata.
    pub fn settle_deletions(&mut self, answers: &mut Answers) {
        for deletion in std::mem::take(&mut self.deletions) {
            match self.low_watermark(deletion.slot) {
                Some(low) if low >= deletion.before => {
                    let result = DeleteResult { error: ErrorCode::None, low_watermark: low.0 };
                    self.jobs.deleted(deletion.job, deletion.place, result, answers);
                }
                Some(_) | None => self.deletions.push(deletion),
            }
        }
    }

    /// That far the log start has moved on every replica that lives (Kafka's `Partition.lowWatermarkIfLeader`), if there
    /// are enough of them.
    fn low_watermark(&self, slot: Slot) -> Option<Offset> {
        let partition = self.partitions.get(self.by_slot.get(&slot)?)?;
        if !partition.is_led_next_from_the_isr() {
            return None;
        }
        let own = self.store.log_start(slot);
        Some(
            partition.replicas.least_log_start(self.replication.active()).map_or(own, |least| least.min(own)),
        )
    }

    /// No one waits for these deletions any more; they go on.
    pub(super) fn forget_deletions(&mut self, asker: Asker) {
        for deletion in self.deletions.extract_if(.., |it| it.asker == asker) {
            self.jobs.give_up_deletion(deletion.job);
        }
    }

    /// Whether no deletion is under way.
    #[cfg(test)]
    pub fn waits_for_nothing(&self) -> bool {
        self.deletions.is_empty() && self.jobs.is_empty()
    }

    /// The log start of a partition will not move any more, as far as this leader can tell.
    pub(super) fn fail_deletions(&mut self, slot: Slot, error: ErrorCode, answers: &mut Answers) {
        for deletion in self.deletions.extract_if(.., |it| it.slot == slot) {
            let result = DeleteResult { error, low_watermark: -1 };
            self.jobs.deleted(deletion.job, deletion.place, result, answers);
        }
    }
}
