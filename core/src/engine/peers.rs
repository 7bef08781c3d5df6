//! Other brokers, as a shard asks them: fetches of followers go over one connection, and what transactions need over
//! two others, where nothing waits behind a fetch that waits for records, or for what it must itself bring about.

use super::{Effects, Engine, GatherId, enlistment::Enlist, owner::MarkersOf};
use crate::{ids::NodeId, transactions::TransactionalId};
use bytes::{Bytes, BytesMut};
use corelane_seam::Now;
use std::collections::{BTreeMap, VecDeque};

/// One of a shard's connections to another broker. By each only so many requests are without an answer at a time: what
/// comes meanwhile goes together in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// Fetches: at most one is without an answer.
    Replication,
    /// Markers. A transaction is completed by them.
    Markers,
    /// Partitions for transactions. A coordinator may answer only when the transaction before is completed.
    Enlistment,
}

impl Line {
    /// All there are.
    pub const ALL: [Line; 3] = [Line::Replication, Line::Markers, Line::Enlistment];

    /// Where it stands in [`ALL`](Self::ALL).
    pub fn place(self) -> usize {
        self as usize
    }
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

/// Requests of transactions by one line without an answer. Brokers work on them one after the other: while one is under way
/// the next is there already. With one only, every transaction would wait for the way back and forth.
const UNANSWERED_MAX: usize = 2;

/// Transactions that go together in a request. They are answered at once: more would wait longer than they save.
pub(super) const TOGETHER_MAX: usize = 1_000;

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Caller {
    /// Transactions whose markers were sent, in the order of the request.
    Markers(Vec<MarkersOf>),
    /// Requests, each with the transaction that it is about.
    Enlistment(Vec<(GatherId, TransactionalId)>),
}

impl Caller {
    fn line(&self) -> Line {
        match self {
            Caller::Markers(_) => Line::Markers,
            Caller::Enlistment(_) => Line::Enlistment,
        }
    }
}

/// What is to be asked of other brokers, of each [`UNANSWERED_MAX`] requests at a time.
#[derive(Debug)]
pub(super) struct Outgoing<T> {
    waiting: BTreeMap<NodeId, VecDeque<T>>,
    /// How many requests each broker has not answered.
    unanswered: BTreeMap<NodeId, usize>,
}

impl<T> Default for Outgoing<T> {
    fn default() -> Self {
        Outgoing { waiting: BTreeMap::new(), unanswered: BTreeMap::new() }
    }
}

impl<T> Outgoing<T> {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// For the next request to a broker.
    pub fn push(&mut self, peer: NodeId, what: T) {
        self.waiting.entry(peer).or_default().push_back(what);
    }

    /// Brokers that may be asked now, each with what it is to be asked, `most` at a time, the oldest first.
    pub fn take(&mut self, most: usize) -> Vec<(NodeId, Vec<T>)> {
        let unanswered = &self.unanswered;
        let is_free = |peer| unanswered.get(peer).is_none_or(|count| *count < UNANSWERED_MAX);
        let free = self.waiting.iter_mut().filter(|(peer, _)| is_free(peer));
        let taken = free.map(|(peer, all)| (*peer, all.drain(..all.len().min(most)).collect())).collect();
        self.waiting.retain(|_, all| !all.is_empty());
        taken
    }

    fn note_asked(&mut self, peer: NodeId) {
        *self.unanswered.entry(peer).or_default() += 1;
    }

    fn note_answered(&mut self, peer: NodeId) {
        if let Some(count) = self.unanswered.get_mut(&peer) {
            *count = count.saturating_sub(1);
        }
    }

    fn forget(&mut self) {
        self.waiting.clear();
    }
}

/// The calls of transactions that have no answer yet, and what waits for these.
#[derive(Debug, Default)]
pub(super) struct PeerCalls {
    callers: BTreeMap<i32, (NodeId, Caller)>,
    last: i32,
    pub markers: Outgoing<MarkersOf>,
    pub enlistment: Outgoing<(GatherId, Enlist)>,
}

impl PeerCalls {
    /// Makes a request a call: gives it a correlation id that no other has.
    pub fn call(&mut self, peer: NodeId, frame: &Bytes, caller: Caller) -> PeerCall {
        self.last = self.last.checked_add(1).unwrap_or(0);
        let mut frame = BytesMut::from(&frame[..]);
        frame[OF_REQUEST].copy_from_slice(&self.last.to_be_bytes());
        let line = caller.line();
        match &caller {
            Caller::Markers(_) => self.markers.note_asked(peer),
            Caller::Enlistment(_) => self.enlistment.note_asked(peer),
        }
        self.callers.insert(self.last, (peer, caller));
        PeerCall { peer, line, frame: frame.freeze() }
    }

    /// A call has ended: who made it.
    fn ended(&mut self, correlation: i32) -> Option<Caller> {
        let (peer, caller) = self.callers.remove(&correlation)?;
        match &caller {
            Caller::Markers(_) => self.markers.note_answered(peer),
            Caller::Enlistment(_) => self.enlistment.note_answered(peer),
        }
        Some(caller)
    }

    /// Nobody waits for markers any more.
    pub fn forget_markers(&mut self) {
        self.callers.retain(|_, (_, caller)| !matches!(caller, Caller::Markers(_)));
        self.markers.forget();
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
        match self.peer_calls.ended(correlation) {
            Some(Caller::Enlistment(asked)) => self.enlisted(now, asked, answer, effects),
            Some(Caller::Markers(markers)) => self.marked_there(now, markers, answer, effects),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_stands_where_it_says() {
        assert!(Line::ALL.into_iter().map(Line::place).eq(0..Line::ALL.len()));
    }

    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);

    fn enlistment() -> Caller {
        Caller::Enlistment(Vec::new())
    }

    #[test]
    fn a_broker_owes_two_answers_at_most_and_what_came_meanwhile_goes_together() {
        let mut calls = PeerCalls::default();
        let outgoing = |calls: &mut PeerCalls, most| {
            let taken = calls.enlistment.take(most);
            taken.into_iter().map(|(peer, asks)| (peer, asks.len())).collect::<Vec<_>>()
        };
        let enlist = || (GatherId(7), Enlist::for_test("tx"));
        let mut correlation = 0;
        for _ in 0..2 {
            calls.enlistment.push(ONE, enlist());
            assert_eq!(outgoing(&mut calls, 9), [(ONE, 1)]);
            let call = calls.call(ONE, &Bytes::from_static(&[0; 8]), enlistment());
            correlation = i32::from_be_bytes(call.frame[OF_REQUEST].try_into().unwrap());
        }
        (0..3).for_each(|_| calls.enlistment.push(ONE, enlist()));
        calls.enlistment.push(TWO, enlist());
        assert_eq!(outgoing(&mut calls, 9), [(TWO, 1)], "another one is asked at once");
        assert!(calls.ended(correlation + 1).is_none(), "nobody asked that");
        assert_eq!(outgoing(&mut calls, 9), []);
        assert!(calls.ended(correlation).is_some());
        assert_eq!(outgoing(&mut calls, 2), [(ONE, 2)], "no more than may go together");
        assert_eq!(outgoing(&mut calls, 2), [(ONE, 1)]);
        assert_eq!(outgoing(&mut calls, 2), []);
    }

    #[test]
    fn markers_and_partitions_do_not_wait_for_each_other() {
        let mut calls = PeerCalls::default();
        for _ in 0..2 {
            let call = calls.call(ONE, &Bytes::from_static(&[0; 8]), Caller::Markers(Vec::new()));
            assert_eq!(call.line, Line::Markers);
        }
        calls.enlistment.push(ONE, (GatherId(7), Enlist::for_test("tx")));
        assert_eq!(calls.enlistment.take(9).len(), 1);
    }
}
