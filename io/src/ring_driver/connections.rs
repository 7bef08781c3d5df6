//! Connections of one shard: what is asked on each, what came without being asked for, and what the kernel still holds.
//!
//! A receive is told to the kernel once and goes on for the connection's life. What comes while the shard does not ask
//! is kept, and past a bound the receive is called back until the shard asks again. Where much is asked for at once, it is
//! called back, too: then the kernel receives into the shard's own buffer, and nothing need be copied.

use super::buffers::{Buffers, GROUP};
use crate::{
    driver::{
        mesh::Moving,
        outgoing::{Next, Outgoing},
        receive::{is_passing, log_failure},
        send::Socket,
        slots::{Name, SLOTS_MAX, Slots},
    },
    uring::{
        Context,
        ring::{Finished, Ring, Tag},
        watch_writable,
    },
};
use bytes::{Buf as _, BytesMut};
use corelane_seam::{CloseReason, Completion, ConnectionId, ListenerId, Part, ShardId, Token};
use io_uring::{opcode, types};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

/// What a connection keeps of bytes that no one has asked for; a receive that has brought more is called back. The kernel
/// may bring some buffers more before it hears of it.
const EARLY_BYTES_MAX: usize = 64 << 10;

/// Room for which the kernel is told of each receive, so that nothing is copied: the copy would be long.
const MUCH_BYTES: usize = 64 << 10;

/// The receive that the kernel has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Armed {
    No,
    /// One that goes on, into our buffers.
    Yes,
    /// A single one, into the buffer that was asked with.
    Once,
    /// Called back; its last word is still to come.
    CalledBack,
}

/// A receive that the shard asked for.
struct Asked {
    buffer: BytesMut,
    /// Of these bytes the shard has not heard.
    bytes: usize,
}

/// No more will come.
enum End {
    Finished,
    Failed(io::Error),
}

struct Connection {
    socket: OwnedFd,
    /// By which it was accepted; none, if this process made it.
    listener: Option<ListenerId>,
    peer: SocketAddr,
    armed: Armed,
    asked: Option<Asked>,
    /// Came before it was asked for.
    early: BytesMut,
    end: Option<End>,
    outgoing: Outgoing,
    closing: Option<CloseReason>,
}

impl Connection {
    /// Whether the kernel still works on the socket or on a buffer of the connection.
    fn is_held(&self) -> bool {
        self.armed != Armed::No || self.outgoing.is_watched()
    }

    fn call_back(&mut self, name: Name, ring: &mut Ring) {
        self.armed = Armed::CalledBack;
        ring.cancel(Tag::Receive(name));
    }

    /// Puts bytes where they were asked for, as far as there is room, and keeps the rest.
    fn keep(&mut self, bytes: &[u8]) {
        let taken = match &mut self.asked {
            Some(asked) if self.early.is_empty() => asked.take(bytes),
            _ => 0,
        };
        self.early.extend_from_slice(&bytes[taken..]);
    }
}

impl Asked {
    /// Takes what there is room for; an empty buffer gets the room that it needs. How much that was.
    fn take(&mut self, bytes: &[u8]) -> usize {
        if self.buffer.capacity() == self.buffer.len() && self.bytes == 0 {
            self.buffer.reserve(bytes.len());
        }
        let taken = bytes.len().min(self.buffer.capacity() - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.bytes += taken;
        taken
    }
}

pub(super) struct Connections {
    slots: Slots<Connection>,
    buffers: Buffers,
    /// Connections whose receive has brought what the shard is to be told.
    told: Vec<Name>,
    /// Connections whose receive found no buffer.
    starved: VecDeque<Name>,
    /// Connections that used up their turn with more to send.
    ready: VecDeque<Name>,
}

impl Connections {
    pub(super) fn new(shard: ShardId, buffers: Buffers) -> Connections {
        Connections {
            slots: Slots::new(shard),
            buffers,
            told: Vec::new(),
            starved: VecDeque::new(),
            ready: VecDeque::new(),
        }
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
            armed: Armed::No,
            asked: None,
            early: BytesMut::new(),
            end: None,
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
            connection.armed == Armed::No
                && connection.asked.is_none()
                && !connection.outgoing.is_under_way(),
            "{id:?} is in use: not to be moved"
        );
        let Connection { socket, listener, peer, .. } = self.slots.remove(name);
        let listener = listener.expect("only accepted connections are moved");
        Some(Moving { socket, listener, peer })
    }

    /// # Panics
    /// When a receive is under way already: a bug of the shard.
    pub(super) fn receive<M>(&mut self, id: ConnectionId, buffer: BytesMut, context: &mut Context<M>) {
        let name = self.slots.name(id);
        let Some(connection) = self.get_open(name) else { return };
        assert!(connection.asked.is_none(), "{id:?} is being received from already");
        let mut asked = Asked { buffer, bytes: 0 };
        if !connection.early.is_empty() {
            let taken = asked.take(&connection.early);
            connection.early.advance(taken);
            if connection.early.is_empty() {
                // Its memory goes: as a rule nothing comes early.
                connection.early = BytesMut::new();
            }
        }
        connection.asked = Some(asked);
        self.tell(name, context);
    }

    /// Tells the shard what has come of its receive; has the kernel receive where that is nothing yet.
    fn tell<M>(&mut self, name: Name, context: &mut Context<M>) {
        let connection_id = self.slots.id(name);
        let Some(connection) = self.get_open(name) else { return };
        if connection.armed == Armed::Once {
            // The kernel has the buffer.
            return;
        }
        let Some(Asked { bytes, .. }) = connection.asked else { return };
        match connection.end.take() {
            None if bytes == 0 => return self.arm(name, context),
            Some(End::Failed(error)) if bytes == 0 => {
                log_failure(&error, connection.peer);
                return self.end(name, CloseReason::Failed, context);
            }
            end => connection.end = end,
        }
        let Some(Asked { buffer, bytes }) = connection.asked.take() else { return };
        context.events.push_back(Completion::Received { connection: connection_id, buffer, bytes });
    }

    /// Has the kernel receive what was asked for, unless it does already.
    fn arm<M>(&mut self, name: Name, context: &mut Context<M>) {
        let Some(connection) = self.get_open(name) else { return };
        let Some(Asked { buffer, .. }) = &mut connection.asked else { return };
        let socket = types::Fd(connection.socket.as_raw_fd());
        let space = buffer.spare_capacity_mut();
        match connection.armed {
            Armed::No if space.len() >= MUCH_BYTES => {
                connection.armed = Armed::Once;
                let len = u32::try_from(space.len()).unwrap_or(u32::MAX);
                let entry = opcode::Recv::new(socket, space.as_mut_ptr().cast(), len).build();
                // SAFETY: the spare capacity lies on the heap, behind a buffer that stays in `asked`, untouched, until the
                // completion; the socket stays open while the kernel holds an entry of it.
                unsafe { context.port.push(entry, Tag::Receive(name)) };
            }
            Armed::No => {
                connection.armed = Armed::Yes;
                let entry = opcode::RecvMulti::new(socket, GROUP).build();
                // SAFETY: the entry points to nothing; our buffers are kept until the kernel has given back every receive,
                // and the socket stays open while the kernel holds one.
                unsafe { context.port.push(entry, Tag::Receive(name)) };
            }
            Armed::Yes if space.len() >= MUCH_BYTES => connection.call_back(name, &mut context.port),
            Armed::Yes | Armed::Once | Armed::CalledBack => {}
        }
    }

    /// The single receive came back.
    fn received_once<M>(&mut self, name: Name, finished: Finished, context: &mut Context<M>) {
        let Some(connection) = self.slots.get(name) else { return };
        connection.armed = Armed::No;
        match (finished.result(), &mut connection.asked) {
            (Ok(0), _) => connection.end = Some(End::Finished),
            (Ok(bytes), Some(asked)) => {
                // SAFETY: the kernel initialised `bytes` bytes of the spare capacity that it was given.
                unsafe { asked.buffer.set_len(asked.buffer.len() + bytes) };
                asked.bytes += bytes;
            }
            (Err(error), _) if is_passing(&error) => {}
            (Err(error), _) => connection.end = Some(End::Failed(error)),
            (Ok(_), None) => unreachable!("what was asked stays until the receive has come back"),
        }
        self.tell(name, context);
    }

    /// A receive's entry: bytes, the end, or that it must be asked again.
    fn received<M>(&mut self, name: Name, finished: Finished, context: &mut Context<M>) {
        if self.get_open(name).is_some_and(|connection| connection.armed == Armed::Once) {
            return self.received_once(name, finished, context);
        }
        let bytes = finished
            .buffer
            .map(|buffer| self.buffers.take(buffer, usize::try_from(finished.result).unwrap_or(0)));
        let Some(connection) = self.slots.get(name) else { return };
        if !finished.more {
            connection.armed = Armed::No;
        }
        if connection.closing.is_some() {
            return self.finish_end(name, context);
        }
        match (finished.result(), bytes) {
            (Ok(0), _) => connection.end = Some(End::Finished),
            (Ok(_), Some(bytes)) => {
                connection.keep(bytes);
                if connection.armed == Armed::Yes && connection.early.len() > EARLY_BYTES_MAX {
                    connection.call_back(name, &mut context.port);
                }
            }
            (Ok(_), None) => connection.end = Some(End::Failed(io::Error::other("bytes without a buffer"))),
            (Err(error), _) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.buffers.exhausted();
                return self.starved.push_back(name);
            }
            // Called back, or for nothing: whoever asks has it armed again.
            (Err(error), _) if is_passing(&error) || error.raw_os_error() == Some(libc::ECANCELED) => {}
            (Err(error), _) => connection.end = Some(End::Failed(error)),
        }
        if connection.asked.is_some() {
            self.told.push(name);
        }
    }

    /// After all entries were taken: the kernel gets its buffers back, and the shard hears what has come, of each
    /// connection once.
    pub(super) fn deliver<M>(&mut self, context: &mut Context<M>) {
        self.buffers.offer();
        let mut told = std::mem::take(&mut self.told);
        for name in told.drain(..) {
            self.tell(name, context);
        }
        self.told = told;
    }

    /// Receives where no buffer was left, no more connections at a time than there are buffers now.
    pub(super) fn feed_starved<M>(&mut self, context: &mut Context<M>) {
        let share = self.buffers.wanted() / 2;
        for _ in 0..self.starved.len().min(share) {
            let Some(name) = self.starved.pop_front() else { return };
            if self.get_open(name).is_some_and(|connection| connection.asked.is_some()) {
                self.arm(name, context);
            }
        }
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

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.starved.is_empty()
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
        if matches!(connection.armed, Armed::Yes | Armed::Once) {
            connection.call_back(name, &mut context.port);
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
            Tag::Writable(name) => self.writable(name, context),
            _ => unreachable!("not an entry of a connection"),
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

    /// The buffers, when the kernel has given back all receives.
    pub(super) fn into_buffers(self) -> Buffers {
        self.buffers
    }
}
