//! Reads: what is committed, from memory or as ranges of files; and waiting for more.

use super::{Answers, Asker, JobId, Owner, jobs::Reading};
use crate::{
    engine::{
        Effects,
        message::{OwnerResponse, ReadPartition, ReadRequest, ReadResult},
        partition::Partition,
    },
    error::ErrorCode,
    ids::{LeaderEpoch, PartitionId},
    log::{ReadError, ReadRequest as LogRead},
};
use corelane_seam::Now;

/// A file must be opened first.
struct Later;

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
        let reading = Reading { asker, request };
        if self.read_now(now, &reading, true, effects, answers) {
            return;
        }
        let job = self.jobs.next_id();
        self.readers_by_asker.insert(asker, job);
        for partition in &reading.request.partitions {
            if let Some(partition) = self.partitions.get_mut(&partition.id) {
                partition.readers.push(job);
            }
        }
        self.jobs.keep_reading(job, reading);
    }

    /// No one waits for this fetch any more.
    pub fn forget(&mut self, asker: Asker) {
        let Some(job) = self.readers_by_asker.get(&asker) else { return };
        if let Some(reading) = self.jobs.take_read(*job) {
            self.end_reading(*job, &reading);
        }
    }

    fn end_reading(&mut self, job: JobId, reading: &Reading) {
        self.readers_by_asker.remove(&reading.asker);
        for partition in &reading.request.partitions {
            if let Some(partition) = self.partitions.get_mut(&partition.id) {
                partition.readers.retain(|reader| *reader != job);
            }
        }
    }

    /// Reads that got something new are answered, each once however many partitions moved.
    pub fn wake_readers(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        let mut woken = std::mem::take(&mut self.woken);
        woken.sort_unstable();
        woken.dedup();
        for job in woken.drain(..) {
            let Some(reading) = self.jobs.take_read(job) else { continue };
            if self.read_now(now, &reading, false, effects, answers) {
                self.end_reading(job, &reading);
            } else {
                self.jobs.keep_reading(job, reading);
            }
        }
        if self.woken.is_empty() {
            self.woken = woken;
        }
    }

    /// Reads what there is and answers; whether that was the last answer. A read that needs a file opened first
    /// stays silent until it is open.
    fn read_now(
        &mut self,
        now: Now,
        reading: &Reading,
        first: bool,
        effects: &mut Effects,
        answers: &mut Answers,
    ) -> bool {
        let request = &reading.request;
        let mut results = Vec::with_capacity(request.partitions.len());
        let mut bytes = 0;
        let mut decided = request.wait_for_bytes == 0;
        let mut later = false;
        for partition in &request.partitions {
            let room = request.bytes_max.saturating_sub(bytes);
            match self.read_one(now, partition, room, bytes == 0, effects) {
                Ok(result) => {
                    bytes += result.bytes;
                    decided |= !result.error.is_none() || result.diverging.is_some();
                    results.push((partition.place, result));
                }
                Err(Later) => later = true,
            }
        }
        if later {
            return false;
        }
        let enough = decided || bytes >= request.wait_for_bytes;
        if enough || first || bytes > 0 {
            answers.push((reading.asker, OwnerResponse::Read(results)));
        }
        enough
    }

    fn read_one(
        &mut self,
        now: Now,
        wanted: &ReadPartition,
        room: usize,
        at_least_one: bool,
        effects: &mut Effects,
    ) -> Result<ReadResult, Later> {
        let partition = match self.leader_of(wanted.id, wanted.current_leader_epoch) {
            Ok(partition) => partition,
            Err((error, epoch)) => {
                return Ok(ReadResult { current_leader_epoch: epoch, ..ReadResult::failed(error) });
            }
        };
        let high_watermark = partition.high_watermark;
        let Some(slot) = self.store.slot(wanted.id) else {
            return Ok(ReadResult::failed(ErrorCode::KafkaStorageError));
        };
        let mut result = ReadResult {
            error: ErrorCode::None,
            high_watermark: high_watermark.0,
            last_stable_offset: high_watermark.0,
            log_start_offset: self.store.log_start(slot).0,
            ..ReadResult::failed(ErrorCode::None)
        };
        if wanted.last_fetched_epoch != LeaderEpoch::UNKNOWN {
            let end = self.store.epoch_end(slot, wanted.last_fetched_epoch);
            match end {
                None => return Ok(ReadResult::failed(ErrorCode::OffsetOutOfRange)),
                Some((epoch, end)) if epoch < wanted.last_fetched_epoch || end < wanted.from => {
                    result.diverging = Some((epoch.0, end.0));
                    return Ok(result);
                }
                Some(_) => {}
            }
        }
        let request = LogRead {
            from: wanted.from,
            max_bytes: wanted.bytes_max.min(room),
            up_to: high_watermark,
            at_least_one,
        };
        match self.store.read(now, slot, request, &mut effects.files) {
            Ok(read) => {
                result.bytes = usize::try_from(read.bytes).unwrap_or(usize::MAX);
                result.records = read.parts;
                Ok(result)
            }
            Err(ReadError::OutOfRange { .. }) => Ok(ReadResult {
                log_start_offset: result.log_start_offset,
                high_watermark: high_watermark.0,
                ..ReadResult::failed(ErrorCode::OffsetOutOfRange)
            }),
            Err(ReadError::Offline(_) | ReadError::Unknown) => {
                Ok(ReadResult::failed(ErrorCode::KafkaStorageError))
            }
            Err(ReadError::Later) => Err(Later),
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
