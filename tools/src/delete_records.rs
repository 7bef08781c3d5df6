//! `kafka-delete-records` (`org.apache.kafka.tools.DeleteRecordsCommand`).

use crate::{
    Tool,
    args::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Command, Opt},
    client::{
        ClientError, Cluster, Properties, Role, TopicPartition, cluster::Topics, error::Result, topic_name,
    },
    console::{Console, Outcome, Stop},
    java::joined,
    say,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest,
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub const TOOL: Tool = Tool {
    name: "kafka-delete-records",
    purpose: "Delete the records of partitions below an offset.",
    options: &[
        BOOTSTRAP_SERVER,
        Opt::text(
            "offset-json-file",
            "Offset json file path",
            "REQUIRED: a JSON file with an offset for each partition:\n\
            {\"partitions\":\n  [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}],\n \"version\":1\n}",
        ),
        COMMAND_CONFIG,
    ],
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    command.help_or_version(
        console,
        "This tool helps to delete records of the given partitions down to the specified offset.",
    )?;
    command.required(console, &["bootstrap-server", "offset-json-file"])?;
    let mut properties = match command.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.set("bootstrap.servers", command.value("bootstrap-server")?.unwrap_or_default());
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    let path = command.value("offset-json-file")?.unwrap_or_default();
    let text = std::fs::read_to_string(path).map_err(|error| Stop::Failed(format!("{path}: {error}")))?;
    let offsets = parse(&text).map_err(Stop::Failed)?;
    say!(console, "Executing records delete operation");
    let outcomes = delete(&mut cluster, &offsets)?;
    say!(console, "Records delete operation completed:");
    for (place, outcome) in outcomes {
        match outcome {
            Ok(mark) => say!(console, "partition: {place}\tlow_watermark: {mark}"),
            Err(error) => say!(console, "partition: {place}\terror: {}: {error}", error.class()),
        }
    }
    Ok(())
}

/// The offsets of a JSON file.
fn parse(text: &str) -> std::result::Result<BTreeMap<TopicPartition, i64>, String> {
    let json: Value =
        serde_json::from_str(text).map_err(|_| "The input string is not a valid JSON".to_owned())?;
    match json.get("version").map_or(Some(1), Value::as_i64) {
        Some(1) => (),
        other => return Err(format!("Not supported version field value {}", other.unwrap_or_default())),
    }
    let partitions = json.get("partitions").ok_or("Missing partitions field")?;
    let partitions =
        partitions.as_array().ok_or_else(|| format!("Expected JSON array, received {partitions}"))?;
    let mut offsets = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for entry in partitions {
        let field = |name: &str| entry.get(name).ok_or_else(|| format!("No such field exists: `{name}`"));
        let number = |name| {
            field(name)
                .and_then(|it| it.as_i64().ok_or_else(|| format!("Expected `Long` value, received {it}")))
        };
        let topic = field("topic")?;
        let topic = topic.as_str().ok_or_else(|| format!("Expected `String` value, received {topic}"))?;
        let partition = number("partition")?;
        let partition = i32::try_from(partition)
            .map_err(|_| format!("Expected `Integer` value, received {partition}"))?;
        let place = TopicPartition::new(topic, partition);
        if offsets.insert(place.clone(), number("offset")?).is_some() {
            twice.insert(place);
        }
    }
    if !twice.is_empty() {
        return Err(format!("Offset json file contains duplicate topic partitions: {}", joined(twice)));
    }
    Ok(offsets)
}

type Outcomes = BTreeMap<TopicPartition, Result<i64>>;

/// Asks the leaders; each partition has its own outcome, its new beginning.
fn delete(cluster: &mut Cluster, offsets: &BTreeMap<TopicPartition, i64>) -> Result<Outcomes> {
    let names: BTreeSet<&String> = offsets.keys().map(|place| &place.topic).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let metadata = cluster.retry("deleteRecords", |cluster| cluster.metadata(Topics::Named(&names)))?;
    let mut outcomes = Outcomes::new();
    let mut leaders: BTreeMap<i32, BTreeMap<&str, Vec<DeleteRecordsPartition>>> = BTreeMap::new();
    for (place, offset) in offsets {
        let topic = metadata
            .topics
            .iter()
            .find(|topic| topic.name.as_ref().is_some_and(|name| name.0.as_str() == place.topic));
        let partitions = topic.into_iter().flat_map(|topic| &topic.partitions);
        let leader =
            partitions.filter(|it| it.partition_index == place.partition).map(|it| it.leader_id.0).next();
        let code = topic.map_or(3, |topic| topic.error_code);
        match (ClientError::of(code, None), leader) {
            (Some(error), _) => drop(outcomes.insert(place.clone(), Err(error))),
            (None, Some(leader @ 0..)) => {
                let partition = DeleteRecordsPartition::default()
                    .with_partition_index(place.partition)
                    .with_offset(*offset);
                leaders.entry(leader).or_default().entry(&place.topic).or_default().push(partition);
            }
            (None, found) => {
                let code = if found.is_some() { 5 } else { 3 };
                outcomes.insert(place.clone(), Err(ClientError::Broker { code, message: None }));
            }
        }
    }
    for (leader, topics) in leaders {
        outcomes.extend(delete_on(cluster, leader, &topics)?);
    }
    Ok(outcomes)
}

fn delete_on(
    cluster: &mut Cluster,
    leader: i32,
    topics: &BTreeMap<&str, Vec<DeleteRecordsPartition>>,
) -> Result<Outcomes> {
    let timeout = i32::try_from(cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX);
    let answer = cluster.retry("deleteRecords", |cluster| {
        cluster.on_node(leader, |connection| {
            let version = connection.version::<DeleteRecordsRequest>()?;
            let mut request = DeleteRecordsRequest::default();
            request.timeout_ms = timeout;
            let named = topics.iter().map(|(name, partitions)| {
                DeleteRecordsTopic::default().with_name(topic_name(name)).with_partitions(partitions.clone())
            });
            request.topics = named.collect();
            connection.call(version, &request)
        })
    })?;
    let mut outcomes = Outcomes::new();
    for topic in answer.topics {
        for it in topic.partitions {
            let place = TopicPartition::new(topic.name.0.as_str(), it.partition_index);
            outcomes.insert(place, ClientError::check(it.error_code).map(|()| it.low_watermark));
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_each_partition_once() {
        let one = r#"{"topic": "t", "partition": 1, "offset": 5}"#;
        let parsed = parse(&format!(r#"{{"partitions": [{one}], "version": 1}}"#)).expect("valid");
        assert_eq!(parsed, BTreeMap::from([(TopicPartition::new("t", 1), 5)]));
        let told = |text: &str| parse(text).expect_err("invalid");
        assert_eq!(
            told(&format!(r#"{{"partitions": [{one}, {one}]}}"#)),
            "Offset json file contains duplicate topic partitions: t-1"
        );
        assert_eq!(told("{"), "The input string is not a valid JSON");
        assert_eq!(told(r#"{"version": 2}"#), "Not supported version field value 2");
        assert_eq!(told("{}"), "Missing partitions field");
        assert!(told(r#"{"partitions": [{"topic": 1}]}"#).contains("Expected `String` value"));
    }
}
