//! A group of many members: its parts as a report.

use super::{Setup, connections::allow_descriptors, results::figure};
use crate::{
    groups::{self, GroupSettings, Part, Protocol},
    options::RunOptions,
    report::{Report, Section},
};
use anyhow::Result;
use corelane_core::ids::TopicId;
use std::time::Duration;

pub(super) struct Wanted {
    pub members: usize,
    pub protocol: Protocol,
    pub heartbeat_ms: u64,
    pub restart_batch: usize,
}

pub(super) fn run(run: &RunOptions, wanted: &Wanted) -> Result<Report> {
    allow_descriptors(wanted.members as u64 + 64)?;
    let mut setup = Setup::new("groups", run)?;
    let topic = setup.topic(run)?;
    let settings = GroupSettings {
        broker: run.broker.clone(),
        group: format!("corelane-bench-{}", std::process::id()),
        topic: topic.name.0.to_string(),
        topic_id: TopicId(topic.id),
        partitions: i32::try_from(topic.partitions())?,
        members: wanted.members,
        protocol: wanted.protocol,
        heartbeat_ms: wanted.heartbeat_ms,
        restart_batch: wanted.restart_batch,
        quiet: Duration::from_secs_f64(run.seconds),
    };
    let texts = [
        ("members", wanted.members.to_string()),
        ("protocol", format!("{:?}", wanted.protocol).to_lowercase()),
        ("members that restart at once", wanted.restart_batch.to_string()),
    ];
    setup.report.settings.extend(texts.map(|(name, text)| (name.to_owned(), text)));
    let process = setup.process.map(|(process, _)| process);
    let result = groups::run(&settings, process)?;
    let mut report = setup.report;
    for (name, part) in [
        ("everyone joins", result.join),
        ("everyone restarts in turn", result.restart),
        ("nothing but heartbeats", result.quiet),
    ] {
        report.sections.push(section(name, &part, process.is_some()));
    }
    Ok(report)
}

fn section(name: &str, part: &Part, has_cpu: bool) -> Section {
    let mut section = Section::new(name);
    section.push(figure("time_s", "time", part.time.as_secs_f64(), "s"));
    section.push(figure("requests", "requests", part.requests as f64, ""));
    section.push(figure("mib", "bytes both ways", part.bytes as f64 / f64::from(1 << 20), "MiB"));
    if has_cpu {
        let cpu = part.cpu.as_secs_f64();
        section.push(figure("broker_cpu_s", "broker's CPU time", cpu, "s"));
        let each = cpu * 1e6 / part.requests.max(1) as f64;
        section.push(figure("broker_cpu_us_per_request", "for each request", each, "us"));
    }
    section
}
