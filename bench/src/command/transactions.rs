//! Many transactional producers: what came of them as a report.

use super::{Setup, connections::allow_descriptors, results::figure, soon};
use crate::{
    clock::Timeline,
    options::RunOptions,
    report::{LatencyRow, Report, Section},
    transactions::{self, TransactionSettings},
};
use anyhow::Result;

pub(super) fn run(run: &RunOptions, settings: &TransactionSettings) -> Result<Report> {
    allow_descriptors(2 * settings.producers as u64 + 64)?;
    let mut setup = Setup::new("transactions", run)?;
    let topic = setup.topic(run)?;
    let texts = [
        ("producers", format!("{}, a transaction every {} ms", settings.producers, settings.every_ms)),
        ("transaction", format!("{} records of {} bytes", settings.records, settings.record_bytes)),
    ];
    setup.report.settings.extend(texts.map(|(name, text)| (name.to_owned(), text)));
    let prepared = transactions::prepare(&run.broker, &topic, settings)?;
    let timeline = Timeline::new(soon(), run.warmup, run.seconds, run.drain);
    let before = setup.process.map(|(process, _)| process.sample()).transpose()?;
    let tally = prepared.run(timeline)?;
    let mut section = Section::new("transactions");
    let seconds = timeline.measured_seconds();
    section.push(figure("committed_per_s", "committed", tally.committed_measured as f64 / seconds, "/s"));
    section.push(figure("unfinished", "due and not committed", tally.unfinished as f64, ""));
    section.push(figure("retries", "asked again", tally.retries as f64, ""));
    if let (Some((process, _)), Some(before)) = (setup.process, before) {
        let cpu = process.sample()?.cpu.saturating_sub(before.cpu).as_secs_f64();
        section.push(figure("broker_cpu_s", "broker's CPU time", cpu, "s").note("with the warm-up"));
    }
    let mut report = setup.report;
    report.sections.push(section);
    report.latencies.push(LatencyRow { name: "transactions".into(), latencies: tally.latencies });
    Ok(report)
}
