//! This node's part in the metadata quorum: a voter, or one that follows without a vote. Both are driven alike.

use corelane_core::{engine::QuorumStanding, ids::NodeId};
use corelane_raft_meta::{Observer, Quorum, QuorumInput, QuorumOutput};
use corelane_seam::{Monotonic, Now};

/// See the module.
pub enum Member {
    /// A controller.
    Voter(Box<Quorum>),
    /// Only a broker.
    Observer(Box<Observer>),
}

impl Member {
    /// The cluster that its directory belongs to.
    pub fn cluster_id(&self) -> &str {
        match self {
            Member::Voter(quorum) => quorum.cluster_id(),
            Member::Observer(observer) => observer.cluster_id(),
        }
    }

    /// Its directory's own id.
    pub fn directory_id(&self) -> u128 {
        match self {
            Member::Voter(quorum) => quorum.directory_id(),
            Member::Observer(observer) => observer.directory_id(),
        }
    }

    /// The voters, as far as they are known.
    pub(super) fn voters(&self) -> Vec<NodeId> {
        match self {
            Member::Voter(quorum) => quorum.voters(),
            Member::Observer(observer) => observer.voters().into_iter().map(|(voter, _)| voter).collect(),
        }
    }

    /// Whom it may call, and where each is reached: at one place, or perhaps at another one.
    pub(super) fn controllers(&self) -> Vec<(NodeId, String)> {
        match self {
            Member::Voter(quorum) => quorum.endpoints(),
            Member::Observer(observer) => observer.controllers(),
        }
    }

    /// How far the metadata has come.
    pub(super) fn standing(&self, now: Now) -> QuorumStanding {
        match self {
            Member::Voter(quorum) => quorum.standing(now),
            Member::Observer(observer) => observer.standing(),
        }
    }

    pub(super) fn handle(&mut self, now: Now, input: QuorumInput) {
        match self {
            Member::Voter(quorum) => quorum.handle(now, input),
            Member::Observer(observer) => observer.handle(now, input),
        }
    }

    pub(super) fn poll(&mut self, now: Now, out: &mut Vec<QuorumOutput>) {
        match self {
            Member::Voter(quorum) => quorum.poll(now, out),
            Member::Observer(observer) => observer.poll(now, out),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        match self {
            Member::Voter(quorum) => quorum.next_deadline(),
            Member::Observer(observer) => observer.next_deadline(),
        }
    }
}
