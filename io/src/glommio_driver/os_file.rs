//! A file as this driver knows it.

use super::helpers::Helpers;
use crate::record::FileId;
use corelane_seam::{FileHandle, FileObject};
use std::{
    any::Any,
    fmt,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd},
    path::{Path, PathBuf},
};

/// An open descriptor; closed by a helper thread, because closing may write and free blocks.
pub(super) struct OsFile {
    /// `None` only while it is being dropped.
    file: Option<File>,
    path: PathBuf,
    helpers: Helpers,
    /// How the record calls it, if there is one and the file may be changed.
    pub(super) recorded: Option<FileId>,
}

impl OsFile {
    pub(super) fn new(file: File, path: PathBuf, helpers: Helpers, recorded: Option<FileId>) -> OsFile {
        OsFile { file: Some(file), path, helpers, recorded }
    }

    pub(super) fn file(&self) -> &File {
        self.file.as_ref().expect("taken only by drop")
    }

    pub(super) fn fd(&self) -> RawFd {
        self.file().as_raw_fd()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file().as_fd()
    }

    /// The driver's own file behind a handle.
    pub(super) fn of(handle: &FileHandle) -> io::Result<&OsFile> {
        handle.downcast().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a file handle that was opened by another driver")
        })
    }
}

impl Drop for OsFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.helpers.read(move || drop(file));
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
