//! A classic group: its members, its generation, its state.

use super::member::{Member, Terms};
use crate::{
    error::ErrorCode,
    groups::{
        face::{DescribedGroup, DescribedMember, Ticket},
        records::{GroupValue, MemberId},
    },
};
use bytes::{Buf, Bytes};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The embedded protocol of consumers, whose subscriptions the coordinator can read.
const CONSUMER: &str = "consumer";

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::groups) enum State {
    /// No members; perhaps committed offsets.
    Empty,
    /// Waits for its members to join.
    PreparingRebalance,
    /// Waits for its leader's assignment.
    CompletingRebalance,
    /// Everyone knows what is whose.
    Stable,
}

impl State {
    /// Kafka's word, which tools print.
    pub const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// A group that has just got its first member: how long it waits for more (`group.initial.rebalance.delay.ms`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Initial {
    pub delay_ms: u64,
    pub remaining_ms: u64,
    /// Someone came since the last look.
    pub more_came: bool,
}

/// One group.
#[derive(Debug)]
pub(in crate::groups) struct ClassicGroup {
    state: State,
    state_since_ms: Option<i64>,
    pub generation: i32,
    /// `None` until it had a member: a group of nothing but commits.
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub leader: Option<MemberId>,
    pub members: BTreeMap<MemberId, Member>,
    /// Names by static name.
    statics: BTreeMap<Arc<str>, MemberId>,
    /// Names given to members that have not come back with them yet (KIP-394).
    pub pending: BTreeSet<MemberId>,
    /// Members that have not asked for their assignment of this generation.
    pub unsynced: BTreeSet<MemberId>,
    /// How many members name each protocol.
    protocols: BTreeMap<Arc<str>, usize>,
    /// How many members wait for the join phase to end.
    joining: usize,
    /// What the members read, where that can be told.
    pub subscribed: Option<BTreeSet<String>>,
    /// Set from the first join to the end of the first join phase.
    pub(super) initial: Option<Initial>,
}

impl ClassicGroup {
    /// Without members.
    pub fn new() -> ClassicGroup {
        ClassicGroup {
            state: State::Empty,
            state_since_ms: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            protocols: BTreeMap::new(),
            joining: 0,
            subscribed: None,
            initial: None,
        }
    }

    /// As it was written down.
    pub fn from_value(value: &GroupValue) -> ClassicGroup {
        let mut group = ClassicGroup::new();
        group.state = if value.members.is_empty() { State::Empty } else { State::Stable };
        group.state_since_ms = Some(value.state_since_ms).filter(|at| *at != -1);
        group.generation = value.generation;
        let protocol: Arc<str> = value.protocol.clone().unwrap_or_else(|| "".into());
        for member in &value.members {
            group.insert(Member::from_value(member, &protocol));
        }
        group.protocol_type = Some(Arc::clone(&value.protocol_type)).filter(|kind| !kind.is_empty());
        group.protocol = value.protocol.clone();
        group.leader = value.leader.clone().filter(|id| group.members.contains_key(id)).or(group.leader);
        group.subscribed = group.subscriptions();
        group
    }

    /// As it is written down: with this assignment, nothing for whoever is not in it.
    pub fn to_value(&self, assignment: impl Fn(&Member) -> Bytes) -> GroupValue {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since_ms: self.state_since_ms.unwrap_or(-1),
            members: self.members.values().map(|it| it.to_value(protocol, assignment(it))).collect(),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn enter(&mut self, state: State, now_ms: i64) {
        debug_assert!(
            matches!(
                (self.state, state),
                (State::PreparingRebalance, State::Empty | State::CompletingRebalance)
                    | (State::Empty | State::CompletingRebalance | State::Stable, State::PreparingRebalance)
                    | (State::CompletingRebalance, State::Stable)
            ),
            "a group cannot go from {:?} to {state:?}",
            self.state
        );
        self.state = state;
        self.state_since_ms = Some(now_ms);
    }

    /// Since when it has no members, in milliseconds since 1970.
    pub fn empty_since_ms(&self) -> Option<i64> {
        self.state_since_ms.filter(|_| self.state == State::Empty)
    }

    /// Adds a member. The first one is the leader and says what the group is about.
    pub fn insert(&mut self, member: Member) {
        debug_assert!(!self.members.contains_key(&member.id), "a member is added once");
        if let Some(instance) = &member.instance {
            self.statics.insert(Arc::clone(instance), Arc::clone(&member.id));
        }
        self.leader.get_or_insert_with(|| Arc::clone(&member.id));
        self.count(&member.terms, true);
        self.joining += usize::from(member.joining.is_some());
        self.pending.remove(&member.id);
        self.members.insert(Arc::clone(&member.id), member);
    }

    /// Takes a member out, or a name that was given and not used yet. Another one leads if it did.
    pub fn remove(&mut self, id: &str) -> Option<Member> {
        self.pending.remove(id);
        self.unsynced.remove(id);
        let member = self.members.remove(id)?;
        self.count(&member.terms, false);
        self.joining -= usize::from(member.joining.is_some());
        if let Some(instance) = &member.instance {
            self.statics.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    fn count(&mut self, terms: &Terms, more: bool) {
        for (name, _) in &terms.protocols {
            let count = self.protocols.entry(Arc::clone(name)).or_default();
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
        }
        self.protocols.retain(|_, count| *count > 0);
    }

    /// A member's terms change; what it said before.
    pub fn set_terms(&mut self, id: &str, terms: Terms) -> Option<Terms> {
        let member = self.members.get_mut(id)?;
        let before = std::mem::replace(&mut member.terms, terms.clone());
        self.count(&before, false);
        self.count(&terms, true);
        Some(before)
    }

    /// A member waits for the end of the join phase, or no longer does; whom it waited for.
    pub fn set_joining(&mut self, id: &str, ticket: Option<Ticket>) -> Option<Ticket> {
        let member = self.members.get_mut(id)?;
        let before = std::mem::replace(&mut member.joining, ticket);
        self.joining = self.joining - usize::from(before.is_some()) + usize::from(ticket.is_some());
        before
    }

    /// Takes out whom members wait for.
    pub fn take_waiting(&mut self) -> Vec<Ticket> {
        self.joining = 0;
        let members = self.members.values_mut();
        members.flat_map(|member| [member.joining.take(), member.syncing.take()]).flatten().collect()
    }

    /// The name under which a static member is known.
    pub fn static_member(&self, instance: &str) -> Option<&MemberId> {
        self.statics.get(instance)
    }

    pub fn static_members(&self) -> usize {
        self.statics.len()
    }

    /// A static member gets a new name; the old one's member, without its waiting.
    pub fn rename(&mut self, old: &str, new: MemberId) {
        let Some(mut member) = self.members.remove(old) else { return };
        self.joining -= usize::from(member.joining.take().is_some());
        member.syncing = None;
        member.id = Arc::clone(&new);
        if let Some(instance) = &member.instance {
            self.statics.insert(Arc::clone(instance), Arc::clone(&new));
        }
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(Arc::clone(&new));
        }
        if self.unsynced.remove(old) {
            self.unsynced.insert(Arc::clone(&new));
        }
        self.members.insert(new, member);
    }

    pub fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// How many wait for the join phase to end.
    pub fn joining(&self) -> usize {
        self.joining
    }

    pub fn all_joined(&self) -> bool {
        self.joining == self.members.len() && self.pending.is_empty()
    }

    /// The longest time that a rebalance waits, in milliseconds.
    pub fn rebalance_timeout_ms(&self) -> u64 {
        let longest = self.members.values().map(|member| member.terms.rebalance_timeout_ms).max();
        u64::from(longest.unwrap_or(0).max(0).unsigned_abs())
    }

    /// Whether a member of these terms fits in: of the same type, and with a protocol that all others have too.
    pub fn supports(&self, protocol_type: &str, protocols: &[(Arc<str>, Bytes)]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.all_have(name))
    }

    /// Whether every member has a protocol: also if they are all gone, and only names are pending.
    fn all_have(&self, protocol: &Arc<str>) -> bool {
        self.protocols.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// The protocol that most members like best among those that all have.
    pub fn elect_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.terms.protocols.iter().map(|(name, _)| name).find(|name| self.all_have(name));
            *votes.entry(vote?).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(name, _)| Arc::clone(name))
    }

    /// Whether this member may speak for this group.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, or FENCED_INSTANCE_ID when another holds its static name.
    pub fn validate(&self, id: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            let holder = self.statics.get(instance).ok_or(ErrorCode::UnknownMemberId)?;
            if **holder != *id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether an offset may be committed (`ClassicGroup.validateOffsetCommit`).
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS.
    pub fn validate_commit(
        &self,
        generation: i32,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            self.validate(member, instance)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if self.state != State::Empty {
            // Only members commit while there are any.
            return Err(ErrorCode::UnknownMemberId);
        }
        if self.state == State::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether its members are consumers, whose subscriptions can be read.
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a member reads a topic. Consumers whose subscription cannot be told read everything.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// What the members read, by the chosen protocol; `None` where that cannot be told.
    pub fn subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscribed_topics(member.terms.metadata(protocol)?)?);
        }
        Some(topics)
    }

    pub fn describe(&self) -> DescribedGroup {
        let stable = self.state == State::Stable;
        let protocol = self.protocol.clone().filter(|_| stable).unwrap_or_else(|| "".into());
        let told = |member: &Member| DescribedMember {
            id: Arc::clone(&member.id),
            instance: member.instance.clone(),
            client_id: Arc::clone(&member.client_id),
            client_host: Arc::clone(&member.client_host),
            metadata: member.terms.metadata(&protocol).filter(|_| stable).cloned().unwrap_or_default(),
            assignment: member.assignment.clone(),
        };
        DescribedGroup {
            state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            members: self.members.values().map(told).collect(),
            protocol,
        }
    }

    /// What must hold between any two decisions.
    pub fn check(&self) {
        let joining = self.members.values().filter(|member| member.joining.is_some()).count();
        assert_eq!(joining, self.joining, "members that join and their count are apart");
        assert!(
            self.leader.is_none() || self.leader.as_ref().is_some_and(|id| self.members.contains_key(id))
        );
        assert!(self.statics.values().all(|id| self.members.contains_key(id)), "a static name of nobody");
        assert!(self.unsynced.iter().all(|id| self.members.contains_key(id)), "nobody has yet to sync");
        assert!(self.pending.iter().all(|id| !self.members.contains_key(id)), "a pending member is a member");
        match self.state {
            State::Empty => assert!(self.members.is_empty(), "an empty group has members"),
            State::CompletingRebalance | State::Stable => assert!(!self.members.is_empty()),
            State::PreparingRebalance => {}
        }
    }
}

/// The topics of a consumer's subscription (`ConsumerProtocolSubscription`, any version: the topics come first).
fn subscribed_topics(metadata: &[u8]) -> Option<Vec<String>> {
    let mut rest = metadata;
    if rest.remaining() < 6 {
        return None;
    }
    rest.advance(2);
    let count = usize::try_from(rest.get_i32()).ok().filter(|count| *count <= rest.len() / 2)?;
    (0..count)
        .map(|_| {
            let length = usize::from(rest.split_off(..2).map(|it| u16::from_be_bytes([it[0], it[1]]))?);
            let name = rest.split_off(..length)?;
            String::from_utf8(name.to_vec()).ok()
        })
        .collect()
}
