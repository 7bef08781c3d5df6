//! Transaction markers: the control batches of one record with which a coordinator ends a transaction in a log (KIP-98).
//! Key: version, type; value: version, the coordinator's epoch (Kafka's `ControlRecordType`, `EndTxnMarker`).

use super::{
    build::{BatchBuilder, NewRecord},
    compress::Scratch,
    header::{Batch, NO_SEQUENCE},
    read::DecodedBatch,
};
use crate::ids::{ProducerEpoch, ProducerId};
use bytes::Bytes;

const ABORT: u16 = 0;
const COMMIT: u16 = 1;
/// A marker's record is under 20 bytes; what decompresses to more than this is none.
const RECORD_BYTES_MAX: usize = 1024;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its records are not for readers of what is committed.
    Abort,
    /// Its records count.
    Commit,
}

/// What a marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// How the transaction ended.
    pub outcome: Outcome,
    /// Of the coordinator that ended it: that of the leader of its part of `__transaction_state`.
    pub coordinator_epoch: i32,
}

impl Marker {
    /// The marker in a batch; none in a batch of records, in one that a cleaner emptied, and in a control batch of another
    /// kind (newer kinds mean nothing to a log's transactions).
    pub fn of(batch: &Batch<'_>, scratch: &mut Scratch) -> Option<Marker> {
        if !batch.header().is_control() {
            return None;
        }
        let decoded = DecodedBatch::within(*batch, RECORD_BYTES_MAX, scratch).ok()?;
        let record = decoded.records().next()?.ok()?;
        let outcome = match u16::from_be_bytes(*record.key?.get(2..)?.first_chunk()?) {
            ABORT => Outcome::Abort,
            COMMIT => Outcome::Commit,
            _ => return None,
        };
        let coordinator_epoch = i32::from_be_bytes(*record.value?.get(2..)?.first_chunk()?);
        Some(Marker { outcome, coordinator_epoch })
    }

    /// A batch that holds it, in the name of a producer, to be given an offset.
    pub fn batch(self, producer: ProducerId, epoch: ProducerEpoch, timestamp_ms: i64) -> Bytes {
        let kind = match self.outcome {
            Outcome::Abort => ABORT,
            Outcome::Commit => COMMIT,
        };
        let version = 0_u16.to_be_bytes();
        let key = [version, kind.to_be_bytes()].concat();
        let value = [&version[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut builder =
            BatchBuilder::new().producer(producer, epoch, NO_SEQUENCE).transactional().control();
        builder.push(NewRecord { timestamp_ms, key: Some(&key), value: Some(&value), headers: &[] });
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<Marker> {
        let (batch, _) = Batch::split_from(bytes).expect("whole");
        Marker::of(&batch, &mut Scratch::default())
    }

    #[test]
    fn a_marker_reads_back_as_it_was_written() {
        for outcome in [Outcome::Abort, Outcome::Commit] {
            let marker = Marker { outcome, coordinator_epoch: 7 };
            let bytes = marker.batch(ProducerId(3), ProducerEpoch(2), 1_000);
            assert_eq!(read(&bytes), Some(marker));
            let (batch, _) = Batch::split_from(&bytes).expect("whole");
            let header = batch.header();
            assert!(header.is_control() && header.is_transactional() && batch.checksum_matches());
            assert_eq!((header.producer_id(), header.producer_epoch()), (ProducerId(3), ProducerEpoch(2)));
            assert_eq!((header.base_sequence(), header.max_timestamp_ms()), (NO_SEQUENCE, 1_000));
        }
    }

    #[test]
    fn what_is_no_marker_is_none() {
        let control = |key: &[u8], value: &[u8]| {
            let mut builder = BatchBuilder::new().producer(ProducerId(3), ProducerEpoch(0), -1).control();
            builder.push(NewRecord { key: Some(key), value: Some(value), ..NewRecord::default() });
            builder.build()
        };
        let value = [0, 0, 0, 0, 0, 7];
        assert!(read(&control(&[0, 0, 0, 1], &value)).is_some());
        assert_eq!(read(&control(&[0, 0, 0, 2], &value)), None, "a change of leaders of a quorum");
        assert_eq!(read(&control(&[0, 0, 0], &value)), None, "a key cut short");
        assert_eq!(read(&control(&[0, 0, 0, 1], &value[..5])), None, "a value cut short");
        let mut records = BatchBuilder::new();
        records.push(NewRecord { key: Some(&[0, 0, 0, 1]), value: Some(&value), ..NewRecord::default() });
        assert_eq!(read(&records.build()), None, "a record that looks like one");
    }
}
