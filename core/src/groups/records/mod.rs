//! What `__consumer_offsets` holds: Kafka's records, in Kafka's layouts, so that every tool that reads the topic reads
//! ours (`group-coordinator/src/main/resources/common/message`, Kafka 4.3).
//!
//! A key begins with its type as an int16, a value with its version. A record without a value deletes what its key
//! names, and compaction drops both.

mod values;

#[cfg(test)]
mod tests;

pub use crate::message_format::RecordFault;
pub use values::{
    ClassicMetadata, CurrentAssignment, GroupValue, MemberSubscription, MemberValue, OffsetValue, Owned,
    ResolvedRegex, TopicPartitions,
};

use crate::message_format::{Reader, Writer};
use std::sync::Arc;

/// A group's name.
pub type GroupId = Arc<str>;
/// A member's name, given by the coordinator or by the member itself.
pub type MemberId = Arc<str>;

/// One record. `None` as a value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A committed offset (keys 0 and 1).
    Offset {
        /// Whose.
        group: GroupId,
        /// Of which topic, by name.
        topic: Arc<str>,
        /// Of which partition.
        partition: i32,
        /// What was committed.
        value: Option<OffsetValue>,
    },
    /// A classic group with its members (key 2).
    ClassicGroup {
        /// Which.
        group: GroupId,
        /// As of its last generation.
        value: Option<GroupValue>,
    },
    /// A consumer group's epoch (key 3, KIP-848).
    ConsumerGroup {
        /// Which.
        group: GroupId,
        /// The epoch, and a hash of what its assignment was made of (KIP-1101).
        value: Option<(i32, i64)>,
    },
    /// What Kafka before 4.1 kept of a consumer group's topics (key 4). Read, and only ever deleted.
    SubscribedTopics {
        /// Which.
        group: GroupId,
        /// Whether it is there.
        present: bool,
    },
    /// A member of a consumer group and what it wants (key 5).
    Member {
        /// Of which group.
        group: GroupId,
        /// Which.
        member: MemberId,
        /// What it said of itself.
        value: Option<MemberSubscription>,
    },
    /// The epoch of a consumer group's target assignment (key 6).
    TargetEpoch {
        /// Which group.
        group: GroupId,
        /// The epoch, and when it was computed in milliseconds since 1970 (KIP-1263).
        value: Option<(i32, i64)>,
    },
    /// What a member shall own (key 7).
    Target {
        /// Of which group.
        group: GroupId,
        /// Which.
        member: MemberId,
        /// Its partitions.
        value: Option<Vec<TopicPartitions>>,
    },
    /// What a member owns, and where it stands on the way to its target (key 8).
    Current {
        /// Of which group.
        group: GroupId,
        /// Which.
        member: MemberId,
        /// Its state.
        value: Option<CurrentAssignment>,
    },
    /// The topics that a group's regular expression stands for (key 16).
    Regex {
        /// Which group.
        group: GroupId,
        /// The expression.
        regex: Arc<str>,
        /// Its topics.
        value: Option<ResolvedRegex>,
    },
}

const OFFSET: i16 = 1;
const CLASSIC_GROUP: i16 = 2;
const CONSUMER_GROUP: i16 = 3;
const SUBSCRIBED_TOPICS: i16 = 4;
const MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const REGEX: i16 = 16;

impl Record {
    /// The group it is about.
    pub fn group(&self) -> &GroupId {
        match self {
            Record::Offset { group, .. }
            | Record::ClassicGroup { group, .. }
            | Record::ConsumerGroup { group, .. }
            | Record::SubscribedTopics { group, .. }
            | Record::Member { group, .. }
            | Record::TargetEpoch { group, .. }
            | Record::Target { group, .. }
            | Record::Current { group, .. }
            | Record::Regex { group, .. } => group,
        }
    }

    /// Whether it deletes what its key names.
    pub fn is_tombstone(&self) -> bool {
        match self {
            Record::Offset { value, .. } => value.is_none(),
            Record::ClassicGroup { value, .. } => value.is_none(),
            Record::ConsumerGroup { value, .. } | Record::TargetEpoch { value, .. } => value.is_none(),
            Record::SubscribedTopics { present, .. } => !present,
            Record::Member { value, .. } => value.is_none(),
            Record::Target { value, .. } => value.is_none(),
            Record::Current { value, .. } => value.is_none(),
            Record::Regex { value, .. } => value.is_none(),
        }
    }

    /// The key's bytes.
    pub fn key(&self) -> Vec<u8> {
        let begin = |kind: i16, group: &str| {
            let mut key = Writer::new(kind, false);
            key.text(group);
            key
        };
        let of_member = |kind: i16, group: &str, member: &str| {
            let mut key = begin(kind, group);
            key.text(member);
            key.finish()
        };
        match self {
            Record::Offset { group, topic, partition, .. } => {
                let mut key = begin(OFFSET, group);
                key.text(topic);
                key.i32(*partition);
                key.finish()
            }
            Record::ClassicGroup { group, .. } => begin(CLASSIC_GROUP, group).finish(),
            Record::ConsumerGroup { group, .. } => begin(CONSUMER_GROUP, group).finish(),
            Record::SubscribedTopics { group, .. } => begin(SUBSCRIBED_TOPICS, group).finish(),
            Record::Member { group, member, .. } => of_member(MEMBER, group, member),
            Record::TargetEpoch { group, .. } => begin(TARGET_EPOCH, group).finish(),
            Record::Target { group, member, .. } => of_member(TARGET, group, member),
            Record::Current { group, member, .. } => of_member(CURRENT, group, member),
            Record::Regex { group, regex, .. } => of_member(REGEX, group, regex),
        }
    }

    /// The value's bytes; `None` for a tombstone.
    pub fn value(&self) -> Option<Vec<u8>> {
        match self {
            Record::Offset { value, .. } => value.as_ref().map(OffsetValue::encode),
            Record::ClassicGroup { value, .. } => value.as_ref().map(GroupValue::encode),
            Record::ConsumerGroup { value, .. } => value.map(values::encode_epoch),
            Record::SubscribedTopics { .. } => None,
            Record::Member { value, .. } => value.as_ref().map(MemberSubscription::encode),
            Record::TargetEpoch { value, .. } => value.map(values::encode_epoch),
            Record::Target { value, .. } => value.as_deref().map(values::encode_target),
            Record::Current { value, .. } => value.as_ref().map(CurrentAssignment::encode),
            Record::Regex { value, .. } => value.as_ref().map(ResolvedRegex::encode),
        }
    }

    /// The record of a key and value; `None` for types that belong to others (share and streams groups).
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordFault> {
        let mut key = Reader::new(key, false);
        let kind = key.i16()?;
        if !matches!(kind, 0..=8 | REGEX) {
            return Ok(None);
        }
        let group = key.name()?;
        Ok(Some(match kind {
            0 | OFFSET => Record::Offset {
                group,
                topic: key.name()?,
                partition: key.i32()?,
                value: value.map(OffsetValue::decode).transpose()?,
            },
            CLASSIC_GROUP => {
                Record::ClassicGroup { group, value: value.map(GroupValue::decode).transpose()? }
            }
            CONSUMER_GROUP => {
                Record::ConsumerGroup { group, value: value.map(values::decode_epoch).transpose()? }
            }
            SUBSCRIBED_TOPICS => Record::SubscribedTopics { group, present: value.is_some() },
            MEMBER => Record::Member {
                group,
                member: key.name()?,
                value: value.map(MemberSubscription::decode).transpose()?,
            },
            TARGET_EPOCH => {
                Record::TargetEpoch { group, value: value.map(values::decode_epoch).transpose()? }
            }
            TARGET => Record::Target {
                group,
                member: key.name()?,
                value: value.map(values::decode_target).transpose()?,
            },
            CURRENT => Record::Current {
                group,
                member: key.name()?,
                value: value.map(CurrentAssignment::decode).transpose()?,
            },
            _ => Record::Regex {
                group,
                regex: key.name()?,
                value: value.map(ResolvedRegex::decode).transpose()?,
            },
        }))
    }
}
