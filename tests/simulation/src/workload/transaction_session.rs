//! A transactional producer: of an id that others have, too, so that they fence each other, in version 1 or 2 of
//! transactions; a few transactions, committed or aborted, and now and then one that is left as it is. Some transform
//! what they read from a [`Source`], and commit in the same transactions how far they have read.

use super::{
    Desk, Operation, is_passing,
    produce::{batch_of, fresh_batch},
    transform_source::{Read, Source},
};
use crate::client::{
    answer::{Answer, FetchedPartition, Produced},
    catalog::Catalog,
    group::{GroupAnswer, GroupRequest, Named},
    history::{Acks, Event, Seen},
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

/// Of one that must come to the end of what it reads.
const DRAINING_TRIES: u32 = 400;

/// How late may come what belongs to a transaction that was given up, in ns.
const LATE_NS_MAX: u64 = 2_000_000_000;

/// The largest record that is made of another one, in bytes.
const TRANSFORMED_BYTES_MAX: usize = 200;

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
    /// Its end was asked for before what it wrote was sent.
    gave_up: bool,
    /// What it transforms.
    source: Option<Source>,
}

pub(super) fn make(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    let id = format!("tx{}", desk.rng.below(IDS)).into();
    Box::new(Session::new(id, None, desk.rng.below(2) == 0).of_a_few(desk))
}

/// One that transforms.
pub(super) fn make_transforming(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    let Some(source) = Source::draw(desk) else { return make(desk) };
    Box::new(Session::new(source.name(), Some(source), desk.rng.below(2) == 0).of_a_few(desk))
}

/// After all faults are over: whoever transforms comes to the end of what it reads.
pub fn settling(catalog: &Catalog, v2: bool) -> impl Iterator<Item = Box<dyn Operation>> {
    let pipelines = catalog.pipelines().to_vec().into_iter();
    pipelines.map(move |pipeline| -> Box<dyn Operation> {
        let source = Source::to_the_end(pipeline);
        let session = Session::new(source.name(), Some(source), v2);
        Box::new(Session { tries_left: DRAINING_TRIES, transactions_left: u64::MAX, ..session })
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
                | ErrorCode::UnstableOffsetCommit
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
    fn new(id: Rc<str>, source: Option<Source>, v2: bool) -> Session {
        Session {
            id,
            v2,
            tries_left: TRIES,
            transactions_left: 0,
            producer: None,
            next_sequence: BTreeMap::new(),
            number: 0,
            partitions: Vec::new(),
            under_way: 0,
            unresolved: Vec::new(),
            rounds_left: 0,
            must_abort: false,
            gave_up: false,
            source,
        }
    }

    fn of_a_few(self, desk: &mut Desk<'_>) -> Session {
        Session { transactions_left: desk.rng.between(1, 4), ..self }
    }

    /// Whether nothing is wrong, and it has to come to an end.
    fn must_drain(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.must_drain)
    }

    fn ask(&self, desk: &mut Desk<'_>, request: TransactionRequest) {
        desk.ask(Request::Transaction { id: Rc::clone(&self.id), request });
    }

    /// Whether there is a try left.
    fn try_again(&mut self, desk: &mut Desk<'_>, request: Request) {
        if self.tries_left > 0 {
            self.tries_left -= 1;
            desk.ask_again(request);
        } else if self.must_drain() {
            desk.violated(format!(
                "{} does not come to the end of what it reads, last: {request:?}",
                self.id
            ));
        }
    }

    /// Another one took its place, or its transaction was ended. Who has to come to an end begins anew.
    fn turned_away(&mut self, desk: &mut Desk<'_>) {
        let Some(source) = self.source.as_mut().filter(|source| source.must_drain) else { return };
        source.forget_position();
        let id = Rc::clone(&self.id);
        self.try_again(desk, Request::Transaction { id, request: TransactionRequest::Init });
    }

    /// The next transaction, or what has to be known before.
    fn go_on(&mut self, desk: &mut Desk<'_>) {
        if self.transactions_left == 0 {
            return;
        }
        match &self.source {
            Some(source) if source.is_gone(desk) => {}
            Some(source) => desk.ask(source.next_request()),
            None => self.begin_transaction(desk),
        }
    }

    fn begin_transaction(&mut self, desk: &mut Desk<'_>) {
        let Some(producer) = self.producer else { return };
        self.transactions_left -= 1;
        let partitions = match &self.source {
            Some(source) => source.outputs(desk),
            None => {
                let mut partitions = desk.some_partitions(3);
                partitions.retain(|(_, topic)| !desk.catalog.is_compacted(topic));
                partitions
            }
        };
        if partitions.is_empty() {
            return;
        }
        self.number = desk.catalog.new_transaction();
        self.must_abort = false;
        self.rounds_left = if self.source.is_some() { 1 } else { desk.rng.between(1, 3) };
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
        let partitions = self.partitions.clone();
        let mut batches = Vec::new();
        for (index, (partition, topic)) in partitions.iter().enumerate() {
            let sequence = self.next_sequence.get(partition).copied().unwrap_or(0);
            let by = By::Transaction(id, epoch, sequence);
            let batch = match &self.source {
                None => fresh_batch(desk, *partition, topic, by),
                Some(source) => {
                    let share: Vec<Seen> = source.share(index, partitions.len());
                    if share.is_empty() {
                        continue;
                    }
                    let filler = desk.rng.index(TRANSFORMED_BYTES_MAX);
                    let batch = batch_of(desk, *partition, topic, by, share.len() as u64, filler);
                    for (from, record) in share.iter().zip(&batch.records) {
                        source.transformed(*from, *record, *partition, desk);
                    }
                    batch
                }
            };
            let count = i32::try_from(batch.records.len()).unwrap_or(0);
            self.next_sequence.insert(*partition, sequence_plus(sequence, count));
            for record in &batch.records {
                let (record, partition) = (*record, *partition);
                desk.history.note(Event::Wrote { transaction: self.number, record, partition });
            }
            batches.push(batch);
        }
        // Some give up, and what they wrote comes late.
        self.gave_up = !self.must_drain() && desk.rng.below(10) == 0;
        if self.gave_up {
            self.must_abort = true;
            self.end(desk);
        }
        for batch in batches {
            let delay_ns = if self.gave_up { desk.rng.below(LATE_NS_MAX) } else { 0 };
            self.send(desk, batch, delay_ns);
        }
    }

    fn send(&mut self, desk: &mut Desk<'_>, batch: Batch, delay_ns: u64) {
        let transaction = Some(Transaction { id: Rc::clone(&self.id), adds: self.v2 });
        let request = Request::Produce { acks: Acks::All, by_id: false, batches: vec![batch], transaction };
        self.under_way += 1;
        desk.asks.push((delay_ns, request));
    }

    fn produced(&mut self, desk: &mut Desk<'_>, batch: Batch, outcome: Option<Produced>) {
        match outcome.map(|it| it.error) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::DuplicateSequenceNumber) => self.must_abort = true,
            None | Some(ErrorCode::OutOfOrderSequenceNumber) => self.unresolved.push(batch),
            Some(error) if may_try_again(error) => self.unresolved.push(batch),
            // Nobody else is there who could have ended the transaction.
            Some(ErrorCode::InvalidTxnState) if self.must_drain() && self.v2 => {
                desk.violated(format!("{} is told that its transaction is over", self.id));
            }
            Some(error) if is_fenced(error) => self.must_abort = true,
            Some(error) => desk.violated(format!("a transactional producer was answered {error}")),
        }
        if self.under_way > 0 || self.gave_up {
            return;
        }
        let deleted = |batch: &Batch| desk.catalog.is_deleted(batch.partition.topic);
        self.must_abort |= self.unresolved.iter().any(deleted);
        let left = std::mem::take(&mut self.unresolved);
        if !left.is_empty() && !self.must_abort && self.tries_left > 0 {
            self.tries_left -= 1;
            return left.into_iter().for_each(|batch| {
                let delay_ns = desk.pause_ns();
                self.send(desk, batch, delay_ns);
            });
        }
        self.must_abort |= !left.is_empty();
        let Some(producer) = self.producer else { return };
        match &self.source {
            _ if self.must_abort => self.end(desk),
            _ if self.rounds_left > 0 => self.write(desk),
            Some(source) if self.v2 => self.commit_offset(desk, source),
            Some(source) => self.ask(desk, TransactionRequest::AddOffsets { producer, group: source.name() }),
            None => self.end(desk),
        }
    }

    /// How far it has read goes with what it wrote.
    fn commit_offset(&self, desk: &mut Desk<'_>, source: &Source) {
        if let Some(producer) = self.producer {
            desk.ask(source.commit(producer, self.v2));
        }
    }

    fn end(&mut self, desk: &mut Desk<'_>) {
        let Some(producer) = self.producer else { return };
        let may_differ = !self.must_drain();
        // Some vanish: their transactions are aborted in time.
        if may_differ && desk.rng.below(12) == 0 {
            return;
        }
        let changes_its_mind = may_differ && desk.rng.below(4) == 0;
        let commit = !(self.must_abort || changes_its_mind);
        if let Some(source) = &mut self.source {
            source.ends(desk);
        }
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
                match &self.source {
                    Some(source) => desk.ask(source.of_group(GroupRequest::FindCoordinator)),
                    None => self.go_on(desk),
                }
            }
            (_, TransactionAnswer::AddPartitions(ErrorCode::None)) => self.write(desk),
            (_, TransactionAnswer::AddOffsets(ErrorCode::None)) => {
                if let Some(source) = &self.source {
                    self.commit_offset(desk, source);
                }
            }
            (TransactionRequest::End { commit, .. }, TransactionAnswer::End(Ok(next))) => {
                desk.history.note(Event::EndAnswered { transaction: self.number, commit });
                if let Some(next) = next {
                    self.producer = Some(next);
                    self.next_sequence.clear();
                }
                if let Some(source) = &mut self.source {
                    source.ended(commit, desk);
                }
                // Sequences of what was given up are not known.
                match self.gave_up || (self.must_abort && !self.v2) {
                    true => self.turned_away(desk),
                    false => self.go_on(desk),
                }
            }
            _ if may_try_again(error) => self.try_again(desk, again),
            _ if is_fenced(error) => self.turned_away(desk),
            (request, _) => desk.violated(format!("{request:?} of {} was answered {error}", self.id)),
        }
    }
}

/// What one does that transforms.
impl Session {
    fn told_of_group(&mut self, desk: &mut Desk<'_>, again: Request, answer: GroupAnswer) {
        let Some(source) = &mut self.source else { return };
        let error = match answer {
            GroupAnswer::FindCoordinator(Ok(_)) => return self.go_on(desk),
            GroupAnswer::Offsets(Ok(offsets)) => {
                offsets.iter().for_each(|offset| source.told(*offset));
                return self.go_on(desk);
            }
            GroupAnswer::FindCoordinator(Err(error)) | GroupAnswer::Offsets(Err(error)) => error,
            GroupAnswer::Commit(errors) => match errors.into_iter().find(|error| !error.is_none()) {
                None => return self.end(desk),
                Some(error) => error,
            },
            answer => return desk.violated(format!("{again:?} was answered {answer:?}")),
        };
        let is_commit =
            matches!(again, Request::Group { request: GroupRequest::CommitInTransaction { .. }, .. });
        match error {
            // What it reads is about to be gone, or it has a successor: nothing of it counts.
            _ if is_commit && (source.is_gone(desk) || is_fenced(error)) => {
                self.must_abort = true;
                self.end(desk);
            }
            _ if may_try_again(error) => self.try_again(desk, again),
            _ => desk.violated(format!("{again:?} was answered {error}")),
        }
    }

    fn fetched(&mut self, desk: &mut Desk<'_>, again: Request, found: &[FetchedPartition]) {
        let (Some(source), [found]) = (&mut self.source, found) else {
            return desk.violated(format!("{again:?} was answered with {} partitions", found.len()));
        };
        match found.error {
            ErrorCode::None => match source.fetched(found, desk) {
                Read::Some => self.begin_transaction(desk),
                Read::Nothing => {
                    let request = source.next_request();
                    self.try_again(desk, request);
                }
                Read::AtTheEnd if source.must_drain => source.drained(desk),
                Read::AtTheEnd => {}
            },
            // Its beginning was deleted.
            ErrorCode::OffsetOutOfRange => desk.ask(source.earliest()),
            error => {
                desk.expect(error, &[], "a partition of Fetch");
                self.try_again(desk, again);
            }
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
        let again = ended.request.clone();
        match (ended.request, ended.outcome) {
            (Request::Transaction { request, .. }, Outcome::Answered(Answer::Transaction(answer))) => {
                self.told(desk, request, answer)
            }
            (Request::Produce { batches, .. }, outcome) => {
                self.under_way -= 1;
                let outcomes = outcome.of_batches(batches.len());
                for (batch, outcome) in batches.into_iter().zip(outcomes) {
                    self.produced(desk, batch, outcome);
                }
            }
            (Request::Group { .. }, Outcome::Answered(Answer::Group(answer))) => {
                self.told_of_group(desk, again, answer);
            }
            (_, Outcome::Answered(Answer::Fetch(ErrorCode::None, _, found))) => {
                self.fetched(desk, again, &found);
            }
            (_, Outcome::Answered(Answer::ListOffsets(Ok(offset)))) => {
                if let Some(source) = &mut self.source {
                    source.told(offset.0);
                }
                self.go_on(desk);
            }
            (_, Outcome::Answered(Answer::ListOffsets(Err(error)))) => {
                desk.expect(error, &[], "ListOffsets");
                self.try_again(desk, again);
            }
            (_, Outcome::Lost) => self.try_again(desk, again),
            (request, Outcome::Answered(answer)) => {
                desk.violated(format!("{request:?} of {} was answered {answer:?}", self.id));
            }
        }
    }
}
