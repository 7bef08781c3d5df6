//! Throttles of what a reassignment copies (KIP-73): which replicas, at which rate, and their end.

use super::{
    ask::{self, Failed},
    plan::Assignment,
};
use crate::{
    client::{
        Cluster, TopicPartition,
        admin::{self, Reassignment, Resource},
        text,
    },
    console::Console,
    java::joined,
    say,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use std::collections::{BTreeMap, BTreeSet};

/// IncrementalAlterConfigs' operations.
const SET: i8 = 0;
const DELETE: i8 = 1;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIRECTORIES_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// From which brokers a partition is copied, and to which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Move {
    sources: BTreeSet<i32>,
    destinations: BTreeSet<i32>,
}

/// The moves that are under way, and those that are wanted.
fn moves(
    ongoing: &BTreeMap<TopicPartition, Reassignment>,
    wanted: &Assignment,
    current: &Assignment,
) -> BTreeMap<TopicPartition, Move> {
    let under_way = ongoing.iter().map(|(place, it)| {
        let destinations: BTreeSet<i32> = it.adding.iter().copied().collect();
        let sources = it.replicas.iter().copied().filter(|id| !destinations.contains(id)).collect();
        (place.clone(), Move { sources, destinations })
    });
    let mut moves: BTreeMap<TopicPartition, Move> = under_way.collect();
    for (place, replicas) in wanted {
        let sources: BTreeSet<i32> = match moves.get(place) {
            Some(known) => known.sources.clone(),
            None => current.get(place).into_iter().flatten().copied().collect(),
        };
        let destinations = replicas.iter().copied().filter(|id| !sources.contains(id)).collect();
        moves.insert(place.clone(), Move { sources, destinations });
    }
    moves
}

/// `partition:broker` of each topic, in the order of texts, as Kafka's tool writes them.
fn replicas(
    moves: &BTreeMap<TopicPartition, Move>,
    of: impl Fn(&Move) -> &BTreeSet<i32>,
) -> BTreeMap<&str, String> {
    let mut named: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (place, it) in moves {
        let items = of(it).iter().map(|id| format!("{}:{id}", place.partition));
        named.entry(&place.topic).or_default().extend(items);
    }
    named.into_iter().map(|(topic, items)| (topic, joined(items))).collect()
}

/// Before a reassignment begins: the replicas that it copies, and those of others that are under way, are throttled to
/// so many bytes per second.
pub fn set(
    cluster: &mut Cluster,
    console: &mut Console,
    wanted: &Assignment,
    current: &Assignment,
    rate: i64,
) -> Result<(), Failed> {
    let ongoing = ask::reassignments(cluster, None)?;
    let moves = moves(&ongoing, wanted, current);
    let leaders = replicas(&moves, |it| &it.sources);
    let followers = replicas(&moves, |it| &it.destinations);
    for (topic, leaders) in &leaders {
        let followers = followers.get(topic).map_or("", String::as_str);
        let values = [(LEADER_REPLICAS, Some(leaders.as_str())), (FOLLOWER_REPLICAS, Some(followers))];
        alter(cluster, Resource::Topic, topic, &values)?;
    }
    let brokers: BTreeSet<i32> =
        moves.values().flat_map(|it| it.sources.union(&it.destinations)).copied().collect();
    let text_of_rate = rate.to_string();
    for id in brokers {
        let values = [LEADER_RATE, FOLLOWER_RATE].map(|key| (key, Some(text_of_rate.as_str())));
        alter(cluster, Resource::Broker, &id.to_string(), &values)?;
    }
    say!(console, "The inter-broker throttle limit was set to {rate} B/s");
    Ok(())
}

/// Ends all throttles of these topics, and of all brokers: which ones they were set on is known to nobody.
pub fn clear(
    cluster: &mut Cluster,
    console: &mut Console,
    wanted: &[(TopicPartition, Vec<i32>)],
) -> Result<(), Failed> {
    let mut brokers: BTreeSet<i32> = ask::nodes(cluster)?.into_keys().collect();
    brokers.extend(wanted.iter().flat_map(|(_, replicas)| replicas));
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    say!(console, "Clearing broker-level throttles on broker{} {}", plural(brokers.len()), joined(&brokers));
    for id in &brokers {
        let values = [LEADER_RATE, FOLLOWER_RATE, DIRECTORIES_RATE].map(|key| (key, None));
        alter(cluster, Resource::Broker, &id.to_string(), &values)?;
    }
    let topics: BTreeSet<&String> = wanted.iter().map(|(place, _)| &place.topic).collect();
    say!(console, "Clearing topic-level throttles on topic{} {}", plural(topics.len()), joined(&topics));
    for topic in topics {
        alter(cluster, Resource::Topic, topic, &[(LEADER_REPLICAS, None), (FOLLOWER_REPLICAS, None)])?;
    }
    Ok(())
}

/// Gives settings these values; without one, their defaults.
fn alter(
    cluster: &mut Cluster,
    resource: Resource,
    name: &str,
    values: &[(&str, Option<&str>)],
) -> Result<(), Failed> {
    let configs = values.iter().map(|(key, value)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(if value.is_some() { SET } else { DELETE })
            .with_value(value.map(text))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource as i8)
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    admin::alter_configs(cluster, &resource).map_err(|error| ask::executed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    #[test]
    fn what_is_copied_is_throttled_where_it_comes_from_and_where_it_goes() {
        let ongoing = BTreeMap::from([
            (place(1), Reassignment { replicas: vec![1, 2, 4], adding: vec![4], removing: vec![1] }),
            (place(11), Reassignment { replicas: vec![3, 5], adding: vec![5], removing: vec![] }),
        ]);
        let wanted = Assignment::from([(place(0), vec![2, 3]), (place(1), vec![5, 2])]);
        let current = Assignment::from([(place(0), vec![1, 2]), (place(1), vec![1, 2, 4])]);
        let moves = moves(&ongoing, &wanted, &current);
        // Kafka's order is that of texts.
        assert_eq!(replicas(&moves, |it| &it.sources)["t"], "0:1,0:2,11:3,1:1,1:2");
        assert_eq!(replicas(&moves, |it| &it.destinations)["t"], "0:3,11:5,1:5");
    }
}
