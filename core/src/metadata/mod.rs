//! The cluster's metadata: what is written to the quorum's log, and the image that results from it.
//!
//! A [`Record`] states one fact (a topic exists, a broker is fenced). A [`Batch`] of records is one entry of the
//! quorum's log and takes effect as a whole or not at all: its [`Precondition`]s are checked when it is applied, on
//! every node alike. An [`Image`] is the sum of all batches up to an offset. It is made of persistent maps, so a
//! clone costs nothing and every shard can hold one; [`delta`] names what differs between two of them.
//!
//! Nothing here reads a clock or draws a number: applying the same batches anywhere gives the same image, byte for
//! byte.

mod apply;
mod batch;
mod check;
mod delta;
mod image;
mod records;
mod snapshot;
mod topic_names;

pub(crate) use apply::MIN_INSYNC_REPLICAS;
pub use apply::Violated;
pub use batch::{BATCH_BYTES_MAX, Batch, DecodeError, Precondition};
pub use delta::{Change, PartitionChanged, TopicChanged, delta};
pub use image::{BrokerImage, Image, PartitionImage, TopicImage};
pub use records::{
    BrokerChangeRecord, ConfigResource, Endpoint, LeaderChange, PartitionChangeRecord, PartitionRecord,
    Record, RegisterBrokerRecord, SecurityProtocol,
};
pub use snapshot::SNAPSHOT_BYTES_MAX;
pub use topic_names::{TOPIC_NAME_BYTES_MAX, collision_key, is_internal, validate_topic_name};

use crate::ids::TopicId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in the quorum's log: the index of an entry there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MetadataOffset(pub u64);

impl fmt::Display for MetadataOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TopicId {
    /// Whether Kafka never gives this id to a topic: zero ("none given") and one (its metadata topic), and
    /// whatever prints with a leading `-`, which command lines would take for an option.
    pub fn is_reserved(self) -> bool {
        let value = self.0.as_u128();
        // The first of the 22 printed characters carries the top six bits; 62 prints as `-`.
        value <= 1 || value >> 122 == 62
    }
}

#[cfg(test)]
mod tests;
