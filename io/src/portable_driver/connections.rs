//! Connections of one shard: what is asked on each, and what the kernel has last said of it.

use super::{
    Context,
    poller::{Poller, Readiness},
};
use crate::driver::{
    mesh::Moving,
    outgoing::{Next, Outgoing},
    receive::{log_failure, receive_now},
    send::Socket,
    slots::{Name, SLOTS_MAX, Slots},
};
use bytes::BytesMut;
use corelane_seam::{CloseReason, Completion, ConnectionId, ListenerId, Part, ShardId, Token};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
};

struct Connection {
    socket: OwnedFd,
    /// By which it was accepted; none, if this process made it.
    listener: Option<ListenerId>,
    peer: SocketAddr,
    /// There may be something to receive: so it is from an edge until a receive finds nothing more.
    readable: bool,
    /// The peer sends no more, or the connection has failed.
    ended: bool,
    receiving: Option<BytesMut>,
    outgoing: Outgoing,
}

pub(super) struct Connections {
    slots: Slots<Connection>,
    /// Connections on which a receive was asked for and may find something.
    receivers: VecDeque<Name>,
    /// Connections that may send on.
    senders: VecDeque<Name>,
}

impl Connections {
    pub(super) fn new(shard: ShardId) -> Connections {
        Connections { slots: Slots::new(shard), receivers: VecDeque::new(), senders: VecDeque::new() }
    }

    /// A connection was accepted, or came over from another shard.
    pub(super) fn add<M>(
        &mut self,
        moving: Moving,
        moved: bool,
        poller: &Poller,
        events: &mut VecDeque<Completion<M>>,
    ) {
        let Moving { socket, listener, peer } = moving;
        match self.insert(socket, Some(listener), peer, poller) {
            Ok(connection) => {
                events.push_back(Completion::Accepted { connection, listener, peer, moved });
            }
            Err(error) => tracing::error!(%peer, %error, "a connection is refused"),
        }
    }

    /// A connect that the shard asked for has come to an end.
    pub(super) fn connected<M>(
        &mut self,
        token: Token,
        result: io::Result<(OwnedFd, SocketAddr)>,
        context: &mut Context<M>,
    ) {
        let result = result.and_then(|(socket, peer)| {
            // It was blocking while it connected.
            rustix::io::ioctl_fionbio(&socket, true)?;
            self.insert(socket, None, peer, &context.port)
        });
        context.events.push_back(Completion::Connected { token, result });
    }

    fn insert(
        &mut self,
        socket: OwnedFd,
        listener: Option<ListenerId>,
        peer: SocketAddr,
        poller: &Poller,
    ) -> io::Result<ConnectionId> {
        let held = Connection {
            socket,
            listener,
            peer,
            readable: false,
            ended: false,
            receiving: None,
            outgoing: Outgoing::default(),
        };
        let full = || io::Error::other(format!("a shard holds no more than {SLOTS_MAX} connections"));
        let name = self.slots.insert(held).ok_or_else(full)?;
        let watched = self.slots.get(name).map_or(Ok(()), |held| poller.watch_connection(&held.socket, name));
        if let Err(error) = watched {
            self.slots.remove(name);
            let text = format!("it cannot be watched (fs.epoll.max_user_watches?): {error}");
            return Err(io::Error::new(error.kind(), text));
        }
        Ok(self.slots.id(name))
    }

    /// Takes a connection out, to be given to another shard.
    ///
    /// # Panics
    /// When something was asked on it already, or it was not accepted: a bug of the shard.
    pub(super) fn take<M>(&mut self, id: ConnectionId, context: &Context<M>) -> Option<Moving> {
        let name = self.slots.name(id);
        let connection = self.slots.get(name)?;
        assert!(
            connection.receiving.is_none() && !connection.outgoing.is_under_way(),
            "{id:?} is in use: not to be moved"
        );
        let Connection { socket, listener, peer, .. } = self.slots.remove(name);
        let listener = listener.expect("only accepted connections are moved");
        // Else this shard would go on to hear of it. It was watched, so this cannot fail.
        if let Err(error) = context.port.forget(&socket) {
            tracing::error!(%peer, %error, "a connection cannot be moved: closed");
            return None;
        }
        Some(Moving { socket, listener, peer })
    }

    /// What the epoll says of a connection, if it is still there.
    pub(super) fn became(&mut self, name: Name, readiness: Readiness) {
        let Some(connection) = self.slots.get(name) else { return };
        connection.ended |= readiness.ended;
        if readiness.readable {
            connection.readable = true;
            if connection.receiving.is_some() {
                self.receivers.push_back(name);
            }
        }
        if readiness.writable && connection.outgoing.writable() {
            self.senders.push_back(name);
        }
    }

    /// # Panics
    /// When a receive is under way already: a bug of the shard.
    pub(super) fn receive(&mut self, id: ConnectionId, buffer: BytesMut) {
        let name = self.slots.name(id);
        let Some(connection) = self.slots.get(name) else { return };
        assert!(connection.receiving.is_none(), "{id:?} is being received from already");
        connection.receiving = Some(buffer);
        if connection.readable {
            self.receivers.push_back(name);
        }
    }

    /// # Panics
    /// When a send is under way already: a bug of the shard.
    pub(super) fn send<M>(&mut self, id: ConnectionId, parts: Vec<Part>, context: &mut Context<M>) {
        let name = self.slots.name(id);
        let Some(connection) = self.slots.get(name) else { return };
        connection.outgoing.begin(id, parts);
        self.advance(name, context);
    }

    /// Receives where there may be something, and gives each connection that had to wait for others its next turn.
    pub(super) fn go_on<M>(&mut self, context: &mut Context<M>) {
        for _ in 0..self.receivers.len() {
            let Some(name) = self.receivers.pop_front() else { break };
            self.receive_some(name, context);
        }
        for _ in 0..self.senders.len() {
            let Some(name) = self.senders.pop_front() else { break };
            self.advance(name, context);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.senders.is_empty() || !self.receivers.is_empty()
    }

    fn receive_some<M>(&mut self, name: Name, context: &mut Context<M>) {
        let id = self.slots.id(name);
        let Some(connection) = self.slots.get(name) else { return };
        let Some(mut buffer) = connection.receiving.take() else { return };
        let had_room = buffer.capacity() > 0;
        match receive_now(connection.socket.as_fd(), &mut buffer) {
            Ok((bytes, room)) => {
                // With fewer bytes than there was room for the socket is empty: the next edge tells of more. One that
                // has ended is read to its end, of which no edge tells again.
                connection.readable = bytes == room || connection.ended;
                context.events.push_back(Completion::Received { connection: id, buffer, bytes });
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                connection.receiving = Some(buffer);
                self.receivers.push_back(name);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.readable = false;
                // It woke for nothing; room that was made for nothing is given back.
                connection.receiving = Some(if had_room { buffer } else { BytesMut::new() });
            }
            Err(error) => {
                log_failure(&error, connection.peer);
                self.end(name, CloseReason::Failed, context);
            }
        }
    }

    fn advance<M>(&mut self, name: Name, context: &mut Context<M>) {
        let id = self.slots.id(name);
        let Some(connection) = self.slots.get(name) else { return };
        let socket = connection.socket.as_fd();
        match connection.outgoing.advance(socket, Socket::Nonblocking, (name, id), context) {
            // Where the socket was found full, an edge will tell when it is not.
            Next::Nothing | Next::Watch => {}
            Next::Turn => self.senders.push_back(name),
            Next::End(error) => {
                log_failure(&error, connection.peer);
                self.end(name, CloseReason::Failed, context);
            }
        }
    }

    /// A helper has read a cold range for this connection, if it is still there.
    pub(super) fn warmed<M>(&mut self, name: Name, result: io::Result<()>, context: &mut Context<M>) {
        let Some(connection) = self.slots.get(name) else { return };
        if !connection.outgoing.warmed() {
            return;
        }
        match result {
            Ok(()) => self.advance(name, context),
            Err(error) => {
                tracing::error!(peer = %connection.peer, %error, "cannot read a file for a response");
                self.end(name, CloseReason::Failed, context);
            }
        }
    }

    pub(super) fn close<M>(&mut self, id: ConnectionId, context: &mut Context<M>) {
        self.end(self.slots.name(id), CloseReason::Asked, context);
    }

    /// The kernel holds nothing of a connection but its socket, so the end is at once.
    fn end<M>(&mut self, name: Name, reason: CloseReason, context: &mut Context<M>) {
        if self.slots.get(name).is_none() {
            return;
        }
        drop(self.slots.remove(name));
        context.events.push_back(Completion::Closed { connection: self.slots.id(name), reason });
    }
}
