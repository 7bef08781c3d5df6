//! The loop's hands: sockets by epoll, files by helper threads.

use super::{
    Context,
    connections::Connections,
    listeners::Listeners,
    poller::{Poller, Source},
};
use crate::{
    driver::{
        blocking::{Blocking, FileJob},
        hands::Hands,
        helpers::{Helpers, Job},
        launch::Seat,
        mesh::Moving,
    },
    fs::Direct,
};
use bytes::BytesMut;
use corelane_seam::{ConnectionId, FileOperation, Monotonic, Part, ShardId, Token};
use std::{io, net::SocketAddr, os::fd::OwnedFd, sync::Arc};

pub(super) struct EpollHands {
    connections: Connections,
    listeners: Listeners,
    blocking: Arc<Blocking>,
}

impl EpollHands {
    pub(super) fn new<M>(seat: &Seat<M>, listeners: Listeners) -> EpollHands {
        let blocking = seat.blocking(Direct::Preferred);
        EpollHands { connections: Connections::new(seat.id), listeners, blocking: Arc::new(blocking) }
    }
}

impl<M> Hands<M> for EpollHands {
    type Port = Poller;

    fn gather(&mut self, context: &mut Context<M>) -> io::Result<bool> {
        let (connections, listeners) = (&mut self.connections, &mut self.listeners);
        let events = &mut context.events;
        let mut traffic = false;
        context.port.take(|poller, source, readiness| match source {
            Source::Bell => {}
            Source::Listener(place) => {
                traffic = true;
                listeners.accept(place, poller, |moving| connections.add(moving, false, poller, events));
            }
            Source::Connection(name) => {
                traffic = true;
                connections.became(name, readiness);
            }
        })?;
        Ok(traffic)
    }

    fn go_on(&mut self, now: Monotonic, context: &mut Context<M>) {
        self.connections.go_on(context);
        self.listeners.watch(now, context);
    }

    fn submit(&mut self, _goes_on: bool, _context: &mut Context<M>) -> io::Result<bool> {
        Ok(false)
    }

    fn has_ready(&self) -> bool {
        self.connections.has_ready()
    }

    fn adopt(&mut self, moving: Moving, moved: bool, context: &mut Context<M>) {
        self.connections.add(moving, moved, &context.port, &mut context.events);
    }

    fn connected(
        &mut self,
        token: Token,
        result: io::Result<(OwnedFd, SocketAddr)>,
        context: &mut Context<M>,
    ) {
        self.connections.connected(token, result, context);
    }

    fn give_up(&mut self, id: ConnectionId, context: &mut Context<M>) -> Option<Moving> {
        self.connections.take(id, context)
    }

    fn receive(&mut self, id: ConnectionId, buffer: BytesMut, _context: &mut Context<M>) {
        self.connections.receive(id, buffer);
    }

    fn send(&mut self, id: ConnectionId, parts: Vec<Part>, context: &mut Context<M>) {
        self.connections.send(id, parts, context);
    }

    fn close(&mut self, id: ConnectionId, context: &mut Context<M>) {
        self.connections.close(id, context);
    }

    fn warmed(&mut self, connection: u64, result: io::Result<()>, context: &mut Context<M>) {
        self.connections.warmed(connection, result, context);
    }

    fn file(&mut self, token: Token, operation: FileOperation, context: &mut Context<M>) {
        let helpers = &context.helpers;
        let queue = match operation {
            FileOperation::Write { .. } | FileOperation::Flush { .. } => Helpers::write,
            FileOperation::Read { .. } => Helpers::read,
            _ => Helpers::change,
        };
        let (me, blocking) = (Arc::clone(&context.me), Arc::clone(&self.blocking));
        queue(helpers, Job::File(FileJob { token, operation, me, blocking }));
    }

    fn close_listeners(&mut self, _context: &mut Context<M>) {
        self.listeners.close();
    }

    fn are_listeners_closed(&mut self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Monotonic> {
        self.listeners.deadline()
    }

    /// The thread tells the epoll when it begins to wait.
    fn prepare_sleep(&mut self, _until: Option<Monotonic>, _context: &mut Context<M>) -> io::Result<()> {
        Ok(())
    }

    /// Whatever comes from now on ends the wait at once.
    fn may_sleep(&mut self, _context: &mut Context<M>) -> bool {
        !self.connections.has_ready()
    }

    fn awake(&mut self, _context: &mut Context<M>) {}

    /// Nothing of the kernel's is held but descriptors; helpers finish what they were given before the driver ends.
    fn tear_down(self, _shard: ShardId, _context: Context<M>) {}
}
