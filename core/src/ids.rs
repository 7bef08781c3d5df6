//! Names of things, each a type of its own, so that an offset is never taken for an epoch.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
};
use uuid::Uuid;

/// A place in a partition's log. The first record has offset 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offset(pub i64);

impl Offset {
    /// Where every log begins.
    pub const ZERO: Offset = Offset(0);

    /// The offset `count` further on.
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0 + count)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reign of one leader of a partition. A new leader always means a new epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// "Not known" on the wire (never 0, which is a real epoch).
    pub const UNKNOWN: LeaderEpoch = LeaderEpoch(-1);
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A broker or controller, `node.id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub i32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An idempotent producer (KIP-98).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerId(pub i64);

/// The reign of one incarnation of a producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerEpoch(pub i16);

/// A topic's identity over its whole life (KIP-516): a topic made anew under an old name has another id.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// "None given" on the wire.
    pub const ZERO: TopicId = TopicId(Uuid::nil());
}

impl fmt::Display for TopicId {
    /// As Kafka prints it: 22 characters of unpadded URL-safe base64.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let value = self.0.as_u128();
        for place in 0..22 {
            // 21 digits of six bits from the top, then the last two bits, left-aligned.
            let digit = if place < 21 { (value >> (122 - 6 * place)) & 63 } else { (value << 4) & 63 };
            let digit = usize::try_from(digit).expect("masked to six bits");
            write!(f, "{}", char::from(ALPHABET[digit]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A partition's identity: what its files and journal entries are called by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    /// Its topic.
    pub topic: TopicId,
    /// Its number in the topic, from 0.
    pub index: i32,
}

impl PartitionId {
    /// The data shard (of `shards`) that owns this partition: successive partitions of a topic on successive
    /// shards, the first by the topic's id. A pure function, so that every shard knows without asking.
    pub fn owner(self, shards: u16) -> corelane_seam::ShardId {
        let (high, low) = self.topic.0.as_u64_pair();
        let start = (high ^ low) % u64::from(shards);
        let index = u64::from(self.index.unsigned_abs());
        let shard = (start + index) % u64::from(shards);
        corelane_seam::ShardId(u16::try_from(shard).expect("below a u16"))
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

impl fmt::Debug for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The partition, of so many, of `__consumer_offsets` that holds a group, and of `__transaction_state` a transactional id: the
/// absolute value of Java's hash of the name, the smallest integer standing for 0 (Kafka's `Utils.abs`).
pub fn partition_of_name(name: &str, partitions: i32) -> i32 {
    let hash =
        name.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

/// FNV-1a, folded per word: a hasher without random state, so that two runs of a seed iterate alike. Maps keyed by
/// what outsiders choose are bounded by other means (limits.rs), not by a secret seed.
#[derive(Clone, Copy)]
pub struct StableHasher(u64);

impl Default for StableHasher {
    fn default() -> Self {
        StableHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
    fn write_i32(&mut self, word: i32) {
        self.write_u64(u64::from(word.cast_unsigned()));
    }
}

/// A hash map with the stable hasher.
#[allow(clippy::disallowed_types)]
pub type Map<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<StableHasher>>;
/// A hash set with the stable hasher.
#[allow(clippy::disallowed_types)]
pub type Set<K> = std::collections::HashSet<K, BuildHasherDefault<StableHasher>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_and_a_transactional_id_live_where_javas_hash_of_the_name_says() {
        // "test".hashCode() is 3556498.
        assert_eq!(partition_of_name("test", 50), 48);
        // It hashes to the smallest integer, which has no absolute value.
        assert_eq!(partition_of_name("polygenelubricants", 50), 0);
        assert_eq!(partition_of_name("", 50), 0);
        // -1808118735 and -1939501217: their absolute values count, not their last 31 bits.
        assert_eq!(partition_of_name("String", 50), 35);
        assert_eq!(partition_of_name("Object", 50), 17);
        // One that is not ASCII: two UTF-16 units.
        assert_eq!(partition_of_name("\u{1f600}", 50), (0xd83d * 31 + 0xde00) % 50);
    }

    #[test]
    fn a_topic_id_prints_as_kafka_prints_it() {
        // Kafka's Uuid.METADATA_TOPIC_ID (0, 1) and ONE_UUID; and one with every alphabet edge.
        assert_eq!(TopicId(Uuid::from_u128(1)).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId(Uuid::from_u128(u128::MAX)).to_string(), "_____________________w");
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn successive_partitions_live_on_successive_shards() {
        let topic = TopicId(Uuid::from_u128(0x1234_5678));
        let owners: Vec<u16> = (0..6).map(|index| PartitionId { topic, index }.owner(3).0).collect();
        assert_eq!(owners[..3], owners[3..]);
        let mut first = owners[..3].to_vec();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2]);
    }
}
