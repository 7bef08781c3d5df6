//! The values of the records. Written in the version that Kafka 4.3 writes, read in every version that it reads.

use super::MemberId;
use crate::{
    ids::TopicId,
    message_format::{Reader, RecordFault, Writer, versioned},
};
use bytes::Bytes;
use std::sync::Arc;

/// A committed offset (`OffsetCommitValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetValue {
    /// The next offset to be read.
    pub offset: i64,
    /// Of the last record read; -1 when not known.
    pub leader_epoch: i32,
    /// What the client wanted to keep beside it.
    pub metadata: Box<str>,
    /// Milliseconds since 1970.
    pub committed_at_ms: i64,
    /// When it expires, if the client said so (OffsetCommit before version 5).
    pub expires_at_ms: Option<i64>,
    /// The topic that the name stood for; zero when not known.
    pub topic_id: TopicId,
}

impl OffsetValue {
    pub(super) fn encode(&self) -> Vec<u8> {
        if let Some(expires_at_ms) = self.expires_at_ms {
            // Only version 1 has this field, and nothing that came later.
            let mut value = Writer::new(1, false);
            value.i64(self.offset);
            value.text(&self.metadata);
            value.i64(self.committed_at_ms);
            value.i64(expires_at_ms);
            return value.finish();
        }
        let mut value = Writer::new(4, true);
        value.i64(self.offset);
        value.i32(self.leader_epoch);
        value.text(&self.metadata);
        value.i64(self.committed_at_ms);
        if self.topic_id == TopicId::ZERO {
            value.tags(&[]);
        } else {
            value.tags(&[(0, Writer::field(|field| field.uuid(self.topic_id.0)))]);
        }
        value.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<OffsetValue, RecordFault> {
        let (version, mut value) = versioned(bytes, 4, 4)?;
        let mut read = OffsetValue {
            offset: value.i64()?,
            leader_epoch: if version >= 3 { value.i32()? } else { -1 },
            metadata: value.text()?.into(),
            committed_at_ms: value.i64()?,
            expires_at_ms: None,
            topic_id: TopicId::ZERO,
        };
        if version == 1 {
            read.expires_at_ms = Some(value.i64()?).filter(|at| *at != -1);
        }
        value.tags(|tag, field| {
            if tag == 0 {
                read.topic_id = TopicId(field.uuid()?);
            }
            Ok(())
        })?;
        Ok(read)
    }
}

/// A classic group (`GroupMetadataValue`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupValue {
    /// `consumer`, `connect`, or whatever the members agreed on; empty for a group without members.
    pub protocol_type: Arc<str>,
    /// Which generation this is.
    pub generation: i32,
    /// The chosen protocol (for consumers: the assignor).
    pub protocol: Option<Arc<str>>,
    /// Who assigns.
    pub leader: Option<MemberId>,
    /// When the state changed last, in milliseconds since 1970; -1 when not known.
    pub state_since_ms: i64,
    /// All members.
    pub members: Vec<MemberValue>,
}

/// A member of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue {
    /// Its name.
    pub id: MemberId,
    /// Its static name (KIP-345).
    pub instance_id: Option<Arc<str>>,
    /// Of its client.
    pub client_id: Arc<str>,
    /// `/` and its address, as Java prints it.
    pub client_host: Arc<str>,
    /// Milliseconds; -1 when not known.
    pub rebalance_timeout_ms: i32,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// What it said for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

impl GroupValue {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Writer::new(3, false);
        value.text(&self.protocol_type);
        value.i32(self.generation);
        value.nullable_text(self.protocol.as_deref());
        value.nullable_text(self.leader.as_deref());
        value.i64(self.state_since_ms);
        value.array(&self.members, |value, member| {
            value.text(&member.id);
            value.nullable_text(member.instance_id.as_deref());
            value.text(&member.client_id);
            value.text(&member.client_host);
            value.i32(member.rebalance_timeout_ms);
            value.i32(member.session_timeout_ms);
            value.blob(&member.subscription);
            value.blob(&member.assignment);
        });
        value.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<GroupValue, RecordFault> {
        let (version, mut value) = versioned(bytes, 4, 4)?;
        let read = GroupValue {
            protocol_type: value.name()?,
            generation: value.i32()?,
            protocol: value.nullable_text()?.map(Arc::from),
            leader: value.nullable_text()?.map(Arc::from),
            state_since_ms: if version >= 2 { value.i64()? } else { -1 },
            members: value.array(|value| {
                let member = MemberValue {
                    id: value.name()?,
                    instance_id: if version >= 3 { value.nullable_text()?.map(Arc::from) } else { None },
                    client_id: value.name()?,
                    client_host: value.name()?,
                    rebalance_timeout_ms: if version >= 1 { value.i32()? } else { -1 },
                    session_timeout_ms: value.i32()?,
                    subscription: Bytes::copy_from_slice(value.blob()?),
                    assignment: Bytes::copy_from_slice(value.blob()?),
                };
                value.no_tags()?;
                Ok(member)
            })?,
        };
        value.no_tags()?;
        Ok(read)
    }
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    /// Which topic.
    pub topic: TopicId,
    /// Which of its partitions, in ascending order.
    pub partitions: Vec<i32>,
}

/// Partitions of one topic that a member owns, with the epochs at which it got them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Which topic.
    pub topic: TopicId,
    /// Which of its partitions.
    pub partitions: Vec<i32>,
    /// The member's epoch when each was given to it (fences commits of zombies, KIP-1251); `None` in records of before.
    pub epochs: Option<Vec<i32>>,
}

/// A member of a consumer group (`ConsumerGroupMemberMetadataValue`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberSubscription {
    /// Its static name.
    pub instance_id: Option<Arc<str>>,
    /// Where it is.
    pub rack_id: Option<Arc<str>>,
    /// Of its client.
    pub client_id: Arc<str>,
    /// `/` and its address.
    pub client_host: Arc<str>,
    /// Topics by name, sorted.
    pub topics: Vec<Arc<str>>,
    /// Topics by regular expression.
    pub regex: Option<Arc<str>>,
    /// Milliseconds; -1 when not known.
    pub rebalance_timeout_ms: i32,
    /// The assignor it prefers.
    pub assignor: Option<Arc<str>>,
    /// Set when it speaks the classic protocol.
    pub classic: Option<ClassicMetadata>,
}

/// What a consumer group keeps of a member that speaks the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMetadata {
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Its protocols, most liked first, with what it said for each.
    pub protocols: Vec<(Arc<str>, Bytes)>,
}

impl MemberSubscription {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Writer::new(0, true);
        value.nullable_text(self.instance_id.as_deref());
        value.nullable_text(self.rack_id.as_deref());
        value.text(&self.client_id);
        value.text(&self.client_host);
        value.array(&self.topics, |value, topic| value.text(topic));
        value.nullable_text(self.regex.as_deref());
        value.i32(self.rebalance_timeout_ms);
        value.nullable_text(self.assignor.as_deref());
        // Always written: where the field is missing, Kafka takes the member for a classic one without protocols.
        let classic = Writer::field(|field| match &self.classic {
            None => field.i8(0),
            Some(classic) => {
                field.i8(1);
                field.i32(classic.session_timeout_ms);
                field.array(&classic.protocols, |field, (name, metadata)| {
                    field.text(name);
                    field.blob(metadata);
                    field.tags(&[]);
                });
                field.tags(&[]);
            }
        });
        value.tags(&[(0, classic)]);
        value.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<MemberSubscription, RecordFault> {
        let (_, mut value) = versioned(bytes, 0, 0)?;
        let mut read = MemberSubscription {
            instance_id: value.nullable_text()?.map(Arc::from),
            rack_id: value.nullable_text()?.map(Arc::from),
            client_id: value.name()?,
            client_host: value.name()?,
            topics: value.array(Reader::name)?,
            regex: value.nullable_text()?.map(Arc::from),
            rebalance_timeout_ms: value.i32()?,
            assignor: value.nullable_text()?.map(Arc::from),
            classic: None,
        };
        value.tags(|tag, field| {
            if tag == 0 && field.i8()? > 0 {
                let classic = ClassicMetadata {
                    session_timeout_ms: field.i32()?,
                    protocols: field.array(|field| {
                        let protocol = (field.name()?, Bytes::copy_from_slice(field.blob()?));
                        field.no_tags()?;
                        Ok(protocol)
                    })?,
                };
                field.no_tags()?;
                read.classic = Some(classic);
            }
            Ok(())
        })?;
        Ok(read)
    }
}

/// What a member of a consumer group owns (`ConsumerGroupCurrentMemberAssignmentValue`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentAssignment {
    /// The epoch that the member is expected to know.
    pub epoch: i32,
    /// The one before, in case the answer was lost on its way.
    pub previous_epoch: i32,
    /// `MemberState`: 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown.
    pub state: i8,
    /// What it owns.
    pub assigned: Vec<Owned>,
    /// What it must give up first.
    pub pending_revocation: Vec<Owned>,
}

impl CurrentAssignment {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Writer::new(0, true);
        value.i32(self.epoch);
        value.i32(self.previous_epoch);
        value.i8(self.state);
        for owned in [&self.assigned, &self.pending_revocation] {
            value.array(owned, |value, owned| {
                value.uuid(owned.topic.0);
                value.array(&owned.partitions, |value, partition| value.i32(*partition));
                let epochs = owned.epochs.as_ref().map(|epochs| {
                    Writer::field(|field| field.array(epochs, |field, epoch| field.i32(*epoch)))
                });
                value.tags(&epochs.into_iter().map(|field| (0, field)).collect::<Vec<_>>());
            });
        }
        value.tags(&[]);
        value.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<CurrentAssignment, RecordFault> {
        let (_, mut value) = versioned(bytes, 0, 0)?;
        let read = CurrentAssignment {
            epoch: value.i32()?,
            previous_epoch: value.i32()?,
            state: value.i8()?,
            assigned: value.array(owned)?,
            pending_revocation: value.array(owned)?,
        };
        value.no_tags()?;
        Ok(read)
    }
}

fn owned(value: &mut Reader<'_>) -> Result<Owned, RecordFault> {
    let mut read =
        Owned { topic: TopicId(value.uuid()?), partitions: value.array(Reader::i32)?, epochs: None };
    value.tags(|tag, field| {
        if tag == 0 {
            read.epochs = field.nullable_array(Reader::i32)?;
        }
        Ok(())
    })?;
    // Epochs that do not match their partitions say nothing of them.
    read.epochs = read.epochs.filter(|epochs| epochs.len() == read.partitions.len());
    Ok(read)
}

/// The topics of a regular expression (`ConsumerGroupRegularExpressionValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRegex {
    /// By name, sorted.
    pub topics: Vec<Arc<str>>,
    /// Of the metadata it was resolved with.
    pub version: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

impl ResolvedRegex {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Writer::new(0, true);
        value.array(&self.topics, |value, topic| value.text(topic));
        value.i64(self.version);
        value.i64(self.at_ms);
        value.tags(&[]);
        value.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<ResolvedRegex, RecordFault> {
        let (_, mut value) = versioned(bytes, 0, 0)?;
        let read =
            ResolvedRegex { topics: value.array(Reader::name)?, version: value.i64()?, at_ms: value.i64()? };
        value.no_tags()?;
        Ok(read)
    }
}

/// `ConsumerGroupMetadataValue` and `ConsumerGroupTargetAssignmentMetadataValue`: an epoch, and a number in tag 0.
pub(super) fn encode_epoch((epoch, number): (i32, i64)) -> Vec<u8> {
    let mut value = Writer::new(0, true);
    value.i32(epoch);
    if number == 0 {
        value.tags(&[]);
    } else {
        value.tags(&[(0, Writer::field(|field| field.i64(number)))]);
    }
    value.finish()
}

pub(super) fn decode_epoch(bytes: &[u8]) -> Result<(i32, i64), RecordFault> {
    let (_, mut value) = versioned(bytes, 0, 0)?;
    let epoch = value.i32()?;
    let mut number = 0;
    value.tags(|tag, field| {
        if tag == 0 {
            number = field.i64()?;
        }
        Ok(())
    })?;
    Ok((epoch, number))
}

/// `ConsumerGroupTargetAssignmentMemberValue`.
pub(super) fn encode_target(topics: &[TopicPartitions]) -> Vec<u8> {
    let mut value = Writer::new(0, true);
    value.array(topics, |value, topic| {
        value.uuid(topic.topic.0);
        value.array(&topic.partitions, |value, partition| value.i32(*partition));
        value.tags(&[]);
    });
    value.tags(&[]);
    value.finish()
}

pub(super) fn decode_target(bytes: &[u8]) -> Result<Vec<TopicPartitions>, RecordFault> {
    let (_, mut value) = versioned(bytes, 0, 0)?;
    let topics = value.array(|value| {
        let read = TopicPartitions { topic: TopicId(value.uuid()?), partitions: value.array(Reader::i32)? };
        value.no_tags()?;
        Ok(read)
    })?;
    value.no_tags()?;
    Ok(topics)
}
