//! Bytes between a shard and what lies behind its connection: receives in seeded pieces, sends as far as the window
//! lets them.

use super::{Connection, Far, Happening, Packet, Side};
use crate::world::{Completion, Notice, ProcessId, Shard, ShardId, SimDisk, World};
use bytes::{Buf, BytesMut};
use corelane_seam::{CloseReason, ConnectionId, Part};
use std::collections::VecDeque;

pub(super) struct Sending {
    parts: VecDeque<Part>,
    /// Bytes of the first part.
    sent: u64,
}

/// Why a send does not go on.
enum Interruption {
    /// A file is shorter than what of it is to be sent.
    Short(String),
    /// Nobody may ask for it.
    Wrong(String),
}

impl<S: Shard> World<S> {
    /// The connection if this shard may ask something of it. A connection that has ended is no one's bug: the
    /// shard may not know yet.
    pub(super) fn owned(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        id: ConnectionId,
    ) -> Option<&mut Connection> {
        let foreign = match self.connections.get(&id) {
            None => return None,
            Some(connection) => {
                if connection.side == Side::Gone || connection.side == Side::Closing {
                    return None;
                }
                connection.side != Side::Open
                    || connection.process != process
                    || connection.shard != shard
                    || connection.incarnation != Some(self.processes[process.0].incarnation)
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

    pub(in crate::world) fn ask_receive(
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

    pub(super) fn receive_soon(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let something = !connection.inbound.is_empty() || connection.inbound_ended;
        if something && connection.receiving.is_some() && !connection.receive_scheduled {
            connection.receive_scheduled = true;
            self.soon(id, 5_000, Happening::Receive);
        }
    }

    pub(super) fn receive(&mut self, id: ConnectionId) {
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
        self.acknowledge(id);
        self.deliver(process, shard, Completion::Received { connection: id, buffer, bytes });
    }

    pub(in crate::world) fn ask_send(
        &mut self,
        process: ProcessId,
        shard: ShardId,
        id: ConnectionId,
        parts: Vec<Part>,
    ) {
        let to_peer = self.connections.get(&id).is_some_and(|it| matches!(it.far, Far::Peer(_)));
        for part in &parts {
            if let Part::File { file, offset, len } = part
                && let Some(objection) = SimDisk::send_objection(file, *offset, *len, to_peer)
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

    pub(super) fn progress_soon(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.sending.is_some() && !connection.progress_scheduled {
            connection.progress_scheduled = true;
            self.soon(id, 20_000, Happening::Progress);
        }
    }

    pub(super) fn progress(&mut self, id: ConnectionId) {
        let piece = if self.rng.below(4) == 0 { self.rng.between(1, 2048) } else { 64 * 1024 };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.progress_scheduled = false;
        if connection.side != Side::Open {
            return;
        }
        let Some(sending) = &mut connection.sending else { return };
        let under_way = match &connection.far {
            Far::Client { .. } => 0,
            Far::Peer(peer) => peer.unacknowledged,
        };
        let room = connection.pace.window_bytes.saturating_sub(connection.outbound.len() + under_way);
        // A window that is full: the next read at the other side sets this in motion again.
        let piece = usize::try_from(piece).unwrap_or(usize::MAX).min(room);
        if let Err(interruption) = sending.take_into(&mut connection.outbound, piece) {
            return self.interrupted(id, interruption);
        }
        let done = sending.parts.is_empty();
        if done {
            connection.sending = None;
        }
        let (process, shard) = (connection.process, connection.shard);
        self.drain_soon(id);
        if done {
            self.deliver(process, shard, Completion::Sent { connection: id });
        } else if room > 0 {
            self.progress_soon(id);
        }
    }

    /// A send cannot go on. Followers are given what is not committed yet, which a cut of the leader's log may take from
    /// under the send: then the connection ends, as drivers have it. What clients are given is committed, and never cut.
    fn interrupted(&mut self, id: ConnectionId, interruption: Interruption) {
        let Some(connection) = self.connections.get(&id) else { return };
        let process = connection.process;
        match (&connection.far, interruption) {
            (Far::Peer(_), Interruption::Short(text)) => {
                self.note(&format!("{process} connection {}: {text}", id.0));
                self.tell_closed(id, CloseReason::Failed);
            }
            (_, Interruption::Short(text) | Interruption::Wrong(text)) => {
                self.fail(format!("{process} connection {}: {text}", id.0));
            }
        }
    }

    pub(super) fn drain_soon(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let says_end = match &connection.far {
            Far::Client { .. } => true,
            Far::Peer(peer) => !peer.done,
        };
        let something = !connection.outbound.is_empty() || (connection.side == Side::Gone && says_end);
        if something && !connection.drain_scheduled {
            connection.drain_scheduled = true;
            let pause_ns_max = connection.pace.pause_ns_max;
            self.soon(id, pause_ns_max, Happening::Drain);
        }
    }

    /// The client reads, or bytes leave for the peer.
    pub(super) fn drain(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.drain_scheduled = false;
        let count = connection.outbound.len().min(connection.pace.bytes_per_read);
        let bytes = connection.outbound.split_to(count).freeze();
        let ended = connection.side == Side::Gone && connection.outbound.is_empty();
        self.hash.bytes(&bytes);
        match &mut connection.far {
            Far::Client { gone } => {
                let listens = !*gone;
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
            }
            Far::Peer(peer) => {
                let end = peer.end;
                let last = (ended && !peer.done).then(|| {
                    peer.done = true;
                    // TCP's word for bytes that nobody took.
                    if connection.inbound.is_empty() { Packet::End } else { Packet::Reset }
                });
                peer.unacknowledged += bytes.len();
                if !bytes.is_empty() {
                    self.in_order(end, Packet::Bytes(bytes));
                }
                if let Some(last) = last {
                    self.in_order(end, last);
                    return self.forget_if_done(id);
                }
            }
        }
        self.drain_soon(id);
        self.progress_soon(id);
    }
}

impl Sending {
    /// Moves up to `piece` bytes on, file ranges as the file looks now.
    fn take_into(&mut self, outbound: &mut BytesMut, mut piece: usize) -> Result<(), Interruption> {
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
            let wrong = |text: &str| Interruption::Wrong(text.to_owned());
            let start = usize::try_from(self.sent).map_err(|_| wrong("a part beyond memory"))?;
            match part {
                Part::Bytes(bytes) => outbound.extend_from_slice(&bytes[start..start + count]),
                Part::Memory(slice) => outbound.extend_from_slice(&slice[start..start + count]),
                Part::File { file, offset, .. } => {
                    let bytes = SimDisk::read_for_send(file, offset + self.sent, count)
                        .ok_or_else(|| wrong("sends a file of another driver"))?;
                    outbound.extend_from_slice(&bytes);
                    if bytes.len() < count {
                        let text = format!("{file:?} was cut while it was being sent");
                        return Err(Interruption::Short(text));
                    }
                }
            }
            self.sent += count as u64;
            piece -= count;
        }
        Ok(())
    }
}
