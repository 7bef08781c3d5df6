//! Ten thousand connections, opened and left idle.

use crate::{
    Broker, BrokerOptions, Client,
    hostile::{self, Service},
    set_limit,
};
use anyhow::{Context, ensure};
use std::{
    fmt,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// What it cost.
#[derive(Clone, Debug)]
pub struct CrowdReport {
    /// Connections open at once.
    pub connections: usize,
    /// Until all were open.
    pub opened_in: Duration,
    /// Resident memory that each of them took.
    pub bytes_each: u64,
    /// What a client noticed while they were open.
    pub service: Service,
}

impl fmt::Display for CrowdReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections opened in {:?}, {} bytes of the broker's memory each; a client beside them: {}",
            self.connections, self.opened_in, self.bytes_each, self.service
        )
    }
}

/// Descriptors that this process or the broker needs beside the connections.
const OTHER_DESCRIPTORS: u64 = 1_000;

/// Lets this process, and so the brokers it starts, hold so many connections.
///
/// # Errors
/// When the limit is lower and cannot be raised, which only root may do.
pub fn allow_connections(connections: usize) -> anyhow::Result<()> {
    let wanted = connections as u64 + OTHER_DESCRIPTORS;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live value of the right type.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    ensure!(failed == 0, "cannot read RLIMIT_NOFILE");
    if limit.rlim_cur < wanted {
        set_limit(libc::RLIMIT_NOFILE, wanted.max(limit.rlim_max)).with_context(|| {
            format!("{connections} connections need {wanted} descriptors: ulimit -Hn {wanted}")
        })?;
    }
    Ok(())
}

/// Opens them, works beside them, asks each of some whether it is still served, and closes them.
///
/// # Errors
/// When one cannot be opened, anyone is not served, or descriptors stay open.
pub fn run(connections: usize) -> anyhow::Result<CrowdReport> {
    allow_connections(connections)?;
    let directory = tempfile::tempdir()?;
    let mut broker = Broker::start(&BrokerOptions::new(directory.path(), 2))?;
    let address = broker.address();
    let mut client = Client::connect(address)?;
    client.create_topics(&["beside"], 1, &[])?;
    client.await_topic("beside", 1, Duration::from_secs(10))?;
    let (memory, descriptors) = (broker.memory_bytes()?, broker.descriptors()?);
    let mut crowd: Vec<TcpStream> = Vec::new();
    let mut opened_in = Duration::ZERO;
    let service = hostile::during(&mut broker, "beside", |address| {
        let began = Instant::now();
        for index in 0..connections {
            let opened = TcpStream::connect_timeout(&address, Duration::from_secs(20));
            crowd.push(opened.with_context(|| format!("connection {index}"))?);
        }
        opened_in = began.elapsed();
        // The kernel completes connections; the broker must have accepted them too.
        crowd_is_served(&crowd)?;
        thread::sleep(Duration::from_secs(2));
        crowd_is_served(&crowd)
    })?;
    let bytes_each = broker.memory_bytes()?.saturating_sub(memory) / connections as u64;
    drop(crowd);
    let deadline = Instant::now() + Duration::from_secs(20);
    while broker.descriptors()? > descriptors + 10 {
        let open = broker.descriptors()?;
        ensure!(Instant::now() < deadline, "{open} descriptors are still open, {descriptors} were before");
        thread::sleep(Duration::from_millis(50));
    }
    let status = broker.terminate(Duration::from_secs(20))?;
    ensure!(status.success(), "the broker ended with {status}");
    Ok(CrowdReport { connections, opened_in, bytes_each, service })
}

/// Every hundredth of them, and the last.
fn crowd_is_served(crowd: &[TcpStream]) -> anyhow::Result<()> {
    for stream in crowd.iter().step_by(100).chain(crowd.last()) {
        hostile::ask_api_versions(stream).context("one of the crowd")?;
    }
    Ok(())
}
