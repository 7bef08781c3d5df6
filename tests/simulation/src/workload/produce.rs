//! Produce without idempotence: acks 0, 1 or all, several requests at a time, never asked twice (what was lost may
//! have been appended, and would be there twice).

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    history::Acks,
    model::{Ended, Outcome},
    record::{self, By},
    request::{Batch, Request},
};
use corelane_core::{ids::PartitionId, records::Codec};
use std::rc::Rc;

struct Produce;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(Produce)
}

/// A batch of fresh records: mostly small ones, now and then one that fills a journal group.
pub(super) fn fresh_batch(desk: &mut Desk<'_>, partition: PartitionId, topic: &Rc<str>, by: By) -> Batch {
    let (count, filler_max) = match desk.rng.below(20) {
        0 => (desk.rng.between(1, 8), 40_000),
        1..4 => (desk.rng.between(1, 30), 2_000),
        _ => (desk.rng.between(1, 10), 150),
    };
    let filler = desk.rng.index(filler_max);
    batch_of(desk, partition, topic, by, count, filler)
}

/// A batch of so many fresh records, each with so many bytes of no meaning.
pub(super) fn batch_of(
    desk: &mut Desk<'_>,
    partition: PartitionId,
    topic: &Rc<str>,
    by: By,
    count: u64,
    filler: usize,
) -> Batch {
    let records = desk.catalog.new_records(count);
    let codec =
        if desk.rng.below(3) == 0 { Codec::ALL[desk.rng.index(Codec::ALL.len())] } else { Codec::None };
    let keyed = desk.catalog.is_compacted(topic);
    let bytes = record::batch(&records, filler, codec, desk.unix_ms, by, keyed);
    Batch { partition, topic: Rc::clone(topic), records, bytes, producer: by.producer() }
}

impl Operation for Produce {
    fn name(&self) -> &'static str {
        "Produce"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        let acks = match desk.rng.below(8) {
            0 => Acks::None,
            1 | 2 => Acks::Leader,
            _ => Acks::All,
        };
        for _ in 0..desk.rng.between(1, 6) {
            let by_id = desk.rng.below(2) == 0;
            let partitions = desk.some_partitions(3);
            let batches = partitions
                .iter()
                .map(|(partition, topic)| fresh_batch(desk, *partition, topic, By::Anyone))
                .collect();
            desk.ask(Request::Produce { acks, by_id, batches, transaction: None });
        }
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::Produce(outcomes)) = ended.outcome {
            for outcome in outcomes {
                desk.expect(outcome.error, &[], "Produce");
            }
        }
    }
}
