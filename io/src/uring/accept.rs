//! A shard's listening sockets.

use super::{
    Context,
    ring::{Finished, Tag},
};
use crate::driver::{accept::Refusals, mesh::Moving};
use corelane_seam::{ListenerId, Monotonic};
use io_uring::{opcode, types};
use socket2::SockRef;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

enum State {
    Idle,
    Armed,
    Paused(Monotonic),
}

struct Listener {
    socket: OwnedFd,
    id: ListenerId,
    state: State,
}

#[derive(Default)]
pub(crate) struct Listeners {
    all: Vec<Listener>,
    closing: bool,
    refusals: Refusals,
}

impl Listeners {
    pub(crate) fn new(sockets: Vec<(ListenerId, OwnedFd)>) -> Listeners {
        let all =
            sockets.into_iter().map(|(id, socket)| Listener { socket, id, state: State::Idle }).collect();
        Listeners { all, ..Listeners::default() }
    }

    /// Asks the kernel for connections where it does not know yet, and where a pause is over.
    pub(crate) fn arm<M>(&mut self, now: Monotonic, context: &mut Context<M>) {
        if self.closing {
            return;
        }
        for (index, listener) in self.all.iter_mut().enumerate() {
            let due = match listener.state {
                State::Idle => true,
                State::Armed => false,
                State::Paused(until) => until <= now,
            };
            if due {
                let fd = types::Fd(listener.socket.as_raw_fd());
                let entry = opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build();
                // SAFETY: the entry points to nothing; the socket stays open until the entry came back for good.
                unsafe { context.port.push(entry, Tag::Accept(index as u64)) };
                listener.state = State::Armed;
            }
        }
    }

    /// When a pause is over.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        let paused = self.all.iter().filter_map(|listener| match listener.state {
            State::Paused(until) => Some(until),
            State::Idle | State::Armed => None,
        });
        paused.min()
    }

    /// An accept's entry: a connection, or why there is none.
    pub(crate) fn finished(&mut self, index: u64, finished: Finished) -> Option<Moving> {
        let listener = self.all.get_mut(index as usize)?;
        if !finished.more {
            listener.state = State::Idle;
        }
        let id = listener.id;
        let socket = match finished.result() {
            // SAFETY: the kernel made this descriptor for us; no one else knows it.
            Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd as i32) },
            Err(error) => {
                if let Some(until) = self.refusals.pause(&error) {
                    listener.state = State::Paused(until);
                }
                return None;
            }
        };
        // A peer that has gone already has no name.
        let peer = SockRef::from(&socket).peer_addr().ok()?.as_socket()?;
        (!self.closing).then_some(Moving { socket, listener: id, peer })
    }

    /// Begins to close; [`is_closed`](Self::is_closed) says when the addresses are free.
    pub(crate) fn close<M>(&mut self, context: &mut Context<M>) {
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        for (index, listener) in self.all.iter().enumerate() {
            if matches!(listener.state, State::Armed) {
                context.port.cancel(Tag::Accept(index as u64));
            }
        }
    }

    /// Whether the kernel has let go of every listening socket. Closes them then: a socket that is closed while an
    /// accept still holds it would keep its address, and a quick restart could not bind.
    pub(crate) fn is_closed(&mut self) -> bool {
        if self.closing && self.all.iter().all(|listener| !matches!(listener.state, State::Armed)) {
            self.all.clear();
        }
        self.all.is_empty()
    }
}
