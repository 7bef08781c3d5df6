//! Takes records out of a stored batch, as a log's cleaner does. What stays keeps its bytes, its offset and its place:
//! nothing is decoded and encoded again but the timestamp deltas of a batch that gets a delete horizon, because the
//! horizon stands where they count from (KIP-534).

use super::{
    Record,
    build::{put_length, put_varlong},
    compress,
    header::{BatchHeader, Codec, HEADER_BYTES, TimestampType, seal},
    read::DecodedBatch,
    walk::{WalkFault, split_record},
};

/// What is demanded of a batch beyond its single records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Without a record left, its header stays: it tells a producer's last sequence, or where the log ends.
    pub keeps_header: bool,
    /// The delete horizon that the batch gets, unless it has one, when a tombstone stays in it.
    pub delete_horizon_ms: Option<i64>,
    /// It is the marker of a transaction of which nothing is left: it gets the horizon like a tombstone.
    pub is_spent_marker: bool,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtered {
    /// It stays as it is.
    Unchanged,
    /// This takes its place, with the same offsets from first to last.
    Rewritten(Vec<u8>),
    /// Nothing of it stays.
    Removed,
}

/// What stays of a batch's records.
struct Kept {
    count: i32,
    max_timestamp_ms: i64,
    has_tombstone: bool,
    /// Their bytes, once something went; until then they are the batch's.
    body: Option<Vec<u8>>,
}

/// Keeps of a batch (whose checksum was found right) the records that `retains` names. The last offset stays what it
/// was, so that the sequence after the batch's last stays known; the codec, too.
///
/// # Errors
/// When the records cannot be read. Nothing is known of the batch then.
pub fn filter(
    decoded: &DecodedBatch<'_>,
    filter: Filter,
    retains: impl FnMut(&Record<'_>) -> bool,
) -> Result<Filtered, WalkFault> {
    let header = decoded.header();
    let kept = keep(header, decoded.body(), retains)?;
    if kept.count <= 0 {
        let is_empty = header.record_count() <= 0;
        return Ok(match filter.keeps_header {
            true if is_empty => Filtered::Unchanged,
            true => Filtered::Rewritten(emptied(header)),
            false => Filtered::Removed,
        });
    }
    let wants_horizon = (kept.has_tombstone || filter.is_spent_marker) && !header.has_delete_horizon();
    let horizon_ms = filter.delete_horizon_ms.filter(|_| wants_horizon);
    let body = kept.body.as_deref().unwrap_or(decoded.body());
    let dated = horizon_ms.and_then(|horizon_ms| redated(header, kept.count, body, horizon_ms));
    if kept.body.is_none() && dated.is_none() {
        return Ok(Filtered::Unchanged);
    }
    let horizon_ms = horizon_ms.filter(|_| dated.is_some());
    Ok(Filtered::Rewritten(rebuilt(header, &kept, dated.as_deref().unwrap_or(body), horizon_ms)))
}

/// Goes over the records and keeps what is to be kept.
fn keep(
    header: &BatchHeader,
    body: &[u8],
    mut retains: impl FnMut(&Record<'_>) -> bool,
) -> Result<Kept, WalkFault> {
    let count = header.record_count();
    let mut kept = Kept { count: 0, max_timestamp_ms: i64::MIN, has_tombstone: false, body: None };
    let mut rest = body;
    for index in 0..count {
        let from = body.len() - rest.len();
        let parts = split_record(header, index, &mut rest)?;
        let to = body.len() - rest.len();
        if retains(&Record::of(header, &parts)) {
            kept.count += 1;
            kept.max_timestamp_ms = kept.max_timestamp_ms.max(parts.facts.timestamp_ms);
            kept.has_tombstone |= parts.value.is_none();
            if let Some(copy) = &mut kept.body {
                copy.extend_from_slice(&body[from..to]);
            }
        } else if kept.body.is_none() {
            kept.body = Some(body[..from].to_vec());
        }
    }
    if rest.is_empty() { Ok(kept) } else { Err(WalkFault::Excess(count)) }
}

/// The records with timestamp deltas that count from `horizon_ms`; none where a delta would not fit into 64 bits.
fn redated(header: &BatchHeader, count: i32, body: &[u8], horizon_ms: i64) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut record = Vec::new();
    let mut rest = body;
    for index in 0..count {
        let whole = rest;
        let parts = split_record(header, index, &mut rest).expect("gone over before");
        let fields = behind_varint(&whole[..whole.len() - rest.len()]);
        let (attributes, fields) = fields.split_at(1);
        record.clear();
        record.extend_from_slice(attributes);
        put_varlong(&mut record, parts.facts.timestamp_ms.checked_sub(horizon_ms)?);
        record.extend_from_slice(behind_varint(fields));
        put_length(&mut out, record.len());
        out.extend_from_slice(&record);
    }
    Some(out)
}

fn behind_varint(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().position(|byte| byte & 0x80 == 0).expect("gone over before");
    &bytes[last + 1..]
}

fn rebuilt(header: &BatchHeader, kept: &Kept, body: &[u8], horizon_ms: Option<i64>) -> Vec<u8> {
    let mut out = header_bytes(header);
    let codec = header.codec().unwrap_or(Codec::None);
    compress::compress(codec, &mut &*body, &mut out).expect("memory to memory");
    let head = BatchHeader::view_mut(&mut out).expect("as long as a header");
    head.set_record_count(kept.count);
    if header.timestamp_type() == TimestampType::CreateTime {
        head.set_max_timestamp_ms(TimestampType::CreateTime, kept.max_timestamp_ms);
    }
    if let Some(horizon_ms) = horizon_ms {
        head.set_delete_horizon_ms(horizon_ms);
    }
    seal(&mut out);
    out
}

/// The header alone. Of the timestamps it keeps the latest, as Kafka does.
fn emptied(header: &BatchHeader) -> Vec<u8> {
    let mut out = header_bytes(header);
    BatchHeader::view_mut(&mut out).expect("as long as a header").set_emptied();
    seal(&mut out);
    out
}

fn header_bytes(header: &BatchHeader) -> Vec<u8> {
    let bytes = zerocopy::IntoBytes::as_bytes(header);
    debug_assert_eq!(bytes.len(), HEADER_BYTES);
    bytes.to_vec()
}

#[cfg(test)]
mod tests;
