//! Peers that mean harm, or behave as if: each is let loose on a broker while a well-behaved client works on.

use crate::{Broker, Client, FetchWanted, broker::memory_bytes, payload::Stamp, requests};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use corelane_core::{
    error::ErrorCode,
    records::{BatchBuilder, NewRecord},
};
use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest};
use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};
use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsRawFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// How long the broker may take to close a connection that broke the protocol.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// Who writes what [`fill`] writes.
pub const FILLER: u32 = 98;

/// What a well-behaved client measured.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// The most memory that the broker was seen to hold meanwhile.
    pub memory_bytes_max: u64,
    /// Of each produce (acks=all) with its fetch, in order of size.
    latencies: Vec<Duration>,
}

impl Service {
    /// Rounds that were answered.
    pub fn rounds(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this part (0 to 1) of the rounds did not exceed.
    ///
    /// # Panics
    /// Without a round.
    pub fn quantile(&self, part: f64) -> Duration {
        let last = self.latencies.len().checked_sub(1).expect("a round was measured");
        self.latencies[(last as f64 * part).round() as usize]
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99, max) = (self.quantile(0.5), self.quantile(0.99), self.quantile(1.0));
        write!(f, "{} rounds, p50 {p50:?}, p99 {p99:?}, max {max:?}", self.rounds())
    }
}

/// One record of 100 bytes.
pub fn small_batch(stamp: Stamp) -> Bytes {
    batch_of(stamp, 100)
}

/// One record of so many bytes.
pub fn batch_of(stamp: Stamp, bytes: usize) -> Bytes {
    let value = stamp.value(bytes);
    let mut batch = BatchBuilder::new();
    batch.push(NewRecord {
        timestamp_ms: crate::clock::unix_ms(),
        value: Some(&value),
        ..NewRecord::default()
    });
    batch.build()
}

/// Produces a small record and reads it back, over and over, until `stop`: what a client notices of others.
///
/// # Errors
/// When anything is not answered as it should be.
pub fn behave_well(address: SocketAddr, topic: &str, stop: &AtomicBool) -> anyhow::Result<Service> {
    let mut client = Client::connect(address)?;
    let mut service = Service::default();
    while !stop.load(Relaxed) {
        let began = Instant::now();
        let number = service.latencies.len() as u64;
        let batch = small_batch(Stamp { producer: 99, number });
        let produced = client.produce(topic, 0, batch, crate::ACKS_ALL)?;
        ensure!(produced.error.is_none(), "produce: {produced:?}");
        let fetched = client.fetch(topic, 0, produced.base_offset, FetchWanted::default())?;
        ensure!(fetched.error.is_none() && !fetched.records.is_empty(), "fetch: {:?}", fetched.error);
        service.latencies.push(began.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    service.latencies.sort_unstable();
    Ok(service)
}

/// Runs an attack while a well-behaved client works; what that one measured.
///
/// # Errors
/// When the client was not served, the attack did not end as it should, or the broker ended.
pub fn during(
    broker: &mut Broker,
    topic: &str,
    attack: impl FnOnce(SocketAddr) -> anyhow::Result<()>,
) -> anyhow::Result<Service> {
    let address = broker.address();
    let stop = AtomicBool::new(false);
    let id = broker.id();
    let service = thread::scope(|scope| {
        let bystander = scope.spawn(|| behave_well(address, topic, &stop));
        let memory = scope.spawn(|| watch_memory(id, &stop));
        // Some rounds before, some after.
        thread::sleep(Duration::from_millis(200));
        let attacked = attack(address);
        thread::sleep(Duration::from_millis(200));
        stop.store(true, Relaxed);
        let service = bystander.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
        let memory_bytes_max = memory.join().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        attacked.context("the attack")?;
        let service = service.context("the well-behaved client")?;
        Ok(Service { memory_bytes_max, ..service })
    });
    broker.ensure_running()?;
    service
}

/// The most that it holds until `stop`; looks often enough to see what lasts.
fn watch_memory(process: u32, stop: &AtomicBool) -> u64 {
    let mut most = 0;
    while !stop.load(Relaxed) {
        // A broker that is gone is told of elsewhere.
        most = most.max(memory_bytes(process).unwrap_or(0));
        thread::sleep(Duration::from_millis(20));
    }
    most
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(20)).context("cannot connect")?;
    stream.set_read_timeout(Some(CLOSE_PATIENCE))?;
    stream.set_write_timeout(Some(CLOSE_PATIENCE))?;
    Ok(stream)
}

/// Waits until the broker closes; whatever it still sends is read and dropped.
fn await_close(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let deadline = Instant::now() + CLOSE_PATIENCE;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => ensure!(Instant::now() < deadline, "the broker goes on sending"),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => bail!("the broker did not close the connection: {error}"),
        }
    }
}

/// A request that is right, as bytes.
fn api_versions_frame(correlation_id: i32) -> anyhow::Result<Bytes> {
    let request = ApiVersionsRequest::default();
    Ok(corelane_core::wire::encode_request(correlation_id, Some("hostile"), 0, &request)?)
}

/// Asks over a bare stream and waits for the whole answer.
///
/// # Errors
/// When there is none.
pub fn ask_api_versions(mut stream: &TcpStream) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(CLOSE_PATIENCE))?;
    stream.write_all(&api_versions_frame(7)?)?;
    read_answer(stream, 7)
}

fn read_answer(mut stream: &TcpStream, correlation_id: i32) -> anyhow::Result<()> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).context("no answer")?;
    ensure!(head[4..] == correlation_id.to_be_bytes(), "not the answer to {correlation_id}");
    let length = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
    let read = io::copy(&mut stream.take(length - 4), &mut io::sink())?;
    ensure!(read == length - 4, "the answer breaks off");
    Ok(())
}

/// Many connections that send a right request, a byte a second.
///
/// # Errors
/// When a connection cannot be made, or is closed by the broker.
pub fn slow_loris(address: SocketAddr, connections: usize, seconds: usize) -> anyhow::Result<()> {
    let frame = api_versions_frame(1)?;
    let mut streams: Vec<TcpStream> = (0..connections).map(|_| connect(address)).collect::<Result<_, _>>()?;
    for second in 0..seconds {
        for stream in &mut streams {
            stream.write_all(&frame[second..=second]).context("a slow client was cut off")?;
        }
        thread::sleep(Duration::from_secs(1));
    }
    // And at last the rest: slow is not wrong.
    for stream in &mut streams {
        stream.write_all(&frame[seconds..])?;
        read_answer(stream, 1).context("a slow client's request")?;
    }
    Ok(())
}

/// A client that sends requests, then closes its side: every answer must still come, and then the end. One that closes
/// in the middle of a request is closed too.
///
/// # Errors
/// When that is not so.
pub fn half_closed(address: SocketAddr, requests: i32) -> anyhow::Result<()> {
    let mut stream = connect(address)?;
    for id in 0..requests {
        stream.write_all(&api_versions_frame(id)?)?;
    }
    stream.shutdown(Shutdown::Write)?;
    for id in 0..requests {
        read_answer(&stream, id).with_context(|| format!("answer {id} after the half-close"))?;
    }
    await_close(stream).context("after the last answer")?;

    let mut stream = connect(address)?;
    stream.write_all(&api_versions_frame(1)?[..7])?;
    stream.shutdown(Shutdown::Write)?;
    await_close(stream).context("half-closed in the middle of a request")
}

/// Fetches of much, never read, until the broker takes no more of them. The connections come back open.
///
/// # Errors
/// When a connection cannot be made.
pub fn never_read(address: SocketAddr, topic: &str, connections: usize) -> anyhow::Result<Vec<Client>> {
    const FETCHES: usize = 200;
    let wanted = FetchWanted { bytes_max: 50 << 20, wait_ms_max: 0 };
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(address)?;
        // The kernel's buffers hold that many small requests; the broker need not have read them.
        for _ in 0..FETCHES {
            let request: FetchRequest = requests::fetch_request(topic, 1, 0, wanted);
            client.send(requests::FETCH_VERSION, &request)?;
        }
        clients.push(client);
    }
    Ok(clients)
}

/// Lengths that no request may have: the connection must be closed at once, whatever follows.
///
/// # Errors
/// When it is not.
pub fn impossible_lengths(address: SocketAddr) -> anyhow::Result<()> {
    for length in [i32::MAX, i32::MIN, -1, 0, 7, 101 << 20] {
        let mut stream = connect(address)?;
        stream.write_all(&length.to_be_bytes())?;
        // It may be closed already.
        let _ = stream.write_all(&[0; 4096]);
        await_close(stream).with_context(|| format!("a frame of {length} bytes"))?;
    }
    Ok(())
}

/// The largest length that is allowed, and no bytes for it: it must cost nothing. The connections come back open.
///
/// # Errors
/// When a connection cannot be made.
pub fn promised_lengths(address: SocketAddr, connections: usize) -> anyhow::Result<Vec<TcpStream>> {
    let promise = |_| {
        let mut stream = connect(address)?;
        stream.write_all(&(100i32 << 20).to_be_bytes())?;
        stream.write_all(&[0; 1000])?;
        Ok(stream)
    };
    (0..connections).map(promise).collect()
}

/// Frames of random bytes, and of right headers with random bodies. Each is answered or its connection closed.
///
/// # Errors
/// When a connection cannot be made, or hangs.
pub fn garbage(address: SocketAddr, frames: usize, seed: u64) -> anyhow::Result<()> {
    let mut chance = SmallRng::seed_from_u64(seed);
    for index in 0..frames {
        let mut body = vec![0; chance.random_range(8..2000)];
        chance.fill_bytes(&mut body);
        if index % 2 == 0 {
            let (key, version): (i16, i16) = (chance.random_range(0..70), chance.random_range(0..14));
            body[..2].copy_from_slice(&key.to_be_bytes());
            body[2..4].copy_from_slice(&version.to_be_bytes());
            // An absent client id, so that the body is reached.
            body[8..].iter_mut().take(2).for_each(|byte| *byte = 0xff);
        }
        let mut stream = connect(address)?;
        // The broker may close before all is written.
        let _ = stream.write_all(&u32::try_from(body.len())?.to_be_bytes());
        let _ = stream.write_all(&body);
        let _ = stream.shutdown(Shutdown::Write);
        await_close(stream)
            .with_context(|| format!("garbage frame {index} of seed {seed}: {:02x?}", &body[..8]))?;
    }
    Ok(())
}

/// Connections that are opened and at once closed, in order or with a reset.
///
/// # Errors
/// When one cannot be made.
pub fn storm(address: SocketAddr, connections: usize) -> anyhow::Result<()> {
    for index in 0..connections {
        let stream = connect(address)?;
        if index % 2 == 0 {
            reset_on_close(&stream)?;
        }
    }
    Ok(())
}

fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the pointer and the size describe a live value, and the descriptor is open.
    let failed = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size,
        )
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Fills a partition with what [`never_read`] fetches.
///
/// # Errors
/// When it is not taken.
pub fn fill(address: SocketAddr, topic: &str, partition: i32, bytes: usize) -> anyhow::Result<()> {
    const RECORD: usize = 900 << 10;
    let mut client = Client::connect(address)?;
    for number in 0..bytes.div_ceil(RECORD) as u64 {
        let value = Stamp { producer: FILLER, number }.value(RECORD);
        let mut batch = BatchBuilder::new();
        let record =
            NewRecord { timestamp_ms: crate::clock::unix_ms(), value: Some(&value), ..NewRecord::default() };
        batch.push(record);
        let produced = client.produce(topic, partition, batch.build(), crate::ACKS_ALL)?;
        ensure!(produced.error == ErrorCode::None, "{produced:?}");
    }
    Ok(())
}

/// Produces small batches and reads none of the answers. The broker may stop reading; then this stops too.
///
/// # Errors
/// When the connection cannot be made, or is closed.
pub fn produce_unread(address: SocketAddr, topic: &str, requests: u64) -> anyhow::Result<()> {
    let mut stream = connect(address)?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    for number in 0..requests {
        let batch = small_batch(Stamp { producer: FILLER, number });
        let request = requests::produce_request(topic, &[(1, batch)], crate::ACKS_LEADER);
        let frame = corelane_core::wire::encode_request(0, None, requests::PRODUCE_VERSION, &request)?;
        match stream.write_all(&frame) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => return Err(error).context("the connection was closed"),
        }
    }
    thread::sleep(Duration::from_secs(1));
    Ok(())
}
