//! What consumers of the classic protocol tell each other through the coordinator (`ConsumerProtocolSubscription`,
//! `ConsumerProtocolAssignment`, versions 0-3): the coordinator reads and writes it for those that are members of a
//! consumer group.

use super::member::Partitions;
use crate::{groups::records::TopicPartitions, ids::TopicId, metadata::Image};
use bytes::{BufMut, Bytes};
use std::sync::Arc;

/// The last version that is known; later ones begin as it does.
const VERSION_MAX: i16 = 3;

/// A consumer's subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub topics: Vec<Arc<str>>,
    /// What it owns, by name.
    pub owned: Vec<(Arc<str>, Vec<i32>)>,
    pub rack: Option<Arc<str>>,
}

/// What its leader gave a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Assignment {
    /// By name.
    pub partitions: Vec<(Arc<str>, Vec<i32>)>,
    /// Its assignor added something that only it understands.
    pub has_user_data: bool,
}

impl Subscription {
    /// `None` where the bytes are none.
    pub fn read(bytes: &[u8]) -> Option<Subscription> {
        let mut rest = bytes;
        let version = version(&mut rest)?;
        let topics = array(&mut rest, text)?;
        blob(&mut rest)?;
        let owned = if version >= 1 { array(&mut rest, topic)? } else { Vec::new() };
        if version >= 2 {
            int32(&mut rest)?;
        }
        let rack = if version >= 3 { nullable_text(&mut rest)? } else { None };
        Some(Subscription { topics, owned, rack: rack.filter(|rack| !rack.is_empty()) })
    }

    /// What it owns of the topics that there are.
    pub fn owned(&self, image: &Image) -> Vec<TopicPartitions> {
        let each = self.owned.iter().filter_map(|(name, partitions)| {
            Some(TopicPartitions { topic: image.topic(name)?.id, partitions: partitions.clone() })
        });
        each.collect()
    }
}

impl Assignment {
    /// `None` where the bytes are none.
    pub fn read(bytes: &[u8]) -> Option<Assignment> {
        let mut rest = bytes;
        version(&mut rest)?;
        let partitions = array(&mut rest, topic)?;
        let has_user_data = blob(&mut rest)?.is_some_and(|data| !data.is_empty());
        Some(Assignment { partitions, has_user_data })
    }
}

/// The version in which a consumer speaks, as far as it is known here.
pub(super) fn version_of(subscription: &[u8]) -> i16 {
    version(&mut &*subscription).unwrap_or(0)
}

/// An assignment, in the version of the consumer that reads it. Topics that are gone are left out.
pub(super) fn write_assignment<'a>(
    partitions: impl Iterator<Item = (TopicId, Vec<&'a i32>)>,
    version: i16,
    image: &Image,
) -> Bytes {
    let known: Vec<_> =
        partitions.filter_map(|(topic, numbers)| Some((image.topic_by_id(topic)?, numbers))).collect();
    let mut out = Vec::new();
    out.put_i16(version);
    out.put_i32(length(known.len()));
    for (topic, numbers) in known {
        // Names of topics have 249 bytes at most.
        out.put_i16(i16::try_from(topic.name.len()).unwrap_or(i16::MAX));
        out.put_slice(topic.name.as_bytes());
        out.put_i32(length(numbers.len()));
        numbers.into_iter().for_each(|number| out.put_i32(*number));
    }
    // No user data.
    out.put_i32(-1);
    out.into()
}

/// What a member shall own, as the leader of a classic group would tell it.
pub(super) fn write_target(target: &Partitions, version: i16, image: &Image) -> Bytes {
    let topics = target.iter().map(|(topic, partitions)| (*topic, partitions.iter().collect()));
    write_assignment(topics, version, image)
}

fn length(count: usize) -> i32 {
    i32::try_from(count).expect("partitions are numbered by i32")
}

fn version(rest: &mut &[u8]) -> Option<i16> {
    let version = i16::from_be_bytes(*rest.split_off(..2)?.first_chunk()?);
    (version >= 0).then(|| version.min(VERSION_MAX))
}

fn int32(rest: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(*rest.split_off(..4)?.first_chunk()?))
}

fn nullable_text(rest: &mut &[u8]) -> Option<Option<Arc<str>>> {
    let length = i16::from_be_bytes(*rest.split_off(..2)?.first_chunk()?);
    if length == -1 {
        return Some(None);
    }
    let bytes = rest.split_off(..usize::try_from(length).ok()?)?;
    Some(Some(std::str::from_utf8(bytes).ok()?.into()))
}

fn text(rest: &mut &[u8]) -> Option<Arc<str>> {
    nullable_text(rest)?
}

#[allow(clippy::option_option)] // not there, or wrong
fn blob<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match int32(rest)? {
        -1 => Some(None),
        length => rest.split_off(..usize::try_from(length).ok()?).map(Some),
    }
}

/// At most as many elements as bytes are left; nothing is reserved for a declared count.
fn array<T>(rest: &mut &[u8], element: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = usize::try_from(int32(rest)?).ok().filter(|count| *count <= rest.len())?;
    (0..count).map(|_| element(rest)).collect()
}

fn topic(rest: &mut &[u8]) -> Option<(Arc<str>, Vec<i32>)> {
    Some((text(rest)?, array(rest, int32)?))
}
