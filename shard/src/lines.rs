//! A data shard's connections to other brokers: one of each kind of [`Line`] to each of them.

use crate::peers::{Ended, PeerSettings, Peers};
use bytes::BytesMut;
use corelane_core::{
    engine::{Input, Line, PeerCall},
    ids::NodeId,
};
use corelane_seam::{ConnectionId, Monotonic, Now, Operation, Token};
use std::io;

/// Tokens of connects have their line's place above this bit.
const PLACE_SHIFT: u32 = 60;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lines {
    /// In the order of [`Line::ALL`].
    kinds: [Peers; Line::ALL.len()],
    ended: Vec<(Line, Ended)>,
}

impl Lines {
    pub fn new(settings: PeerSettings) -> Lines {
        let kinds =
            Line::ALL.map(|line| Peers::with_tokens_from((line.place() as u64) << PLACE_SHIFT, settings));
        Lines { kinds, ended: Vec::new() }
    }

    /// Has one kind of lines do something, and keeps what ended by it.
    fn on<R>(&mut self, line: Line, act: impl FnOnce(&mut Peers, &mut Vec<Ended>) -> R) -> R {
        let mut ended = Vec::new();
        let done = act(&mut self.kinds[line.place()], &mut ended);
        self.ended.extend(ended.into_iter().map(|ended| (line, ended)));
        done
    }

    /// The same with all of them.
    fn on_all(&mut self, mut act: impl FnMut(&mut Peers, &mut Vec<Ended>)) {
        for line in Line::ALL {
            self.on(line, &mut act);
        }
    }

    /// Which kind holds a connection, if it is one of these.
    fn line_of(&self, connection: ConnectionId) -> Option<Line> {
        let (line, _) = Line::ALL.into_iter().zip(&self.kinds).find(|(_, peers)| peers.holds(connection))?;
        Some(line)
    }

    /// Where a peer is now.
    pub fn locate<M>(
        &mut self,
        now: Now,
        peer: NodeId,
        endpoint: Option<&(String, u16)>,
        out: &mut Vec<Operation<M>>,
    ) {
        self.on_all(|peers, ended| peers.locate(now, peer, endpoint.cloned(), out, ended));
    }

    pub fn call<M>(&mut self, now: Now, call: PeerCall, out: &mut Vec<Operation<M>>) {
        self.on(call.line, |peers, ended| peers.call(now, call.peer, call.frame, out, ended));
    }

    /// Whether a connection is one of these.
    pub fn holds(&self, connection: ConnectionId) -> bool {
        self.line_of(connection).is_some()
    }

    pub fn connected<M>(
        &mut self,
        now: Now,
        token: Token,
        result: io::Result<ConnectionId>,
        out: &mut Vec<Operation<M>>,
    ) {
        let line = Line::ALL[(token.0 >> PLACE_SHIFT) as usize];
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
        let Some(line) = self.line_of(connection) else { return };
        self.on(line, |peers, ended| peers.received(now, connection, buffer, bytes, out, ended));
    }

    pub fn sent<M>(&mut self, connection: ConnectionId, out: &mut Vec<Operation<M>>) {
        let Some(line) = self.line_of(connection) else { return };
        self.on(line, |peers, _| peers.sent(connection, out));
    }

    pub fn closed(&mut self, now: Now, connection: ConnectionId) {
        let Some(line) = self.line_of(connection) else { return };
        self.on(line, |peers, ended| peers.closed(now, connection, ended));
    }

    pub fn expire<M>(&mut self, now: Now, out: &mut Vec<Operation<M>>) {
        self.on_all(|peers, ended| peers.expire(now, out, ended));
    }

    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.kinds.iter().filter_map(Peers::next_deadline).min()
    }

    /// Closes everything; nobody waits for what is under way.
    pub fn close_all<M>(&mut self, now: Now, out: &mut Vec<Operation<M>>) {
        self.on_all(|peers, ended| peers.close_all(now, out, ended));
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
