//! The tools that move partitions and their leaders, ours beside Apache Kafka's.

use corelane_client_tests::{Broker, Pair, ours};

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
