//! Sequential O_DIRECT writes, each followed by fdatasync: what a durable log can do at most.

use crate::{clock::now_ns, latency::Latencies};
use anyhow::{Context, Result, ensure};
use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    fs::{self, File, OpenOptions},
    io::Write,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// How large the file is: written whole beforehand, so that no write allocates blocks or extends it.
pub const FILE_BYTES: u64 = 256 << 20;

const ALIGNMENT: usize = 4096;

/// What came of it.
#[derive(Clone, Debug)]
pub struct WriteRate {
    /// Bytes of each write.
    pub write_bytes: usize,
    /// Writes, with their flush if they were flushed, per second.
    pub writes_per_s: f64,
    /// Of one write, likewise.
    pub latencies: Latencies,
}

impl WriteRate {
    /// In millions of bytes.
    pub fn mb_per_s(&self) -> f64 {
        self.writes_per_s * self.write_bytes as f64 / 1e6
    }
}

/// A file full of zeros that goes away with this value.
#[derive(Debug)]
pub struct TestFile {
    path: PathBuf,
}

impl Drop for TestFile {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and the file's name says what it was.
        let _ = fs::remove_file(&self.path);
    }
}

impl TestFile {
    /// Writes and flushes it.
    ///
    /// # Errors
    /// When `directory` cannot be written or is full.
    pub fn create(directory: &Path) -> Result<TestFile> {
        let path = directory.join(format!("corelane-bench-limits-{}.tmp", std::process::id()));
        let file = File::create_new(&path);
        let mut file =
            file.with_context(|| format!("cannot create a test file in {}", directory.display()))?;
        let created = TestFile { path };
        let zeros = vec![0_u8; 1 << 20];
        for _ in 0..FILE_BYTES / zeros.len() as u64 {
            file.write_all(&zeros).context("cannot write the test file: is the disk full?")?;
        }
        file.sync_all()?;
        Ok(created)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `write_bytes` after `write_bytes`, each flushed before the next, for `time`; from the start again at
    /// the end of the file.
    ///
    /// # Errors
    /// When the file system has no O_DIRECT, or a write fails.
    ///
    /// # Panics
    /// When `write_bytes` is no multiple of 4096, or more than the file.
    pub fn write_and_flush(&self, write_bytes: usize, time: Duration) -> Result<WriteRate> {
        self.sequential(write_bytes, time, true)
    }

    /// The same without a flush: what the disk takes at most, one write at a time.
    ///
    /// # Errors
    /// As [`write_and_flush`](Self::write_and_flush).
    ///
    /// # Panics
    /// As [`write_and_flush`](Self::write_and_flush).
    pub fn write(&self, write_bytes: usize, time: Duration) -> Result<WriteRate> {
        self.sequential(write_bytes, time, false)
    }

    fn sequential(&self, write_bytes: usize, time: Duration, flushed: bool) -> Result<WriteRate> {
        assert!(
            write_bytes.is_multiple_of(ALIGNMENT) && write_bytes as u64 <= FILE_BYTES,
            "{write_bytes} bytes"
        );
        let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&self.path);
        let file = file.with_context(|| {
            format!("{} does not open with O_DIRECT: is its file system a tmpfs?", self.path.display())
        })?;
        let buffer = AlignedBuffer::noise(write_bytes);
        let mut latencies = Latencies::new();
        let mut offset = 0_u64;
        let started = now_ns();
        let mut now = started;
        while now - started < u64::try_from(time.as_nanos())? {
            buffer.write_at(&file, offset)?;
            if flushed {
                file.sync_data().context("fdatasync")?;
            }
            let done = now_ns();
            latencies.record(now, done);
            now = done;
            offset += write_bytes as u64;
            if offset + write_bytes as u64 > FILE_BYTES {
                offset = 0;
            }
        }
        let seconds = Duration::from_nanos(now - started).as_secs_f64();
        Ok(WriteRate { write_bytes, writes_per_s: latencies.count() as f64 / seconds, latencies })
    }
}

/// Memory as O_DIRECT wants it.
struct AlignedBuffer {
    start: *mut u8,
    layout: Layout,
}

impl AlignedBuffer {
    /// Filled with something no disk compresses to nothing.
    fn noise(bytes: usize) -> AlignedBuffer {
        let layout =
            Layout::from_size_align(bytes, ALIGNMENT).expect("a power of two, and far below the limit");
        // SAFETY: the layout is not of size zero: the caller asserted a positive multiple of the alignment.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        let buffer = AlignedBuffer { start, layout };
        let mut noise = crate::payload::Noise::new(1);
        for word in 0..bytes / 8 {
            // SAFETY: within the allocation, which is zeroed, ours alone, and aligned for u64.
            unsafe { buffer.start.cast::<u64>().add(word).write(noise.next_u64()) };
        }
        buffer
    }

    fn write_at(&self, file: &File, offset: u64) -> Result<()> {
        let bytes = self.layout.size();
        // SAFETY: the memory is initialised, of that size, and lives until the call returns.
        let written = unsafe {
            libc::pwrite(file.as_raw_fd(), self.start.cast_const().cast(), bytes, i64::try_from(offset)?)
        };
        let error = std::io::Error::last_os_error();
        ensure!(written >= 0, "cannot write directly: {error}");
        ensure!(written.cast_unsigned() == bytes, "a short direct write: {written} of {bytes} bytes");
        Ok(())
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and freed once.
        unsafe { dealloc(self.start, self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_file_is_whole_and_goes_away() {
        let directory = tempfile::tempdir().unwrap();
        let file = TestFile::create(directory.path()).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().len(), FILE_BYTES);
        let path = file.path().to_owned();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = TestFile::create(Path::new("/nonexistent/here")).unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/here"), "{error:#}");
    }
}
