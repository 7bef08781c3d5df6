//! Who is who: which cluster, which voters, and which directory each voter votes from (KIP-853).
//!
//! A voter whose directory was wiped has forgotten how it voted and what it acknowledged. It looks like one that is
//! slow, and would let a majority be counted twice. So the membership in the log names each voter's directory, and one
//! that comes from another is refused. Static voters do not know each other's directories when a cluster is formed:
//! the first leader learns them from the answers that elect it and records those of a majority before it counts as
//! writable. From then on a voter that is not recorded yet does not count, neither its vote nor what it stored, until
//! a leader has recorded it. A voter may know of its own record what another one has not read yet, so messages say it.

use crate::{
    executor::{Channels, WatchedReceiver},
    types::{Peer, RaftMembership, RaftVote, TypeConfig},
    wire::{Head, fingerprint},
};
use openraft::metrics::RaftMetrics;
use openraft_rt::WatchReceiver;
use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};
use tokio::sync::Notify;

/// Whether another node's word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is the voter that it says.
    Known,
    /// It may be, but is not recorded yet.
    New,
}

struct State {
    node: u64,
    cluster_id: String,
    directory: u128,
    voters: BTreeMap<u64, Peer>,
    fingerprint: u32,
    metrics: OnceCell<WatchedReceiver<RaftMetrics<TypeConfig>>>,
    /// The directories that voters spoke from.
    contacts: RefCell<BTreeMap<u64, u128>>,
    /// What the log was last told of each node, so that it is not told again.
    told: RefCell<BTreeMap<u64, String>>,
    changed: Notify,
}

/// What this node knows of itself and of the others. Clones are the same.
#[derive(Clone)]
pub(crate) struct Identity(Rc<State>);

impl Identity {
    /// `voters` are those of the configuration.
    pub fn new(node: u64, cluster_id: &str, directory: u128, voters: BTreeMap<u64, Peer>) -> Identity {
        Identity(Rc::new(State {
            node,
            cluster_id: cluster_id.to_owned(),
            directory,
            fingerprint: fingerprint(voters.keys().copied()),
            voters,
            metrics: OnceCell::new(),
            contacts: RefCell::default(),
            told: RefCell::default(),
            changed: Notify::new(),
        }))
    }

    /// openraft runs; from now on the membership is known.
    pub fn watch(&self, metrics: WatchedReceiver<RaftMetrics<TypeConfig>>) {
        // Set once, when the quorum starts.
        let _ = self.0.metrics.set(metrics);
    }

    /// This node.
    pub fn node(&self) -> u64 {
        self.0.node
    }

    fn metrics<T>(&self, look: impl FnOnce(&RaftMetrics<TypeConfig>) -> T) -> Option<T> {
        let metrics = self.0.metrics.get()?;
        Some(look(&WatchReceiver::<Channels, _>::borrow_watched(metrics)))
    }

    /// The membership that the log says, committed or not.
    pub fn membership(&self) -> Arc<RaftMembership> {
        self.metrics(|metrics| Arc::clone(&metrics.membership_config)).unwrap_or_default()
    }

    /// The vote as of now.
    pub fn vote(&self) -> Option<RaftVote> {
        self.metrics(|metrics| metrics.vote)
    }

    /// The index and term of the last entry known to be committed.
    pub fn committed(&self) -> Option<crate::types::RaftLogId> {
        self.metrics(|metrics| metrics.local_committed)?
    }

    /// How this node begins what it says.
    pub fn head(&self, to: u64) -> Head<'_> {
        let State { node, cluster_id, directory, fingerprint, .. } = &*self.0;
        let is_recorded = recorded(&self.membership(), *node) == Some(*directory);
        Head { cluster_id, voters: *fingerprint, from: *node, to, directory: *directory, is_recorded }
    }

    /// Whether the word of `from`, which speaks with this head, counts.
    ///
    /// # Errors
    /// Why it is refused, for both nodes' administrators.
    pub fn check(&self, head: &Head<'_>, from: u64) -> Result<Trust, String> {
        let State { node, cluster_id, voters, fingerprint, .. } = &*self.0;
        if head.cluster_id != cluster_id {
            return Err(format!(
                "node {from} is of cluster {}, node {node} of cluster {cluster_id}. Correct controller.quorum.voters \
                 or the cluster id",
                head.cluster_id
            ));
        }
        if head.to != *node || head.from != from {
            return Err(format!(
                "node {from} calls itself {} and speaks to node {}, but this is node {node}. Correct the endpoints in \
                 controller.quorum.voters",
                head.from, head.to
            ));
        }
        if !voters.contains_key(&from) || head.voters != *fingerprint {
            return Err(format!(
                "node {from} and node {node} have other node ids in controller.quorum.voters. Make them the same on \
                 all voters"
            ));
        }
        self.trust(from, head)
    }

    fn trust(&self, from: u64, head: &Head<'_>) -> Result<Trust, String> {
        let membership = self.membership();
        match recorded(&membership, from) {
            Some(directory) if directory == head.directory => Ok(Trust::Known),
            Some(directory) => Err(format!(
                "node {from} comes with the directory {:032x}, but is a voter with {directory:032x}: it has lost what \
                 it promised. Restore its directory, or remove the voter and add it again",
                head.directory
            )),
            None => {
                let known = self.0.contacts.borrow_mut().insert(from, head.directory);
                if known != Some(head.directory) {
                    self.0.changed.notify_one();
                }
                let counts = head.is_recorded || !is_majority_recorded(&membership);
                Ok(if counts { Trust::Known } else { Trust::New })
            }
        }
    }

    /// Waits for a voter that was not heard of before.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// What the leader has to record: the voters that it knows and the membership does not. Nothing before a majority
    /// is known: fewer would not be able to decide anything.
    pub fn unrecorded(&self, membership: &RaftMembership) -> BTreeMap<u64, Peer> {
        let State { node, directory, voters, .. } = &*self.0;
        let contacts = self.0.contacts.borrow();
        let missing = |(id, peer): (&u64, &Peer)| {
            let known = if id == node { Some(*directory) } else { contacts.get(id).copied() };
            let is_missing = recorded(membership, *id).is_none();
            known
                .filter(|_| is_missing)
                .map(|known| (*id, Peer { endpoint: peer.endpoint.clone(), directory_id: Some(known) }))
        };
        let missing: BTreeMap<u64, Peer> = voters.iter().filter_map(missing).collect();
        let count = missing.len() + recorded_count(membership);
        if count * 2 > voters.len() { missing } else { BTreeMap::new() }
    }

    /// Tells the log why node `other` is not heard, or does not hear, once per reason.
    pub fn refuse(&self, other: u64, reason: &str) {
        // Whoever can connect can name any number of nodes.
        if !self.0.voters.contains_key(&other) {
            return;
        }
        let mut told = self.0.told.borrow_mut();
        if told.get(&other).is_none_or(|told| told != reason) {
            tracing::warn!(voter = other, "the metadata quorum is without this voter: {reason}");
            told.insert(other, reason.to_owned());
        }
    }

    /// Node `other` is heard.
    pub fn accept(&self, other: u64) {
        if self.0.told.borrow_mut().remove(&other).is_some() {
            tracing::info!(voter = other, "the metadata quorum has this voter");
        }
    }
}

/// The directory that `node` is recorded with.
fn recorded(membership: &RaftMembership, node: u64) -> Option<u128> {
    membership.get_node(&node).and_then(|peer| peer.directory_id)
}

fn recorded_count(membership: &RaftMembership) -> usize {
    membership.voter_ids().filter(|id| recorded(membership, *id).is_some()).count()
}

/// Whether the directories of a majority are recorded: the cluster is formed.
pub(crate) fn is_majority_recorded(membership: &RaftMembership) -> bool {
    recorded_count(membership) * 2 > membership.voter_ids().count()
}
