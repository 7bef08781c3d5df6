//! `kafka-broker-api-versions` (`org.apache.kafka.tools.BrokerApiVersionsCommand`).

use crate::{
    Tool,
    args::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Command},
    client::{Cluster, Node, Properties, Role, cluster::Topics},
    console::{Console, Outcome, Stop},
};
use std::collections::BTreeMap;

pub const TOOL: Tool = Tool {
    name: "kafka-broker-api-versions",
    purpose: "Show which versions of which requests brokers have.",
    options: &[BOOTSTRAP_SERVER, COMMAND_CONFIG],
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    command.help_or_version(console, "This tool helps to retrieve broker version information.")?;
    command.required(console, &["bootstrap-server"])?;
    let mut properties = match command.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    let servers = command.value("bootstrap-server")?.unwrap_or_default();
    properties.set("bootstrap.servers", servers);
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    cluster
        .metadata(Topics::None)
        .map_err(|error| Stop::Failed(format!("Request METADATA failed on brokers {servers}: {error}")))?;
    let nodes: Vec<Node> = cluster.nodes().cloned().collect();
    for node in nodes {
        let versions = cluster.on_node(node.id, |connection| {
            let ranges = connection.api_versions().api_keys.iter();
            Ok(ranges.map(|range| (range.api_key, (range.min_version, range.max_version))).collect())
        });
        let Node { id, host, port, rack } = node;
        let rack = rack.unwrap_or_else(|| "null".into());
        let name = format!("{host}:{port} (id: {id} rack: {rack} isFenced: false)");
        match versions {
            Ok(versions) => console.line(format_args!("{name} -> {}", describe(versions)))?,
            Err(error) => console.line(format_args!("{name} -> ERROR: {error}"))?,
        }
    }
    Ok(())
}

/// All keys in their order, those of Kafka 4.3 that the broker lacks among them.
fn describe(versions: BTreeMap<i16, (i16, i16)>) -> String {
    let mut lines: BTreeMap<i16, String> =
        versions.into_iter().map(|(key, range)| (key, line(key, range))).collect();
    for (key, name, ..) in KEYS {
        lines.entry(*key).or_insert_with(|| format!("{name}({key}): UNSUPPORTED"));
    }
    let lines: Vec<String> = lines.into_values().collect();
    format!("(\n\t{}\n)", lines.join(",\n\t"))
}

fn line(key: i16, (min, max): (i16, i16)) -> String {
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let Ok(at) = KEYS.binary_search_by_key(&key, |row| row.0) else {
        return format!("UNKNOWN({key}): {range}");
    };
    let (_, name, oldest, latest) = KEYS[at];
    let usable = if latest < min {
        "unusable: node too new".into()
    } else if max < oldest {
        "unusable: node too old".into()
    } else {
        format!("usable: {}", latest.min(max))
    };
    format!("{name}({key}): {range} [{usable}]")
}

/// The keys of clients of Kafka 4.3: number, name, oldest and latest version. What is usable is said of Kafka's clients, not of
/// these tools.
const KEYS: &[(i16, &str, i16, i16)] = &[
    (0, "Produce", 3, 13),
    (1, "Fetch", 4, 18),
    (2, "ListOffsets", 1, 11),
    (3, "Metadata", 0, 13),
    (8, "OffsetCommit", 2, 10),
    (9, "OffsetFetch", 1, 10),
    (10, "FindCoordinator", 0, 6),
    (11, "JoinGroup", 0, 9),
    (12, "Heartbeat", 0, 4),
    (13, "LeaveGroup", 0, 5),
    (14, "SyncGroup", 0, 5),
    (15, "DescribeGroups", 0, 6),
    (16, "ListGroups", 0, 5),
    (17, "SaslHandshake", 0, 1),
    (18, "ApiVersions", 0, 4),
    (19, "CreateTopics", 2, 7),
    (20, "DeleteTopics", 1, 6),
    (21, "DeleteRecords", 0, 2),
    (22, "InitProducerId", 0, 5),
    (23, "OffsetForLeaderEpoch", 2, 4),
    (24, "AddPartitionsToTxn", 0, 5),
    (25, "AddOffsetsToTxn", 0, 4),
    (26, "EndTxn", 0, 5),
    (27, "WriteTxnMarkers", 1, 2),
    (28, "TxnOffsetCommit", 0, 5),
    (29, "DescribeAcls", 1, 3),
    (30, "CreateAcls", 1, 3),
    (31, "DeleteAcls", 1, 3),
    (32, "DescribeConfigs", 1, 4),
    (33, "AlterConfigs", 0, 2),
    (34, "AlterReplicaLogDirs", 1, 2),
    (35, "DescribeLogDirs", 1, 5),
    (36, "SaslAuthenticate", 0, 2),
    (37, "CreatePartitions", 0, 3),
    (38, "CreateDelegationToken", 1, 3),
    (39, "RenewDelegationToken", 1, 2),
    (40, "ExpireDelegationToken", 1, 2),
    (41, "DescribeDelegationToken", 1, 3),
    (42, "DeleteGroups", 0, 2),
    (43, "ElectLeaders", 0, 2),
    (44, "IncrementalAlterConfigs", 0, 1),
    (45, "AlterPartitionReassignments", 0, 1),
    (46, "ListPartitionReassignments", 0, 0),
    (47, "OffsetDelete", 0, 0),
    (48, "DescribeClientQuotas", 0, 1),
    (49, "AlterClientQuotas", 0, 1),
    (50, "DescribeUserScramCredentials", 0, 0),
    (51, "AlterUserScramCredentials", 0, 0),
    (55, "DescribeQuorum", 0, 2),
    (57, "UpdateFeatures", 0, 2),
    (60, "DescribeCluster", 0, 2),
    (61, "DescribeProducers", 0, 0),
    (64, "UnregisterBroker", 0, 0),
    (65, "DescribeTransactions", 0, 0),
    (66, "ListTransactions", 0, 2),
    (68, "ConsumerGroupHeartbeat", 0, 1),
    (69, "ConsumerGroupDescribe", 0, 1),
    (71, "GetTelemetrySubscriptions", 0, 0),
    (72, "PushTelemetry", 0, 0),
    (74, "ListConfigResources", 0, 1),
    (75, "DescribeTopicPartitions", 0, 0),
    (76, "ShareGroupHeartbeat", 1, 1),
    (77, "ShareGroupDescribe", 1, 1),
    (78, "ShareFetch", 1, 2),
    (79, "ShareAcknowledge", 1, 2),
    (80, "AddRaftVoter", 0, 1),
    (81, "RemoveRaftVoter", 0, 0),
    (83, "InitializeShareGroupState", 0, 0),
    (84, "ReadShareGroupState", 0, 0),
    (85, "WriteShareGroupState", 0, 1),
    (86, "DeleteShareGroupState", 0, 0),
    (87, "ReadShareGroupStateSummary", 0, 1),
    (88, "StreamsGroupHeartbeat", 0, 0),
    (89, "StreamsGroupDescribe", 0, 0),
    (90, "DescribeShareGroupOffsets", 0, 1),
    (91, "AlterShareGroupOffsets", 0, 0),
    (92, "DeleteShareGroupOffsets", 0, 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_have_is_usable() {
        assert_eq!(line(0, (0, 9)), "Produce(0): 0 to 9 [usable: 9]");
        assert_eq!(line(46, (0, 0)), "ListPartitionReassignments(46): 0 [usable: 0]");
        assert_eq!(line(1, (0, 3)), "Fetch(1): 0 to 3 [unusable: node too old]");
        assert_eq!(line(0, (14, 15)), "Produce(0): 14 to 15 [unusable: node too new]");
        assert_eq!(line(999, (0, 1)), "UNKNOWN(999): 0 to 1");
    }

    #[test]
    fn what_the_broker_lacks_is_listed_in_its_place() {
        let text = describe(BTreeMap::from([(0, (0, 13)), (999, (1, 1))]));
        assert!(
            text.starts_with("(\n\tProduce(0): 0 to 13 [usable: 13],\n\tFetch(1): UNSUPPORTED,\n"),
            "{text}"
        );
        assert!(text.ends_with("DeleteShareGroupOffsets(92): UNSUPPORTED,\n\tUNKNOWN(999): 1\n)"), "{text}");
        assert!(KEYS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
