//! One run against brokers that are up: producers, tail consumers, and what both sides spent meanwhile.

use super::model::{Measurement, System};
use crate::{
    client::error_name,
    clock::{Timeline, now_ns, sleep_until, unix_ms},
    consume::{self, ConsumeSettings, Progress, Until},
    latency::Latencies,
    payload::Payload,
    process::{Process, glance},
    produce::{self, Acks, ProduceSettings, flow::Spread},
    schedule::Rate,
    topic::{From, Topic},
};
use anyhow::Result;
use corelane_core::records::Codec;
use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc, time::Duration};

/// Producers at the defaults of Kafka's own producer (4.x): acks=all, idempotent, batches of 16 KiB, linger 5 ms, five
/// requests in flight. Records of 1 KiB of noise.
pub fn producers(count: usize, rate: Rate) -> ProduceSettings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ProduceSettings {
        producers: count,
        threads: cores.clamp(1, count),
        rate,
        key_bytes: 0,
        record_bytes: 1024,
        batch_bytes: 16_384,
        request_bytes: 1 << 20,
        linger_ns: 5_000_000,
        requests_in_flight: 5,
        acks: Acks::All,
        idempotent: true,
        codec: Codec::None,
        payload: Payload::Random,
        spread: Spread::Sticky,
        stamp_run: None,
        spin_ns: 20_000,
    }
}

/// So many records per second, at least one.
pub fn rate(records_per_s: f64) -> Rate {
    Rate::PerSecond(NonZeroU64::new(records_per_s as u64).unwrap_or(NonZeroU64::MIN))
}

/// One consumer of everything, as Kafka's own is set.
pub fn consumer(from: From, stamp_run: Option<u64>) -> ConsumeSettings {
    ConsumeSettings {
        consumers: 1,
        from,
        min_bytes: 1,
        max_bytes: 50 << 20,
        partition_max_bytes: 1 << 20,
        max_wait_ms: 500,
        sessions: true,
        verify: false,
        stamp_run,
    }
}

/// How long a run takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before it counts.
    pub warmup: f64,
    /// That count.
    pub seconds: f64,
    /// For the last answers.
    pub drain: f64,
}

impl Times {
    /// From in a moment on.
    pub fn timeline(self) -> Timeline {
        Timeline::new(now_ns() + 50_000_000, self.warmup, self.seconds, self.drain)
    }
}

/// What the brokers spent within the measured time, all nodes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// User and system.
    pub cpu: Duration,
    /// To disks.
    pub written_bytes: u64,
    /// The most seen.
    pub rss_bytes_max: u64,
    /// Of this process.
    pub generator_cpu: Duration,
}

/// How much was spent at one moment since the processes began.
pub struct Meter<'a> {
    pids: &'a [u32],
    cpu: Duration,
    written_bytes: u64,
    generator_cpu: Duration,
}

impl Meter<'_> {
    /// Reads.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn start(pids: &[u32]) -> Result<Meter<'_>> {
        let (cpu, _) = glance(pids)?;
        let generator_cpu = Process::new(std::process::id()).sample()?.cpu;
        Ok(Meter { pids, cpu, written_bytes: written(pids)?, generator_cpu })
    }

    /// What was spent since.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn read(&self) -> Result<Spent> {
        let (cpu, rss_bytes_max) = glance(self.pids)?;
        let own = Process::new(std::process::id()).sample()?.cpu;
        Ok(Spent {
            cpu: cpu.saturating_sub(self.cpu),
            written_bytes: written(self.pids)?.saturating_sub(self.written_bytes),
            rss_bytes_max,
            generator_cpu: own.saturating_sub(self.generator_cpu),
        })
    }
}

fn written(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| Process::new(*pid).written_bytes()).sum()
}

/// Waits until the measured time is over; what was spent within it.
///
/// # Errors
/// When a process is gone.
pub fn watch(pids: &[u32], timeline: Timeline) -> Result<Spent> {
    sleep_until(timeline.measure_ns);
    let meter = Meter::start(pids)?;
    let mut most = 0;
    while now_ns() < timeline.end_ns {
        sleep_until(timeline.end_ns.min(now_ns() + 250_000_000));
        most = most.max(glance(pids)?.1);
    }
    let spent = meter.read()?;
    Ok(Spent { rss_bytes_max: spent.rss_bytes_max.max(most), ..spent })
}

/// What came of a run.
pub struct Outcome {
    /// When.
    pub timeline: Timeline,
    /// How it was produced.
    pub settings: ProduceSettings,
    /// Of the producers.
    pub sent: produce::Tally,
    /// Of all consumers.
    pub received: Option<consume::Tally>,
    /// Of brokers and generator.
    pub spent: Spent,
}

/// Produces to a topic, and reads it by so many tail consumers, each of which gets everything.
///
/// # Errors
/// The connections', or the brokers'.
pub fn run(
    topic: &Topic,
    settings: &ProduceSettings,
    fan_out: usize,
    times: Times,
    pids: &[u32],
) -> Result<Outcome> {
    let id = unix_ms().cast_unsigned() << 16 | u64::from(std::process::id() & 0xffff);
    let stamp_run = (fan_out > 0).then_some(id);
    let settings = ProduceSettings { stamp_run, ..settings.clone() };
    let producing = produce::prepare(topic, settings.clone())?;
    // In a cluster each leader needs a consumer of its own.
    let reading = ConsumeSettings { consumers: topic.leaders.len(), ..consumer(From::Latest, stamp_run) };
    let consuming = (0..fan_out).map(|_| consume::prepare(topic, &reading)).collect::<Result<Vec<_>>>()?;
    let timeline = times.timeline();
    let mut consumers = Vec::new();
    for prepared in consuming {
        let progress = Arc::new(Progress::default());
        consumers.push((prepared.start(timeline, &Until::Received(Arc::clone(&progress)))?, progress));
    }
    let producers = producing.start(timeline)?;
    let spent = watch(pids, timeline)?;
    let sent = producers.join()?;
    for (_, progress) in &consumers {
        progress.set_produced(sent.acknowledged);
    }
    let mut received = None;
    for (running, _) in consumers {
        received.get_or_insert_with(consume::Tally::default).add(&running.join()?);
    }
    Ok(Outcome { timeline, settings, sent, received, spent })
}

/// Percentiles of every curve.
const PERCENTS: [f64; 11] = [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0];

/// Latency by percentile.
pub fn curve(latencies: &Latencies) -> Vec<(f64, f64)> {
    let at = |percent: f64| latencies.percentile_ms(percent).map(|ms| (percent, ms));
    // A percentile finer than there are records says nothing.
    let told = |percent: &f64| *percent >= 100.0 || (1.0 - percent / 100.0) * latencies.count() as f64 >= 1.0;
    PERCENTS.into_iter().filter(told).filter_map(at).collect()
}

impl Outcome {
    /// Values that were acknowledged within the measured time.
    pub fn payload_bytes(&self) -> f64 {
        self.sent.acknowledged_measured as f64 * (self.settings.record_bytes + self.settings.key_bytes) as f64
    }

    /// As it goes into the report: latency is end to end where something was read.
    pub fn measurement(&self, workload: &str, case: &str, system: System, round: u32) -> Measurement {
        let seconds = self.timeline.measured_seconds();
        let (bytes, cpu) = (self.payload_bytes(), self.spent.cpu.as_secs_f64());
        let mut figures = BTreeMap::new();
        let mut put = |name: &str, value: f64| {
            if value.is_finite() {
                figures.insert(name.to_owned(), value);
            }
        };
        if let Rate::PerSecond(rate) = self.settings.rate {
            put("offered_records_per_s", rate.get() as f64);
        }
        put("records_per_s", self.sent.acknowledged_measured as f64 / seconds);
        put("mb_per_s", bytes / 1e6 / seconds);
        put("requests_per_s", self.sent.requests_measured as f64 / seconds);
        put("cpu_cores", cpu / seconds);
        put("cpu_us_per_request", cpu * 1e6 / self.sent.requests_measured as f64);
        put("cpu_s_per_gb", cpu / (bytes / 1e9));
        put("rss_max_mib", self.spent.rss_bytes_max as f64 / f64::from(1 << 20));
        put("written_mb_per_s", self.spent.written_bytes as f64 / 1e6 / seconds);
        put("written_per_produced_byte", self.spent.written_bytes as f64 / bytes);
        put("generator_cores", self.spent.generator_cpu.as_secs_f64() / seconds);
        put("unanswered_records", (self.sent.unanswered + self.sent.unsent) as f64);
        let mut latencies = &self.sent.latencies;
        if let Some(received) = &self.received {
            put("received_mb_per_s", received.bytes_measured as f64 / 1e6 / seconds);
            latencies = &received.latencies;
        }
        // In a closed loop latency says how deep the queues are.
        let told = if self.settings.rate == Rate::Max { None } else { Some(latencies) };
        for (name, percent) in [("p50_ms", 50.0), ("p99_ms", 99.0), ("p99_9_ms", 99.9)] {
            if let Some(ms) = told.and_then(|latencies| latencies.percentile_ms(percent)) {
                put(name, ms);
            }
        }
        let errors = self.sent.errors.iter().map(|(code, count)| (error_name(*code), *count)).collect();
        let (workload, case) = (workload.to_owned(), case.to_owned());
        let percentiles_ms = told.map(curve).unwrap_or_default();
        Measurement { workload, case, system, round, figures, percentiles_ms, errors }
    }
}
