//! The order of a connection's requests and responses.
//!
//! Produce and Fetch overlap with each other; any other request starts only when all earlier responses are ready, and
//! nothing starts before its own response is (an OffsetCommit followed by a LeaveGroup must not race). Responses
//! leave in the order of the requests, whatever the order in which they became ready.

use super::message::GatherId;
use bytes::Bytes;
use corelane_seam::{ListenerId, Part};
use std::{collections::VecDeque, net::SocketAddr};

/// How a request may run beside others of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Beside others of this kind, dispatched in order.
    Overlaps,
    /// Alone.
    Exclusive,
}

#[derive(Debug)]
enum Slot {
    Waiting(GatherId),
    Ready(Vec<Part>),
}

/// One connection's requests, from frame to response.
#[derive(Debug)]
pub struct Connection {
    /// By which it came.
    pub listener: ListenerId,
    /// For log lines and quotas.
    pub peer: SocketAddr,
    /// Frames that may not start yet, with their bytes counted in `bytes_held`.
    arrived: VecDeque<Bytes>,
    responses: VecDeque<(Slot, usize)>,
    /// A request that runs alone is under way.
    exclusive: bool,
    waiting: usize,
    /// Bytes of frames that were taken and not yet answered.
    bytes_held: usize,
    /// The shard was told not to read on.
    pub paused: bool,
}

impl Connection {
    /// A new connection without requests.
    pub fn new(listener: ListenerId, peer: SocketAddr) -> Connection {
        Connection {
            listener,
            peer,
            arrived: VecDeque::new(),
            responses: VecDeque::new(),
            exclusive: false,
            waiting: 0,
            bytes_held: 0,
            paused: false,
        }
    }

    /// A frame came.
    pub fn arrive(&mut self, frame: Bytes) {
        self.bytes_held += frame.len();
        self.arrived.push_back(frame);
    }

    /// The next frame that may start now, given how the front frame may run.
    pub fn next(&mut self, ordering: impl Fn(&Bytes) -> Ordering) -> Option<Bytes> {
        let front = self.arrived.front()?;
        let may = match ordering(front) {
            Ordering::Overlaps => !self.exclusive,
            Ordering::Exclusive => self.waiting == 0,
        };
        if may { self.arrived.pop_front() } else { None }
    }

    /// The request of the frame just taken (of `len` bytes) waits for `gather`.
    pub fn wait(&mut self, gather: GatherId, len: usize, ordering: Ordering) {
        debug_assert!(!self.exclusive, "a request was started beside one that runs alone");
        self.exclusive = ordering == Ordering::Exclusive;
        self.waiting += 1;
        self.responses.push_back((Slot::Waiting(gather), len));
    }

    /// The request of the frame just taken is answered at once. `None`: it gets no response (acks=0).
    pub fn ready_now(&mut self, parts: Option<Vec<Part>>, len: usize) {
        self.responses.push_back((Slot::Ready(parts.unwrap_or_default()), len));
    }

    /// What `gather` waited for is here.
    pub fn ready(&mut self, gather: GatherId, parts: Option<Vec<Part>>) {
        let slot =
            self.responses.iter_mut().find(|(slot, _)| matches!(slot, Slot::Waiting(id) if *id == gather));
        if let Some((slot, _)) = slot {
            *slot = Slot::Ready(parts.unwrap_or_default());
            self.waiting -= 1;
            self.exclusive = false;
        }
    }

    /// The next response to send, if the oldest request has one. Empty parts: nothing to send, but go on.
    pub fn pop_ready(&mut self) -> Option<Vec<Part>> {
        match self.responses.front()? {
            (Slot::Waiting(_), _) => None,
            (Slot::Ready(_), _) => {
                let (slot, len) = self.responses.pop_front()?;
                self.bytes_held -= len;
                match slot {
                    Slot::Ready(parts) => Some(parts),
                    Slot::Waiting(_) => None,
                }
            }
        }
    }

    /// Requests that were taken from the wire and whose response was not handed over yet.
    pub fn requests_held(&self) -> usize {
        self.arrived.len() + self.responses.len()
    }

    /// Bytes of their frames.
    pub fn bytes_held(&self) -> usize {
        self.bytes_held
    }

    /// Whom to tell that the connection is gone.
    pub fn waiting_for(&self) -> impl Iterator<Item = GatherId> + '_ {
        self.responses.iter().filter_map(|(slot, _)| match slot {
            Slot::Waiting(gather) => Some(*gather),
            Slot::Ready(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        Connection::new(ListenerId(0), SocketAddr::from(([127, 0, 0, 1], 1)))
    }

    /// Frames of one byte: `o` overlaps, `x` is exclusive.
    fn ordering(frame: &Bytes) -> Ordering {
        if frame[0] == b'o' { Ordering::Overlaps } else { Ordering::Exclusive }
    }

    fn arrive(connection: &mut Connection, frames: &'static [u8]) {
        for frame in frames.chunks(1) {
            connection.arrive(Bytes::from_static(frame));
        }
    }

    fn start(connection: &mut Connection, gather: u64) -> bool {
        let Some(frame) = connection.next(ordering) else { return false };
        connection.wait(GatherId(gather), frame.len(), ordering(&frame));
        true
    }

    fn parts(byte: &'static [u8]) -> Option<Vec<Part>> {
        Some(vec![Part::Bytes(Bytes::from_static(byte))])
    }

    #[test]
    fn overlapping_requests_run_together_and_are_answered_in_order() {
        let mut connection = connection();
        arrive(&mut connection, b"oo");
        assert!(start(&mut connection, 1) && start(&mut connection, 2));
        connection.ready(GatherId(2), parts(b"2"));
        assert!(connection.pop_ready().is_none());
        connection.ready(GatherId(1), parts(b"1"));
        assert_eq!(format!("{:?}", connection.pop_ready()), "Some([Bytes(1)])");
        assert!(connection.pop_ready().is_some());
        assert_eq!((connection.requests_held(), connection.bytes_held()), (0, 0));
    }

    #[test]
    fn an_exclusive_request_waits_for_earlier_ones_and_holds_up_later_ones() {
        let mut connection = connection();
        arrive(&mut connection, b"oxo");
        assert!(start(&mut connection, 1));
        assert!(!start(&mut connection, 2), "the first is still waiting");
        connection.ready(GatherId(1), parts(b"1"));
        assert!(start(&mut connection, 2));
        assert!(!start(&mut connection, 3), "an exclusive one is under way");
        connection.ready(GatherId(2), parts(b"2"));
        assert!(start(&mut connection, 3));
    }

    #[test]
    fn a_request_without_a_response_gives_its_bytes_back() {
        let mut connection = connection();
        arrive(&mut connection, b"o");
        let frame = connection.next(ordering).expect("nothing is under way");
        connection.ready_now(None, frame.len());
        assert_eq!(connection.pop_ready().map(|parts| parts.len()), Some(0));
        assert_eq!(connection.bytes_held(), 0);
    }
}
