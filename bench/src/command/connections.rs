//! Many idle connections, and what they do to a fresh one.

use super::{Setup, results::figure};
use crate::{
    client::Client,
    clock::{SECOND_NS, now_ns, sleep_until},
    latency::Latencies,
    options::RunOptions,
    report::{LatencyRow, Report, Section},
};
use anyhow::{Context, Result, ensure};
use std::{io, net::TcpStream, time::Duration};

/// Descriptors beside those of the idle connections.
const DESCRIPTORS_SPARE: u64 = 64;

pub(super) fn run(run: &RunOptions, count: usize, every_ms: u64) -> Result<Report> {
    allow_descriptors(count as u64 + DESCRIPTORS_SPARE)?;
    let mut setup = Setup::new("connections", run)?;
    setup.report.settings.push(("idle connections".into(), count.to_string()));
    setup.report.settings.push(("fresh connections".into(), format!("one every {every_ms} ms")));
    let before = fresh_connections(&run.broker, run.seconds, every_ms)?;

    let started = now_ns();
    let mut held: Vec<TcpStream> = Vec::with_capacity(count);
    for number in 0..count {
        let client = Client::connect(&run.broker)
            .with_context(|| format!("connection {} of {count}: does the broker limit them?", number + 1))?;
        held.push(client.into_stream());
    }
    let opening = Duration::from_nanos(now_ns() - started).as_secs_f64();
    let cpu_before = setup.process.map(|(process, _)| process.sample()).transpose()?;
    let beside = fresh_connections(&run.broker, run.seconds, every_ms)?;
    let closed = held.iter().filter(|stream| is_closed(stream)).count();

    let mut section = Section::new("connections");
    section.push(figure("opened_per_s", "opened", count as f64 / opening, "/s").note("one after another"));
    section.push(figure("held", "held", held.len() as f64, ""));
    section.push(figure("closed_by_broker", "closed by the broker", closed as f64, "").note("while held"));
    let mut report = setup.report;
    report.sections.push(section);
    if let (Some((process, idle)), Some(held_before)) = (setup.process, cpu_before) {
        let end = process.sample()?;
        let grown = end.rss_bytes.saturating_sub(idle.rss_bytes) as f64;
        let mut section = Section::new("broker process");
        section.push(figure(
            "rss_idle_mib",
            "memory idle",
            idle.rss_bytes as f64 / f64::from(1 << 20),
            "MiB",
        ));
        section.push(figure(
            "rss_held_mib",
            "memory holding",
            end.rss_bytes as f64 / f64::from(1 << 20),
            "MiB",
        ));
        section.push(figure("kib_per_connection", "for each", grown / 1024.0 / count.max(1) as f64, "KiB"));
        let cpu = end.cpu.saturating_sub(held_before.cpu).as_secs_f64();
        section
            .push(figure("cpu_s_holding", "CPU time holding", cpu, "s").note("with the fresh connections"));
        report.sections.push(section);
    }
    for (name, latencies) in [("fresh, without idle ones", before), ("fresh, beside idle ones", beside)] {
        report.latencies.push(LatencyRow { name: name.into(), latencies });
    }
    if closed > 0 {
        report
            .warnings
            .push("the broker closed idle connections: connections.max.idle.ms may be short".into());
    }
    Ok(report)
}

/// Connects and asks for the versions, over and over at fixed times; from the time that was fixed to the answer.
fn fresh_connections(address: &str, seconds: f64, every_ms: u64) -> Result<Latencies> {
    let every_ns = every_ms.max(1) * (SECOND_NS / 1000);
    let total = (seconds * SECOND_NS as f64 / every_ns as f64).ceil() as u64;
    let started = now_ns();
    let mut latencies = Latencies::new();
    for number in 0..total {
        let due = started + number * every_ns;
        sleep_until(due);
        Client::connect(address)?;
        latencies.record(due, now_ns());
    }
    Ok(latencies)
}

fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    match stream.set_nonblocking(true).and_then(|()| stream.peek(&mut byte)) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Raises the soft limit of open files as far as needed and allowed.
pub(super) fn allow_descriptors(needed: u64) -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours for the time of the call.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    ensure!(failed == 0, "the limit of open files cannot be read: {}", io::Error::last_os_error());
    if limit.rlim_cur >= needed {
        return Ok(());
    }
    ensure!(
        limit.rlim_max >= needed,
        "{needed} open files are needed, {} allowed: raise it with `ulimit -Hn {needed}` as root, or ask for fewer",
        limit.rlim_max
    );
    limit.rlim_cur = needed;
    // SAFETY: as above; only the soft limit is raised, to no more than the hard one.
    let failed = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    ensure!(failed == 0, "the limit of open files cannot be raised: {}", io::Error::last_os_error());
    Ok(())
}
