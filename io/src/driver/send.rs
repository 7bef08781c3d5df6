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
/// How much of a cold range is waited for, so that its first bytes leave while the rest is read.
const WARM_AHEAD: u64 = 1 << 20;
/// How far before what has left the disk is asked, once a range was cold: so that it reads while the socket takes.
const READ_AHEAD: u64 = 4 << 20;
/// Ranges that it is asked for at once: of many partitions each may be short.
const RANGES_MAX: usize = 64;

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
    /// The next range must be read into the page cache first; those behind it will be needed soon.
    Cold { range: FileRange, ahead: Vec<FileRange> },
    /// The connection is broken.
    Failed(io::Error),
}

/// Some bytes of a file.
pub(crate) struct FileRange {
    pub(crate) file: FileHandle,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// What is still to be sent.
pub(crate) struct Sending {
    parts: VecDeque<Part>,
    /// Bytes of the first part that have left.
    sent: u64,
    /// Bytes of all parts that have left.
    done: u64,
    /// Up to here, of the bytes of all parts, the disk was asked for; 0 as long as the page cache held everything.
    asked_to: u64,
    /// The first part, a file, was warmed to this offset; it is not asked about again, lest a page that is evicted over
    /// and over stops the connection for ever.
    warm_to: u64,
}

impl Sending {
    pub(crate) fn new(parts: Vec<Part>) -> Sending {
        Sending { parts: VecDeque::from(parts), sent: 0, done: 0, asked_to: 0, warm_to: 0 }
    }

    /// What the disk is to be asked for while the socket takes what is before it: something when half of what it was asked
    /// for has left.
    pub(crate) fn read_on(&mut self) -> Vec<FileRange> {
        if self.asked_to == 0 || self.asked_to > self.done + READ_AHEAD / 2 {
            return Vec::new();
        }
        self.ahead(self.done)
    }

    /// Ranges of files behind `from`, of the bytes of all parts, that the disk was not asked for.
    fn ahead(&mut self, from: u64) -> Vec<FileRange> {
        let (from, to) = (from.max(self.asked_to), self.done + READ_AHEAD);
        self.asked_to = from;
        let mut ranges = Vec::new();
        let mut begin = self.done - self.sent;
        for part in &self.parts {
            let end = begin + part.len();
            if begin >= to || ranges.len() == RANGES_MAX {
                break;
            }
            let (first, last) = (from.max(begin), to.min(end));
            if let Part::File { file, offset, .. } = part
                && first < last
            {
                let offset = offset + (first - begin);
                ranges.push(FileRange { file: file.clone(), offset, len: last - first });
            }
            self.asked_to = self.asked_to.max(last);
            begin = end;
        }
        ranges
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
                            let range =
                                FileRange { file: file.clone(), offset: at, len: rest.min(WARM_AHEAD) };
                            let ahead = self.ahead(self.done + range.len);
                            return Step::Cold { range, ahead };
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
        self.done += bytes;
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

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_seam::FileObject;

    const MIB: u64 = 1 << 20;

    #[derive(Debug)]
    struct Named(&'static str);

    impl FileObject for Named {
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }

    fn part(name: &'static str, offset: u64, len: u64) -> Part {
        Part::File { file: FileHandle::new(Named(name)), offset, len }
    }

    fn named(ranges: &[FileRange]) -> Vec<(&'static str, u64, u64)> {
        let name = |range: &FileRange| range.file.downcast::<Named>().map_or("", |file| file.0);
        ranges.iter().map(|range| (name(range), range.offset, range.len)).collect()
    }

    #[test]
    fn what_is_read_ahead_lies_in_the_response_and_is_asked_for_once() {
        let header = Part::Bytes(bytes::Bytes::from_static(&[0; 100]));
        let parts = vec![header, part("a", 7, 2 * MIB), part("b", 0, MIB), part("c", 5, 3 * MIB)];
        let mut sending = Sending::new(parts);
        assert!(sending.read_on().is_empty(), "nothing was cold");
        sending.advance_by(100);
        let first = sending.ahead(sending.done + MIB);
        assert_eq!(named(&first), [("a", 7 + MIB, MIB), ("b", 0, MIB), ("c", 5, MIB)]);
        sending.advance_by(MIB);
        assert!(sending.read_on().is_empty(), "most of it has not left yet");
        sending.advance_by(MIB);
        assert_eq!(named(&sending.read_on()), [("c", 5 + MIB, 2 * MIB)]);
        assert!(sending.read_on().is_empty(), "there is no more");
        sending.advance_by(4 * MIB);
        assert!(sending.read_on().is_empty());
    }

    #[test]
    fn of_many_short_ranges_a_bounded_number_is_asked_for() {
        let mut sending = Sending::new((0..200).map(|_| part("a", 0, 1_000)).collect());
        let first = sending.ahead(1_000);
        assert_eq!(first.len(), RANGES_MAX);
        assert_eq!(sending.asked_to, 1_000 * (1 + RANGES_MAX as u64));
        assert_eq!(sending.read_on().len(), RANGES_MAX);
    }
}
