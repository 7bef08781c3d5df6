//! What a controller says of itself to the active one: that it is reached elsewhere than its log says (what Kafka's voters have
//! UpdateRaftVoter for), and, if it is configured to (`controller.quorum.auto.join.enable`), that it wants to vote.

use super::Member;
use corelane_core::{
    controller::VoterChange,
    engine::{ControllerRequest, ControllerResponse, QuorumStanding},
    ids::NodeId,
};
use corelane_seam::{Monotonic, Now};
use std::time::Duration;

/// How soon something is said again that was refused or lost, and how often whoever wants to vote looks whether it does.
const PAUSE: Duration = Duration::from_secs(2);

/// What a controller has to say of itself.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Which node this is.
    pub node: NodeId,
    /// `HOST:PORT` where its controller listener is reached, if it is a voter that nobody configured.
    pub endpoint: Option<String>,
    /// It wants to be a voter.
    pub joins: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Idle,
    /// Who votes has been asked.
    Asked,
    /// A change has been asked for.
    Changing,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Announcer {
    what: Announcement,
    step: Step,
    not_before: Monotonic,
    /// What is to be asked next.
    next: Option<VoterChange>,
}

/// How this node stands in the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It votes, and is reached there.
    Voter(String),
    /// It follows without a vote.
    Observer,
    /// It is being added, or forms a cluster, or does not know.
    Unknown,
}

impl Announcer {
    pub fn new(what: Announcement) -> Announcer {
        Announcer { what, step: Step::Idle, not_before: Monotonic(0), next: None }
    }

    /// What to ask the active controller now.
    pub fn poll(&mut self, now: Now, member: &Member) -> Option<ControllerRequest> {
        if self.step != Step::Idle || now.monotonic < self.not_before {
            return None;
        }
        let directory = member.directory_id();
        let voter = self.what.node;
        if let Some(change) = self.next.take() {
            self.step = Step::Changing;
            return Some(ControllerRequest::ChangeVoters(change));
        }
        match (member.place(), &self.what.endpoint) {
            (Place::Voter(known), Some(endpoint)) if known != *endpoint => {
                self.step = Step::Changing;
                let endpoint = endpoint.clone();
                Some(ControllerRequest::ChangeVoters(VoterChange::Move { voter, directory, endpoint }))
            }
            (Place::Observer, Some(_)) if self.what.joins => {
                self.step = Step::Asked;
                Some(ControllerRequest::DescribeQuorum)
            }
            _ => None,
        }
    }

    /// The active controller has answered.
    pub fn answered(&mut self, now: Now, member: &Member, response: &ControllerResponse) {
        let step = std::mem::replace(&mut self.step, Step::Idle);
        self.not_before = now.monotonic + PAUSE;
        if let (Step::Asked, ControllerResponse::DescribeQuorum(standing)) = (step, response) {
            self.next = self.joining(member.directory_id(), standing);
            self.not_before = now.monotonic;
        }
        match response {
            ControllerResponse::ChangeVoters(Ok(())) => {
                tracing::info!("the quorum was told of this controller")
            }
            ControllerResponse::ChangeVoters(Err(error)) => {
                tracing::info!("the quorum was told of this controller, in vain: {error}");
            }
            _ => {}
        }
    }

    /// One voter of a node at a time: what it was before its disk was lost goes first.
    fn joining(&self, directory: u128, standing: &QuorumStanding) -> Option<VoterChange> {
        let voter = self.what.node;
        let known = standing.voters.iter().find(|it| it.node == voter);
        match known.map(|it| it.directory) {
            Some(Some(other)) if other != directory => Some(VoterChange::Remove { voter, directory: other }),
            Some(_) => None,
            None => {
                let endpoint = self.what.endpoint.clone()?;
                Some(VoterChange::Add { voter, directory, endpoint })
            }
        }
    }

    /// When [`poll`](Self::poll) may have something to say though nothing happened.
    pub fn next_deadline(&self, member: &Member) -> Option<Monotonic> {
        let has_more = match (member.place(), &self.what.endpoint) {
            (Place::Voter(known), Some(endpoint)) => known != *endpoint,
            (Place::Observer, Some(_)) => self.what.joins,
            _ => false,
        };
        (self.step == Step::Idle && has_more).then_some(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_core::engine::VoterStanding;

    fn standing(voters: &[(i32, Option<u128>)]) -> QuorumStanding {
        let voter = |(node, directory): &(i32, Option<u128>)| VoterStanding {
            node: NodeId(*node),
            directory: *directory,
            log_end: None,
            last_fetch_ms: None,
            last_caught_up_ms: None,
        };
        QuorumStanding {
            leader: Some(NodeId(1)),
            term: 1,
            committed_end: 1,
            log_end: 1,
            voters: voters.iter().map(voter).collect(),
            observers: Vec::new(),
            endpoints: Vec::new(),
        }
    }

    #[test]
    fn who_joins_first_removes_what_it_was_with_another_disk() {
        let endpoint = Some("h:1".to_owned());
        let announcer = Announcer::new(Announcement { node: NodeId(3), endpoint, joins: true });
        let voter = NodeId(3);
        let add = VoterChange::Add { voter, directory: 7, endpoint: "h:1".to_owned() };
        assert_eq!(announcer.joining(7, &standing(&[(1, Some(1))])), Some(add));
        let old = VoterChange::Remove { voter, directory: 6 };
        assert_eq!(announcer.joining(7, &standing(&[(1, Some(1)), (3, Some(6))])), Some(old));
        assert_eq!(announcer.joining(7, &standing(&[(3, Some(7))])), None);
        assert_eq!(announcer.joining(7, &standing(&[(3, None)])), None, "it will be recorded");
    }
}
