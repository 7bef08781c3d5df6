//! TCP over the loopback interface: what sending costs at least.
//!
//! The receiver throws the bytes away without copying them (MSG_TRUNC), so that the sender is what is measured. On
//! loopback a part of the receiving side's work runs in the sender's system call; a real network card spares that.

use crate::clock::now_ns;
use anyhow::{Context, Result, anyhow, ensure};
use std::{
    fs::File,
    io::{self, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsRawFd,
    path::Path,
    thread,
    time::Duration,
};

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct SendRate {
    /// In 10^9 bytes.
    pub gb_per_s: f64,
    /// In 10^9 bytes per second of the sender's CPU time.
    pub gb_per_cpu_s: f64,
}

const SEND_BYTES: usize = 256 << 10;

/// How much of a file is sent over and over: it stays in the page cache.
const FILE_PART_BYTES: usize = 64 << 20;

/// Sends from memory for `time`.
///
/// # Errors
/// Of the sockets.
pub fn send_from_memory(time: Duration) -> Result<SendRate> {
    let buffer = vec![0x5a_u8; SEND_BYTES];
    measure(time, |stream| {
        stream.write_all(&buffer)?;
        Ok(buffer.len() as u64)
    })
}

/// Sends a file of at least 64 MiB by sendfile(2) for `time`, once it is in the page cache.
///
/// # Errors
/// Of the sockets and the file.
pub fn send_file(path: &Path, time: Duration) -> Result<SendRate> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    io::copy(&mut file, &mut io::sink())?;
    let mut offset = 0_i64;
    measure(time, |stream| {
        if usize::try_from(offset)? >= FILE_PART_BYTES {
            offset = 0;
        }
        // SAFETY: both descriptors are open, and the offset is ours for the time of the call.
        let sent =
            unsafe { libc::sendfile(stream.as_raw_fd(), file.as_raw_fd(), &raw mut offset, SEND_BYTES) };
        let error = io::Error::last_os_error();
        ensure!(sent > 0, "sendfile: {error}");
        Ok(sent.cast_unsigned() as u64)
    })
}

fn measure(time: Duration, mut send: impl FnMut(&mut TcpStream) -> Result<u64>) -> Result<SendRate> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, _) = listener.accept()?;
    let receiving = thread::spawn(move || discard(&receiver));
    let cpu_before = thread_cpu()?;
    let started = now_ns();
    let mut bytes = 0;
    while now_ns() - started < u64::try_from(time.as_nanos())? {
        bytes += send(&mut sender)?;
    }
    let seconds = Duration::from_nanos(now_ns() - started).as_secs_f64();
    let cpu_seconds = (thread_cpu()? - cpu_before).as_secs_f64();
    sender.shutdown(Shutdown::Write)?;
    receiving.join().map_err(|_| anyhow!("the receiving thread panicked"))??;
    let gigabytes = bytes as f64 / 1e9;
    Ok(SendRate { gb_per_s: gigabytes / seconds, gb_per_cpu_s: gigabytes / cpu_seconds })
}

fn discard(stream: &TcpStream) -> Result<()> {
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let room = buffer.len();
        // SAFETY: the buffer is ours and of that size; with MSG_TRUNC a TCP socket does not even write to it.
        let got =
            unsafe { libc::recv(stream.as_raw_fd(), buffer.as_mut_ptr().cast(), room, libc::MSG_TRUNC) };
        match got {
            0 => return Ok(()),
            1.. => {}
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error).context("cannot receive over loopback"),
            },
        }
    }
}

/// CPU time of this thread so far, user and system.
fn thread_cpu() -> Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours for the time of the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    ensure!(failed == 0, "the thread's CPU clock cannot be read: {}", io::Error::last_os_error());
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_sending_move_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![1_u8; FILE_PART_BYTES]).unwrap();
        let brief = Duration::from_millis(20);
        for rate in [send_from_memory(brief).unwrap(), send_file(&path, brief).unwrap()] {
            assert!(rate.gb_per_s > 0.0 && rate.gb_per_cpu_s >= 0.0, "{rate:?}");
        }
    }
}
