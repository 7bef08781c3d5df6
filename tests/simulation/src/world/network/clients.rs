//! What clients do with their connections.

use super::{Connection, Far, Packet};
use crate::world::{Notice, ProcessId, Shard, World, process::Life};
use bytes::Bytes;
use corelane_seam::{ConnectionId, ListenerId};

/// How whoever is behind a connection takes what is sent to it.
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

impl<S: Shard> World<S> {
    /// Connects a client to a process → bytes by [`Notice::Received`], or [`Notice::Refused`] when nobody serves.
    pub fn connect(&mut self, process: ProcessId, listener: ListenerId, pace: ReaderPace) -> ConnectionId {
        let id = self.new_connection_id();
        let mut connection = Connection::new(process, listener, pace, Far::Client { gone: false });
        connection.last_arrival_ns = self.now_ns;
        self.connections.insert(id, connection);
        self.in_order(id, Packet::Connect);
        id
    }

    /// Sends a client's bytes. They vanish if the connection has ended.
    pub fn client_send(&mut self, connection: ConnectionId, bytes: Bytes) {
        self.in_order(connection, Packet::Bytes(bytes));
    }

    /// The client sends no more, but reads on.
    pub fn client_half_close(&mut self, connection: ConnectionId) {
        self.in_order(connection, Packet::End);
    }

    /// The client goes without a word; it is told nothing more.
    pub fn client_reset(&mut self, connection: ConnectionId) {
        if let Some(Far::Client { gone }) = self.connections.get_mut(&connection).map(|it| &mut it.far) {
            *gone = true;
            self.in_order(connection, Packet::Reset);
        }
    }

    pub(super) fn arrive_at_listener(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (process, listener) = (connection.process, connection.listener);
        let machine = &self.processes[process.0];
        let exists = machine.listeners.get(usize::from(listener.0)).is_some();
        if machine.life != Life::Serving || !exists {
            let gone = matches!(connection.far, Far::Client { gone: true });
            self.connections.remove(&id);
            if !gone {
                self.notices.push_back(Notice::Refused(id));
            }
            return;
        }
        connection.incarnation = Some(machine.incarnation);
        let shard = self.accepting_shard(process, listener);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.shard = shard;
        }
        self.accept(id, false);
    }
}
