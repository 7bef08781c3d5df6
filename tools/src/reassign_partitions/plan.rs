//! What the tool reads and prints: assignments of partitions to brokers, as JSON.

use crate::client::TopicPartition;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The replicas of partitions.
pub type Assignment = BTreeMap<TopicPartition, Vec<i32>>;

/// The directory of a replica: partition, broker.
pub type Directories = BTreeMap<(TopicPartition, i32), String>;

/// A replica that may be in any directory.
const ANY: &str = "any";

fn version(json: &Value) -> Result<(), String> {
    match json.get("version").map_or(Some(1), Value::as_i64) {
        Some(1) => Ok(()),
        other => Err(format!("Not supported version field value {}", other.unwrap_or_default())),
    }
}

fn array<'a>(json: &'a Value, name: &str) -> Result<&'a [Value], String> {
    match json.get(name) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(format!("Expected JSON array, received {other}")),
    }
}

fn field<'a>(json: &'a Value, name: &str) -> Result<&'a Value, String> {
    json.get(name).ok_or_else(|| format!("No such field exists: `{name}`"))
}

fn text(json: &Value) -> Result<&str, String> {
    json.as_str().ok_or_else(|| format!("Expected `String` value, received {json}"))
}

fn integer(json: &Value) -> Result<i32, String> {
    let value = json.as_i64().and_then(|value| i32::try_from(value).ok());
    value.ok_or_else(|| format!("Expected `Integer` value, received {json}"))
}

/// `[a, b]`, as Java prints collections.
fn java_list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(", "))
}

fn duplicates<T: Ord + Clone>(items: &[T]) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    items.iter().filter(|item| !seen.insert((*item).clone())).cloned().collect()
}

/// The topics of `--topics-to-move-json-file`.
pub fn topics(text_of_file: &str) -> Result<Vec<String>, String> {
    let json: Value =
        serde_json::from_str(text_of_file).map_err(|_| "The input string is not a valid JSON".to_owned())?;
    version(&json)?;
    let names = array(&json, "topics")?.iter().map(|topic| Ok(text(field(topic, "topic")?)?.to_owned()));
    let names: Vec<String> = names.collect::<Result<_, String>>()?;
    let twice = duplicates(&names);
    if twice.is_empty() {
        return Ok(names);
    }
    Err(format!("List of topics to reassign contains duplicate entries: {}", java_list(twice)))
}

/// The numbers of `--broker-list`.
pub fn brokers(list: &str) -> Result<Vec<i32>, String> {
    let ids = list.split(',').map(|id| id.parse().map_err(|_| format!("For input string: \"{id}\"")));
    let ids: Vec<i32> = ids.collect::<Result<_, String>>()?;
    let twice = duplicates(&ids);
    if twice.is_empty() {
        return Ok(ids);
    }
    Err(format!("Broker list contains duplicate entries: {}", java_list(twice)))
}

/// The partitions of `--reassignment-json-file`, in its order, as often as they are named.
pub fn reassignment(text_of_file: &str) -> Result<Vec<(TopicPartition, Vec<i32>)>, String> {
    let json: Value = serde_json::from_str(text_of_file).map_err(|error| error.to_string())?;
    version(&json)?;
    let mut found = Vec::new();
    for entry in array(&json, "partitions")? {
        let place = TopicPartition::new(text(field(entry, "topic")?)?, integer(field(entry, "partition")?)?);
        field(entry, "replicas")?;
        let replicas = array(entry, "replicas")?.iter().map(integer).collect::<Result<Vec<i32>, _>>()?;
        let named = array(entry, "log_dirs")?.iter().map(text).collect::<Result<Vec<&str>, _>>()?;
        if entry.get("log_dirs").is_some() && named.len() != replicas.len() {
            let (replicas, named) = (java_list(replicas), java_list(named));
            return Err(format!(
                "Size of replicas list {replicas} is different from size of log dirs list {named} for partition {place}"
            ));
        }
        if named.iter().any(|directory| *directory != ANY) {
            return Err(format!(
                "{place}: moving replicas between log directories is not built yet. Say \"any\" in log_dirs"
            ));
        }
        found.push((place, replicas));
    }
    Ok(found)
}

/// What `--execute` wants, checked.
pub fn to_execute(text_of_file: &str) -> Result<Assignment, String> {
    let wanted = reassignment(text_of_file)?;
    if wanted.is_empty() {
        return Err("Partition reassignment list cannot be empty".to_owned());
    }
    if wanted.iter().any(|(_, replicas)| replicas.is_empty()) {
        return Err("Partition replica list cannot be empty".to_owned());
    }
    let places: Vec<TopicPartition> = wanted.iter().map(|(place, _)| place.clone()).collect();
    let twice = duplicates(&places);
    if !twice.is_empty() {
        let twice = crate::java::joined(twice);
        return Err(format!("Partition reassignment contains duplicate topic partitions: {twice}"));
    }
    let twice = wanted.iter().map(|(place, replicas)| (place, duplicates(replicas)));
    let twice: Vec<String> = twice
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(place, ids)| format!("{place} contains multiple entries for {}", crate::java::joined(ids)))
        .collect();
    if !twice.is_empty() {
        let twice = twice.join(". ");
        return Err(format!("Partition replica lists may not contain duplicate entries: {twice}"));
    }
    Ok(wanted.into_iter().collect())
}

#[derive(Serialize)]
struct Printed<'a> {
    version: i32,
    partitions: Vec<PrintedPartition<'a>>,
}

#[derive(Serialize)]
struct PrintedPartition<'a> {
    topic: &'a str,
    partition: i32,
    replicas: &'a [i32],
    log_dirs: Vec<&'a str>,
}

/// As the tool prints it, and reads it again.
pub fn json(assignment: &Assignment, directories: &Directories) -> String {
    let partitions = assignment.iter().map(|(place, replicas)| {
        let directory = |id: &i32| directories.get(&(place.clone(), *id)).map_or(ANY, String::as_str);
        let log_dirs = replicas.iter().map(directory).collect();
        PrintedPartition { topic: &place.topic, partition: place.partition, replicas, log_dirs }
    });
    let printed = Printed { version: 1, partitions: partitions.collect() };
    serde_json::to_string(&printed).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let assignment = Assignment::from([(place(0), vec![1, 2]), (place(1), vec![2])]);
        let text = json(&assignment, &Directories::new());
        assert_eq!(
            text,
            r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any","any"]},"#
                .to_owned()
                + r#"{"topic":"t","partition":1,"replicas":[2],"log_dirs":["any"]}]}"#
        );
        assert_eq!(to_execute(&text), Ok(assignment.clone()));
        let directories = Directories::from([((place(0), 2), "/data".to_owned())]);
        let with = json(&assignment, &directories);
        assert!(with.contains(r#""log_dirs":["any","/data"]"#));
        assert!(to_execute(&with).expect_err("no moves between directories").contains("not built yet"));
    }

    #[test]
    fn a_reassignment_names_each_partition_and_each_broker_once() {
        let refused = |partitions: &str| {
            to_execute(&format!(r#"{{"version":1,"partitions":[{partitions}]}}"#)).expect_err("refused")
        };
        let one = r#"{"topic":"t","partition":0,"replicas":[1]}"#;
        assert_eq!(refused(""), "Partition reassignment list cannot be empty");
        assert_eq!(
            refused(&format!("{one},{one}")),
            "Partition reassignment contains duplicate topic partitions: t-0"
        );
        assert_eq!(
            refused(r#"{"topic":"t","partition":0,"replicas":[]}"#),
            "Partition replica list cannot be empty"
        );
        assert_eq!(
            refused(r#"{"topic":"t","partition":0,"replicas":[1,2,1]}"#),
            "Partition replica lists may not contain duplicate entries: t-0 contains multiple entries for 1"
        );
        assert_eq!(
            refused(r#"{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any"]}"#),
            "Size of replicas list [1, 2] is different from size of log dirs list [any] for partition t-0"
        );
        assert_eq!(to_execute(r#"{"version":2}"#), Err("Not supported version field value 2".to_owned()));
    }

    #[test]
    fn topics_and_brokers_are_named_once() {
        assert_eq!(topics(r#"{"topics":[{"topic":"a"},{"topic":"b"}]}"#), Ok(vec!["a".into(), "b".into()]));
        let twice = topics(r#"{"topics":[{"topic":"a"},{"topic":"a"}],"version":1}"#);
        assert_eq!(twice, Err("List of topics to reassign contains duplicate entries: [a]".to_owned()));
        assert_eq!(topics("{"), Err("The input string is not a valid JSON".to_owned()));
        assert_eq!(brokers("1,2"), Ok(vec![1, 2]));
        assert_eq!(brokers("1,1"), Err("Broker list contains duplicate entries: [1]".to_owned()));
        assert_eq!(brokers("1,x"), Err("For input string: \"x\"".to_owned()));
    }
}
