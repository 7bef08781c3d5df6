//! Which plots there are.

use super::{Axis, Chart, Results, Scale, Series, System, median, systems_of};
use std::collections::BTreeMap;

const LATENCY: Axis = Axis { label: "latency, ms", scale: Scale::Log };
const PERCENTILES: Axis = Axis { label: "percentile of records", scale: Scale::Percentile };
const OFFERED: Axis = Axis { label: "offered load, MB/s", scale: Scale::Log };

pub(super) fn all(results: &Results) -> Vec<Chart> {
    let percentiles = |name, title: &str, workload: &str, cases: &[&str], caption: &str| {
        by_percentile(results, (name, title), workload, cases, caption)
    };
    vec![
        percentiles(
            "latency-half-load",
            "(a) Produce latency at half of Kafka's saturation",
            "a",
            &["load 0.5"],
            "1 KiB records, 16 partitions, acks=all, from when a record was due to its acknowledgement.",
        ),
        percentiles(
            "latency-tail-consumers",
            "(d) End-to-end latency of tail consumers",
            "d",
            &["fan-out 1", "fan-out 8"],
            "From when a record was due to its receipt. One consumer at a quarter of Kafka's saturation, eight at a sixteenth.",
        ),
        throughput_by_load(results),
        cpu_by_load(results),
        p99_by_load(results),
        requests_by_producers(results),
        memory_over_time(results),
        percentiles(
            "latency-many-partitions",
            "(c) Produce latency on 16 and on 1,000 partitions",
            "c",
            &["16 partitions, no linger", "1000 partitions, no linger"],
            "The same bytes per second, a quarter of Kafka's saturation, linger 0; on 1,000 partitions records go round one by one.",
        ),
        percentiles(
            "latency-retention",
            "(h) Produce latency before and while retention deletes",
            "h",
            &["before", "deleting"],
            "A quarter of Kafka's saturation on small segments.",
        ),
        percentiles(
            "latency-cluster",
            "Three brokers: produce and end-to-end latency",
            "cluster",
            &["load 0.125", "fan-out 1"],
            "Replication factor 3, min.insync.replicas=2, an eighth of what one Kafka can do.",
        ),
        percentiles(
            "latency-transactions",
            "Three brokers: latency of transactions",
            "transactions",
            &["every 1000 ms", "every 100 ms"],
            "1,000 producers, from when a transaction was to begin to the answer of its end. Where they cannot be kept up with, \
             transactions wait for those before them.",
        ),
    ]
}

fn series(name: String, system: System, dashed: bool, points: Vec<(f64, f64)>) -> Series {
    Series { name, system: Some(system), dashed, marked: true, points }
}

/// Short enough for a legend.
fn short(system: System) -> &'static str {
    match system {
        System::Corelane => "Corelane",
        System::Kafka => "Kafka, no fsync",
        System::KafkaFlushing => "Kafka, flush.messages=1",
        System::Tansu => "Tansu, no fsync",
    }
}

/// Medians over the rounds at each x.
fn medians(all: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut by_x: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    // All x are positive, whose bits are in their order.
    all.filter(|(x, _)| *x >= 0.0).for_each(|(x, y)| by_x.entry(x.to_bits()).or_default().push(y));
    by_x.into_iter().filter_map(|(bits, values)| Some((f64::from_bits(bits), median(&values)?))).collect()
}

fn by_percentile(
    results: &Results,
    (name, title): (&'static str, &str),
    workload: &str,
    cases: &[&str],
    caption: &str,
) -> Chart {
    let mut lines = Vec::new();
    for system in systems_of(results) {
        for (place, case) in cases.iter().enumerate() {
            let runs = results.runs(workload, system).filter(|run| run.case == **case);
            let points = medians(runs.flat_map(|run| run.percentiles_ms.iter().copied()));
            let label =
                if cases.len() > 1 { format!("{}: {case}", short(system)) } else { short(system).into() };
            lines.push(series(label, system, place > 0, points));
        }
    }
    Chart { name, title: title.into(), caption: caption.into(), x: PERCENTILES, y: LATENCY, series: lines }
}

/// A figure of the fixed loads of (a), by what was offered in MB/s.
fn by_load(results: &Results, figure: &str) -> Vec<Series> {
    let line = |system| {
        let points = results.runs("a", system).filter_map(|run| {
            let offered = run.figures.get("offered_records_per_s")? * 1024.0 / 1e6;
            Some((offered, *run.figures.get(figure)?))
        });
        series(short(system).into(), system, false, medians(points))
    };
    systems_of(results).into_iter().map(line).collect()
}

fn throughput_by_load(results: &Results) -> Chart {
    let mut lines = by_load(results, "mb_per_s");
    let loads: Vec<f64> = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
    let ends = [loads.iter().copied().reduce(f64::min), loads.iter().copied().reduce(f64::max)];
    let points: Vec<_> = ends.into_iter().flatten().map(|load| (load, load)).collect();
    lines.push(Series { name: "what was offered".into(), system: None, dashed: true, marked: false, points });
    Chart {
        name: "throughput-by-load",
        title: "(a) Throughput by load".into(),
        caption: "Acknowledged bytes of values; a system is offered no more once it has kept up with less than 90 %.".into(),
        x: OFFERED,
        y: Axis { label: "acknowledged, MB/s", scale: Scale::Log },
        series: lines,
    }
}

fn cpu_by_load(results: &Results) -> Chart {
    Chart {
        name: "cpu-by-load",
        title: "(a) Broker CPU by load".into(),
        caption: "CPU time of the broker's process, user and system; the load generator's is not in it."
            .into(),
        x: OFFERED,
        y: Axis { label: "cores busy", scale: Scale::Linear },
        series: by_load(results, "cpu_cores"),
    }
}

fn p99_by_load(results: &Results) -> Chart {
    Chart {
        name: "p99-by-load",
        title: "(a) 99th percentile of produce latency by load".into(),
        caption: "Where a load is not kept up with, latency is that of the queue and grows with the run."
            .into(),
        x: OFFERED,
        y: Axis { label: "p99, ms", scale: Scale::Log },
        series: by_load(results, "p99_ms"),
    }
}

fn requests_by_producers(results: &Results) -> Chart {
    let line = |system| {
        let points = results.runs("b", system).filter_map(|run| {
            let count = run.case.strip_suffix(" producers")?.parse().ok()?;
            Some((count, *run.figures.get("requests_per_s")?))
        });
        series(short(system).into(), system, false, medians(points))
    };
    Chart {
        name: "requests-by-producers",
        title: "(b) Requests per second by producers".into(),
        caption: "One record of 100 B in each request, five in flight on each connection, closed loop."
            .into(),
        x: Axis { label: "producers", scale: Scale::Log },
        y: Axis { label: "requests/s", scale: Scale::Log },
        series: systems_of(results).into_iter().map(line).collect(),
    }
}

fn memory_over_time(results: &Results) -> Chart {
    let mut lines = Vec::new();
    for life in results.watched.iter().filter(|life| life.round == 1 && life.purpose == "a node alone") {
        let points = life.samples.iter().map(|(at, mib, _)| (*at, *mib)).collect();
        let mut line = series(short(life.system).into(), life.system, false, points);
        line.marked = false;
        if life.system == System::Kafka {
            line.name = "Kafka, both settings in turn".into();
        }
        lines.push(line);
    }
    Chart {
        name: "memory-over-time",
        title: "Memory over time, first round".into(),
        caption: "Resident memory of the broker's process while the workloads of a node alone run one after the other; Kafka's, \
                  with two settings, take longer. Page cache is not in it."
            .into(),
        x: Axis { label: "seconds since start", scale: Scale::Linear },
        y: Axis { label: "resident, MiB", scale: Scale::Linear },
        series: lines,
    }
}
