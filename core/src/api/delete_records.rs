//! DeleteRecords (key 21), versions 0-2 (KIP-107): moves the log start up, durably and on every replica that lives, before
//! it is answered.

use super::{
    places::{ByOwner, Places},
    respond::ReplyTo,
    topics,
};
use crate::{
    engine::{
        Context, DeleteQuery, DeleteResult, Gather, OwnerRequest, OwnerResponse, Response, Start, Step,
    },
    error::ErrorCode,
    ids::Offset,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use corelane_seam::ShardId;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse,
    delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
};
use uuid::Uuid;

struct DeleteRecords {
    reply_to: ReplyTo,
    owners: Vec<ShardId>,
    places: Places<DeleteResult>,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DeleteRecordsRequest = decode_request(header, frame)?;
    let mut gather =
        DeleteRecords { reply_to: ReplyTo::new(header), owners: Vec::new(), places: Places::default() };
    let mut by_owner = ByOwner::default();
    for topic in request.topics {
        let image = topics::find(context, &topic.name, Uuid::nil());
        gather.places.topic(topic.name, Uuid::nil());
        for partition in topic.partitions {
            let place = gather.places.partition(partition.partition_index);
            match image.and_then(|image| topics::led_here(context, image, partition.partition_index)) {
                Ok(id) => {
                    // -1: up to the high watermark.
                    let before = (partition.offset != -1).then_some(Offset(partition.offset));
                    by_owner.push(context.owner(id), DeleteQuery { place, id, before });
                }
                Err(error) => gather.places.set(place, DeleteResult { error, low_watermark: -1 }),
            }
        }
    }
    if by_owner.is_empty() {
        return Ok(Start::Ready(gather.finish()));
    }
    gather.owners = by_owner.owners().collect();
    let asks = by_owner.into_asks(OwnerRequest::DeleteRecords);
    let deadline = Some(context.after_ms(request.timeout_ms));
    Ok(Start::Gather { asks, gather: Box::new(gather), deadline })
}

impl Gather for DeleteRecords {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::DeleteRecords(results) = response else { return Step::Wait };
        if self.places.set_all(results) { Step::Done(self.finish()) } else { Step::Wait }
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish())
    }

    fn watched(&self) -> &[ShardId] {
        &self.owners
    }

    fn name(&self) -> &'static str {
        "DeleteRecords"
    }
}

impl DeleteRecords {
    fn finish(&mut self) -> Response {
        let timed_out = || DeleteResult { error: ErrorCode::RequestTimedOut, low_watermark: -1 };
        let topics = self.places.take(timed_out).into_iter().map(|(topic, results)| {
            let partitions = results.into_iter().map(|(index, result)| {
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(result.error.code())
                    .with_low_watermark(result.low_watermark)
            });
            DeleteRecordsTopicResult::default().with_partitions(partitions.collect()).with_name(topic.name)
        });
        self.reply_to.encode(&DeleteRecordsResponse::default().with_topics(topics.collect()))
    }
}
