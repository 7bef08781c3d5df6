//! Lines to other nodes: one connection each, made when there is something to say.
//!
//! A call is a request frame, its answer a response frame; both carry the caller's correlation id where Kafka's do, so
//! answers may come in any order. Whatever becomes of the connection, each call ends exactly once: with its answer, or
//! as failed. A peer that answers nothing for too long is taken for gone, because the network may swallow bytes without a word.

use crate::connection::Connection;
use bytes::{Buf as _, Bytes, BytesMut};
use corelane_core::ids::NodeId;
use corelane_seam::{ConnectionId, Monotonic, Now, Operation, Part, Token};
use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};
use tracing::{debug, info};

/// After a connect that failed, calls fail at once for so long: a peer that is down costs no more than this often.
const RECONNECT_BACKOFF: Duration = Duration::from_millis(100);

/// An attempt to connect that has come to nothing for so long is given up for another. It may be looking a name up: the
/// name of a container that has ended can take its resolver ten seconds, in which the container may be back. Longer than
/// a driver gives one address.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// Where correlation ids stand in a request.
const CORRELATION_AT: std::ops::Range<usize> = 4..8;

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The response.
    Answered {
        /// Who answered.
        peer: NodeId,
        /// As in the request.
        correlation: i32,
        /// All of it but its length; it begins with the correlation id.
        frame: Bytes,
    },
    /// There is no answer, and will be none.
    Failed {
        /// Who did not answer.
        peer: NodeId,
        /// As in the request.
        correlation: i32,
        /// Nothing of the request has left this node.
        unsent: bool,
    },
    /// No call: a connection was made.
    Up {
        /// With whom.
        peer: NodeId,
    },
    /// No call: the connection is gone, or could not be made. Comes after the failures of what was asked on it.
    Down {
        /// With whom.
        peer: NodeId,
        /// Nobody listens there: the peer's process has ended, or not begun.
        refused: bool,
    },
}

#[derive(Debug)]
enum State {
    Down { until: Monotonic },
    Connecting(Token, Monotonic),
    Up(ConnectionId, Box<Connection>),
}

#[derive(Debug)]
struct Line {
    host: String,
    port: u16,
    state: State,
    /// The log knows that it cannot be reached: it is told again when that changed, and not with every attempt.
    told_lost: bool,
    /// Calls that wait for the connection.
    queued: Vec<(i32, Bytes)>,
    /// Calls that wait for their answers, with the time at which they were made.
    waiting: BTreeMap<i32, Monotonic>,
}

/// How lines are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerSettings {
    /// A peer that owes an answer for so long is taken for gone.
    pub silence_max: Duration,
    /// Of an answer.
    pub frame_bytes_max: usize,
}

/// The lines of one shard.
#[derive(Debug)]
pub(crate) struct Peers {
    settings: PeerSettings,
    lines: BTreeMap<NodeId, Line>,
    by_connection: BTreeMap<ConnectionId, NodeId>,
    next_token: u64,
}

impl Peers {
    pub fn new(settings: PeerSettings) -> Peers {
        Peers::with_tokens_from(0, settings)
    }

    /// Beside others, whose connects have tokens below these.
    pub fn with_tokens_from(next_token: u64, settings: PeerSettings) -> Peers {
        Peers { settings, lines: BTreeMap::new(), by_connection: BTreeMap::new(), next_token }
    }

    /// Where a peer is, or that there is none of this name any more. Calls under way to another address fail.
    pub fn locate<M>(
        &mut self,
        now: Now,
        peer: NodeId,
        endpoint: Option<(String, u16)>,
        out: &mut Vec<Operation<M>>,
        ended: &mut Vec<Ended>,
    ) {
        if let Some(line) = self.lines.get(&peer) {
            let same = endpoint.as_ref().is_some_and(|(host, port)| *host == line.host && *port == line.port);
            if same {
                return;
            }
            self.hang_up(now, peer, out, ended);
            self.lines.remove(&peer);
        }
        if let Some((host, port)) = endpoint {
            let state = State::Down { until: now.monotonic };
            self.lines.insert(
                peer,
                Line { host, port, state, told_lost: false, queued: Vec::new(), waiting: BTreeMap::new() },
            );
        }
    }

    /// Asks a peer. `frame` is a request without its length; its correlation id is in use for no other call to it.
    pub fn call<M>(
        &mut self,
        now: Now,
        peer: NodeId,
        frame: Bytes,
        out: &mut Vec<Operation<M>>,
        ended: &mut Vec<Ended>,
    ) {
        let correlation = (&frame[CORRELATION_AT]).get_i32();
        let failed = Ended::Failed { peer, correlation, unsent: true };
        let Some(line) = self.lines.get_mut(&peer) else { return ended.push(failed) };
        match &mut line.state {
            State::Down { until } if *until > now.monotonic => ended.push(failed),
            State::Down { .. } => {
                line.queued.push((correlation, frame));
                self.connect(now, peer, out);
            }
            State::Connecting(..) => line.queued.push((correlation, frame)),
            State::Up(id, connection) => {
                line.waiting.insert(correlation, now.monotonic);
                connection.respond(framed(frame));
                connection.ask_send(*id, out);
            }
        }
    }

    /// Connects to a peer without a call, so that it shows whether it is there.
    pub fn reach<M>(&mut self, now: Now, peer: NodeId, out: &mut Vec<Operation<M>>) {
        let state = self.lines.get(&peer).map(|line| &line.state);
        if matches!(state, Some(State::Down { until }) if *until <= now.monotonic) {
            self.connect(now, peer, out);
        }
    }

    fn connect<M>(&mut self, now: Now, peer: NodeId, out: &mut Vec<Operation<M>>) {
        let Some(line) = self.lines.get_mut(&peer) else { return };
        let token = Token(self.next_token);
        self.next_token += 1;
        line.state = State::Connecting(token, now.monotonic);
        out.push(Operation::Connect { token, host: line.host.clone(), port: line.port });
    }

    /// A connect ended.
    pub fn connected<M>(
        &mut self,
        now: Now,
        token: Token,
        result: io::Result<ConnectionId>,
        out: &mut Vec<Operation<M>>,
        ended: &mut Vec<Ended>,
    ) {
        let wanted = |line: &Line| matches!(line.state, State::Connecting(other, _) if other == token);
        let line = self.lines.iter_mut().find(|(_, line)| wanted(line));
        let (peer, line) = match (line, &result) {
            (Some((peer, line)), _) => (*peer, line),
            // The line was given up meanwhile.
            (None, Ok(connection)) => return out.push(Operation::Close { connection: *connection }),
            (None, Err(_)) => return,
        };
        match result {
            Ok(id) => {
                // Only the log would want the address; it has the name.
                let nowhere = SocketAddr::from(([0, 0, 0, 0], line.port));
                let mut connection = Box::new(Connection::new(nowhere, now.monotonic));
                for (correlation, frame) in line.queued.drain(..) {
                    line.waiting.insert(correlation, now.monotonic);
                    connection.respond(framed(frame));
                }
                connection.ask_send(id, out);
                connection.ask_receive(id, out);
                let (host, port) = (&line.host, line.port);
                match std::mem::take(&mut line.told_lost) {
                    true => info!(peer = peer.0, host, port, "a peer can be reached again"),
                    false => debug!(peer = peer.0, host, port, "connected to a peer"),
                }
                line.state = State::Up(id, connection);
                self.by_connection.insert(id, peer);
                ended.push(Ended::Up { peer });
            }
            Err(error) => {
                if !std::mem::replace(&mut line.told_lost, true) {
                    let (host, port) = (&line.host, line.port);
                    info!(peer = peer.0, host, port, %error, "a peer cannot be reached");
                }
                line.state = State::Down { until: now.monotonic + RECONNECT_BACKOFF };
                for (correlation, _) in line.queued.drain(..) {
                    ended.push(Ended::Failed { peer, correlation, unsent: true });
                }
                let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                ended.push(Ended::Down { peer, refused });
            }
        }
    }

    /// Whether a connection is one of these.
    pub fn holds(&self, connection: ConnectionId) -> bool {
        self.by_connection.contains_key(&connection)
    }

    /// Bytes came, or none any more.
    pub fn received<M>(
        &mut self,
        now: Now,
        id: ConnectionId,
        buffer: BytesMut,
        bytes: usize,
        out: &mut Vec<Operation<M>>,
        ended: &mut Vec<Ended>,
    ) {
        let Some(peer) = self.by_connection.get(&id).copied() else { return };
        let Some(Line { state: State::Up(_, connection), waiting, .. }) = self.lines.get_mut(&peer) else {
            return;
        };
        connection.received(buffer);
        let mut sound = bytes > 0;
        while sound {
            match connection.next_frame(self.settings.frame_bytes_max) {
                Ok(Some(frame)) => {
                    let correlation = (&frame[..]).get_i32();
                    // An answer to nothing: whoever speaks there does not know the protocol.
                    sound = waiting.remove(&correlation).is_some();
                    if sound {
                        ended.push(Ended::Answered { peer, correlation, frame });
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    info!(peer = peer.0, %error, "a peer's answer cannot be read");
                    sound = false;
                }
            }
        }
        if sound {
            connection.ask_receive(id, out);
        } else {
            self.hang_up(now, peer, out, ended);
        }
    }

    /// A send is done.
    pub fn sent<M>(&mut self, id: ConnectionId, out: &mut Vec<Operation<M>>) {
        let Some(peer) = self.by_connection.get(&id) else { return };
        if let Some(Line { state: State::Up(_, connection), .. }) = self.lines.get_mut(peer) {
            connection.sent();
            connection.ask_send(id, out);
        }
    }

    /// A connection is gone.
    pub fn closed(&mut self, now: Now, id: ConnectionId, ended: &mut Vec<Ended>) {
        if let Some(peer) = self.by_connection.remove(&id) {
            self.down(now, peer, ended);
        }
    }

    /// Hangs up where an answer is long overdue, and gives up attempts to connect that are.
    pub fn expire<M>(&mut self, now: Now, out: &mut Vec<Operation<M>>, ended: &mut Vec<Ended>) {
        let silence_max = self.settings.silence_max;
        let silent = |line: &Line| line.waiting.values().any(|at| now.monotonic.since(*at) >= silence_max);
        let silent: Vec<NodeId> =
            self.lines.iter().filter(|(_, line)| silent(line)).map(|(peer, _)| *peer).collect();
        for peer in silent {
            info!(peer = peer.0, "a peer answers nothing: its connection is given up");
            self.hang_up(now, peer, out, ended);
        }
        let overdue: Vec<Token> =
            self.attempts().filter(|(_, until)| *until <= now.monotonic).map(|it| it.0).collect();
        for token in overdue {
            let error = io::Error::from(io::ErrorKind::TimedOut);
            self.connected(now, token, Err(error), out, ended);
        }
    }

    /// Attempts to connect, with the time at which each is given up.
    fn attempts(&self) -> impl Iterator<Item = (Token, Monotonic)> {
        self.lines.values().filter_map(|line| match line.state {
            State::Connecting(token, since) => Some((token, since + CONNECT_PATIENCE)),
            State::Down { .. } | State::Up(..) => None,
        })
    }

    /// When [`expire`](Self::expire) may have something to do.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let oldest = self.lines.values().flat_map(|line| line.waiting.values()).min();
        let silent = oldest.map(|at| *at + self.settings.silence_max);
        self.attempts().map(|(_, until)| until).chain(silent).min()
    }

    /// Closes everything; what is under way fails.
    pub fn close_all<M>(&mut self, now: Now, out: &mut Vec<Operation<M>>, ended: &mut Vec<Ended>) {
        for peer in self.lines.keys().copied().collect::<Vec<_>>() {
            self.hang_up(now, peer, out, ended);
        }
    }

    fn hang_up<M>(&mut self, now: Now, peer: NodeId, out: &mut Vec<Operation<M>>, ended: &mut Vec<Ended>) {
        if let Some(Line { state: State::Up(id, _), .. }) = self.lines.get(&peer) {
            out.push(Operation::Close { connection: *id });
            self.by_connection.remove(id);
        }
        self.down(now, peer, ended);
    }

    fn down(&mut self, now: Now, peer: NodeId, ended: &mut Vec<Ended>) {
        let Some(line) = self.lines.get_mut(&peer) else { return };
        let was_up = matches!(line.state, State::Up(..));
        line.state = State::Down { until: now.monotonic };
        for correlation in std::mem::take(&mut line.waiting).into_keys() {
            ended.push(Ended::Failed { peer, correlation, unsent: false });
        }
        for (correlation, _) in line.queued.drain(..) {
            ended.push(Ended::Failed { peer, correlation, unsent: true });
        }
        if was_up {
            ended.push(Ended::Down { peer, refused: false });
        }
    }
}

fn framed(frame: Bytes) -> Vec<Part> {
    let len = i32::try_from(frame.len()).expect("requests to peers are bounded far below 2 GiB");
    vec![Part::Bytes(Bytes::copy_from_slice(&len.to_be_bytes())), Part::Bytes(frame)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: PeerSettings =
        PeerSettings { silence_max: Duration::from_secs(2), frame_bytes_max: 1000 };
    const PEER: NodeId = NodeId(2);

    struct Room {
        peers: Peers,
        now: Now,
        out: Vec<Operation<()>>,
        ended: Vec<Ended>,
    }

    fn room() -> Room {
        let now = Now { monotonic: Monotonic(1_000_000_000), unix_ms: 0 };
        let mut room = Room { peers: Peers::new(SETTINGS), now, out: Vec::new(), ended: Vec::new() };
        let endpoint = Some(("two".to_owned(), 9093));
        room.peers.locate(now, PEER, endpoint, &mut room.out, &mut room.ended);
        room
    }

    fn request(correlation: i32) -> Bytes {
        [&[0, 1, 0, 0][..], &correlation.to_be_bytes(), b"body"].concat().into()
    }

    impl Room {
        fn call(&mut self, correlation: i32) {
            self.peers.call(self.now, PEER, request(correlation), &mut self.out, &mut self.ended);
        }

        fn connect(&mut self, id: u64) {
            let token = self
                .out
                .iter()
                .find_map(|operation| match operation {
                    Operation::Connect { token, .. } => Some(*token),
                    _ => None,
                })
                .expect("it connects");
            self.out.clear();
            self.peers.connected(self.now, token, Ok(ConnectionId(id)), &mut self.out, &mut self.ended);
        }

        fn answer(&mut self, id: u64, correlation: i32) {
            let mut buffer = BytesMut::new();
            buffer.extend_from_slice(&8i32.to_be_bytes());
            buffer.extend_from_slice(&correlation.to_be_bytes());
            buffer.extend_from_slice(b"done");
            let connection = ConnectionId(id);
            self.peers.received(self.now, connection, buffer, 12, &mut self.out, &mut self.ended);
        }

        fn outcomes(&mut self) -> Vec<(i32, &'static str)> {
            let text = |ended| match ended {
                Ended::Answered { correlation, frame, .. } => {
                    assert_eq!(&frame[4..], b"done");
                    Some((correlation, "answered"))
                }
                Ended::Failed { correlation, unsent: true, .. } => Some((correlation, "unsent")),
                Ended::Failed { correlation, unsent: false, .. } => Some((correlation, "failed")),
                Ended::Up { .. } => None,
                Ended::Down { refused: true, .. } => Some((0, "refused")),
                Ended::Down { refused: false, .. } => Some((0, "down")),
            };
            self.ended.drain(..).filter_map(text).collect()
        }
    }

    #[test]
    fn answers_find_their_calls_in_any_order() {
        let mut room = room();
        room.call(7);
        room.call(8);
        room.connect(1);
        room.answer(1, 8);
        room.answer(1, 7);
        assert_eq!(room.outcomes(), [(8, "answered"), (7, "answered")]);
    }

    #[test]
    fn a_lost_connection_fails_what_was_asked_on_it_and_the_next_call_makes_another() {
        let mut room = room();
        room.call(1);
        room.connect(1);
        room.call(2);
        room.peers.closed(room.now, ConnectionId(1), &mut room.ended);
        assert_eq!(room.outcomes(), [(1, "failed"), (2, "failed"), (0, "down")]);
        room.out.clear();
        room.call(3);
        room.connect(2);
        room.answer(2, 3);
        assert_eq!(room.outcomes(), [(3, "answered")]);
    }

    #[test]
    fn a_peer_that_is_not_there_is_asked_again_only_after_a_pause() {
        let mut room = room();
        room.call(1);
        let refused = Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        room.peers.connected(room.now, Token(0), refused, &mut room.out, &mut room.ended);
        room.out.clear();
        room.call(2);
        assert_eq!(room.outcomes(), [(1, "unsent"), (0, "refused"), (2, "unsent")]);
        room.peers.reach(room.now, PEER, &mut room.out);
        assert!(room.out.is_empty(), "{:?}", room.out);
        room.now.monotonic = room.now.monotonic + RECONNECT_BACKOFF;
        room.call(3);
        room.connect(1);
        room.answer(1, 3);
        assert_eq!(room.outcomes(), [(3, "answered")]);
    }

    #[test]
    fn an_attempt_that_comes_to_nothing_is_given_up_for_another_and_what_it_still_brings_is_closed() {
        let mut room = room();
        room.call(1);
        assert_eq!(room.peers.next_deadline(), Some(room.now.monotonic + CONNECT_PATIENCE));
        room.now.monotonic = room.now.monotonic + CONNECT_PATIENCE;
        room.peers.expire(room.now, &mut room.out, &mut room.ended);
        assert_eq!(room.outcomes(), [(1, "unsent"), (0, "down")]);
        assert_eq!(room.peers.next_deadline(), None);
        room.now.monotonic = room.now.monotonic + RECONNECT_BACKOFF;
        room.out.clear();
        room.call(2);
        room.peers.connected(room.now, Token(0), Ok(ConnectionId(7)), &mut room.out, &mut room.ended);
        assert!(room.out.iter().any(|it| matches!(it, Operation::Close { connection: ConnectionId(7) })));
        room.connect(1);
        room.answer(1, 2);
        assert_eq!(room.outcomes(), [(2, "answered")]);
    }

    #[test]
    fn a_silent_peer_is_given_up_and_an_answer_to_nothing_ends_its_connection() {
        let mut room = room();
        room.call(1);
        room.connect(1);
        assert_eq!(room.peers.next_deadline(), Some(room.now.monotonic + SETTINGS.silence_max));
        room.now.monotonic = room.now.monotonic + SETTINGS.silence_max;
        room.peers.expire(room.now, &mut room.out, &mut room.ended);
        assert_eq!(room.outcomes(), [(1, "failed"), (0, "down")]);
        assert!(room.out.iter().any(|it| matches!(it, Operation::Close { connection: ConnectionId(1) })));
        assert_eq!(room.peers.next_deadline(), None);
        room.out.clear();
        room.call(2);
        room.connect(2);
        room.answer(2, 99);
        assert_eq!(room.outcomes(), [(2, "failed"), (0, "down")]);
    }

    #[test]
    fn a_peer_can_be_reached_for_without_a_call() {
        let mut room = room();
        room.peers.reach(room.now, PEER, &mut room.out);
        room.connect(1);
        assert!(matches!(room.ended[..], [Ended::Up { peer: PEER }]));
        room.peers.reach(room.now, PEER, &mut room.out);
        assert!(!room.out.iter().any(|it| matches!(it, Operation::Connect { .. })), "{:?}", room.out);
        room.call(1);
        room.answer(1, 1);
        assert_eq!(room.outcomes(), [(1, "answered")]);
    }

    #[test]
    fn a_peer_that_moved_is_called_at_its_new_address() {
        let mut room = room();
        room.call(1);
        room.connect(1);
        let endpoint = Some(("three".to_owned(), 9093));
        room.peers.locate(room.now, PEER, endpoint, &mut room.out, &mut room.ended);
        assert_eq!(room.outcomes(), [(1, "failed"), (0, "down")]);
        room.out.clear();
        room.call(2);
        assert!(matches!(&room.out[..], [Operation::Connect { host, .. }] if host == "three"));
        room.peers.locate(room.now, PEER, None, &mut room.out, &mut room.ended);
        room.call(3);
        assert_eq!(room.outcomes(), [(2, "unsent"), (3, "unsent")]);
    }
}
