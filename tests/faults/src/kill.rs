//! `kill -9` under load, again and again, each time restarted with another number of shards.

use crate::{
    ACKS_ALL, ACKS_LEADER, Broker, BrokerOptions, Client, Producer, ProducerSettings,
    ledger::{Ledger, violations},
    payload::Stamp,
    producer::is_disconnect,
    read_back::{read_all, read_on},
};
use anyhow::{Context, bail, ensure};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    path::Path,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

const TOPIC: &str = "killed";
const PARTITIONS: i32 = 8;
const SHARDS_MAX: u16 = 4;

/// How long a clean stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// How often, and by which seed.
#[derive(Clone, Copy, Debug)]
pub struct KillSettings {
    /// Kills under load.
    pub rounds: u32,
    /// For moments, shards and sizes. The moment within the broker's work is the machine's.
    pub seed: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct KillReport {
    /// Kills under load.
    pub kills: u32,
    /// Kills while the broker was starting or recovering.
    pub kills_of_starts: u32,
    /// Kills while it was stopping.
    pub kills_of_stops: u32,
    /// Records that were acknowledged, and are there.
    pub acknowledged: u64,
    /// Records without an answer.
    pub unknown: u64,
    /// Records that are there.
    pub found: u64,
    /// From spawn to serving, the longest.
    pub start_max: Duration,
}

impl fmt::Display for KillReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills under load, {} of starts, {} of stops: {} records acknowledged and there, {} unknown, {} there \
             in all; the longest start took {:?}",
            self.kills,
            self.kills_of_starts,
            self.kills_of_stops,
            self.acknowledged,
            self.unknown,
            self.found,
            self.start_max
        )
    }
}

/// Runs it. The data directory stays, and is named, when something is wrong.
///
/// # Errors
/// Everything that must not happen.
pub fn run(settings: KillSettings) -> anyhow::Result<KillReport> {
    let directory = tempfile::tempdir()?;
    let mut run = Run::new(settings, directory.path());
    let outcome = run.all();
    let report = run.report;
    outcome.map(|()| report).map_err(|error| {
        let kept = directory.keep();
        let (seed, round) = (settings.seed, report.kills);
        error.context(format!("seed {seed}, round {round}; the data is in {}", kept.display()))
    })
}

struct Run<'a> {
    settings: KillSettings,
    data_dir: &'a Path,
    chance: SmallRng,
    producers: Vec<Producer>,
    /// By partition and offset: whatever anyone has ever read.
    known: Vec<Vec<Stamp>>,
    /// Topics whose creation was acknowledged.
    topics: BTreeSet<String>,
    report: KillReport,
}

impl<'a> Run<'a> {
    fn new(settings: KillSettings, data_dir: &'a Path) -> Run<'a> {
        let producer = |producer: u32, idempotent, acks| {
            Producer::new(ProducerSettings {
                producer,
                topic: TOPIC.to_owned(),
                partitions: PARTITIONS,
                idempotent,
                acks,
                record_bytes: if producer.is_multiple_of(2) { 12..=300 } else { 12..=20_000 },
                batch_records: if producer.is_multiple_of(2) { 1..=20 } else { 1..=5 },
                pause: Duration::from_millis(2),
                seed: settings.seed ^ u64::from(producer) << 32,
            })
        };
        Run {
            settings,
            data_dir,
            chance: SmallRng::seed_from_u64(settings.seed),
            producers: vec![
                producer(0, true, ACKS_ALL),
                producer(1, true, ACKS_ALL),
                producer(2, false, ACKS_ALL),
                producer(3, false, ACKS_LEADER),
                producer(4, true, ACKS_LEADER),
            ],
            known: vec![Vec::new(); PARTITIONS as usize],
            topics: BTreeSet::new(),
            report: KillReport::default(),
        }
    }

    fn all(&mut self) -> anyhow::Result<()> {
        for round in 0..self.settings.rounds {
            self.kill_starts()?;
            let mut broker = self.start()?;
            if round == 0 {
                Client::connect(broker.address())?.create_topics(
                    &[TOPIC],
                    PARTITIONS,
                    &[("segment.bytes", "1048576")],
                )?;
            }
            self.verify(broker.address())?;
            self.load_and_kill(&mut broker, round)?;
            self.report.kills += 1;
        }
        self.finish()
    }

    /// With any number of shards.
    fn options(&mut self) -> BrokerOptions {
        let shards = self.chance.random_range(1..=SHARDS_MAX);
        // The smallest journal: it must wrap, and its low mark move, while it is being killed.
        BrokerOptions::new(self.data_dir, shards)
            .with("corelane.journal.bytes.max", 16 << 20)
            .with("corelane.disk.reserve.bytes", 0)
    }

    fn start(&mut self) -> anyhow::Result<Broker> {
        let began = Instant::now();
        let broker = Broker::start(&self.options())?;
        self.report.start_max = self.report.start_max.max(began.elapsed());
        Ok(broker)
    }

    /// Sometimes a start is killed too, in the middle of recovery for all one knows.
    fn kill_starts(&mut self) -> anyhow::Result<()> {
        while self.chance.random_ratio(1, 4) {
            let mut broker = Broker::spawn(&self.options())?;
            thread::sleep(Duration::from_millis(self.chance.random_range(0..250)));
            broker.ensure_running()?;
            broker.kill();
            self.report.kills_of_starts += 1;
        }
        Ok(())
    }

    fn load_and_kill(&mut self, broker: &mut Broker, round: u32) -> anyhow::Result<()> {
        let address = broker.address();
        let long = self.chance.random_ratio(2, 3);
        let moment = Duration::from_millis(self.chance.random_range(if long { 100..700 } else { 1..100 }));
        let stops = self.chance.random_ratio(1, 5);
        let stop_ms = self.chance.random_range(0..40);
        let never = AtomicBool::new(false);
        let (producers, known) = (&mut self.producers, &mut self.known);
        let created = thread::scope(|scope| {
            let mut threads = Vec::new();
            for producer in producers {
                threads.push(scope.spawn(|| producer.run(address, &never).map(|_| ())));
            }
            threads.push(scope.spawn(|| consume(address, known)));
            let creator = scope.spawn(move || create(address, round));
            thread::sleep(moment);
            let ran = broker.ensure_running();
            if stops {
                broker.signal(libc::SIGTERM);
                thread::sleep(Duration::from_millis(stop_ms));
            }
            broker.kill();
            ran?;
            for thread in threads {
                thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            }
            creator.join().map_err(|_| anyhow::anyhow!("a client panicked"))?
        })
        .with_context(|| format!("under load; the broker said:\n{}", broker.said()))?;
        self.topics.extend(created);
        self.report.kills_of_stops += u32::from(stops);
        Ok(())
    }

    /// Everything is read and judged.
    fn verify(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let mut client = Client::connect(address)?;
        client.await_topic(TOPIC, PARTITIONS as usize, Duration::from_secs(20))?;
        for (partition, known) in (0..).zip(&mut self.known) {
            let log = read_all(&mut client, TOPIC, partition)?;
            let before = &log[..known.len().min(log.len())];
            if let Some(offset) = (0..known.len()).find(|at| before.get(*at) != known.get(*at)) {
                bail!(
                    "partition {partition}, offset {offset}: {:?} was read before, now there is {:?} (end: {})",
                    known[offset],
                    log.get(offset),
                    log.len()
                );
            }
            *known = log;
        }
        let ledgers: Vec<&Ledger> = self.producers.iter().map(Producer::ledger).collect();
        let found = violations(&ledgers, &self.known, u64::MAX);
        ensure!(found.is_empty(), "{}", found.join("\n"));
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        for topic in client.metadata(&topics)?.topics {
            ensure!(topic.error_code == 0, "{:?} was created and is gone: {}", topic.name, topic.error_code);
        }
        self.report.acknowledged = ledgers.iter().map(|ledger| ledger.acknowledged_records()).sum();
        self.report.unknown = ledgers.iter().map(|ledger| ledger.unknown_records()).sum();
        self.report.found = self.known.iter().map(|log| log.len() as u64).sum();
        Ok(())
    }

    /// What is still unknown to idempotent producers is sent again; then a clean stop, and all is there after it.
    fn finish(&mut self) -> anyhow::Result<()> {
        let mut broker = self.start()?;
        self.verify(broker.address())?;
        let now = AtomicBool::new(true);
        for producer in &mut self.producers {
            producer.run(broker.address(), &now)?;
        }
        self.verify(broker.address())?;
        let unknown: u64 = self
            .producers
            .iter()
            .map(Producer::ledger)
            .filter(|ledger| ledger.idempotent)
            .map(Ledger::unknown_records)
            .sum();
        ensure!(unknown == 0, "{unknown} records of idempotent producers are still unknown");
        let status = broker.terminate(STOP_PATIENCE)?;
        ensure!(status.success(), "a clean stop ended with {status}");
        let broker = self.start()?;
        self.verify(broker.address())
    }
}

/// Reads on in all partitions until the connection breaks.
fn consume(address: SocketAddr, known: &mut [Vec<Stamp>]) -> anyhow::Result<()> {
    let mut read = || -> anyhow::Result<()> {
        let mut client = Client::connect(address)?;
        loop {
            for (partition, known) in (0..).zip(&mut *known) {
                read_on(&mut client, TOPIC, partition, known)?;
            }
            thread::sleep(Duration::from_millis(5));
        }
    };
    match read() {
        Err(error) if !is_disconnect(&error) => Err(error.context("the consumer")),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Creates a topic; its name, if that was acknowledged.
fn create(address: SocketAddr, round: u32) -> anyhow::Result<Option<String>> {
    let topic = format!("made-{round}");
    let made = Client::connect(address).and_then(|mut client| client.create_topics(&[&topic], 2, &[]));
    match made {
        Ok(()) => Ok(Some(topic)),
        Err(error) if is_disconnect(&error) => Ok(None),
        Err(error) => Err(error.context("the creator of topics")),
    }
}
