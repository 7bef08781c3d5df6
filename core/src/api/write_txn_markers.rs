//! WriteTxnMarkers (key 27), version 1: a transaction's coordinator, or an administrator who ends a transaction that hangs
//! (KIP-664), has markers written that end producers' transactions in partitions led here. Answered when they are on every
//! replica in sync (KIP-98).
//!
//! The markers of `transaction.version` 2 have an epoch of their own (KIP-890). Kafka's brokers tell that in version 2 of
//! the key, which the protocol crate lacks; ours say it in a tagged field, as clients have nothing to say about it.

use super::{
    places::{ByOwner, Places},
    respond::{ReplyTo, text},
    topics,
};
use crate::{
    engine::{
        Acks, AppendPartition, AppendRequest, AppendResult, Context, Gather, OwnerRequest, OwnerResponse,
        Response, Start, Step, What,
    },
    error::ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    log::EndTransaction,
    records::{Marker, Outcome},
    transactions::{Markers, PartitionErrors},
    wire::{RequestHeader, WireError, decode_request, decode_response, encode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    WriteTxnMarkersRequest, WriteTxnMarkersResponse,
    write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
    write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    },
};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// How long the replicas may take (`request.timeout.ms`' default, which Kafka's brokers wait, too).
const TIMEOUT_MS: i32 = 30_000;

/// What is said of transactions before version 2.
const TRANSACTION_VERSION: u8 = 1;

/// The version that brokers ask each other in.
const VERSION: i16 = 1;

/// The tag of a marker under which brokers tell each other the version of its transaction: one byte.
const TRANSACTION_VERSION_TAG: i32 = 4096;

struct WriteTxnMarkers {
    reply_to: ReplyTo,
    /// Whose each marker is, and how many topics it names.
    markers: Vec<(ProducerId, usize)>,
    places: Places<AppendResult>,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: WriteTxnMarkersRequest = decode_request(header, frame)?;
    let mut gather = WriteTxnMarkers {
        reply_to: ReplyTo::new(header),
        markers: Vec::with_capacity(request.markers.len()),
        places: Places::default(),
    };
    let mut by_owner = ByOwner::default();
    for marker in request.markers {
        let end = end(&marker);
        gather.markers.push((end.producer, marker.topics.len()));
        for topic in marker.topics {
            let image = topics::find(context, &topic.name, Uuid::nil());
            gather.places.topic(topic.name, Uuid::nil());
            for index in topic.partition_indexes {
                let place = gather.places.partition(index);
                match image.and_then(|image| topics::led_here(context, image, index)) {
                    Ok(id) => {
                        let what = What::End(end);
                        by_owner.push(context.owner(id), AppendPartition { place, id, what });
                    }
                    Err(error) => gather.places.set(place, AppendResult::failed(error, None)),
                }
            }
        }
    }
    if by_owner.is_empty() {
        return Ok(Start::Ready(gather.finish()));
    }
    let version = header.api_version;
    let asks = by_owner.into_asks(|partitions| {
        OwnerRequest::Append(AppendRequest {
            partitions,
            acks: Acks::All,
            version,
            checks_transactions: false,
        })
    });
    let deadline = Some(context.after_ms(TIMEOUT_MS));
    Ok(Start::Gather { asks, gather: Box::new(gather), deadline })
}

fn end(marker: &WritableTxnMarker) -> EndTransaction {
    let transaction_version = marker.unknown_tagged_fields.get(&TRANSACTION_VERSION_TAG);
    let transaction_version = transaction_version.and_then(|version| version.first().copied());
    let outcome = if marker.transaction_result { Outcome::Commit } else { Outcome::Abort };
    EndTransaction {
        producer: ProducerId(marker.producer_id.0),
        epoch: ProducerEpoch(marker.producer_epoch),
        marker: Marker { outcome, coordinator_epoch: marker.coordinator_epoch },
        transaction_version: transaction_version.unwrap_or(TRANSACTION_VERSION),
    }
}

/// A request for markers from another broker, without its length.
pub(crate) fn request<'a>(all: impl Iterator<Item = &'a Markers>) -> Result<Bytes, WireError> {
    let markers = all.map(|markers| {
        let end = markers.end();
        let topics = markers.partitions.topics().map(|(name, partitions)| {
            WritableTxnMarkerTopic::default()
                .with_name(text(&**name).into())
                .with_partition_indexes(partitions.iter().copied().collect())
        });
        let version = Bytes::copy_from_slice(&[end.transaction_version]);
        WritableTxnMarker::default()
            .with_producer_id(end.producer.0.into())
            .with_producer_epoch(end.epoch.0)
            .with_transaction_result(markers.commit)
            .with_coordinator_epoch(end.marker.coordinator_epoch)
            .with_topics(topics.collect())
            .with_unknown_tagged_fields(BTreeMap::from([(TRANSACTION_VERSION_TAG, version)]))
    });
    let message = WriteTxnMarkersRequest::default().with_markers(markers.collect());
    Ok(encode_request(0, Some("transactions"), VERSION, &message)?.slice(4..))
}

/// What another broker has answered: of each marker that was asked for, in that order, its partitions' errors.
pub(crate) fn answer(frame: &Bytes, asked: &[ProducerId]) -> Option<Vec<PartitionErrors>> {
    let (_, response) = decode_response::<WriteTxnMarkersResponse>(VERSION, frame).ok()?;
    let told = response.markers.iter().map(|marker| marker.producer_id.0);
    if !told.eq(asked.iter().map(|producer| producer.0)) {
        return None;
    }
    let each = response.markers.into_iter().map(|marker| {
        let errors = marker.topics.into_iter().flat_map(|topic| {
            let name: Arc<str> = topic.name.as_str().into();
            topic.partitions.into_iter().map(move |result| {
                let error = ErrorCode::from_code(result.error_code);
                (Arc::clone(&name), result.partition_index, error.unwrap_or(ErrorCode::UnknownServerError))
            })
        });
        errors.collect()
    });
    Some(each.collect())
}

impl Gather for WriteTxnMarkers {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::Append(results) = response else { return Step::Wait };
        if self.places.set_all(results) { Step::Done(self.finish()) } else { Step::Wait }
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish())
    }

    fn name(&self) -> &'static str {
        "WriteTxnMarkers"
    }
}

impl WriteTxnMarkers {
    fn finish(&mut self) -> Response {
        let timed_out = || AppendResult::failed(ErrorCode::RequestTimedOut, None);
        let mut topics = self.places.take(timed_out).into_iter().map(|(topic, results)| {
            let partitions = results.into_iter().map(|(index, result)| {
                WritableTxnMarkerPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(result.error.code())
            });
            WritableTxnMarkerTopicResult::default()
                .with_name(topic.name)
                .with_partitions(partitions.collect())
        });
        let markers = std::mem::take(&mut self.markers).into_iter().map(|(producer, count)| {
            WritableTxnMarkerResult::default()
                .with_producer_id(producer.0.into())
                .with_topics(topics.by_ref().take(count).collect())
        });
        self.reply_to.encode(&WriteTxnMarkersResponse::default().with_markers(markers.collect()))
    }
}
