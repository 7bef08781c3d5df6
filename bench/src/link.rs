//! One connection to a broker with several requests on their way: frames out, frames in, never blocking.

use bytes::{Buf, Bytes, BytesMut};
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

/// Longer responses than this are a broken peer.
pub const RESPONSE_BYTES_MAX: usize = 1 << 30;

const READ_BYTES: usize = 64 * 1024;

/// A nonblocking connection.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    unsent: VecDeque<Bytes>,
    received: BytesMut,
}

impl Link {
    /// Takes a connection over.
    ///
    /// # Errors
    /// When it cannot be made nonblocking.
    pub fn new(stream: TcpStream) -> io::Result<Link> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Link { stream, unsent: VecDeque::new(), received: BytesMut::new() })
    }

    /// Puts a whole request (with its length) in the queue; [`flush`](Self::flush) sends it.
    pub fn send(&mut self, frame: Bytes) {
        self.unsent.push_back(frame);
    }

    /// Whether [`flush`](Self::flush) has something to do once the connection can be written.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes as much as the socket takes. Returns how many requests are thereby wholly handed to the kernel.
    ///
    /// # Errors
    /// The connection's.
    pub fn flush(&mut self) -> io::Result<usize> {
        let mut written = 0;
        while let Some(front) = self.unsent.front_mut() {
            match self.stream.write(front) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    front.advance(bytes);
                    if front.is_empty() {
                        self.unsent.pop_front();
                        written += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Reads what is there; [`next_frame`](Self::next_frame) gives it out. Call it when the connection is readable.
    ///
    /// # Errors
    /// The connection's; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the broker closed it.
    pub fn fill(&mut self) -> io::Result<()> {
        let mut room = [0_u8; READ_BYTES];
        loop {
            match self.stream.read(&mut room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    self.received.extend_from_slice(&room[..bytes]);
                    if bytes < READ_BYTES {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next whole response, without its length.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a length that no response has.
    pub fn next_frame(&mut self) -> io::Result<Option<Bytes>> {
        let Some(prefix) = self.received.first_chunk() else { return Ok(None) };
        let length = frame_bytes(*prefix)?;
        if self.received.len() < 4 + length {
            return Ok(None);
        }
        self.received.advance(4);
        Ok(Some(self.received.split_to(length).freeze()))
    }

    /// For poll(2).
    pub fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// Places of those connections that have something to read, after a wait of `patience` at most.
///
/// # Errors
/// When the kernel cannot say.
pub fn readable<'a>(links: impl Iterator<Item = &'a Link>, patience: Duration) -> io::Result<Vec<usize>> {
    let polled = |link: &Link| libc::pollfd { fd: link.descriptor(), events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<libc::pollfd> = links.map(polled).collect();
    let count = libc::nfds_t::try_from(polled.len()).map_err(io::Error::other)?;
    let patience_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the array is ours and of that length for the time of the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), count, patience_ms) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(Vec::new()) } else { Err(error) };
    }
    Ok(polled.iter().enumerate().filter(|(_, it)| it.revents != 0).map(|(place, _)| place).collect())
}

/// The length that the prefix of a response says.
///
/// # Errors
/// [`InvalidData`](io::ErrorKind::InvalidData) if none can be of it.
pub fn frame_bytes(prefix: [u8; 4]) -> io::Result<usize> {
    let declared = i32::from_be_bytes(prefix);
    usize::try_from(declared).ok().filter(|length| *length <= RESPONSE_BYTES_MAX).ok_or_else(|| {
        let text =
            format!("a response of {declared} bytes: is this the port of a Kafka listener without TLS?");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}
