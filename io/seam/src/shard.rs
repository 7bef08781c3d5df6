//! What a driver and a shard say to each other.

use crate::{CloseReason, ConnectionId, FileOperation, FileResult, ListenerId, Monotonic, Now, Part, Token};
use bytes::BytesMut;
use std::{io, net::SocketAddr};

/// A shard of this process: a thread with a driver. Data shards come first, the quorum's shard is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// As an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What a shard asks for. `M` is what shards say to each other; a driver moves it and does not look inside.
#[derive(Debug)]
pub enum Operation<M> {
    /// Read from the connection into the buffer's spare capacity → [`Completion::Received`]. Without any, the
    /// driver makes room once bytes are there, so that an idle connection costs no memory. At most one at a time
    /// per connection. Not asking is back-pressure.
    Receive {
        /// From where.
        connection: ConnectionId,
        /// Owned by the operation; what it already holds stays in front.
        buffer: BytesMut,
    },
    /// Send all parts in order → [`Completion::Sent`]. At most one at a time per connection.
    Send {
        /// To where.
        connection: ConnectionId,
        /// In order.
        parts: Vec<Part>,
    },
    /// Close now: what is being received or sent may be cut short → [`Completion::Closed`].
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Give an accepted connection, on which nothing was asked yet, to another shard, which sees
    /// [`Completion::Accepted`]. This shard sees nothing more of it.
    Move {
        /// Which.
        connection: ConnectionId,
        /// New owner.
        to: ShardId,
    },
    /// Connect to a peer → [`Completion::Connected`], once. The name is looked up anew each time.
    Connect {
        /// Comes back with the completion.
        token: Token,
        /// A name or an address.
        host: String,
        /// TCP.
        port: u16,
    },
    /// Something with a file → [`Completion::File`], once (twice for a write with flush).
    File {
        /// Comes back with the completion.
        token: Token,
        /// What.
        operation: FileOperation,
    },
    /// Say something to another shard → [`Completion::Message`] there. FIFO per pair of shards, never lost while
    /// the process lives; a full queue holds it back in the sending driver.
    Message {
        /// To whom; never to oneself.
        to: ShardId,
        /// What.
        message: M,
    },
    /// Wake me with [`Completion::Timer`] at this time or soon after. One timer per shard: a new one replaces it.
    Timer {
        /// When.
        at: Monotonic,
    },
    /// Everything owed is done; end this shard's loop. Only after [`Completion::Stop`], or for a broken quorum.
    Stopped,
}

/// What happened.
#[derive(Debug)]
pub enum Completion<M> {
    /// A peer connected, or another shard gave the connection over.
    Accepted {
        /// Its name from now on.
        connection: ConnectionId,
        /// By which listener.
        listener: ListenerId,
        /// The peer's address.
        peer: SocketAddr,
        /// Given over by a [`Operation::Move`] of this shard, and so not to be moved again.
        moved: bool,
    },
    /// What became of a connect: a connection like an accepted one, but never to be moved; or why there is none.
    /// It may have ended already; then [`Closed`](Self::Closed) follows at once.
    Connected {
        /// As asked.
        token: Token,
        /// Its name from now on.
        result: io::Result<ConnectionId>,
    },
    /// The buffer of a receive, with `bytes` more bytes in it. 0: the peer will send no more (it may still read).
    Received {
        /// From where.
        connection: ConnectionId,
        /// Given back.
        buffer: BytesMut,
        /// How many bytes came.
        bytes: usize,
    },
    /// Everything of the last send was handed to the kernel.
    Sent {
        /// To where.
        connection: ConnectionId,
    },
    /// The connection is gone. Last word about it: receives and sends that were under way do not complete.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// A file operation's result.
    File {
        /// As asked.
        token: Token,
        /// What became of it.
        result: FileResult,
    },
    /// Another shard said something.
    Message {
        /// Who.
        from: ShardId,
        /// What.
        message: M,
    },
    /// The timer came due.
    Timer,
    /// Listeners are closed; finish what is owed, then answer [`Operation::Stopped`].
    Stop,
}

/// What a driver drives.
pub trait Shard {
    /// What shards say to each other.
    type Message: Send + 'static;
    /// Called once, first, on the shard's own thread.
    fn start(&mut self, now: Now, out: &mut Vec<Operation<Self::Message>>);
    /// Takes one completion, adds what it wants done to `out`.
    fn complete(
        &mut self,
        now: Now,
        completion: Completion<Self::Message>,
        out: &mut Vec<Operation<Self::Message>>,
    );
    /// No completion is left for the moment: the place for what many requests share.
    fn end_of_turn(&mut self, now: Now, out: &mut Vec<Operation<Self::Message>>);
    /// What the shard was last busy with, for the stall detector's log line.
    fn busy_with(&self) -> String;
}
