//! A data shard's connections to other brokers: one for fetches, one for what transactions need.

use crate::peers::{Ended, PeerSettings, Peers};
use bytes::BytesMut;
use corelane_core::{
    engine::{Input, Line, PeerCall},
    ids::NodeId,
};
use corelane_seam::{ConnectionId, Monotonic, Now, Operation, Token};
use std::io;

/// From here on tokens are of the second kind of lines.
const SECOND_TOKENS: u64 = 1 << 63;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lines {
    replication: Peers,
    transactions: Peers,
    ended: Vec<(Line, Ended)>,
}

impl Lines {
    pub fn new(settings: PeerSettings) -> Lines {
        let transactions = Peers::with_tokens_from(SECOND_TOKENS, settings);
        Lines { replication: Peers::new(settings), transactions, ended: Vec::new() }
    }

    /// Has one kind of lines do something, and keeps what ended by it.
    fn on<R>(&mut self, line: Line, act: impl FnOnce(&mut Peers, &mut Vec<Ended>) -> R) -> R {
        let mut ended = Vec::new();
        let peers = match line {
            Line::Replication => &mut self.replication,
            Line::Transactions => &mut self.transactions,
        };
        let done = act(peers, &mut ended);
        self.ended.extend(ended.into_iter().map(|ended| (line, ended)));
        done
    }

    /// Which kind holds a connection.
    fn line_of(&self, connection: ConnectionId) -> Line {
        if self.transactions.holds(connection) { Line::Transactions } else { Line::Replication }
    }

    /// Where a peer is now.
    pub fn locate<M>(
        &mut self,
        now: Now,
        peer: NodeId,
        endpoint: Option<(String, u16)>,
        out: &mut Vec<Operation<M>>,
    ) {
        let same = endpoint.clone();
        self.on(Line::Replication, |peers, ended| peers.locate(now, peer, endpoint, out, ended));
        self.on(Line::Transactions, |peers, ended| peers.locate(now, peer, same, out, ended));
    }

    pub fn call<M>(&mut self, now: Now, call: PeerCall, out: &mut Vec<Operation<M>>) {
        self.on(call.line, |peers, ended| peers.call(now, call.peer, call.frame, out, ended));
    }

    /// Whether a connection is one of these.
    pub fn holds(&self, connection: ConnectionId) -> bool {
        self.replication.holds(connection) || self.transactions.holds(connection)
    }

    pub fn connected<M>(
        &mut self,
        now: Now,
        token: Token,
        result: io::Result<ConnectionId>,
        out: &mut Vec<Operation<M>>,
    ) {
        let line = if token.0 < SECOND_TOKENS { Line::Replication } else { Line::Transactions };
        self.on(line, |peers, ended| peers.connected(now, token, result, out, ended));
    }

    pub fn received<M>(
        &mut self,
        now: Now,
        connection: ConnectionId,
        buffer: BytesMut,
        bytes: usize,
        out: &mut Vec<Operation<M>>,
    ) {
        let line = self.line_of(connection);
        self.on(line, |peers, ended| peers.received(now, connection, buffer, bytes, out, ended));
    }

    pub fn sent<M>(&mut self, connection: ConnectionId, out: &mut Vec<Operation<M>>) {
        let line = self.line_of(connection);
        self.on(line, |peers, _| peers.sent(connection, out));
    }

    pub fn closed(&mut self, now: Now, connection: ConnectionId) {
        let line = self.line_of(connection);
        self.on(line, |peers, ended| peers.closed(now, connection, ended));
    }

    pub fn expire<M>(&mut self, now: Now, out: &mut Vec<Operation<M>>) {
        self.on(Line::Replication, |peers, ended| peers.expire(now, out, ended));
        self.on(Line::Transactions, |peers, ended| peers.expire(now, out, ended));
    }

    pub fn next_deadline(&self) -> Option<Monotonic> {
        [self.replication.next_deadline(), self.transactions.next_deadline()].into_iter().flatten().min()
    }

    /// Closes everything; nobody waits for what is under way.
    pub fn close_all<M>(&mut self, now: Now, out: &mut Vec<Operation<M>>) {
        self.on(Line::Replication, |peers, ended| peers.close_all(now, out, ended));
        self.on(Line::Transactions, |peers, ended| peers.close_all(now, out, ended));
        self.ended.clear();
    }

    /// What became of calls since this was asked last, for the engine.
    pub fn take_ended(&mut self) -> impl Iterator<Item = Input> + use<> {
        std::mem::take(&mut self.ended).into_iter().filter_map(|(line, ended)| match ended {
            Ended::Answered { peer, frame, .. } => Some(Input::PeerAnswer { peer, line, frame }),
            Ended::Failed { peer, correlation, .. } => Some(Input::PeerFailed { peer, line, correlation }),
            Ended::Up { .. } | Ended::Down { .. } => None,
        })
    }
}
