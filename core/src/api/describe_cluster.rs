//! DescribeCluster (key 60), versions 0-2 (KIP-700; endpoint types: KIP-919; fenced brokers: KIP-1073).

use super::respond::{ReplyTo, text};
use crate::{
    engine::{Context, Controllers, Start},
    error::ErrorCode,
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse,
    describe_cluster_response::DescribeClusterBroker,
};

/// Kafka's `EndpointType`s.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeClusterRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let version = header.api_version;
    let served = if context.controllers.is_some() { CONTROLLERS } else { BROKERS };
    if let Err((error, words)) = right_endpoint(request.endpoint_type, served) {
        // The older version knows neither word.
        let error = if version == 0 { ErrorCode::InvalidRequest } else { error };
        let response = DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(words)));
        return reply_to.ready(&response);
    }
    let (brokers, controller) = match context.controllers {
        Some(controllers) => told(controllers),
        None => {
            let brokers = brokers(context, request.include_fenced_brokers, version);
            (brokers, super::metadata::any_broker(context))
        }
    };
    let mut response = DescribeClusterResponse::default()
        .with_brokers(brokers)
        .with_cluster_id(text(context.image.cluster_id().map_or("", |id| &**id)))
        .with_controller_id(controller);
    if version >= 1 {
        response.endpoint_type = served;
    }
    reply_to.ready(&response)
}

/// Whether the request was meant for this kind of endpoint, as Kafka's `AuthHelper` asks; its words.
fn right_endpoint(wanted: i8, served: i8) -> Result<(), (ErrorCode, String)> {
    let name = |kind| if kind == CONTROLLERS { "CONTROLLER" } else { "BROKER" };
    if !(BROKERS..=CONTROLLERS).contains(&wanted) {
        let words = format!("Unsupported endpoint type {wanted}");
        return Err((ErrorCode::UnsupportedEndpointType, words));
    }
    if wanted != served {
        let words = format!(
            "The request was sent to an endpoint of type {}, but we wanted an endpoint of type {}",
            name(served),
            name(wanted)
        );
        return Err((ErrorCode::MismatchedEndpointType, words));
    }
    Ok(())
}

fn brokers(context: &Context<'_>, fenced_too: bool, version: i16) -> Vec<DescribeClusterBroker> {
    let listener = super::metadata::listener_name(context);
    let brokers = context.image.brokers().filter(|broker| !broker.fenced || fenced_too);
    let described = brokers.filter_map(|broker| {
        let endpoint = broker.endpoint(listener)?;
        let mut described = DescribeClusterBroker::default()
            .with_broker_id(broker.id.0.into())
            .with_host(text(endpoint.host.clone()))
            .with_port(i32::from(endpoint.port))
            .with_rack(broker.rack.clone().map(text));
        if version >= 2 {
            described.is_fenced = broker.fenced;
        }
        Some(described)
    });
    described.collect()
}

/// The controllers in place of brokers; the active one only if it is among them, so that nobody looks for it in vain.
fn told(controllers: &Controllers) -> (Vec<DescribeClusterBroker>, BrokerId) {
    let known = |id: &NodeId| controllers.endpoints.iter().any(|(node, _, _)| node == id);
    let active = controllers.active.filter(known).map_or(-1, |id| id.0);
    let described = controllers.endpoints.iter().map(|(node, host, port)| {
        DescribeClusterBroker::default()
            .with_broker_id(node.0.into())
            .with_host(text(host.clone()))
            .with_port(i32::from(*port))
    });
    (described.collect(), BrokerId(active))
}
