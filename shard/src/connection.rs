//! A connection's bytes: frames out of what comes, one send at a time of what goes.

use bytes::{Buf, Bytes, BytesMut};
use corelane_core::limits;
use corelane_seam::{ConnectionId, Monotonic, Operation, Part};
use std::net::SocketAddr;

/// What an idle connection keeps ready for the next bytes: ten thousand of them cost little.
const IDLE_BUFFER_BYTES: usize = 1024;

/// What a busy connection reads at once, at most.
const BUSY_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How far a buffer grows ahead of what has really come, however long the frame says it is.
const GROWTH_BYTES_MAX: usize = 1024 * 1024;

/// Responses that wait behind the one being sent; past it the connection is not read.
const OUTGOING_BYTES_MAX: u64 = 1024 * 1024;

const LENGTH_BYTES: usize = 4;

/// Why a connection's bytes are no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {len} bytes; at least {} are a request", limits::FRAME_BYTES_MIN)]
    TooShort { len: i32 },
    #[error("a frame of {len} bytes; socket.request.max.bytes is {max}")]
    TooLong { len: i32, max: usize },
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub peer: SocketAddr,
    pub last_active: Monotonic,
    /// What came and is no whole frame yet. `None` while a receive has it.
    incoming: Option<BytesMut>,
    /// Bytes of the last frame, to read the next one at once.
    usual_bytes: usize,
    outgoing: Vec<Part>,
    outgoing_bytes: u64,
    sending: bool,
    /// The engine asked for back-pressure.
    pub paused: bool,
    /// The peer will send no more.
    pub half_closed: bool,
    pub closing: bool,
    /// What the shard has counted of [`partial_bytes`](Self::partial_bytes).
    pub partial_counted: usize,
}

impl Connection {
    pub fn new(peer: SocketAddr, now: Monotonic) -> Connection {
        Connection {
            peer,
            last_active: now,
            incoming: Some(BytesMut::new()),
            usual_bytes: 0,
            outgoing: Vec::new(),
            outgoing_bytes: 0,
            sending: false,
            paused: false,
            half_closed: false,
            closing: false,
            partial_counted: 0,
        }
    }

    /// The buffer for the next receive, if the connection is to be read now.
    pub fn receive(&mut self) -> Option<BytesMut> {
        if self.paused || self.half_closed || self.closing || self.outgoing_bytes > OUTGOING_BYTES_MAX {
            return None;
        }
        let mut buffer = self.incoming.take()?;
        let want = match frame_length(&buffer) {
            // The rest of a frame, as far as it may be believed.
            Some(len) => {
                let whole = LENGTH_BYTES + usize::try_from(len).unwrap_or(0);
                let rest = whole.saturating_sub(buffer.len());
                rest.min(GROWTH_BYTES_MAX.max(buffer.len()))
            }
            None => self.usual_bytes.clamp(IDLE_BUFFER_BYTES, BUSY_BUFFER_BYTES_MAX),
        };
        if buffer.capacity() - buffer.len() < want.max(1) {
            buffer.reserve(want.max(1));
        }
        Some(buffer)
    }

    /// A receive gave its buffer back.
    pub fn received(&mut self, buffer: BytesMut) {
        self.incoming = Some(buffer);
    }

    /// Bytes of a frame that is not whole.
    pub fn partial_bytes(&self) -> usize {
        self.incoming.as_ref().map_or(0, BytesMut::len)
    }

    /// The next whole frame, without its length.
    pub fn next_frame(&mut self, bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
        let Some(buffer) = &mut self.incoming else { return Ok(None) };
        let Some(len) = frame_length(buffer) else { return Ok(None) };
        let bytes = usize::try_from(len).unwrap_or(0);
        if bytes < limits::FRAME_BYTES_MIN {
            return Err(FrameError::TooShort { len });
        }
        if bytes > bytes_max {
            return Err(FrameError::TooLong { len, max: bytes_max });
        }
        if buffer.len() < LENGTH_BYTES + bytes {
            return Ok(None);
        }
        buffer.advance(LENGTH_BYTES);
        self.usual_bytes = LENGTH_BYTES + bytes;
        Ok(Some(buffer.split_to(bytes).freeze()))
    }

    /// A response goes behind those that wait.
    pub fn respond(&mut self, parts: Vec<Part>) {
        self.outgoing_bytes += parts.iter().map(Part::len).sum::<u64>();
        if self.outgoing.is_empty() { self.outgoing = parts } else { self.outgoing.extend(parts) }
    }

    /// What is to be sent now, if nothing is under way.
    pub fn send(&mut self) -> Option<Vec<Part>> {
        if self.sending || self.outgoing.is_empty() {
            return None;
        }
        self.sending = true;
        self.outgoing_bytes = 0;
        Some(std::mem::take(&mut self.outgoing))
    }

    /// Asks for the next send, if there is something to send and nothing under way.
    pub fn ask_send<M>(&mut self, id: ConnectionId, out: &mut Vec<Operation<M>>) {
        if let Some(parts) = self.send() {
            out.push(Operation::Send { connection: id, parts });
        }
    }

    /// Asks for the next receive, if the connection is to be read now.
    pub fn ask_receive<M>(&mut self, id: ConnectionId, out: &mut Vec<Operation<M>>) {
        if let Some(buffer) = self.receive() {
            out.push(Operation::Receive { connection: id, buffer });
        }
    }

    /// A send is done.
    pub fn sent(&mut self) {
        self.sending = false;
    }

    /// Whether every response that was handed over has left.
    pub fn all_sent(&self) -> bool {
        !self.sending && self.outgoing.is_empty()
    }
}

fn frame_length(buffer: &[u8]) -> Option<i32> {
    buffer.first_chunk().copied().map(i32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        Connection::new(SocketAddr::from(([127, 0, 0, 1], 1)), Monotonic(0))
    }

    fn receive(connection: &mut Connection, bytes: &[u8]) {
        let mut buffer = connection.receive().expect("the connection is read");
        buffer.extend_from_slice(bytes);
        connection.received(buffer);
    }

    #[test]
    fn frames_come_whole_however_the_bytes_are_cut() {
        let wire = [&8i32.to_be_bytes()[..], b"abcdefgh", &9i32.to_be_bytes(), b"ABCDEFGHI"].concat();
        for cut in 0..wire.len() {
            let mut connection = connection();
            let mut frames = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                receive(&mut connection, part);
                while let Some(frame) = connection.next_frame(100).expect("frames are well") {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [&b"abcdefgh"[..], b"ABCDEFGHI"], "cut at {cut}");
            assert_eq!(connection.partial_bytes(), 0);
        }
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_anything_is_buffered_for_it() {
        for (len, error) in [
            (7, FrameError::TooShort { len: 7 }),
            (-1, FrameError::TooShort { len: -1 }),
            (i32::MAX, FrameError::TooLong { len: i32::MAX, max: 100 }),
        ] {
            let mut connection = connection();
            receive(&mut connection, &len.to_be_bytes());
            assert_eq!(connection.next_frame(100), Err(error));
        }
    }

    #[test]
    fn a_long_frame_grows_its_buffer_only_as_it_comes() {
        let mut connection = connection();
        receive(&mut connection, &(100i32 << 20).to_be_bytes());
        assert_eq!(connection.next_frame(200 << 20), Ok(None));
        let buffer = connection.receive().expect("the connection is read");
        assert!(buffer.capacity() <= 2 * GROWTH_BYTES_MAX, "{}", buffer.capacity());
    }

    #[test]
    fn a_connection_whose_responses_pile_up_is_not_read() {
        let mut connection = connection();
        let big = || vec![Part::Bytes(Bytes::from(vec![0; 800 << 10]))];
        connection.respond(big());
        assert_eq!(connection.send().map(|parts| parts.len()), Some(1));
        connection.respond(big());
        connection.respond(big());
        assert!(connection.send().is_none(), "one send at a time");
        assert!(connection.receive().is_none());
        connection.sent();
        assert_eq!(connection.send().map(|parts| parts.len()), Some(2));
        assert!(connection.receive().is_some());
    }
}
