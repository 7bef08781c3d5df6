//! Connections of one shard: what is asked on each, and what the kernel still holds of it.

use super::Context;
use crate::driver::{
    mesh::Moving,
    outgoing::{Next, Outgoing},
    receive::{is_passing, log_failure, receive_now},
    send::Socket,
    slots::{Name, SLOTS_MAX, Slots},
};
use crate::uring::{
    ring::{Finished, Tag},
    watch_writable,
};
use bytes::BytesMut;
use corelane_seam::{CloseReason, Completion, ConnectionId, ListenerId, Part, ShardId, Token};
use io_uring::{opcode, types};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

struct Receiving {
    buffer: BytesMut,
    tag: Tag,
}

struct Connection {
    socket: OwnedFd,
    /// By which it was accepted; none, if this process made it.
    listener: Option<ListenerId>,
    peer: SocketAddr,
    receiving: Option<Receiving>,
    outgoing: Outgoing,
    closing: Option<CloseReason>,
}

impl Connection {
    /// Whether the kernel still works on the socket or on a buffer of the connection.
    fn is_held(&self) -> bool {
        self.receiving.is_some() || self.outgoing.is_watched()
    }
}

pub(super) struct Connections {
    slots: Slots<Connection>,
    /// Connections that used up their turn with more to send.
    ready: VecDeque<Name>,
}

impl Connections {
    pub(super) fn new(shard: ShardId) -> Connections {
        Connections { slots: Slots::new(shard), ready: VecDeque::new() }
    }

    /// The tag of a ring entry and the completion of a helper name connections that may be gone by then.
    fn get_open(&mut self, name: Name) -> Option<&mut Connection> {
        self.slots.get(name).filter(|connection| connection.closing.is_none())
    }

    /// A connection was accepted, or came over from another shard.
    pub(super) fn add<M>(&mut self, moving: Moving, moved: bool, context: &mut Context<M>) {
        let Moving { socket, listener, peer } = moving;
        match self.insert(socket, Some(listener), peer) {
            Some(connection) => {
                context.events.push_back(Completion::Accepted { connection, listener, peer, moved })
            }
            None => tracing::error!(%peer, "a shard holds no more than {SLOTS_MAX} connections: refused"),
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
            self.insert(socket, None, peer).ok_or_else(|| io::Error::other("too many connections"))
        });
        context.events.push_back(Completion::Connected { token, result });
    }

    fn insert(
        &mut self,
        socket: OwnedFd,
        listener: Option<ListenerId>,
        peer: SocketAddr,
    ) -> Option<ConnectionId> {
        let held = Connection {
            socket,
            listener,
            peer,
            receiving: None,
            outgoing: Outgoing::default(),
            closing: None,
        };
        self.slots.insert(held).map(|name| self.slots.id(name))
    }

    /// Takes a connection out, to be given to another shard.
    ///
    /// # Panics
    /// When something was asked on it already, or it was not accepted: a bug of the shard.
    pub(super) fn take(&mut self, id: ConnectionId) -> Option<Moving> {
        let name = self.slots.name(id);
        let connection = self.get_open(name)?;
        assert!(
            connection.receiving.is_none() && !connection.outgoing.is_under_way(),
            "{id:?} is in use: not to be moved"
        );
        let Connection { socket, listener, peer, .. } = self.slots.remove(name);
        let listener = listener.expect("only accepted connections are moved");
        Some(Moving { socket, listener, peer })
    }

    /// # Panics
    /// When a receive is under way already: a bug of the shard.
    pub(super) fn receive<M>(&mut self, id: ConnectionId, mut buffer: BytesMut, context: &mut Context<M>) {
        let name = self.slots.name(id);
        let Some(connection) = self.get_open(name) else { return };
        assert!(connection.receiving.is_none(), "{id:?} is being received from already");
        let socket = types::Fd(connection.socket.as_raw_fd());
        let space = buffer.spare_capacity_mut();
        let (entry, tag) = if space.is_empty() {
            let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
            (opcode::PollAdd::new(socket, events).build(), Tag::Readable(name))
        } else {
            let len = u32::try_from(space.len()).unwrap_or(u32::MAX);
            (opcode::Recv::new(socket, space.as_mut_ptr().cast(), len).build(), Tag::Receive(name))
        };
        connection.receiving = Some(Receiving { buffer, tag });
        // SAFETY: the spare capacity lies on the heap, behind a buffer that stays in `receiving`, untouched, until the
        // completion; the socket stays open while the kernel holds an entry of it.
        unsafe { context.port.push(entry, tag) };
    }

    /// # Panics
    /// When a send is under way already: a bug of the shard.
    pub(super) fn send<M>(&mut self, id: ConnectionId, parts: Vec<Part>, context: &mut Context<M>) {
        let name = self.slots.name(id);
        let Some(connection) = self.get_open(name) else { return };
        connection.outgoing.begin(id, parts);
        self.advance(name, context);
    }

    /// Gives each connection that had to wait for others its next turn.
    pub(super) fn continue_sends<M>(&mut self, context: &mut Context<M>) {
        for _ in 0..self.ready.len() {
            let Some(name) = self.ready.pop_front() else { return };
            self.advance(name, context);
        }
    }

    pub(super) fn has_ready_sends(&self) -> bool {
        !self.ready.is_empty()
    }

    fn advance<M>(&mut self, name: Name, context: &mut Context<M>) {
        let id = self.slots.id(name);
        let Some(connection) = self.get_open(name) else { return };
        let socket = connection.socket.as_fd();
        match connection.outgoing.advance(socket, Socket::Blocking, (name, id), context) {
            Next::Nothing => {}
            Next::Turn => self.ready.push_back(name),
            Next::Watch => watch_writable(&connection.socket, name, context),
            Next::End(error) => {
                log_failure(&error, connection.peer);
                self.end(name, CloseReason::Failed, context);
            }
        }
    }

    pub(super) fn close<M>(&mut self, id: ConnectionId, context: &mut Context<M>) {
        self.end(self.slots.name(id), CloseReason::Asked, context);
    }

    /// Begins the end of a connection: what the kernel holds is asked back first.
    fn end<M>(&mut self, name: Name, reason: CloseReason, context: &mut Context<M>) {
        let Some(connection) = self.get_open(name) else { return };
        connection.closing = Some(reason);
        if let Some(receiving) = &connection.receiving {
            context.port.cancel(receiving.tag);
        }
        match connection.outgoing.is_watched() {
            true => context.port.cancel(Tag::Writable(name)),
            false => connection.outgoing.stop(),
        }
        self.finish_end(name, context);
    }

    fn finish_end<M>(&mut self, name: Name, context: &mut Context<M>) {
        let Some(connection) = self.slots.get(name) else { return };
        let Some(reason) = connection.closing else { return };
        if connection.is_held() {
            return;
        }
        drop(self.slots.remove(name));
        context.events.push_back(Completion::Closed { connection: self.slots.id(name), reason });
    }

    /// An entry of a connection came back.
    pub(super) fn finished<M>(&mut self, finished: Finished, context: &mut Context<M>) {
        match finished.tag {
            Tag::Receive(name) => self.received(name, finished, context),
            Tag::Readable(name) => self.readable(name, finished, context),
            Tag::Writable(name) => self.writable(name, context),
            _ => unreachable!("not an entry of a connection"),
        }
    }

    fn received<M>(&mut self, name: Name, finished: Finished, context: &mut Context<M>) {
        let id = self.slots.id(name);
        let Some(connection) = self.slots.get(name) else { return };
        let Some(Receiving { mut buffer, .. }) = connection.receiving.take() else { return };
        if connection.closing.is_some() {
            return self.finish_end(name, context);
        }
        match finished.result() {
            Ok(bytes) => {
                // SAFETY: the kernel initialised `bytes` bytes of the spare capacity that it was given.
                unsafe { buffer.set_len(buffer.len() + bytes) };
                context.events.push_back(Completion::Received { connection: id, buffer, bytes });
            }
            Err(error) if is_passing(&error) => self.receive(id, buffer, context),
            Err(error) => {
                log_failure(&error, connection.peer);
                self.end(name, CloseReason::Failed, context);
            }
        }
    }

    /// A connection whose buffer was empty has bytes, so now it gets room for them.
    fn readable<M>(&mut self, name: Name, finished: Finished, context: &mut Context<M>) {
        let id = self.slots.id(name);
        let Some(connection) = self.slots.get(name) else { return };
        let Some(Receiving { mut buffer, .. }) = connection.receiving.take() else { return };
        if connection.closing.is_some() {
            return self.finish_end(name, context);
        }
        if let Err(error) = finished.result()
            && !is_passing(&error)
        {
            log_failure(&error, connection.peer);
            return self.end(name, CloseReason::Failed, context);
        }
        match receive_now(connection.socket.as_fd(), &mut buffer) {
            Ok((bytes, _room)) => {
                context.events.push_back(Completion::Received { connection: id, buffer, bytes });
            }
            // It woke for nothing; the room that was made stays with the buffer.
            Err(error) if is_passing(&error) => self.receive(id, buffer, context),
            Err(error) => {
                log_failure(&error, connection.peer);
                self.end(name, CloseReason::Failed, context);
            }
        }
    }

    fn writable<M>(&mut self, name: Name, context: &mut Context<M>) {
        let Some(connection) = self.slots.get(name) else { return };
        if connection.closing.is_some() {
            connection.outgoing.stop();
            return self.finish_end(name, context);
        }
        connection.outgoing.writable();
        // Whatever is wrong with the socket, the next send says so.
        self.advance(name, context);
    }

    /// A helper has read a cold range for this connection, if it is still there.
    pub(super) fn warmed<M>(&mut self, name: Name, result: io::Result<()>, context: &mut Context<M>) {
        let Some(connection) = self.get_open(name) else { return };
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
}
