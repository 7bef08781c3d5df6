//! Operations on files.

use crate::{Page, Slice};
use std::{any::Any, fmt, io, path::PathBuf, sync::Arc};

/// Chosen by who asks, given back with the answer. Means nothing to a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// An open file as its driver knows it (a descriptor, or a name in the simulator).
pub trait FileObject: Send + Sync + fmt::Debug {
    /// For the driver to find its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// A reference to an open file, valid on every shard of the process. The file closes when the last one goes, off
/// the shard's thread. A reader's handle is its lease: a file that was removed stays readable through it.
#[derive(Clone, Debug)]
pub struct FileHandle(Arc<dyn FileObject>);

impl FileHandle {
    /// Wraps a driver's file.
    pub fn new(file: impl FileObject + 'static) -> FileHandle {
        FileHandle(Arc::new(file))
    }

    /// The driver's own type, if it is `T`.
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        self.0.as_any().downcast_ref()
    }

    /// Whether both are the same open file.
    pub fn same(&self, other: &FileHandle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many handles of this open file exist, this one included.
    pub fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenHow {
    /// For buffered reads and [`Part::File`](crate::Part::File); it must exist. No read-ahead past what is asked.
    Read,
    /// For direct reads and writes (offsets, lengths and buffers in whole blocks); created if missing, and then its
    /// directory entry is durable when the open completes.
    Direct,
    /// For buffered writes at any offset and length; created if missing, directory entry durable as above.
    Buffered,
}

/// What becomes of a file in which room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Blocks are reserved; the length stays as it is.
    Reserve,
    /// Blocks are reserved, and the file is as long as they reach; it reads as zeros there. A later write within does not
    /// lengthen the file, which file systems do for one write at a time, and wait. The length is durable with the next
    /// flush.
    Lengthen,
    /// Zeros are written and flushed, so that a later write changes no metadata (journals).
    Zero,
}

/// Whether a write is flushed, and whether someone waits for its first half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// It is not.
    No,
    /// By an fdatasync that follows. Someone waits for the write, so it is told before.
    After,
    /// No one waits for the write alone: where one request to the disk makes it durable (`RWF_DSYNC`), it is told with
    /// the flush.
    Within,
}

impl Flush {
    /// Whether [`FileResult::Flushed`] follows.
    pub fn is_wanted(self) -> bool {
        self != Flush::No
    }
}

/// What a shard asks of the file system. None of these may block the shard's thread, however the driver does it.
#[derive(Debug)]
pub enum FileOperation {
    /// Opens a file → [`FileResult::Opened`].
    Open {
        /// Under the data directory.
        path: PathBuf,
        /// Mode.
        how: OpenHow,
    },
    /// Writes all of `data` at `offset` → [`FileResult::Written`]. With a flush → additionally
    /// [`FileResult::Flushed`] under the same token, after `Written`; it covers the write, and those that completed
    /// before it was asked for. A short write is an error.
    Write {
        /// Opened `Direct` or `Buffered`.
        file: FileHandle,
        /// In bytes.
        offset: u64,
        /// Whole aligned blocks when the file is `Direct`.
        data: Slice,
        /// Whether it is flushed.
        flush: Flush,
    },
    /// fdatasync → [`FileResult::Flushed`]. Covers writes that completed before it was asked for.
    Flush {
        /// Any open file.
        file: FileHandle,
    },
    /// Reads up to `len` bytes → [`FileResult::Read`]; shorter at the end of the file.
    Read {
        /// Any open file; whole blocks when `Direct`.
        file: FileHandle,
        /// In bytes.
        offset: u64,
        /// In bytes.
        len: usize,
    },
    /// Makes room for `offset..offset + len` so that later writes need no block allocation → [`FileResult::Done`].
    Allocate {
        /// Opened for writing.
        file: FileHandle,
        /// In bytes.
        offset: u64,
        /// In bytes.
        len: u64,
        /// What else becomes of the file. No byte outside the range changes.
        how: Allocation,
    },
    /// Cuts or extends the file → [`FileResult::Done`].
    SetLength {
        /// Opened for writing.
        file: FileHandle,
        /// In bytes.
        len: u64,
    },
    /// Creates or replaces a whole small file: temporary file beside it, write, fsync, rename, fsync of the
    /// directory → [`FileResult::Done`]. Readers see the old or the new content, also after a power cut. Missing
    /// parent directories are made, durably.
    Replace {
        /// Under the data directory.
        path: PathBuf,
        /// The whole content.
        data: Slice,
    },
    /// Removes a file, or a directory with all it holds → [`FileResult::Done`]; durable; no error if it is gone.
    Remove {
        /// Under the data directory.
        path: PathBuf,
    },
    /// Renames durably → [`FileResult::Done`].
    Rename {
        /// Old name.
        from: PathBuf,
        /// New name.
        to: PathBuf,
    },
    /// The room on the file system that holds `path` → [`FileResult::Space`].
    Space {
        /// Any existing path.
        path: PathBuf,
    },
    /// A huge page of memory → [`FileResult::Page`]. No file, but it takes as long as one: the kernel zeroes it, or looks
    /// for one, and in a virtual machine the host does the same after it.
    Page,
}

/// What became of a [`FileOperation`].
#[derive(Debug)]
pub enum FileResult {
    /// The file and its length.
    Opened(io::Result<(FileHandle, u64)>),
    /// The write reached the kernel, or failed. With `flush`, [`Flushed`](Self::Flushed) follows only on success.
    Written(io::Result<()>),
    /// What was written before is on stable storage, or no one knows what is.
    Flushed(io::Result<()>),
    /// The bytes.
    Read(io::Result<Slice>),
    /// It happened.
    Done(io::Result<()>),
    /// Free and in all.
    Space(io::Result<Space>),
    /// For a [`ChunkPool`](crate::ChunkPool).
    Page(Page),
}

/// The room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this process may still write.
    pub free: u64,
    /// In all.
    pub total: u64,
}
