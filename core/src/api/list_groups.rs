//! ListGroups (key 16), versions 0-5 (states v4: KIP-518; types v5: KIP-848).

use super::respond::{ReplyTo, text};
use crate::{
    engine::{Ask, Context, Gather, OwnerRequest, OwnerResponse, Response, Start, Step},
    error::ErrorCode,
    groups,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use corelane_seam::ShardId;
use kafka_protocol::{
    messages::{ListGroupsRequest, ListGroupsResponse, list_groups_response::ListedGroup},
    protocol::StrBytes,
};

/// The groups of all shards.
struct List {
    reply_to: ReplyTo,
    left: u16,
    groups: Vec<groups::ListedGroup>,
    error: ErrorCode,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ListGroupsRequest = decode_request(header, frame)?;
    let words = |list: &[StrBytes]| list.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let (states, kinds) = (words(&request.states_filter), words(&request.types_filter));
    let shards = context.place.shards;
    let asks = (0..shards).map(|shard| {
        let request = OwnerRequest::ListGroups { states: states.clone(), kinds: kinds.clone() };
        Ask::Owner(ShardId(shard), request)
    });
    let gather =
        List { reply_to: ReplyTo::new(header), left: shards, groups: Vec::new(), error: ErrorCode::None };
    Ok(Start::Gather { asks: asks.collect(), gather: Box::new(gather), deadline: None })
}

impl List {
    fn finish(&mut self) -> Response {
        let version = self.reply_to.version;
        self.groups.sort_by(|a, b| a.group.cmp(&b.group));
        let groups = std::mem::take(&mut self.groups).into_iter().map(|group| {
            let mut told = ListedGroup::default()
                .with_group_id(text(&*group.group).into())
                .with_protocol_type(text(&*group.protocol_type));
            if version >= 4 {
                told.group_state = text(group.state);
            }
            if version >= 5 {
                told.group_type = text(group.kind);
            }
            told
        });
        let response = ListGroupsResponse::default().with_groups(groups.collect());
        self.reply_to.encode(&response.with_error_code(self.error.code()))
    }
}

impl Gather for List {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::ListedGroups(result) = response else { return Step::Wait };
        self.left -= 1;
        match result {
            Ok(mut groups) => self.groups.append(&mut groups),
            Err(error) => self.error = error,
        }
        if self.left == 0 { Step::Done(self.finish()) } else { Step::Wait }
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish())
    }

    fn name(&self) -> &'static str {
        "ListGroups"
    }
}
