//! One process per data directory.

use std::{fs::File, io, os::fd::AsRawFd, path::Path};

/// Held while the process lives; the kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub struct DirectoryLock(#[allow(dead_code)] File);

impl DirectoryLock {
    /// Takes the lock of a directory, which is made if it is missing.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another process holds it; else what the file system says.
    pub fn take(directory: &Path) -> io::Result<DirectoryLock> {
        std::fs::create_dir_all(directory)?;
        // Kafka's name for it.
        let file = File::options().create(true).truncate(false).write(true).open(directory.join(".lock"))?;
        // SAFETY: the descriptor is open as long as `file` lives; flock has no other preconditions.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(DirectoryLock(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_until_its_holder_goes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let held = DirectoryLock::take(directory.path()).expect("free");
        let refused = DirectoryLock::take(directory.path()).expect_err("held");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        DirectoryLock::take(directory.path()).expect("free again");
    }
}
