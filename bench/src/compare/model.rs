//! What a comparison found, as it stands in its JSON file: one flat list of measurements, from which targets, tables
//! and plots are computed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the JSON's layout.
pub const FORMAT: u32 = 1;

/// What is measured. Kafka is one program under two settings of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Corelane at its defaults: flushes before acks=all is answered.
    Corelane,
    /// Apache Kafka at its defaults: answers acks=all from memory.
    Kafka,
    /// Apache Kafka with `flush.messages=1` on the topic: flushes before it answers.
    KafkaFlushing,
    /// Tansu on its SQLite storage, which writes a transaction to its log, and flushes the log when it is full.
    Tansu,
}

impl System {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            System::Corelane => "Corelane",
            System::Kafka => "Apache Kafka (default, no fsync)",
            System::KafkaFlushing => "Apache Kafka (flush.messages=1)",
            System::Tansu => "Tansu (SQLite, no fsync)",
        }
    }

    /// What is set on each topic. That Kafka's files of deleted topics go away after a second instead of a minute keeps
    /// them from the next run's disk; Corelane's go at once.
    pub fn topic_configs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            System::Corelane | System::Tansu => &[],
            System::Kafka => &[("file.delete.delay.ms", "1000")],
            System::KafkaFlushing => &[("file.delete.delay.ms", "1000"), ("flush.messages", "1")],
        }
    }
}

/// One run of one workload against one system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Its letter, as in [`WORKLOADS`](super::workload::WORKLOADS).
    pub workload: String,
    /// Which of the workload's runs.
    pub case: String,
    /// Against what.
    pub system: System,
    /// From 1.
    pub round: u32,
    /// By name, each with its unit at the end of it.
    pub figures: BTreeMap<String, f64>,
    /// Latency in milliseconds by percentile; empty where none is meant.
    pub percentiles_ms: Vec<(f64, f64)>,
    /// Records or partitions that were answered with an error, by Kafka's name of it.
    pub errors: BTreeMap<String, u64>,
}

/// One life of a broker's process, watched throughout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Watched {
    /// Which program: of Kafka's two settings the default one.
    pub system: System,
    /// From 1.
    pub round: u32,
    /// What it was started for.
    pub purpose: String,
    /// Process ids, of each node.
    pub pids: Vec<u32>,
    /// Seconds since the start, resident MiB of all nodes, cores busy since the line before.
    pub samples: Vec<(f64, f64, f64)>,
    /// What ran from when on, in seconds.
    pub phases: Vec<(f64, String)>,
}

/// The broker under test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Program {
    /// As it says, or as its jar is called.
    pub version: String,
    /// How a node was started.
    pub command: String,
    /// The properties it was given, of a node alone.
    pub settings: Vec<String>,
}

/// One line of the table of targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// What is compared.
    pub figure: String,
    /// What it should be.
    pub target: String,
    /// The median over the rounds; none if it was not measured.
    pub value: Option<f64>,
    /// Least and most over the rounds.
    pub spread: Option<(f64, f64)>,
    /// How many rounds count.
    pub rounds: usize,
    /// None if it was not measured.
    pub met: Option<bool>,
    /// How the value reads.
    pub unit: String,
    /// What to know about it.
    pub note: String,
}

/// Where a broker's CPU time went while a load ran.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Of what; its graph's file is named after it.
    pub name: String,
    /// Under which load.
    pub caption: String,
    /// Samples by stack: thread and functions, joined by `;`, the innermost last.
    pub stacks: BTreeMap<String, u64>,
}

/// Everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// The machine, and what holds for all runs.
    pub conditions: Vec<(String, String)>,
    /// What was compared.
    pub programs: BTreeMap<String, Program>,
    /// The limits of the machine, by name.
    pub limits: BTreeMap<String, f64>,
    /// All runs.
    pub measurements: Vec<Measurement>,
    /// All lives of brokers.
    pub watched: Vec<Watched>,
    /// What perf saw; none in reports from before it was asked.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// Every broker's process that was started.
    pub processes: Vec<u32>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
    /// Computed from the measurements.
    pub targets: Vec<Target>,
}

impl Results {
    /// A figure of each round in which it was measured, by round.
    pub fn figure(&self, workload: &str, case: &str, system: System, name: &str) -> BTreeMap<u32, f64> {
        let found = self.runs(workload, system).filter(|one| one.case == case);
        found.filter_map(|one| Some((one.round, *one.figures.get(name)?))).collect()
    }

    /// The runs of a workload against a system.
    pub fn runs(&self, workload: &str, system: System) -> impl Iterator<Item = &Measurement> {
        let workload = workload.to_owned();
        self.measurements.iter().filter(move |one| one.workload == workload && one.system == system)
    }
}

/// The middle one, or the mean of both.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Least and most.
pub fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    Some((finite().reduce(f64::min)?, finite().reduce(f64::max)?))
}

/// What belongs to the same round, divided.
pub fn ratios(above: &BTreeMap<u32, f64>, below: &BTreeMap<u32, f64>) -> Vec<f64> {
    above.iter().filter_map(|(round, value)| Some(value / below.get(round)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_finite_values_and_ratios_of_equal_rounds() {
        assert_eq!(median(&[3.0, 1.0, f64::NAN, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(spread(&[2.0, 1.0, f64::INFINITY]), Some((1.0, 2.0)));
        let above = BTreeMap::from([(1, 10.0), (2, 30.0), (4, 9.0)]);
        let below = BTreeMap::from([(1, 5.0), (2, 10.0), (3, 1.0)]);
        assert_eq!(ratios(&above, &below), [2.0, 3.0]);
    }
}
