//! What the loop of a shard has done by its driver, because the drivers ask the kernel in different ways.

use super::{context::Context, mesh::Moving, shared::ShardShared};
use bytes::BytesMut;
use corelane_seam::{ConnectionId, FileOperation, Monotonic, Part, ShardId, Token};
use std::{io, net::SocketAddr, os::fd::OwnedFd};

/// A driver's connections, listeners and files of one shard. What it is asked is as [`Operation`](corelane_seam::Operation)
/// says; what comes of it goes to the events of the context.
pub(crate) trait Hands<M> {
    /// How the thread reaches the kernel.
    type Port;

    /// Takes what the kernel has for the shard. Whether any of it was more than a timer.
    ///
    /// # Errors
    /// When the kernel can no longer be asked: the shard cannot go on.
    fn gather(&mut self, context: &mut Context<M, Self::Port>) -> io::Result<bool>;

    /// After all else was gathered: what had to wait for its turn gets it, and paused listeners go on.
    fn go_on(&mut self, now: Monotonic, context: &mut Context<M, Self::Port>);

    /// Tells the kernel what was asked since the last time. Whether there was anything, and so may be something to
    /// gather. Unless the loop goes on at once, a driver may leave it for the time when the thread sleeps, or the budget of
    /// its poll is used up.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    fn submit(&mut self, goes_on: bool, context: &mut Context<M, Self::Port>) -> io::Result<bool>;

    /// Wakes another shard, which sleeps, at the latest when this one has told the kernel what was asked, or sleeps.
    fn wake(&mut self, _shard: ShardId, shared: &ShardShared, _context: &mut Context<M, Self::Port>) {
        shared.doorbell.ring_always();
    }

    /// Whether something waits for its turn, and for nothing else.
    fn has_ready(&self) -> bool;

    /// Takes over a connection.
    fn adopt(&mut self, moving: Moving, moved: bool, context: &mut Context<M, Self::Port>);

    /// A connect that the shard asked for has come to an end.
    fn connected(
        &mut self,
        token: Token,
        result: io::Result<(OwnedFd, SocketAddr)>,
        context: &mut Context<M, Self::Port>,
    );

    /// Gives a connection up, to be taken over by another shard. None if it has gone.
    ///
    /// # Panics
    /// When something was asked on it already, or it was not accepted: a bug of the shard.
    fn give_up(&mut self, id: ConnectionId, context: &mut Context<M, Self::Port>) -> Option<Moving>;

    /// # Panics
    /// When a receive is under way already: a bug of the shard.
    fn receive(&mut self, id: ConnectionId, buffer: BytesMut, context: &mut Context<M, Self::Port>);

    /// # Panics
    /// When a send is under way already: a bug of the shard.
    fn send(&mut self, id: ConnectionId, parts: Vec<Part>, context: &mut Context<M, Self::Port>);

    /// Closes a connection.
    fn close(&mut self, id: ConnectionId, context: &mut Context<M, Self::Port>);

    /// A helper has read a cold range for this connection, if it is still there.
    fn warmed(&mut self, connection: u64, result: io::Result<()>, context: &mut Context<M, Self::Port>);

    /// Something with a file.
    fn file(&mut self, token: Token, operation: FileOperation, context: &mut Context<M, Self::Port>);

    /// Begins to close the listeners.
    fn close_listeners(&mut self, context: &mut Context<M, Self::Port>);

    /// Whether the kernel has let go of every listening socket, and the addresses are free.
    fn are_listeners_closed(&mut self) -> bool;

    /// When a listener's pause is over.
    fn deadline(&self) -> Option<Monotonic>;

    /// Has the kernel wake the thread at this time at the latest, and for whatever it has.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    fn prepare_sleep(
        &mut self,
        until: Option<Monotonic>,
        context: &mut Context<M, Self::Port>,
    ) -> io::Result<()>;

    /// The last look before a sleep. False when the kernel has something already.
    fn may_sleep(&mut self, context: &mut Context<M, Self::Port>) -> bool;

    /// The thread looks for itself again.
    fn awake(&mut self, context: &mut Context<M, Self::Port>);

    /// Ends everything: the kernel gives back all that it holds, then connections and files close. May block: the
    /// thread has nothing else to do any more.
    fn tear_down(self, shard: ShardId, context: Context<M, Self::Port>);
}
