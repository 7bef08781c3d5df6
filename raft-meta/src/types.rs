//! The types that openraft is instantiated with, and what of them goes to disk.
//!
//! What is stored are the plain types of this file, not openraft's: an upgrade of the library must not change the
//! format. Their encoding (postcard) is positional: a variant or field that was ever written is never moved.

use crate::executor::Runtime;
use corelane_core::metadata::Violated;
use openraft::{
    EntryPayload, LogId, Membership, OptionalSend, RaftTypeConfig, StoredMembership,
    raft::responder::Responder,
    vote::leader_id_std::{CommittedLeaderId, LeaderId},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// openraft, as it is used here. One leader per term, as epochs in Kafka have it. (Written out because openraft's
/// macro takes no responder with a parameter.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = EncodedBatch;
    type R = Outcome;
    type NodeId = u64;
    type Node = Peer;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<EncodedBatch, u64, Peer>;
    type Entry = openraft::impls::Entry<CommittedLeaderId<u64>, Self::Payload>;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Reply<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type Raft = openraft::Raft<TypeConfig, crate::machine::Machine>;
pub(crate) type RaftEntry = <TypeConfig as RaftTypeConfig>::Entry;
pub(crate) type RaftVote = <TypeConfig as RaftTypeConfig>::Vote;
pub(crate) type RaftLogId = LogId<CommittedLeaderId<u64>>;
pub(crate) type RaftMembership = StoredMembership<CommittedLeaderId<u64>, u64, Peer>;
pub(crate) type RaftSnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId<u64>, u64, Peer>;

/// What the membership says of a voter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// `host:port` of its controller listener, once it is recorded.
    pub endpoint: String,
    /// The directory that it voted from when it was recorded (KIP-853): one with another directory has forgotten what
    /// it promised, and is not this voter.
    pub directory_id: Option<u128>,
}

/// A batch of metadata records as it stands in the log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedBatch(pub Arc<[u8]>);

impl fmt::Debug for EncodedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedBatch({} bytes)", self.0.len())
    }
}

impl fmt::Display for EncodedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry gave. A violated precondition is a result like any other, not an error of the quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It took effect, or there was nothing to do.
    Applied,
    /// It had no effect. Never serialized: outcomes do not leave the node.
    #[serde(skip)]
    Violated(Violated),
}

/// Calls back with the result of a write.
pub struct Reply<T>(Box<dyn FnOnce(T)>);

impl<T> Reply<T> {
    pub(crate) fn new(call: impl FnOnce(T) + 'static) -> Reply<T> {
        Reply(Box::new(call))
    }
}

impl<T: 'static> Responder<TypeConfig, T> for Reply<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}

/// A vote as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredVote {
    pub term: u64,
    pub node: u64,
    pub committed: bool,
}

impl From<&RaftVote> for StoredVote {
    fn from(vote: &RaftVote) -> StoredVote {
        let LeaderId { term, voted_for } = vote.leader_id;
        StoredVote { term, node: voted_for, committed: vote.committed }
    }
}

impl From<StoredVote> for RaftVote {
    fn from(vote: StoredVote) -> RaftVote {
        let leader_id = LeaderId { term: vote.term, voted_for: vote.node };
        RaftVote { leader_id, committed: vote.committed }
    }
}

/// The name of a log entry as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredLogId {
    pub term: u64,
    pub index: u64,
}

impl From<RaftLogId> for StoredLogId {
    fn from(id: RaftLogId) -> StoredLogId {
        StoredLogId { term: id.leader_id.term, index: id.index }
    }
}

impl From<StoredLogId> for RaftLogId {
    fn from(id: StoredLogId) -> RaftLogId {
        RaftLogId { leader_id: CommittedLeaderId::new(id.term), index: id.index }
    }
}

/// A voter as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPeer {
    endpoint: String,
}

/// A membership configuration as stored, but for the directories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredVoters {
    configs: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, StoredPeer>,
}

/// The directories of those voters whose directories are recorded. Apart from [`StoredVoters`], which was there first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredIdentities(pub BTreeMap<u64, u128>);

impl From<&Membership<u64, Peer>> for StoredVoters {
    fn from(membership: &Membership<u64, Peer>) -> StoredVoters {
        let stored = |(id, node): (&u64, &Peer)| (*id, StoredPeer { endpoint: node.endpoint.clone() });
        StoredVoters {
            configs: membership.get_joint_config().clone(),
            nodes: membership.nodes().map(stored).collect(),
        }
    }
}

impl From<&Membership<u64, Peer>> for StoredIdentities {
    fn from(membership: &Membership<u64, Peer>) -> StoredIdentities {
        let identity = |(id, node): (&u64, &Peer)| node.directory_id.map(|directory| (*id, directory));
        StoredIdentities(membership.nodes().filter_map(identity).collect())
    }
}

impl StoredVoters {
    /// # Errors
    /// The text says what openraft does not accept about it.
    pub fn into_membership(self, identities: &StoredIdentities) -> Result<Membership<u64, Peer>, String> {
        if self.configs.is_empty() && self.nodes.is_empty() {
            return Ok(Membership::default());
        }
        let peer = |(id, node): (u64, StoredPeer)| {
            let directory_id = identities.0.get(&id).copied();
            (id, Peer { endpoint: node.endpoint, directory_id })
        };
        let nodes: BTreeMap<u64, Peer> = self.nodes.into_iter().map(peer).collect();
        Membership::new(self.configs, nodes).map_err(|error| error.to_string())
    }
}

/// A log entry as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredEntry {
    pub id: StoredLogId,
    pub payload: StoredPayload,
}

/// What a stored entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredPayload {
    /// Nothing: a leader's first entry.
    Blank,
    /// A batch, in core's encoding.
    Batch(Arc<[u8]>),
    /// Who votes from here on, none of whose directories is recorded.
    Voters(StoredVoters),
    /// Who votes from here on.
    Identified(StoredVoters, StoredIdentities),
}

impl From<&RaftEntry> for StoredEntry {
    fn from(entry: &RaftEntry) -> StoredEntry {
        let payload = match &entry.payload {
            EntryPayload::Blank => StoredPayload::Blank,
            EntryPayload::Normal(batch) => StoredPayload::Batch(Arc::clone(&batch.0)),
            EntryPayload::Membership(membership) => match StoredIdentities::from(membership) {
                identities if identities.0.is_empty() => StoredPayload::Voters(membership.into()),
                identities => StoredPayload::Identified(membership.into(), identities),
            },
        };
        StoredEntry { id: entry.log_id.into(), payload }
    }
}

impl StoredEntry {
    /// # Errors
    /// As [`StoredVoters::into_membership`].
    pub fn into_entry(self) -> Result<RaftEntry, String> {
        let payload = match self.payload {
            StoredPayload::Blank => EntryPayload::Blank,
            StoredPayload::Batch(bytes) => EntryPayload::Normal(EncodedBatch(bytes)),
            StoredPayload::Voters(voters) => {
                EntryPayload::Membership(voters.into_membership(&StoredIdentities::default())?)
            }
            StoredPayload::Identified(voters, identities) => {
                EntryPayload::Membership(voters.into_membership(&identities)?)
            }
        };
        Ok(RaftEntry { log_id: self.id.into(), payload })
    }
}
