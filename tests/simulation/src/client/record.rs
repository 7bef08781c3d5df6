//! Records that prove themselves: the number of a record stands in its value, and what follows is made from it.
//!
//! In a compacted topic a record's number also says which key it has, and whether it is a tombstone; as that has no
//! value, the number stands in a header.

use super::history::{RecordId, Seen};
use crate::rng::Rng;
use bytes::Bytes;
use corelane_core::{
    ids::{Offset, ProducerEpoch, ProducerId},
    records::{
        Batch, BatchBuilder, BatchFault, Batches, Codec, DecodedBatch, Marker, NewRecord, Outcome, Record,
        Scratch,
    },
};
use std::collections::BTreeSet;

const NUMBER_BYTES: usize = 8;

/// Keys of a compacted topic: few, so that most records are superseded soon.
const KEYS: u64 = 7;

/// Of how many records of a compacted topic one is a tombstone.
const TOMBSTONE_EACH: u64 = 9;

/// The key of a record in a compacted topic.
pub fn key(record: RecordId) -> u64 {
    Rng::new(record.0).below(KEYS)
}

/// Whether a record in a compacted topic is a tombstone.
pub fn is_tombstone(record: RecordId) -> bool {
    record.0.is_multiple_of(TOMBSTONE_EACH)
}

/// The value of a record: its number, then `filler` bytes that follow from it.
pub fn value(record: RecordId, filler: usize) -> Vec<u8> {
    let mut value = record.0.to_be_bytes().to_vec();
    let mut stream = Rng::new(record.0);
    while value.len() < NUMBER_BYTES + filler {
        let left = NUMBER_BYTES + filler - value.len();
        let word = stream.next_u64().to_le_bytes();
        value.extend_from_slice(&word[..left.min(word.len())]);
    }
    value
}

/// The number of a record.
///
/// # Errors
/// When the value is not the one that [`value`] makes of its number.
pub fn number(found: &[u8]) -> Result<RecordId, String> {
    let first = found.first_chunk().ok_or_else(|| format!("a value of {} bytes", found.len()))?;
    let record = RecordId(u64::from_be_bytes(*first));
    if value(record, found.len() - NUMBER_BYTES) == found {
        Ok(record)
    } else {
        Err(format!("the value of {record:?} is not what was sent"))
    }
}

/// Whose a batch is.
#[derive(Clone, Copy, Debug)]
pub enum By {
    /// Nobody's in particular.
    Anyone,
    /// Of an idempotent producer, from a sequence on.
    Idempotent(ProducerId, ProducerEpoch, i32),
    /// The same, in a transaction.
    Transaction(ProducerId, ProducerEpoch, i32),
}

impl By {
    /// The producer, if it has one.
    pub fn producer(self) -> Option<ProducerId> {
        match self {
            By::Anyone => None,
            By::Idempotent(id, ..) | By::Transaction(id, ..) => Some(id),
        }
    }
}

/// A batch of `records`, each with `filler` bytes, all of one time; `keyed` for a compacted topic.
pub fn batch(records: &[RecordId], filler: usize, codec: Codec, unix_ms: i64, by: By, keyed: bool) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec);
    builder = match by {
        By::Anyone => builder,
        By::Idempotent(id, epoch, sequence) => builder.producer(id, epoch, sequence),
        By::Transaction(id, epoch, sequence) => builder.producer(id, epoch, sequence).transactional(),
    };
    for record in records {
        let value = value(*record, filler);
        let (key, number) = (key(*record).to_be_bytes(), record.0.to_be_bytes());
        let header: (&[u8], Option<&[u8]>) = (b"number", Some(&number));
        let is_tombstone = keyed && is_tombstone(*record);
        builder.push(NewRecord {
            timestamp_ms: unix_ms,
            key: keyed.then_some(&key[..]),
            value: (!is_tombstone).then_some(&value[..]),
            headers: if is_tombstone { std::slice::from_ref(&header) } else { &[] },
        });
    }
    builder.build()
}

/// The records in `bytes` from offset `from` on, as a fetch is answered: whole batches, but maybe the last. And the
/// offset from which a client reads on: behind the last batch, which compaction may have emptied. Whoever reads what is
/// committed names the transactions that were aborted, each with its first offset: their records are left out.
///
/// # Errors
/// Whatever a client could not read.
pub fn records(
    bytes: &[u8],
    from: Offset,
    aborted: &[(ProducerId, Offset)],
) -> Result<(Vec<Seen>, Offset), String> {
    let mut scratch = Scratch::default();
    let mut left_out = LeftOut::new(aborted);
    let mut seen = Vec::new();
    let mut next = from;
    for batch in Batches::new(bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            // The range of a file may end within a batch, which clients leave out (KIP-74).
            Err(BatchFault::Truncated { .. }) => break,
            Err(fault @ (BatchFault::Length(_) | BatchFault::Magic(_))) => return Err(fault.to_string()),
        };
        if !batch.checksum_matches() {
            return Err(format!("the checksum of {batch:?} is wrong"));
        }
        next = next.max(batch.header().next_offset());
        if left_out.has(&batch, &mut scratch) || batch.header().is_control() {
            continue;
        }
        let decoded = DecodedBatch::new(batch, &mut scratch).map_err(|fault| fault.to_string())?;
        for record in decoded.records() {
            let record = record.map_err(|fault| fault.to_string())?;
            // Batches are not cut: the first may begin before what was asked for.
            if record.offset >= from {
                seen.push(Seen { offset: record.offset, record: self_proved(&record)? });
            }
        }
    }
    Ok((seen, next))
}

/// Whose batches are left out at some place of a log, as Kafka's consumers have it (`CompletedFetch`).
struct LeftOut {
    /// To come, the first of them last.
    aborted: Vec<(ProducerId, Offset)>,
    now: BTreeSet<ProducerId>,
}

impl LeftOut {
    fn new(aborted: &[(ProducerId, Offset)]) -> LeftOut {
        let mut aborted = aborted.to_vec();
        aborted.sort_by_key(|(_, first)| std::cmp::Reverse(*first));
        LeftOut { aborted, now: BTreeSet::new() }
    }

    fn has(&mut self, batch: &Batch<'_>, scratch: &mut Scratch) -> bool {
        let header = batch.header();
        while let Some((producer, _)) = self.aborted.pop_if(|(_, first)| *first <= header.last_offset()) {
            self.now.insert(producer);
        }
        if Marker::of(batch, scratch).is_some_and(|marker| marker.outcome == Outcome::Abort) {
            self.now.remove(&header.producer_id());
        }
        header.is_transactional() && self.now.contains(&header.producer_id())
    }
}

/// The number of a record that is what its number says.
fn self_proved(record: &Record<'_>) -> Result<RecordId, String> {
    let found = match (record.value, { record.headers }.next()) {
        (Some(value), _) => number(value)?,
        (None, Some((b"number", Some(number)))) => {
            let number = number.try_into().map_err(|_| "a tombstone's number is no number".to_owned())?;
            RecordId(u64::from_be_bytes(number))
        }
        (None, _) => return Err("a record with neither a value nor a number".to_owned()),
    };
    let is_right = match record.key {
        None => record.value.is_some(),
        Some(bytes) => bytes == key(found).to_be_bytes() && record.value.is_none() == is_tombstone(found),
    };
    if is_right { Ok(found) } else { Err(format!("key or value of {found:?} are not what was sent")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_its_records_whatever_its_codec() {
        for codec in Codec::ALL {
            for keyed in [false, true] {
                let bytes = batch(&[RecordId(7), RecordId(9)], 100, codec, 1, By::Anyone, keyed);
                let (seen, next) = records(&bytes, Offset(1), &[]).expect("readable");
                assert_eq!(seen, [Seen { offset: Offset(1), record: RecordId(9) }]);
                assert_eq!(next, Offset(2));
            }
        }
    }

    #[test]
    fn a_changed_value_is_seen() {
        let mut value = value(RecordId(7), 20);
        assert_eq!(number(&value), Ok(RecordId(7)));
        value[20] ^= 1;
        assert!(number(&value).is_err());
    }
}
