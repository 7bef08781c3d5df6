//! One send: bytes by sendmsg(2), file ranges by sendfile(2), never blocking.

use super::os_file::OsFile;
use crate::fs;
use corelane_seam::{FileHandle, Part};
use std::{
    collections::VecDeque,
    io,
    ops::Range,
    os::fd::{AsRawFd as _, BorrowedFd, RawFd},
};

/// Pieces of memory per system call.
const PIECES_MAX: usize = 64;
/// File bytes per system call: cachestat(2) costs 2 to 12 µs per MiB, a cold send is found before it begins.
const FILE_CHUNK: u64 = 256 << 10;
/// How much of a cold range a helper reads at once, so that its first bytes leave while the rest is read.
const WARM_AHEAD: u64 = 1 << 20;

/// How a socket was made. Operations of io_uring on a nonblocking socket would fail at once instead of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    Blocking,
    Nonblocking,
}

/// Why a send paused, or that it ended.
pub(crate) enum Step {
    /// Everything was handed to the kernel.
    Done,
    /// The socket takes no more for now.
    Blocked,
    /// The connection used up its turn.
    Again,
    /// The next range must be read into the page cache first.
    Cold { file: FileHandle, offset: u64, len: u64 },
    /// The connection is broken.
    Failed(io::Error),
}

/// What is still to be sent.
pub(crate) struct Sending {
    parts: VecDeque<Part>,
    /// Bytes of the first part that have left.
    sent: u64,
    /// The first part, a file, was warmed to this offset; it is not asked about again, lest a page that is evicted over
    /// and over stops the connection for ever.
    warm_to: u64,
}

impl Sending {
    pub(crate) fn new(parts: Vec<Part>) -> Sending {
        Sending { parts: VecDeque::from(parts), sent: 0, warm_to: 0 }
    }

    /// A helper has read the cold range.
    pub(crate) fn warmed(&mut self) {
        if let Some(Part::File { offset, len, .. }) = self.parts.front() {
            self.warm_to = (offset + self.sent + WARM_AHEAD).min(offset + len);
        }
    }

    /// Sends until the socket is full, `budget` bytes have left, or all is done.
    pub(crate) fn advance(&mut self, socket: BorrowedFd<'_>, kind: Socket, budget: u64) -> Step {
        let mut left = budget;
        loop {
            let Some(part) = self.parts.front() else { return Step::Done };
            if part.len() == self.sent {
                self.next_part();
                continue;
            }
            if left == 0 {
                return Step::Again;
            }
            let result = match part {
                Part::Bytes(_) | Part::Memory(_) => self.send_memory(socket),
                Part::File { file, offset, len } => {
                    let (at, rest) = (offset + self.sent, len - self.sent);
                    let len = rest.min(left).min(FILE_CHUNK);
                    match send_file(socket, kind, file, at..at + len, self.warm_to) {
                        Ok(FileStep::Sent(bytes)) => Ok(bytes),
                        Ok(FileStep::Cold) => {
                            return Step::Cold { file: file.clone(), offset: at, len: rest.min(WARM_AHEAD) };
                        }
                        Err(error) => Err(error),
                    }
                }
            };
            match result {
                Ok(bytes) => {
                    left = left.saturating_sub(bytes);
                    self.advance_by(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Step::Failed(error),
            }
        }
    }

    fn next_part(&mut self) {
        self.parts.pop_front();
        (self.sent, self.warm_to) = (0, 0);
    }

    fn advance_by(&mut self, mut bytes: u64) {
        while let Some(part) = self.parts.front() {
            let rest = part.len() - self.sent;
            if bytes < rest {
                self.sent += bytes;
                return;
            }
            bytes -= rest;
            self.next_part();
        }
    }

    /// Sends the memory at the front, as many parts of it as one call takes.
    fn send_memory(&self, socket: BorrowedFd<'_>) -> io::Result<u64> {
        let mut pieces = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; PIECES_MAX];
        let mut count = 0;
        let mut flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        for (index, part) in self.parts.iter().enumerate() {
            let bytes: &[u8] = match part {
                Part::Bytes(bytes) => bytes,
                Part::Memory(slice) => slice,
                Part::File { len: 0, .. } => continue,
                Part::File { .. } => {
                    // The file's first bytes then leave in one segment with the header before them.
                    flags |= libc::MSG_MORE;
                    break;
                }
            };
            if count == PIECES_MAX {
                break;
            }
            let bytes = if index == 0 { &bytes[self.sent as usize..] } else { bytes };
            pieces[count] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            count += 1;
        }
        // SAFETY: `msghdr` is plain data for which zero is valid; the pieces point into parts that live, unchanged,
        // during the call, and sendmsg only reads them.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = pieces.as_mut_ptr();
            message.msg_iovlen = count as _;
            libc::sendmsg(socket.as_raw_fd(), &raw const message, flags)
        };
        u64::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

enum FileStep {
    Sent(u64),
    Cold,
}

fn send_file(
    socket: BorrowedFd<'_>,
    kind: Socket,
    handle: &FileHandle,
    range: Range<u64>,
    warm_to: u64,
) -> io::Result<FileStep> {
    let file = OsFile::of(handle)?;
    let (offset, len) = (range.start, range.end - range.start);
    if range.end > warm_to && !fs::is_cached(file.as_fd(), offset, len)? {
        return Ok(FileStep::Cold);
    }
    let mut at = i64::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: both descriptors are open; the kernel updates `at`, which lives during the call.
    let call = || unsafe { libc::sendfile(socket.as_raw_fd(), file.fd(), &raw mut at, len as usize) };
    let sent = match kind {
        Socket::Blocking => without_waiting(socket.as_raw_fd(), call)?,
        Socket::Nonblocking => {
            let mut call = call;
            call()
        }
    };
    match u64::try_from(sent) {
        Ok(0) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{} ends before {offset}, where a response needs its bytes", file.path().display()),
        )),
        Ok(bytes) => Ok(FileStep::Sent(bytes)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// sendfile(2) has no flag for "do not wait", so the socket is nonblocking for the call alone.
fn without_waiting(socket: RawFd, call: impl FnOnce() -> isize) -> io::Result<isize> {
    // SAFETY: F_SETFL on an open socket; no memory is passed.
    let set = |flags: libc::c_int| unsafe { libc::fcntl(socket, libc::F_SETFL, flags) };
    if set(libc::O_RDWR | libc::O_NONBLOCK) != 0 {
        return Err(io::Error::last_os_error());
    }
    let result = call();
    let error = io::Error::last_os_error();
    if set(libc::O_RDWR) != 0 {
        return Err(io::Error::last_os_error());
    }
    if result < 0 { Err(error) } else { Ok(result) }
}
