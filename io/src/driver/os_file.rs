//! A file as the drivers know it.

use super::helpers::{Helpers, Job};
use crate::{fs, record::FileId};
use corelane_seam::{FileHandle, FileObject, OpenHow};
use std::{
    any::Any,
    fmt,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// An open descriptor; closed by a helper thread, because closing may write and free blocks.
pub(crate) struct OsFile {
    /// `None` only while it is being dropped.
    file: Option<File>,
    path: PathBuf,
    pub(crate) how: OpenHow,
    helpers: Helpers,
    /// How the record calls it, if there is one and the file may be changed.
    pub(crate) recorded: Option<FileId>,
    /// Whether a write can be made durable by itself, without anyone waiting in the kernel to submit it.
    pub(crate) writes_through: bool,
    pub(crate) unflushed: Unflushed,
}

/// Which of a file's writes no flush has covered. A write that is durable by itself may be one request of the disk (FUA)
/// that leaves in the disk's cache what was written before it.
#[derive(Debug, Default)]
pub(crate) struct Unflushed {
    /// Writes that were told without a flush; a later one has a higher number.
    written: AtomicU64,
    /// Up to which of them they are flushed.
    flushed: AtomicU64,
}

impl Unflushed {
    /// A write is done that was not flushed.
    pub(crate) fn add(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// What a flush covers that begins now: to be given to [`cover`](Self::cover) when it succeeded.
    pub(crate) fn so_far(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn cover(&self, so_far: u64) {
        self.flushed.fetch_max(so_far, Ordering::Relaxed);
    }

    /// Whether everything that was written is flushed.
    pub(crate) fn is_empty(&self) -> bool {
        self.flushed.load(Ordering::Relaxed) == self.so_far()
    }
}

impl OsFile {
    pub(crate) fn new(
        file: File,
        path: PathBuf,
        how: OpenHow,
        helpers: Helpers,
        recorded: Option<FileId>,
    ) -> OsFile {
        let writes_through = how == OpenHow::Direct && fs::writes_through(&file);
        let unflushed = Unflushed::default();
        OsFile { file: Some(file), path, how, helpers, recorded, writes_through, unflushed }
    }

    pub(crate) fn file(&self) -> &File {
        self.file.as_ref().expect("taken only by drop")
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.file().as_raw_fd()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file().as_fd()
    }

    /// The drivers' own file behind a handle.
    pub(crate) fn of(handle: &FileHandle) -> io::Result<&OsFile> {
        handle.downcast().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a file handle that was opened by another driver")
        })
    }
}

impl Drop for OsFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.helpers.read(Job::Close(file));
        }
    }
}

impl fmt::Debug for OsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OsFile({})", self.path.display())
    }
}

impl FileObject for OsFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}
