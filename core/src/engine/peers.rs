//! Other brokers, as a shard asks them: fetches of followers go over one connection, and what transactions need over
//! another, where nothing waits behind a fetch that waits for records.

use super::{Effects, Engine, GatherId, owner::MarkersOf};
use crate::ids::NodeId;
use bytes::{Bytes, BytesMut};
use corelane_seam::Now;
use std::collections::BTreeMap;

/// One of a shard's connections to another broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// Fetches: at most one is without an answer.
    Replication,
    /// Markers, and partitions for transactions. Answers come in the order of the requests.
    Transactions,
}

/// A request for another broker.
#[derive(Clone, Debug)]
pub struct PeerCall {
    /// The broker.
    pub peer: NodeId,
    /// By which connection.
    pub line: Line,
    /// Header and request, without the length.
    pub frame: Bytes,
}

/// There is no answer: the broker could not be reached, or the connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLost;

/// Where a correlation id stands in a request, and in an answer.
const OF_REQUEST: std::ops::Range<usize> = 4..8;

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Caller {
    Gather(GatherId),
    /// Transactions whose markers were sent, in the order of the request.
    Markers(Vec<MarkersOf>),
}

/// The calls over [`Line::Transactions`] that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct PeerCalls {
    callers: BTreeMap<i32, Caller>,
    last: i32,
}

impl PeerCalls {
    /// Makes a request a call: gives it a correlation id that no other has.
    pub fn call(&mut self, peer: NodeId, frame: &Bytes, caller: Caller) -> PeerCall {
        self.last = self.last.checked_add(1).unwrap_or(0);
        let mut frame = BytesMut::from(&frame[..]);
        frame[OF_REQUEST].copy_from_slice(&self.last.to_be_bytes());
        self.callers.insert(self.last, caller);
        PeerCall { peer, line: Line::Transactions, frame: frame.freeze() }
    }

    /// Nobody waits for markers any more.
    pub fn forget_markers(&mut self) {
        self.callers.retain(|_, caller| matches!(caller, Caller::Gather(_)));
    }
}

impl Engine {
    /// Another broker has answered what transactions asked of it.
    pub(super) fn peer_told(&mut self, now: Now, frame: Bytes, effects: &mut Effects) {
        let Some(correlation) = frame.first_chunk().copied().map(i32::from_be_bytes) else { return };
        self.peer_call_ended(now, correlation, Ok(frame), effects);
    }

    /// It will not answer.
    pub(super) fn peer_lost(&mut self, now: Now, correlation: i32, effects: &mut Effects) {
        self.peer_call_ended(now, correlation, Err(PeerLost), effects);
    }

    fn peer_call_ended(
        &mut self,
        now: Now,
        correlation: i32,
        answer: Result<Bytes, PeerLost>,
        effects: &mut Effects,
    ) {
        match self.peer_calls.callers.remove(&correlation) {
            Some(Caller::Gather(gather)) => {
                self.step(now, gather, effects, |gather, context| gather.peer_answered(context, answer));
            }
            Some(Caller::Markers(markers)) => self.marked_there(now, markers, answer, effects),
            None => {}
        }
    }
}
