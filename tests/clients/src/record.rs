//! The records that go through the clients, and what must hold of them afterwards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a client is given to send. Text, as JSON lines carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `None`: the client chooses the partition.
    pub key: Option<String>,
    /// `None`: a tombstone.
    pub value: Option<String>,
    /// In order; a name may come twice.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// Where the broker says a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Acknowledged {
    /// The partition's number.
    pub partition: u32,
    /// The record's offset in the partition.
    pub offset: u64,
}

/// What a client has read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Stored {
    /// The partition's number.
    pub partition: u32,
    /// The record's offset in the partition.
    pub offset: u64,
    /// What was sent.
    #[serde(flatten)]
    pub record: Record,
}

/// Records of every shape that all clients can send: with and without key, tombstones, empty values, text outside
/// ASCII, a value larger than a client's default batch, a header twice.
#[must_use]
pub fn sample(count: u32) -> Vec<Record> {
    (0..count)
        .map(|index| Record {
            key: (index % 7 != 3).then(|| format!("key-{}", index % 50)),
            value: match index % 20 {
                11 if index % 7 != 3 => None,
                12 => Some(String::new()),
                13 => Some(format!("{index} größer als ein Stapel 🚚 ").repeat(1000)),
                _ => Some(format!("value {index}")),
            },
            headers: match index % 5 {
                0 => vec![("trace".into(), format!("t{index}")), ("source".into(), "test".into())],
                1 => vec![("twice".into(), "first".into()), ("twice".into(), "second".into())],
                _ => Vec::new(),
            },
        })
        .collect()
}

/// Holds what was read against what was sent and acknowledged: every record once, at the offset of its
/// acknowledgement, with its key, value and headers; offsets dense from 0 and in order in every partition.
///
/// # Panics
///
/// When any of this does not hold.
pub fn assert_stored(sent: &[Record], acknowledged: &[Acknowledged], stored: &[Stored]) {
    assert_eq!(sent.len(), acknowledged.len());
    assert_dense(stored);
    let stored: BTreeMap<_, _> =
        stored.iter().map(|record| ((record.partition, record.offset), &record.record)).collect();
    for (record, place) in sent.iter().zip(acknowledged) {
        assert_eq!(stored.get(&(place.partition, place.offset)), Some(&record), "at {place:?}");
    }
    assert_eq!(stored.len(), sent.len(), "nothing is there twice, and nothing that was not sent");
}

/// Offsets from 0 without a gap and in order, in every partition.
///
/// # Panics
///
/// When they are not.
pub fn assert_dense(stored: &[Stored]) {
    let mut next = BTreeMap::<u32, u64>::new();
    for record in stored {
        let next = next.entry(record.partition).or_default();
        assert_eq!(record.offset, *next, "partition {} has its offsets in order", record.partition);
        *next += 1;
    }
}

pub(crate) fn to_lines(records: &[Record]) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record).expect("text is JSON");
        lines.push(b'\n');
    }
    lines
}
