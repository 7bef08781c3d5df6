//! Producing and consuming, alone and together.

use super::{Setup, results, soon};
use crate::{
    clock::{Timeline, now_ns, sleep_until, unix_ms},
    consume::{self, Progress, Until},
    options::{ConsumeOptions, ProduceOptions, RunOptions},
    process::{Process, Sample, Usage},
    produce::{self, ProduceSettings},
    report::{Report, Section},
    schedule::Rate,
    topic::{From, Topic},
};
use anyhow::Result;
use std::{sync::Arc, time::Duration};

/// How often a process is looked at for the most memory it takes.
const SAMPLE_EVERY_NS: u64 = 250_000_000;

pub(super) fn produce(run: &RunOptions, options: &ProduceOptions) -> Result<Report> {
    let settings = options.settings(None)?;
    let mut setup = Setup::new("produce", run)?;
    let topic = setup.topic(run)?;
    results::produce_settings(&mut setup.report, &settings);
    let (tally, costs, timeline) = produce_once(run, &topic, std::slice::from_ref(&settings), setup.process)?;
    let mut report = setup.report;
    results::produced(&mut report, "produce", &settings, &tally[0], timeline, setup.limits.as_ref());
    let gigabytes = results::payload_gb(tally[0].acknowledged_measured, settings.record_bytes);
    results::process(&mut report, costs.broker, gigabytes, timeline);
    results::generator(&mut report, costs.generator_cpu, timeline);
    Ok(report)
}

/// Runs several populations of producers beside each other.
fn produce_once(
    run: &RunOptions,
    topic: &Topic,
    populations: &[ProduceSettings],
    process: Option<(Process, Sample)>,
) -> Result<(Vec<produce::Tally>, Costs, Timeline)> {
    let prepared = populations.iter().map(|settings| produce::prepare(topic, settings.clone()));
    let prepared = prepared.collect::<Result<Vec<_>>>()?;
    let timeline = Timeline::new(soon(), run.warmup, run.seconds, run.drain);
    let running = prepared.into_iter().map(|one| one.start(timeline)).collect::<Result<Vec<_>>>()?;
    let costs = watch(process, timeline)?;
    let tallies = running.into_iter().map(produce::Running::join).collect::<Result<Vec<_>>>()?;
    Ok((tallies, costs, timeline))
}

/// What both sides cost over the measured time.
struct Costs {
    broker: Option<Usage>,
    generator_cpu: Duration,
}

/// CPU time of this process so far.
fn own_cpu() -> Result<Duration> {
    Ok(Process::new(std::process::id()).sample()?.cpu)
}

/// Watches the broker's process and this one over the measured time.
fn watch(process: Option<(Process, Sample)>, timeline: Timeline) -> Result<Costs> {
    sleep_until(timeline.measure_ns);
    let own_before = own_cpu()?;
    let begin = |(process, idle): (Process, Sample)| {
        let begin = process.sample()?;
        Ok::<_, anyhow::Error>((process, Usage { idle, begin, end: begin, rss_bytes_max: begin.rss_bytes }))
    };
    let mut broker = process.map(begin).transpose()?;
    while now_ns() < timeline.end_ns {
        sleep_until(timeline.end_ns.min(now_ns() + SAMPLE_EVERY_NS));
        if let Some((process, usage)) = &mut broker {
            usage.end = process.sample()?;
            usage.rss_bytes_max = usage.rss_bytes_max.max(usage.end.rss_bytes);
        }
    }
    let generator_cpu = own_cpu()?.saturating_sub(own_before);
    Ok(Costs { broker: broker.map(|(_, usage)| usage), generator_cpu })
}

pub(super) fn mixed(
    run: &RunOptions,
    options: &ProduceOptions,
    large_record_bytes: usize,
    large_rate: Rate,
) -> Result<Report> {
    let small = options.settings(None)?;
    let large = ProduceSettings {
        producers: 1,
        threads: 1,
        rate: large_rate,
        record_bytes: large_record_bytes,
        batch_bytes: large_record_bytes,
        request_bytes: large_record_bytes,
        linger_ns: 0,
        ..small.clone()
    };
    let mut setup = Setup::new("mixed", run)?;
    let topic = setup.topic(run)?;
    results::produce_settings(&mut setup.report, &small);
    setup
        .report
        .settings
        .push(("large records".into(), format!("{large_record_bytes} bytes, one in a batch")));
    setup.report.settings.push(("large rate".into(), results::rate_text(large_rate)));

    let (alone, _, timeline) = produce_once(run, &topic, std::slice::from_ref(&small), None)?;
    let mut report = setup.report;
    results::produced(&mut report, "small alone", &small, &alone[0], timeline, None);
    let both = [small.clone(), large.clone()];
    let (beside, costs, timeline) = produce_once(run, &topic, &both, setup.process)?;
    results::produced(&mut report, "small beside large", &small, &beside[0], timeline, None);
    results::produced(&mut report, "large", &large, &beside[1], timeline, setup.limits.as_ref());
    let gigabytes = results::payload_gb(beside[0].acknowledged_measured, small.record_bytes)
        + results::payload_gb(beside[1].acknowledged_measured, large.record_bytes);
    results::process(&mut report, costs.broker, gigabytes, timeline);
    results::generator(&mut report, costs.generator_cpu, timeline);
    let p99 = |tally: &produce::Tally| tally.latencies.percentile_ms(99.0);
    if let (Some(before), Some(after)) = (p99(&alone[0]), p99(&beside[0])) {
        let mut section = Section::new("small produce beside large batches");
        section.push(results::figure("p99_ratio", "p99 beside / p99 alone", after / before, ""));
        report.sections.push(section);
    }
    Ok(report)
}

pub(super) fn consume(
    run: &RunOptions,
    options: &ConsumeOptions,
    tail: bool,
    keep_reading: bool,
) -> Result<Report> {
    let from = if tail { From::Latest } else { From::Earliest };
    let settings = options.settings(from, None)?;
    let mut setup = Setup::new("consume", run)?;
    let topic = setup.topic(run)?;
    results::consume_settings(&mut setup.report, &settings);
    let prepared = consume::prepare(&topic, &settings)?;
    let backlog = prepared.backlog();
    let to_end = !tail && !keep_reading;
    let until = if to_end { Until::End } else { Until::Time };
    // A backlog is read once: what a warm-up took would be missing from it.
    let warmup = if to_end { 0.0 } else { run.warmup };
    let timeline = Timeline::new(soon(), warmup, run.seconds, run.drain);
    let own_before = own_cpu()?;
    let before = setup.process.map(|(process, _)| process.sample()).transpose()?;
    let running = prepared.start(timeline, &until)?;
    let watched = if to_end { None } else { Some(watch(setup.process, timeline)?) };
    let tally = running.join()?;
    let costs = match watched {
        Some(costs) => costs,
        None => {
            let read = |((process, idle), begin): ((Process, Sample), Sample)| {
                let end = process.sample()?;
                Ok::<_, anyhow::Error>(Usage { idle, begin, end, rss_bytes_max: end.rss_bytes })
            };
            let broker = setup.process.zip(before).map(read).transpose()?;
            Costs { broker, generator_cpu: own_cpu()?.saturating_sub(own_before) }
        }
    };
    let mut report = setup.report;
    let ended =
        if to_end { tally.last_ns.clamp(timeline.start_ns + 1, timeline.end_ns) } else { timeline.end_ns };
    let counted = Timeline { end_ns: ended, ..timeline };
    results::consumed(&mut report, &tally, counted, setup.limits.as_ref());
    if to_end && tally.records < backlog {
        report
            .warnings
            .push(format!("of a backlog of {backlog} records {} were read in time", tally.records));
    }
    results::process(&mut report, costs.broker, tally.bytes_measured as f64 / 1e9, counted);
    results::generator(&mut report, costs.generator_cpu, counted);
    Ok(report)
}

pub(super) fn e2e(run: &RunOptions, produce: &ProduceOptions, consume: &ConsumeOptions) -> Result<Report> {
    // Tells this run's records from those of an earlier one in the same topic.
    let id = unix_ms().cast_unsigned() << 16 | u64::from(std::process::id() & 0xffff);
    let sending = produce.settings(Some(id))?;
    let reading = consume.settings(From::Latest, Some(id))?;
    let mut setup = Setup::new("e2e", run)?;
    let topic = setup.topic(run)?;
    results::produce_settings(&mut setup.report, &sending);
    results::consume_settings(&mut setup.report, &reading);

    let producers = produce::prepare(&topic, sending.clone())?;
    let consumers = consume::prepare(&topic, &reading)?;
    let timeline = Timeline::new(soon(), run.warmup, run.seconds, run.drain);
    let progress = Arc::new(Progress::default());
    let consumers = consumers.start(timeline, &Until::Received(Arc::clone(&progress)))?;
    let producers = producers.start(timeline)?;
    let costs = watch(setup.process, timeline)?;
    let sent = producers.join()?;
    progress.set_produced(sent.acknowledged);
    let received = consumers.join()?;

    let mut report = setup.report;
    results::produced(&mut report, "produce", &sending, &sent, timeline, setup.limits.as_ref());
    results::consumed(&mut report, &received, timeline, None);
    results::end_to_end(&mut report, &sent, &received);
    let gigabytes = results::payload_gb(sent.acknowledged_measured, sending.record_bytes);
    results::process(&mut report, costs.broker, gigabytes, timeline);
    results::generator(&mut report, costs.generator_cpu, timeline);
    Ok(report)
}
