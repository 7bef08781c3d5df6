//! A shard's epoll.

use crate::clock;
use corelane_seam::Monotonic;
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

/// Taken with one call.
const EVENTS: usize = 256;
const KIND_SHIFT: u32 = 56;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The doorbell: someone has something for the shard.
    Bell,
    /// A listener, by its place.
    Listener(u64),
    /// A connection, by its name.
    Connection(u64),
}

impl Source {
    fn encode(self) -> EventData {
        let (kind, value) = match self {
            Source::Bell => (1, 0),
            Source::Listener(value) => (2, value),
            Source::Connection(value) => (3, value),
        };
        EventData::new_u64(kind << KIND_SHIFT | value)
    }

    fn decode(data: EventData) -> Option<Source> {
        let bits = data.u64();
        let value = bits & ((1 << KIND_SHIFT) - 1);
        Some(match bits >> KIND_SHIFT {
            1 => Source::Bell,
            2 => Source::Listener(value),
            3 => Source::Connection(value),
            _ => return None,
        })
    }
}

/// What became possible on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) readable: bool,
    /// The peer sends no more, or the connection has failed: reading says which.
    pub(super) ended: bool,
    pub(super) writable: bool,
}

impl Readiness {
    fn of(flags: EventFlags) -> Readiness {
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        Readiness {
            readable: ended || flags.contains(EventFlags::IN),
            ended,
            writable: flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR),
        }
    }
}

pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
    /// The events were not taken yet.
    is_fresh: bool,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Poller { epoll, events: Vec::with_capacity(EVENTS), is_fresh: false })
    }

    /// Watches an eventfd. By edges: each signal is told once, and nothing need be read.
    pub(super) fn watch_bell(&self, bell: impl AsFd) -> io::Result<()> {
        self.add(bell, Source::Bell, EventFlags::IN | EventFlags::ET)
    }

    /// Watches a listening socket. By level: one that is not emptied is told again.
    pub(super) fn watch_listener(&self, socket: impl AsFd, place: u64) -> io::Result<()> {
        self.add(socket, Source::Listener(place), EventFlags::IN)
    }

    /// Watches a connection for both directions, until it is closed or [forgotten](Self::forget). By edges: one call
    /// for the connection's whole life.
    pub(super) fn watch_connection(&self, socket: impl AsFd, name: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        self.add(socket, Source::Connection(name), flags)
    }

    fn add(&self, source: impl AsFd, what: Source, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, what.encode(), flags)?)
    }

    /// Watches it no more.
    pub(super) fn forget(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    /// Sleeps until something happens, or until this time.
    pub(super) fn wait(&mut self, until: Option<Monotonic>) -> io::Result<()> {
        self.poll(until.map(|at| milliseconds(at.since(clock::monotonic()).as_nanos())).as_ref())
    }

    fn poll(&mut self, timeout: Option<&Timespec>) -> io::Result<()> {
        self.events.clear();
        self.is_fresh = true;
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What has happened since the last call, as far as it fits into one call.
    pub(super) fn take(&mut self, mut each: impl FnMut(&Poller, Source, Readiness)) -> io::Result<()> {
        if !std::mem::take(&mut self.is_fresh) {
            self.poll(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
            self.is_fresh = false;
        }
        let events = std::mem::take(&mut self.events);
        for event in &events {
            if let Some(source) = Source::decode(event.data) {
                each(self, source, Readiness::of(event.flags));
            }
        }
        self.events = events;
        Ok(())
    }
}

/// In whole milliseconds, rounded up, as the oldest epoll takes them: a timer never fires early.
fn milliseconds(nanoseconds: u128) -> Timespec {
    const LONGEST: u128 = 3_600_000;
    let ms = nanoseconds.div_ceil(1_000_000).min(LONGEST) as i64;
    Timespec { tv_sec: ms / 1_000, tv_nsec: (ms % 1_000) * 1_000_000 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};

    #[test]
    fn a_bell_that_is_rung_again_and_again_is_told_once_a_ring_without_being_read() {
        let mut poller = Poller::new().expect("an epoll");
        let bell = eventfd(0, EventfdFlags::CLOEXEC).expect("an eventfd");
        poller.watch_bell(&bell).expect("watched");
        let told = |poller: &mut Poller| {
            let mut told = Vec::new();
            poller.take(|_, source, _| told.push(source)).expect("asked");
            told
        };
        assert_eq!(told(&mut poller), []);
        for _ in 0..3 {
            rustix::io::write(&bell, &1_u64.to_ne_bytes()).expect("rung");
            poller.wait(None).expect("woken");
            assert_eq!(told(&mut poller), [Source::Bell]);
            assert_eq!(told(&mut poller), []);
        }
    }

    #[test]
    fn a_sleep_is_never_cut_short_by_rounding_and_never_too_long_to_be_told() {
        let of = |nanoseconds| milliseconds(nanoseconds);
        assert_eq!((of(0).tv_sec, of(0).tv_nsec), (0, 0));
        assert_eq!((of(1).tv_sec, of(1).tv_nsec), (0, 1_000_000));
        assert_eq!((of(1_000_000_001).tv_sec, of(1_000_000_001).tv_nsec), (1, 1_000_000));
        assert_eq!(of(u128::from(u64::MAX)).tv_sec, 3_600);
    }
}
