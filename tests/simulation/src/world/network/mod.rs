//! Connections: of clients to processes, and of processes to each other. Both are an end at a shard, with what arrives
//! there on one side and what leaves on the other; behind it is a client, or another shard's end.

mod clients;
mod flow;
mod links;
mod peers;

pub use clients::ReaderPace;
pub(super) use links::Links;

use super::{Completion, Event, ProcessId, Shard, ShardId, World};
use bytes::{Bytes, BytesMut};
use corelane_seam::{CloseReason, ConnectionId, ListenerId};
use flow::Sending;
use peers::Peer;
use std::{collections::VecDeque, net::SocketAddr};

/// What happens to an end when its time has come.
#[derive(Clone, Copy)]
pub(super) enum Happening {
    /// What is next on the wire arrives.
    Arrive,
    /// The connection arrives at its shard, or at the next one.
    Accept { moved: bool },
    /// A receive that has something to receive is answered.
    Receive,
    /// Some of what is being sent moves on.
    Progress,
    /// The client reads, or bytes leave for the peer.
    Drain,
    /// The shard's close takes effect.
    Close,
    /// The connect of a shard reaches the peer.
    Dial,
    /// The peer's answer to it reaches the shard.
    DialAnswered,
    /// The shard's driver waits no longer for it.
    DialGivenUp,
}

/// What is on its way to an end.
enum Packet {
    /// A client's connect.
    Connect,
    Bytes(Bytes),
    /// No more bytes will come.
    End,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Not yet with a shard (connecting, or being moved).
    Unowned,
    Open,
    /// The shard has asked to close, and will be told.
    Closing,
    /// The shard has been told, or is dead.
    Gone,
}

/// What is behind an end.
enum Far {
    Client {
        /// It needs no more news.
        gone: bool,
    },
    Peer(Peer),
}

/// One end of a connection, at a shard.
pub(super) struct Connection {
    process: ProcessId,
    /// Of the process, once it has to do with it.
    incarnation: Option<u32>,
    listener: ListenerId,
    shard: ShardId,
    side: Side,
    moved: bool,
    asked: bool,
    /// A reset that came while no shard held the connection.
    reset_early: bool,
    last_arrival_ns: u64,
    /// What is on its way to it: each comes with an event of its own.
    wire: VecDeque<Packet>,
    /// Of these, how many a cut holds back.
    stalled: usize,
    inbound: BytesMut,
    inbound_ended: bool,
    receiving: Option<BytesMut>,
    receive_scheduled: bool,
    sending: Option<Sending>,
    progress_scheduled: bool,
    outbound: BytesMut,
    drain_scheduled: bool,
    pace: ReaderPace,
    far: Far,
}

impl Connection {
    fn new(process: ProcessId, listener: ListenerId, pace: ReaderPace, far: Far) -> Connection {
        Connection {
            process,
            incarnation: None,
            listener,
            shard: ShardId(0),
            side: Side::Unowned,
            moved: false,
            asked: false,
            reset_early: false,
            last_arrival_ns: 0,
            wire: VecDeque::new(),
            stalled: 0,
            inbound: BytesMut::new(),
            inbound_ended: false,
            receiving: None,
            receive_scheduled: false,
            sending: None,
            progress_scheduled: false,
            outbound: BytesMut::new(),
            drain_scheduled: false,
            pace,
            far,
        }
    }

    /// The shard hears no more of it.
    fn end(&mut self) {
        self.side = Side::Gone;
        self.receiving = None;
        self.sending = None;
    }
}

impl<S: Shard> World<S> {
    fn new_connection_id(&mut self) -> ConnectionId {
        self.connections_made += 1;
        ConnectionId(self.connections_made)
    }

    /// Puts something on the wire to an end, behind what is on it already.
    fn in_order(&mut self, id: ConnectionId, packet: Packet) {
        self.in_order_after(id, 0, packet);
    }

    /// As [`in_order`](Self::in_order), after a delay besides that of the network.
    fn in_order_after(&mut self, id: ConnectionId, delay_ns: u64, packet: Packet) {
        let delay_ns = delay_ns + self.rng.below(self.settings.network_delay_ns_max);
        let Some(connection) = self.connections.get(&id) else { return };
        let slow_ns = match &connection.far {
            Far::Client { .. } => 0,
            Far::Peer(peer) => self.links.slow_ns(peer.process, connection.process),
        };
        let slow_ns = if slow_ns > 0 { self.rng.below(slow_ns) } else { 0 };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let at_ns = (self.now_ns + delay_ns + slow_ns).max(connection.last_arrival_ns + 1);
        connection.last_arrival_ns = at_ns;
        connection.wire.push_back(packet);
        self.schedule_at(at_ns, Event::Network { connection: id, happening: Happening::Arrive });
    }

    fn soon(&mut self, id: ConnectionId, delay_ns_max: u64, happening: Happening) {
        let delay_ns = self.rng.below(delay_ns_max);
        self.schedule_after(delay_ns, Event::Network { connection: id, happening });
    }

    pub(super) fn happen_to_connection(&mut self, id: ConnectionId, happening: Happening) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match happening {
            Happening::Arrive => self.arrive(id),
            Happening::Accept { moved } => self.accept(id, moved),
            Happening::Receive => self.receive(id),
            Happening::Progress => self.progress(id),
            Happening::Drain => self.drain(id),
            Happening::Close => {
                if connection.side == Side::Closing {
                    self.tell_closed(id, CloseReason::Asked);
                }
            }
            Happening::Dial => self.dial(id),
            Happening::DialAnswered => self.dial_answered(id),
            Happening::DialGivenUp => self.dial_given_up(id),
        }
    }

    fn arrive(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Far::Peer(peer) = &connection.far
            && self.links.is_cut(peer.process, connection.process)
        {
            connection.stalled += 1;
            return;
        }
        match connection.wire.pop_front() {
            None => {}
            Some(Packet::Connect) => self.arrive_at_listener(id),
            Some(Packet::Bytes(bytes)) => {
                if connection.side == Side::Gone {
                    return self.answer_for_the_gone(id);
                }
                connection.inbound.extend_from_slice(&bytes);
                self.receive_soon(id);
            }
            Some(Packet::End) => {
                connection.inbound_ended = true;
                self.receive_soon(id);
            }
            Some(Packet::Reset) => self.reset(id),
        }
    }

    fn accept(&mut self, id: ConnectionId, moved: bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.side != Side::Unowned {
            return;
        }
        let (process, shard, listener) = (connection.process, connection.shard, connection.listener);
        connection.side = Side::Open;
        let reset_early = connection.reset_early;
        let port = u16::try_from(id.0 % 50_000).expect("below 50,000") + 10_000;
        let peer = match &connection.far {
            Far::Client { .. } => SocketAddr::from(([10, 0, 0, 1], port)),
            Far::Peer(peer) => peer.process.address(port),
        };
        self.deliver(process, shard, Completion::Accepted { connection: id, listener, peer, moved });
        if reset_early {
            self.reset(id);
        }
    }

    fn reset(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.side == Side::Unowned {
            connection.reset_early = true;
            return;
        }
        match &mut connection.far {
            // What a shard that is gone had sent before arrives yet.
            Far::Client { .. } if connection.side == Side::Gone => return,
            Far::Client { .. } => {}
            Far::Peer(peer) => peer.done = true,
        }
        connection.outbound.clear();
        if connection.side == Side::Open {
            self.tell_closed(id, CloseReason::Failed);
        } else {
            self.forget_if_done(id);
        }
    }

    /// The last word to the shard; what is behind the connection hears of it once it has what is on its way.
    fn tell_closed(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.end();
        let (process, shard) = (connection.process, connection.shard);
        self.drain_soon(id);
        self.deliver(process, shard, Completion::Closed { connection: id, reason });
        self.forget_if_done(id);
    }

    /// All connections of a process that is no more: who is behind them sees them end, or, when the `power` went with
    /// it, sees nothing.
    pub(super) fn reset_connections_of(&mut self, process: ProcessId, power: bool) {
        let incarnation = self.processes[process.0].incarnation;
        let ended: Vec<ConnectionId> = self
            .connections
            .iter_mut()
            .filter(|(_, it)| it.process == process && it.incarnation == Some(incarnation))
            .map(|(id, connection)| {
                connection.end();
                *id
            })
            .collect();
        for id in ended {
            // What the dead process had sent may or may not arrive.
            let lost = self.rng.below(2) == 0;
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            match connection.far {
                Far::Client { .. } => {
                    if lost {
                        connection.outbound.clear();
                    }
                    self.drain_soon(id);
                }
                Far::Peer(_) => self.end_peer(id, power, lost),
            }
        }
    }

    pub(super) fn ask_close(&mut self, process: ProcessId, shard: ShardId, id: ConnectionId) {
        let Some(connection) = self.owned(process, shard, id) else { return };
        connection.asked = true;
        connection.side = Side::Closing;
        connection.receiving = None;
        connection.sending = None;
        self.soon(id, 50_000, Happening::Close);
    }

    pub(super) fn ask_move(&mut self, process: ProcessId, shard: ShardId, id: ConnectionId, to: ShardId) {
        let data_shards = self.processes[process.0].data_shards;
        let Some(connection) = self.owned(process, shard, id) else { return };
        // Only among those that accept there: the last shard is no data shard.
        let among = shard.0.max(to.0) < data_shards;
        if connection.asked || connection.moved || to == shard || !among {
            self.fail(format!("{process} shard {} moves connection {} to shard {}", shard.0, id.0, to.0));
            return;
        }
        connection.moved = true;
        connection.side = Side::Unowned;
        connection.shard = to;
        self.soon(id, 20_000, Happening::Accept { moved: true });
    }
}
