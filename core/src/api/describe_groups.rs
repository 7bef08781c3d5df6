//! DescribeGroups (key 15), versions 0-6 (static members v4: KIP-345; unknown groups are an error from v6: KIP-1043).
//!
//! Tells of classic groups; a group of the new protocol is told of by ConsumerGroupDescribe.

use super::{
    groups::{self, WRONG_KIND, told},
    respond::{ReplyTo, text, too_many},
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    groups::{Reply, Request, Response},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    describe_groups_response::{DescribedGroup, DescribedGroupMember},
};

/// The first version in which a group that there is not is an error instead of a dead group.
const UNKNOWN_IS_AN_ERROR_FROM: i16 = 6;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeGroupsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let names = request.groups;
    if let Some(refusal) = too_many(names.len()) {
        return Ok(refusal);
    }
    let requests = names.iter().map(|name| groups::named(name).map(Request::Describe)).collect();
    Ok(groups::ask_each(context, "DescribeGroups", requests, move |_, replies| {
        let groups = names.iter().zip(replies).map(|(name, reply)| group(name, reply, reply_to.version));
        reply_to.encode(&DescribeGroupsResponse::default().with_groups(groups.collect()))
    }))
}

fn group(name: &GroupId, reply: Reply, version: i16) -> DescribedGroup {
    let response = DescribedGroup::default().with_group_id(name.clone());
    let error = match reply {
        Ok(Response::Described(group)) => {
            let members = group.members.into_iter().map(|member| {
                let told = DescribedGroupMember::default()
                    .with_member_id(text(&*member.id))
                    .with_client_id(text(&*member.client_id))
                    .with_client_host(text(&*member.client_host))
                    .with_member_metadata(member.metadata)
                    .with_member_assignment(member.assignment);
                let instance = member.instance.filter(|_| version >= 4);
                told.with_group_instance_id(instance.map(|instance| text(&*instance)))
            });
            return response
                .with_group_state(text(group.state))
                .with_protocol_type(text(&*group.protocol_type))
                .with_protocol_data(text(&*group.protocol))
                .with_members(members.collect());
        }
        Ok(_) => WRONG_KIND,
        Err(error) => told(error),
    };
    if error != ErrorCode::GroupIdNotFound {
        return response.with_error_code(error.code());
    }
    let response = response.with_group_state(text("Dead"));
    if version < UNKNOWN_IS_AN_ERROR_FROM {
        return response;
    }
    response
        .with_error_code(error.code())
        .with_error_message(Some(text(format!("Group {} not found.", name.as_str()))))
}
