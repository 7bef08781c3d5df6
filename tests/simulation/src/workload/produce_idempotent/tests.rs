//! What is held against a broker that refuses a sequence.

use super::*;
use crate::{
    client::{catalog::Catalog, history::History, record::By},
    rng::Rng,
    workload::Memory,
};
use corelane_core::ids::{Offset, ProducerEpoch, ProducerId, TopicId};

const PARTITION: PartitionId = PartitionId { topic: TopicId::ZERO, index: 0 };
const STORED: Option<ErrorCode> = Some(ErrorCode::None);
const REFUSED: Option<ErrorCode> = Some(ErrorCode::OutOfOrderSequenceNumber);
const LOST: Option<ErrorCode> = None;

/// Sends a pipeline of as many batches as each round has outcomes, asks again what is unresolved, and gives the
/// violation, and whether the producer goes on.
fn judge(rounds: &[&[Option<ErrorCode>]]) -> (Option<String>, bool) {
    let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
    let producer = Producer { id, epoch, next_sequence: [].into(), acknowledged: [].into() };
    let mut memory = Memory { producer: Some(producer), ..Memory::default() };
    let (mut rng, mut history, mut catalog) = (Rng::new(1), History::default(), Catalog::default());
    let mut desk = Desk {
        rng: &mut rng,
        unix_ms: 0,
        history: &mut history,
        catalog: &mut catalog,
        memory: &mut memory,
        asks: Vec::new(),
        violation: None,
    };
    let mut operation =
        ProduceIdempotent { tries_left: 10, asks_again: false, under_way: 0, unresolved: Vec::new() };
    for sequence in 0..i32::try_from(rounds[0].len()).expect("few") {
        let batch = fresh_batch(&mut desk, PARTITION, &"t".into(), By::Idempotent(id, epoch, sequence));
        operation.send(&mut desk, vec![batch], false);
    }
    for outcomes in rounds {
        let asks = std::mem::take(&mut desk.asks);
        assert_eq!(asks.len(), outcomes.len(), "what is unresolved is asked again");
        for ((_, request), outcome) in asks.into_iter().zip(*outcomes) {
            let produced = |error| Answer::Produce(vec![Produced { error, base_offset: Offset(0) }]);
            let outcome = outcome.map_or(Outcome::Lost, |error| Outcome::Answered(produced(error)));
            operation.ended(Ended { request, outcome, aside: false }, &mut desk);
        }
    }
    let violation = desk.violation.take();
    (violation, memory.producer.is_some())
}

#[test]
fn a_pipeline_that_is_stored_at_last_breaks_nothing() {
    assert_eq!(judge(&[&[STORED, LOST, REFUSED], &[STORED, STORED]]), (None, true));
}

#[test]
fn a_later_batch_that_arrived_first_excuses_the_refusal_and_ends_the_producer() {
    assert_eq!(judge(&[&[LOST, LOST, STORED], &[LOST, STORED], &[REFUSED]]), (None, false));
    assert_eq!(judge(&[&[LOST, LOST], &[REFUSED, REFUSED]]), (None, false), "its answer may be lost");
}

#[test]
fn a_refusal_behind_an_acknowledged_batch_is_a_violation() {
    let (violation, _) = judge(&[&[STORED, LOST, STORED], &[REFUSED]]);
    assert!(violation.is_some_and(|text| text.contains("behind what was acknowledged")));
}

#[test]
fn a_refusal_of_a_first_batch_that_is_asked_once_is_a_violation() {
    let (violation, _) = judge(&[&[REFUSED, STORED]]);
    assert!(violation.is_some_and(|text| text.contains("before any other batch")));
}
