//! From what a leader sent of one partition to records.

use crate::client::{
    TopicPartition,
    error::{ClientError, Result},
};
use bytes::Bytes;
use corelane_core::records::{Batch, Batches, DecodedBatch, Record, Scratch, TimestampType};
use std::collections::{BTreeSet, VecDeque};

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Where it is.
    pub place: TopicPartition,
    /// Where in the partition.
    pub offset: i64,
    /// In Unix milliseconds.
    pub timestamp_ms: i64,
    /// Who set that.
    pub timestamp_type: TimestampType,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// In their order.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What was fetched of a partition, decoded batch by batch.
pub struct Chunk {
    pub place: TopicPartition,
    /// Offsets below are not wanted.
    from: i64,
    bytes: Bytes,
    /// Producer and first offset of transactions that were aborted, by first offset; `None`: everything is wanted.
    aborted: Option<VecDeque<(i64, i64)>>,
    /// Producers whose transaction at this point was aborted.
    aborting: BTreeSet<i64>,
    check_crcs: bool,
    ready: VecDeque<ConsumedRecord>,
    /// Where the partition goes on behind what is decoded.
    next: i64,
}

impl Chunk {
    pub fn new(
        place: TopicPartition,
        from: i64,
        bytes: Bytes,
        aborted: Option<Vec<(i64, i64)>>,
        check_crcs: bool,
    ) -> Chunk {
        let aborted = aborted.map(|mut transactions| {
            transactions.sort_by_key(|(_, first)| *first);
            VecDeque::from(transactions)
        });
        let (aborting, ready) = (BTreeSet::new(), VecDeque::new());
        Chunk { place, from, bytes, aborted, aborting, check_crcs, ready, next: from }
    }

    /// Bytes that are not decoded yet.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Where the partition goes on when all of this is read; the bytes are looked at only as far as batches begin.
    pub fn end(&self) -> i64 {
        let batches = Batches::new(&self.bytes).map_while(std::result::Result::ok);
        batches.last().map_or(self.next, |batch| batch.header().next_offset().0)
    }

    /// The next record. After the last, where the partition goes on is [`Chunk::position`].
    pub fn next(&mut self, scratch: &mut Scratch) -> Result<Option<ConsumedRecord>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            if self.bytes.is_empty() || !self.decode_batch(scratch)? {
                return Ok(None);
            }
        }
    }

    pub fn position(&self) -> i64 {
        self.ready.front().map_or(self.next, |record| record.offset)
    }

    /// Whether there was a batch; what follows the last whole one is the beginning of one that did not fit.
    fn decode_batch(&mut self, scratch: &mut Scratch) -> Result<bool> {
        let bytes = std::mem::take(&mut self.bytes);
        let Some(first) = Batches::new(&bytes).next() else { return Ok(false) };
        let batch = match first {
            Ok(batch) => batch,
            Err(fault) if is_cut(&bytes) => {
                let _ = fault;
                return Ok(false);
            }
            Err(fault) => return Err(self.damaged(&fault)),
        };
        if self.check_crcs && !batch.checksum_matches() {
            return Err(self.damaged(&"its checksum does not match"));
        }
        self.bytes = bytes.slice(batch.bytes().len()..);
        if self.is_wanted(batch) {
            self.decode_records(batch, scratch)?;
        }
        self.next = batch.header().next_offset().0;
        Ok(true)
    }

    fn damaged(&self, what: &dyn std::fmt::Display) -> ClientError {
        let text = format!(
            "Record batch for partition {} at offset {} is invalid, cause: {what}",
            self.place, self.next
        );
        ClientError::Broker { code: 2, message: Some(text) }
    }

    /// Not control batches, and of transactions, with `read_committed`, only those that were not aborted.
    fn is_wanted(&mut self, batch: Batch<'_>) -> bool {
        let header = batch.header();
        let producer = header.producer_id().0;
        if let Some(aborted) = &mut self.aborted {
            while let Some((id, _)) = aborted.pop_front_if(|(_, first)| *first <= header.last_offset().0) {
                self.aborting.insert(id);
            }
            if header.is_control() {
                // A marker ends the producer's transaction, whichever way.
                self.aborting.remove(&producer);
            }
        }
        let is_aborted = header.is_transactional() && self.aborting.contains(&producer);
        !header.is_control() && !is_aborted
    }

    fn decode_records(&mut self, batch: Batch<'_>, scratch: &mut Scratch) -> Result<()> {
        let decoded = DecodedBatch::new(batch, scratch).map_err(|fault| self.damaged(&fault))?;
        let timestamp_type = batch.header().timestamp_type();
        for record in decoded.records() {
            let record = record.map_err(|fault| self.damaged(&fault))?;
            if record.offset.0 >= self.from {
                let owned = owned(&self.place, timestamp_type, &record);
                self.ready.push_back(owned);
            }
        }
        Ok(())
    }
}

/// Whether what is there is the beginning of a batch, cut off by a bound of the fetch.
fn is_cut(bytes: &[u8]) -> bool {
    let length = bytes.get(8..12).and_then(|length| <[u8; 4]>::try_from(length).ok()).map(i32::from_be_bytes);
    length.is_none_or(|length| usize::try_from(length).is_ok_and(|length| bytes.len() < 12 + length))
}

fn owned(place: &TopicPartition, timestamp_type: TimestampType, record: &Record<'_>) -> ConsumedRecord {
    ConsumedRecord {
        place: place.clone(),
        offset: record.offset.0,
        timestamp_ms: record.timestamp_ms,
        timestamp_type,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_core::{
        ids::{Offset, ProducerEpoch, ProducerId},
        records::{BatchBuilder, NewRecord},
    };

    fn batch(base: i64, producer: Option<i64>, values: &[&str]) -> Bytes {
        let mut builder = BatchBuilder::new().base_offset(Offset(base));
        if let Some(id) = producer {
            builder = builder.producer(ProducerId(id), ProducerEpoch(0), 0).transactional();
        }
        for value in values {
            builder.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
        }
        builder.build()
    }

    fn marker(base: i64, producer: i64) -> Bytes {
        let mut builder = BatchBuilder::new().base_offset(Offset(base));
        builder = builder.producer(ProducerId(producer), ProducerEpoch(0), -1).transactional().control();
        builder.push(NewRecord { key: Some(&[0, 0, 0, 0]), ..NewRecord::default() });
        builder.build()
    }

    fn read(bytes: &[Bytes], from: i64, aborted: Option<Vec<(i64, i64)>>) -> (Vec<String>, i64) {
        let bytes = Bytes::from(bytes.concat());
        let mut chunk = Chunk::new(TopicPartition::new("t", 0), from, bytes, aborted, true);
        let mut scratch = Scratch::new();
        let mut values = Vec::new();
        while let Some(record) = chunk.next(&mut scratch).expect("well formed") {
            values.push(String::from_utf8(record.value.expect("a value")).expect("text"));
        }
        (values, chunk.position())
    }

    #[test]
    fn records_before_the_position_and_a_batch_that_is_cut_are_left_out() {
        let whole = batch(0, None, &["a", "b", "c"]);
        let cut = batch(3, None, &["d"]).slice(..65);
        assert_eq!(read(&[whole, cut], 1, None), (vec!["b".into(), "c".into()], 3));
    }

    #[test]
    fn aborted_transactions_are_left_out_until_their_marker() {
        let all = [
            batch(0, Some(7), &["lost"]),
            batch(1, Some(8), &["kept"]),
            marker(2, 7),
            batch(3, Some(7), &["later"]),
        ];
        assert_eq!(read(&all, 0, Some(vec![(7, 0)])), (vec!["kept".into(), "later".into()], 4));
        let everything = vec!["lost".into(), "kept".into(), "later".into()];
        assert_eq!(read(&all, 0, None), (everything, 4));
    }

    #[test]
    fn a_damaged_batch_is_told() {
        let mut bytes = batch(0, None, &["a"]).to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let mut chunk = Chunk::new(TopicPartition::new("t", 0), 0, Bytes::from(bytes), None, true);
        let error = chunk.next(&mut Scratch::new()).expect_err("damaged");
        assert!(error.to_string().contains("t-0 at offset 0 is invalid"), "{error}");
    }
}
