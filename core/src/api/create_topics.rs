//! CreateTopics (key 19), versions 2-7 (KIP-4; defaults by -1: KIP-464; the result's details from v5: KIP-525).

use super::{
    configs::defaults_of_topic,
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text},
};
use crate::{
    controller::{
        ApiError, CreateTopicsRequest as Creation, CreatedTopic, NamedResult, NewTopic, ReplicaAssignment,
    },
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    error::ErrorCode,
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, TopicName,
    create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: CreateTopicsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    let creation = Creation {
        validate_only: request.validate_only,
        topics: request.topics.into_iter().map(new_topic).collect(),
    };
    let ask = ControllerRequest::CreateTopics(creation);
    Ok(controlled::ask(context, "CreateTopics", request.timeout_ms, ask, move |context, answer| {
        let topics = match answer {
            Ok(ControllerResponse::CreateTopics(results)) => {
                results.into_iter().map(|result| told(context, result, reply_to.version)).collect()
            }
            Ok(_) => names.iter().map(|name| failed(name, WRONG_KIND, None)).collect(),
            Err(error) => names.iter().map(|name| failed(name, error, None)).collect(),
        };
        reply_to.encode(&CreateTopicsResponse::default().with_topics(topics))
    }))
}

fn new_topic(topic: kafka_protocol::messages::create_topics_request::CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|assignment| ReplicaAssignment {
                index: assignment.partition_index,
                replicas: assignment.broker_ids.into_iter().map(|id| NodeId(id.0)).collect(),
            })
            .collect(),
        configs: topic
            .configs
            .into_iter()
            .map(|config| (config.name.to_string(), config.value.map(|value| value.to_string())))
            .collect(),
    }
}

fn failed(name: &str, error: ErrorCode, message: Option<String>) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(TopicName(text(name)))
        .with_error_code(error.code())
        .with_error_message(message.map(text))
        .with_configs(Some(Vec::new()))
}

fn told(context: &Context<'_>, result: NamedResult<CreatedTopic>, version: i16) -> CreatableTopicResult {
    let created = match result.result {
        Ok(created) => created,
        Err(ApiError { code, message }) => return failed(&result.name, code, Some(message)),
    };
    let mut topic = CreatableTopicResult::default().with_name(TopicName(text(result.name)));
    if version >= 7 {
        topic.topic_id = created.id.0;
    }
    if version >= 5 {
        topic.num_partitions = created.partitions;
        topic.replication_factor = created.replication_factor;
        let configs = defaults_of_topic(context, &created.configs).into_iter().map(|config| {
            CreatableTopicConfigs::default()
                .with_name(text(config.name))
                .with_value(config.value.map(text))
                .with_read_only(config.read_only)
                .with_config_source(config.source.code())
                .with_is_sensitive(config.sensitive)
        });
        topic.configs = Some(configs.collect());
    }
    topic
}
