//! `--delete` and `--delete-offsets`.

use super::{Done, meant, plan, print_error};
use crate::{
    args::Command,
    client::{ClientError, Cluster, TopicPartition, admin, groups},
    console::Console,
    say,
};
use std::collections::{BTreeMap, BTreeSet};

pub fn delete_groups(command: &Command, cluster: &mut Cluster, console: &mut Console) -> Done {
    let mut deleted = Vec::new();
    let mut failed = Vec::new();
    for group in meant(command, cluster)? {
        match groups::delete_group(cluster, &group) {
            Ok(()) => deleted.push(format!("'{group}'")),
            Err(error) => failed.push((group, error)),
        }
    }
    let deleted = deleted.join(", ");
    if failed.is_empty() {
        say!(console, "Deletion of requested consumer groups ({deleted}) was successful.");
        return Ok(());
    }
    print_error(console, "Deletion of some consumer groups failed:")?;
    for (group, error) in failed {
        say!(console, "* Group '{group}' could not be deleted due to: {}: {error}", error.class());
    }
    if !deleted.is_empty() {
        say!(console, "\nThese consumer groups were deleted successfully: {deleted}");
    }
    Ok(())
}

pub fn delete_offsets(command: &Command, cluster: &mut Cluster, console: &mut Console) -> Done {
    let group = command.value("group")?.unwrap_or_default().to_owned();
    let mut outcomes: BTreeMap<TopicPartition, Option<String>> = BTreeMap::new();
    let mut places = BTreeSet::new();
    for topic in command.values("topic") {
        if topic.contains(':') {
            places.extend(plan::partitions_of(topic)?);
            continue;
        }
        match admin::describe_topics(cluster, &[topic.to_owned()], 2000) {
            Ok(found) => {
                let partitions = found.iter().flat_map(|topic| &topic.partitions);
                places.extend(partitions.map(|partition| TopicPartition::new(topic, partition.index)));
            }
            Err(error) => drop(outcomes.insert(TopicPartition::new(topic, -1), Some(told(&error)))),
        }
    }
    let places: Vec<_> = places.into_iter().collect();
    let result = groups::delete_offsets(cluster, &group, &places);
    let first = match &result {
        Ok(found) => found.values().find_map(|outcome| outcome.as_ref().err()).cloned(),
        Err(error) => Some(error.clone()),
    };
    for place in places {
        let outcome = match &result {
            Ok(found) => found.get(&place).and_then(|outcome| outcome.as_ref().err()),
            Err(error) => Some(error),
        };
        outcomes.insert(place, outcome.map(told));
    }
    match first {
        None => say!(console, "Request succeeded for deleting offsets from group {group}."),
        // INVALID_GROUP_ID, GROUP_AUTHORIZATION_FAILED, NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND
        Some(error @ ClientError::Broker { code: 24 | 30 | 68 | 69, .. }) => {
            print_error(console, &error.to_string())?;
        }
        // UNKNOWN_TOPIC_OR_PARTITION, TOPIC_AUTHORIZATION_FAILED, GROUP_SUBSCRIBED_TO_TOPIC
        Some(ClientError::Broker { code: 3 | 29 | 86, .. }) => {
            print_error(console, "Encountered some partition-level error, see the follow-up details.")?;
        }
        Some(error) => {
            let name = error.code().map_or_else(|| error.to_string(), |code| code.name().to_owned());
            print_error(console, &format!("Encountered some unknown error: {name}"))?;
        }
    }
    let width = outcomes.keys().map(|place| place.topic.chars().count()).max().unwrap_or(0).max(15);
    write!(console.out, "\n{:width$} {:10} {:15}", "TOPIC", "PARTITION", "STATUS")?;
    for (place, error) in &outcomes {
        let partition = if place.partition < 0 { "-".into() } else { place.partition.to_string() };
        let status = error.as_ref().map_or_else(|| "Successful".into(), |error| format!("Error: {error}"));
        write!(console.out, "\n{:width$} {partition:10} {status:15}", place.topic)?;
    }
    say!(console, "");
    Ok(())
}

/// As Java's tools print the cause of a cause.
fn told(error: &ClientError) -> String {
    format!("{}: {error}", error.class())
}
