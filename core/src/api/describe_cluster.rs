//! DescribeCluster (key 60), versions 0-2 (KIP-700; endpoint types: KIP-919; fenced brokers: KIP-1073).

use super::respond::{ReplyTo, text};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, describe_cluster_response::DescribeClusterBroker,
};

const BROKERS: i8 = 1;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeClusterRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if header.api_version >= 1 && request.endpoint_type != BROKERS {
        let response = DescribeClusterResponse::default()
            .with_error_code(ErrorCode::MismatchedEndpointType.code())
            .with_error_message(Some(text("The request was sent to an endpoint of type BROKER")))
            .with_endpoint_type(BROKERS);
        return reply_to.ready(&response);
    }
    let listener = super::metadata::listener_name(context);
    let brokers =
        context.image.brokers().filter(|broker| !broker.fenced || request.include_fenced_brokers).filter_map(
            |broker| {
                let endpoint = broker.endpoint(listener)?;
                let mut described = DescribeClusterBroker::default()
                    .with_broker_id(broker.id.0.into())
                    .with_host(text(endpoint.host.clone()))
                    .with_port(i32::from(endpoint.port))
                    .with_rack(broker.rack.clone().map(text));
                if header.api_version >= 2 {
                    described.is_fenced = broker.fenced;
                }
                Some(described)
            },
        );
    let mut response = DescribeClusterResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(text(context.image.cluster_id().map_or("", |id| &**id)))
        .with_controller_id(super::metadata::any_broker(context));
    if header.api_version >= 1 {
        response.endpoint_type = BROKERS;
    }
    reply_to.ready(&response)
}
