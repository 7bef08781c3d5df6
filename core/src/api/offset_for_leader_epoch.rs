//! OffsetForLeaderEpoch (key 23), versions 2-4 (KIP-101, KIP-320).

use super::{
    places::{ByOwner, Places},
    respond::ReplyTo,
    topics,
};
use crate::{
    engine::{Context, EpochQuery, EpochResult, Gather, OwnerRequest, OwnerResponse, Response, Start, Step},
    error::ErrorCode,
    ids::LeaderEpoch,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
};
use uuid::Uuid;

struct EpochEnds {
    reply_to: ReplyTo,
    places: Places<EpochResult>,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: OffsetForLeaderEpochRequest = decode_request(header, frame)?;
    let mut gather = EpochEnds { reply_to: ReplyTo::new(header), places: Places::default() };
    let mut by_owner = ByOwner::default();
    for topic in request.topics {
        let image = topics::find(context, &topic.topic, Uuid::nil());
        gather.places.topic(topic.topic, Uuid::nil());
        for partition in topic.partitions {
            let place = gather.places.partition(partition.partition);
            match image.and_then(|image| topics::led_here(context, image, partition.partition)) {
                Ok(id) => {
                    by_owner.push(
                        context.owner(id),
                        EpochQuery {
                            place,
                            id,
                            current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
                            epoch: LeaderEpoch(partition.leader_epoch),
                        },
                    );
                }
                Err(error) => gather.places.set(place, EpochResult { error, epoch: -1, end_offset: -1 }),
            }
        }
    }
    if by_owner.is_empty() {
        return Ok(Start::Ready(gather.finish()));
    }
    let asks = by_owner.into_asks(OwnerRequest::EpochEnds);
    Ok(Start::Gather { asks, gather: Box::new(gather), deadline: None })
}

impl Gather for EpochEnds {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::EpochEnds(results) = response else { return Step::Wait };
        if self.places.set_all(results) { Step::Done(self.finish()) } else { Step::Wait }
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish())
    }

    fn name(&self) -> &'static str {
        "OffsetForLeaderEpoch"
    }
}

impl EpochEnds {
    fn finish(&mut self) -> Response {
        let timed_out = || EpochResult { error: ErrorCode::RequestTimedOut, epoch: -1, end_offset: -1 };
        let topics = self.places.take(timed_out).into_iter().map(|(topic, results)| {
            let partitions = results.into_iter().map(|(index, result)| {
                EpochEndOffset::default()
                    .with_partition(index)
                    .with_error_code(result.error.code())
                    .with_leader_epoch(result.epoch)
                    .with_end_offset(result.end_offset)
            });
            OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(topic.name)
        });
        self.reply_to.encode(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    }
}
