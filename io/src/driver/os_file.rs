//! A file as the drivers know it.

use super::helpers::{Helpers, Job};
use crate::record::FileId;
use corelane_seam::{FileHandle, FileObject, OpenHow};
use std::{
    any::Any,
    fmt,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd},
    path::{Path, PathBuf},
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
}

impl OsFile {
    pub(crate) fn new(
        file: File,
        path: PathBuf,
        how: OpenHow,
        helpers: Helpers,
        recorded: Option<FileId>,
    ) -> OsFile {
        OsFile { file: Some(file), path, how, helpers, recorded }
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
