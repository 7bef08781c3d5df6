//! ElectLeaders (key 43), versions 0-2 (KIP-183; unclean elections from v1: KIP-460).

use super::{
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text, too_many},
};
use crate::{
    controller::{ElectLeadersRequest, ElectedTopic, Election},
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    self, ElectLeadersResponse,
    elect_leaders_response::{PartitionResult, ReplicaElectionResult},
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: messages::ElectLeadersRequest = decode_request(header, frame)?;
    if let Some(end) =
        too_many(request.topic_partitions.iter().flatten().map(|topic| topic.partitions.len()).sum())
    {
        return Ok(end);
    }
    let (reply_to, version) = (ReplyTo::new(header), header.api_version);
    let partitions: Option<Vec<(String, Vec<i32>)>> = request
        .topic_partitions
        .map(|topics| topics.into_iter().map(|topic| (topic.topic.to_string(), topic.partitions)).collect());
    let election = match request.election_type {
        0 => Election::Preferred,
        1 => Election::Unclean,
        _ => {
            let response = response(version, ErrorCode::InvalidRequest, Vec::new());
            return reply_to.ready(&response);
        }
    };
    let ask = ControllerRequest::ElectLeaders(ElectLeadersRequest { election, partitions });
    Ok(controlled::ask(context, "ElectLeaders", request.timeout_ms, ask, move |_, answer| {
        let (error, elected) = match answer {
            Ok(ControllerResponse::ElectLeaders(elected)) => (ErrorCode::None, elected),
            Ok(_) => (WRONG_KIND, Vec::new()),
            Err(error) => (error, Vec::new()),
        };
        reply_to.encode(&response(version, error, elected))
    }))
}

fn response(version: i16, error: ErrorCode, elected: Vec<ElectedTopic>) -> ElectLeadersResponse {
    let topics = elected.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|(index, result)| {
            let (error, message) = match result {
                Ok(()) => (ErrorCode::None, None),
                Err(error) => (error.code, Some(text(error.message))),
            };
            PartitionResult::default()
                .with_partition_id(index)
                .with_error_code(error.code())
                .with_error_message(message)
        });
        ReplicaElectionResult::default()
            .with_topic(text(topic.name).into())
            .with_partition_result(partitions.collect())
    });
    let mut response = ElectLeadersResponse::default().with_replica_election_results(topics.collect());
    if version >= 1 {
        response.error_code = error.code();
    }
    response
}
