//! The tools that move partitions and their leaders, ours beside Apache Kafka's.

use anyhow::{Result, ensure};
use corelane_client_tests::{Broker, Pair, ours};
use corelane_fault_tests::cluster::{Cluster, ClusterOptions};
use std::time::Duration;

/// Without the stack trace that Kafka's tool prints behind an error.
fn without_trace(out: &str) -> String {
    let errors = out.lines().position(|line| line.starts_with("Error: "));
    out.lines().take(errors.map_or(usize::MAX, |at| at + 1)).collect::<Vec<_>>().join("\n")
}

/// What is left to chance, or to the order of a Java map, is not compared.
fn without_directories(out: &str) -> String {
    out.lines().filter(|line| !line.starts_with("{\"version\"")).collect::<Vec<_>>().join("\n")
}

#[test]
fn reassignments_are_told_as_by_kafka() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let create = [&server[..], &["--create", "--topic", "books", "--partitions", "2"]].concat();
    ours("kafka-topics", &create, "");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let one = r#"{"topic": "books", "partition": 0, "replicas": [1]}"#;
    let here = file("here.json", &format!(r#"{{"partitions": [{one}], "version": 1}}"#));
    let twice = file("twice.json", &format!(r#"{{"partitions": [{one}, {one}]}}"#));
    let away = file("away.json", r#"{"partitions": [{"topic": "books", "partition": 1, "replicas": [9]}]}"#);
    let unknown =
        file("unknown.json", r#"{"partitions": [{"topic": "nothing", "partition": 0, "replicas": [1]}]}"#);
    let beyond =
        file("beyond.json", r#"{"partitions": [{"topic": "books", "partition": 9, "replicas": [1]}]}"#);
    let topics = file("topics.json", r#"{"topics": [{"topic": "books"}], "version": 1}"#);
    let mut pair = Pair::start();
    let tool = "kafka-reassign-partitions";
    let with = |arguments: &[&'static str]| [&server[..], arguments].concat();
    pair.same(tool, &with(&["--list"]));
    for path in [&here, &unknown] {
        let arguments = [&server[..], &["--verify", "--reassignment-json-file", path]].concat();
        pair.same_but(tool, &arguments, without_trace);
    }
    for path in [&here, &twice, &away, &unknown, &beyond] {
        let arguments = [&server[..], &["--execute", "--reassignment-json-file", path]].concat();
        pair.same_but(tool, &arguments, without_trace);
    }
    let arguments = [&server[..], &["--cancel", "--reassignment-json-file", &here]].concat();
    pair.same(tool, &arguments);
    let arguments = [&arguments[..], &["--preserve-throttles"]].concat();
    pair.same(tool, &arguments);
    for brokers in ["1", "1,1", "9"] {
        let arguments = ["--generate", "--topics-to-move-json-file", &topics, "--broker-list", brokers];
        pair.same_but(tool, &[&server[..], &arguments].concat(), |out| {
            without_directories(&without_trace(out))
        });
    }
    pair.finish();
    broker.stop();
}

/// What one edition moves, and the other.
const THEIRS: &str = "javas-topic";
const OURS: &str = "owned-topic";

/// Both topics are on brokers 1 and 2, with more in them than a throttle of 1000 bytes a second lets go in this test.
fn with_two_topics(cluster: &mut Cluster) -> Result<()> {
    let servers = cluster.bootstrap();
    for topic in [THEIRS, OURS] {
        let create =
            ["--bootstrap-server", &servers, "--create", "--topic", topic, "--replica-assignment", "1:2"];
        let created = ours("kafka-topics", &create, "");
        ensure!(created.code == 0, "{created:?}");
        let properties = format!("bootstrap.servers={servers}");
        let fill = [
            "--topic",
            topic,
            "--num-records",
            "600",
            "--record-size",
            "1000",
            "--throughput",
            "-1",
            "--producer-props",
            &properties,
            "acks=all",
            "batch.size=4000",
        ];
        let filled = ours("kafka-producer-perf-test", &fill, "");
        ensure!(filled.code == 0, "{filled:?}");
    }
    Ok(())
}

#[test]
fn throttles_of_reassignments_are_set_changed_and_cleared_as_by_kafka() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&ClusterOptions::new(), &directory.path().join("nodes"))?;
    cluster.create_topic("whole", 1, &[])?;
    with_two_topics(&mut cluster)?;
    for topic in [THEIRS, OURS] {
        let moved =
            format!(r#"{{"partitions": [{{"topic": "{topic}", "partition": 0, "replicas": [3, 2]}}]}}"#);
        std::fs::write(directory.path().join(topic), moved)?;
    }
    let servers = cluster.bootstrap();
    let json = directory.path().join("{}");
    let json = json.to_str().expect("UTF-8");
    let mut pair = Pair::start();
    let tool = "kafka-reassign-partitions";
    let with = |arguments: &[&'static str]| {
        [&["--bootstrap-server", &servers, "--reassignment-json-file", json][..], arguments].concat()
    };
    // While partitions move, what is under way for whoever comes second is another; of brokers all is alike.
    let everything = [("topics", "{}"), ("brokers", "1"), ("brokers", "2"), ("brokers", "3")];
    let compare_settings = |pair: &mut Pair, of: &[(&'static str, &'static str)]| {
        for (kind, name) in of {
            let describe =
                ["--bootstrap-server", &servers, "--describe", "--entity-type", kind, "--entity-name", name];
            pair.each("kafka-configs", &describe, [THEIRS, OURS]);
        }
    };
    let each =
        |pair: &mut Pair, arguments: &[&'static str]| pair.each(tool, &with(arguments), [THEIRS, OURS]);
    each(&mut pair, &["--execute", "--additional", "--throttle", "1000"]);
    compare_settings(&mut pair, &everything);
    each(&mut pair, &["--verify"]);
    let listed = || ours(tool, &["--bootstrap-server", &servers, "--list"], "").out;
    let under_way = listed();
    ensure!(under_way.contains(THEIRS) && under_way.contains(OURS), "both are held back: {under_way}");
    compare_settings(&mut pair, &everything);
    // Still so little that neither is moved before both tools have looked.
    let changed =
        ["--execute", "--additional", "--throttle", "2000", "--replica-alter-log-dirs-throttle", "5"];
    each(&mut pair, &changed);
    compare_settings(&mut pair, &everything[1..]);
    let theirs = json.replace("{}", THEIRS);
    let freed = ["--execute", "--additional", "--throttle", "100000000", "--reassignment-json-file", &theirs];
    let freed = ours(tool, &[&["--bootstrap-server", &servers][..], &freed].concat(), "");
    ensure!(freed.code == 0, "{freed:?}");
    let patience = Duration::from_secs(60);
    cluster.await_that(patience, "both are moved", |_| listed().starts_with("No partition reassignments"))?;
    each(&mut pair, &["--verify", "--preserve-throttles"]);
    compare_settings(&mut pair, &everything[1..]);
    each(&mut pair, &["--verify"]);
    compare_settings(&mut pair, &everything);
    let left =
        ["--bootstrap-server", &servers, "--describe", "--entity-type", "brokers", "--entity-name", "1"];
    let left = ours("kafka-configs", &left, "").out;
    ensure!(!left.contains("throttled"), "{left}");
    pair.finish();
    cluster.ensure_well()
}

#[test]
fn elections_are_told_as_by_kafka() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let create = [&server[..], &["--create", "--topic", "books", "--partitions", "1"]].concat();
    ours("kafka-topics", &create, "");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("partitions.json");
    std::fs::write(&path, r#"{"partitions": [{"topic": "books", "partition": 0}]}"#).expect("written");
    let path = path.to_str().expect("UTF-8");
    let mut pair = Pair::start();
    let tool = "kafka-leader-election";
    for election in ["preferred", "UNCLEAN"] {
        let with = |arguments: &[&str]| -> Vec<String> {
            let all = [&server[..], &["--election-type", election], arguments].concat();
            all.into_iter().map(str::to_owned).collect()
        };
        for arguments in [
            with(&["--all-topic-partitions"]),
            with(&["--topic", "books", "--partition", "0"]),
            with(&["--path-to-json-file", path]),
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            pair.same(tool, &arguments);
        }
        let unknown = with(&["--topic", "books", "--partition", "7"]);
        let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
        pair.same_failure(tool, &unknown, "", "1 replica(s) could not be elected");
    }
    pair.finish();
    broker.stop();
}

#[test]
fn wrong_command_lines_are_refused_in_kafkas_words() {
    let nowhere = ["--bootstrap-server", "127.0.0.1:1"];
    let mut pair = Pair::start();
    let reassign = "kafka-reassign-partitions";
    for arguments in [
        &[][..],
        &["--list"],
        &["--list", "--verify"],
        &["--list", nowhere[0], nowhere[1], "--bootstrap-controller", "127.0.0.1:2"],
        &["--verify", nowhere[0], nowhere[1]],
        &["--list", nowhere[0], nowhere[1], "--throttle", "7"],
    ] {
        pair.same(reassign, arguments);
    }
    let elect = "kafka-leader-election";
    for (arguments, sentence) in [
        (&["--election-type", "preferred"][..], "Missing required option(s): bootstrap-server"),
        (
            &[nowhere[0], nowhere[1], "--election-type", "preferred"],
            "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file",
        ),
        (
            &[nowhere[0], nowhere[1], "--election-type", "preferred", "--topic", "t"],
            "Missing required option(s): partition",
        ),
    ] {
        pair.same_failure(elect, arguments, "", sentence);
    }
    pair.finish();
}
