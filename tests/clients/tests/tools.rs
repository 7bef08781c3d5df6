//! Our editions of Kafka's command-line tools beside Apache Kafka's own, on the same broker: the same output, errors and
//! exit codes. What a broker without consumer groups can be asked.

use corelane_client_tests::{Broker, Pair, installed, our_command, ours};
use std::{
    io::{BufRead, BufReader},
    process::Command,
};

/// How much is to be sent.
const MEASURED: [&str; 6] = ["--topic", "t", "--num-records", "3", "--throughput", "-1"];

#[test]
fn the_tool_for_topics_says_what_kafkas_says() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let mut pair = Pair::start();
    let topics = |arguments: &[&'static str]| [&server, arguments].concat();
    let tool = "kafka-topics";
    pair.same(tool, &topics(&["--list"]));
    let create = ["--create", "--topic", "{}", "--partitions", "3", "--config", "retention.ms=86400000"];
    pair.each(tool, &topics(&create), ["ledger-a", "ledger-b"]);
    pair.each(tool, &topics(&["--create", "--topic", "{}"]), ["with.dots-a", "with.dots-b"]);
    for arguments in [
        &["--list"][..],
        &["--list", "--topic", "ledger-.*"],
        &["--create", "--topic", "ledger-a"],
        &["--create", "--topic", "ledger-a", "--if-not-exists"],
        &["--describe", "--topic", "ledger-a"],
        &["--describe", "--topic", "ledger-a", "--topics-with-overrides"],
        &["--describe", "--topic", "nothing"],
        &["--describe", "--topic", "nothing", "--if-exists"],
        &["--describe", "--under-replicated-partitions"],
        &["--describe", "--topic", "ledger-a", "--at-min-isr-partitions"],
        &["--describe", "--topic-id", "AAAAAAAAAAAAAAAAAAAAAQ"],
        &["--alter", "--topic", "ledger-a", "--partitions", "2"],
        &["--alter", "--topic", "nothing", "--partitions", "2"],
        &["--delete", "--topic", "nothing"],
        &["--create", "--topic", "x", "--partitions", "0"],
        &["--create", "--topic", "x", "--partitions", "many"],
        &["--create", "--topic", "x", "--replication-factor", "40000"],
        &["--create", "--topic", "x", "--replication-factor", "9"],
        &["--create", "--topic", "x", "--replica-assignment", "1:1"],
        &["--create", "--topic", "x", "--config", "retention.ms"],
        &["--create", "--topic", "x", "--config", "no.such=1"],
        &["--create", "--topic", "bad name"],
    ] {
        pair.same(tool, &topics(arguments));
    }
    pair.each(tool, &topics(&["--alter", "--topic", "{}", "--partitions", "5"]), ["ledger-a", "ledger-b"]);
    pair.each(tool, &topics(&["--delete", "--topic", "{}"]), ["ledger-a", "ledger-b"]);
    pair.same(tool, &topics(&["--list"]));
    pair.finish();
    broker.stop();
}

#[test]
fn wrong_command_lines_are_refused_in_kafkas_words() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let short = directory.path().join("short.properties");
    std::fs::write(&short, "default.api.timeout.ms=1000\nrequest.timeout.ms=500\n").expect("written");
    let short = short.to_str().expect("UTF-8");
    // Nobody listens on this port.
    let nowhere = ["--bootstrap-server", "127.0.0.1:1"];
    let mut pair = Pair::start();
    for (tool, arguments) in [
        ("kafka-topics", &[][..]),
        ("kafka-topics", &["--list"]),
        ("kafka-topics", &["--lis"]),
        ("kafka-topics", &["--list", "--create"]),
        ("kafka-topics", &["--topic"]),
        ("kafka-topics", &[nowhere[0], nowhere[1], "--create"]),
        ("kafka-topics", &[nowhere[0], nowhere[1], "--list", "--partitions", "1"]),
        ("kafka-topics", &[nowhere[0], nowhere[1], "--list", "--command-config", short]),
        ("kafka-console-producer", &[]),
        ("kafka-console-producer", &["--topic", "t"]),
        ("kafka-console-producer", &["--topic", "t", "--bootstrap-server", "nowhere"]),
        ("kafka-console-producer", &["--topic", "t", "--nothing"]),
        ("kafka-console-consumer", &[]),
        ("kafka-console-consumer", &["--topic", "t"]),
        ("kafka-console-consumer", &["--topic", "t", "--include", "t", nowhere[0], nowhere[1]]),
        ("kafka-console-consumer", &["--topic", "t", "--offset", "1", nowhere[0], nowhere[1]]),
        (
            "kafka-console-consumer",
            &["--topic", "t", "--partition", "0", "--offset", "x", nowhere[0], nowhere[1]],
        ),
        (
            "kafka-console-consumer",
            &["--topic", "t", "--partition", "0", "--group", "g", nowhere[0], nowhere[1]],
        ),
        ("kafka-get-offsets", &[]),
        ("kafka-get-offsets", &["--topic", "t"]),
        ("kafka-get-offsets", &["--bootstrap-server", "nowhere"]),
        ("kafka-get-offsets", &[nowhere[0], nowhere[1], "--time", "soon"]),
        ("kafka-get-offsets", &[nowhere[0], nowhere[1], "--partitions", "x"]),
        ("kafka-configs", &["--describe"]),
        ("kafka-configs", &nowhere),
        ("kafka-configs", &[nowhere[0], nowhere[1], "--describe", "--entity-type", "things"]),
        ("kafka-configs", &[nowhere[0], nowhere[1], "--alter", "--topic", "t"]),
        ("kafka-configs", &[nowhere[0], nowhere[1], "--alter", "--topic", "t", "--add-config", "a"]),
        ("kafka-configs", &[nowhere[0], nowhere[1], "--describe", "--broker", "x"]),
        ("kafka-consumer-groups", &[]),
        ("kafka-consumer-groups", &["--list"]),
        ("kafka-consumer-groups", &nowhere),
        ("kafka-consumer-groups", &[nowhere[0], nowhere[1], "--describe"]),
        ("kafka-consumer-groups", &[nowhere[0], nowhere[1], "--list", "--members"]),
        ("kafka-consumer-groups", &["--validate-regex", "a.*"]),
        ("kafka-consumer-perf-test", &[]),
        ("kafka-consumer-perf-test", &["--topic", "t", "--num-records", "1"]),
        ("kafka-consumer-perf-test", &[nowhere[0], nowhere[1], "--num-records", "1"]),
        ("kafka-consumer-perf-test", &[nowhere[0], nowhere[1], "--topic", "t"]),
        ("kafka-consumer-perf-test", &[nowhere[0], nowhere[1], "--topic", "t", "--num-records", "x"]),
        (
            "kafka-consumer-perf-test",
            &[nowhere[0], nowhere[1], "--topic", "t", "--num-records", "1", "--messages", "1"],
        ),
        (
            "kafka-consumer-perf-test",
            &[nowhere[0], nowhere[1], "--topic", "t", "--num-records", "1", "--reporting-interval", "0"],
        ),
        ("kafka-producer-perf-test", &["--topic", "t", "--num-records", "3", "--record-size", "1"]),
        ("kafka-producer-perf-test", &MEASURED),
        ("kafka-producer-perf-test", &["--topic", "t", "--num-records", "x"]),
        ("kafka-producer-perf-test", &["--topic", "t", "--throughput", "x"]),
        ("kafka-producer-perf-test", &["--nothing"]),
        ("kafka-producer-perf-test", &[&MEASURED[..], &["--record-size", "0"]].concat()),
        ("kafka-producer-perf-test", &[&MEASURED[..], &["--record-size", "1"]].concat()),
        (
            "kafka-producer-perf-test",
            &[&MEASURED[..], &["--record-size", "1", "--payload-monotonic"]].concat(),
        ),
        (
            "kafka-producer-perf-test",
            &[&MEASURED[..], &nowhere, &["--record-size", "1", "--warmup-records", "3"]].concat(),
        ),
        (
            "kafka-producer-perf-test",
            &[&MEASURED[..], &nowhere, &["--record-size", "1", "--reporting-interval", "0"]].concat(),
        ),
        ("kafka-dump-log", &[]),
        ("kafka-dump-log", &["--print-data-log"]),
        ("kafka-dump-log", &["--files", "nothing.txt,nothing"]),
        ("kafka-delete-records", &nowhere),
        ("kafka-log-dirs", &nowhere),
        ("kafka-broker-api-versions", &[]),
    ] {
        pair.same(tool, arguments);
    }
    pair.finish();
}

#[test]
fn what_one_edition_sends_the_other_reads_alike() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let mut pair = Pair::start();
    let input = "h:1,i:NULL\tkey\tvalue\nNULL\tNULL\tgrößer 🚚\nh:2\tk\tNULL\n";
    let reader = [
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "parse.headers=true",
        "--reader-property",
        "null.marker=NULL",
    ];
    ours(
        "kafka-topics",
        &[&server[..], &["--create", "--topic", "letters", "--partitions", "1"]].concat(),
        "",
    );
    let produce = [&server[..], &["--topic", "letters"], &reader].concat();
    // Each edition appends the three records: six in all.
    pair.same_with_input("kafka-console-producer", &produce, input);
    let old = [
        &server[..],
        &["--topic", "letters", "--property", "parse.key=true", "--producer-property", "acks=1"],
    ]
    .concat();
    pair.same_with_input("kafka-console-producer", &old, "k\tv\n");
    let sentence = "No key separator found on line number 1: 'no separator'";
    pair.same_failure("kafka-console-producer", &old, "no separator\n", sentence);
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let compressed = [&server[..], &["--topic", "letters", "--compression-codec", codec]].concat();
        pair.same_with_input(
            "kafka-console-producer",
            &compressed,
            &format!("{codec} {}\n", "text ".repeat(50)),
        );
    }
    let consume = [&server[..], &["--topic", "letters", "--partition", "0", "--max-messages", "16"]].concat();
    let all: Vec<String> = ["key", "headers", "offset", "partition", "timestamp", "epoch", "delivery"]
        .iter()
        .flat_map(|field| ["--formatter-property".to_owned(), format!("print.{field}=true")])
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let read = pair.same("kafka-console-consumer", &[&consume[..], &["--from-beginning"], &all].concat());
    assert_eq!(read.out.lines().count(), 16, "{}", read.out);
    for arguments in [
        &["--offset", "4", "--max-messages", "2"][..],
        &["--offset", "earliest", "--max-messages", "3", "--formatter-property", "null.literal=-"],
        &[
            "--offset",
            "1",
            "--max-messages",
            "1",
            "--property",
            "print.value=false",
            "--property",
            "print.offset=true",
        ],
        &["--offset", "3", "--timeout-ms", "2000", "--isolation-level", "read_committed"],
        &["--offset", "6", "--max-messages", "1", "--consumer-property", "client.id=me"],
    ] {
        let from = [&server[..], &["--topic", "letters", "--partition", "0"], arguments].concat();
        pair.same("kafka-console-consumer", &from);
    }
    pair.finish();
    broker.stop();
}

#[test]
fn offsets_configurations_and_deletions_are_told_as_by_kafka() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    ours("kafka-topics", &[&server[..], &["--create", "--topic", "books", "--partitions", "2"]].concat(), "");
    ours("kafka-console-producer", &[&server[..], &["--topic", "books"]].concat(), "one\ntwo\nthree\n");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let first = file(
        "first.json",
        r#"{"partitions": [{"topic": "books", "partition": 0, "offset": 0}], "version": 1}"#,
    );
    let beyond = file("beyond.json", r#"{"partitions": [{"topic": "books", "partition": 0, "offset": 99}]}"#);
    let twice = r#"{"topic": "books", "partition": 0, "offset": 1}"#;
    let twice = file("twice.json", &format!(r#"{{"partitions": [{twice}, {twice}]}}"#));
    let mut pair = Pair::start();
    let on = |arguments: &[&'static str]| [&server[..], arguments].concat();
    for arguments in [
        &["--topic", "books"][..],
        &["--topic", "books", "--time", "earliest"],
        &["--topic", "books", "--time", "-3"],
        &["--topic", "books", "--time", "earliest-pending-upload"],
        &["--topic", "books", "--time", "0"],
        &["--topic-partitions", "books:1-"],
        &["--topic-partitions", "books:0,books", "--time", "-1"],
        &["--topic-partitions", "books:x"],
        &["--topic", "nothing"],
        &["--topic-partitions", "books", "--topic", "books"],
    ] {
        pair.same("kafka-get-offsets", &on(arguments));
    }
    let topic = "kafka-configs";
    pair.same(
        topic,
        &on(&[
            "--alter",
            "--topic",
            "books",
            "--add-config",
            "retention.ms=86400000,max.message.bytes=20000",
        ]),
    );
    pair.same(topic, &on(&["--describe", "--topic", "books"]));
    pair.same(topic, &on(&["--describe", "--entity-type", "topics", "--entity-name", "books", "--all"]));
    pair.same(
        topic,
        &on(&["--alter", "--topic", "books", "--delete-config", "retention.ms,max.message.bytes"]),
    );
    pair.same(topic, &on(&["--describe", "--topic", "nothing"]));
    pair.same(topic, &on(&["--alter", "--topic", "books", "--add-config", "retention.ms=soon"]));
    pair.same(topic, &on(&["--describe", "--broker", "7"]));
    for path in [&first, &beyond, &twice] {
        pair.same("kafka-delete-records", &[&server[..], &["--offset-json-file", path]].concat());
    }
    pair.same("kafka-broker-api-versions", &server);
    pair.finish();
    broker.stop();
}

#[test]
fn a_consumer_that_is_told_to_stop_says_how_much_it_has_read() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    ours(
        "kafka-topics",
        &[&server[..], &["--create", "--topic", "endless", "--partitions", "1"]].concat(),
        "",
    );
    ours("kafka-console-producer", &[&server[..], &["--topic", "endless"]].concat(), "one\ntwo\n");
    let read = ["--topic", "endless", "--partition", "0", "--from-beginning"];
    let read = [&server[..], &read].concat();
    let mut child = our_command("kafka-console-consumer", &read).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for expected in ["one", "two"] {
        assert_eq!(lines.next().expect("a line").expect("UTF-8"), expected);
    }
    let id = libc::pid_t::try_from(child.id()).expect("a process id");
    // GNU timeout sends its signal twice, to the process and to its group.
    for _ in 0..2 {
        // SAFETY: sends a signal to a child that has not been waited for, so the id is still the child's.
        assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0, "it had ended before it was told to");
    }
    let output = child.wait_with_output().expect("a child of this process");
    assert_eq!(output.status.code(), Some(143));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Processed a total of 2 messages\n");
    broker.stop();
}

#[test]
fn a_link_by_either_of_its_names_is_the_tool() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let links = installed(&directory.path().join("bin"));
    for name in ["kafka-topics", "kafka-topics.sh"] {
        let output = Command::new(links.join(name)).arg("--version").output().expect("the link runs");
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn what_a_node_is_and_has_is_told_as_by_kafka() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let on = |arguments: &[&'static str]| [&server[..], arguments].concat();
    let made = ours("kafka-topics", &on(&["--create", "--topic", "ledger", "--partitions", "1"]), "");
    assert_eq!(made.code, 0, "{made:?}");
    // One partition: Java prints several in the order of a hash map.
    let mut pair = Pair::start();
    pair.same_lines("kafka-metadata-quorum", &on(&["describe", "--status"]));
    pair.same_lines("kafka-metadata-quorum", &on(&["describe", "--status", "--human-readable"]));
    // The leader's times are of the moment that asks.
    pair.same_but("kafka-metadata-quorum", &on(&["describe", "--replication"]), without_times);
    pair.same_but(
        "kafka-metadata-quorum",
        &on(&["describe", "--replication", "--human-readable"]),
        without_times,
    );
    for arguments in [
        &["describe"][..],
        &["describe", "--status", "--replication"],
        &["describe", "--status", "--human-readable"],
        &["describe", "--human-readable"],
        &["tell"],
        &[],
    ] {
        pair.same("kafka-metadata-quorum", &on(arguments));
    }
    pair.same("kafka-log-dirs", &on(&["--describe", "--topic-list", "ledger"]));
    pair.same("kafka-log-dirs", &on(&["--describe", "--topic-list", "ledger", "--broker-list", "1"]));
    pair.same("kafka-log-dirs", &on(&["--describe", "--broker-list", "7"]));
    pair.finish();
    broker.stop();
}

/// Without the numbers of the columns that are times, and without the padding that their lengths ask for.
fn without_times(out: &str) -> String {
    let line = |line: &str| {
        let cells = line.split('\t').map(str::trim).enumerate();
        let cell = |(column, cell): (usize, &str)| match column {
            4 | 5 => cell.replace(|letter: char| letter.is_ascii_digit(), ""),
            _ => cell.to_owned(),
        };
        cells.map(cell).collect::<Vec<_>>().join("\t")
    };
    out.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn quotas_are_described_and_refused_as_by_kafka() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let mut pair = Pair::start();
    for arguments in [
        &["--describe", "--entity-type", "users"][..],
        &["--describe", "--entity-type", "clients"],
        &["--describe", "--entity-type", "ips"],
        &["--describe", "--user", "ann"],
        &["--describe", "--entity-type", "users", "--entity-default"],
        &["--describe", "--user", "ann", "--client", "shop"],
        &["--describe", "--client-defaults"],
        &["--describe", "--ip", "127.0.0.1"],
        &["--describe", "--ip-defaults"],
        &["--describe", "--entity-type", "ips", "--entity-name", "no.such.host.invalid"],
        &["--describe", "--entity-type", "users", "--entity-type", "ips"],
        &["--alter", "--user", "ann", "--add-config", "producer_byte_rate=1024"],
        &[
            "--alter",
            "--entity-type",
            "clients",
            "--entity-default",
            "--add-config",
            "consumer_byte_rate=1024.5",
        ],
        &["--alter", "--ip", "127.0.0.1", "--add-config", "connection_creation_rate=10"],
        &["--alter", "--user", "ann", "--add-config", "producer_byte_rate=fast"],
        &["--alter", "--user", "ann", "--add-config", "retention.ms=1"],
        &["--alter", "--client", "shop", "--add-config", "retention.ms=1"],
        &["--alter", "--ip", "127.0.0.1", "--add-config", "producer_byte_rate=1"],
        &["--alter", "--user", "ann", "--delete-config", "producer_byte_rate"],
        &["--alter", "--client", "shop", "--delete-config", "retention.ms"],
        &["--alter", "--user", "ann", "--delete-config", "retention.ms,a"],
        &["--alter", "--entity-type", "users", "--add-config", "producer_byte_rate=1"],
    ] {
        pair.same("kafka-configs", &[&server[..], arguments].concat());
    }
    pair.finish();
    broker.stop();
}
