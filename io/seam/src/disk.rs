//! The blocking face of a disk, for start-up only: recovery runs before a shard serves, on a plain thread, so it
//! can be written as the straight line that it is. The simulator implements it on the same images as the
//! operations, and may fail or "crash" at any call.

use std::{
    io,
    path::{Path, PathBuf},
};

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    /// Full path.
    pub path: PathBuf,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Length in bytes of a file, 0 of a directory.
    pub len: u64,
}

/// A part of a recovery that needs nothing of the others.
pub type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Blocking access to files by path. Everything that changes the disk is durable when it returns, but `write_at`,
/// which is durable after `flush`.
pub trait Disk: Send + Sync {
    /// Entries of a directory, sorted by path; empty if it does not exist.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>>;
    /// The whole file, or `None` if it does not exist.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Fills `buffer` from `offset`; returns how many bytes there were (fewer only at the end of the file).
    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `data`; creates file and parent directories if missing (their entries become durable with
    /// `flush`).
    fn write_at(&self, path: &Path, offset: u64, data: &[u8]) -> io::Result<()>;
    /// fsync of the file, and of the directories that `write_at` made for it.
    fn flush(&self, path: &Path) -> io::Result<()>;
    /// Cuts or extends.
    fn set_length(&self, path: &Path, len: u64) -> io::Result<()>;
    /// As [`FileOperation::Replace`](crate::FileOperation::Replace).
    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()>;
    /// As [`FileOperation::Remove`](crate::FileOperation::Remove).
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// As [`FileOperation::Rename`](crate::FileOperation::Rename).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Allocates and zeroes `offset..offset + len`, flushed (journals).
    fn zero(&self, path: &Path, offset: u64, len: u64) -> io::Result<()>;
    /// Free bytes for this process.
    fn space(&self, path: &Path) -> io::Result<u64>;
    /// Carries out tasks, all of them: one after the other, or side by side where that keeps the disk busier.
    fn carry_out(&self, tasks: Vec<Task<'_>>) {
        tasks.into_iter().for_each(|task| task());
    }
}
