//! What a cleaner knows of transactions while it goes over a log in order (Kafka's `CleanedTransactionMetadata`): whose
//! records were aborted, and which markers no record needs any more.

use crate::{
    ids::{Map, ProducerId, Set},
    log::producers::AbortedTransaction,
    records::{Batch, Marker, Outcome, Scratch},
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// That begin further on.
    aborted: BinaryHeap<Reverse<AbortedTransaction>>,
    /// Aborted ones that are open here, and whether a batch of them was seen.
    open_aborted: Map<ProducerId, bool>,
    /// Producers with records of a transaction that was not aborted.
    open_committed: Set<ProducerId>,
}

impl Transactions {
    /// At the beginning of a log, of which these were aborted.
    pub fn new(aborted: impl IntoIterator<Item = AbortedTransaction>) -> Transactions {
        Transactions { aborted: aborted.into_iter().map(Reverse).collect(), ..Transactions::default() }
    }

    /// Takes note of the next batch. Gives whether it may go as a whole: a batch of records because its transaction was
    /// aborted, a marker because nothing is left of its transaction. A file that was cleaned thus holds no records that a
    /// reader would have to leave out.
    pub fn pass(&mut self, batch: &Batch<'_>, scratch: &mut Scratch) -> bool {
        let header = batch.header();
        while let Some(Reverse(next)) = self.aborted.peek().copied() {
            if next.first > header.last_offset() {
                break;
            }
            self.aborted.pop();
            self.open_aborted.entry(next.producer).or_insert(false);
        }
        let producer = header.producer_id();
        if header.is_control() {
            return match Marker::of(batch, scratch).map(|marker| marker.outcome) {
                Some(Outcome::Abort) => !self.open_aborted.remove(&producer).unwrap_or(false),
                Some(Outcome::Commit) => !self.open_committed.remove(&producer),
                // An empty one was cleaned before; of another kind nothing is known.
                None => header.record_count() <= 0,
            };
        }
        if !header.is_transactional() {
            return false;
        }
        if let Some(seen) = self.open_aborted.get_mut(&producer) {
            *seen = true;
            return true;
        }
        self.open_committed.insert(producer);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{Offset, ProducerEpoch},
        records::{BatchBuilder, NewRecord},
    };
    use bytes::Bytes;

    const P: ProducerId = ProducerId(7);

    fn records(offset: i64, producer: ProducerId) -> Bytes {
        let mut builder = BatchBuilder::new()
            .base_offset(Offset(offset))
            .producer(producer, ProducerEpoch(0), 0)
            .transactional();
        builder.push(NewRecord { key: Some(b"k"), value: Some(b"v"), ..NewRecord::default() });
        builder.build()
    }

    const ABORT: u16 = 0;
    const COMMIT: u16 = 1;

    fn marker(offset: i64, kind: u16) -> Bytes {
        let mut builder = BatchBuilder::new().base_offset(Offset(offset)).producer(P, ProducerEpoch(0), -1);
        builder = builder.transactional().control();
        let key = [0_u16.to_be_bytes(), kind.to_be_bytes()].concat();
        builder.push(NewRecord { key: Some(&key), value: Some(&[0; 6]), ..NewRecord::default() });
        builder.build()
    }

    fn may_go(transactions: &mut Transactions, bytes: &Bytes) -> bool {
        let (batch, _) = Batch::split_from(bytes).expect("whole");
        transactions.pass(&batch, &mut Scratch::default())
    }

    #[test]
    fn records_of_an_aborted_transaction_may_go_and_its_marker_only_when_none_was_seen() {
        let aborted = [AbortedTransaction { first: Offset(5), last: Offset(7), producer: P }];
        let mut log = Transactions::new(aborted);
        assert!(!may_go(&mut log, &records(3, P)), "before the aborted one");
        assert!(!may_go(&mut log, &marker(4, COMMIT)), "its record was just seen");
        assert!(!may_go(&mut log, &records(5, ProducerId(8))), "another's");
        assert!(may_go(&mut log, &records(6, P)));
        assert!(!may_go(&mut log, &marker(7, ABORT)), "a record of it was just seen");
        assert!(!may_go(&mut log, &records(8, P)), "a new transaction");
        let mut log = Transactions::new(aborted);
        assert!(may_go(&mut log, &marker(7, ABORT)), "nothing of it is left");
    }

    #[test]
    fn a_commit_marker_may_go_when_no_record_of_its_transaction_is_left() {
        let mut log = Transactions::default();
        assert!(may_go(&mut log, &marker(4, COMMIT)));
        assert!(!may_go(&mut log, &records(5, P)));
        assert!(!may_go(&mut log, &marker(6, COMMIT)));
        assert!(may_go(&mut log, &marker(7, COMMIT)));
        assert!(!may_go(&mut log, &marker(8, 5)), "a marker of a kind that is not known");
    }
}
