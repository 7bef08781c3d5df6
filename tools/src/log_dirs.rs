//! `kafka-log-dirs` (`org.apache.kafka.tools.LogDirsCommand`).

use crate::{
    Tool,
    args::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Command, Opt},
    client::{ClientError, Cluster, Properties, Role, admin, error::Result},
    console::{Console, Outcome, Stop},
    java::joined,
    say,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, describe_log_dirs_response::DescribeLogDirsResult};
use serde::Serialize;
use std::collections::BTreeSet;

pub const TOOL: Tool = Tool {
    name: "kafka-log-dirs",
    purpose: "Show what stands in the directories of brokers.",
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        Opt::flag("describe", "REQUIRED: show them."),
        Opt::text("topic-list", "Topic list", "Only these topics, separated by commas.").or(""),
        Opt::text("broker-list", "Broker list", "Only these brokers, separated by commas.").or(""),
    ],
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    command
        .help_or_version(console, "This tool helps to query log directory usage on the specified brokers.")?;
    command.required(console, &["bootstrap-server", "describe"])?;
    let mut properties = match command.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.set("bootstrap.servers", command.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("client.id", "log-dirs-tool");
    let parts = |text: &str| -> Vec<String> {
        text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let topics = parts(command.value("topic-list")?.unwrap_or_default());
    let mut wanted = BTreeSet::new();
    for broker in parts(command.value("broker-list")?.unwrap_or_default()) {
        wanted.insert(
            broker.parse::<i32>().map_err(|_| Stop::failed(format!("For input string: \"{broker}\"")))?,
        );
    }
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    let alive: BTreeSet<i32> = admin::live_brokers(&mut cluster)?.into_iter().collect();
    let missing: Vec<i32> = wanted.difference(&alive).copied().collect();
    if !missing.is_empty() {
        return Err(Stop::Failed(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            joined(missing),
            joined(alive)
        )));
    }
    let brokers = if wanted.is_empty() { alive } else { wanted };
    say!(console, "Querying brokers for log directories information");
    let mut answers = Vec::new();
    for &broker in &brokers {
        let found = describe(&mut cluster, broker)?;
        answers.push(Broker { broker, log_dirs: found.iter().map(|it| LogDir::of(it, &topics)).collect() });
    }
    say!(console, "Received log directory information from brokers {}", joined(&brokers));
    say!(console, "{}", to_json(&Answer { brokers: answers, version: 1 }));
    Ok(())
}

/// The fields in the order in which Kafka's tool prints them.
#[derive(Serialize)]
struct Answer {
    brokers: Vec<Broker>,
    version: i32,
}

#[derive(Serialize)]
struct Broker {
    broker: i32,
    #[serde(rename = "logDirs")]
    log_dirs: Vec<LogDir>,
}

#[derive(Serialize)]
struct LogDir {
    partitions: Vec<Replica>,
    error: Option<&'static str>,
    #[serde(rename = "logDir")]
    log_dir: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replica {
    partition: String,
    size: i64,
    offset_lag: i64,
    is_future: bool,
}

fn to_json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("texts and numbers are JSON")
}

fn describe(cluster: &mut Cluster, broker: i32) -> Result<Vec<DescribeLogDirsResult>> {
    cluster.retry("describeLogDirs", |cluster| {
        cluster.on_node(broker, |connection| {
            let version = connection.version::<DescribeLogDirsRequest>()?;
            let answer = connection.call(version, &DescribeLogDirsRequest::default().with_topics(None))?;
            ClientError::check(answer.error_code)?;
            Ok(answer.results)
        })
    })
}

impl LogDir {
    /// A directory with the replicas of these topics, of all for none.
    fn of(directory: &DescribeLogDirsResult, topics: &[String]) -> LogDir {
        let wanted = directory
            .topics
            .iter()
            .filter(|topic| topics.is_empty() || topics.iter().any(|name| topic.name.0.as_str() == name));
        let replicas =
            wanted.flat_map(|topic| topic.partitions.iter().map(move |it| (topic.name.0.as_str(), it)));
        // A broker tells of them in no order.
        let mut replicas: Vec<_> = replicas.collect();
        replicas.sort_by_key(|(topic, it)| (*topic, it.partition_index));
        let replicas = replicas.into_iter().map(|(topic, it)| Replica {
            partition: format!("{topic}-{}", it.partition_index),
            size: it.partition_size,
            offset_lag: it.offset_lag,
            is_future: it.is_future_key,
        });
        LogDir {
            partitions: replicas.collect(),
            error: ClientError::of(directory.error_code, None).map(|error| error.class()),
            log_dir: directory.log_dir.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{text, topic_name};
    use kafka_protocol::messages::describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsTopic,
    };

    #[test]
    fn a_directory_tells_of_the_topics_that_are_asked_for() {
        let topic = |name: &str| {
            let partition =
                DescribeLogDirsPartition::default().with_partition_index(2).with_partition_size(7);
            DescribeLogDirsTopic::default().with_name(topic_name(name)).with_partitions(vec![partition])
        };
        let directory = DescribeLogDirsResult::default()
            .with_log_dir(text("/data"))
            .with_topics(vec![topic("a"), topic("b")]);
        let expected = r#"{"partitions":[{"partition":"b-2","size":7,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/data"}"#;
        assert_eq!(to_json(&LogDir::of(&directory, &["b".into()])), expected);
        assert_eq!(LogDir::of(&directory, &[]).partitions.len(), 2);
    }
}
