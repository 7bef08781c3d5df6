//! A shard's listening sockets.

use super::{Context, poller::Poller};
use crate::driver::{accept::Refusals, mesh::Moving};
use corelane_seam::{ListenerId, Monotonic};
use rustix::net::{SocketFlags, acceptfrom_with};
use std::{io, net::SocketAddr, os::fd::OwnedFd};

/// Accepted from one listener before others get their turn; epoll tells again of what is left.
const ACCEPTS_PER_PASS: usize = 64;

enum State {
    /// Not watched yet.
    Idle,
    Watched,
    Paused(Monotonic),
}

struct Listener {
    socket: OwnedFd,
    id: ListenerId,
    state: State,
}

#[derive(Default)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    refusals: Refusals,
}

impl Listeners {
    /// # Errors
    /// When a socket cannot be made nonblocking.
    pub(super) fn new(sockets: Vec<(ListenerId, OwnedFd)>) -> io::Result<Listeners> {
        let mut all = Vec::new();
        for (id, socket) in sockets {
            rustix::io::ioctl_fionbio(&socket, true)?;
            all.push(Listener { socket, id, state: State::Idle });
        }
        Ok(Listeners { all, refusals: Refusals::default() })
    }

    /// Watches those that are not watched yet, and those whose pause is over.
    pub(super) fn watch<M>(&mut self, now: Monotonic, context: &Context<M>) {
        for (place, listener) in self.all.iter_mut().enumerate() {
            let due = match listener.state {
                State::Idle => true,
                State::Watched => false,
                State::Paused(until) => until <= now,
            };
            if due {
                listener.state = match context.port.watch_listener(&listener.socket, place as u64) {
                    Ok(()) => State::Watched,
                    Err(error) => self.refusals.pause(&error).map_or(State::Idle, State::Paused),
                };
            }
        }
    }

    /// When a pause is over.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        let paused = self.all.iter().filter_map(|listener| match listener.state {
            State::Paused(until) => Some(until),
            State::Idle | State::Watched => None,
        });
        paused.min()
    }

    /// Takes connections that wait at a listener.
    pub(super) fn accept(&mut self, place: u64, poller: &Poller, mut each: impl FnMut(Moving)) {
        let Some(listener) = self.all.get_mut(place as usize) else { return };
        for _ in 0..ACCEPTS_PER_PASS {
            match acceptfrom_with(&listener.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((socket, peer)) => {
                    // A peer that has gone already has no name.
                    if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        each(Moving { socket, listener: listener.id, peer });
                    }
                }
                Err(error) => {
                    let error = io::Error::from(error);
                    if let Some(until) = self.refusals.pause(&error) {
                        listener.state = State::Paused(until);
                        // It fails for a socket that is not watched, which is what is wanted.
                        let _ = poller.forget(&listener.socket);
                        return;
                    }
                    if error.kind() == io::ErrorKind::WouldBlock {
                        return;
                    }
                }
            }
        }
    }

    /// Closes all: their addresses are free at once.
    pub(super) fn close(&mut self) {
        self.all.clear();
    }
}
