//! What a round trip costs at least: empty requests over loopback TCP, answered by a bare io_uring. For reports that
//! show a broker's figures as parts of a limit; no driver uses it.

use io_uring::{IoUring, opcode, types};
use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

/// Of a request and of its response: Kafka's header of either is not much more.
pub const MESSAGE_BYTES: usize = 32;

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct RoundTrips {
    /// Of one connection with one request on its way.
    pub per_s: f64,
    /// The answering thread's CPU time for each.
    pub cpu: Duration,
}

/// Asks and answers for `time`. The answering thread receives the next request and sends the last answer with one system
/// call.
///
/// # Errors
/// When there is no io_uring, or the sockets fail.
pub fn round_trips(time: Duration) -> io::Result<RoundTrips> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let answering = thread::Builder::new().name("bare-ring".into()).spawn(move || answer(&server))?;
    let mut message = [0; MESSAGE_BYTES];
    let (started, mut count) = (Instant::now(), 0_u64);
    while started.elapsed() < time || count == 0 {
        client.write_all(&message)?;
        client.read_exact(&mut message)?;
        count += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(client);
    let cpu = answering.join().map_err(|_| io::Error::other("the answering thread panicked"))??;
    Ok(RoundTrips { per_s: count as f64 / seconds, cpu: cpu.div_f64(count as f64) })
}

/// Answers each message with itself until the peer closes; the CPU time this took.
fn answer(stream: &TcpStream) -> io::Result<Duration> {
    const RECEIVED: u64 = 1;
    const SENT: u64 = 2;
    let mut ring = IoUring::new(8)?;
    let descriptor = types::Fd(stream.as_raw_fd());
    let (mut incoming, mut outgoing) = ([0_u8; MESSAGE_BYTES], [0_u8; MESSAGE_BYTES]);
    let before = thread_cpu()?;
    let (mut got, mut answers) = (0, false);
    loop {
        let room = &mut incoming[got..];
        let length = u32::try_from(room.len()).map_err(io::Error::other)?;
        let receive = opcode::Recv::new(descriptor, room.as_mut_ptr(), length).build().user_data(RECEIVED);
        let send =
            opcode::Send::new(descriptor, outgoing.as_ptr(), MESSAGE_BYTES as u32).build().user_data(SENT);
        // SAFETY: both buffers live, and are left alone, until their completions, which are waited for below.
        unsafe {
            if answers {
                ring.submission().push(&send).map_err(io::Error::other)?;
            }
            ring.submission().push(&receive).map_err(io::Error::other)?;
        }
        let mut awaited = 1 + usize::from(answers);
        let mut received = 0;
        let mut failed = None;
        while awaited > 0 {
            match ring.submit_and_wait(awaited) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => drop(other?),
            }
            for completion in ring.completion() {
                awaited -= 1;
                match (completion.user_data(), usize::try_from(completion.result())) {
                    (RECEIVED, Ok(bytes)) => received = bytes,
                    (SENT, Ok(MESSAGE_BYTES)) => {}
                    (_, Ok(_)) => failed = Some(io::Error::from(io::ErrorKind::WriteZero)),
                    (_, Err(_)) => failed = Some(io::Error::from_raw_os_error(-completion.result())),
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if received == 0 {
            return Ok(thread_cpu()?.saturating_sub(before));
        }
        got += received;
        answers = got == MESSAGE_BYTES;
        if answers {
            outgoing = incoming;
            got = 0;
        }
    }
}

/// CPU time of this thread so far, user and system.
fn thread_cpu() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours for the time of the call.
    match unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } {
        0 => Ok(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_answered_and_the_answering_thread_ends_with_its_peer() {
        // What sends and receives is the same code for any number of them.
        let found = round_trips(Duration::from_millis(20)).unwrap();
        assert!(found.per_s > 0.0 && found.cpu > Duration::ZERO, "{found:?}");
    }
}
