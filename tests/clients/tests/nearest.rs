//! Consumers read from the replica in their rack (KIP-392), as Java's consumer counts it.

use anyhow::{Context, Result, ensure};
use corelane_client_tests::{jars, ours, run};
use corelane_fault_tests::cluster::{Cluster, ClusterOptions};
use std::{collections::BTreeMap, path::Path};

const TOPIC: &str = "orders";
const RECORDS: u64 = 2_000;
const RECORD_BYTES: u64 = 1_000;

/// The bytes that a consumer in a rack got from each broker, by its node from 0.
fn bytes_by_node(cluster: &Cluster, rack: &str) -> Result<BTreeMap<usize, u64>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/Nearest.java");
    let (jars, servers, count) = (jars(), cluster.bootstrap(), RECORDS.to_string());
    let script = script.to_str().context("UTF-8")?;
    let said = run("java", &["-XX:TieredStopAtLevel=1", "-cp", &jars, script, &servers, TOPIC, rack, &count]);
    let lines = String::from_utf8(said)?;
    let numbers = lines.lines().map(|line| {
        let (id, bytes) = line.split_once(' ').context("two numbers")?;
        Ok((id.parse::<usize>()? - 1, bytes.parse()?))
    });
    numbers.collect()
}

#[test]
fn a_consumer_in_a_rack_reads_from_the_replica_there_and_one_elsewhere_from_the_leader() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut options = ClusterOptions::new()
        .with("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector");
    options.in_racks = true;
    let mut cluster = Cluster::start(&options, directory.path())?;
    cluster.create_topic(TOPIC, 1, &[("min.insync.replicas", "3")])?;
    let (count, size) = (RECORDS.to_string(), RECORD_BYTES.to_string());
    let servers = format!("bootstrap.servers={}", cluster.bootstrap());
    let arguments = [
        "--topic",
        TOPIC,
        "--num-records",
        &count,
        "--record-size",
        &size,
        "--throughput",
        "-1",
        "--producer-props",
        &servers,
        "acks=all",
    ];
    let produced = ours("kafka-producer-perf-test", &arguments, "");
    ensure!(produced.code == 0, "{produced:?}");
    let leader = cluster.view(0, TOPIC)?.partitions[0].leader.context("it is led")?;
    let racks = (0..cluster.len()).map(|node| (format!("rack{}", node + 1), node));
    for (rack, nearest) in racks.chain([("nowhere".to_owned(), leader)]) {
        let bytes = bytes_by_node(&cluster, &rack)?;
        let most = RECORDS * RECORD_BYTES;
        ensure!(bytes.get(&nearest).is_some_and(|bytes| *bytes >= most), "{rack}: {bytes:?} of {nearest}");
        let others = bytes.iter().filter(|(node, _)| **node != nearest).map(|(_, bytes)| bytes);
        ensure!(others.sum::<u64>() < most / 10, "{rack}: {bytes:?}, node {leader} leads");
    }
    cluster.ensure_well()
}
