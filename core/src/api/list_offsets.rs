//! ListOffsets (key 2), versions 1-10.
//!
//! Earliest (-2), latest (-1), by timestamp, the largest timestamp (-3, v7, KIP-734); earliest-local (-4, v8) is the
//! earliest and latest-tiered (-5, v9) none, as without tiered storage (KIP-405, KIP-1005). Leader epochs from v4.

use super::{
    fetch::READ_COMMITTED,
    places::{ByOwner, Places},
    respond::ReplyTo,
    topics,
};
use crate::{
    engine::{
        Context, Gather, OffsetQuery, OffsetResult, OffsetSpec, OwnerRequest, OwnerResponse, Response, Start,
        Step,
    },
    error::ErrorCode,
    ids::LeaderEpoch,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse,
    list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
};
use uuid::Uuid;

/// How long a search by time may take when the client does not say (below v10): less than any client's own time-out.
const SEARCH_MS_MAX: i32 = 20_000;

struct ListOffsets {
    reply_to: ReplyTo,
    places: Places<OffsetResult>,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ListOffsetsRequest = decode_request(header, frame)?;
    let version = header.api_version;
    let mut gather = ListOffsets { reply_to: ReplyTo::new(header), places: Places::default() };
    let mut by_owner = ByOwner::default();
    let is_committed_only = request.isolation_level == READ_COMMITTED;
    for topic in request.topics {
        let image = topics::find(context, &topic.name, Uuid::nil());
        gather.places.topic(topic.name, Uuid::nil());
        for partition in topic.partitions {
            let place = gather.places.partition(partition.partition_index);
            let found = image.and_then(|image| topics::led_here(context, image, partition.partition_index));
            let known = found.and_then(|id| Ok((id, spec(partition.timestamp, version)?)));
            match known {
                Ok((id, Some(what))) => {
                    let current_leader_epoch = LeaderEpoch(partition.current_leader_epoch);
                    let query = OffsetQuery { place, id, current_leader_epoch, what, is_committed_only };
                    by_owner.push(context.owner(id), query);
                }
                Ok((_, None)) => gather.places.set(place, OffsetResult::failed(ErrorCode::None)),
                Err(error) => gather.places.set(place, OffsetResult::failed(error)),
            }
        }
    }
    if by_owner.is_empty() {
        return Ok(Start::Ready(gather.finish()));
    }
    let timeout_ms = if version >= 10 && request.timeout_ms > 0 { request.timeout_ms } else { SEARCH_MS_MAX };
    let asks = by_owner.into_asks(OwnerRequest::Offsets);
    let deadline = Some(context.after_ms(timeout_ms));
    Ok(Start::Gather { asks, gather: Box::new(gather), deadline })
}

/// `None`: there is no such offset here, without being wrong.
fn spec(timestamp: i64, version: i16) -> Result<Option<OffsetSpec>, ErrorCode> {
    match timestamp {
        -1 => Ok(Some(OffsetSpec::Latest)),
        -2 => Ok(Some(OffsetSpec::Earliest)),
        -3 if version >= 7 => Ok(Some(OffsetSpec::MaxTimestamp)),
        -4 if version >= 8 => Ok(Some(OffsetSpec::Earliest)),
        -5 if version >= 9 => Ok(None),
        at if at >= 0 => Ok(Some(OffsetSpec::Timestamp(at))),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

impl Gather for ListOffsets {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::Offsets(results) = response else { return Step::Wait };
        if self.places.set_all(results) { Step::Done(self.finish()) } else { Step::Wait }
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish())
    }

    fn name(&self) -> &'static str {
        "ListOffsets"
    }
}

impl ListOffsets {
    fn finish(&mut self) -> Response {
        let version = self.reply_to.version;
        let timed_out = || OffsetResult::failed(ErrorCode::RequestTimedOut);
        let topics = self.places.take(timed_out).into_iter().map(|(topic, results)| {
            let partitions = results.into_iter().map(|(index, result)| {
                let error = match result.error {
                    // Clients of before KIP-207 know no such error.
                    ErrorCode::OffsetNotAvailable if version < 5 => ErrorCode::LeaderNotAvailable,
                    error => error,
                };
                let mut partition = ListOffsetsPartitionResponse::default()
                    .with_partition_index(index)
                    .with_error_code(error.code())
                    .with_timestamp(result.timestamp)
                    .with_offset(result.offset);
                if version >= 4 {
                    partition.leader_epoch = result.leader_epoch;
                }
                partition
            });
            ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
        });
        self.reply_to.encode(&ListOffsetsResponse::default().with_topics(topics.collect()))
    }
}
