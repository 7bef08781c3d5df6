//! What this machine can do at all, so that a broker's figures can be read as a part of it.

pub mod disk;
pub mod loopback;

use anyhow::Result;
use std::{path::Path, time::Duration};

/// All limits, measured one after another.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sequential 4 KiB writes, each flushed.
    pub small_writes: disk::WriteRate,
    /// Sequential 1 MiB writes, each flushed.
    pub large_writes: disk::WriteRate,
    /// Loopback TCP from memory.
    pub send: loopback::SendRate,
    /// Loopback TCP by sendfile(2) from the page cache.
    pub sendfile: loopback::SendRate,
}

/// Measures each limit for `each`, with files in `directory` that are removed afterwards.
///
/// # Errors
/// When the directory cannot be written, or its file system has no O_DIRECT.
pub fn measure(directory: &Path, each: Duration) -> Result<Limits> {
    let file = disk::TestFile::create(directory)?;
    Ok(Limits {
        small_writes: file.write_and_flush(4096, each)?,
        large_writes: file.write_and_flush(1 << 20, each)?,
        send: loopback::send_from_memory(each)?,
        sendfile: loopback::send_file(file.path(), each)?,
    })
}
