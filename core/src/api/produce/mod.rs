//! Produce (key 0), versions 3-13; advertised from 0.
//!
//! Batches go to the owners of their partitions; the response leaves when every partition's condition is met, or when
//! `timeout.ms` has passed (REQUEST_TIMED_OUT: outcome unknown). acks=0 gets no response; where a partition refused its
//! batch, the connection is closed instead, so that the client learns of it (as Kafka does).
//! KIP-98 (idempotence), KIP-467 (per-record errors, v8), KIP-951 (current leader, v10), KIP-890 (transactions of version 2,
//! v12), KIP-516 (topic ids, v13).

mod transactional;

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
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    ProduceRequest, ProduceResponse,
    produce_response::{
        BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
        TopicProduceResponse,
    },
};
use std::collections::BTreeSet;

/// What Kafka calls a client that may write internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT: &str = "__admin_client";

/// The first version that tells who leads instead (KIP-951).
const TELLS_LEADER_FROM: i16 = 10;

struct Produce {
    reply_to: ReplyTo,
    acks: Acks,
    places: Places<AppendResult>,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ProduceRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let acks = match request.acks {
        0 => Acks::None,
        1 => Acks::Leader,
        -1 => Acks::All,
        _ => return Ok(Start::Ready(refuse_all(reply_to, request, ErrorCode::InvalidRequiredAcks))),
    };
    let transaction = match transactional::of(&request) {
        Ok(transaction) => transaction,
        Err(error) => return Ok(Start::Ready(refuse_all(reply_to, request, error))),
    };
    let mut transaction = transaction.filter(|it| it.is_checked(context, header.api_version));
    let mut produce = Produce { reply_to, acks, places: Places::default() };
    let mut by_owner = ByOwner::default();
    for topic in request.topic_data {
        let image = topics::find(context, &topic.name, topic.topic_id);
        produce.places.topic(topic.name, topic.topic_id);
        for partition in topic.partition_data {
            let place = produce.places.partition(partition.index);
            let found = image.and_then(|image| {
                // Only the broker writes its own topics, and whoever mends them by Kafka's admin client.
                let foreign = image.is_internal && header.client_id.as_deref() != Some(ADMIN_CLIENT);
                if foreign { Err(ErrorCode::InvalidTopicException) } else { Ok(image) }
            });
            let found = found.and_then(|image| topics::led_here(context, image, partition.index));
            match found {
                Ok(id) => {
                    let records = partition.records.unwrap_or_default();
                    if let (Some(transaction), Ok(topic)) = (&mut transaction, image) {
                        transaction.keep(place, id, &topic.name, &records);
                    }
                    by_owner
                        .push(context.owner(id), AppendPartition { place, id, what: What::Records(records) });
                }
                Err(error) => produce.places.set(place, AppendResult::failed(error, None)),
            }
        }
    }
    if by_owner.is_empty() {
        return Ok(Start::Ready(produce.finish(context)));
    }
    let deadline = (acks == Acks::All).then(|| context.after_ms(request.timeout_ms));
    let version = header.api_version;
    let checks_transactions = transaction.is_some();
    let asks = by_owner.into_asks(|partitions| {
        OwnerRequest::Append(AppendRequest { partitions, acks, version, checks_transactions })
    });
    let gather: Box<dyn Gather> = match transaction {
        Some(transaction) => Box::new(transaction.checked_first(produce, asks.len())),
        None => Box::new(produce),
    };
    Ok(Start::Gather { asks, gather, deadline })
}

impl Gather for Produce {
    fn answered(&mut self, context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::Append(results) = response else { return Step::Wait };
        if self.places.set_all(results) { Step::Done(self.finish(context)) } else { Step::Wait }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Step {
        Step::Done(self.finish(context))
    }

    fn name(&self) -> &'static str {
        "Produce"
    }
}

impl Produce {
    /// The response; partitions without an answer have timed out.
    fn finish(&mut self, context: &Context<'_>) -> Response {
        let topics = self.places.take(|| AppendResult::failed(ErrorCode::RequestTimedOut, None));
        if self.acks == Acks::None {
            let mut results = topics.iter().flat_map(|(_, results)| results);
            return match results.find(|(_, result)| !result.error.is_none()) {
                Some((_, result)) => Response::Close(format!("Produce with acks=0 failed: {}", result.error)),
                None => Response::Nothing,
            };
        }
        let version = self.reply_to.version;
        let mut leaders = BTreeSet::new();
        let responses: Vec<_> = topics
            .into_iter()
            .map(|(topic, results)| {
                let partitions = results.into_iter().map(|(index, result)| {
                    let elsewhere =
                        result.error == ErrorCode::NotLeaderOrFollower && version >= TELLS_LEADER_FROM;
                    let mut response = partition(index, result, version);
                    let leader = topics::leader(context.image, &topic.name, topic.id, index);
                    if let Some((leader, epoch)) = leader.filter(|_| elsewhere) {
                        leaders.insert(leader);
                        response.current_leader = LeaderIdAndEpoch::default()
                            .with_leader_id(leader.0.into())
                            .with_leader_epoch(epoch.0);
                    }
                    response
                });
                TopicProduceResponse::default()
                    .with_partition_responses(partitions.collect())
                    .with_name(topic.name)
                    .with_topic_id(topic.id)
            })
            .collect();
        let endpoints = topics::endpoints(context, &leaders).map(|(id, host, port, rack)| {
            NodeEndpoint::default().with_node_id(id.0.into()).with_host(host).with_port(port).with_rack(rack)
        });
        let response =
            ProduceResponse::default().with_responses(responses).with_node_endpoints(endpoints.collect());
        self.reply_to.encode(&response)
    }
}

fn partition(index: i32, result: AppendResult, version: i16) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(result.error.code())
        .with_base_offset(result.base_offset)
        .with_log_append_time_ms(result.log_append_time_ms);
    if version >= 5 {
        response.log_start_offset = result.log_start_offset;
    }
    if version >= 8 {
        response.error_message = result.message.map(text);
        response.record_errors = result
            .record_errors
            .into_iter()
            .map(|(index, message)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(index)
                    .with_batch_index_error_message(Some(text(message)))
            })
            .collect();
    }
    response
}

/// The same error for every partition.
fn refuse_all(reply_to: ReplyTo, request: ProduceRequest, error: ErrorCode) -> Response {
    let responses = request.topic_data.into_iter().map(|topic| {
        let partitions = topic
            .partition_data
            .iter()
            .map(|data| partition(data.index, AppendResult::failed(error, None), reply_to.version));
        TopicProduceResponse::default()
            .with_partition_responses(partitions.collect())
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
    });
    reply_to.encode(&ProduceResponse::default().with_responses(responses.collect()))
}
