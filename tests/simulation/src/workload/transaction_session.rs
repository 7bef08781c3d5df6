//! A transactional producer: of an id that others have, too, so that they fence each other, in version 1 or 2 of
//! transactions; a few transactions, committed or aborted, and now and then one that is left as it is.

use super::{Desk, Operation, is_passing, produce::fresh_batch};
use crate::client::{
    answer::{Answer, Produced},
    group::Named,
    history::{Acks, Event},
    model::{Ended, Outcome},
    record::By,
    request::{Batch, Request, Transaction},
    transaction::{Producer, TransactionAnswer, TransactionRequest},
};
use corelane_core::{error::ErrorCode, ids::PartitionId, records::header::sequence_plus};
use std::{collections::BTreeMap, rc::Rc};

/// How many transactional ids all clients share.
const IDS: u64 = 3;

/// Requests that may be asked again, of one session.
const TRIES: u32 = 40;

struct Session {
    id: Rc<str>,
    v2: bool,
    tries_left: u32,
    transactions_left: u64,
    producer: Option<Producer>,
    next_sequence: BTreeMap<PartitionId, i32>,
    /// The transaction that goes on.
    number: u64,
    partitions: Vec<Named>,
    /// Requests to produce that are under way.
    under_way: usize,
    /// Batches whose fate is not known, to be sent again.
    unresolved: Vec<Batch>,
    rounds_left: u64,
    /// It can only be aborted.
    must_abort: bool,
}

pub(super) fn make(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(Session {
        id: format!("tx{}", desk.rng.below(IDS)).into(),
        v2: desk.rng.below(2) == 0,
        tries_left: TRIES,
        transactions_left: desk.rng.between(1, 4),
        producer: None,
        next_sequence: BTreeMap::new(),
        number: 0,
        partitions: Vec::new(),
        under_way: 0,
        unresolved: Vec::new(),
        rounds_left: 0,
        must_abort: false,
    })
}

/// Errors that go away with another try.
fn may_try_again(error: ErrorCode) -> bool {
    is_passing(error)
        || matches!(
            error,
            ErrorCode::ConcurrentTransactions
                | ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorNotAvailable
        )
}

/// What a producer is told that has a successor, or whose transaction was aborted.
fn is_fenced(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::ProducerFenced
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::InvalidTxnState
            | ErrorCode::TransactionAbortable
    )
}

impl Session {
    fn ask(&self, desk: &mut Desk<'_>, request: TransactionRequest) {
        desk.ask(Request::Transaction { id: Rc::clone(&self.id), request });
    }

    /// Whether there is a try left.
    fn try_again(&mut self, desk: &mut Desk<'_>, request: Request) {
        if self.tries_left > 0 {
            self.tries_left -= 1;
            desk.ask_again(request);
        }
    }

    fn begin_transaction(&mut self, desk: &mut Desk<'_>) {
        let Some(producer) = self.producer else { return };
        if self.transactions_left == 0 {
            return;
        }
        self.transactions_left -= 1;
        let mut partitions = desk.some_partitions(3);
        partitions.retain(|(_, topic)| !desk.catalog.is_compacted(topic));
        if partitions.is_empty() {
            return;
        }
        self.number = desk.catalog.new_transaction();
        self.must_abort = false;
        self.rounds_left = desk.rng.between(1, 3);
        self.partitions.clone_from(&partitions);
        if self.v2 {
            self.write(desk);
        } else {
            self.ask(desk, TransactionRequest::AddPartitions { producer, partitions });
        }
    }

    /// A batch to each partition, each in a request of its own.
    fn write(&mut self, desk: &mut Desk<'_>) {
        let Some((id, epoch)) = self.producer else { return };
        self.rounds_left -= 1;
        for (partition, topic) in self.partitions.clone() {
            let sequence = self.next_sequence.get(&partition).copied().unwrap_or(0);
            let batch = fresh_batch(desk, partition, &topic, By::Transaction(id, epoch, sequence));
            let count = i32::try_from(batch.records.len()).unwrap_or(0);
            self.next_sequence.insert(partition, sequence_plus(sequence, count));
            for record in &batch.records {
                desk.history.note(Event::Wrote { transaction: self.number, record: *record, partition });
            }
            self.send(desk, batch, false);
        }
    }

    fn send(&mut self, desk: &mut Desk<'_>, batch: Batch, again: bool) {
        let transaction = Some(Transaction { id: Rc::clone(&self.id), adds: self.v2 });
        let request = Request::Produce { acks: Acks::All, by_id: false, batches: vec![batch], transaction };
        self.under_way += 1;
        if again { desk.ask_again(request) } else { desk.ask(request) }
    }

    fn produced(&mut self, desk: &mut Desk<'_>, batch: Batch, outcome: Option<Produced>) {
        match outcome.map(|it| it.error) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::DuplicateSequenceNumber) => self.must_abort = true,
            None | Some(ErrorCode::OutOfOrderSequenceNumber) => self.unresolved.push(batch),
            Some(error) if may_try_again(error) => self.unresolved.push(batch),
            Some(error) if is_fenced(error) => self.must_abort = true,
            Some(error) => desk.violated(format!("a transactional producer was answered {error}")),
        }
        if self.under_way > 0 {
            return;
        }
        let deleted = |batch: &Batch| desk.catalog.is_deleted(batch.partition.topic);
        self.must_abort |= self.unresolved.iter().any(deleted);
        let left = std::mem::take(&mut self.unresolved);
        if !left.is_empty() && !self.must_abort && self.tries_left > 0 {
            self.tries_left -= 1;
            return left.into_iter().for_each(|batch| self.send(desk, batch, true));
        }
        self.must_abort |= !left.is_empty();
        if self.must_abort || self.rounds_left == 0 { self.end(desk) } else { self.write(desk) }
    }

    fn end(&mut self, desk: &mut Desk<'_>) {
        let Some(producer) = self.producer else { return };
        // Some vanish: their transactions are aborted in time.
        if desk.rng.below(12) == 0 {
            return;
        }
        let commit = !self.must_abort && desk.rng.below(4) > 0;
        desk.history.note(Event::EndAsked { transaction: self.number, commit });
        self.ask(desk, TransactionRequest::End { producer, commit, v2: self.v2 });
    }

    fn told(&mut self, desk: &mut Desk<'_>, request: TransactionRequest, answer: TransactionAnswer) {
        let error = answer.error();
        let again = Request::Transaction { id: Rc::clone(&self.id), request: request.clone() };
        match (request, answer) {
            (_, TransactionAnswer::FindCoordinator(Ok(_))) => self.ask(desk, TransactionRequest::Init),
            (_, TransactionAnswer::Init(Ok(producer))) => {
                self.producer = Some(producer);
                self.next_sequence.clear();
                self.begin_transaction(desk);
            }
            (_, TransactionAnswer::AddPartitions(ErrorCode::None)) => self.write(desk),
            (TransactionRequest::End { commit, .. }, TransactionAnswer::End(Ok(next))) => {
                desk.history.note(Event::EndAnswered { transaction: self.number, commit });
                if let Some(next) = next {
                    self.producer = Some(next);
                    self.next_sequence.clear();
                }
                // Sequences of what was given up are not known.
                if !self.must_abort || self.v2 {
                    self.begin_transaction(desk);
                }
            }
            _ if may_try_again(error) => self.try_again(desk, again),
            _ if is_fenced(error) => {}
            (request, _) => desk.violated(format!("{request:?} of {} was answered {error}", self.id)),
        }
    }
}

impl Operation for Session {
    fn name(&self) -> &'static str {
        "transactions"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        self.ask(desk, TransactionRequest::FindCoordinator);
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        match (ended.request, ended.outcome) {
            (Request::Transaction { request, .. }, Outcome::Answered(Answer::Transaction(answer))) => {
                self.told(desk, request, answer)
            }
            (request @ Request::Transaction { .. }, _) => self.try_again(desk, request),
            (Request::Produce { batches, .. }, outcome) => {
                self.under_way -= 1;
                let outcomes = outcome.of_batches(batches.len());
                for (batch, outcome) in batches.into_iter().zip(outcomes) {
                    self.produced(desk, batch, outcome);
                }
            }
            _ => {}
        }
    }
}
