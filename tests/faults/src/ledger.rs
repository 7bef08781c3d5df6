//! What a producer sent and what it was told of it, and the one judge of what is found in the log afterwards.

use crate::payload::Stamp;
use std::collections::BTreeMap;

/// What a producer was told of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// `None` when the broker only said that it has the batch already.
    pub base_offset: Option<i64>,
    /// When (`CLOCK_MONOTONIC`, nanoseconds).
    pub at: u64,
}

/// One batch, sent once or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentBatch {
    /// Where to.
    pub partition: i32,
    /// Number of its first record.
    pub first: u64,
    /// How many records it has.
    pub count: u64,
    /// Unknown, if the answer is missing.
    pub acknowledged: Option<Acknowledged>,
}

/// All that one producer sent, per partition in the order in which it was sent.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// As in [`Stamp::producer`].
    pub producer: u32,
    /// Nothing may be missing between its records, even those without an answer.
    pub idempotent: bool,
    /// In the order in which they were sent first.
    pub batches: Vec<SentBatch>,
}

impl Ledger {
    /// Nothing sent so far.
    pub fn new(producer: u32, idempotent: bool) -> Ledger {
        Ledger { producer, idempotent, batches: Vec::new() }
    }

    /// Records of batches that were acknowledged.
    pub fn acknowledged_records(&self) -> u64 {
        self.batches.iter().filter(|batch| batch.acknowledged.is_some()).map(|batch| batch.count).sum()
    }

    /// Records of batches whose fate is unknown.
    pub fn unknown_records(&self) -> u64 {
        self.batches.iter().filter(|batch| batch.acknowledged.is_none()).map(|batch| batch.count).sum()
    }
}

/// What is wrong with a log, in words; no more than [`VIOLATIONS_MAX`] of it.
pub type Violations = Vec<String>;

/// One lost group of records violates thousands of times.
pub const VIOLATIONS_MAX: usize = 20;

/// Holds what was read (`logs[p][o]`: the record at offset `o` of partition `p`) against what was sent. Acknowledgements
/// after `until` bind nothing: they came after the power was cut.
///
/// Demanded: what was acknowledged is there, at the offset that was told; nothing is there that was not sent; each
/// producer's records are in order and none is there twice; batches are whole or absent; and an idempotent producer's
/// records have no gap.
pub fn violations(ledgers: &[&Ledger], logs: &[Vec<Stamp>], until: u64) -> Violations {
    let mut found = Violations::new();
    for (partition, log) in (0..).zip(logs) {
        let mut places: BTreeMap<u32, Vec<(u64, i64)>> = BTreeMap::new();
        for (offset, stamp) in (0..).zip(log) {
            places.entry(stamp.producer).or_default().push((stamp.number, offset));
        }
        for ledger in ledgers {
            let places = places.remove(&ledger.producer).unwrap_or_default();
            judge(ledger, partition, &places, until, &mut found);
        }
        for producer in places.keys() {
            found.push(format!("partition {partition} has records of an unknown producer {producer}"));
        }
    }
    found.truncate(VIOLATIONS_MAX);
    found
}

/// One producer's records in one partition: `places` are their numbers and offsets, in the log's order.
fn judge(ledger: &Ledger, partition: i32, places: &[(u64, i64)], until: u64, found: &mut Violations) {
    let who = format!("producer {}, partition {partition}", ledger.producer);
    let sent: Vec<&SentBatch> = ledger.batches.iter().filter(|batch| batch.partition == partition).collect();
    let end = sent.iter().map(|batch| batch.first + batch.count).max().unwrap_or(0);
    let mut expected = 0;
    for (number, offset) in places {
        if *number >= end {
            found.push(format!("{who}: record {number} at offset {offset} was never sent"));
        } else if *number < expected {
            found.push(format!("{who}: record {number} at offset {offset} is there twice or out of order"));
        } else if ledger.idempotent && *number > expected {
            found.push(format!("{who}: records {expected}..{number} are missing before offset {offset}"));
        }
        expected = expected.max(number + 1);
    }
    let by_number: BTreeMap<u64, i64> = places.iter().copied().collect();
    for batch in sent {
        let numbers = batch.first..batch.first + batch.count;
        let offsets: Vec<i64> =
            numbers.clone().filter_map(|number| by_number.get(&number).copied()).collect();
        let promised = batch.acknowledged.filter(|acknowledged| acknowledged.at <= until);
        if offsets.is_empty() {
            if promised.is_some() {
                found.push(format!(
                    "{who}: records {numbers:?} were acknowledged ({promised:?}) and are lost"
                ));
            }
            continue;
        }
        if offsets.len() as u64 != batch.count || offsets.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            found.push(format!("{who}: of the batch {numbers:?} there is {offsets:?}"));
        }
        let told = batch.acknowledged.and_then(|acknowledged| acknowledged.base_offset);
        if let Some(told) = told.filter(|told| *told != offsets[0]) {
            found.push(format!("{who}: records {numbers:?} are at {}, acknowledged at {told}", offsets[0]));
        }
        if found.len() > VIOLATIONS_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u64) -> Stamp {
        Stamp { producer: 1, number }
    }

    /// Two batches of two records, the first acknowledged at offset 0 at time 10, the second unknown.
    fn ledger(idempotent: bool) -> Ledger {
        let first = SentBatch {
            partition: 0,
            first: 0,
            count: 2,
            acknowledged: Some(Acknowledged { base_offset: Some(0), at: 10 }),
        };
        let second = SentBatch { first: 2, acknowledged: None, ..first };
        Ledger { producer: 1, idempotent, batches: vec![first, second] }
    }

    fn found(idempotent: bool, numbers: &[u64], until: u64) -> usize {
        let log: Vec<Stamp> = numbers.iter().copied().map(stamp).collect();
        violations(&[&ledger(idempotent)], &[log], until).len()
    }

    #[test]
    fn what_was_promised_is_enough_and_what_was_not_may_be_there() {
        assert_eq!(found(true, &[0, 1], 10), 0);
        assert_eq!(found(true, &[0, 1, 2, 3], 10), 0);
    }

    #[test]
    fn a_loss_is_found_unless_it_was_promised_after_the_cut() {
        assert_eq!(found(true, &[], 10), 1);
        assert_eq!(found(true, &[], 9), 0);
    }

    #[test]
    fn duplicates_disorder_halves_gaps_moves_and_strangers_are_found() {
        assert_ne!(found(false, &[0, 1, 0, 1], 10), 0, "twice");
        assert_ne!(found(false, &[2, 3, 0, 1], 9), 0, "out of order");
        assert_ne!(found(false, &[0, 1, 2], 10), 0, "half a batch");
        assert_ne!(found(true, &[2, 3], 9), 0, "a gap");
        assert_eq!(found(false, &[2, 3], 9), 0, "no gap without idempotence");
        assert_ne!(found(true, &[0, 1, 2, 3, 4], 10), 0, "never sent");
        let log = vec![Stamp { producer: 2, number: 0 }, stamp(0), stamp(1)];
        let found = violations(&[&ledger(true)], &[log], 10);
        assert_eq!(found.len(), 2, "a stranger, and so another offset than acknowledged: {found:?}");
    }
}
