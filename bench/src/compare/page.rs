//! The page: targets, plots, all figures, all conditions.

use super::{
    model::{Measurement, Results, System, median, ratios, spread},
    plot::{Axis, Chart, Scale, Series, colour, escape, number},
    profile::flame,
    targets::{value_text, verdict},
    workload::WORKLOADS,
};
use anyhow::{Context, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

mod charts;

const STYLE: &str = "body{font:15px/1.5 Helvetica,Arial,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;margin:1em 0;font-size:14px}\
th,td{border-bottom:1px solid #ddd;padding:.3em .7em;text-align:left;vertical-align:top}\
td.n{text-align:right;white-space:nowrap}\
.met{color:#00664b;font-weight:bold}.missed{color:#a33c00;font-weight:bold}.none{color:#777}\
figure{margin:1.5em 0}figcaption{color:#444;max-width:760px}svg{max-width:100%;height:auto}\
.note{color:#666;font-size:13px}code{font-size:13px}";

/// Writes `report.html` and one SVG for each plot into `directory`; gives the page's path.
///
/// # Errors
/// When they cannot be written.
pub fn write(results: &Results, directory: &Path) -> Result<PathBuf> {
    let mut body = String::new();
    summary(&mut body, results);
    body.push_str("<h2>Plots</h2>\n<p>Lines join medians over the rounds.</p>\n");
    for chart in charts::all(results) {
        let Some(svg) = chart.svg() else { continue };
        let path = directory.join(format!("{}.svg", chart.name));
        fs::write(&path, &svg).with_context(|| format!("cannot write {}", path.display()))?;
        let _ = writeln!(
            body,
            "<figure id=\"{}\">\n{svg}<figcaption>{}</figcaption></figure>",
            chart.name,
            escape(&chart.caption)
        );
    }
    profiles(&mut body, results, directory)?;
    figures(&mut body, results);
    limits(&mut body, results);
    conditions(&mut body, results);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Corelane and Apache Kafka, compared</title>\
         <style>{STYLE}</style></head>\n<body>\n<h1>Corelane and Apache Kafka, compared</h1>\n{body}</body></html>\n"
    );
    let path = directory.join("report.html");
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Flame graphs, with the functions that are busy themselves.
fn profiles(out: &mut String, results: &Results, directory: &Path) -> Result<()> {
    if results.profiles.is_empty() {
        return Ok(());
    }
    out.push_str(
        "<h2>Where a CPU-second of Corelane goes</h2>\n<p>Samples of all its threads by CPU time, user and kernel. Each box is \
         a function on top of its caller, as wide as its part; rest the pointer on one for its name.</p>\n",
    );
    for profile in &results.profiles {
        let title = profile.name.replace('-', " ");
        let Some(svg) = flame::svg(&title, &profile.stacks) else { continue };
        let path = directory.join(format!("flame-{}.svg", profile.name));
        fs::write(&path, &svg).with_context(|| format!("cannot write {}", path.display()))?;
        let caption = escape(&profile.caption);
        let _ = writeln!(out, "<figure>\n{svg}<figcaption>{caption}</figcaption></figure>\n<table>");
        for (name, part) in flame::busiest(&profile.stacks, 10) {
            let _ = writeln!(
                out,
                "<tr><td class=\"n\">{} %</td><td><code>{}</code></td></tr>",
                number(100.0 * part),
                escape(name)
            );
        }
        out.push_str("</table>\n");
    }
    Ok(())
}

fn summary(out: &mut String, results: &Results) {
    let find = |name: &str| {
        results.conditions.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    };
    for name in ["time", "form", "cpu", "commit"] {
        if let Some(text) = find(name) {
            let _ = writeln!(out, "<p class=\"note\">{name}: {}</p>", escape(text));
        }
    }
    out.push_str(
        "<h2>Targets</h2>\n<p>Medians over rounds, least and most behind them; a ratio is taken within each round, \
         Corelane's figure divided by Kafka's.</p>\n<table><tr><th>figure</th><th>target</th><th>measured</th><th>rounds</th>\
         <th></th></tr>\n",
    );
    for target in &results.targets {
        let class = match target.met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "none",
        };
        let _ = writeln!(
            out,
            "<tr><td>{}<br><span class=\"note\">{}</span></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td \
             class=\"n\">{}</td><td class=\"{class}\">{}</td></tr>",
            escape(&target.figure),
            escape(&target.note),
            escape(&target.target),
            escape(&value_text(target)),
            target.rounds,
            verdict(target)
        );
    }
    out.push_str("</table>\n");
    if !results.failures.is_empty() {
        out.push_str("<h2>Not measured</h2>\n<ul>\n");
        for failure in &results.failures {
            let _ = writeln!(out, "<li>{}</li>", escape(failure));
        }
        out.push_str("</ul>\n");
    }
}

/// How a figure is shown beside what the machine can do.
#[derive(Clone, Copy)]
enum Share {
    /// A figure that is to be high, as a part of this limit.
    Of(&'static str),
    /// A figure that is to be low: which part of it this limit is.
    In(&'static str),
    Without,
}

use Share::{In, Of, Without};

/// In the order of the tables: name, label with unit, limit.
const FIGURES: [(&str, &str, Share); 25] = [
    ("offered_records_per_s", "offered, records/s", Without),
    ("records_per_s", "acknowledged, records/s", Without),
    ("mb_per_s", "acknowledged, MB/s", Of("write_1m_flushed_mb_per_s")),
    ("requests_per_s", "requests/s", Without),
    ("received_mb_per_s", "received, MB/s", Without),
    ("received_gb_per_cpu_s", "received, GB per broker-CPU-s", Of("sendfile_gb_per_cpu_s")),
    ("p50_ms", "p50, ms", Without),
    ("p99_ms", "p99, ms", Without),
    ("p99_9_ms", "p99.9, ms", Without),
    ("cpu_cores", "broker CPU, cores", Without),
    ("cpu_us_per_request", "broker CPU, µs per request", In("ring_round_trip_cpu_us")),
    ("cpu_s_per_gb", "broker CPU, s per GB produced", Without),
    ("cpu_s", "broker CPU, s", Without),
    ("cpu_percent", "broker CPU, % of a core", Without),
    ("rss_mib", "resident memory, MiB", Without),
    ("anonymous_mib", "of that anonymous, MiB", Without),
    ("rss_max_mib", "resident memory, most, MiB", Without),
    ("written_mb_per_s", "written to disk, MB/s", Of("write_1m_mb_per_s")),
    ("written_per_produced_byte", "written per byte produced", Without),
    ("generator_cores", "load generator, cores", Without),
    ("unanswered_records", "unanswered or never sent, records", Without),
    ("deleted_records", "deleted by retention, records", Without),
    ("seconds", "time, s", Without),
    ("stop_seconds", "clean stop, s", Without),
    ("log_mb", "log, MB", Without),
];

fn figures(out: &mut String, results: &Results) {
    out.push_str(
        "<h2>Figures</h2>\n<p>Median over rounds (least to most). CPU and memory are the broker's own, of all its nodes \
         together, read from /proc. Latency is not told of closed loops. Percentages are parts of the machine's limit, or, of CPU \
         per request, what a bare ring needs of it. The ratio is the median of Corelane's figure divided by that of Kafka at its default, round by round.</p>\n",
    );
    for (workload, title) in WORKLOADS {
        let runs: Vec<&Measurement> =
            results.measurements.iter().filter(|one| one.workload == *workload).collect();
        if runs.is_empty() {
            continue;
        }
        let _ = writeln!(out, "<h3>({workload}) {}</h3>", escape(title));
        let mut cases: Vec<&str> = Vec::new();
        for run in &runs {
            if !cases.contains(&run.case.as_str()) {
                cases.push(&run.case);
            }
        }
        out.push_str("<table><tr><th>run</th><th>figure</th>");
        for system in systems_of(results) {
            let _ =
                write!(out, "<th style=\"color:{}\">{}</th>", colour(Some(system)), escape(system.title()));
        }
        out.push_str("<th>ratio</th></tr>\n");
        for case in cases {
            rows(out, results, workload, case);
        }
        out.push_str("</table>\n");
    }
}

fn rows(out: &mut String, results: &Results, workload: &str, case: &str) {
    let mut first = true;
    let systems = systems_of(results);
    for (name, label, share) in FIGURES {
        let of = |system| results.figure(workload, case, system, name);
        let all: Vec<_> = systems.iter().copied().map(of).collect();
        if all.iter().all(BTreeMap::is_empty) {
            continue;
        }
        let shown = if first { escape(case) } else { String::new() };
        first = false;
        let _ = write!(out, "<tr><td>{shown}</td><td>{label}</td>");
        for rounds in &all {
            let _ = write!(out, "<td class=\"n\">{}</td>", cell(rounds, share, &results.limits));
        }
        let ratio =
            median(&ratios(&of(System::Corelane), &of(System::Kafka))).map(number).unwrap_or_default();
        let _ = writeln!(out, "<td class=\"n\">{ratio}</td></tr>");
    }
    let mut errors: BTreeMap<(System, &str), u64> = BTreeMap::new();
    for run in results.measurements.iter().filter(|run| run.workload == workload && run.case == case) {
        for (name, count) in &run.errors {
            *errors.entry((run.system, name)).or_default() += count;
        }
    }
    for ((system, name), count) in errors {
        let (system, name) = (escape(system.title()), escape(name));
        let _ = writeln!(
            out,
            "<tr><td></td><td class=\"missed\" colspan=\"5\">{system}: {count} records answered {name}</td></tr>"
        );
    }
}

fn cell(rounds: &BTreeMap<u32, f64>, share: Share, limits: &BTreeMap<String, f64>) -> String {
    let values: Vec<f64> = rounds.values().copied().collect();
    let (Some(middle), Some((low, high))) = (median(&values), spread(&values)) else { return String::new() };
    let mut text = number(middle);
    if values.len() > 1 {
        let _ = write!(text, " ({} to {})", number(low), number(high));
    }
    let part = match share {
        Of(name) => limits.get(name).map(|limit| middle / limit),
        In(name) => limits.get(name).map(|limit| limit / middle),
        Without => None,
    };
    if let Some(part) = part.filter(|part| part.is_finite()) {
        let _ = write!(text, "<br><span class=\"note\">{} %</span>", number(100.0 * part));
    }
    text
}

fn limits(out: &mut String, results: &Results) {
    if results.limits.is_empty() {
        return;
    }
    out.push_str("<h2>Limits of this machine</h2>\n<table>\n");
    for (name, value) in &results.limits {
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td></tr>",
            escape(name),
            number(*value)
        );
    }
    out.push_str("</table>\n");
}

fn conditions(out: &mut String, results: &Results) {
    out.push_str("<h2>Conditions</h2>\n<table>\n");
    for (name, text) in &results.conditions {
        let _ = writeln!(out, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(text));
    }
    for (name, program) in &results.programs {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}<br><code>{}</code><br>{}</td></tr>",
            escape(name),
            escape(&program.version),
            escape(&program.command),
            program
                .settings
                .iter()
                .map(|line| format!("<code>{}</code>", escape(line)))
                .collect::<Vec<_>>()
                .join("<br>")
        );
    }
    out.push_str("</table>\n");
    for text in METHOD {
        let _ = writeln!(out, "<p>{}</p>", escape(text));
    }
}

/// What a reader has to know of how it was measured.
const METHOD: [&str; 7] = [
    "One load generator for all: producers at the defaults of Kafka's own (acks=all, idempotent, batches of 16 KiB, linger 5 ms, \
     five requests in flight) unless a workload says otherwise. Fixed loads are open loops: arrivals are fixed in advance and \
     latency counts from when a record was due.",
    "Corelane flushes before it answers acks=all. Kafka at its default answers from memory; with flush.messages=1 it flushes first.",
    "Tansu, where it was named, takes part in (a) and (b), on its SQLite storage as it sets it: a write-ahead log that is not flushed \
     before it answers (synchronous = normal).",
    "Kafka's topics have file.delete.delay.ms=1000, so that what earlier runs left is off the disk soon; Corelane deletes at once.",
    "Brokers start anew in each round, with empty directories, warmed up by the same load. The programs take turns in being first.",
    "The backlog of (e) is put out of the page cache before it is read (fsync and posix_fadvise of every file of the broker), in \
     place of one that is larger than the memory.",
    "Bytes written are write_bytes of /proc/PID/io within the measured time: at once for direct writes, when the page cache is \
     dirtied for others.",
];

/// Which systems there are figures of.
fn systems_of(results: &Results) -> BTreeSet<System> {
    results.measurements.iter().map(|one| one.system).collect()
}
