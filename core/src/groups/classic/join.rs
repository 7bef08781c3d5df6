//! JoinGroup to a classic group.

use super::{Act, Terms, group::State, member::Member, rebalance::text};
use crate::{
    error::ErrorCode,
    groups::{
        alarms::Alarm,
        face::{Client, Reply, Response, Then, Ticket},
        records::{MemberId, Record},
    },
};
use bytes::Bytes;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use std::sync::Arc;
use tracing::info;

/// The first version in which a new member must come back with the name it is given (KIP-394).
const NAME_REQUIRED_FROM: i16 = 4;
/// The first version in which a leader can be told not to assign (KIP-814).
const SKIPS_ASSIGNMENT_FROM: i16 = 9;

/// A JoinGroup, read.
pub(in crate::groups) struct Join {
    pub ticket: Ticket,
    pub version: i16,
    pub client: Client,
    /// Empty for a new member.
    pub member: MemberId,
    pub instance: Option<Arc<str>>,
    pub protocol_type: Arc<str>,
    pub terms: Terms,
    pub reason: String,
}

impl Join {
    /// Copies what is kept out of the request's frame: a member of a group would else hold on to all of it.
    pub fn new(ticket: Ticket, request: &JoinGroupRequest, version: i16, client: Client) -> Join {
        let protocols = request
            .protocols
            .iter()
            .map(|protocol| (Arc::from(protocol.name.as_str()), Bytes::copy_from_slice(&protocol.metadata)));
        // Version 0 has one timeout for both.
        let rebalance_timeout_ms =
            if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
        let reason = request.reason.as_deref().filter(|reason| !reason.is_empty());
        Join {
            ticket,
            version,
            client,
            member: Arc::from(request.member_id.as_str()),
            instance: request.group_instance_id.as_deref().map(Arc::from),
            protocol_type: Arc::from(request.protocol_type.as_str()),
            terms: Terms {
                protocols: protocols.collect(),
                session_timeout_ms: request.session_timeout_ms,
                rebalance_timeout_ms,
            },
            reason: reason.unwrap_or("not provided").to_owned(),
        }
    }

    fn new_name(&self) -> MemberId {
        let prefix = self.instance.as_ref().unwrap_or(&self.client.id);
        format!("{prefix}-{}", self.client.fresh).into()
    }

    /// A refusal names the member, as far as it has a name.
    pub fn refusal(error: ErrorCode, member: &str) -> Reply {
        let response =
            JoinGroupResponse::default().with_error_code(error.code()).with_member_id(text(member));
        Ok(Response::Join(Box::new(response.with_generation_id(-1))))
    }
}

impl Act<'_> {
    /// A member joins, or joins again.
    pub fn join(&mut self, join: Join) {
        if !self.has_room_for(&join.member) {
            self.group.remove(&join.member);
            return self.refuse(&join, ErrorCode::GroupMaxSizeReached, "");
        }
        if !self.group.supports(&join.protocol_type, &join.terms.protocols) {
            let member = Arc::clone(&join.member);
            return self.refuse(&join, ErrorCode::InconsistentGroupProtocol, &member);
        }
        if join.member.is_empty() { self.join_new(join) } else { self.join_again(join) }
    }

    fn refuse(&mut self, join: &Join, error: ErrorCode, member: &str) {
        self.out.replies.push((join.ticket, Join::refusal(error, member)));
    }

    fn has_room_for(&self, member: &str) -> bool {
        let most = self.scene.config.groups.size_max;
        let known = self.group.members.get(member);
        match self.group.state() {
            State::Empty => true,
            State::PreparingRebalance => {
                known.is_some_and(|member| member.joining.is_some()) || self.group.joining() < most
            }
            State::CompletingRebalance | State::Stable => known.is_some() || self.group.members.len() < most,
        }
    }

    fn join_new(&mut self, join: Join) {
        let name = join.new_name();
        if let Some(instance) = &join.instance {
            return match self.group.static_member(instance).cloned() {
                Some(old) => self.replace_static(&old, name, join),
                None => self.add(name, join),
            };
        }
        if join.version < NAME_REQUIRED_FROM {
            return self.add(name, join);
        }
        // A member whose first answer is lost would join again and again under ever new names.
        let ms = u64::from(join.terms.session_timeout_ms.max(0).unsigned_abs());
        self.alarm_in(Alarm::Session(Arc::clone(self.id), Arc::clone(&name)), ms);
        self.refuse(&join, ErrorCode::MemberIdRequired, &name);
        self.group.pending.insert(name);
    }

    fn join_again(&mut self, join: Join) {
        let id = Arc::clone(&join.member);
        if self.group.pending.contains(&id) {
            if join.instance.is_some() {
                // Static members are never asked to come back with a name.
                return self.refuse(&join, ErrorCode::UnknownMemberId, &id);
            }
            return self.add(id, join);
        }
        if let Err(error) = self.group.validate(&id, join.instance.as_deref()) {
            return self.refuse(&join, error, &id);
        }
        let Some(member) = self.group.members.get(&id) else { return };
        let same = member.terms.protocols == join.terms.protocols;
        let state = self.group.state();
        let what = match state {
            State::PreparingRebalance => format!("member {id} joins"),
            State::CompletingRebalance if same => return self.tell_joined(join.ticket, &id, false),
            State::Stable if self.group.is_leader(&id) => format!("leader {id} joins again"),
            // The answer to its last join was lost, or it was slow: nothing changes.
            State::Stable if same => return self.tell_joined(join.ticket, &id, false),
            State::CompletingRebalance | State::Stable => format!("member {id} changed its metadata"),
            State::Empty => return self.refuse(&join, ErrorCode::UnknownMemberId, &id),
        };
        self.group.set_terms(&id, join.terms);
        if let Some(earlier) = self.group.set_joining(&id, Some(join.ticket)) {
            // It asked twice; the connection of the first question is gone, or it would not have.
            self.out.replies.push((earlier, Join::refusal(ErrorCode::RebalanceInProgress, &id)));
        }
        self.rebalance(&format!("{what} during {}; client reason: {}", state.name(), join.reason));
    }

    fn add(&mut self, id: MemberId, join: Join) {
        if let Some(initial) = &mut self.group.initial {
            initial.more_came = true;
        }
        if self.group.members.is_empty() {
            self.group.protocol_type = Some(Arc::clone(&join.protocol_type));
            self.group.leader = None;
        }
        let instance = join.instance.as_deref().unwrap_or("none").to_owned();
        self.group.insert(Member {
            id: Arc::clone(&id),
            instance: join.instance,
            client_id: join.client.id,
            client_host: join.client.host,
            terms: join.terms,
            assignment: Bytes::new(),
            joining: Some(join.ticket),
            syncing: None,
            is_new: true,
        });
        // It waits without a heartbeat; if its client is gone meanwhile, it shall not hold up the group for ever.
        let ms = self.scene.config.groups.new_member_join_timeout_ms;
        self.alarm_in(Alarm::Session(Arc::clone(self.id), Arc::clone(&id)), ms);
        let reason = join.reason;
        self.rebalance(&format!("new member {id}, static name {instance}; client reason: {reason}"));
    }

    /// A static member comes back without its name: it was restarted. It gets a new one, so that its former self is
    /// fenced, and its old assignment, so that nothing moves (KIP-345).
    fn replace_static(&mut self, old: &MemberId, new: MemberId, join: Join) {
        info!(group = %self.id, "static member {old} is {new} from now on");
        if let Some(ticket) = self.group.set_joining(old, None) {
            self.out.replies.push((ticket, Join::refusal(ErrorCode::FencedInstanceId, old)));
        }
        if let Some(ticket) = self.group.members.get_mut(old).and_then(|member| member.syncing.take()) {
            self.out.replies.push((ticket, Err(ErrorCode::FencedInstanceId)));
        }
        self.alarms.cancel(&Alarm::Session(Arc::clone(self.id), Arc::clone(old)));
        self.group.rename(old, Arc::clone(&new));
        let Some(before) = self.group.set_terms(&new, join.terms) else { return };
        self.group.set_joining(&new, Some(join.ticket));
        self.heard(&new);
        match self.group.state() {
            State::Stable if self.group.elect_protocol() == self.group.protocol => {
                let value = Some(self.group.to_value(|member| member.assignment.clone()));
                self.out.records.push(Record::ClassicGroup { group: Arc::clone(self.id), value });
                self.out.applied = true;
                self.out.then = Some(Then::StaticMemberReplaced {
                    group: Arc::clone(self.id),
                    old: Arc::clone(old),
                    new,
                    before,
                    may_skip: join.version >= SKIPS_ASSIGNMENT_FROM,
                });
            }
            State::Stable => self.rebalance(&format!(
                "the protocol changes with static member {new}; client reason: {}",
                join.reason
            )),
            State::CompletingRebalance => self.prepare(&format!(
                "static member {new} changed its metadata; client reason: {}",
                join.reason
            )),
            State::PreparingRebalance | State::Empty => self.complete_if_all_joined(),
        }
    }

    /// The new name of a static member is committed, or is not.
    pub fn static_member_replaced(
        &mut self,
        old: &MemberId,
        new: &MemberId,
        before: Terms,
        may_skip: bool,
        stored: Result<(), ErrorCode>,
    ) {
        match stored {
            Ok(()) => {
                let Some(ticket) = self.group.set_joining(new, None) else { return };
                if may_skip {
                    return self.tell_joined(ticket, new, true);
                }
                // To a client that cannot skip the assignment, its former self is named as the leader, so that it
                // does not assign.
                let leads = self.group.is_leader(new);
                self.tell_joined(ticket, new, false);
                if leads && let Some((_, Ok(Response::Join(response)))) = self.out.replies.last_mut() {
                    response.leader = text(old);
                    response.members.clear();
                }
            }
            Err(error) => {
                if let Some(ticket) = self.group.set_joining(new, None) {
                    self.out.replies.push((ticket, Join::refusal(error, "")));
                }
                self.alarms.cancel(&Alarm::Session(Arc::clone(self.id), Arc::clone(new)));
                self.group.rename(new, Arc::clone(old));
                self.group.set_terms(old, before);
                self.heard(old);
            }
        }
    }
}
