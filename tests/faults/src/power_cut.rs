//! Power cuts. `kill -9` cannot show a missing flush, because the page cache outlives the process. So a broker with its
//! real driver runs in this process and records every change of its disk; from the record come images of what a disk
//! may legally hold after the power went at some moment; and on each image the real binary must recover all that was
//! acknowledged (acks=all) before that moment. Then again: recovery itself is recorded and cut.

use crate::{
    ACKS_ALL, Broker, BrokerOptions, Client, Producer, ProducerSettings, clock, driver,
    ledger::{Ledger, violations},
    payload::Stamp,
    read_back::read_all,
};
use anyhow::{Context, bail, ensure};
use corelane_core::config::{BrokerConfig, ReadOptions, Source};
use corelane_io::record::{Change, FileId, Image, Mark, Recorder, Trace, images};
use corelane_shard::{LogControl, MachineSettings};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

const TOPIC: &str = "cut";
const PARTITIONS: i32 = 6;
const SHARDS_MAX: u16 = 3;

/// What is recorded, and how often it is cut.
#[derive(Clone, Copy, Debug)]
pub struct PowerCutSettings {
    /// For moments, shards and sizes, and for what survives.
    pub seed: u64,
    /// Images of the load.
    pub images: usize,
    /// Of how many of them the recovery is recorded and cut again.
    pub recoveries: usize,
    /// Images of each such recovery.
    pub images_of_recovery: usize,
    /// How long the load lasts.
    pub load: Duration,
    /// What is broken on purpose: losses must be found.
    pub fault: PowerCutFault,
}

/// A missing flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerCutFault {
    /// None.
    None,
    /// The driver reports flushes without flushing.
    SkipFdatasync,
    /// The journals' flushes are struck from the record; all others stand, those of the metadata too.
    ForgetJournalFlushes,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct PowerCutReport {
    /// Images that were recovered and read.
    pub images: usize,
    /// Among them, of recoveries.
    pub images_of_recoveries: usize,
    /// Records that were acknowledged before some cut, summed over the images.
    pub demanded: u64,
    /// For each image in which something was wrong, what.
    pub wrong: Vec<String>,
}

impl fmt::Display for PowerCutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} images ({} of them of recoveries), {} acknowledged records demanded of them, {} images wrong",
            self.images,
            self.images_of_recoveries,
            self.demanded,
            self.wrong.len()
        )?;
        self.wrong.iter().try_for_each(|wrong| write!(f, "\n{wrong}"))
    }
}

/// What was done to a broker until it stopped or was abandoned.
struct Recorded {
    trace: Trace,
    producers: Vec<Producer>,
    /// The topic's creation was acknowledged.
    created_at: u64,
}

/// Runs it. Wrong images are in the report; they are not an error of the run.
///
/// # Errors
/// When the broker fails while nothing is cut.
pub fn run(settings: PowerCutSettings) -> anyhow::Result<PowerCutReport> {
    let directory = tempfile::tempdir()?;
    let mut chance = SmallRng::seed_from_u64(settings.seed);
    let recorded = record_load(settings, &directory.path().join("data"), &mut chance)?;
    let mut report = PowerCutReport::default();
    let mut recoveries = settings.recoveries;
    for (number, image) in images(&recorded.trace, settings.seed).take(settings.images).enumerate() {
        let place = directory.path().join(format!("image-{number}"));
        let name = format!("image {number} of seed {}, cut at mark {}", settings.seed, image.cut);
        // The first image is the end of a clean stop: there is nothing to recover.
        if number > 0 && recoveries > 0 {
            recoveries -= 1;
            image.write_to(&directory.path().join("data"), &place)?;
            cut_recovery(settings, &recorded, &image, &place, &mut chance, &mut report)
                .with_context(|| format!("recovery of {name}"))?;
            if place.exists() {
                std::fs::remove_dir_all(&place)?;
            }
        }
        image.write_to(&directory.path().join("data"), &place)?;
        judge(&name, &recorded, image.at, &place, &mut chance, &mut report)?;
        std::fs::remove_dir_all(&place)?;
    }
    Ok(report)
}

/// Starts the recorded broker in this process, loads it, and stops it.
fn record_load(
    settings: PowerCutSettings,
    data_dir: &Path,
    chance: &mut SmallRng,
) -> anyhow::Result<Recorded> {
    std::fs::create_dir_all(data_dir)?;
    let recorder = Arc::new(Recorder::in_memory());
    let machine = machine(settings.seed, &recorder, settings.fault == PowerCutFault::SkipFdatasync);
    let broker = corelane_shard::start(config(data_dir, chance)?, &machine, Instant::now())?;
    broker.wait_until_serving()?;
    let address = *broker.addresses().first().context("it listens somewhere")?;
    Client::connect(address)?.create_topics(&[TOPIC], PARTITIONS, &[("segment.bytes", "1048576")])?;
    let created_at = clock::monotonic_ns();
    let mut producers: Vec<Producer> = (0..4).map(|producer| self::producer(producer, settings)).collect();
    let loaded = load(&mut producers, address, settings.load);
    broker.stopper().stop();
    broker.wait()?;
    loaded?;
    let mut trace = recorder.trace();
    if settings.fault == PowerCutFault::ForgetJournalFlushes {
        forget_journal_flushes(&mut trace);
    }
    Ok(Recorded { trace, producers, created_at })
}

/// Each becomes the flush of a file that does not exist, and a write that was flushed within becomes a write.
fn forget_journal_flushes(trace: &mut Trace) {
    const NONE: FileId = FileId(u64::MAX);
    let mut journals = BTreeSet::new();
    for mark in &mut trace.marks {
        let Mark::Begun { change, .. } = mark else { continue };
        match change {
            Change::Create { path, file: id, .. } if is_journal(path) => {
                journals.insert(*id);
            }
            Change::Flush { file: id } if journals.contains(id) => *id = NONE,
            Change::WriteThrough { file, offset, data } if journals.contains(file) => {
                *change = Change::Write { file: *file, offset: *offset, data: std::mem::take(data) };
            }
            _ => {}
        }
    }
}

fn is_journal(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal-"))
}

fn load(producers: &mut [Producer], address: SocketAddr, lasts: Duration) -> anyhow::Result<()> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let run = |producer: &'_ mut Producer| producer.run(address, &stop).map(|_| ());
        let threads: Vec<_> =
            producers.iter_mut().map(|producer| scope.spawn(move || run(producer))).collect();
        thread::sleep(lasts);
        stop.store(true, Relaxed);
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a producer panicked"))??;
        }
        Ok(())
    })
}

fn producer(producer: u32, settings: PowerCutSettings) -> Producer {
    Producer::new(ProducerSettings {
        producer,
        topic: TOPIC.to_owned(),
        partitions: PARTITIONS,
        idempotent: producer.is_multiple_of(2),
        acks: ACKS_ALL,
        record_bytes: if producer < 2 { 12..=300 } else { 12..=12_000 },
        batch_records: if producer < 2 { 1..=10 } else { 1..=4 },
        pause: Duration::from_millis(1),
        seed: settings.seed ^ u64::from(producer) << 32,
    })
}

/// As the binary would read it.
fn config(data_dir: &Path, chance: &mut SmallRng) -> anyhow::Result<BrokerConfig> {
    let shards = chance.random_range(1..=SHARDS_MAX);
    let entries: Vec<(Source, String, String)> = [
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs", data_dir.display().to_string()),
        ("corelane.shards", shards.to_string()),
    ]
    .into_iter()
    .chain(small())
    .map(|(key, value)| (Source::Override, key.to_owned(), value))
    .collect();
    let options = ReadOptions::default();
    match BrokerConfig::from_entries(&entries, &options) {
        Ok((config, _)) => Ok(config),
        Err(errors) => bail!("{errors:?}"),
    }
}

/// The smallest journal, so that images are small and it wraps.
fn small() -> [(&'static str, String); 2] {
    [("corelane.journal.bytes.max", (16 << 20).to_string()), ("corelane.disk.reserve.bytes", "0".to_owned())]
}

fn machine(seed: u64, recorder: &Arc<Recorder>, skip_fdatasync: bool) -> MachineSettings {
    MachineSettings {
        log: LogControl::default(),
        cpus: Vec::new(),
        exclusive: false,
        driver: driver().unwrap_or_default(),
        seed,
        recorder: Some(Arc::clone(recorder)),
        skip_fdatasync,
    }
}

/// Recovers an image in this process, recorded, and judges cuts of that recovery. Everything that was acknowledged
/// before the first cut must be in each of them.
fn cut_recovery(
    settings: PowerCutSettings,
    recorded: &Recorded,
    image: &Image,
    place: &Path,
    chance: &mut SmallRng,
    report: &mut PowerCutReport,
) -> anyhow::Result<()> {
    let base = files(place)?;
    let recorder = Arc::new(Recorder::in_memory());
    let started = corelane_shard::start(
        config(place, chance)?,
        &machine(settings.seed, &recorder, false),
        Instant::now(),
    );
    // A refusal is judged, and told, with the image itself.
    let Ok(broker) = started else { return Ok(()) };
    let serves = broker.wait_until_serving();
    broker.stopper().stop();
    if serves.and(broker.wait()).is_err() {
        return Ok(());
    }
    let base_marks = 2 * base.len();
    let trace = upon(base, recorder.trace());
    std::fs::remove_dir_all(place)?;
    let second = settings.seed.wrapping_add(image.cut as u64);
    // What was there before cannot be cut.
    let cuts = images(&trace, second).skip(1).filter(|again| again.cut >= base_marks);
    for (number, again) in cuts.take(settings.images_of_recovery).enumerate() {
        let copy = place.with_extension(format!("again-{number}"));
        again.write_to(place, &copy)?;
        let name = format!(
            "image {number} (mark {} of {}) of the recovery of the image cut at mark {} of seed {}",
            again.cut,
            trace.marks.len(),
            image.cut,
            settings.seed
        );
        judge(&name, recorded, image.at, &copy, chance, report)?;
        std::fs::remove_dir_all(&copy)?;
        report.images_of_recoveries += 1;
    }
    Ok(())
}

/// Every file below a directory, as a record would have found it.
fn files(directory: &Path) -> anyhow::Result<Vec<Change>> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let file = FileId(std::fs::metadata(&path)?.ino());
                found.push(Change::Found { content: std::fs::read(&path)?, path, file });
            }
        }
    }
    Ok(found)
}

/// A record on top of what was there: a recorder knows only files that were changed.
fn upon(base: Vec<Change>, trace: Trace) -> Trace {
    let shift = base.len() as u64;
    let found = (0..).zip(base).flat_map(|(number, change)| {
        [Mark::Begun { at: 0, change }, Mark::Finished { at: 0, change: number, ok: true }]
    });
    let then = trace.marks.into_iter().map(|mark| match mark {
        Mark::Finished { at, change, ok } => Mark::Finished { at, change: change + shift, ok },
        begun @ Mark::Begun { .. } => begun,
    });
    Trace { marks: found.chain(then).collect() }
}

/// Starts the binary on an image and holds what it has against what was acknowledged before `until`.
fn judge(
    name: &str,
    recorded: &Recorded,
    until: u64,
    place: &Path,
    chance: &mut SmallRng,
    report: &mut PowerCutReport,
) -> anyhow::Result<()> {
    report.images += 1;
    let promised = |ledger: &Ledger| -> u64 {
        let batches = ledger.batches.iter();
        batches
            .filter(|batch| batch.acknowledged.is_some_and(|acknowledged| acknowledged.at <= until))
            .map(|batch| batch.count)
            .sum()
    };
    let ledgers: Vec<&Ledger> = recorded.producers.iter().map(Producer::ledger).collect();
    report.demanded += ledgers.iter().map(|ledger| promised(ledger)).sum::<u64>();
    std::fs::create_dir_all(place)?;
    let mut options = BrokerOptions::new(place, chance.random_range(1..=SHARDS_MAX));
    for (key, value) in small() {
        options = options.with(key, value);
    }
    match read_image(&options, recorded.created_at <= until) {
        Ok(logs) => {
            let found = violations(&ledgers, &logs, until);
            if let Some(first) = found.first() {
                report.wrong.push(format!("{name}: {first} (and {} more)", found.len() - 1));
            }
        }
        Err(error) => report.wrong.push(format!("{name}: {error:#}")),
    }
    Ok(())
}

/// All partitions of the topic; nothing, where it need not exist and does not.
fn read_image(options: &BrokerOptions, must_exist: bool) -> anyhow::Result<Vec<Vec<Stamp>>> {
    let mut broker = Broker::start(options)?;
    let mut client = Client::connect(broker.address())?;
    let metadata = client.metadata(&[TOPIC])?;
    let error = metadata.topics.first().context("no topic in the answer")?.error_code;
    let mut logs = vec![Vec::new(); PARTITIONS as usize];
    if error == 0 {
        client.await_topic(TOPIC, PARTITIONS as usize, Duration::from_secs(20))?;
        for (partition, log) in (0..).zip(&mut logs) {
            *log = read_all(&mut client, TOPIC, partition)?;
        }
    } else {
        ensure!(!must_exist, "the topic was created and is gone: error {error}");
    }
    broker.ensure_running()?;
    Ok(logs)
}
