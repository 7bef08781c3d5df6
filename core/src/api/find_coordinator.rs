//! FindCoordinator (key 10), versions 0-6 (transactions: KIP-98; batched from v4: KIP-699; share groups from v6: KIP-932).
//!
//! A group's coordinator is the leader of the partition of `__consumer_offsets` that it lives in, a transactional id's that
//! of its partition of `__transaction_state`, told by the listener by which the request came; this broker stands for what
//! nobody coordinates yet, share groups. As in Kafka the answer says who would coordinate, not that a group or a
//! transactional id exists, and any text is the key of one. Both topics are created when they are needed first.

use super::{
    controlled::{make_internal, missing_internal},
    groups,
    respond::{ReplyTo, text, too_many},
    transactions,
};
use crate::{
    engine::{Context, Response, Start},
    error::ErrorCode,
    groups::OFFSETS_TOPIC,
    ids::NodeId,
    transactions::TRANSACTIONS_TOPIC,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::{
    messages::{
        BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, find_coordinator_response::Coordinator,
    },
    protocol::StrBytes,
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// The first version that may ask for the coordinator of a share group's partition.
const SHARE_FROM: i16 = 6;

/// The first version that may ask for several.
const BATCHED_FROM: i16 = 4;

/// Where a coordinator is.
struct Place {
    node: BrokerId,
    host: StrBytes,
    port: i32,
}

impl Place {
    /// As Kafka says it.
    const NOWHERE: Place = Place { node: BrokerId(-1), host: StrBytes::from_static_str(""), port: -1 };
}

/// Why nobody coordinates this.
#[derive(Clone, Copy)]
struct Refusal {
    code: ErrorCode,
    message: &'static str,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: FindCoordinatorRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if let Some(refusal) = too_many(request.coordinator_keys.len()) {
        return Ok(refusal);
    }
    let missing = match request.key_type {
        GROUP => missing_internal(context, OFFSETS_TOPIC, groups::offsets_topic),
        TRANSACTION => missing_internal(context, TRANSACTIONS_TOPIC, transactions::transactions_topic),
        _ => None,
    };
    let Some(topic) = missing else {
        return Ok(Start::Ready(respond(context, reply_to, &request, None)));
    };
    Ok(make_internal(context, "FindCoordinator", topic, move |context, failed| {
        let refusal = failed.map(|_| Refusal {
            code: ErrorCode::CoordinatorNotAvailable,
            message: "The internal topic in which it would live could not be created",
        });
        respond(context, reply_to, &request, refusal)
    }))
}

/// `failed`: why nobody coordinates anything.
fn respond(
    context: &Context<'_>,
    reply_to: ReplyTo,
    request: &FindCoordinatorRequest,
    failed: Option<Refusal>,
) -> Response {
    let find = |key: &str| match refused(request.key_type, key, reply_to.version).or(failed) {
        Some(refusal) => Err(refusal),
        None if request.key_type == GROUP => leader(
            context,
            groups::coordinator(context, key),
            "Nobody leads the partition of __consumer_offsets that the group lives in",
        ),
        None if request.key_type == TRANSACTION => leader(
            context,
            transactions::coordinator(context, key),
            "Nobody leads the partition of __transaction_state that the transactional id lives in",
        ),
        None => place_of(context, context.place.node),
    };
    if reply_to.version >= BATCHED_FROM {
        let coordinators = request.coordinator_keys.iter().map(|key| {
            let (place, refusal) = placed(find(key));
            Coordinator::default()
                .with_key(key.clone())
                .with_node_id(place.node)
                .with_host(place.host)
                .with_port(place.port)
                .with_error_code(refusal.map_or(ErrorCode::None, |refusal| refusal.code).code())
                .with_error_message(refusal.map(|refusal| StrBytes::from_static_str(refusal.message)))
        });
        return reply_to
            .encode(&FindCoordinatorResponse::default().with_coordinators(coordinators.collect()));
    }
    let (place, refusal) = placed(find(&request.key));
    let response = FindCoordinatorResponse::default()
        .with_node_id(place.node)
        .with_host(place.host)
        .with_port(place.port)
        .with_error_code(refusal.map_or(ErrorCode::None, |refusal| refusal.code).code())
        .with_error_message(refusal.map(|refusal| StrBytes::from_static_str(refusal.message)));
    reply_to.encode(&response)
}

/// The leader of a coordinator's partition, or what it means that there is none.
fn leader(context: &Context<'_>, leader: Option<NodeId>, message: &'static str) -> Result<Place, Refusal> {
    let nobody = Refusal { code: ErrorCode::CoordinatorNotAvailable, message };
    leader.ok_or(nobody).and_then(|node| place_of(context, node))
}

/// A broker, as the clients of the request's listener reach it.
fn place_of(context: &Context<'_>, node: NodeId) -> Result<Place, Refusal> {
    let listener = super::metadata::listener_name(context);
    let broker = context.image.broker(node).filter(|broker| !broker.fenced || node == context.place.node);
    match broker.and_then(|broker| broker.endpoint(listener)) {
        Some(endpoint) => Ok(Place {
            node: node.0.into(),
            host: text(endpoint.host.clone()),
            port: i32::from(endpoint.port),
        }),
        None => Err(Refusal {
            code: ErrorCode::CoordinatorNotAvailable,
            message: "The coordinator is not reached by the request's listener",
        }),
    }
}

fn placed(found: Result<Place, Refusal>) -> (Place, Option<Refusal>) {
    match found {
        Ok(place) => (place, None),
        Err(refusal) => (Place::NOWHERE, Some(refusal)),
    }
}

/// What is wrong with a key of this type, if anything.
fn refused(key_type: i8, key: &str, version: i16) -> Option<Refusal> {
    let message = match key_type {
        GROUP | TRANSACTION => return None,
        SHARE if version < SHARE_FROM => "Coordinators of share groups are found from version 6 on",
        SHARE if is_share_partition(key) => return None,
        SHARE => "The key of a share group's partition is GROUP:TOPIC-ID:PARTITION",
        _ => "Unknown type of coordinator",
    };
    Some(Refusal { code: ErrorCode::InvalidRequest, message })
}

/// `GROUP:TOPIC-ID:PARTITION`. The group may contain colons; the topic's id is written as everywhere in Kafka, 16 bytes
/// in URL-safe base 64.
fn is_share_partition(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let (Some(partition), Some(topic_id), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let digits = topic_id.strip_suffix("==").unwrap_or(topic_id);
    !group.trim().is_empty()
        && digits.len() == 22
        && digits.bytes().all(is_digit)
        && partition.parse::<i32>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC_ID: &str = "gqPB3ew1Q9iWmL0t2k_-7A";

    #[test]
    fn any_text_names_a_group_or_a_transaction_in_every_version() {
        for version in 0..=6 {
            for key in ["", "group", "with spaces and ö", "a:b"] {
                assert!(
                    refused(GROUP, key, version).is_none() && refused(TRANSACTION, key, version).is_none()
                );
            }
        }
    }

    #[test]
    fn a_share_groups_partition_is_group_topic_id_and_partition_from_version_6_on() {
        let code = |key: &str, version| refused(SHARE, key, version).map(|refusal| refusal.code);
        let good = format!("group:{TOPIC_ID}:0");
        assert_eq!(code(&good, 6), None);
        assert_eq!(code(&good, 5), Some(ErrorCode::InvalidRequest));
        assert_eq!(code(&format!("with:colons:{TOPIC_ID}==:17"), 6), None);
        let bad = [
            String::new(),
            "group".to_owned(),
            format!("group:{TOPIC_ID}"),
            format!(":{TOPIC_ID}:0"),
            format!(" :{TOPIC_ID}:0"),
            "group:not-an-id:0".to_owned(),
            format!("group:{}+:0", &TOPIC_ID[1..]),
            format!("group:{TOPIC_ID}:first"),
            format!("group:{TOPIC_ID}:"),
            format!("group:{TOPIC_ID}:2147483648"),
        ];
        for key in bad {
            assert_eq!(code(&key, 6), Some(ErrorCode::InvalidRequest), "{key}");
        }
    }

    #[test]
    fn other_types_of_coordinators_are_refused() {
        for key_type in [-1, 3, i8::MIN, i8::MAX] {
            let refusal = refused(key_type, "group", 6).expect("refused");
            assert_eq!(refusal.code, ErrorCode::InvalidRequest);
        }
    }
}
