//! `kafka-get-offsets` (`org.apache.kafka.tools.GetOffsetShell`).

use crate::{
    Tool,
    args::{Command, Opt},
    client::{Cluster, Properties, Role, TopicPartition, admin, config::split_address, offsets},
    console::{Console, Outcome, Stop},
    java::TopicFilter,
    say,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

const PURPOSE: &str = "An interactive shell for getting topic-partition offsets.";

pub const TOOL: Tool = Tool {
    name: "kafka-get-offsets",
    purpose: "Print the offsets of partitions at their ends, beginnings or a time.",
    options: &[
        Opt::text("bootstrap-server", "HOST1:PORT1,...,HOST3:PORT3", "REQUIRED. Brokers to begin with."),
        Opt::text(
            "topic-partitions",
            "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
            "Which partitions of which topics: a regular expression, then a partition or a range without its end.",
        ),
        Opt::text("topic", "topic", "A regular expression for the topics; all without it."),
        Opt::text(
            "partitions",
            "partition ids",
            "Which of their partitions, separated by commas; all without it.",
        ),
        Opt::text(
            "time",
            "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / \
            -5 or latest-tiered / -6 or earliest-pending-upload",
            "At what time, in Unix milliseconds or a word.",
        )
        .or("latest"),
        crate::args::COMMAND_CONFIG,
        Opt::flag("exclude-internal-topics", "Without the brokers' own topics."),
    ],
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    tool(arguments, console).map_err(|stop| match stop {
        Stop::Failed(message) => Stop::Failed(format!("Error occurred: {message}")),
        stop => stop,
    })
}

fn tool(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    command.help_or_version(console, PURPOSE)?;
    command.required(console, &["bootstrap-server"])?;
    let servers = command.value("bootstrap-server")?.unwrap_or_default();
    if servers.split(',').any(|server| split_address(server.trim()).is_none()) {
        return Err(command.usage(console, "Please provide valid host:port like host1:9091,host2:9092\n"));
    }
    if command.has("topic-partitions") && (command.has("topic") || command.has("partitions")) {
        return Err(Stop::failed("--topic-partitions cannot be used with --topic or --partitions"));
    }
    let time = time(command.value("time")?.unwrap_or_default())?;
    let rules = match command.value("topic-partitions")? {
        Some(rules) => rules.split(',').map(rule).collect::<Outcome<Vec<_>>>()?,
        None => vec![one_rule(command.value("topic")?, command.value("partitions")?)?],
    };
    let mut properties = match command.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.set("bootstrap.servers", servers);
    properties.set("client.id", "GetOffsetShell");
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    let wanted = partitions(&mut cluster, &rules, command.has("exclude-internal-topics"), time)?;
    if wanted.is_empty() {
        return Err(Stop::failed("Could not match any topic-partitions with the specified filters"));
    }
    let found = offsets::list_offsets(&mut cluster, &wanted, false)?;
    // Kafka's order: that of "topic-partition" as text.
    let mut lines = BTreeMap::new();
    for (place, found) in found {
        match found {
            Ok(found) if found.offset != -1 => drop(lines.insert(place.to_string(), (place, found.offset))),
            Ok(_) => (),
            Err(error) => console.complain(&format!(
                "Skip getting offsets for topic-partition {place} due to error: {}: {error}",
                error.class()
            ))?,
        }
    }
    for (TopicPartition { topic, partition }, offset) in lines.into_values() {
        say!(console, "{topic}:{partition}:{offset}");
    }
    Ok(())
}

fn time(text: &str) -> Outcome<i64> {
    Ok(match text {
        "latest" => offsets::LATEST,
        "earliest" => offsets::EARLIEST,
        "max-timestamp" => offsets::MAX_TIMESTAMP,
        "earliest-local" => offsets::EARLIEST_LOCAL,
        "latest-tiered" => offsets::LATEST_TIERED,
        "earliest-pending-upload" => offsets::EARLIEST_PENDING_UPLOAD,
        text => text.parse().map_err(|_| {
            Stop::failed(format!(
                "Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or \
                 earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
            ))
        })?,
    })
}

/// Partitions of topics.
struct Rule {
    topics: TopicFilter,
    partitions: Partitions,
}

#[derive(Debug, PartialEq, Eq)]
enum Partitions {
    /// Empty: all.
    These(BTreeSet<i32>),
    Between(Range<i32>),
}

impl Rule {
    fn allows(&self, topic: &str, partition: i32) -> bool {
        self.topics.allows(topic, false)
            && match &self.partitions {
                Partitions::These(these) => these.is_empty() || these.contains(&partition),
                Partitions::Between(range) => range.contains(&partition),
            }
    }
}

fn one_rule(topic: Option<&str>, partitions: Option<&str>) -> Outcome<Rule> {
    let text = partitions.unwrap_or_default();
    let malformed = || {
        let what = "--partitions expects a comma separated list of numeric partition ids, but received";
        Stop::failed(format!("{what}: {text}"))
    };
    let mut these = BTreeSet::new();
    for number in text.split(',').filter(|_| !text.is_empty()) {
        these.insert(number.parse().map_err(|_| malformed())?);
    }
    let topics = TopicFilter::new(topic.unwrap_or(".*")).map_err(Stop::Failed)?;
    Ok(Rule { topics, partitions: Partitions::These(these) })
}

/// `topic`, `topic:1`, `topic:1-3`, `topic:1-`, `topic:-3`; each without the topic means all.
fn rule(text: &str) -> Outcome<Rule> {
    let invalid =
        || Stop::failed(format!("org.apache.kafka.tools.TerseException: Invalid rule specification: {text}"));
    let (topic, partitions) = text.split_once(':').unwrap_or((text, ""));
    let number = |text: &str, empty: i32| match text {
        "" => Ok(empty),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| invalid()),
        _ => Err(invalid()),
    };
    let partitions = match partitions.split_once('-') {
        Some((least, end)) => Partitions::Between(number(least, 0)?..number(end, i32::MAX)?),
        None if partitions.is_empty() => Partitions::These(BTreeSet::new()),
        None => Partitions::These(BTreeSet::from([number(partitions, 0)?])),
    };
    let topics = TopicFilter::new(if topic.is_empty() { ".*" } else { topic }).map_err(Stop::Failed)?;
    Ok(Rule { topics, partitions })
}

fn partitions(
    cluster: &mut Cluster,
    rules: &[Rule],
    exclude_internal: bool,
    time: i64,
) -> Outcome<BTreeMap<TopicPartition, i64>> {
    let mut wanted = BTreeMap::new();
    for (name, topic) in admin::list_topics(cluster)? {
        if exclude_internal && topic.is_internal {
            continue;
        }
        let count = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
        let allowed = (0..count).filter(|&partition| rules.iter().any(|rule| rule.allows(&name, partition)));
        wanted.extend(allowed.map(|partition| (TopicPartition::new(name.as_str(), partition), time)));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_partitions_by_number_or_range() {
        let allows = |text: &str, topic: &str, partition| rule(text).expect("valid").allows(topic, partition);
        assert!(allows("t", "t", 7) && !allows("t", "u", 7));
        assert!(allows(":1", "any", 1) && !allows(":1", "any", 0));
        assert!(allows("t:1-3", "t", 1) && allows("t:1-3", "t", 2) && !allows("t:1-3", "t", 3));
        assert!(allows("t:2-", "t", 2) && !allows("t:2-", "t", 1));
        assert!(allows("t:-2", "t", 1) && !allows("t:-2", "t", 2));
        for text in ["t:x", "t:1-2-3", "t:1:2"] {
            assert!(rule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_names_and_numbers() {
        assert_eq!(time("earliest").expect("a word"), time("-2").expect("its number"));
        assert_eq!(time("1700000000000").expect("a time"), 1_700_000_000_000);
        assert!(time("soon").is_err());
    }
}
