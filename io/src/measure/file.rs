//! Files without a name.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// A file that no directory names: its blocks are free again when the process ends, whatever ends it.
pub(super) struct Nameless {
    _file: File,
    path: PathBuf,
}

impl Nameless {
    /// On the file system of `directory`. `number` tells those of one process apart.
    pub(super) fn create(directory: &Path, number: u16) -> io::Result<Nameless> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let file = match options.clone().custom_flags(libc::O_TMPFILE).open(directory) {
            // What file systems say that have no such files, and kernels that do not know the flag.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) =>
            {
                let path = directory.join(format!(".measure-{}-{number}.tmp", std::process::id()));
                let file = options.create_new(true).open(&path)?;
                fs::remove_file(&path)?;
                file
            }
            other => other?,
        };
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Ok(Nameless { _file: file, path })
    }

    /// Under which this process may open it again.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its file system has direct access.
    pub(super) fn takes_direct(&self) -> bool {
        OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&self.path).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    #[test]
    fn it_has_no_name_and_is_opened_again_all_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = Nameless::create(directory.path(), 0).expect("made");
        let again = OpenOptions::new().read(true).write(true).open(file.path()).expect("opened");
        again.write_all_at(b"x", 0).expect("written");
        assert_eq!(again.metadata().expect("asked").nlink(), 0);
        assert_eq!(fs::metadata(file.path()).expect("asked").len(), 1);
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 0);
    }
}
