//! Consume, transform, produce, by one of five stacks: what was acknowledged in one topic is in the other once, and in its
//! order.

use super::{
    Tally, read_committed,
    scene::{INPUT, OUTPUT, PARTITIONS, Scene, on_a_cluster},
};
use crate::{
    Stack, Transformer,
    cluster::{Anomaly, Cluster, Event, History, Load, Value, load},
};
use anyhow::{Context, ensure};
use std::{collections::BTreeMap, fmt, path::Path};

/// Its group and its transactional id.
const NAME: &str = "transformer";

/// By whom, how often, and by which seed.
#[derive(Clone, Copy, Debug)]
pub struct TransformSettings {
    /// Whose client transforms.
    pub stack: Stack,
    /// Kills.
    pub rounds: u32,
    /// For victims and moments; what they meet is the machine's.
    pub seed: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub struct TransformReport {
    stack: Stack,
    tally: Tally,
}

impl fmt::Display for TransformReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}, transformed exactly once and in order", self.stack, self.tally)
    }
}

/// Runs it.
///
/// # Errors
/// With each record that is missing, there twice or out of order; when nodes or clients do not go on.
pub fn run(settings: &TransformSettings) -> anyhow::Result<TransformReport> {
    on_a_cluster(|cluster, directory| play(settings, cluster, directory))
        .with_context(|| format!("{settings:?}"))
}

fn play(
    settings: &TransformSettings,
    cluster: &mut Cluster,
    directory: &Path,
) -> anyhow::Result<TransformReport> {
    let addresses = cluster.bootstrap();
    let mut output = Load::new(addresses.clone(), OUTPUT, PARTITIONS);
    let reader = add_reader(&mut output, settings.stack)?;
    let application = Transformer::start(settings.stack, &addresses, INPUT, OUTPUT, NAME)?;
    let mut scene = Scene::new(cluster, application, settings.seed)?;
    scene.may_hang = may_hang(settings.stack);
    let done = || Ok(output.read_by(reader));
    scene.rounds(settings.rounds, done)?;
    let (input, tally) = scene.end(done)?;
    output.end_readers()?;
    let as_produced = committed(&addresses, INPUT)?;
    let anew = committed(&addresses, OUTPUT)?;
    let all_along: Vec<_> = output.history().events().iter().filter_map(read).collect();
    for (name, reading) in [("input", &as_produced), ("anew", &anew), ("all-along", &all_along)] {
        let lines = reading.iter().map(|record| format!("{record:?}\n")).collect::<String>();
        std::fs::write(directory.join(name), lines)?;
    }
    ensure_copied(&input, &[&as_produced]).context("the input is not what was acknowledged")?;
    ensure_copied(&input, &[&anew, &all_along])?;
    Ok(TransformReport { stack: settings.stack, tally })
}

/// Whether a client is known to wait for ever for a group's coordinator that was down when it wanted to commit offsets in a
/// transaction.
fn may_hang(stack: Stack) -> bool {
    match stack {
        // It does not heed its time-out then (its issues 5511 and 5456).
        Stack::Librdkafka => true,
        // Where connecting to the coordinator fails at once, the sender of 3.0.12 asks who is the coordinator now, and has
        // forgotten the request by the time it knows. It has no time-out for that.
        Stack::KafkaPython => true,
        Stack::Java | Stack::Aiokafka | Stack::FranzGo => false,
    }
}

/// Of another stack than the application's.
fn add_reader(output: &mut Load, stack: Stack) -> anyhow::Result<u32> {
    let other = if stack == Stack::Librdkafka { Stack::Java } else { Stack::Librdkafka };
    output.add_reader(other, &[("isolation.level", "read_committed")])
}

/// A record of a topic, as someone read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    partition: i32,
    offset: i64,
    value: Value,
}

fn read(event: &Event) -> Option<Found> {
    match *event {
        Event::Read { partition, offset, value, .. } => Some(Found { partition, offset, value }),
        Event::Acknowledged { .. } | Event::Unknown { .. } => None,
    }
}

fn committed(addresses: &str, topic: &str) -> anyhow::Result<Vec<Found>> {
    let found = read_committed(addresses, topic, &[])?.into_iter().map(|told| {
        let identity = told.value.rfind(':').map_or("", |end| &told.value[..=end]);
        let value = load::value(identity, u64::try_from(told.value.len())?)?;
        Ok(Found { partition: told.partition, offset: told.offset, value })
    });
    found.collect()
}

/// Each of these readers has found everything that was acknowledged, once, in its order, and nothing else.
fn ensure_copied(input: &History, readings: &[&[Found]]) -> anyhow::Result<()> {
    let wrong = wrong(input, readings);
    let told = wrong.iter().map(|anomaly| format!("{anomaly}\n")).collect::<String>();
    ensure!(wrong.is_empty(), "{told}(counting offsets without those that end transactions)");
    Ok(())
}

/// What is wrong with a copy, as each of these readers found it. Offsets are told as places among the records: those of a
/// topic with transactions have gaps, where transactions end or were aborted.
fn wrong(input: &History, readings: &[&[Found]]) -> Vec<Anomaly> {
    let mut history = input.of_a_copy();
    let readers = || (0..).zip(readings);
    for (reader, reading) in readers() {
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        for found in *reading {
            let end = ends.entry(found.partition).or_default();
            let Found { partition, value, .. } = *found;
            history.add(Event::Read { reader, partition, offset: *end, value });
            *end += 1;
        }
    }
    history.anomalies(&readers().map(|(reader, _)| reader).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn value(partition: i32, number: u64) -> Value {
        Value { producer: 0, partition, number }
    }

    /// Three records in each of two partitions.
    fn input() -> History {
        let mut history = History::default();
        for partition in 0..2 {
            for number in 0..3 {
                let value = value(partition, number);
                // Another offset than in any copy.
                let offset = i64::try_from(number).ok();
                history.add(Event::Acknowledged { value, offset, at: Duration::ZERO });
            }
            history.ended(0, partition, 3);
        }
        history
    }

    /// A reading of these numbers in partition 0 and of everything in partition 1, with an aborted transaction in between.
    fn reading(numbers: &[u64]) -> Vec<Found> {
        let of = |partition, numbers: &[u64]| {
            let found = (0..).zip(numbers).map(move |(place, number)| Found {
                partition,
                offset: place * 7,
                value: value(partition, *number),
            });
            found.collect::<Vec<_>>()
        };
        [of(0, numbers), of(1, &[0, 1, 2])].concat()
    }

    fn found(numbers: &[u64]) -> Vec<Anomaly> {
        wrong(&input(), &[&reading(numbers)])
    }

    #[test]
    fn a_copy_of_everything_in_order_is_right_whatever_its_offsets() {
        assert_eq!(found(&[0, 1, 2]), []);
    }

    #[test]
    fn a_missing_record_is_named() {
        assert_eq!(found(&[0, 2]), [Anomaly::Lost(value(0, 1))]);
        assert_eq!(found(&[0, 1]), [Anomaly::Lost(value(0, 2))], "the last one, too");
        assert_eq!(wrong(&input(), &[&[]]).len(), 6, "whatever is there");
    }

    #[test]
    fn a_doubled_record_is_named() {
        assert_eq!(found(&[0, 1, 1, 2]), [Anomaly::Duplicate(value(0, 1), 1, 2)]);
        assert_eq!(found(&[0, 1, 2, 0]), [Anomaly::Duplicate(value(0, 0), 0, 3)], "much later, too");
    }

    #[test]
    fn a_reordered_record_is_named() {
        assert_eq!(found(&[1, 0, 2]), [Anomaly::Reordered(value(0, 0), value(0, 1))]);
    }

    #[test]
    fn a_record_of_another_partition_or_of_no_one_is_named() {
        assert_eq!(found(&[0, 1, 2, 3]), [Anomaly::Phantom(0, 3, value(0, 3))]);
        let mut strange = reading(&[0, 1, 2]);
        strange.push(Found { partition: 0, offset: 99, value: value(1, 0) });
        assert_eq!(wrong(&input(), &[&strange]), [Anomaly::Phantom(0, 3, value(1, 0))]);
    }

    #[test]
    fn readers_that_find_different_things_are_told_of() {
        let found = wrong(&input(), &[&reading(&[0, 1, 2]), &reading(&[0, 2])]);
        assert!(found.contains(&Anomaly::Inconsistent(0, 1, value(0, 1), value(0, 2))), "{found:?}");
        assert!(found.contains(&Anomaly::Lost(value(0, 2))) || found.contains(&Anomaly::Lost(value(0, 1))));
    }
}
