//! DescribeProducers (key 61), version 0 (KIP-664): who appended to a partition and is still remembered, by any of its
//! replicas: who looks for a transaction that hangs may ask a broker about all that it keeps.

use super::{
    places::{ByOwner, Places},
    respond::{ReplyTo, text, too_many},
    topics,
};
use crate::{
    engine::{
        Context, Gather, OwnerRequest, OwnerResponse, ProducersQuery, ProducersResult, Response, Start, Step,
    },
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse,
    describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Owners answer from memory; one that does not is stuck.
const TIMEOUT_MS: i32 = 20_000;

struct DescribeProducers {
    reply_to: ReplyTo,
    places: Places<ProducersResult>,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeProducersRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.topics.iter().map(|topic| topic.partition_indexes.len()).sum()) {
        return Ok(end);
    }
    let mut gather = DescribeProducers { reply_to: ReplyTo::new(header), places: Places::default() };
    let mut by_owner = ByOwner::default();
    // A partition has up to 65,536 producers: told of once, the answer is smaller than what is remembered of them.
    let mut asked = BTreeSet::new();
    for topic in request.topics {
        let image = topics::find(context, &topic.name, Uuid::nil());
        gather.places.topic(topic.name, Uuid::nil());
        for index in topic.partition_indexes {
            let place = gather.places.partition(index);
            match image.and_then(|image| topics::kept_here(context, image, index)) {
                Ok(id) if asked.insert(id) => by_owner.push(context.owner(id), ProducersQuery { place, id }),
                Ok(_) => gather.places.set(place, ProducersResult::failed(ErrorCode::InvalidRequest)),
                Err(error) => gather.places.set(place, ProducersResult::failed(error)),
            }
        }
    }
    if by_owner.is_empty() {
        return Ok(Start::Ready(gather.finish()));
    }
    let asks = by_owner.into_asks(OwnerRequest::Producers);
    Ok(Start::Gather { asks, gather: Box::new(gather), deadline: Some(context.after_ms(TIMEOUT_MS)) })
}

impl Gather for DescribeProducers {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::Producers(results) = response else { return Step::Wait };
        if self.places.set_all(results) { Step::Done(self.finish()) } else { Step::Wait }
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish())
    }

    fn name(&self) -> &'static str {
        "DescribeProducers"
    }
}

impl DescribeProducers {
    fn finish(&mut self) -> Response {
        let timed_out = || ProducersResult::failed(ErrorCode::RequestTimedOut);
        let topics = self.places.take(timed_out).into_iter().map(|(topic, results)| {
            let partitions = results.into_iter().map(|(index, result)| {
                let producers = result.producers.into_iter().map(|seen| {
                    ProducerState::default()
                        .with_producer_id(seen.id.into())
                        .with_producer_epoch(i32::from(seen.epoch))
                        .with_last_sequence(seen.last_sequence)
                        .with_last_timestamp(seen.last_timestamp_ms)
                        .with_coordinator_epoch(seen.coordinator_epoch)
                        .with_current_txn_start_offset(seen.transaction_start)
                });
                PartitionResponse::default()
                    .with_partition_index(index)
                    .with_error_code(result.error.code())
                    .with_error_message((!result.error.is_none()).then(|| text(result.error.name())))
                    .with_active_producers(producers.collect())
            });
            TopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
        });
        self.reply_to.encode(&DescribeProducersResponse::default().with_topics(topics.collect()))
    }
}
