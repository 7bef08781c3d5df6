//! Connections between processes, as TCP makes and ends them: a process that is gone resets what comes for it, and a
//! machine without power says nothing.

use super::{Connection, Far, Happening, Packet, ReaderPace, Side};
use crate::world::{
    Completion, Event, Happening as ShardHappening, ProcessId, Shard, ShardId, World, process::Life,
};
use corelane_seam::{ConnectionId, ListenerId, Token};
use std::io;

/// How long a driver waits for a connect, in ns: as long as the driver of production.
const CONNECT_NS_MAX: u64 = 2_000_000_000;

/// How long a machine whose power went takes to tell its peers, if it does, in ns.
const REBOOT_NS_MAX: u64 = 5_000_000_000;

/// The shard's end behind another shard's end.
pub(super) struct Peer {
    /// Where it is, or will be.
    pub(super) end: ConnectionId,
    pub(super) process: ProcessId,
    /// The connect that is not answered yet.
    dialing: Option<Dialing>,
    /// Bytes that left this end and that the other shard has not taken, as far as this side knows.
    pub(super) unacknowledged: usize,
    /// This end says nothing more by itself.
    pub(super) done: bool,
    /// Its machine lost power.
    silent: bool,
}

struct Dialing {
    token: Token,
    port: u16,
    /// A cut holds it back.
    waits: bool,
}

impl Peer {
    fn new(end: ConnectionId, process: ProcessId, dialing: Option<Dialing>) -> Peer {
        Peer { end, process, dialing, unacknowledged: 0, done: false, silent: false }
    }

    pub(super) fn dial_waits(&self) -> bool {
        self.dialing.as_ref().is_some_and(|dialing| dialing.waits)
    }
}

impl<S: Shard> World<S> {
    /// A shard connects to the process of that name.
    pub(in crate::world) fn ask_connect(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        token: Token,
        host: &str,
        port: u16,
    ) {
        let Some(to) = self.processes.iter().position(|machine| machine.host == host).map(ProcessId) else {
            let error = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
            return self.connected_soon(process, shard, token, Err(error));
        };
        let (id, end) = (self.new_connection_id(), self.new_connection_id());
        let dialing = Dialing { token, port, waits: false };
        let far = Far::Peer(Peer::new(end, to, Some(dialing)));
        let mut connection = Connection::new(process, ListenerId(0), self.peer_pace(), far);
        connection.incarnation = Some(self.processes[process.0].incarnation);
        connection.shard = shard;
        // It belongs to who asked for it.
        connection.moved = true;
        self.connections.insert(id, connection);
        self.soon(id, self.trip_ns_max(process, to), Happening::Dial);
        self.schedule_after(
            CONNECT_NS_MAX,
            Event::Network { connection: id, happening: Happening::DialGivenUp },
        );
    }

    /// Sometimes so little that a large answer fills it.
    fn peer_pace(&mut self) -> ReaderPace {
        let window_bytes = 1 << self.rng.between(12, 18);
        ReaderPace { window_bytes, bytes_per_read: 64 * 1024, pause_ns_max: 20_000 }
    }

    fn trip_ns_max(&self, from: ProcessId, to: ProcessId) -> u64 {
        self.settings.network_delay_ns_max + self.links.slow_ns(from, to)
    }

    fn connected_soon(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        token: Token,
        result: io::Result<ConnectionId>,
    ) {
        let delay_ns = self.rng.below(self.settings.network_delay_ns_max);
        let incarnation = self.processes[process.0].incarnation;
        let happening = ShardHappening::Complete(Completion::Connected { token, result });
        self.schedule_after(delay_ns, Event::Shard { process, incarnation, shard, happening });
    }

    pub(super) fn dial(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (process, shard, pace) = (connection.process, connection.shard, connection.pace);
        let Far::Peer(peer) = &mut connection.far else { return };
        let (to, end) = (peer.process, peer.end);
        let Some(dialing) = &mut peer.dialing else { return };
        dialing.waits = self.links.is_cut(process, to) || self.links.is_cut(to, process);
        if dialing.waits {
            return;
        }
        let (token, port) = (dialing.token, dialing.port);
        let machine = &self.processes[to.0];
        let listener = machine.listeners.iter().position(|listener| listener.port == port);
        let Some(listener) = listener.filter(|_| machine.life == Life::Serving) else {
            // Nobody may be there to refuse it.
            if machine.life != Life::Down || self.rng.below(2) == 0 {
                self.connections.remove(&id);
                let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
                self.connected_soon(process, shard, token, Err(refused));
            }
            return;
        };
        let listener = ListenerId(u16::try_from(listener).expect("a process has few listeners"));
        let incarnation = machine.incarnation;
        let mut other = Connection::new(to, listener, pace, Far::Peer(Peer::new(id, process, None)));
        other.incarnation = Some(incarnation);
        other.shard = self.accepting_shard(to, listener);
        self.connections.insert(end, other);
        self.soon(end, self.trip_ns_max(process, to), Happening::Accept { moved: false });
        self.soon(id, self.trip_ns_max(to, process), Happening::DialAnswered);
    }

    pub(super) fn dial_answered(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Far::Peer(peer) = &mut connection.far else { return };
        let Some(dialing) = peer.dialing.take() else { return };
        connection.side = Side::Open;
        let (process, shard, reset_early) = (connection.process, connection.shard, connection.reset_early);
        self.deliver(process, shard, Completion::Connected { token: dialing.token, result: Ok(id) });
        if reset_early {
            self.reset(id);
        }
    }

    pub(super) fn dial_given_up(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Far::Peer(peer) = &mut connection.far else { return };
        let Some(dialing) = peer.dialing.take() else { return };
        peer.done = true;
        let end = peer.end;
        connection.end();
        let (process, shard, token) = (connection.process, connection.shard, dialing.token);
        self.in_order(end, Packet::Reset);
        self.forget_if_done(id);
        let error = io::Error::from(io::ErrorKind::TimedOut);
        self.deliver(process, shard, Completion::Connected { token, result: Err(error) });
    }

    /// The process of this end is no more.
    pub(super) fn end_peer(&mut self, id: ConnectionId, power: bool, lost: bool) {
        let reboot_ns = self.rng.below(REBOOT_NS_MAX);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Far::Peer(peer) = &mut connection.far else { return };
        peer.dialing = None;
        let (end, was_done) = (peer.end, peer.done);
        if power {
            (peer.done, peer.silent) = (true, true);
            connection.outbound.clear();
            // Otherwise it is told when it says something.
            if lost {
                self.in_order_after(end, reboot_ns, Packet::Reset);
            }
        } else if lost && !was_done {
            peer.done = true;
            connection.outbound.clear();
            self.in_order(end, Packet::Reset);
        } else {
            // Its kernel sends what it has and ends the connection.
            self.drain_soon(id);
        }
        self.forget_if_done(id);
    }

    /// Bytes came for a shard that has closed, or is dead.
    pub(super) fn answer_for_the_gone(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Far::Peer(peer) = &connection.far else { return };
        let (end, silent) = (peer.end, peer.silent);
        let delay_ns = if silent { self.rng.below(REBOOT_NS_MAX) } else { 0 };
        self.in_order_after(end, delay_ns, Packet::Reset);
    }

    /// The peer of this end comes to know what its shard has taken, unless that cannot reach it.
    pub(super) fn acknowledge(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let Far::Peer(peer) = &connection.far else { return };
        if self.links.is_cut(connection.process, peer.process) {
            return;
        }
        let end = peer.end;
        let on_the_wire = connection.wire.iter().map(|packet| match packet {
            Packet::Bytes(bytes) => bytes.len(),
            Packet::Connect | Packet::End | Packet::Reset => 0,
        });
        let left = connection.inbound.len() + on_the_wire.sum::<usize>();
        if let Some(Far::Peer(sender)) = self.connections.get_mut(&end).map(|it| &mut it.far) {
            sender.unacknowledged = left;
            self.progress_soon(end);
        }
    }

    fn is_done(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(|connection| match &connection.far {
            Far::Client { .. } => false,
            Far::Peer(peer) => peer.done && connection.side == Side::Gone,
        })
    }

    /// Once both ends have nothing more to say, nobody needs to know of them.
    pub(super) fn forget_if_done(&mut self, id: ConnectionId) {
        let Some(Far::Peer(peer)) = self.connections.get(&id).map(|it| &it.far) else { return };
        let end = peer.end;
        if self.is_done(id) && self.is_done(end) {
            self.connections.remove(&id);
            self.connections.remove(&end);
        }
    }
}
