//! The frame guard: nothing reaches the protocol crate's decoders before it was walked here.
//!
//! One table, a row per API key, says what a body of each version looks like. A body is accepted if every
//! field is there and nothing is left over; every declared count is at most the bytes that remain divided by the
//! smallest element; every length lies within the rest; null stands only where it may; strings are UTF-8; tagged
//! fields fill their sizes. And it must be cheap enough: what the crate's decoder allocates (the table knows the
//! true size of every array's element in memory, and what maps of unknown tagged fields cost) may not exceed
//! [`DECODE_AMPLIFICATION_MAX`](crate::limits::DECODE_AMPLIFICATION_MAX) times the body plus
//! [`DECODE_ALLOWANCE_BYTES`](crate::limits::DECODE_ALLOWANCE_BYTES). Ordinary requests stay below: an element of theirs
//! carries a name or a few numbers, of which memory takes at most about six times as much, and the allowance covers
//! thousands of those.
//!
//! Stricter than Apache Kafka in two points, neither of which a client has been seen to need: bytes left over behind
//! a body are refused, where Kafka ignores them (a client that sends them speaks another version than it says), and
//! so are strings that are not UTF-8, where Java replaces what it cannot decode.
//!
//! To add an API key, write its row and name it in the table. The tests hold every row of the table against the
//! crate's own encoders and decoders.

mod schema;
mod walk;

mod rows_cluster;
mod rows_groups;
mod rows_log;
mod rows_security;
mod rows_share;
mod rows_topics;
mod rows_transactions;

use super::WireError;
use crate::limits;
use bytes::Bytes;
pub(super) use schema::Row;

pub(super) use walk::header_tags;

/// Bytes that decoding a body of `body_bytes` may allocate, in all.
pub const fn decode_budget_bytes(body_bytes: usize) -> usize {
    body_bytes * limits::DECODE_AMPLIFICATION_MAX + limits::DECODE_ALLOWANCE_BYTES
}

/// Every API key whose requests can be walked and decoded. What is *served* is decided elsewhere.
static TABLE: &[&[Row]] = &[
    rows_log::ROWS,
    rows_topics::ROWS,
    rows_cluster::ROWS,
    rows_groups::ROWS,
    rows_transactions::ROWS,
    rows_security::ROWS,
    rows_share::ROWS,
];

pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().copied().flatten()
}

pub(super) fn row(api_key: i16) -> Option<&'static Row> {
    rows().find(|row| row.key == api_key)
}

impl Row {
    pub(super) fn api_key(&self) -> i16 {
        self.key
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn versions(&self) -> kafka_protocol::protocol::VersionRange {
        let max = self.own_version().unwrap_or(self.versions.max);
        kafka_protocol::protocol::VersionRange { min: self.versions.min, max }
    }

    /// 2 (with tagged fields) for flexible versions, else 1.
    pub(super) fn header_version(&self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Walks `frame[body_offset..]`.
    pub(super) fn check(&self, version: i16, frame: &[u8], body_offset: usize) -> Result<(), WireError> {
        walk::walk(self, version, &frame[body_offset..]).map_err(|refusal| WireError::Malformed {
            api: self.name,
            version,
            field: refusal.field,
            fault: refusal.fault,
            at: body_offset + refusal.at,
        })
    }

    /// Decodes a body that was checked, and drops what comes of it.
    pub(super) fn decode_and_drop(&self, version: i16, mut body: Bytes) -> Result<(), WireError> {
        self.decode(&mut body, version).map_err(WireError::Decode)
    }
}

#[cfg(test)]
mod tests;
