//! Reading: (d) and (e).

use crate::{
    clock::{Timeline, now_ns},
    compare::{
        brokers::Brokers,
        load::{self, Meter, Times, consumer, curve, producers, rate},
        model::System,
        session::Session,
    },
    consume::{self, Until},
    produce::{self, ProduceSettings},
    schedule::Rate,
    topic::{From, Topic},
};
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::Path,
};

/// (d): a quarter of Kafka's saturation for one consumer, a sixteenth for eight.
///
/// # Errors
/// The connections', or the broker's.
pub fn tail_consumers(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    for (fan_out, part) in [(1, 0.25), (8, 0.0625)] {
        let settings = producers(4, rate(part * session.base.records_per_s));
        let case = format!("fan-out {fan_out}");
        session.measure(("d", &case), brokers, system, 16, &settings, fan_out)?;
    }
    Ok(())
}

/// Produces large batches in a closed loop until a topic has so many bytes of values; how many it then has.
///
/// # Errors
/// The connections', or the broker's; when it gets nowhere.
pub fn fill(topic: &Topic, bytes: u64, pids: &[u32]) -> Result<u64> {
    let settings =
        ProduceSettings { batch_bytes: 256 << 10, request_bytes: 4 << 20, ..producers(4, Rate::Max) };
    let (mut filled, mut rate) = (0_u64, 100e6);
    for _ in 0..10_000 {
        if filled >= bytes {
            return Ok(filled);
        }
        let seconds = ((bytes - filled) as f64 / rate).clamp(0.02, 5.0);
        let times = Times { warmup: 0.0, seconds, drain: 60.0 };
        let outcome = load::run(topic, &settings, 0, times, pids)?;
        filled += outcome.sent.acknowledged * 1024;
        rate = (outcome.payload_bytes() / seconds).max(1e6);
    }
    ensure!(filled >= bytes, "the topic does not fill up: {filled} of {bytes} bytes");
    Ok(filled)
}

/// Has everything below a directory written back and put out of the page cache.
///
/// # Errors
/// When it cannot be read.
pub(super) fn make_cold(directory: &Path) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        // A broker may delete anything between the listing and the opening.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read {}", directory.display()))?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_cold(&entry.path())?;
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        file.sync_all()?;
        // SAFETY: the descriptor is open; advice touches no memory of ours. Failing, it changes nothing.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
    Ok(())
}

/// (e): a backlog is written and put out of the page cache; then one consumer reads it from its beginning, alone, and
/// again while an eighth of Kafka's saturation is produced.
///
/// # Errors
/// The connections', or the broker's.
pub fn catch_up(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let bytes = session.plan.backlog_bytes;
    let behind = producers(4, rate(0.125 * session.base.records_per_s));
    let seconds = session.plan.seconds;
    let found = session.with_topic(brokers, system, 16, &[], |topic| {
        fill(topic, bytes, &brokers.pids())?;
        make_cold(brokers.data())?;
        let alone = read_all(topic, None, seconds, &brokers.pids())?;
        make_cold(brokers.data())?;
        let beside = read_all(topic, Some(&behind), seconds, &brokers.pids())?;
        Ok([("alone", alone), ("while producing", beside)])
    })?;
    for (case, read) in found {
        session.keep_figures(("e", case), system, &read.figures);
        if let Some(last) = session.results.measurements.last_mut() {
            last.percentiles_ms = read.percentiles_ms;
        }
    }
    Ok(())
}

pub(super) struct Read {
    pub figures: Vec<(&'static str, f64)>,
    percentiles_ms: Vec<(f64, f64)>,
}

/// How long a backlog may take to be read.
const READ_PATIENCE_S: f64 = 600.0;

pub(super) fn read_all(
    topic: &Topic,
    beside: Option<&ProduceSettings>,
    seconds: f64,
    pids: &[u32],
) -> Result<Read> {
    let producing = beside.map(|settings| produce::prepare(topic, settings.clone())).transpose()?;
    let reading = consume::prepare(topic, &consumer(From::Earliest, None))?;
    let backlog = reading.backlog();
    let start = now_ns() + 50_000_000;
    let meter = Meter::start(pids)?;
    let reading = reading.start(Timeline::new(start, 0.0, READ_PATIENCE_S, 0.0), &Until::End)?;
    let producing =
        producing.map(|one| one.start(Timeline::new(start, 0.0, seconds, seconds.min(5.0)))).transpose()?;
    let read = reading.join()?;
    let spent = meter.read()?;
    let sent = producing.map(produce::Running::join).transpose()?;
    ensure!(read.records >= backlog, "of a backlog of {backlog} records {} were read in time", read.records);
    let took = (read.last_ns.max(start + 1) - start) as f64 / 1e9;
    let megabytes = read.bytes_measured as f64 / 1e6;
    let mut figures = vec![
        ("seconds", took),
        ("backlog_mb", megabytes),
        ("received_mb_per_s", megabytes / took),
        ("cpu_s", spent.cpu.as_secs_f64()),
        ("received_gb_per_cpu_s", megabytes / 1e3 / spent.cpu.as_secs_f64()),
        ("generator_cores", spent.generator_cpu.as_secs_f64() / took),
    ];
    let mut percentiles_ms = Vec::new();
    if let Some(sent) = sent {
        percentiles_ms = curve(&sent.latencies);
        figures.extend(sent.latencies.percentile_ms(99.0).map(|ms| ("p99_ms", ms)));
    }
    Ok(Read { figures, percentiles_ms })
}
