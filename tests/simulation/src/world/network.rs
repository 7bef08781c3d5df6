//! Client connections: bytes in seeded pieces both ways, half-close, reset, and clients that read slowly.

use super::{Completion, Event, Notice, ProcessId, Shard, ShardId, SimDisk, World, process::Life};
use bytes::{Buf, Bytes, BytesMut};
use corelane_seam::{CloseReason, ConnectionId, ListenerId, Part, Token};
use std::{collections::VecDeque, io, net::SocketAddr};

/// How a client takes what is sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderPace {
    /// Bytes that fit between the broker and a client that does not read.
    pub window_bytes: usize,
    /// Bytes the client takes at a time.
    pub bytes_per_read: usize,
    /// Longest pause before each read, in ns.
    pub pause_ns_max: u64,
}

impl ReaderPace {
    /// An ordinary client.
    pub const PROMPT: ReaderPace =
        ReaderPace { window_bytes: 256 * 1024, bytes_per_read: 64 * 1024, pause_ns_max: 200_000 };
    /// One that makes the broker wait.
    pub const SLOW: ReaderPace =
        ReaderPace { window_bytes: 2048, bytes_per_read: 512, pause_ns_max: 50_000_000 };
}

/// What happens on a connection when its time has come.
pub(super) enum Happening {
    /// The client's connect arrives.
    Connect,
    /// The connection arrives at its shard, or at the next one.
    Accept { moved: bool },
    /// Bytes of the client arrive.
    Arrive(Bytes),
    /// The client will send no more.
    ArriveEnd,
    /// The client, or the network, resets the connection.
    Reset,
    /// A receive that has something to receive is answered.
    Receive,
    /// Some of what is being sent moves on.
    Progress,
    /// The client reads.
    Read,
    /// The shard's close takes effect.
    Close,
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

pub(super) struct Connection {
    process: ProcessId,
    incarnation: u32,
    listener: ListenerId,
    shard: ShardId,
    side: Side,
    moved: bool,
    asked: bool,
    /// A reset that came while no shard held the connection.
    reset_early: bool,
    last_arrival_ns: u64,
    inbound: BytesMut,
    inbound_ended: bool,
    receiving: Option<BytesMut>,
    receive_scheduled: bool,
    sending: Option<Sending>,
    progress_scheduled: bool,
    outbound: BytesMut,
    read_scheduled: bool,
    pace: ReaderPace,
    /// The client needs no more news of it.
    client_gone: bool,
}

struct Sending {
    parts: VecDeque<Part>,
    /// Of the first part.
    sent: u64,
}

impl<S: Shard> World<S> {
    /// Connects a client → bytes by [`Notice::Received`], or [`Notice::Refused`] when nobody serves.
    pub fn connect(&mut self, process: ProcessId, listener: ListenerId, pace: ReaderPace) -> ConnectionId {
        self.connections_made += 1;
        let id = ConnectionId(self.connections_made);
        let connection = Connection {
            process,
            incarnation: 0,
            listener,
            shard: ShardId(0),
            side: Side::Unowned,
            moved: false,
            asked: false,
            reset_early: false,
            last_arrival_ns: self.now_ns,
            inbound: BytesMut::new(),
            inbound_ended: false,
            receiving: None,
            receive_scheduled: false,
            sending: None,
            progress_scheduled: false,
            outbound: BytesMut::new(),
            read_scheduled: false,
            pace,
            client_gone: false,
        };
        self.connections.insert(id, connection);
        self.in_order(id, Happening::Connect);
        id
    }

    /// Sends a client's bytes. They vanish if the connection has ended.
    pub fn client_send(&mut self, connection: ConnectionId, bytes: Bytes) {
        self.in_order(connection, Happening::Arrive(bytes));
    }

    /// The client sends no more, but reads on.
    pub fn client_half_close(&mut self, connection: ConnectionId) {
        self.in_order(connection, Happening::ArriveEnd);
    }

    /// The client goes without a word; it is told nothing more.
    pub fn client_reset(&mut self, connection: ConnectionId) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.client_gone = true;
            self.in_order(connection, Happening::Reset);
        }
    }

    /// Schedules what the client does, behind what it did before.
    fn in_order(&mut self, id: ConnectionId, happening: Happening) {
        let delay_ns = self.rng.below(self.settings.network_delay_ns_max);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let at_ns = (self.now_ns + delay_ns).max(connection.last_arrival_ns + 1);
        connection.last_arrival_ns = at_ns;
        self.schedule_at(at_ns, Event::Network { connection: id, happening });
    }

    /// A shard connects to a peer: there is none in a world of one process.
    pub(super) fn ask_connect(&mut self, process: ProcessId, shard: ShardId, token: Token) {
        let delay_ns = self.rng.below(self.settings.network_delay_ns_max);
        let incarnation = self.processes[process.0].incarnation;
        let result = Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        let happening = super::Happening::Complete(Completion::Connected { token, result });
        self.schedule_after(delay_ns, Event::Shard { process, incarnation, shard, happening });
    }

    fn soon(&mut self, id: ConnectionId, delay_ns_max: u64, happening: Happening) {
        let delay_ns = self.rng.below(delay_ns_max);
        self.schedule_after(delay_ns, Event::Network { connection: id, happening });
    }

    pub(super) fn happen_to_connection(&mut self, id: ConnectionId, happening: Happening) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match happening {
            Happening::Connect => self.arrive_at_listener(id),
            Happening::Accept { moved } => self.accept(id, moved),
            Happening::Arrive(bytes) => {
                connection.inbound.extend_from_slice(&bytes);
                self.receive_soon(id);
            }
            Happening::ArriveEnd => {
                connection.inbound_ended = true;
                self.receive_soon(id);
            }
            Happening::Reset => self.reset(id),
            Happening::Receive => self.receive(id),
            Happening::Progress => self.progress(id),
            Happening::Read => self.client_reads(id),
            Happening::Close => {
                if connection.side == Side::Closing {
                    self.tell_closed(id, CloseReason::Asked);
                }
            }
        }
    }

    fn arrive_at_listener(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let machine = &self.processes[connection.process.0];
        if machine.life != Life::Serving {
            let gone = connection.client_gone;
            self.connections.remove(&id);
            if !gone {
                self.notices.push_back(Notice::Refused(id));
            }
            return;
        }
        connection.incarnation = machine.incarnation;
        connection.shard = ShardId(
            u16::try_from(self.rng.below(u64::from(machine.data_shards))).expect("below a number of shards"),
        );
        self.accept(id, false);
    }

    fn accept(&mut self, id: ConnectionId, moved: bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (process, shard, listener) = (connection.process, connection.shard, connection.listener);
        connection.side = Side::Open;
        let reset_early = connection.reset_early;
        let port = u16::try_from(id.0 % 50_000).expect("below 50,000") + 10_000;
        let peer = SocketAddr::from(([10, 0, 0, 1], port));
        self.deliver(process, shard, Completion::Accepted { connection: id, listener, peer, moved });
        if reset_early {
            self.reset(id);
        }
    }

    fn reset(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.side {
            Side::Unowned => connection.reset_early = true,
            Side::Open => {
                connection.outbound.clear();
                self.tell_closed(id, CloseReason::Failed);
            }
            Side::Closing => connection.outbound.clear(),
            Side::Gone => {}
        }
    }

    /// The last word to the shard; the client hears of it once it has read what is on its way.
    fn tell_closed(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.side = Side::Gone;
        connection.receiving = None;
        connection.sending = None;
        let (process, shard) = (connection.process, connection.shard);
        self.client_reads_soon(id);
        self.deliver(process, shard, Completion::Closed { connection: id, reason });
    }

    /// All connections of a process that is no more: clients see them end.
    pub(super) fn reset_connections_of(&mut self, process: ProcessId) {
        let incarnation = self.processes[process.0].incarnation;
        let ended: Vec<ConnectionId> = self
            .connections
            .iter_mut()
            .filter(|(_, connection)| connection.process == process && connection.incarnation == incarnation)
            .filter(|(_, connection)| connection.side != Side::Unowned || connection.moved)
            .map(|(id, connection)| {
                connection.side = Side::Gone;
                connection.receiving = None;
                connection.sending = None;
                *id
            })
            .collect();
        for id in ended {
            // What the dead process had sent may or may not arrive.
            if self.rng.below(2) == 0
                && let Some(connection) = self.connections.get_mut(&id)
            {
                connection.outbound.clear();
            }
            self.client_reads_soon(id);
        }
    }

    /// The connection if this shard may ask something of it. A connection that has ended is no one's bug: the
    /// shard may not know yet.
    fn owned(&mut self, process: ProcessId, shard: ShardId, id: ConnectionId) -> Option<&mut Connection> {
        let foreign = match self.connections.get(&id) {
            None => return None,
            Some(connection) => {
                if connection.side == Side::Gone || connection.side == Side::Closing {
                    return None;
                }
                connection.side != Side::Open
                    || connection.process != process
                    || connection.shard != shard
                    || connection.incarnation != self.processes[process.0].incarnation
            }
        };
        if foreign {
            self.fail(format!(
                "{process} shard {} asks something of connection {}, not its own",
                shard.0, id.0
            ));
            return None;
        }
        self.connections.get_mut(&id)
    }

    pub(super) fn ask_receive(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        id: ConnectionId,
        buffer: BytesMut,
    ) {
        let Some(connection) = self.owned(process, shard, id) else { return };
        connection.asked = true;
        if buffer.capacity() == buffer.len() {
            self.fail(format!(
                "{process} shard {} receives into a full buffer on connection {}",
                shard.0, id.0
            ));
        } else if connection.receiving.replace(buffer).is_some() {
            self.fail(format!("{process} shard {} receives twice at a time on connection {}", shard.0, id.0));
        } else {
            self.receive_soon(id);
        }
    }

    fn receive_soon(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let something = !connection.inbound.is_empty() || connection.inbound_ended;
        if something && connection.receiving.is_some() && !connection.receive_scheduled {
            connection.receive_scheduled = true;
            self.soon(id, 5_000, Happening::Receive);
        }
    }

    fn receive(&mut self, id: ConnectionId) {
        // Frames come in pieces that respect nothing: a few bytes, a page, all there is.
        let piece = match self.rng.below(8) {
            0 => self.rng.between(1, 7),
            1 | 2 => self.rng.between(1, 512),
            _ => u64::MAX,
        };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.receive_scheduled = false;
        if connection.side != Side::Open {
            return;
        }
        let Some(mut buffer) = connection.receiving.take() else { return };
        let spare = buffer.capacity() - buffer.len();
        let piece = usize::try_from(piece).unwrap_or(usize::MAX);
        let bytes = connection.inbound.len().min(spare).min(piece);
        buffer.extend_from_slice(&connection.inbound[..bytes]);
        connection.inbound.advance(bytes);
        let (process, shard) = (connection.process, connection.shard);
        self.deliver(process, shard, Completion::Received { connection: id, buffer, bytes });
    }

    pub(super) fn ask_send(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        id: ConnectionId,
        parts: Vec<Part>,
    ) {
        for part in &parts {
            if let Part::File { file, offset, len } = part
                && let Some(objection) = SimDisk::send_objection(file, *offset, *len)
            {
                self.fail(format!("{process} shard {} sends a {objection}", shard.0));
                return;
            }
        }
        let Some(connection) = self.owned(process, shard, id) else { return };
        connection.asked = true;
        if connection.sending.replace(Sending { parts: parts.into(), sent: 0 }).is_some() {
            self.fail(format!("{process} shard {} sends twice at a time on connection {}", shard.0, id.0));
        } else {
            self.progress_soon(id);
        }
    }

    fn progress_soon(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.sending.is_some() && !connection.progress_scheduled {
            connection.progress_scheduled = true;
            self.soon(id, 20_000, Happening::Progress);
        }
    }

    fn progress(&mut self, id: ConnectionId) {
        let piece = if self.rng.below(4) == 0 { self.rng.between(1, 2048) } else { 64 * 1024 };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.progress_scheduled = false;
        if connection.side != Side::Open {
            return;
        }
        let Some(sending) = &mut connection.sending else { return };
        let room = connection.pace.window_bytes.saturating_sub(connection.outbound.len());
        // A window that is full: the client's next read sets this in motion again.
        let piece = usize::try_from(piece).unwrap_or(usize::MAX).min(room);
        if let Err(objection) = sending.take_into(&mut connection.outbound, piece) {
            let process = connection.process;
            self.fail(format!("{process} connection {}: {objection}", id.0));
            return;
        }
        let done = sending.parts.is_empty();
        if done {
            connection.sending = None;
        }
        let (process, shard) = (connection.process, connection.shard);
        self.client_reads_soon(id);
        if done {
            self.deliver(process, shard, Completion::Sent { connection: id });
        } else if room > 0 {
            self.progress_soon(id);
        }
    }

    fn client_reads_soon(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let something = !connection.outbound.is_empty() || connection.side == Side::Gone;
        if something && !connection.read_scheduled {
            connection.read_scheduled = true;
            let pause_ns_max = connection.pace.pause_ns_max;
            self.soon(id, pause_ns_max, Happening::Read);
        }
    }

    fn client_reads(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.read_scheduled = false;
        let count = connection.outbound.len().min(connection.pace.bytes_per_read);
        let bytes = connection.outbound.split_to(count).freeze();
        let ended = connection.side == Side::Gone && connection.outbound.is_empty();
        let listens = !connection.client_gone;
        self.hash.bytes(&bytes);
        if listens && !bytes.is_empty() {
            self.notices.push_back(Notice::Received(id, bytes));
        }
        if ended {
            self.connections.remove(&id);
            if listens {
                self.notices.push_back(Notice::Closed(id));
            }
            return;
        }
        self.client_reads_soon(id);
        self.progress_soon(id);
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
        if connection.asked || connection.moved || to == shard || to.0 >= data_shards {
            self.fail(format!("{process} shard {} moves connection {} to shard {}", shard.0, id.0, to.0));
            return;
        }
        connection.moved = true;
        connection.side = Side::Unowned;
        connection.shard = to;
        self.soon(id, 20_000, Happening::Accept { moved: true });
    }
}

impl Sending {
    /// Moves up to `piece` bytes on, file ranges as the file looks now.
    fn take_into(&mut self, outbound: &mut BytesMut, mut piece: usize) -> Result<(), String> {
        while let Some(part) = self.parts.front() {
            let left = part.len() - self.sent;
            if left == 0 {
                self.parts.pop_front();
                self.sent = 0;
                continue;
            }
            if piece == 0 {
                return Ok(());
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece);
            let start = usize::try_from(self.sent).map_err(|_| "a part beyond memory".to_owned())?;
            match part {
                Part::Bytes(bytes) => outbound.extend_from_slice(&bytes[start..start + count]),
                Part::Memory(slice) => outbound.extend_from_slice(&slice[start..start + count]),
                Part::File { file, offset, .. } => {
                    let bytes = SimDisk::read_for_send(file, offset + self.sent, count)
                        .ok_or_else(|| "sends a file of another driver".to_owned())?;
                    if bytes.len() < count {
                        return Err(format!("{file:?} was cut while it was being sent"));
                    }
                    outbound.extend_from_slice(&bytes);
                }
            }
            self.sent += count as u64;
            piece -= count;
        }
        Ok(())
    }
}
