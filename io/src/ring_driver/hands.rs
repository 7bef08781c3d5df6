//! The loop's hands: everything by the ring, told to the kernel when the thread goes to sleep.

use super::{buffers::Buffers, connections::Connections};
use crate::{
    driver::{
        hands::Hands,
        launch::Seat,
        mesh::Moving,
        shared::{ShardShared, Shared},
    },
    fs::Direct,
    uring::{
        Context,
        accept::Listeners,
        files::Files,
        ring::{Finished, Ring, Tag},
        take_back,
    },
};
use bytes::BytesMut;
use corelane_seam::{ConnectionId, FileOperation, Monotonic, Part, ShardId, Token};
use io_uring::{opcode, types};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

pub(super) struct RingHands {
    connections: Connections,
    files: Files,
    listeners: Listeners,
    finished: VecDeque<Finished>,
    shared: Arc<Shared>,
    /// The ring looks at the doorbell's eventfd.
    hears_bell: bool,
}

impl RingHands {
    /// Takes the listening sockets out of the seat.
    pub(super) fn new<M>(seat: &mut Seat<M>, buffers: Buffers) -> RingHands {
        let blocking = seat.blocking(Direct::Demanded);
        RingHands {
            connections: Connections::new(seat.id, buffers),
            files: Files::new(Arc::new(blocking)),
            listeners: Listeners::new(std::mem::take(&mut seat.sockets)),
            finished: VecDeque::new(),
            shared: Arc::clone(&seat.shared),
            hears_bell: false,
        }
    }

    fn dispatch<M>(&mut self, finished: Finished, context: &mut Context<M>) {
        match finished.tag {
            Tag::Accept(index) => {
                if let Some(moving) = self.listeners.finished(index, finished) {
                    self.connections.add(moving, false, context);
                }
            }
            Tag::Receive(_) | Tag::Writable(_) => self.connections.finished(finished, context),
            Tag::File(key) => self.files.finished(key, finished, context),
            Tag::Bell => self.hears_bell = finished.more,
            // Its ring could not be told (it has no memory, or has ended); the eventfd can.
            Tag::Wake(shard) => self.shared.shards[shard as usize].doorbell.ring_always(),
            Tag::Readable(_) | Tag::Timer(_) | Tag::Cancel | Tag::Woken => {}
        }
    }

    /// Has the ring tell of every signal of the eventfd, which no one reads: by edges, each is told once.
    fn hear_bell<M>(&mut self, context: &mut Context<M>) {
        if !std::mem::replace(&mut self.hears_bell, true) {
            let fd = types::Fd(context.me.doorbell.fd());
            let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
            // SAFETY: the entry points to nothing; the eventfd is open for as long as any shard is there.
            unsafe { context.port.push(entry, Tag::Bell) };
        }
    }
}

impl<M> Hands<M> for RingHands {
    type Port = Ring;

    fn gather(&mut self, context: &mut Context<M>) -> io::Result<bool> {
        context.port.reap(&mut self.finished);
        if self.finished.is_empty() {
            return Ok(false);
        }
        let mut traffic = false;
        while let Some(finished) = self.finished.pop_front() {
            traffic |= !matches!(finished.tag, Tag::Cancel | Tag::Bell | Tag::Woken | Tag::Wake(_));
            self.dispatch(finished, context);
        }
        self.connections.deliver(context);
        Ok(traffic)
    }

    fn go_on(&mut self, now: Monotonic, context: &mut Context<M>) {
        self.hear_bell(context);
        self.connections.continue_sends(context);
        self.connections.feed_starved(context);
        self.listeners.arm(now, context);
    }

    /// A thread that goes to sleep next tells the kernel with that call; one that goes on lets a disk, or another shard,
    /// work meanwhile.
    fn submit(&mut self, goes_on: bool, context: &mut Context<M>) -> io::Result<bool> {
        let enters = goes_on && context.port.wants_enter();
        if enters {
            context.port.enter()?;
        }
        Ok(enters)
    }

    fn has_ready(&self) -> bool {
        self.connections.has_ready()
    }

    fn wake(&mut self, shard: ShardId, shared: &ShardShared, context: &mut Context<M>) {
        match shared.ring.get() {
            Some(ring) => context.port.wake(ring.as_fd(), u64::from(shard.0)),
            // It runs on another driver.
            None => shared.doorbell.ring_always(),
        }
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

    fn prepare_sleep(&mut self, _until: Option<Monotonic>, _context: &mut Context<M>) -> io::Result<()> {
        Ok(())
    }

    /// Whatever completes from now on ends the wait at once.
    fn may_sleep(&mut self, context: &mut Context<M>) -> bool {
        !context.port.has_finished()
    }

    fn awake(&mut self, _context: &mut Context<M>) {}

    fn tear_down(mut self, shard: ShardId, mut context: Context<M>) {
        let drained = take_back(&mut self.listeners, &mut self.files, &mut context);
        // Someone may count on a wake-up of ours that never came to its ring.
        self.shared.wake_all();
        if drained {
            // SAFETY: the kernel has given back everything that it held, receives among it.
            unsafe { self.connections.into_buffers().release(&context.port) };
        } else {
            tracing::error!(
                shard = shard.0,
                "the kernel did not let go of a shard's buffers: they are leaked"
            );
            std::mem::forget((self, context));
        }
    }
}
