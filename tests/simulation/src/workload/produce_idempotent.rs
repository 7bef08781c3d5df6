//! Produce by an idempotent producer: up to five requests at a time; what is not known to be there is asked again
//! under the same sequences until it is, or until the producer gives itself up with all it does not know.

use super::{Desk, Operation, Producer, is_passing, produce::fresh_batch};
use crate::client::{
    answer::{Answer, Produced},
    history::Acks,
    model::{Ended, Outcome},
    record::By,
    request::{Batch, Request},
};
use corelane_core::{error::ErrorCode, ids::PartitionId, records::header::sequence_plus};
use std::collections::BTreeSet;

/// What Kafka's brokers remember of a producer, and so what may be under way at once.
const IN_FLIGHT_MAX: u64 = 5;

struct ProduceIdempotent {
    tries_left: u32,
    /// Whether something is asked for the second time.
    asks_again: bool,
    under_way: usize,
    /// What is to be asked again, with the error that said so.
    unresolved: Vec<(Batch, Option<ErrorCode>)>,
}

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    new()
}

pub(super) fn new() -> Box<dyn Operation> {
    Box::new(ProduceIdempotent { tries_left: 10, asks_again: false, under_way: 0, unresolved: Vec::new() })
}

impl ProduceIdempotent {
    fn send(&mut self, desk: &mut Desk<'_>, batches: Vec<Batch>, again: bool) {
        let by_id = desk.rng.below(2) == 0;
        let request = Request::Produce { acks: Acks::All, by_id, batches, transaction: None };
        self.under_way += 1;
        if again {
            desk.ask_again(request);
        } else {
            desk.ask(request);
        }
    }

    fn send_first(&mut self, desk: &mut Desk<'_>) {
        let partitions = desk.some_partitions(2);
        for _ in 0..desk.rng.between(1, IN_FLIGHT_MAX) {
            let batches = partitions.iter().filter_map(|(partition, topic)| {
                let producer = desk.memory.producer.as_ref()?;
                let (id, epoch) = (producer.id, producer.epoch);
                let sequence = producer.next_sequence.get(partition).copied().unwrap_or(0);
                let batch = fresh_batch(desk, *partition, topic, By::Idempotent(id, epoch, sequence));
                let count = i32::try_from(batch.records.len()).ok()?;
                let next = sequence_plus(sequence, count);
                desk.memory.producer.as_mut()?.next_sequence.insert(*partition, next);
                Some(batch)
            });
            let batches = batches.collect();
            self.send(desk, batches, false);
        }
    }

    fn resolve(&mut self, desk: &mut Desk<'_>, batch: Batch, outcome: Option<Produced>) {
        let Some(Produced { error, .. }) = outcome else {
            self.unresolved.push((batch, None));
            return;
        };
        match error {
            // A duplicate older than the broker remembers is there, no one knows where.
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => {
                if let (Some(producer), Some(first)) = (&mut desk.memory.producer, batch.records.first()) {
                    let earliest = producer.acknowledged.entry(batch.partition).or_insert(*first);
                    *earliest = *first.min(earliest);
                }
            }
            error if is_passing(error) || error == ErrorCode::OutOfOrderSequenceNumber => {
                self.unresolved.push((batch, Some(error)));
            }
            error => desk.violated(format!("an idempotent producer was answered {error}")),
        }
    }

    /// Whether the first batch of a partition was refused as out of order. Nothing excuses it behind a batch that was
    /// acknowledged, nor, where all requests go to one broker, when it is asked for the first time. But a broker that does not know the producer takes any
    /// sequence as the first (KIP-360): when the first batch is lost on its way and a later one of the same pipeline
    /// arrives, the first one is refused from there on.
    fn is_refused(&self, desk: &mut Desk<'_>) -> bool {
        let mut seen: BTreeSet<PartitionId> = BTreeSet::new();
        let mut refused = false;
        for (batch, error) in &self.unresolved {
            if !seen.insert(batch.partition) || *error != Some(ErrorCode::OutOfOrderSequenceNumber) {
                continue;
            }
            refused = true;
            let (partition, records) = (batch.partition, &batch.records);
            let producer = desk.memory.producer.as_ref();
            let earliest = producer.and_then(|it| it.acknowledged.get(&partition));
            if earliest.is_some_and(|earliest| records.first() > Some(earliest)) {
                desk.violated(format!(
                    "{partition}: {records:?} came in order behind what was acknowledged, and was refused as out of \
                     order"
                ));
            } else if !self.asks_again && !desk.catalog.routes.are_many() {
                desk.violated(format!(
                    "{partition}: {records:?} came before any other batch of its producer, and was refused as out of \
                     order"
                ));
            }
        }
        refused
    }

    fn ask_unresolved(&mut self, desk: &mut Desk<'_>) {
        // In the order of their sequences: answers of several brokers come in any.
        self.unresolved.sort_by_key(|(batch, _)| batch.records.first().copied());
        self.unresolved.retain(|(batch, _)| !desk.catalog.is_deleted(batch.partition.topic));
        if self.unresolved.is_empty() {
            return;
        }
        self.tries_left = self.tries_left.saturating_sub(1);
        if self.is_refused(desk) || self.tries_left == 0 {
            desk.memory.producer = None;
            return;
        }
        self.asks_again = true;
        for (batch, _) in std::mem::take(&mut self.unresolved) {
            self.send(desk, vec![batch], true);
        }
    }
}

impl Operation for ProduceIdempotent {
    fn name(&self) -> &'static str {
        "idempotent Produce"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        if desk.memory.producer.is_some() && desk.rng.below(20) > 0 {
            self.send_first(desk);
        } else {
            desk.ask(Request::InitProducerId);
        }
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        match (ended.request, ended.outcome) {
            (_, Outcome::Answered(Answer::InitProducerId(Ok((id, epoch))))) => {
                desk.memory.producer =
                    Some(Producer { id, epoch, next_sequence: [].into(), acknowledged: [].into() });
                self.send_first(desk);
            }
            (request @ Request::InitProducerId, outcome) => {
                if let Outcome::Answered(Answer::InitProducerId(Err(error))) = outcome {
                    desk.expect(error, &[], "InitProducerId");
                }
                self.tries_left = self.tries_left.saturating_sub(1);
                if self.tries_left > 0 {
                    desk.ask_again(request);
                }
            }
            (Request::Produce { batches, .. }, outcome) => {
                self.under_way -= 1;
                let outcomes = outcome.of_batches(batches.len());
                for (batch, outcome) in batches.into_iter().zip(outcomes) {
                    self.resolve(desk, batch, outcome);
                }
                if self.under_way == 0 {
                    self.ask_unresolved(desk);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
