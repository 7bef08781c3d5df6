//! CreatePartitions (key 37), versions 0-3 (KIP-195).

use super::{
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text},
};
use crate::{
    controller::{CreatePartitionsRequest as More, MorePartitions},
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    error::ErrorCode,
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, TopicName,
    create_partitions_response::CreatePartitionsTopicResult,
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: CreatePartitionsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    let topics = request.topics.into_iter().map(|topic| MorePartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: topic.assignments.map(|assignments| {
            let replicas = |ids: Vec<kafka_protocol::messages::BrokerId>| {
                ids.into_iter().map(|id| NodeId(id.0)).collect()
            };
            assignments.into_iter().map(|assignment| replicas(assignment.broker_ids)).collect()
        }),
    });
    let more = More { topics: topics.collect(), validate_only: request.validate_only };
    let ask = ControllerRequest::CreatePartitions(more);
    Ok(controlled::ask(context, "CreatePartitions", request.timeout_ms, ask, move |_, answer| {
        let all = |error| names.iter().map(|name| told(name, error, None)).collect();
        let results: Vec<CreatePartitionsTopicResult> = match answer {
            Ok(ControllerResponse::CreatePartitions(results)) => results
                .into_iter()
                .map(|result| match result.result {
                    Ok(()) => told(&result.name, ErrorCode::None, None),
                    Err(error) => told(&result.name, error.code, Some(error.message)),
                })
                .collect(),
            Ok(_) => all(WRONG_KIND),
            Err(error) => all(error),
        };
        reply_to.encode(&CreatePartitionsResponse::default().with_results(results))
    }))
}

fn told(name: &str, error: ErrorCode, message: Option<String>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(TopicName(text(name)))
        .with_error_code(error.code())
        .with_error_message(message.map(text))
}
