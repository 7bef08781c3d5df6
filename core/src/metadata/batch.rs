//! An entry of the quorum's log: records that take effect together, or not at all.

use super::records::Record;
use crate::{ids::NodeId, ids::TopicId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// Bytes of an encoded batch: one append of the quorum's log stands in the way of the heartbeats behind it, so it is
/// to take milliseconds. The controller's own limits keep what one request creates below it.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What [`Batch::split`] leaves for the frame and a few preconditions.
const PRECONDITIONS_BYTES: usize = 64 * 1024;

/// The layout of a batch's frame. Another one is refused.
const VERSION: u8 = 1;

/// Records that take effect together if every precondition holds, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// In the order in which they apply.
    pub records: Vec<Record>,
    /// What the proposer saw and leans on. All are checked before the first record applies.
    pub preconditions: Vec<Precondition>,
}

/// What must hold in the image that a batch is applied to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precondition {
    /// No topic of this name exists.
    TopicNameFree(Arc<str>),
    /// This topic exists.
    TopicExists(TopicId),
    /// The topic has exactly this many partitions.
    PartitionCount {
        /// The topic.
        topic: TopicId,
        /// How many.
        count: i32,
    },
    /// The partition has not changed since.
    PartitionEpoch {
        /// The topic.
        topic: TopicId,
        /// The partition.
        index: i32,
        /// What it was.
        epoch: i32,
    },
    /// This registration of the broker is the present one.
    BrokerEpoch {
        /// The broker.
        id: NodeId,
        /// Its registration's epoch; `None`: the broker is not registered.
        epoch: Option<i64>,
    },
    /// No producer ids were given out since.
    ProducerIdsNext(i64),
    /// No cluster id was written yet.
    ClusterIdUnset,
}

impl Precondition {
    /// As [`Record::KINDS`].
    const KINDS: u32 = 7;
}

/// Why bytes are not a batch or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than any that this version writes.
    #[error("{len} bytes are more than the {max} allowed")]
    TooLarge {
        /// What there is.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// The frame has a layout that this version does not know.
    #[error("layout version {0} is unknown: it was written by a later version of the broker")]
    UnknownVersion(u8),
    /// The frame has a layout of which no release wrote any.
    #[error(
        "layout version {0} is that of an early build, which is not read any more: begin with an empty metadata directory"
    )]
    AbandonedVersion(u8),
    /// A record or precondition of a kind that this version does not know.
    #[error(
        "{what} of kind {kind} at byte {position} is unknown: it was written by a later version of the broker"
    )]
    UnknownKind {
        /// "record" or "precondition".
        what: &'static str,
        /// Its number.
        kind: u32,
        /// Where.
        position: usize,
    },
    /// Not what was written.
    #[error("malformed at byte {position}: {reason}")]
    Malformed {
        /// Where.
        position: usize,
        /// What is wrong there.
        reason: String,
    },
}

impl Batch {
    /// Of records, without preconditions.
    pub fn of(records: Vec<Record>) -> Batch {
        Batch { records, preconditions: Vec::new() }
    }

    /// Records in their order, as batches of at most `records_max` that each have room for a few preconditions.
    pub fn split(records: Vec<Record>, records_max: usize) -> Vec<Batch> {
        let mut batches = vec![Batch::default()];
        let mut bytes = 0;
        for record in records {
            let len = postcard::to_allocvec(&record).expect("plain data always has a postcard form").len();
            let last = batches.last().map_or(0, |batch| batch.records.len());
            if last == records_max || (last > 0 && bytes + len > BATCH_BYTES_MAX - PRECONDITIONS_BYTES) {
                batches.push(Batch::default());
                bytes = 0;
            }
            bytes += len;
            if let Some(batch) = batches.last_mut() {
                batch.records.push(record);
            }
        }
        batches.retain(|batch| !batch.records.is_empty());
        batches
    }

    /// The bytes that go to the quorum's log.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, &count(self.preconditions.len()));
        self.preconditions.iter().for_each(|precondition| put(&mut bytes, precondition));
        put(&mut bytes, &count(self.records.len()));
        self.records.iter().for_each(|record| put(&mut bytes, record));
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote. Never panics; allocates in proportion to `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Batch, DecodeError> {
        if bytes.len() > BATCH_BYTES_MAX {
            return Err(DecodeError::TooLarge { len: bytes.len(), max: BATCH_BYTES_MAX });
        }
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let mut batch = Batch::default();
        for _ in 0..reader.value::<u32>()? {
            batch.preconditions.push(reader.tagged("precondition", Precondition::KINDS)?);
        }
        for _ in 0..reader.value::<u32>()? {
            batch.records.push(reader.tagged("record", Record::KINDS)?);
        }
        reader.end()?;
        Ok(batch)
    }
}

/// A number of elements as it is written.
fn count(len: usize) -> u32 {
    u32::try_from(len).expect("bounded by the memory that holds the elements, each of tens of bytes")
}

/// Appends the postcard form of a value.
pub(super) fn put<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    let encoded = postcard::to_allocvec(value).expect("plain data always has a postcard form");
    bytes.extend_from_slice(&encoded);
}

/// Reads postcard values one after another and knows where it is.
pub(super) struct Reader<'a> {
    all: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { all: bytes.len(), rest: bytes }
    }

    pub(super) fn position(&self) -> usize {
        self.all - self.rest.len()
    }

    fn malformed(&self, reason: impl ToString) -> DecodeError {
        DecodeError::Malformed { position: self.position(), reason: reason.to_string() }
    }

    pub(super) fn version(&mut self, known: u8) -> Result<(), DecodeError> {
        match self.value::<u8>()? {
            version if version == known => Ok(()),
            version if version < known => Err(DecodeError::AbandonedVersion(version)),
            version => Err(DecodeError::UnknownVersion(version)),
        }
    }

    /// The next value. Each element of a declared count takes at least a byte, so a loop over a count ends with
    /// the bytes.
    pub(super) fn value<T: DeserializeOwned>(&mut self) -> Result<T, DecodeError> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|error| self.malformed(error))?;
        self.rest = rest;
        Ok(value)
    }

    /// The next value of an enum, of which `kinds` variants are known.
    pub(super) fn tagged<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
        kinds: u32,
    ) -> Result<T, DecodeError> {
        let (kind, _) = postcard::take_from_bytes::<u32>(self.rest).map_err(|error| self.malformed(error))?;
        if kind >= kinds {
            return Err(DecodeError::UnknownKind { what, kind, position: self.position() });
        }
        self.value()
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed("bytes after the end")) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}
