//! The controller's listener: other nodes' calls in, answers out, each under its caller's correlation id. It knows which nodes
//! are connected, and so when one has parted. Requests of Kafka's protocol, which administrators send, go to the front.

use crate::{connection::Connection, log_limit::LogLimit};
use bytes::{Bytes, BytesMut};
use corelane_core::{
    ids::NodeId,
    wire::{PEER_FRAME_BYTES_MAX, PeerRequest, encode_peer_answer},
};
use corelane_seam::{ConnectionId, Monotonic, Now, Operation, Part};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tracing::info;

/// Connections that may be open: nodes have few, and nobody else has business here.
const CONNECTIONS_MAX: usize = 1024;

/// Calls of one connection without an answer; past it the connection is not read.
const CALLS_MAX: usize = 256;

/// A call, as the quorum's shard numbers it.
#[derive(Debug)]
pub(super) struct Call {
    /// Under which [`Server::answer`] answers it.
    pub id: u64,
    /// What is asked.
    pub request: PeerRequest,
}

/// What a connection brought.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Calls of another node.
    pub calls: Vec<Call>,
    /// Requests of a client of Kafka's protocol, without their lengths.
    pub frames: Vec<(ConnectionId, Bytes)>,
}

#[derive(Debug)]
struct Caller {
    connection: Connection,
    /// Without an answer.
    calls: usize,
    /// Who calls, by its last call.
    node: Option<NodeId>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Server {
    callers: BTreeMap<ConnectionId, Caller>,
    /// Calls without an answer: whose, and the caller's name for it.
    calls: BTreeMap<u64, (ConnectionId, i32)>,
    next_call: u64,
    /// Nodes whose last connection is gone, until somebody asks.
    parted: Vec<NodeId>,
    /// `connections.max.idle.ms`, if it bounds.
    idle_max: Option<Duration>,
    swept: Monotonic,
    log_limit: LogLimit,
}

impl Server {
    /// Nobody is connected yet. Clients may ask nothing for `idle_max`.
    pub fn new(idle_max: Option<Duration>) -> Server {
        Server { idle_max, ..Server::default() }
    }

    /// Someone connected.
    pub fn accepted<M>(&mut self, now: Now, id: ConnectionId, peer: SocketAddr, out: &mut Vec<Operation<M>>) {
        if self.callers.len() >= CONNECTIONS_MAX {
            self.log(now, peer, "too many connections to the controller");
            return out.push(Operation::Close { connection: id });
        }
        let mut caller = Caller { connection: Connection::new(peer, now.monotonic), calls: 0, node: None };
        receive(id, &mut caller, out);
        self.callers.insert(id, caller);
    }

    /// Bytes came; the calls that are whole.
    pub fn received<M>(
        &mut self,
        now: Now,
        id: ConnectionId,
        buffer: BytesMut,
        bytes: usize,
        out: &mut Vec<Operation<M>>,
    ) -> Heard {
        let mut heard = Heard::default();
        let Some(caller) = self.callers.get_mut(&id) else { return heard };
        caller.connection.last_active = now.monotonic;
        caller.connection.received(buffer);
        if bytes == 0 {
            self.close(id, out);
            return heard;
        }
        let mut introduced = None;
        let refused = loop {
            let frame = match caller.connection.next_frame(PEER_FRAME_BYTES_MAX) {
                Ok(Some(frame)) => frame,
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            };
            if !PeerRequest::is_one(&frame) {
                caller.calls += 1;
                heard.frames.push((id, frame));
                continue;
            }
            match PeerRequest::decode(frame) {
                Ok(request) => {
                    self.next_call += 1;
                    caller.calls += 1;
                    if caller.node.replace(request.from) != Some(request.from) {
                        introduced = Some(request.from);
                    }
                    self.calls.insert(self.next_call, (id, request.correlation));
                    heard.calls.push(Call { id: self.next_call, request });
                }
                Err(error) => break Some(error.to_string()),
            }
        };
        match refused {
            Some(reason) => {
                let peer = caller.connection.peer;
                self.log(now, peer, &reason);
                self.close(id, out);
            }
            None => receive(id, caller, out),
        }
        if let Some(node) = introduced {
            self.supersede(id, node, out);
        }
        heard
    }

    /// A node calls on a new connection. It has one at a time: the ones before are closed at its end, and where the network
    /// swallowed that, they would speak for a node that has parted.
    fn supersede<M>(&mut self, by: ConnectionId, node: NodeId, out: &mut Vec<Operation<M>>) {
        let others = self.callers.iter().filter(|(id, caller)| **id != by && caller.node == Some(node));
        for id in others.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(id, out);
        }
    }

    /// Answers a call, if its caller is still there.
    pub fn answer<M>(&mut self, call: u64, body: &[u8], out: &mut Vec<Operation<M>>) {
        let Some((id, correlation)) = self.calls.remove(&call) else { return };
        let Some(caller) = self.callers.get_mut(&id) else { return };
        caller.calls -= 1;
        caller.connection.respond(vec![Part::Bytes(encode_peer_answer(correlation, body))]);
        caller.connection.ask_send(id, out);
        receive(id, caller, out);
    }

    /// Answers the oldest request of a client, if it is still there.
    pub fn respond<M>(&mut self, now: Now, id: ConnectionId, parts: Vec<Part>, out: &mut Vec<Operation<M>>) {
        let Some(caller) = self.callers.get_mut(&id) else { return };
        caller.calls -= 1;
        caller.connection.last_active = now.monotonic;
        caller.connection.respond(parts);
        caller.connection.ask_send(id, out);
        receive(id, caller, out);
    }

    /// A call that breaks the protocol ends its connection.
    pub fn refuse<M>(&mut self, now: Now, call: u64, reason: &str, out: &mut Vec<Operation<M>>) {
        let Some((id, _)) = self.calls.remove(&call) else { return };
        self.hang_up(now, id, reason, out);
    }

    /// Ends a connection, and says why.
    pub fn hang_up<M>(&mut self, now: Now, id: ConnectionId, reason: &str, out: &mut Vec<Operation<M>>) {
        if let Some(peer) = self.callers.get(&id).map(|caller| caller.connection.peer) {
            self.log(now, peer, reason);
        }
        self.close(id, out);
    }

    /// Closes clients that asked nothing for too long, and whoever never said what he wants. Nodes may be silent: the end
    /// of their connection would say that they have gone.
    pub fn sweep<M>(&mut self, now: Now, out: &mut Vec<Operation<M>>) {
        let Some(idle_max) = self.idle_max else { return };
        if self.next_sweep().is_none_or(|at| at > now.monotonic) {
            return;
        }
        self.swept = now.monotonic;
        let is_idle = |it: &Caller| {
            it.node.is_none() && it.calls == 0 && now.monotonic - it.connection.last_active > idle_max
        };
        let idle = self.callers.iter().filter(|(_, caller)| is_idle(caller));
        for id in idle.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.hang_up(now, id, "idle for longer than connections.max.idle.ms", out);
        }
    }

    /// When [`sweep`](Self::sweep) is due.
    pub fn next_sweep(&self) -> Option<Monotonic> {
        let some_client = self.callers.values().any(|caller| caller.node.is_none());
        self.idle_max.filter(|_| some_client).map(|idle_max| self.swept + idle_max / 4)
    }

    /// A send is done.
    pub fn sent<M>(&mut self, id: ConnectionId, out: &mut Vec<Operation<M>>) {
        if let Some(caller) = self.callers.get_mut(&id) {
            caller.connection.sent();
            caller.connection.ask_send(id, out);
            receive(id, caller, out);
        }
    }

    /// A connection is gone.
    pub fn closed(&mut self, id: ConnectionId) {
        let node = self.callers.remove(&id).and_then(|caller| caller.node);
        self.calls.retain(|_, (connection, _)| *connection != id);
        self.parted.extend(node.filter(|node| !self.hears(*node)));
    }

    /// Whether a node has a connection here, on which it has called.
    pub fn hears(&self, node: NodeId) -> bool {
        self.callers.values().any(|caller| caller.node == Some(node))
    }

    /// Nodes that have no connection here any more, since this was asked last.
    pub fn take_parted(&mut self) -> Vec<NodeId> {
        let mut parted = std::mem::take(&mut self.parted);
        parted.retain(|node| !self.hears(*node));
        parted
    }

    /// Closes everything.
    pub fn close_all<M>(&mut self, out: &mut Vec<Operation<M>>) {
        for id in self.callers.keys().copied().collect::<Vec<_>>() {
            self.close(id, out);
        }
    }

    fn close<M>(&mut self, id: ConnectionId, out: &mut Vec<Operation<M>>) {
        self.closed(id);
        out.push(Operation::Close { connection: id });
    }

    fn log(&mut self, now: Now, peer: SocketAddr, reason: &str) {
        if let Some(suppressed) = self.log_limit.allow(now.monotonic) {
            info!(%peer, suppressed, "connection to the controller closed: {reason}");
        }
    }
}

fn receive<M>(id: ConnectionId, caller: &mut Caller, out: &mut Vec<Operation<M>>) {
    // Of a client one request is taken up after the other.
    let calls_max = if caller.node.is_some() { CALLS_MAX } else { 1 };
    caller.connection.paused = caller.calls >= calls_max;
    caller.connection.ask_receive(id, out);
}

/// The answer to a request for the controller: the first offset that it knows nothing of, and the response.
pub(super) fn controller_answer(end: u64, response: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(8 + response.len());
    body.extend_from_slice(&end.to_be_bytes());
    body.extend_from_slice(response);
    body.freeze()
}

/// Reads what [`controller_answer`] made.
pub(super) fn read_controller_answer(body: &[u8]) -> Option<(u64, &[u8])> {
    let (end, response) = body.split_first_chunk()?;
    Some((u64::from_be_bytes(*end), response))
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_core::wire::PeerKind;
    use corelane_seam::Monotonic;

    const NOW: Now = Now { monotonic: Monotonic(0), unix_ms: 0 };
    const CALLER: ConnectionId = ConnectionId(1);
    const AGAIN: ConnectionId = ConnectionId(2);

    fn accept(server: &mut Server, id: ConnectionId) -> Vec<Operation<()>> {
        let mut out = Vec::new();
        server.accepted(NOW, id, SocketAddr::from(([127, 0, 0, 1], 1)), &mut out);
        out
    }

    fn server() -> (Server, Vec<Operation<()>>) {
        let mut server = Server::default();
        let out = accept(&mut server, CALLER);
        (server, out)
    }

    fn frame(correlation: i32) -> Vec<u8> {
        let body = Bytes::from_static(b"question");
        let request = PeerRequest { correlation, from: NodeId(2), kind: PeerKind::Quorum, body }.encode();
        [&i32::try_from(request.len()).expect("small").to_be_bytes(), &request[..]].concat()
    }

    fn say(server: &mut Server, bytes: &[u8], out: &mut Vec<Operation<()>>) -> Vec<Call> {
        let at = out.iter().position(|it| matches!(it, Operation::Receive { .. })).expect("it is read");
        let Operation::Receive { connection, mut buffer, .. } = out.remove(at) else {
            unreachable!("found above")
        };
        buffer.extend_from_slice(bytes);
        server.received(NOW, connection, buffer, bytes.len(), out).calls
    }

    #[test]
    fn a_node_has_parted_when_its_last_connection_is_gone() {
        let (mut server, mut out) = server();
        accept(&mut server, AGAIN);
        server.closed(AGAIN);
        assert!(server.take_parted().is_empty(), "nobody knows who that was");
        say(&mut server, &frame(1), &mut out);
        let mut again = accept(&mut server, AGAIN);
        say(&mut server, &frame(1), &mut again);
        let closed = |it: &Operation<()>| matches!(it, Operation::Close { connection: CALLER });
        assert!(again.iter().any(closed), "the network may have swallowed the end of the one before");
        assert_eq!((server.take_parted(), server.hears(NodeId(2))), (Vec::new(), true), "it has come back");
        say(&mut server, &[], &mut again);
        assert_eq!((server.take_parted(), server.hears(NodeId(2))), (vec![NodeId(2)], false));
        assert!(server.take_parted().is_empty(), "told once");
    }

    #[test]
    fn calls_are_answered_under_their_callers_ids_in_any_order() {
        let (mut server, mut out) = server();
        let calls = say(&mut server, &[frame(7), frame(8)].concat(), &mut out);
        assert_eq!(calls.iter().map(|call| call.request.correlation).collect::<Vec<_>>(), [7, 8]);
        out.clear();
        server.answer(calls[1].id, b"later", &mut out);
        let [Operation::Send { parts, .. }] = &out[..] else { panic!("{out:?}") };
        let [Part::Bytes(bytes)] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!(&bytes[..], [&9i32.to_be_bytes()[..], &8i32.to_be_bytes(), b"later"].concat());
    }

    #[test]
    fn who_speaks_another_protocol_or_sends_a_huge_frame_is_hung_up_on() {
        for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), i32::MAX.to_be_bytes().to_vec()] {
            let (mut server, mut out) = server();
            assert!(say(&mut server, &bytes, &mut out).is_empty());
            assert!(matches!(&out[..], [Operation::Close { connection: CALLER }]), "{out:?}");
        }
    }

    #[test]
    fn a_caller_that_does_not_wait_for_answers_is_not_read() {
        let (mut server, mut out) = server();
        let calls = say(&mut server, &frame(1).repeat(CALLS_MAX), &mut out);
        assert_eq!(calls.len(), CALLS_MAX);
        assert!(out.is_empty(), "{out:?}");
        server.answer(calls[0].id, b"", &mut out);
        assert!(out.iter().any(|it| matches!(it, Operation::Receive { .. })), "{out:?}");
    }

    #[test]
    fn an_answer_for_a_caller_that_has_gone_is_dropped() {
        let (mut server, mut out) = server();
        let calls = say(&mut server, &frame(1), &mut out);
        server.closed(CALLER);
        out.clear();
        server.answer(calls[0].id, b"late", &mut out);
        assert!(out.is_empty());
    }

    fn client_frame() -> Vec<u8> {
        // ApiVersions, version 0, correlation id 9, no client id.
        let frame = [&18i16.to_be_bytes()[..], &[0, 0], &9i32.to_be_bytes(), &(-1i16).to_be_bytes()].concat();
        [&i32::try_from(frame.len()).expect("small").to_be_bytes(), &frame[..]].concat()
    }

    /// What a client sent.
    fn ask(server: &mut Server, bytes: &[u8], out: &mut Vec<Operation<()>>) -> usize {
        let at = out.iter().position(|it| matches!(it, Operation::Receive { .. })).expect("it is read");
        let Operation::Receive { connection, mut buffer, .. } = out.remove(at) else {
            unreachable!("found above")
        };
        buffer.extend_from_slice(bytes);
        let heard = server.received(NOW, connection, buffer, bytes.len(), out);
        assert!(heard.calls.is_empty());
        heard.frames.len()
    }

    #[test]
    fn a_clients_requests_go_to_the_front_and_the_next_is_read_when_they_are_answered() {
        let (mut server, mut out) = server();
        assert_eq!(ask(&mut server, &client_frame().repeat(2), &mut out), 2);
        assert!(out.is_empty(), "{out:?}");
        let answer = || vec![Part::Bytes(Bytes::from_static(b"answer"))];
        server.respond(NOW, CALLER, answer(), &mut out);
        assert!(!out.iter().any(|it| matches!(it, Operation::Receive { .. })), "one is left: {out:?}");
        server.respond(NOW, CALLER, answer(), &mut out);
        assert!(out.iter().any(|it| matches!(it, Operation::Receive { .. })), "{out:?}");
    }

    #[test]
    fn idle_clients_are_hung_up_on_and_nodes_and_whoever_waits_are_not() {
        let idle_max = Duration::from_secs(10);
        let mut server = Server::new(Some(idle_max));
        let (node, waits) = (ConnectionId(3), ConnectionId(4));
        accept(&mut server, CALLER);
        let mut out = accept(&mut server, node);
        say(&mut server, &frame(1), &mut out);
        let mut out = accept(&mut server, waits);
        ask(&mut server, &client_frame(), &mut out);
        out.clear();
        server.sweep(NOW, &mut out);
        assert!(out.is_empty());
        let late = Now { monotonic: NOW.monotonic + 2 * idle_max, unix_ms: 0 };
        assert!(server.next_sweep().is_some_and(|at| at < late.monotonic));
        server.sweep(late, &mut out);
        assert!(matches!(out[..], [Operation::Close { connection: CALLER }]), "{out:?}");
    }
}
