//! DeleteTopics (key 20), versions 1-6 (KIP-4; by topic id from v6: KIP-516).

use super::{
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text},
};
use crate::{
    controller::{ApiError, DeleteTopicsRequest as Deletion, DeletedTopicResult, TopicRef},
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    error::ErrorCode,
    ids::TopicId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName, delete_topics_response::DeletableTopicResult,
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DeleteTopicsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let topics: Vec<TopicRef> = if header.api_version >= 6 {
        let by_state = request.topics.into_iter().map(|topic| match topic.name {
            Some(name) => TopicRef::Name(name.to_string()),
            None => TopicRef::Id(TopicId(topic.topic_id)),
        });
        by_state.collect()
    } else {
        request.topic_names.into_iter().map(|name| TopicRef::Name(name.to_string())).collect()
    };
    if !context.config.delete_topic {
        // Kafka below v3 knows no such code and gets INVALID_REQUEST.
        let error =
            if header.api_version < 3 { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled };
        let responses = topics.iter().map(|topic| failed(topic, error, reply_to.version)).collect();
        return reply_to.ready(&DeleteTopicsResponse::default().with_responses(responses));
    }
    let ask = ControllerRequest::DeleteTopics(Deletion { topics: topics.clone() });
    Ok(controlled::ask(context, "DeleteTopics", request.timeout_ms, ask, move |_, answer| {
        let version = reply_to.version;
        let responses = match answer {
            Ok(ControllerResponse::DeleteTopics(results)) => {
                results.into_iter().map(|result| told(result, version)).collect()
            }
            Ok(_) => topics.iter().map(|topic| failed(topic, WRONG_KIND, version)).collect(),
            Err(error) => topics.iter().map(|topic| failed(topic, error, version)).collect(),
        };
        reply_to.encode(&DeleteTopicsResponse::default().with_responses(responses))
    }))
}

fn failed(topic: &TopicRef, error: ErrorCode, version: i16) -> DeletableTopicResult {
    let (name, id) = match topic {
        TopicRef::Name(name) => (Some(name.clone()), TopicId::ZERO),
        TopicRef::Id(id) => (None, *id),
    };
    told(DeletedTopicResult { name, id, result: Err(ApiError::new(error, error.name())) }, version)
}

fn told(result: DeletedTopicResult, version: i16) -> DeletableTopicResult {
    let mut response = DeletableTopicResult::default();
    response.name = result.name.map(|name| TopicName(text(name)));
    if version >= 6 {
        response.topic_id = result.id.0;
    } else if response.name.is_none() {
        response.name = Some(TopicName::default());
    }
    if let Err(error) = result.result {
        response.error_code = error.code.code();
        if version >= 5 {
            response.error_message = Some(text(error.message));
        }
    }
    response
}
