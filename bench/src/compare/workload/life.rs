//! A broker's life: (h), (i), (j), clusters, and shards.

use super::{reading::fill, small_records};
use crate::{
    client::Client,
    compare::{
        brokers::Brokers,
        load::{self, producers, rate},
        model::System,
        session::{Session, systems},
    },
    payload::{Payload, Template},
    process::Process,
    produce::ProduceSettings,
    schedule::Rate,
    topic::{self, From, Topic, TopicSettings, offsets},
};
use anyhow::{Context, Result, ensure};
use corelane_core::records::Codec;
use kafka_protocol::messages::{
    ProduceRequest,
    produce_request::{PartitionProduceData, TopicProduceData},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// (j): memory and CPU time of a broker that was just started and has nothing to do.
///
/// # Errors
/// When it is gone.
pub fn idle(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let seconds = session.plan.idle_seconds;
    thread::sleep(Duration::from_secs_f64(seconds / 4.0));
    let processes: Vec<_> = brokers.pids().into_iter().map(Process::new).collect();
    let cpu = || processes.iter().map(Process::threads_cpu).sum::<Result<Duration>>();
    let (before, began) = (cpu()?, Instant::now());
    thread::sleep(Duration::from_secs_f64(seconds));
    let spent = cpu()?.saturating_sub(before).as_secs_f64();
    let samples = processes.iter().map(Process::sample).collect::<Result<Vec<_>>>()?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    session.keep_figures(
        ("j", "idle"),
        system,
        &[
            ("rss_mib", samples.iter().map(|one| mib(one.rss_bytes)).sum()),
            ("anonymous_mib", samples.iter().map(|one| mib(one.anonymous_bytes)).sum()),
            ("threads", samples.iter().map(|one| one.threads as f64).sum()),
            ("cpu_percent", 100.0 * spent / began.elapsed().as_secs_f64()),
        ],
    );
    Ok(())
}

/// (h): a quarter of Kafka's saturation on small segments, before and after retention has something to delete.
///
/// # Errors
/// The connections', or the broker's.
pub fn retention(session: &mut Session<'_>, program: System) -> Result<()> {
    let often = ["log.retention.check.interval.ms=500", "log.initial.task.delay.ms=500"];
    let mut brokers = session.start(program, 1, &often, "retention")?;
    session.warm_up(&brokers, program)?;
    let settings = producers(4, rate(0.25 * session.base.records_per_s));
    let segment = if session.plan.quick { "1048576" } else { "16777216" };
    let (times, pids) = (session.times(), brokers.pids());
    let address = brokers.address();
    for system in systems(program) {
        let outcomes = session.with_topic(&brokers, *system, 16, &[("segment.bytes", segment)], |topic| {
            let before = load::run(topic, &settings, 0, times, &pids)?;
            topic::configure(&mut Client::connect(&address)?, topic, "retention.bytes", segment)?;
            let during = load::run(topic, &settings, 0, times, &pids)?;
            Ok((before, during, first_offsets(topic)?))
        });
        let (before, during, deleted) = outcomes?;
        session.keep(before.measurement("h", "before", *system, session.round));
        let mut measurement = during.measurement("h", "deleting", *system, session.round);
        measurement.figures.insert("deleted_records".into(), deleted);
        session.keep(measurement);
    }
    brokers.stop()?;
    Ok(())
}

/// Where all partitions begin, added up: records that were deleted.
fn first_offsets(topic: &Topic) -> Result<f64> {
    let mut sum = 0;
    for (address, partitions) in &topic.leaders {
        let firsts = offsets(&mut Client::connect(address)?, topic, partitions, From::Earliest)?;
        sum += firsts.iter().sum::<i64>();
    }
    Ok(sum as f64)
}

/// (i): how long it takes from the start of the process to the first acknowledged record, after a clean stop and after
/// kill -9 with a large log; and how long a clean stop takes.
///
/// # Errors
/// The connections', or the broker's.
pub fn lives(session: &mut Session<'_>, program: System) -> Result<()> {
    let mut brokers = session.start(program, 1, &[], "start and recovery")?;
    let settings = TopicSettings {
        name: "lives".into(),
        partitions: Some(16),
        replication_factor: 1,
        configs: program
            .topic_configs()
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    };
    let topic = Topic::ensure(&mut Client::connect(&brokers.address())?, &settings)?;
    first_acknowledged(&mut brokers, &topic)?;
    let stopped = brokers.stop()?;
    let started = Instant::now();
    brokers.spawn()?;
    first_acknowledged(&mut brokers, &topic)?;
    let figures = [("seconds", started.elapsed().as_secs_f64()), ("stop_seconds", stopped.as_secs_f64())];
    session.keep_figures(("i", "clean"), program, &figures);

    let filled = fill(&topic, session.plan.recovery_bytes, &brokers.pids())?;
    brokers.kill()?;
    let started = Instant::now();
    brokers.spawn()?;
    first_acknowledged(&mut brokers, &topic)?;
    let took = started.elapsed().as_secs_f64();
    let stopped = brokers.stop()?;
    let figures =
        [("seconds", took), ("log_mb", filled as f64 / 1e6), ("stop_seconds", stopped.as_secs_f64())];
    session.keep_figures(("i", "killed"), program, &figures);
    Ok(())
}

/// Recovery is part of it.
const FIRST_PATIENCE: Duration = Duration::from_secs(900);

/// Asks again and again until a record is acknowledged on every partition.
fn first_acknowledged(brokers: &mut Brokers<'_>, topic: &Topic) -> Result<()> {
    let deadline = Instant::now() + FIRST_PATIENCE;
    let mut template = Template::new(Payload::Random, Codec::None, 1, (0, 100), 1);
    loop {
        let Err(error) = acknowledged(&brokers.address(), topic, &mut template) else { return Ok(()) };
        brokers.ensure_alive()?;
        ensure!(Instant::now() < deadline, "no record is acknowledged within {FIRST_PATIENCE:?}: {error:#}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn acknowledged(address: &str, topic: &Topic, template: &mut Template) -> Result<()> {
    let partitions = topic.leaders.values().flatten();
    let records = |index: &i32| {
        let batch = template.batch(1, None, None);
        PartitionProduceData::default().with_index(*index).with_records(Some(batch))
    };
    let partitions: Vec<_> = partitions.map(records).collect();
    let count = partitions.len();
    // By id where the version has it, by name before.
    let data = TopicProduceData::default().with_topic_id(topic.id).with_partition_data(partitions);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![data]);
    let response = Client::connect(address)?.call(&request)?;
    let answers = response.responses.first().context("no answer for the topic")?;
    let fine = answers.partition_responses.iter().filter(|one| one.error_code == 0).count();
    ensure!(fine == count, "{fine} of {count} partitions acknowledged");
    Ok(())
}

/// Three brokers, each partition on all of them: (a) in a closed loop and at an eighth of what one Kafka can do, (d) at
/// an eighth.
///
/// # Errors
/// The connections', or the brokers'.
pub fn cluster(session: &mut Session<'_>, program: System) -> Result<()> {
    let mut brokers = session.start(program, 3, &["min.insync.replicas=2"], "three brokers")?;
    session.warm_up(&brokers, program)?;
    let part = rate(0.125 * session.base.records_per_s);
    for system in systems(program) {
        session.measure(("cluster", "saturation"), &brokers, *system, 16, &producers(6, Rate::Max), 0)?;
        session.measure(("cluster", "load 0.125"), &brokers, *system, 16, &producers(6, part), 0)?;
        session.measure(("cluster", "fan-out 1"), &brokers, *system, 16, &producers(6, part), 1)?;
    }
    brokers.stop()?;
    Ok(())
}

/// The same fixed load of small requests on one shard and on two, on all cores.
///
/// # Errors
/// The connections', or the broker's.
pub fn shards(session: &mut Session<'_>, program: System) -> Result<()> {
    if program != System::Corelane {
        return Ok(());
    }
    let settings: ProduceSettings = small_records(16, rate(0.5 * session.base.requests_per_s));
    for (case, shards) in [("1 shard", "corelane.shards=1"), ("2 shards", "corelane.shards=2")] {
        let mut options = session.options(program, 1, &[shards], case);
        options.cores = Some(session.ground.pinning.all.clone());
        let mut brokers = Brokers::start(session.ground, options)?;
        session.warm_up(&brokers, program)?;
        session.measure(("shards", case), &brokers, program, 16, &settings, 0)?;
        brokers.stop()?;
    }
    Ok(())
}
