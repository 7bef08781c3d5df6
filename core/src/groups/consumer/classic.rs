//! Members of the classic protocol in a consumer group: they join, sync and send heartbeats as ever, and each gets what
//! the coordinator gives it. A rebalance is each one's own: it is asked to join again when there is something to give up,
//! or to get.

use super::{
    Act,
    change::Change,
    heartbeat::Refusal,
    member::{Member, Progress, sorted},
    migrate::{CONSUMER, Joining},
    protocol::{Subscription, version_of, write_assignment},
};
use crate::{
    error::ErrorCode,
    groups::{
        alarms::Alarm,
        face::{Client, Outcome, Response, Then},
        records::{ClassicMetadata, MemberId, MemberSubscription},
    },
    ids::TopicId,
};
use bytes::Bytes;
use kafka_protocol::{
    messages::{
        HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
        SyncGroupRequest, SyncGroupResponse, leave_group_response::MemberResponse,
    },
    protocol::StrBytes,
};
use std::{borrow::Cow, sync::Arc};
use tracing::info;

/// The first version in which a new member must come back with the name it is given (KIP-394).
const NAME_REQUIRED_FROM: i16 = 4;

impl<'a> Act<'a> {
    /// A member joins, or joins again (`GroupMetadataManager.classicGroupJoinToConsumerGroup`).
    ///
    /// # Errors
    /// INCONSISTENT_GROUP_PROTOCOL, GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    pub fn join(
        &mut self,
        request: &JoinGroupRequest,
        version: i16,
        client: &Client,
        out: &mut Outcome,
    ) -> Result<JoinGroupResponse, Refusal> {
        let migration = self.scene.config.groups.consumer.migration;
        if !migration.upgrade && !migration.downgrade {
            return Err(Refusal::new(
                ErrorCode::InconsistentGroupProtocol,
                "the group migration is disabled",
            ));
        }
        let is_unnamed = request.member_id.is_empty();
        let id: MemberId = match request.member_id.as_str() {
            "" => TopicId(client.fresh).to_string().into(),
            name => name.into(),
        };
        self.has_room_for(&id)?;
        let subscription = self.readable(request)?;
        if is_unnamed && request.group_instance_id.is_none() && version >= NAME_REQUIRED_FROM {
            let response = JoinGroupResponse::default().with_error_code(ErrorCode::MemberIdRequired.code());
            return Ok(response.with_generation_id(-1).with_member_id(text(&id)));
        }
        let (before, replaces) = match request.group_instance_id.as_deref() {
            Some(instance) if is_unnamed => self.static_joins(&id, instance, true, &mut out.records)?,
            Some(instance) => (Cow::Borrowed(self.holder(instance, &id)?.1), None),
            None => (self.known(&id), None),
        };
        let holder = request.group_instance_id.as_deref().and_then(|instance| self.static_member(instance));
        let goes_back = holder.is_some_and(|(_, holder)| self.goes_back_with(holder));
        // Version 0 has one timeout for both.
        let rebalance_timeout_ms =
            if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
        let said = said(&before, request, rebalance_timeout_ms, &subscription, client);
        let mut change = Change::new(self.group, id, replaces, before, said);
        let next = self.subscribe(&mut change, &mut out.records)?;
        let owned = subscription.owned(self.scene.image);
        let mut step = None;
        if goes_back {
            let rebalances = self.group.target_epoch < next.epoch;
            if !rebalances {
                let target = self.target(&change, next.epoch, &mut out.records);
                let records = &mut out.records;
                step = self.step(&change, &target, next.subscription_changed, Some(&owned), records)?;
            }
            let old = change.replaces.as_ref().unwrap_or(&change.id);
            let joining = Joining { id: &change.id, replaces: old, said: &change.said };
            if !self.downgrade(&[], Some(&joining), &mut out.records) {
                return Err(Refusal::new(ErrorCode::GroupIdNotFound, "the group cannot be a classic one"));
            }
            out.then = Some(Then::Downgraded {
                group: Arc::clone(self.id),
                rebalance: rebalances.then_some("its last assignment was not up to date"),
            });
        } else {
            let target = self.target(&change, next.epoch, &mut out.records);
            let records = &mut out.records;
            step = self.step(&change, &target, next.subscription_changed, Some(&owned), records)?;
            let session = self.session(&change.id);
            self.alarm_in(session, request.session_timeout_ms);
            self.alarm_in(Alarm::Resync(Arc::clone(self.id), Arc::clone(&change.id)), rebalance_timeout_ms);
        }
        self.alarms.cancel(&Alarm::Rejoin(Arc::clone(self.id), Arc::clone(&change.id)));
        Ok(JoinGroupResponse::default()
            .with_member_id(text(&change.id))
            .with_generation_id(step.as_ref().unwrap_or(&change.before.position).epoch)
            .with_protocol_type(Some(text(CONSUMER)))
            .with_protocol_name(request.protocols.first().map(|protocol| text(&protocol.name))))
    }

    /// What a consumer reads, if it can be read and fits in.
    fn readable(&self, request: &JoinGroupRequest) -> Result<Subscription, Refusal> {
        let names = request.protocols.iter().map(|protocol| protocol.name.as_str());
        let fits = request.protocol_type.as_str() == CONSUMER && self.group.supports_classic(names);
        let first = request.protocols.first().filter(|_| fits);
        first.and_then(|protocol| Subscription::read(&protocol.metadata)).ok_or_else(|| {
            let member = &request.member_id;
            let message = format!("Member {member}'s protocols are not supported.", member = member.as_str());
            Refusal::new(ErrorCode::InconsistentGroupProtocol, message)
        })
    }

    /// Whether the group is a classic one once this member speaks the classic protocol.
    fn goes_back_with(&self, holder: &Member) -> bool {
        let members = self.group.members.len();
        holder.classic().is_none() && self.group.classic_members + 1 == members && self.may_go_back(members)
    }

    /// A member asks for what it owns.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL, REBALANCE_IN_PROGRESS.
    pub fn sync(&mut self, request: &SyncGroupRequest) -> Result<Response, ErrorCode> {
        let instance = request.group_instance_id.as_deref();
        let (id, member, classic) = self.classic_member(&request.member_id, instance)?;
        if request.generation_id != member.position.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let protocol = classic.protocols.first();
        let name = protocol.map_or("", |(name, _)| name);
        if request.protocol_type.as_deref().is_some_and(|kind| kind != CONSUMER)
            || request.protocol_name.as_deref().is_some_and(|asked| asked != name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.group.target_epoch > member.position.epoch && member.position.progress != Progress::Unrevoked
        {
            self.wants_rejoin(id, member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.alarms.cancel(&Alarm::Resync(Arc::clone(self.id), Arc::clone(id)));
        let session = self.session(id);
        self.alarm_in(session, classic.session_timeout_ms);
        let version = protocol.map_or(0, |(_, bytes)| version_of(bytes));
        let held = member.position.assigned.iter();
        let held = held.map(|(topic, partitions)| (*topic, partitions.keys().collect()));
        let response = SyncGroupResponse::default()
            .with_protocol_type(request.protocol_type.clone())
            .with_protocol_name(request.protocol_name.clone())
            .with_assignment(write_assignment(held, version, self.scene.image));
        Ok(Response::Sync(Box::new(response)))
    }

    /// A member says that it is there.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION; REBALANCE_IN_PROGRESS when it has something to give up or
    /// to get.
    pub fn classic_heartbeat(&mut self, request: &HeartbeatRequest) -> Result<Response, ErrorCode> {
        let instance = request.group_instance_id.as_deref();
        let (id, member, classic) = self.classic_member(&request.member_id, instance)?;
        if request.generation_id != member.position.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let session = self.session(id);
        self.alarm_in(session, classic.session_timeout_ms);
        let behind = member.position.epoch < self.group.target_epoch;
        let has_news = match member.position.progress {
            Progress::Unrevoked => true,
            Progress::Unreleased => !self.waits_for_others(id, member),
            Progress::Stable | Progress::Unknown => false,
        };
        if behind || has_news {
            self.wants_rejoin(id, member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(Response::Heartbeat)
    }

    /// Whether others hold any of what a member shall own.
    fn waits_for_others(&self, id: &MemberId, member: &Member) -> bool {
        let has = |topic: TopicId, partition: &i32| {
            member.position.assigned.get(&topic).is_some_and(|assigned| assigned.contains_key(partition))
        };
        self.group.target(id).iter().any(|(topic, partitions)| {
            let waits = |it: &i32| !has(*topic, it) && self.group.is_held(*topic, *it);
            partitions.iter().any(waits)
        })
    }

    fn wants_rejoin(&mut self, id: &MemberId, member: &Member) {
        let ms = u64::from(member.said.rebalance_timeout_ms.max(0).unsigned_abs());
        let at = self.scene.now.monotonic.after_ms(ms);
        self.alarms.set_if_absent(Alarm::Rejoin(Arc::clone(self.id), Arc::clone(id)), at);
    }

    fn classic_member(
        &self,
        id: &str,
        instance: Option<&str>,
    ) -> Result<(&'a MemberId, &'a Member, &'a ClassicMetadata), ErrorCode> {
        let group = self.group;
        let (id, member) = match instance {
            None => group.members.get_key_value(id).ok_or(ErrorCode::UnknownMemberId)?,
            Some(instance) => self.holder(instance, id).map_err(|refusal| refusal.error)?,
        };
        let classic = member.said.classic.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
        Ok((id, member, classic))
    }

    /// Members leave, each for itself; an administrator may take out those of either protocol.
    pub fn leave_group(&mut self, request: &LeaveGroupRequest, out: &mut Outcome) -> Response {
        let mut left: Vec<&MemberId> = Vec::new();
        let mut told = Vec::with_capacity(request.members.len());
        for member in &request.members {
            let name = member.member_id.as_str();
            let found = match member.group_instance_id.as_deref() {
                None => self.group.members.get_key_value(name).ok_or(ErrorCode::UnknownMemberId),
                // An administrator knows the static name alone.
                Some(instance) if name.is_empty() => {
                    self.static_member(instance).ok_or(ErrorCode::UnknownMemberId)
                }
                Some(instance) => self.holder(instance, name).map_err(|refusal| refusal.error),
            };
            let mut response = MemberResponse::default()
                .with_member_id(member.member_id.clone())
                .with_group_instance_id(member.group_instance_id.clone());
            match found {
                Ok((id, _)) => {
                    let reason = member.reason.as_deref().filter(|reason| !reason.is_empty());
                    let reason = reason.unwrap_or("not provided");
                    info!(group = %self.id, member = %id, "left; client reason: {reason}");
                    if !left.contains(&id) {
                        left.push(id);
                    }
                }
                Err(error) => response.error_code = error.code(),
            }
            told.push(response);
        }
        self.fence(&left, out);
        Response::Leave(LeaveGroupResponse::default().with_members(told))
    }
}

fn said(
    before: &Member,
    request: &JoinGroupRequest,
    rebalance_timeout_ms: i32,
    subscription: &Subscription,
    client: &Client,
) -> Arc<MemberSubscription> {
    let known = &before.said;
    // Copied out of the request's frame, which it would else keep alive.
    let protocols = request
        .protocols
        .iter()
        .map(|protocol| (Arc::from(protocol.name.as_str()), Bytes::copy_from_slice(&protocol.metadata)));
    let instance = request.group_instance_id.as_deref().map(Arc::from);
    Arc::new(MemberSubscription {
        instance_id: instance.or_else(|| known.instance_id.clone()),
        rack_id: subscription.rack.clone().or_else(|| known.rack_id.clone()),
        client_id: Arc::clone(&client.id),
        client_host: Arc::clone(&client.host),
        topics: sorted(subscription.topics.clone()),
        // The classic protocol has none.
        regex: Some("".into()),
        rebalance_timeout_ms,
        assignor: known.assignor.clone(),
        classic: Some(ClassicMetadata {
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols.collect(),
        }),
    })
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
