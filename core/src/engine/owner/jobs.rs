//! What an owner was asked and has not answered: one job per request, answered when each of its places is.

use super::Answers;
use crate::{
    engine::message::{AppendResult, Asker, DeleteResult, OffsetResult, OwnerResponse, ReadRequest},
    error::ErrorCode,
};
use std::collections::BTreeMap;

/// A request under way at its owner. Later requests have greater ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::engine) struct JobId(u64);

/// A read that waits for more.
#[derive(Debug)]
pub(super) struct Reading {
    pub asker: Asker,
    pub request: ReadRequest,
    /// Whether the asker knows what there was at first. Until it does it cannot respond, whatever others answer.
    pub answered: bool,
    /// A partition of it is led by another than before: where it waits is to be seen anew.
    pub moved: bool,
}

#[derive(Debug)]
enum Job {
    Append(Tally<AppendResult>),
    Offsets(Tally<OffsetResult>),
    Delete(Tally<DeleteResult>),
    Read(Reading),
}

/// Results that come one by one, and how many are still to come.
#[derive(Debug)]
struct Tally<R> {
    asker: Asker,
    left: usize,
    results: Vec<(u32, R)>,
}

impl<R> Tally<R> {
    fn new(asker: Asker, places: usize) -> Tally<R> {
        Tally { asker, left: places, results: Vec::with_capacity(places) }
    }

    /// One place less is waited for; the results, if it was the last.
    fn count_down(&mut self) -> Option<Vec<(u32, R)>> {
        self.left -= 1;
        (self.left == 0).then(|| std::mem::take(&mut self.results))
    }
}

/// The jobs of one owner.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: BTreeMap<JobId, Job>,
    last: u64,
}

impl Jobs {
    /// For a job to come.
    pub fn next_id(&mut self) -> JobId {
        self.last += 1;
        JobId(self.last)
    }

    /// Whether nothing is under way.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    fn add(&mut self, job: Job) -> JobId {
        let id = self.next_id();
        self.jobs.insert(id, job);
        id
    }

    /// Produce, to this many partitions.
    pub fn append(&mut self, asker: Asker, places: usize) -> JobId {
        self.add(Job::Append(Tally::new(asker, places)))
    }

    /// ListOffsets, of this many partitions.
    pub fn offsets(&mut self, asker: Asker, places: usize) -> JobId {
        self.add(Job::Offsets(Tally::new(asker, places)))
    }

    /// DeleteRecords, of this many partitions.
    pub fn delete(&mut self, asker: Asker, places: usize) -> JobId {
        self.add(Job::Delete(Tally::new(asker, places)))
    }

    /// Takes a read out: it is over, or [goes on](Self::keep_reading).
    pub fn take_read(&mut self, id: JobId) -> Option<Reading> {
        match self.jobs.remove(&id)? {
            Job::Read(reading) => Some(reading),
            job @ (Job::Append(_) | Job::Offsets(_) | Job::Delete(_)) => {
                self.jobs.insert(id, job);
                None
            }
        }
    }

    /// A read waits, or waits on.
    pub fn keep_reading(&mut self, id: JobId, reading: Reading) {
        self.jobs.insert(id, Job::Read(reading));
    }

    /// What a batch's producer is told once its condition is met: see [`settle`](Self::settle).
    pub fn prepare(&mut self, id: JobId, place: u32, result: AppendResult) {
        if let Some(Job::Append(tally)) = self.jobs.get_mut(&id) {
            tally.results.push((place, result));
        }
    }

    /// One partition of a Produce is decided: with its prepared result, or with an error instead.
    pub fn settle(&mut self, id: JobId, place: u32, error: Option<ErrorCode>, answers: &mut Answers) {
        let Some(Job::Append(tally)) = self.jobs.get_mut(&id) else { return };
        if let Some(error) = error {
            tally.results.retain(|(other, _)| *other != place);
            tally.results.push((place, AppendResult::failed(error, None)));
        }
        if let Some(results) = tally.count_down() {
            answers.push((tally.asker, OwnerResponse::Append(results)));
            self.jobs.remove(&id);
        }
    }

    /// One partition of a ListOffsets is answered.
    pub fn offset(&mut self, id: JobId, place: u32, result: OffsetResult, answers: &mut Answers) {
        let Some(Job::Offsets(tally)) = self.jobs.get_mut(&id) else { return };
        tally.results.push((place, result));
        if let Some(results) = tally.count_down() {
            answers.push((tally.asker, OwnerResponse::Offsets(results)));
            self.jobs.remove(&id);
        }
    }

    /// Nobody waits for a DeleteRecords any more.
    pub fn give_up_deletion(&mut self, id: JobId) {
        if matches!(self.jobs.get(&id), Some(Job::Delete(_))) {
            self.jobs.remove(&id);
        }
    }

    /// One partition of a DeleteRecords is answered.
    pub fn deleted(&mut self, id: JobId, place: u32, result: DeleteResult, answers: &mut Answers) {
        let Some(Job::Delete(tally)) = self.jobs.get_mut(&id) else { return };
        tally.results.push((place, result));
        if let Some(results) = tally.count_down() {
            answers.push((tally.asker, OwnerResponse::DeleteRecords(results)));
            self.jobs.remove(&id);
        }
    }
}
