//! Requests for the active controller, of this node's shards and of its own life: decided here when this node leads the
//! quorum, sent to whoever does when it does not, and kept for a while when nobody is known to.

use bytes::Bytes;
use corelane_core::{
    engine::{ControllerRequest, ControllerResponse, GatherId},
    error::ErrorCode,
    ids::NodeId,
    wire::{PeerKind, PeerRequest},
};
use corelane_seam::{Monotonic, Now, ShardId};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// How long a request waits for a controller before it fails. An election takes less; clients wait longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon a controller that could not be reached, or led no more, is asked again.
const RETRY: Duration = Duration::from_millis(50);

/// Requests that wait; beyond it they fail at once.
const WAITING_MAX: usize = 10_000;

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A data shard's.
    Shard(ShardId, GatherId),
    /// A client's of the controller's listener.
    Front(GatherId),
    /// This broker's own life.
    Life,
    /// What this node says of itself as a voter.
    Announcer,
}

#[derive(Debug)]
struct Waiting {
    origin: Origin,
    request: ControllerRequest,
    not_before: Monotonic,
    until: Monotonic,
}

#[derive(Debug)]
struct Sent {
    origin: Origin,
    request: ControllerRequest,
    until: Monotonic,
}

/// A response that must not be told before the metadata it speaks of is known here.
#[derive(Debug)]
struct Held {
    end: u64,
    origin: Origin,
    response: ControllerResponse,
}

/// What is to be done with a request now.
#[derive(Debug)]
pub(super) enum Next {
    /// This node leads: decide.
    Decide(Origin, ControllerRequest),
    /// Another one does: call it.
    Call(NodeId, Bytes),
    /// It took too long.
    Fail(Origin),
}

/// Who leads the quorum, as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leader {
    /// Nobody, or nobody that may decide yet.
    Unknown,
    /// This node.
    Here,
    /// Another one.
    There(NodeId),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Control {
    node: NodeId,
    waiting: VecDeque<Waiting>,
    sent: BTreeMap<i32, Sent>,
    held: Vec<Held>,
}

impl Control {
    pub fn new(node: NodeId) -> Control {
        Control { node, waiting: VecDeque::new(), sent: BTreeMap::new(), held: Vec::new() }
    }

    /// Takes a request; [`next`](Self::next) says what comes of it.
    pub fn ask(&mut self, now: Now, origin: Origin, request: ControllerRequest) {
        let until = now.monotonic + if self.waiting.len() < WAITING_MAX { PATIENCE } else { Duration::ZERO };
        self.waiting.push_back(Waiting { origin, request, not_before: now.monotonic, until });
    }

    /// The next thing to do; to be called until there is none. `correlation` gives unused ids for calls.
    pub fn next(&mut self, now: Now, leader: Leader, correlation: &mut dyn FnMut() -> i32) -> Option<Next> {
        let due = |it: &Waiting| {
            it.until <= now.monotonic || (leader != Leader::Unknown && it.not_before <= now.monotonic)
        };
        let at = self.waiting.iter().position(due)?;
        let Waiting { origin, request, until, .. } = self.waiting.remove(at)?;
        if until <= now.monotonic {
            return Some(Next::Fail(origin));
        }
        let to = match leader {
            Leader::Unknown => return Some(Next::Fail(origin)),
            Leader::Here => return Some(Next::Decide(origin, request)),
            Leader::There(to) => to,
        };
        let correlation = correlation();
        let body = request.encode().into();
        let call = PeerRequest { correlation, from: self.node, kind: PeerKind::Controller, body };
        self.sent.insert(correlation, Sent { origin, request, until });
        Some(Next::Call(to, call.encode()))
    }

    /// A call was answered: what can be told now. `end` is the first offset of the metadata that the response knows
    /// nothing of, `applied_end` the first that this node does not know.
    pub fn answered(
        &mut self,
        now: Now,
        correlation: i32,
        end: u64,
        applied_end: u64,
        response: ControllerResponse,
    ) -> Option<(Origin, ControllerResponse)> {
        let sent = self.sent.remove(&correlation)?;
        if matches!(response, ControllerResponse::Unavailable(ErrorCode::NotController)) {
            // Whoever was asked does not lead (any more). What it had begun to decide is void, or its outcome is not
            // known: asked again, a creation may meet what it created itself, as with Kafka's controllers.
            self.again(now, sent);
            return None;
        }
        if end > applied_end {
            self.held.push(Held { end, origin: sent.origin, response });
            return None;
        }
        Some((sent.origin, response))
    }

    /// A call failed. One that never left is made again; of another one nobody knows what became.
    pub fn failed(&mut self, now: Now, correlation: i32, unsent: bool) -> Option<Origin> {
        let sent = self.sent.remove(&correlation)?;
        if unsent {
            self.again(now, sent);
            return None;
        }
        Some(sent.origin)
    }

    fn again(&mut self, now: Now, sent: Sent) {
        let Sent { origin, request, until } = sent;
        self.waiting.push_back(Waiting { origin, request, not_before: now.monotonic + RETRY, until });
    }

    /// Responses whose metadata is known by now.
    pub fn caught_up(&mut self, applied_end: u64) -> Vec<(Origin, ControllerResponse)> {
        let known = self.held.extract_if(.., |held| held.end <= applied_end);
        known.map(|held| (held.origin, held.response)).collect()
    }

    /// When [`next`](Self::next) may have something to say though nothing happened.
    pub fn next_deadline(&self, leader: Leader) -> Option<Monotonic> {
        let due =
            |it: &Waiting| if leader == Leader::Unknown { it.until } else { it.until.min(it.not_before) };
        self.waiting.iter().map(due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin::Shard(ShardId(0), GatherId(1));
    const THERE: Leader = Leader::There(NodeId(2));

    fn at(ms: u64) -> Now {
        Now { monotonic: Monotonic(0).after_ms(ms), unix_ms: 0 }
    }

    fn asked() -> Control {
        let mut control = Control::new(NodeId(1));
        control.ask(at(0), ORIGIN, ControllerRequest::DescribeQuorum);
        control
    }

    fn done() -> ControllerResponse {
        ControllerResponse::Unavailable(ErrorCode::UnknownServerError)
    }

    #[test]
    fn a_request_waits_for_a_leader_and_goes_to_whoever_it_is() {
        let mut control = asked();
        assert!(control.next(at(1), Leader::Unknown, &mut || 1).is_none());
        let Some(Next::Call(NodeId(2), frame)) = control.next(at(2), THERE, &mut || 7) else { panic!() };
        let call = PeerRequest::decode(frame).expect("a call");
        assert_eq!((call.correlation, call.from, call.kind), (7, NodeId(1), PeerKind::Controller));
        assert!(control.next(at(2), THERE, &mut || 8).is_none());

        let mut control = asked();
        assert!(matches!(control.next(at(2), Leader::Here, &mut || 1), Some(Next::Decide(ORIGIN, _))));
    }

    #[test]
    fn a_request_that_finds_no_leader_fails_in_time() {
        let mut control = asked();
        assert_eq!(control.next_deadline(Leader::Unknown), Some(Monotonic(0) + PATIENCE));
        assert!(matches!(control.next(at(5_000), Leader::Unknown, &mut || 1), Some(Next::Fail(ORIGIN))));
        assert_eq!(control.next_deadline(Leader::Unknown), None);
    }

    #[test]
    fn what_never_left_or_met_no_leader_is_asked_again_and_what_was_lost_is_not() {
        let mut control = asked();
        assert!(control.next(at(0), THERE, &mut || 1).is_some());
        assert_eq!(control.failed(at(0), 1, true), None);
        assert!(control.next(at(49), THERE, &mut || 2).is_none());
        assert!(control.next(at(50), THERE, &mut || 2).is_some());
        let refused = ControllerResponse::Unavailable(ErrorCode::NotController);
        assert!(control.answered(at(50), 2, 0, 0, refused).is_none());
        assert!(control.next(at(100), THERE, &mut || 3).is_some());
        assert_eq!(control.failed(at(100), 3, false), Some(ORIGIN));
    }

    #[test]
    fn a_response_is_told_only_when_the_metadata_it_speaks_of_is_known_here() {
        let mut control = asked();
        assert!(control.next(at(0), THERE, &mut || 1).is_some());
        assert!(control.answered(at(1), 1, 10, 9, done()).is_none());
        assert!(control.caught_up(9).is_empty());
        assert!(matches!(control.caught_up(10)[..], [(ORIGIN, _)]));
        assert!(control.caught_up(11).is_empty());
    }
}
