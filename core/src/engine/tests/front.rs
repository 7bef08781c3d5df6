//! Controllers' listeners, without a kernel and without a quorum: what an administrator sees.

use crate::{
    config::BrokerConfig,
    engine::{ControllerRequest, ControllerResponse, Controllers, Front, FrontEffects, GatherId, Place},
    error::ErrorCode,
    ids::NodeId,
    loggers::Loggers,
    wire::{decode_response, encode_request},
};
use bytes::{Bytes, BytesMut};
use corelane_seam::{ConnectionId, ListenerId, Monotonic, Now, Part, ShardId};
use kafka_protocol::{
    messages::{
        ApiKey, ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse,
        DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse, MetadataRequest, UnregisterBrokerRequest, UnregisterBrokerResponse,
        describe_configs_request::DescribeConfigsResource,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    },
    protocol::{Decodable, HeaderVersion, Request, StrBytes},
};
use std::sync::Arc;

const CALLER: ConnectionId = ConnectionId(7);
const NODE: NodeId = NodeId(3000);
/// `ConfigResource.Type.BROKER_LOGGER`.
const BROKER_LOGGER: i8 = 8;

struct Scene {
    front: Front,
    effects: FrontEffects,
    correlation: i32,
}

impl Scene {
    /// A controller with so many data shards beside it.
    fn new(shards: u16) -> Scene {
        let quorum = ShardId(shards);
        let place = Place { shard: quorum, shards, quorum, node: NODE };
        let mut front = Front::new(place, Arc::new(BrokerConfig::default()), Loggers::default(), 1);
        front.opened(CALLER, ListenerId(0), std::net::SocketAddr::from(([127, 0, 0, 1], 1)));
        Scene { front, effects: FrontEffects::default(), correlation: 0 }
    }

    fn send<T: Request>(&mut self, at_ms: u64, version: i16, request: &T) -> i32 {
        self.correlation += 1;
        let frame = encode_request(self.correlation, Some("test"), version, request).expect("encodes");
        self.front.frame(now(at_ms), CALLER, frame.slice(4..), &mut self.effects);
        self.correlation
    }

    fn response<T: Decodable + HeaderVersion>(&mut self, version: i16) -> (i32, T) {
        assert!(!self.effects.replies.is_empty(), "no response; {:?}", self.effects);
        let (connection, parts) = self.effects.replies.remove(0);
        assert_eq!(connection, CALLER);
        let mut bytes = BytesMut::new();
        for part in parts {
            let Part::Bytes(part) = part else { panic!("{part:?}") };
            bytes.extend_from_slice(&part);
        }
        decode_response(version, &Bytes::from(bytes).slice(4..)).expect("a response")
    }

    fn call<Q: Request, T: Decodable + HeaderVersion>(&mut self, version: i16, request: &Q) -> T {
        let correlation = self.send(0, version, request);
        let (answered, response) = self.response(version);
        assert_eq!(answered, correlation);
        response
    }

    /// What the active controller is asked.
    fn asked(&mut self) -> (GatherId, ControllerRequest) {
        assert_eq!(self.effects.asks.len(), 1, "{:?}", self.effects);
        self.effects.asks.remove(0)
    }
}

fn now(ms: u64) -> Now {
    Now { monotonic: Monotonic(0).after_ms(ms), unix_ms: 0 }
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn unregister(id: i32) -> UnregisterBrokerRequest {
    UnregisterBrokerRequest::default().with_broker_id(id.into())
}

#[test]
fn a_controller_advertises_what_kafkas_serve_and_hangs_up_on_the_rest() {
    let mut scene = Scene::new(0);
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("test"))
        .with_client_software_version(text("1"));
    let served: ApiVersionsResponse = scene.call(4, &request);
    let serves = |key: ApiKey| served.api_keys.iter().any(|row| row.api_key == key as i16);
    assert!(serves(ApiKey::DescribeCluster) && serves(ApiKey::DescribeQuorum), "{:?}", served.api_keys);
    assert!(!serves(ApiKey::Metadata) && !serves(ApiKey::Produce) && !serves(ApiKey::Fetch));

    scene.send(0, 12, &MetadataRequest::default());
    assert!(scene.effects.replies.is_empty());
    assert!(matches!(&scene.effects.closes[..], [(CALLER, _)]), "{:?}", scene.effects);
}

#[test]
fn the_controllers_are_described_in_place_of_brokers() {
    let mut scene = Scene::new(0);
    let endpoints = vec![(NODE, "one".to_owned(), 9093), (NodeId(3001), "two".to_owned(), 9094)];
    scene.front.know(Controllers { active: Some(NodeId(3001)), endpoints: endpoints.clone() });
    let request = DescribeClusterRequest::default().with_endpoint_type(2);
    let told: DescribeClusterResponse = scene.call(2, &request);
    let nodes: Vec<_> = told
        .brokers
        .iter()
        .map(|it| (NodeId(it.broker_id.0), it.host.to_string(), u16::try_from(it.port).expect("a port")))
        .collect();
    assert_eq!((nodes, told.controller_id.0, told.endpoint_type), (endpoints, 3001, 2));

    // Whoever is active and not known by its place cannot be looked for.
    scene.front.know(Controllers { active: Some(NodeId(3002)), endpoints: Vec::new() });
    let told: DescribeClusterResponse = scene.call(2, &request);
    assert_eq!((told.brokers.len(), told.controller_id.0), (0, -1));

    let brokers: DescribeClusterResponse = scene.call(1, &DescribeClusterRequest::default());
    assert_eq!(brokers.error_code, ErrorCode::MismatchedEndpointType.code());
    let nothing: DescribeClusterResponse =
        scene.call(1, &DescribeClusterRequest::default().with_endpoint_type(3));
    assert_eq!(nothing.error_code, ErrorCode::UnsupportedEndpointType.code());
    let old: DescribeClusterResponse = scene.call(0, &DescribeClusterRequest::default());
    assert_eq!(old.error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn requests_of_a_connection_are_answered_in_order_one_after_the_other() {
    let mut scene = Scene::new(0);
    let (first, second) = (scene.send(0, 0, &unregister(1)), scene.send(0, 0, &unregister(2)));
    let (gather, request) = scene.asked();
    assert!(matches!(request, ControllerRequest::UnregisterBroker(_)));
    let done = || ControllerResponse::UnregisterBroker(Ok(()));
    scene.front.controller_answered(now(1), gather, done(), &mut scene.effects);
    assert_eq!(scene.response::<UnregisterBrokerResponse>(0).0, first);
    let (gather, _) = scene.asked();
    scene.front.controller_answered(now(2), gather, done(), &mut scene.effects);
    assert_eq!(scene.response::<UnregisterBrokerResponse>(0).0, second);
    assert_eq!(scene.front.next_deadline(), None);
}

#[test]
fn without_an_answer_the_client_is_told_so_in_time() {
    let mut scene = Scene::new(0);
    scene.send(0, 0, &unregister(1));
    let (gather, _) = scene.asked();
    scene.front.tick(now(1), &mut scene.effects);
    assert!(scene.effects.replies.is_empty());
    let due = scene.front.next_deadline().expect("it does not wait for ever");
    scene.front.tick(Now { monotonic: due, unix_ms: 0 }, &mut scene.effects);
    let (_, told) = scene.response::<UnregisterBrokerResponse>(0);
    assert_eq!(told.error_code, ErrorCode::RequestTimedOut.code());
    let late = ControllerResponse::UnregisterBroker(Ok(()));
    scene.front.controller_answered(now(90_000), gather, late, &mut scene.effects);
    assert!(scene.effects.replies.is_empty(), "it was answered");
}

#[test]
fn who_has_gone_is_not_answered_and_keeps_nothing() {
    let mut scene = Scene::new(0);
    scene.send(0, 0, &unregister(1));
    let (gather, _) = scene.asked();
    scene.front.closed(CALLER);
    assert_eq!(scene.front.next_deadline(), None);
    let late = ControllerResponse::UnregisterBroker(Ok(()));
    scene.front.controller_answered(now(1), gather, late, &mut scene.effects);
    assert!(scene.effects.replies.is_empty());
}

#[test]
fn a_controller_without_data_shards_keeps_the_levels_of_its_log() {
    let mut scene = Scene::new(0);
    let level = AlterableConfig::default().with_name(text("corelane_shard")).with_value(Some(text("DEBUG")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(BROKER_LOGGER)
        .with_resource_name(text("3000"))
        .with_configs(vec![level]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let altered: IncrementalAlterConfigsResponse = scene.call(1, &request);
    assert_eq!(altered.responses[0].error_code, 0, "{altered:?}");
    assert_eq!(scene.effects.log_filter.as_deref(), Some("info,corelane_shard=debug"));

    let resource = DescribeConfigsResource::default()
        .with_resource_type(BROKER_LOGGER)
        .with_resource_name(text("3000"))
        .with_configuration_keys(Some(vec![text("corelane_shard")]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let told: DescribeConfigsResponse = scene.call(4, &request);
    assert_eq!(told.results[0].configs[0].value, Some(text("DEBUG")));
    assert!(scene.effects.owner_asks.is_empty());

    let mut beside = Scene::new(2);
    beside.send(0, 4, &request);
    assert!(matches!(beside.effects.owner_asks[..], [(ShardId(0), ..)]), "a data shard keeps them there");
}
