//! The loop's hands: everything by the ring.

use super::{Context, connections::Connections, timer::Timer};
use crate::{
    driver::{hands::Hands, launch::Seat, mesh::Moving},
    fs::Direct,
    uring::{
        accept::Listeners,
        files::Files,
        ring::{Finished, Ring, Tag},
        take_back,
    },
};
use bytes::BytesMut;
use corelane_seam::{ConnectionId, FileOperation, Monotonic, Part, ShardId, Token};
use std::{collections::VecDeque, io, net::SocketAddr, os::fd::OwnedFd, sync::Arc};

pub(super) struct GlommioHands {
    connections: Connections,
    files: Files,
    listeners: Listeners,
    timer: Timer,
    finished: VecDeque<Finished>,
}

impl GlommioHands {
    /// Takes the listening sockets out of the seat.
    pub(super) fn new<M>(seat: &mut Seat<M>) -> GlommioHands {
        let blocking = seat.blocking(Direct::Demanded);
        GlommioHands {
            connections: Connections::new(seat.id),
            files: Files::new(Arc::new(blocking)),
            listeners: Listeners::new(std::mem::take(&mut seat.sockets)),
            timer: Timer::default(),
            finished: VecDeque::new(),
        }
    }

    fn dispatch<M>(&mut self, finished: Finished, context: &mut Context<M>) {
        match finished.tag {
            Tag::Accept(index) => {
                if let Some(moving) = self.listeners.finished(index, finished) {
                    self.connections.add(moving, false, context);
                }
            }
            Tag::Receive(_) | Tag::Readable(_) | Tag::Writable(_) => {
                self.connections.finished(finished, context);
            }
            Tag::File(key) => self.files.finished(key, finished, context),
            Tag::Timer(generation) => self.timer.finished(generation),
            Tag::Cancel | Tag::Bell | Tag::Woken | Tag::Wake(_) => {}
        }
    }
}

impl<M> Hands<M> for GlommioHands {
    type Port = Ring;

    fn gather(&mut self, context: &mut Context<M>) -> io::Result<bool> {
        context.port.reap(&mut self.finished);
        let mut traffic = false;
        while let Some(finished) = self.finished.pop_front() {
            traffic |= !matches!(finished.tag, Tag::Timer(_) | Tag::Cancel);
            self.dispatch(finished, context);
        }
        Ok(traffic)
    }

    fn go_on(&mut self, now: Monotonic, context: &mut Context<M>) {
        self.connections.continue_sends(context);
        self.listeners.arm(now, context);
    }

    fn submit(&mut self, _goes_on: bool, context: &mut Context<M>) -> io::Result<bool> {
        let wants = context.port.wants_enter();
        if wants {
            context.port.enter()?;
        }
        Ok(wants)
    }

    fn has_ready(&self) -> bool {
        self.connections.has_ready_sends()
    }

    fn adopt(&mut self, moving: Moving, moved: bool, context: &mut Context<M>) {
        self.connections.add(moving, moved, context);
    }

    fn connected(
        &mut self,
        token: Token,
        result: io::Result<(OwnedFd, SocketAddr)>,
        context: &mut Context<M>,
    ) {
        self.connections.connected(token, result, context);
    }

    fn give_up(&mut self, id: ConnectionId, _context: &mut Context<M>) -> Option<Moving> {
        self.connections.take(id)
    }

    fn receive(&mut self, id: ConnectionId, buffer: BytesMut, context: &mut Context<M>) {
        self.connections.receive(id, buffer, context);
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
        self.files.start(token, operation, context);
    }

    fn close_listeners(&mut self, context: &mut Context<M>) {
        self.listeners.close(context);
    }

    fn are_listeners_closed(&mut self) -> bool {
        self.listeners.is_closed()
    }

    fn deadline(&self) -> Option<Monotonic> {
        self.listeners.deadline()
    }

    fn prepare_sleep(&mut self, until: Option<Monotonic>, context: &mut Context<M>) -> io::Result<()> {
        self.timer.arm(until, context);
        self.submit(false, context)?;
        Ok(())
    }

    fn may_sleep(&mut self, context: &mut Context<M>) -> bool {
        context.port.sleep()
    }

    fn awake(&mut self, context: &mut Context<M>) {
        context.port.awake();
    }

    fn tear_down(mut self, shard: ShardId, mut context: Context<M>) {
        if !take_back(&mut self.listeners, &mut self.files, &mut context) {
            tracing::error!(
                shard = shard.0,
                "the kernel did not let go of a shard's buffers: they are leaked"
            );
            std::mem::forget((self, context));
        }
    }
}
