//! This node's part in the metadata quorum: a voter, or one that follows without a vote. Both are driven alike.

use super::announce::Place;
use corelane_core::{engine::QuorumStanding, ids::NodeId};
use corelane_raft_meta::{Observer, QuorumInput, QuorumOutput, Seat};
use corelane_seam::{Monotonic, Now};

/// See the module.
pub enum Member {
    /// A controller, with or without a vote.
    Controller(Box<Seat>),
    /// Only a broker.
    Observer(Box<Observer>),
}

impl Member {
    /// The cluster that its directory belongs to.
    pub fn cluster_id(&self) -> &str {
        match self {
            Member::Controller(seat) => seat.quorum().cluster_id(),
            Member::Observer(observer) => observer.cluster_id(),
        }
    }

    /// Its directory's own id.
    pub fn directory_id(&self) -> u128 {
        match self {
            Member::Controller(seat) => seat.quorum().directory_id(),
            Member::Observer(observer) => observer.directory_id(),
        }
    }

    /// The voters, as far as they are known.
    pub(super) fn voters(&self) -> Vec<NodeId> {
        match self {
            Member::Controller(seat) => seat.voters(),
            Member::Observer(observer) => observer.voters().into_iter().map(|(voter, _)| voter).collect(),
        }
    }

    /// Whom it may call, and where each is reached: at one place, or perhaps at another one.
    pub(super) fn controllers(&self) -> Vec<(NodeId, String)> {
        match self {
            Member::Controller(seat) => seat.endpoints(),
            Member::Observer(observer) => observer.controllers(),
        }
    }

    /// How far the metadata has come.
    pub(super) fn standing(&self, now: Now) -> QuorumStanding {
        match self {
            Member::Controller(seat) => seat.standing(now),
            Member::Observer(observer) => observer.standing(),
        }
    }

    /// How it stands in the quorum.
    pub(super) fn place(&self) -> Place {
        match self {
            Member::Controller(seat) => match seat.quorum().own_endpoint() {
                Some(endpoint) => Place::Voter(endpoint),
                None if seat.observes() => Place::Observer,
                None => Place::Unknown,
            },
            Member::Observer(_) => Place::Unknown,
        }
    }

    pub(super) fn handle(&mut self, now: Now, input: QuorumInput) {
        match self {
            Member::Controller(seat) => seat.handle(now, input),
            Member::Observer(observer) => observer.handle(now, input),
        }
    }

    pub(super) fn poll(&mut self, now: Now, out: &mut Vec<QuorumOutput>) {
        match self {
            Member::Controller(seat) => seat.poll(now, out),
            Member::Observer(observer) => observer.poll(now, out),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        match self {
            Member::Controller(seat) => seat.next_deadline(),
            Member::Observer(observer) => observer.next_deadline(),
        }
    }
}
