//! From tallies to a report.

use crate::{
    client::error_name,
    clock::Timeline,
    consume::{self, ConsumeSettings},
    limits::{Limits, loopback::SendRate},
    options::RunOptions,
    process::Usage,
    produce::{self, Acks, ProduceSettings},
    report::{Figure, LatencyRow, Report, Section},
    schedule::Rate,
};
use std::{collections::BTreeMap, time::Duration};

/// A figure without a note.
pub(super) fn figure(name: &str, label: &str, value: f64, unit: &'static str) -> Figure {
    Figure::new(name, label, value, unit)
}

pub(super) fn payload_gb(records: u64, record_bytes: usize) -> f64 {
    records as f64 * record_bytes as f64 / 1e9
}

pub(super) fn rate_text(rate: Rate) -> String {
    match rate {
        Rate::Max => "max (closed loop)".into(),
        Rate::PerSecond(rate) => format!("{rate} records/s (open loop)"),
    }
}

pub(super) fn run_settings(report: &mut Report, run: &RunOptions) {
    let time = format!("{} s after {} s of warm-up", run.seconds, run.warmup);
    report.settings.push(("measured".into(), time));
    if !run.topic_config.is_empty() {
        let pairs: Vec<_> = run.topic_config.iter().map(|(name, value)| format!("{name}={value}")).collect();
        report.settings.push(("configuration if created".into(), pairs.join(" ")));
    }
}

pub(super) fn produce_settings(report: &mut Report, settings: &ProduceSettings) {
    let acks = match settings.acks {
        Acks::None => "0 (latency ends when the kernel has the request)",
        Acks::Leader => "1",
        Acks::All => "all",
    };
    let texts = [
        ("producers", format!("{} (threads: {})", settings.producers, settings.threads)),
        ("rate", rate_text(settings.rate)),
        (
            "records",
            format!("{} bytes, {:?}, {}", settings.record_bytes, settings.payload, settings.codec.name()),
        ),
        (
            "batches",
            format!(
                "{} bytes ({} records), linger {} ms, {:?}",
                settings.batch_bytes,
                settings.batch_records(),
                settings.linger_ns as f64 / 1e6,
                settings.spread
            ),
        ),
        (
            "requests",
            format!(
                "{} bytes, {} in flight for each producer",
                settings.request_bytes, settings.requests_in_flight
            ),
        ),
        ("acks", acks.into()),
        ("idempotent", settings.idempotent.to_string()),
    ];
    report.settings.extend(texts.map(|(name, text)| (name.to_owned(), text)));
}

pub(super) fn consume_settings(report: &mut Report, settings: &ConsumeSettings) {
    let fetch = format!(
        "min {} B, max {} B, partition {} B, wait {} ms",
        settings.min_bytes, settings.max_bytes, settings.partition_max_bytes, settings.max_wait_ms
    );
    let texts = [
        ("consumers", settings.consumers.to_string()),
        ("from", format!("{:?}", settings.from)),
        ("fetch", fetch),
        ("fetch sessions", settings.sessions.to_string()),
        ("verify", settings.verify.to_string()),
    ];
    report.settings.extend(texts.map(|(name, text)| (name.to_owned(), text)));
}

pub(super) fn produced(
    report: &mut Report,
    name: &str,
    settings: &ProduceSettings,
    tally: &produce::Tally,
    timeline: Timeline,
    limits: Option<&Limits>,
) {
    let seconds = timeline.measured_seconds();
    let mb_per_s = payload_gb(tally.acknowledged_measured, settings.record_bytes) * 1e3 / seconds;
    let requests_per_s = tally.requests_measured as f64 / seconds;
    let batch_records = tally.acknowledged_measured as f64 / tally.batches_measured.max(1) as f64;
    let mut section = Section::new(name);
    section.push(figure(
        "records_per_s",
        "acknowledged",
        tally.acknowledged_measured as f64 / seconds,
        "records/s",
    ));
    let throughput = figure("mb_per_s", "throughput", mb_per_s, "MB/s");
    section.push(match limits {
        Some(limits) => {
            throughput.note(share(mb_per_s, limits.large_writes.mb_per_s(), "1 MiB flushed writes"))
        }
        None => throughput.note("values only"),
    });
    let requests = figure("requests_per_s", "requests", requests_per_s, "/s");
    section.push(match limits {
        Some(limits) => {
            requests.note(share(requests_per_s, limits.small_writes.writes_per_s, "4 KiB flushed writes"))
        }
        None => requests,
    });
    section.push(figure("records_per_batch", "records in a batch", batch_records, "mean"));
    section.push(figure("acknowledged_records", "acknowledged in all", tally.acknowledged as f64, "records"));
    section.push(figure("unanswered_records", "unanswered at the end", tally.unanswered as f64, "records"));
    section.push(figure("unsent_records", "never sent", tally.unsent as f64, "records"));
    report.sections.push(section);
    report.latencies.push(LatencyRow { name: name.into(), latencies: tally.latencies.clone() });
    errors(report, &format!("{name}: records answered"), &tally.errors);
    if tally.unanswered + tally.unsent > 0 {
        report.warnings.push(format!(
            "{name}: what was unanswered or never sent is charged as if it were acknowledged when the run gave up; its \
             true latency is longer"
        ));
    }
    if settings.rate == Rate::Max {
        report.warnings.push(format!(
            "{name}: a closed loop; its latency counts from when a record was sent and says how deep the queues are"
        ));
    }
}

pub(super) fn consumed(
    report: &mut Report,
    tally: &consume::Tally,
    timeline: Timeline,
    limits: Option<&Limits>,
) {
    let seconds = timeline.measured_seconds();
    let mb_per_s = tally.bytes_measured as f64 / 1e6 / seconds;
    let mut section = Section::new("consume");
    section.push(figure("records_per_s", "received", tally.records_measured as f64 / seconds, "records/s"));
    let throughput = figure("mb_per_s", "throughput", mb_per_s, "MB/s");
    section.push(match limits {
        Some(limits) => throughput.note(share(mb_per_s, limits.sendfile.gb_per_s * 1e3, "loopback sendfile")),
        None => throughput.note("whole batches"),
    });
    section.push(figure("fetches_per_s", "fetches", tally.responses_measured as f64 / seconds, "/s"));
    section.push(figure("empty_fetches", "without a record", tally.empty_measured as f64, "fetches"));
    section.push(figure("seconds", "time", seconds, "s"));
    section.push(figure("records", "received in all", tally.records as f64, "records"));
    section.push(figure("crc_mismatches", "wrong checksums", tally.crc_mismatches as f64, "batches"));
    section.push(figure("offset_gaps", "offsets missing", tally.offset_gaps as f64, "places"));
    report.sections.push(section);
    errors(report, "consume: partitions answered", &tally.errors);
    if tally.crc_mismatches + tally.offset_gaps > 0 {
        report.warnings.push(
            "wrong checksums or missing offsets: damage, unless the topic is compacted or has transactions"
                .into(),
        );
    }
}

pub(super) fn end_to_end(report: &mut Report, sent: &produce::Tally, received: &consume::Tally) {
    let mut section = Section::new("end to end");
    let lost = sent.acknowledged.saturating_sub(received.stamped);
    section.push(figure("received_records", "received", received.stamped as f64, "records"));
    section.push(figure("missing_records", "acknowledged, not received", lost as f64, "records"));
    report.sections.push(section);
    report.latencies.push(LatencyRow { name: "end to end".into(), latencies: received.latencies.clone() });
    if lost > 0 {
        report
            .warnings
            .push(format!("{lost} acknowledged records did not come before the run gave up (--drain)"));
    }
}

pub(super) fn process(report: &mut Report, usage: Option<Usage>, gigabytes: f64, timeline: Timeline) {
    let Some(usage) = usage else { return };
    let cpu_seconds = usage.cpu().as_secs_f64();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut section = Section::new("broker process");
    section.push(figure("cpu_s", "CPU time", cpu_seconds, "s"));
    let cores = cpu_seconds / timeline.measured_seconds();
    section.push(figure("cpu_cores", "cores busy", cores, ""));
    if gigabytes > 0.0 {
        section.push(figure("cpu_s_per_gb", "CPU time per GB", cpu_seconds / gigabytes, "s/GB"));
    }
    section.push(figure("rss_idle_mib", "memory idle", mib(usage.idle.rss_bytes), "MiB").note("resident"));
    section.push(
        figure("rss_loaded_mib", "memory loaded", mib(usage.rss_bytes_max), "MiB")
            .note("resident, most seen"),
    );
    let anonymous = mib(usage.end.anonymous_bytes);
    section.push(figure("anonymous_loaded_mib", "of that anonymous", anonymous, "MiB").note("at the end"));
    section.push(figure("threads", "threads", usage.end.threads as f64, ""));
    report.sections.push(section);
}

/// So that a reader sees whether it was the load generator that had no more to give.
pub(super) fn generator(report: &mut Report, cpu: Duration, timeline: Timeline) {
    let mut section = Section::new("load generator");
    section.push(figure("cpu_cores", "cores busy", cpu.as_secs_f64() / timeline.measured_seconds(), ""));
    report.sections.push(section);
}

pub(super) fn limits(report: &mut Report, limits: &Limits) {
    let mut section = Section::new("limits of this machine");
    for (name, label, rate) in [
        ("write_4k", "4 KiB write + fdatasync", &limits.small_writes),
        ("write_1m", "1 MiB write + fdatasync", &limits.large_writes),
    ] {
        section.push(
            figure(&format!("{name}_per_s"), label, rate.writes_per_s, "/s").note("one at a time, O_DIRECT"),
        );
        section.push(figure(&format!("{name}_mb_per_s"), "", rate.mb_per_s(), "MB/s"));
        report.latencies.push(LatencyRow { name: label.into(), latencies: rate.latencies.clone() });
    }
    let mut send = |name: &str, label: &str, rate: SendRate| {
        section.push(figure(&format!("{name}_gb_per_s"), label, rate.gb_per_s, "GB/s"));
        let per_cpu = rate.gb_per_cpu_s;
        section
            .push(figure(&format!("{name}_gb_per_cpu_s"), "", per_cpu, "GB/cpu-s").note("sender's CPU time"));
    };
    send("send", "loopback send", limits.send);
    send("sendfile", "loopback sendfile", limits.sendfile);
    report.sections.push(section);
}

fn share(value: f64, limit: f64, of: &str) -> String {
    format!("{:.1} % of {of}", 100.0 * value / limit)
}

fn errors(report: &mut Report, what: &str, errors: &BTreeMap<i16, u64>) {
    report
        .errors
        .extend(errors.iter().map(|(code, count)| (format!("{what} {}", error_name(*code)), *count)));
}
