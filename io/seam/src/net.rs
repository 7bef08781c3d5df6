//! Connections, as a shard sees them.

use crate::{FileHandle, Slice};
use bytes::Bytes;
use std::fmt;

/// A connection of this process, never used twice. Valid on the shard that holds the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Which of the configured listeners a connection came by: its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u16);

/// A piece of what is sent.
#[derive(Clone)]
pub enum Part {
    /// Bytes of the heap.
    Bytes(Bytes),
    /// Bytes of a chunk.
    Memory(Slice),
    /// A range of a file that was opened for [`Read`](crate::OpenHow::Read): sent by sendfile(2) when it is in the
    /// page cache, and warmed off the shard's thread when it is not.
    File {
        /// The lease.
        file: FileHandle,
        /// In bytes.
        offset: u64,
        /// In bytes; all of it exists and is flushed. Where the file is cut under the send the connection ends: what of
        /// a page is cut off reads as zeros from then on, also in what has not left the kernel yet.
        len: u64,
    },
}

impl Part {
    /// In bytes.
    pub fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::Memory(slice) => slice.len() as u64,
            Part::File { len, .. } => *len,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Part::Memory(slice) => slice.fmt(f),
            Part::File { offset, len, .. } => write!(f, "File({offset}+{len})"),
        }
    }
}

/// Why a connection is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// We asked for it.
    Asked,
    /// The peer reset it, or the network failed.
    Failed,
}
