//! Who is who: which cluster, which voters, and which directory each voter votes from (KIP-853).
//!
//! A voter whose directory was wiped has forgotten how it voted and what it acknowledged. It looks like one that is
//! slow, and would let a majority be counted twice. So the membership in the log names each voter's directory, and one
//! that comes from another is refused. Static voters do not know each other's directories when a cluster is formed:
//! the first leader learns them from the answers that elect it and records those of a majority before it counts as
//! writable. From then on a voter that is not recorded yet does not count, neither its vote nor what it stored, until
//! a leader has recorded it. A voter may know of its own record what another one has not read yet, so messages say it.
//!
//! Once a majority is recorded the log alone says who votes; the configuration only told whom to ask first. An answer
//! counts if it comes from where the asker's membership says. A question is heard from whoever the membership
//! names, and from whoever says that its own log names it: that log may be ahead of this one, or behind it, and raft
//! compares logs before it believes anything else.

use crate::{
    executor::{Channels, WatchedReceiver},
    types::{Peer, RaftMembership, RaftVote, TypeConfig},
    wire::Head,
};
use corelane_core::log::Fault;
use openraft::{ServerState, metrics::RaftMetrics};
use openraft_rt::WatchReceiver;
use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};
use tokio::sync::Notify;

/// What another node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It asks.
    Question,
    /// It was asked, as a member.
    Answer,
}

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
    /// Those of the configuration.
    voters: BTreeMap<u64, Peer>,
    fingerprint: u32,
    /// A bug on purpose: directories are not looked at.
    takes_any_directory: bool,
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
    /// `voters` are those of the configuration; without this node, if it is to be added by others, though they stand
    /// in `fingerprint` as configured.
    pub fn new(
        node: u64,
        cluster_id: &str,
        directory: u128,
        (voters, fingerprint): (BTreeMap<u64, Peer>, u32),
        fault: Fault,
    ) -> Identity {
        Identity(Rc::new(State {
            node,
            cluster_id: cluster_id.to_owned(),
            directory,
            takes_any_directory: fault == Fault::TakeAnyDirectory,
            fingerprint,
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

    /// Whether this node leads.
    pub fn leads(&self) -> bool {
        self.metrics(|metrics| metrics.state == ServerState::Leader).unwrap_or(false)
    }

    /// The index and term of the last entry known to be committed.
    pub fn committed(&self) -> Option<crate::types::RaftLogId> {
        self.metrics(|metrics| metrics.local_committed)?
    }

    /// How this node begins what it says.
    pub fn head(&self, to: u64) -> Head<'_> {
        let State { node, cluster_id, directory, fingerprint, .. } = &*self.0;
        // A leader that has been removed leads until that is committed and another one can take over.
        let is_recorded = recorded(&self.membership(), *node) == Some(*directory) || self.leads();
        Head { cluster_id, voters: *fingerprint, from: *node, to, directory: *directory, is_recorded }
    }

    /// Whether the word of `from`, which speaks with this head, counts.
    ///
    /// # Errors
    /// Why it is refused, for both nodes' administrators.
    pub fn check(&self, head: &Head<'_>, from: u64, word: Word) -> Result<Trust, String> {
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
        let membership = self.membership();
        // A node that forms a cluster hears of no one else before it is formed; nor is anyone whom no log names with its
        // directory believed to be who it says, unless it is configured alike.
        let forms = voters.contains_key(node) && !is_majority_recorded(&membership);
        let is_recorded = head.is_recorded || recorded(&membership, from).is_some();
        let is_alike = head.voters == *fingerprint;
        let is_known = is_recorded || (is_alike && voters.contains_key(&from));
        if (forms && !is_alike) || !is_known {
            return Err(format!(
                "node {from} and node {node} have other node ids in controller.quorum.voters, and node {from} is no \
                 voter otherwise. Make them the same on all voters, or add it with its directory"
            ));
        }
        let trust = self.trust(from, head, word, &membership);
        if self.0.takes_any_directory { Ok(Trust::Known) } else { trust }
    }

    fn trust(
        &self,
        from: u64,
        head: &Head<'_>,
        word: Word,
        membership: &RaftMembership,
    ) -> Result<Trust, String> {
        let is_named = membership.get_node(&from).is_some();
        if word == Word::Question && head.is_recorded {
            return Ok(Trust::Known);
        }
        match recorded(membership, from) {
            Some(directory) if directory == head.directory => Ok(Trust::Known),
            Some(directory) => Err(format!(
                "node {from} comes with the directory {:032x}, but is a voter with {directory:032x}: it has lost what \
                 it promised. Restore its directory, or remove the voter and add it again",
                head.directory
            )),
            None if is_named => {
                let known = self.0.contacts.borrow_mut().insert(from, head.directory);
                if known != Some(head.directory) {
                    self.0.changed.notify_one();
                }
                let counts = head.is_recorded || !is_majority_recorded(membership);
                Ok(if counts { Trust::Known } else { Trust::New })
            }
            // Its configuration is this node's, which has no log yet.
            None if !is_majority_recorded(membership) => Ok(Trust::Known),
            None => Err(format!("node {from} is no voter of this cluster. Add it with its directory")),
        }
    }

    /// Whether this node's vote can count: a log that names voters names it, with its directory if it names one.
    pub fn may_vote(&self) -> bool {
        let State { node, directory, voters, takes_any_directory, .. } = &*self.0;
        let membership = self.membership();
        match membership.get_node(node) {
            Some(peer) => peer.directory_id.is_none_or(|it| it == *directory || *takes_any_directory),
            None => membership.nodes().next().is_none() && voters.contains_key(node),
        }
    }

    /// Whether others speak to this node as a member: the log names it, with its directory if with any, or there is no log
    /// and it is one of those that write the first entry. `None` as long as openraft has not started.
    pub fn is_member(&self) -> Option<bool> {
        self.0.metrics.get().map(|_| self.may_vote())
    }

    /// Where the log says that this node is reached, if it names it with its directory.
    pub fn own_endpoint(&self) -> Option<String> {
        let State { node, directory, .. } = &*self.0;
        let membership = self.membership();
        let peer = membership.get_node(node).filter(|peer| peer.directory_id == Some(*directory));
        peer.filter(|_| membership.voter_ids().any(|id| id == *node)).map(|peer| peer.endpoint.clone())
    }

    /// Where nodes are reached, one line for each place, the one to be tried first before others of the same node: as
    /// the membership says, then as the configuration does, of members or while the log does not name this node.
    pub fn endpoints(&self) -> Vec<(u64, String)> {
        let State { node, voters, .. } = &*self.0;
        let membership = self.membership();
        let is_member = is_majority_recorded(&membership) && membership.get_node(node).is_some();
        let recorded = membership.nodes().map(|(id, peer)| (*id, peer.endpoint.clone()));
        let is_asked = |id: &u64| !is_member || membership.get_node(id).is_some();
        let configured = voters.iter().filter(|(id, _)| is_asked(id));
        let configured = configured.map(|(id, peer)| (*id, peer.endpoint.clone()));
        let mut known: Vec<(u64, String)> = Vec::new();
        for place in recorded.chain(configured) {
            if !place.1.is_empty() && !known.contains(&place) {
                known.push(place);
            }
        }
        known
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
        let missing = |id: u64| {
            let known = if id == *node { Some(*directory) } else { contacts.get(&id).copied() };
            let is_missing = recorded(membership, id).is_none();
            let endpoint = voters.get(&id).map(|peer| peer.endpoint.clone()).unwrap_or_default();
            known.filter(|_| is_missing).map(|known| (id, Peer { endpoint, directory_id: Some(known) }))
        };
        let missing: BTreeMap<u64, Peer> = membership.voter_ids().filter_map(missing).collect();
        let count = missing.len() + recorded_count(membership);
        if count * 2 > membership.voter_ids().count() { missing } else { BTreeMap::new() }
    }

    /// Tells the log why node `other` is not heard, or does not hear, once per reason.
    pub fn refuse(&self, other: u64, reason: &str) {
        // Whoever can connect can name any number of nodes.
        if !self.0.voters.contains_key(&other) && self.membership().get_node(&other).is_none() {
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
pub(crate) fn recorded(membership: &RaftMembership, node: u64) -> Option<u128> {
    membership.get_node(&node).and_then(|peer| peer.directory_id)
}

fn recorded_count(membership: &RaftMembership) -> usize {
    membership.voter_ids().filter(|id| recorded(membership, *id).is_some()).count()
}

/// Whether the directories of a majority are recorded: the cluster is formed.
pub(crate) fn is_majority_recorded(membership: &RaftMembership) -> bool {
    recorded_count(membership) * 2 > membership.voter_ids().count()
}

/// Whether this node is the only one there is: there is no one to hear, to wait for or to call.
pub(crate) fn is_alone(membership: &RaftMembership, node: u64) -> bool {
    membership.nodes().map(|(id, _)| *id).eq([node])
}
