//! The targets, each computed from the measurements: a median over rounds of what belongs to the same round.

use super::{
    model::{Results, System, Target, median, ratios, spread},
    workload::KEPT_UP,
};
use std::collections::BTreeMap;

use System::{Corelane, Kafka, KafkaFlushing};

/// By round.
type Rounds = BTreeMap<u32, f64>;

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => value >= bound,
            Bound::AtMost(bound) => value <= bound,
            Bound::Below(bound) => value < bound,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Bound::AtLeast(bound) => format!("≥ {bound}{unit}"),
            Bound::AtMost(bound) => format!("≤ {bound}{unit}"),
            Bound::Below(bound) => format!("< {bound}{unit}"),
        }
    }
}

/// All of them, in order.
pub fn judge(results: &Results) -> Vec<Target> {
    let mut all = against_kafka(results);
    all.extend(against_limits(results));
    all.extend(absolute(results));
    all
}

fn against_kafka(results: &Results) -> Vec<Target> {
    let saturation = |system| saturation(results, system);
    let figure = |workload, case, name, system| results.figure(workload, case, system, name);
    let quotient = |workload, case, name, below| {
        ratios(&figure(workload, case, name, Corelane), &figure(workload, case, name, below))
    };
    let spent = |workload, case, name| {
        let of = |system| keeping_up(results, workload, case, system, name);
        ratios(&of(Corelane), &of(Kafka))
    };
    let times = " ×";
    let rate = ratios(&saturation(Corelane), &saturation(KafkaFlushing));
    let unflushed = ratios(&saturation(Corelane), &saturation(Kafka));
    vec![
        target(
            "(a) saturation throughput, both flushing before acks",
            times,
            Bound::AtLeast(10.0),
            &rate,
            GENERATOR,
        ),
        target(
            "(a) saturation throughput, Corelane flushing, Kafka not",
            times,
            Bound::AtLeast(1.5),
            &unflushed,
            GENERATOR,
        ),
        target(
            "(a) p99 at half of Kafka's saturation, Corelane flushing, Kafka not",
            times,
            Bound::AtMost(0.5),
            &quotient("a", "load 0.5", "p99_ms", Kafka),
            "",
        ),
        target(
            "(a) p99.9 at half of Kafka's saturation, Corelane flushing, Kafka not",
            times,
            Bound::AtMost(0.2),
            &quotient("a", "load 0.5", "p99_9_ms", Kafka),
            "",
        ),
        target(
            "(b) requests per second with 64 producers",
            times,
            Bound::AtLeast(3.0),
            &quotient("b", "64 producers", "requests_per_s", Kafka),
            "Corelane flushing, Kafka not",
        ),
        target(
            "(d) broker CPU-seconds per GB, produce + one consumer",
            times,
            Bound::AtMost(0.25),
            &spent("d", "fan-out 1", "cpu_s_per_gb"),
            "at a quarter of Kafka's saturation; Corelane flushing, Kafka not",
        ),
        target(
            "(b) broker CPU-microseconds per request, 100 B records, linger 0",
            times,
            Bound::AtMost(0.25),
            &spent("b", "fixed", "cpu_us_per_request"),
            "16 producers at half of what Kafka can do; Corelane flushing, Kafka not",
        ),
        target(
            "(transactions) committed per second, 1,000 producers, each every 100 ms",
            times,
            Bound::AtLeast(2.0),
            &quotient("transactions", "every 100 ms", "transactions_per_s", Kafka),
            "three brokers; Corelane flushing, Kafka not",
        ),
        target(
            "(transactions) p99 of the same, from when each was to begin",
            times,
            Bound::AtMost(0.5),
            &quotient("transactions", "every 100 ms", "p99_ms", Kafka),
            "three brokers; Corelane flushing, Kafka not",
        ),
    ]
}

const GENERATOR: &str = "as far as the load generator, on its own cores, could offer it: see generator_cores";

fn against_limits(results: &Results) -> Vec<Target> {
    let figure = |workload, case, name| results.figure(workload, case, Corelane, name);
    let part = |values: Rounds, limit: &str| {
        let limit = results.limits.get(limit).copied();
        limit.map_or(Vec::new(), |limit| values.values().map(|value| 100.0 * value / limit).collect())
    };
    let many = |many: &str, few: &str| {
        ratios(&results.figure("c", many, Corelane, "p99_ms"), &results.figure("c", few, Corelane, "p99_ms"))
    };
    let catch_up = part(figure("e", "alone", "received_gb_per_cpu_s"), "sendfile_gb_per_cpu_s");
    let written = part(figure("a", "large batches", "written_mb_per_s"), "write_1m_mb_per_s");
    let amplification: Vec<f64> =
        figure("a", "large batches", "written_per_produced_byte").into_values().collect();
    vec![
        target(
            "(c) p99 on 1,000 partitions against 16, the same bytes per second",
            " ×",
            Bound::AtMost(2.0),
            &many("1000 partitions, no linger", "16 partitions, no linger"),
            "Corelane alone, producers that send at once",
        ),
        target(
            "the same with the producers' linger of 5 ms",
            " ×",
            Bound::AtMost(2.0),
            &many("1000 partitions", "16 partitions"),
            "Corelane alone; batches of one record wait it out, those of 16 partitions are full before",
        ),
        target(
            "(e) catch-up bytes per broker-CPU-second, as a part of bare sendfile",
            " %",
            Bound::AtLeast(90.0),
            &catch_up,
            "the backlog was put out of the page cache, which bare sendfile reads from",
        ),
        target(
            "(a) bytes written to disk per second with large batches, as a part of the disk's own rate",
            " %",
            Bound::AtLeast(80.0),
            &written,
            "own rate: sequential O_DIRECT writes of 1 MiB, one at a time, not flushed",
        ),
        target(
            "(a) write amplification with large batches",
            " ×",
            Bound::AtMost(1.2),
            &amplification,
            "bytes that the process had written per byte of values, journal included",
        ),
    ]
}

fn absolute(results: &Results) -> Vec<Target> {
    let figure = |workload, case, name| results.figure(workload, case, Corelane, name);
    let all = |workload, case, name| figure(workload, case, name).into_values().collect::<Vec<f64>>();
    let change: Vec<f64> = ratios(&figure("h", "deleting", "p99_9_ms"), &figure("h", "before", "p99_9_ms"))
        .into_iter()
        .map(|ratio| 100.0 * (ratio - 1.0))
        .collect();
    let milliseconds: Vec<f64> =
        all("i", "clean", "seconds").into_iter().map(|seconds| seconds * 1e3).collect();
    let log = median(&all("i", "killed", "log_mb")).unwrap_or(0.0);
    let on_shards = |case| keeping_up(results, "shards", case, Corelane, "cpu_us_per_request");
    let crossing = ratios(&on_shards("2 shards"), &on_shards("1 shard"));
    vec![
        target("(h) p99.9 when deletion starts: change", " %", Bound::Below(20.0), &change, "Corelane alone"),
        target(
            "(i) start to first acknowledged record on every partition, after a clean stop",
            " ms",
            Bound::Below(100.0),
            &milliseconds,
            "",
        ),
        target(
            "(i) the same after kill -9",
            " s",
            Bound::Below(1.0),
            &all("i", "killed", "seconds"),
            &format!("with {log:.0} MB of log; the target is meant for 10 GiB"),
        ),
        target("(j) memory idle", " MiB", Bound::Below(64.0), &all("j", "idle", "rss_mib"), "resident"),
        target("(j) CPU idle, of a core", " %", Bound::Below(0.5), &all("j", "idle", "cpu_percent"), ""),
        target(
            "CPU per request with 2 shards against 1",
            " ×",
            Bound::AtMost(1.15),
            &crossing,
            "100 B, 16 producers, half of what Kafka can do, on all cores",
        ),
    ]
}

/// A figure of those rounds in which the fixed load was kept up with: what is spent for a request says nothing where most
/// of them did not come.
fn keeping_up(results: &Results, workload: &str, case: &str, system: System, name: &str) -> Rounds {
    let of = |name: &str| results.figure(workload, case, system, name);
    let (offered, done) = (of("offered_records_per_s"), of("records_per_s"));
    let mut rounds = of(name);
    rounds.retain(|round, _| {
        done.get(round).zip(offered.get(round)).is_some_and(|(done, offered)| *done >= KEPT_UP * offered)
    });
    rounds
}

/// The most records per second that a system acknowledged in any run of (a) with batches of 16 KiB, by round.
pub fn saturation(results: &Results, system: System) -> Rounds {
    let mut most = Rounds::new();
    for run in results.runs("a", system).filter(|run| run.case != "large batches") {
        let rate = run.figures.get("records_per_s").copied().unwrap_or(0.0);
        let known = most.entry(run.round).or_insert(0.0);
        *known = known.max(rate);
    }
    most
}

fn target(figure: &str, unit: &str, bound: Bound, values: &[f64], note: &str) -> Target {
    let value = median(values);
    Target {
        figure: figure.into(),
        target: bound.text(unit),
        value,
        spread: spread(values),
        rounds: values.len(),
        met: value.map(|value| bound.holds(value)),
        unit: unit.into(),
        note: note.into(),
    }
}

/// For a terminal.
pub fn table(targets: &[Target]) -> String {
    let line = |target: &Target| {
        let (value, verdict) = (value_text(target), verdict(target));
        format!("{:<76} {:>10} {value:>34} {verdict}\n", target.figure, target.target)
    };
    targets.iter().map(line).collect()
}

/// The median and its spread.
pub fn value_text(target: &Target) -> String {
    let Some(value) = target.value else { return "not measured".into() };
    let (low, high) = target.spread.unwrap_or((value, value));
    let number = super::plot::number;
    format!("{}{} ({} to {})", number(value), target.unit, number(low), number(high))
}

/// In a word.
pub fn verdict(target: &Target) -> &'static str {
    match target.met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::model::Measurement;

    fn run(workload: &str, case: &str, system: System, round: u32, figures: &[(&str, f64)]) -> Measurement {
        Measurement {
            workload: workload.into(),
            case: case.into(),
            system,
            round,
            figures: figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            percentiles_ms: Vec::new(),
            errors: BTreeMap::new(),
        }
    }

    #[test]
    fn a_target_is_the_median_of_ratios_within_rounds_not_the_ratio_of_medians() {
        let mut results = Results::default();
        for (round, ours, theirs) in [(1, 10.0, 100.0), (2, 30.0, 60.0), (3, 40.0, 50.0)] {
            for (system, ms) in [(Corelane, ours), (Kafka, theirs)] {
                results.measurements.push(run("a", "load 0.5", system, round, &[("p99_ms", ms)]));
            }
        }
        let all = judge(&results);
        let p99 = all.iter().find(|target| target.figure.starts_with("(a) p99 at")).unwrap();
        assert_eq!((p99.value, p99.spread, p99.met), (Some(0.5), Some((0.1, 0.8)), Some(true)));
    }

    #[test]
    fn what_a_request_costs_counts_only_where_the_load_was_kept_up_with() {
        let mut results = Results::default();
        for (round, done) in [(1, 100.0), (2, 4.0)] {
            for (system, cost) in [(Corelane, 1.0), (Kafka, 4.0)] {
                let figures =
                    [("offered_records_per_s", 100.0), ("records_per_s", done), ("cpu_us_per_request", cost)];
                results.measurements.push(run("b", "fixed", system, round, &figures));
            }
        }
        let all = judge(&results);
        let cost = all.iter().find(|target| target.figure.starts_with("(b) broker CPU")).unwrap();
        assert_eq!((cost.value, cost.rounds), (Some(0.25), 1));
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        for target in judge(&Results::default()) {
            assert_eq!((target.value, target.met, target.rounds), (None, None, 0), "{}", target.figure);
        }
    }

    #[test]
    fn saturation_is_the_most_of_a_round_whatever_load_showed_it() {
        let mut results = Results::default();
        for (case, rate) in [("saturation", 5.0), ("load 2", 7.0), ("large batches", 99.0)] {
            results.measurements.push(run("a", case, Kafka, 1, &[("records_per_s", rate)]));
        }
        assert_eq!(saturation(&results, Kafka), BTreeMap::from([(1, 7.0)]));
    }
}
