//! A consumer group, as its records say. Decisions look at it and write records; replaying them changes it.

use super::member::{Member, Partitions, Position, Progress, regex, sorted, unlisted};
use crate::{
    error::ErrorCode,
    groups::records::{CurrentAssignment, MemberId, MemberSubscription, Record, ResolvedRegex},
    ids::TopicId,
    metadata::MetadataOffset,
};
use std::{cell::Cell, collections::BTreeMap, sync::Arc};

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::groups) enum State {
    /// No members; perhaps committed offsets.
    Empty,
    /// What its members shall own is to be computed.
    Assigning,
    /// Its members are on their way to what they shall own.
    Reconciling,
    /// Everyone owns what it shall own.
    Stable,
}

impl State {
    /// Kafka's word, which tools print.
    pub const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Assigning => "Assigning",
            State::Reconciling => "Reconciling",
            State::Stable => "Stable",
        }
    }
}

/// How many read a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::groups) struct Readers {
    /// Members that name it.
    pub by_name: usize,
    /// Regular expressions that match it.
    pub by_regex: usize,
}

/// Regular expressions of members with their topics.
pub(super) type Resolved = BTreeMap<Arc<str>, Arc<ResolvedRegex>>;

/// What the members read, all together.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    /// None is read by nobody.
    pub topics: BTreeMap<Arc<str>, Readers>,
    /// How many members have each regular expression; none is had by nobody.
    pub regexes: BTreeMap<Arc<str>, usize>,
    pub resolved: Resolved,
}

/// Up to which metadata a group was held against its topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub image: Option<MetadataOffset>,
    /// The group's epoch afterwards: if it is lower, its record was not written.
    pub epoch: i32,
}

/// One group.
#[derive(Debug, Default)]
pub(in crate::groups) struct ConsumerGroup {
    pub epoch: i32,
    /// Of the topics that the epoch was made with (KIP-1101).
    pub metadata_hash: i64,
    /// The epoch for which it was last computed who shall own what.
    pub target_epoch: i32,
    /// When, in milliseconds since 1970; 0 when not known.
    pub target_at_ms: i64,
    pub members: BTreeMap<MemberId, Member>,
    /// Names by static name.
    statics: BTreeMap<Arc<str>, MemberId>,
    targets: BTreeMap<MemberId, Partitions>,
    /// Who owns each partition, or is giving it up.
    owners: BTreeMap<(TopicId, i32), MemberId>,
    pub(super) subscriptions: Subscriptions,
    /// How many members prefer each assignor.
    assignors: BTreeMap<Arc<str>, usize>,
    /// How many members speak the classic protocol, and how many of them know each of its protocols.
    pub(super) classic_members: usize,
    classic_protocols: BTreeMap<Arc<str>, usize>,
    /// Kafka before 4.1 left a record that the next change deletes.
    pub(super) has_old_metadata: bool,
    /// Not durable.
    pub(super) checked: Cell<Option<Checked>>,
}

static NO_PARTITIONS: Partitions = Partitions::new();

impl ConsumerGroup {
    /// A group of which these records are all that there is.
    pub fn of(records: &[Record]) -> ConsumerGroup {
        let mut group = ConsumerGroup::default();
        records.iter().for_each(|record| group.replay(record.clone()));
        group
    }

    /// Costs a look at each member.
    pub fn state(&self) -> State {
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch > self.target_epoch {
            State::Assigning
        } else if self.members.values().all(|member| member.position.has_reached(self.target_epoch)) {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a member reads a topic.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.subscriptions.topics.contains_key(topic)
    }

    /// The name under which a static member is known.
    pub fn static_member(&self, instance: &str) -> Option<&MemberId> {
        self.statics.get(instance)
    }

    /// What a member shall own.
    pub fn target(&self, id: &str) -> &Partitions {
        self.targets.get(id).unwrap_or(&NO_PARTITIONS)
    }

    /// Whether it was ever said what a member shall own.
    pub fn has_target(&self, id: &str) -> bool {
        self.targets.contains_key(id)
    }

    /// Whether someone owns a partition, or is giving it up.
    pub fn is_held(&self, topic: TopicId, partition: i32) -> bool {
        self.owners.contains_key(&(topic, partition))
    }

    /// The assignor that most members prefer, after one of them has changed what it says.
    pub(super) fn preferred_assignor(
        &self,
        before: Option<&MemberSubscription>,
        after: Option<&MemberSubscription>,
    ) -> Option<Arc<str>> {
        let mut votes = self.assignors.clone();
        if let Some(name) = before.and_then(|said| said.assignor.as_ref()) {
            count(&mut votes, name, false);
        }
        if let Some(name) = after.and_then(|said| said.assignor.as_ref()) {
            count(&mut votes, name, true);
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(name, _)| name)
    }

    /// Whether a member of the classic protocol fits in: it knows a protocol that all of its kind know.
    pub(super) fn supports_classic<'a>(&self, mut protocols: impl Iterator<Item = &'a str>) -> bool {
        protocols.any(|name| self.classic_protocols.get(name).copied().unwrap_or(0) == self.classic_members)
    }

    /// Whether an offset may be committed: `Ok` with the member whose partitions are to be looked at one by one, if its
    /// epoch is not the present one (`ConsumerGroup.validateOffsetCommit`).
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, ILLEGAL_GENERATION, UNSUPPORTED_VERSION.
    pub fn validate_commit(&self, id: &str, epoch: i32, version: i16) -> Result<Option<&Member>, ErrorCode> {
        /// The first version whose clients know STALE_MEMBER_EPOCH.
        const KNOWS_EPOCHS_FROM: i16 = 9;
        if epoch < 0 && self.members.is_empty() {
            return Ok(None);
        }
        let member = self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        if member.classic().is_none() && version < KNOWS_EPOCHS_FROM {
            return Err(ErrorCode::UnsupportedVersion);
        }
        match epoch.cmp(&member.position.epoch) {
            std::cmp::Ordering::Equal => Ok(None),
            std::cmp::Ordering::Greater => Err(stale(member)),
            std::cmp::Ordering::Less => Ok(Some(member)),
        }
    }

    /// Whether offsets may be read as a member.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, ILLEGAL_GENERATION.
    pub fn validate_fetch(&self, id: &str, epoch: i32) -> Result<(), ErrorCode> {
        let member = self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        if member.position.epoch == epoch { Ok(()) } else { Err(stale(member)) }
    }

    /// Deletes everything of a group but its offsets. Its own record is the last.
    pub fn tombstones(&self, group: &Arc<str>) -> Vec<Record> {
        let group = || Arc::clone(group);
        let ids = || self.members.keys().map(Arc::clone);
        let mut records: Vec<Record> = Vec::new();
        records.extend(ids().map(|member| Record::Current { group: group(), member, value: None }));
        records.extend(ids().map(|member| Record::Target { group: group(), member, value: None }));
        records.push(Record::TargetEpoch { group: group(), value: None });
        records.extend(ids().map(|member| Record::Member { group: group(), member, value: None }));
        let regexes = self.subscriptions.resolved.keys().map(Arc::clone);
        records.extend(regexes.map(|regex| Record::Regex { group: group(), regex, value: None }));
        records.push(Record::SubscribedTopics { group: group(), present: false });
        records.push(Record::ConsumerGroup { group: group(), value: None });
        records
    }

    // ---- replay ----

    /// Applies a record of this group, but for the one that deletes it.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::ConsumerGroup { value, .. } => {
                (self.epoch, self.metadata_hash) = value.unwrap_or_default()
            }
            Record::SubscribedTopics { present, .. } => self.has_old_metadata = present,
            Record::Member { member, value: Some(value), .. } => self.set_subscription(&member, value),
            Record::Member { member, value: None, .. } => self.remove(&member),
            Record::TargetEpoch { value, .. } => {
                (self.target_epoch, self.target_at_ms) = value.unwrap_or((-1, 0));
            }
            Record::Target { member, value: Some(value), .. } => {
                self.targets.insert(member, unlisted(&value));
            }
            Record::Target { member, value: None, .. } => {
                self.targets.remove(&member);
            }
            Record::Current { member, value, .. } => self.set_position(&member, value.as_ref()),
            Record::Regex { regex, value, .. } => self.subscriptions.resolve(&regex, value.map(Arc::new)),
            Record::Offset { .. } | Record::ClassicGroup { .. } => {}
        }
    }

    fn set_subscription(&mut self, id: &MemberId, mut value: MemberSubscription) {
        value.topics = sorted(value.topics);
        let value = Arc::new(value);
        let member = self.members.entry(Arc::clone(id)).or_insert_with(Member::unheard);
        let before = std::mem::replace(&mut member.said, Arc::clone(&value));
        self.count(&before, false);
        self.count(&value, true);
        if let Some(instance) = &value.instance_id {
            self.statics.insert(Arc::clone(instance), Arc::clone(id));
        }
    }

    fn remove(&mut self, id: &MemberId) {
        let Some(member) = self.members.remove(id) else { return };
        self.count(&member.said, false);
        self.release(id, &member.position);
        if let Some(instance) = &member.said.instance_id
            && self.statics.get(instance) == Some(id)
        {
            self.statics.remove(instance);
        }
    }

    fn count(&mut self, said: &MemberSubscription, more: bool) {
        self.subscriptions.count(said, more);
        if let Some(assignor) = &said.assignor {
            count(&mut self.assignors, assignor, more);
        }
        if let Some(classic) = &said.classic {
            self.classic_members =
                if more { self.classic_members + 1 } else { self.classic_members.saturating_sub(1) };
            for (protocol, _) in &classic.protocols {
                count(&mut self.classic_protocols, protocol, more);
            }
        }
    }

    fn set_position(&mut self, id: &MemberId, value: Option<&CurrentAssignment>) {
        let position = match value {
            Some(value) => Position::from_value(value),
            // The member's own record goes next.
            None if !self.members.contains_key(id) => return,
            None => Position { epoch: -1, previous_epoch: -1, ..Position::default() },
        };
        for held in position.held() {
            self.owners.insert(held, Arc::clone(id));
        }
        let member = self.members.entry(Arc::clone(id)).or_insert_with(Member::unheard);
        let before = std::mem::replace(&mut member.position, position);
        let after: &Position = &self.members[id].position;
        let gone: Vec<_> =
            before.held().filter(|(topic, number)| after.held_since(*topic, *number).is_none()).collect();
        for held in gone {
            if self.owners.get(&held) == Some(id) {
                self.owners.remove(&held);
            }
        }
    }

    fn release(&mut self, id: &MemberId, position: &Position) {
        for held in position.held() {
            if self.owners.get(&held) == Some(id) {
                self.owners.remove(&held);
            }
        }
    }

    /// What must hold between any two decisions.
    pub fn check(&self) {
        let held: usize = self.members.values().map(|member| member.position.held().count()).sum();
        assert_eq!(held, self.owners.len(), "a partition has one owner in a group, or none");
        for (id, member) in &self.members {
            let position = &member.position;
            assert!(
                position.held().all(|held| self.owners.get(&held) == Some(id)),
                "{id} owns what it holds"
            );
            assert!(position.epoch <= self.target_epoch.max(0), "a member is not ahead of its target");
            let revokes = position.progress == Progress::Unrevoked;
            assert!(revokes || position.revoking.is_empty(), "{id} gives up partitions without being told");
        }
        assert!(self.target_epoch <= self.epoch, "a target is not ahead of its group");
        let holds = |(instance, id): (&Arc<str>, &MemberId)| {
            self.members.get(id).is_some_and(|member| member.said.instance_id.as_ref() == Some(instance))
        };
        assert!(self.statics.iter().all(holds), "static names stand for members");
        let mut anew = Subscriptions::default();
        self.members.values().for_each(|member| anew.count(&member.said, true));
        assert_eq!(anew.regexes, self.subscriptions.regexes, "regular expressions are counted");
    }
}

impl Subscriptions {
    /// A member says this, or no more.
    pub fn count(&mut self, said: &MemberSubscription, more: bool) {
        for topic in &said.topics {
            self.change(topic, |readers| {
                readers.by_name = if more { readers.by_name + 1 } else { readers.by_name.saturating_sub(1) };
            });
        }
        if let Some(regex) = regex(said) {
            count(&mut self.regexes, regex, more);
        }
    }

    /// A regular expression stands for these topics from now on, or for nothing any more.
    pub fn resolve(&mut self, regex: &Arc<str>, value: Option<Arc<ResolvedRegex>>) {
        let before = match &value {
            Some(value) => self.resolved.insert(Arc::clone(regex), Arc::clone(value)),
            None => self.resolved.remove(regex),
        };
        for topic in before.iter().flat_map(|before| &before.topics) {
            self.change(topic, |readers| readers.by_regex = readers.by_regex.saturating_sub(1));
        }
        for topic in value.iter().flat_map(|value| &value.topics) {
            self.change(topic, |readers| readers.by_regex += 1);
        }
    }

    fn change(&mut self, topic: &Arc<str>, change: impl FnOnce(&mut Readers)) {
        let readers = self.topics.entry(Arc::clone(topic)).or_default();
        change(readers);
        if *readers == Readers::default() {
            self.topics.remove(topic);
        }
    }

    /// Whether all of so many members read the same topics (`ConsumerGroup.subscriptionType`).
    pub fn are_alike(&self, members: usize) -> bool {
        match self.regexes.first_key_value() {
            None => self.topics.values().all(|readers| readers.by_name == members),
            Some((_, count)) => {
                let only_it = |readers: &Readers| readers.by_regex == 1 && readers.by_name == 0;
                *count == members && self.topics.values().all(only_it)
            }
        }
    }
}

/// One more of a name, or one less; none of those that are zero is kept.
fn count(counts: &mut BTreeMap<Arc<str>, usize>, name: &Arc<str>, more: bool) {
    let count = counts.entry(Arc::clone(name)).or_default();
    *count = if more { *count + 1 } else { count.saturating_sub(1) };
    if *count == 0 {
        counts.remove(name);
    }
}

/// What a member is told whose epoch is not the one that it is known to have.
pub(in crate::groups) fn stale(member: &Member) -> ErrorCode {
    if member.classic().is_some() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
