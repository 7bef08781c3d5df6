//! ConsumerGroupDescribe (key 69), versions 0-1 (KIP-848; the type of a member v1: KIP-1099).
//!
//! Tells of groups of the new protocol; a classic group is told of by DescribeGroups.

use super::{
    groups::{self, WRONG_KIND, told},
    respond::{ReplyTo, too_many},
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    groups::{Reply, Request, Response},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId,
    consumer_group_describe_response::DescribedGroup,
};

/// The first version that tells which protocol a member speaks.
const MEMBER_TYPE_FROM: i16 = 1;
/// "Not known", of a member's type.
const NO_TYPE: i8 = -1;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ConsumerGroupDescribeRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let names = request.group_ids;
    if let Some(refusal) = too_many(names.len()) {
        return Ok(refusal);
    }
    if !groups::new_protocol_is_served(context) {
        let each = names.iter().map(|name| refused(name, ErrorCode::UnsupportedVersion));
        return reply_to.ready(&ConsumerGroupDescribeResponse::default().with_groups(each.collect()));
    }
    let requests = names.iter().map(|name| groups::named(name).map(Request::DescribeConsumer)).collect();
    Ok(groups::ask_each(context, "ConsumerGroupDescribe", requests, move |_, replies| {
        let groups = names.iter().zip(replies).map(|(name, reply)| group(name, reply, reply_to.version));
        reply_to.encode(&ConsumerGroupDescribeResponse::default().with_groups(groups.collect()))
    }))
}

fn group(name: &GroupId, reply: Reply, version: i16) -> DescribedGroup {
    match reply {
        Ok(Response::DescribedConsumer(mut group)) => {
            if version < MEMBER_TYPE_FROM {
                group.members.iter_mut().for_each(|member| member.member_type = NO_TYPE);
            }
            *group
        }
        Ok(_) => refused(name, WRONG_KIND),
        Err(error) => refused(name, told(error)),
    }
}

fn refused(name: &GroupId, error: ErrorCode) -> DescribedGroup {
    DescribedGroup::default().with_group_id(name.clone()).with_error_code(error.code())
}
