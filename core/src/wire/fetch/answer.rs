//! The Fetch response as a follower reads it, in the one version that followers ask with. Nothing that a peer sends is
//! believed: lengths are checked against what is there, counts allocate nothing, records are slices of the frame.

use super::EpochEnd;
use crate::{
    error::ErrorCode,
    ids::{LeaderEpoch, Offset, PartitionId, TopicId},
};
use bytes::{Buf, Bytes};
use uuid::Uuid;

/// The version that followers ask with: topic ids (13), divergence in the answer (12), registrations (15).
pub const FOLLOWER_FETCH_VERSION: i16 = 17;

/// What stands before the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// As asked.
    pub correlation_id: i32,
    /// Of the whole request.
    pub error: ErrorCode,
    /// Of the fetch session (KIP-227), 0 for none.
    pub session_id: i32,
}

/// A partition in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredPartition {
    /// Which.
    pub id: PartitionId,
    /// Of this partition.
    pub error: ErrorCode,
    /// The leader's; -1 if not told.
    pub high_watermark: Offset,
    /// The leader's; -1 if not told.
    pub log_start_offset: Offset,
    /// Where the follower's log has diverged.
    pub diverging: Option<EpochEnd>,
    /// As they came: not checked.
    pub records: Bytes,
}

/// A response that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer to a follower's fetch")]
pub struct BadAnswer;

/// Goes over the answer in a frame without its length prefix. `visit` gets each partition in turn.
///
/// # Errors
/// [`BadAnswer`] where the frame is not laid out as one; `visit` may have been called before.
pub fn read_answer(
    frame: &Bytes,
    begin: impl FnOnce(AnswerHead) -> bool,
    mut visit: impl FnMut(AnsweredPartition),
) -> Result<(), BadAnswer> {
    let mut rest = frame.clone();
    let correlation_id = rest.try_get_i32().map_err(bad)?;
    skip_tags(&mut rest)?;
    let _throttle_ms = rest.try_get_i32().map_err(bad)?;
    let error = error(&mut rest)?;
    let session_id = rest.try_get_i32().map_err(bad)?;
    if !begin(AnswerHead { correlation_id, error, session_id }) {
        return Ok(());
    }
    for _ in 0..array(&mut rest)? {
        let topic = TopicId(Uuid::from_u128(rest.try_get_u128().map_err(bad)?));
        for _ in 0..array(&mut rest)? {
            visit(partition(topic, &mut rest)?);
        }
        skip_tags(&mut rest)?;
    }
    skip_tags(&mut rest)
}

fn partition(topic: TopicId, rest: &mut Bytes) -> Result<AnsweredPartition, BadAnswer> {
    let index = rest.try_get_i32().map_err(bad)?;
    let error = error(rest)?;
    let high_watermark = Offset(rest.try_get_i64().map_err(bad)?);
    let _last_stable = rest.try_get_i64().map_err(bad)?;
    let log_start_offset = Offset(rest.try_get_i64().map_err(bad)?);
    for _ in 0..array(rest)? {
        // An aborted transaction: producer and first offset.
        take(rest, 16)?;
        skip_tags(rest)?;
    }
    let _preferred = rest.try_get_i32().map_err(bad)?;
    let length = varint(rest)?;
    let records = if length == 0 { Bytes::new() } else { take(rest, length - 1)? };
    let mut diverging = None;
    for _ in 0..varint(rest)? {
        let (tag, length) = (varint(rest)?, varint(rest)?);
        let mut value = take(rest, length)?;
        if tag == 0 {
            let epoch = LeaderEpoch(value.try_get_i32().map_err(bad)?);
            let end_offset = Offset(value.try_get_i64().map_err(bad)?);
            // The field's default says that nothing has diverged.
            diverging = (epoch.0 >= 0 && end_offset.0 >= 0).then_some(EpochEnd { epoch, end_offset });
        }
    }
    let id = PartitionId { topic, index };
    Ok(AnsweredPartition { id, error, high_watermark, log_start_offset, diverging, records })
}

fn bad<E>(_: E) -> BadAnswer {
    BadAnswer
}

/// A code that is not known is an error all the same.
fn error(rest: &mut Bytes) -> Result<ErrorCode, BadAnswer> {
    let code = rest.try_get_i16().map_err(bad)?;
    Ok(ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError))
}

fn take(rest: &mut Bytes, length: usize) -> Result<Bytes, BadAnswer> {
    if length > rest.len() { Err(BadAnswer) } else { Ok(rest.split_to(length)) }
}

/// An unsigned varint of at most 32 bits.
fn varint(rest: &mut Bytes) -> Result<usize, BadAnswer> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = rest.try_get_u8().map_err(bad)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok().filter(|value| *value <= u32::MAX as usize).ok_or(BadAnswer);
        }
    }
    Err(BadAnswer)
}

/// How many elements a compact array says that it has. Each takes a byte at least, so a count beyond what is there ends
/// with an error soon.
fn array(rest: &mut Bytes) -> Result<usize, BadAnswer> {
    let count = varint(rest)?.saturating_sub(1);
    if count > rest.len() { Err(BadAnswer) } else { Ok(count) }
}

fn skip_tags(rest: &mut Bytes) -> Result<(), BadAnswer> {
    for _ in 0..varint(rest)? {
        varint(rest)?;
        let length = varint(rest)?;
        take(rest, length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FetchPartition, FetchResponse, FetchTopic};
    use corelane_seam::Part;

    fn encoded() -> Bytes {
        let topic = |id: u128, partitions| FetchTopic {
            id: TopicId(Uuid::from_u128(id)),
            partitions,
            ..FetchTopic::default()
        };
        let mut full = FetchPartition::new(3, ErrorCode::None);
        (full.high_watermark, full.log_start_offset) = (Offset(7), Offset(2));
        full.records = vec![Part::Bytes(Bytes::from_static(b"some records"))];
        let mut diverging = FetchPartition::new(4, ErrorCode::None);
        diverging.diverging_epoch = Some(EpochEnd { epoch: LeaderEpoch(5), end_offset: Offset(6) });
        let failed = FetchPartition::new(0, ErrorCode::FencedLeaderEpoch);
        let response = FetchResponse {
            session_id: 77,
            topics: vec![topic(1, vec![full, diverging]), topic(2, vec![failed])],
            ..FetchResponse::default()
        };
        let parts = response.encode(9, FOLLOWER_FETCH_VERSION).expect("encodes");
        let bytes = parts.iter().flat_map(|part| match part {
            Part::Bytes(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        });
        Bytes::from(bytes.collect::<Vec<u8>>()).slice(4..)
    }

    fn read(frame: &Bytes) -> Result<(Option<AnswerHead>, Vec<AnsweredPartition>), BadAnswer> {
        let (mut head, mut partitions) = (None, Vec::new());
        let begin = |told| {
            head = Some(told);
            true
        };
        read_answer(frame, begin, |partition| partitions.push(partition))?;
        Ok((head, partitions))
    }

    #[test]
    fn what_a_leader_encodes_is_read_back() {
        let (head, partitions) = read(&encoded()).expect("it is one");
        let expected = AnswerHead { correlation_id: 9, error: ErrorCode::None, session_id: 77 };
        assert_eq!(head, Some(expected));
        let [full, diverging, failed] = partitions.as_slice() else { panic!("{partitions:?}") };
        assert_eq!(
            (full.id.topic.0.as_u128(), full.id.index, &full.records[..]),
            (1, 3, &b"some records"[..])
        );
        assert_eq!((full.high_watermark, full.log_start_offset), (Offset(7), Offset(2)));
        assert_eq!((full.error, full.diverging), (ErrorCode::None, None));
        let end = EpochEnd { epoch: LeaderEpoch(5), end_offset: Offset(6) };
        assert_eq!((diverging.id.index, diverging.diverging), (4, Some(end)));
        assert_eq!((failed.id.topic.0.as_u128(), failed.error), (2, ErrorCode::FencedLeaderEpoch));
    }

    #[test]
    fn a_frame_that_is_cut_short_or_changed_is_an_error_or_an_answer_but_no_panic() {
        let frame = encoded();
        for end in 0..frame.len() {
            assert_eq!(read(&frame.slice(..end)), Err(BadAnswer), "cut at {end}");
        }
        for place in 0..frame.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = frame.to_vec();
                bytes[place] = value;
                let _ = read(&Bytes::from(bytes));
            }
        }
    }
}
