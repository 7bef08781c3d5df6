//! ConsumerGroupHeartbeat: everything that a member of the new protocol has to say.

use super::{
    Act,
    change::Change,
    member::{Held, LEAVE, LEAVE_FOR_A_WHILE, Member, Position, sorted},
    settings,
};
use crate::{
    config::BrokerConfig,
    error::ErrorCode,
    groups::{
        face::Client,
        records::{MemberId, MemberSubscription, Record, TopicPartitions},
    },
    ids::TopicId,
};
use kafka_protocol::{
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
        consumer_group_heartbeat_response::{Assignment, TopicPartitions as AssignedPartitions},
    },
    protocol::StrBytes,
};
use std::{borrow::Cow, cmp::Ordering, sync::Arc};
use tracing::info;

/// The first version in which members name themselves (KIP-1082).
const NAMES_ITSELF_FROM: i16 = 1;

/// "As before", of a timeout.
const UNCHANGED: i32 = -1;

/// Why a member is refused, in words for its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kafka's error.
    pub error: ErrorCode,
    /// Kafka's sentence.
    pub message: String,
}

impl Refusal {
    pub(in crate::groups) fn new(error: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { error, message: message.into() }
    }

    /// As the answer to a heartbeat.
    pub fn response(self) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse::default()
            .with_error_code(self.error.code())
            .with_error_message(Some(StrBytes::from_string(self.message)))
    }
}

/// What can be said of a request without knowing its group
/// (`GroupCoordinatorService.throwIfConsumerGroupHeartbeatRequestIsInvalid`).
///
/// # Errors
/// INVALID_REQUEST, UNSUPPORTED_ASSIGNOR.
pub fn validate(
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
    config: &BrokerConfig,
) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    let is_blank = |text: &str| text.trim().is_empty();
    let is_named = request.member_epoch > 0 || request.member_epoch == LEAVE;
    if (is_named || version >= NAMES_ITSELF_FROM) && is_blank(&request.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if is_blank(&request.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if request.instance_id.as_deref().is_some_and(is_blank) {
        return invalid("InstanceId can't be empty.");
    }
    if request.rack_id.as_deref().is_some_and(is_blank) {
        return invalid("RackId can't be empty.");
    }
    match request.member_epoch {
        0 => {
            if request.rebalance_timeout_ms == UNCHANGED {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
                return invalid(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                );
            }
        }
        LEAVE_FOR_A_WHILE if request.instance_id.is_none() => return invalid("InstanceId can't be null."),
        ..LEAVE_FOR_A_WHILE => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    let supported = &config.groups.consumer.assignors;
    match request.server_assignor.as_deref() {
        Some(name) if !supported.iter().any(|it| it == name) => {
            let supported = supported.join(", ");
            let message =
                format!("ServerAssignor {name} is not supported. Supported assignors: {supported}.");
            Err(Refusal::new(ErrorCode::UnsupportedAssignor, message))
        }
        _ => Ok(()),
    }
}

/// Changes a field of what a member said, if it changes: what is shared stays shared.
macro_rules! say {
    ($said:ident.$field:ident = $value:expr) => {{
        let value = $value;
        if $said.$field != value {
            Arc::make_mut(&mut $said).$field = value;
        }
    }};
}

impl<'a> Act<'a> {
    /// A member joins, goes on, or leaves.
    ///
    /// # Errors
    /// GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID,
    /// INVALID_REGULAR_EXPRESSION: nothing of what was written down holds then.
    pub fn heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        client: &Client,
        records: &mut Vec<Record>,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let group = self.group;
        let id: MemberId = match request.member_id.as_str() {
            "" => TopicId(client.fresh).to_string().into(),
            name => name.into(),
        };
        self.has_room_for(&id)?;
        let owned = request.topic_partitions.as_ref().map(|owned| {
            let each = owned
                .iter()
                .map(|it| TopicPartitions { topic: TopicId(it.topic_id), partitions: it.partitions.clone() });
            each.collect::<Vec<_>>()
        });
        let epoch = request.member_epoch;
        let (before, replaces) = match request.instance_id.as_deref() {
            None => (self.dynamic(&id, epoch, owned.as_deref())?, None),
            Some(instance) if epoch == 0 => self.static_joins(&id, instance, false, records)?,
            Some(instance) => (self.static_goes_on(&id, instance, epoch, owned.as_deref())?, None),
        };
        let said = said(&before, request, client);
        let mut change = Change::new(group, id, replaces, before, said);
        let next = self.subscribe(&mut change, records)?;
        let target = self.target(&change, next.epoch, records);
        let step = self.step(&change, &target, next.subscription_changed, owned.as_deref(), records)?;
        let before = &change.before.position;
        let position = step.as_ref().unwrap_or(before);
        let alarm = self.session(&change.id);
        self.alarm_in(alarm, settings::session_timeout_ms(self.scene, self.id));

        let is_full = request.rebalance_timeout_ms != UNCHANGED
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && owned.is_some();
        let is_told = epoch == 0 || is_full || position.assigned != before.assigned;
        Ok(ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(StrBytes::from_string(change.id.to_string())))
            .with_member_epoch(position.epoch)
            .with_heartbeat_interval_ms(settings::heartbeat_interval_ms(self.scene, self.id))
            .with_assignment(is_told.then(|| told(&position.assigned))))
    }

    /// A group that has its most members takes no others.
    pub(super) fn has_room_for(&self, id: &str) -> Result<(), Refusal> {
        let most = self.scene.config.groups.consumer.size_max;
        if self.group.members.len() < most || self.group.members.contains_key(id) {
            return Ok(());
        }
        let message = format!("The consumer group has reached its maximum capacity of {most} members.");
        Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message))
    }

    /// A member without a static name: as it is known, or a new one if it joins.
    fn dynamic(
        &self,
        id: &MemberId,
        epoch: i32,
        owned: Option<&[TopicPartitions]>,
    ) -> Result<Cow<'a, Member>, Refusal> {
        let group = self.group;
        match group.members.get(id) {
            Some(member) => {
                member.position.accepts(epoch, owned)?;
                Ok(Cow::Borrowed(member))
            }
            None if epoch == 0 => {
                info!(group = %self.id, member = %id, "joins");
                Ok(Cow::Owned(Member::unheard()))
            }
            None => Err(self.unknown(id)),
        }
    }

    pub(super) fn unknown(&self, id: &str) -> Refusal {
        let message = format!("Member {id} is not a member of group {}.", self.id);
        Refusal::new(ErrorCode::UnknownMemberId, message)
    }

    /// A static member joins: if it was there before and has left for a while, or has been of the classic protocol, it
    /// goes on from where it was, under its new name.
    pub(super) fn static_joins(
        &mut self,
        id: &MemberId,
        instance: &str,
        is_classic: bool,
        records: &mut Vec<Record>,
    ) -> Result<(Cow<'a, Member>, Option<MemberId>), Refusal> {
        let Some((old, member)) = self.static_member(instance) else {
            info!(group = %self.id, member = %id, instance, "joins");
            return Ok((self.known(id), None));
        };
        let is_free = is_classic || member.classic().is_some();
        if !is_free && member.position.epoch != LEAVE_FOR_A_WHILE {
            let message = format!(
                "Static member {id} with instance id {instance} cannot join the group because the instance id is \
                 owned by {old} member."
            );
            info!(group = %self.id, "{message}");
            return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, message));
        }
        info!(group = %self.id, member = %id, instance, before = %old, "is back");
        let position = Position { epoch: 0, previous_epoch: 0, ..member.position.clone() };
        let back = Member { said: Arc::clone(&member.said), position };
        self.replace(old, id, &back, records);
        Ok((Cow::Owned(back), Some(Arc::clone(old))))
    }

    /// A member as it is known, or as one of whom nothing is.
    pub(super) fn known(&self, id: &str) -> Cow<'a, Member> {
        let group = self.group;
        group.members.get(id).map_or_else(|| Cow::Owned(Member::unheard()), Cow::Borrowed)
    }

    pub(super) fn static_member(&self, instance: &str) -> Option<(&'a MemberId, &'a Member)> {
        let group = self.group;
        group.static_member(instance).and_then(|id| group.members.get_key_value(id))
    }

    /// Writes down a member under its new name.
    fn replace(&self, old: &MemberId, new: &MemberId, member: &Member, records: &mut Vec<Record>) {
        self.remove(old, records);
        let group = || Arc::clone(self.id);
        let id = || Arc::clone(new);
        let target = super::member::listed(self.group.target(old));
        records.push(Record::Member { group: group(), member: id(), value: Some((*member.said).clone()) });
        records.push(Record::Target { group: group(), member: id(), value: Some(target) });
        records.push(Record::Current {
            group: group(),
            member: id(),
            value: Some(member.position.to_value()),
        });
    }

    /// A static member that is there.
    fn static_goes_on(
        &self,
        id: &MemberId,
        instance: &str,
        epoch: i32,
        owned: Option<&[TopicPartitions]>,
    ) -> Result<Cow<'a, Member>, Refusal> {
        let member = self.holder(instance, id)?.1;
        member.position.accepts(epoch, owned)?;
        Ok(Cow::Borrowed(member))
    }

    /// The member with this static name, which must be the one of this name.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    pub(super) fn holder(&self, instance: &str, id: &str) -> Result<(&'a MemberId, &'a Member), Refusal> {
        let Some((holder, member)) = self.static_member(instance) else {
            let message = format!("Instance id {instance} is unknown.");
            return Err(Refusal::new(ErrorCode::UnknownMemberId, message));
        };
        if **holder != *id {
            let message =
                format!("Static member {id} with instance id {instance} was fenced by member {holder}.");
            info!(group = %self.id, "{message}");
            return Err(Refusal::new(ErrorCode::FencedInstanceId, message));
        }
        Ok((holder, member))
    }
}

impl Position {
    /// Whether a member may go on in this epoch: in its own, or in the one before as long as it owns nothing that it was
    /// not given, because the last answer may be lost.
    ///
    /// # Errors
    /// FENCED_MEMBER_EPOCH.
    fn accepts(&self, epoch: i32, owned: Option<&[TopicPartitions]>) -> Result<(), Refusal> {
        let size = match epoch.cmp(&self.epoch) {
            _ if epoch == 0 => return Ok(()),
            Ordering::Equal => return Ok(()),
            Ordering::Greater => "greater",
            Ordering::Less if epoch == self.previous_epoch && self.has_given(owned) => return Ok(()),
            Ordering::Less => "smaller",
        };
        let message = format!(
            "The consumer group member has a {size} member epoch ({epoch}) than the one known by the group coordinator \
             ({}). The member must abandon all its partitions and rejoin.",
            self.epoch
        );
        Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
    }

    fn has_given(&self, owned: Option<&[TopicPartitions]>) -> bool {
        let given = |owned: &TopicPartitions| match self.assigned.get(&owned.topic) {
            Some(assigned) => owned.partitions.iter().all(|partition| assigned.contains_key(partition)),
            None => false,
        };
        owned.is_some_and(|owned| owned.iter().all(given))
    }
}

/// What a member has said, with what it says now: what it leaves out is as before.
fn said(
    before: &Member,
    request: &ConsumerGroupHeartbeatRequest,
    client: &Client,
) -> Arc<MemberSubscription> {
    let mut said = Arc::clone(&before.said);
    let own = |text: &Option<StrBytes>| text.as_deref().map(Arc::<str>::from);
    if request.instance_id.is_some() {
        say!(said.instance_id = own(&request.instance_id));
    }
    if request.rack_id.is_some() {
        say!(said.rack_id = own(&request.rack_id));
    }
    if request.rebalance_timeout_ms != UNCHANGED {
        say!(said.rebalance_timeout_ms = request.rebalance_timeout_ms);
    }
    if request.server_assignor.is_some() {
        say!(said.assignor = own(&request.server_assignor));
    }
    if let Some(names) = &request.subscribed_topic_names {
        say!(said.topics = sorted(names.iter().map(|name| name.as_str().into()).collect()));
    }
    if request.subscribed_topic_regex.is_some() {
        say!(said.regex = own(&request.subscribed_topic_regex));
    }
    say!(said.client_id = Arc::clone(&client.id));
    say!(said.client_host = Arc::clone(&client.host));
    say!(said.classic = None);
    said
}

/// What a member owns, as it is told.
fn told(assigned: &Held) -> Assignment {
    let topics = assigned.iter().map(|(topic, partitions)| {
        AssignedPartitions::default()
            .with_topic_id(topic.0)
            .with_partitions(partitions.keys().copied().collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
