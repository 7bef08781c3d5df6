//! Kafka's own Java client and command-line tools.

use corelane_client_tests::{Broker, Client, jars, round_trip, run, run_with_input, sample};

/// The standard output of one of Kafka's tools.
fn tool(class: &str, arguments: &[&str], input: &str) -> String {
    let jars = jars();
    let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
    // Starts in half the time; the tools are not what is measured.
    let fast = "-XX:TieredStopAtLevel=1";
    let output =
        run_with_input("java", &[&[fast, quiet, "-cp", &jars, class], arguments].concat(), input.into());
    String::from_utf8(output).expect("UTF-8")
}

#[test]
fn the_java_client_reads_back_what_it_produced() {
    let broker = Broker::start();
    round_trip(&broker, Client::Java, Client::Java, &sample(2000));
    broker.stop();
}

#[test]
fn kafkas_tools_administer_topics_and_their_configurations() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let topics =
        |arguments: &[&str]| tool("org.apache.kafka.tools.TopicCommand", &[&server, arguments].concat(), "");
    let configs = |arguments: &[&str]| tool("kafka.admin.ConfigCommand", &[&server, arguments].concat(), "");

    let create = ["--create", "--topic", "ledger", "--partitions", "3", "--config", "retention.ms=86400000"];
    assert_eq!(topics(&create).trim(), "Created topic ledger.");
    assert_eq!(topics(&["--list"]).trim(), "ledger");

    let described = topics(&["--describe", "--topic", "ledger"]);
    let lines: Vec<&str> = described.lines().collect();
    assert_eq!(lines.len(), 4, "{described}");
    assert!(lines[0].contains("PartitionCount: 3\tReplicationFactor: 1\tConfigs: "), "{described}");
    assert!(lines[0].contains("retention.ms=86400000"), "{described}");
    for (number, line) in lines[1..].iter().enumerate() {
        let partition = format!("\tTopic: ledger\tPartition: {number}\tLeader: 1\tReplicas: 1\tIsr: 1");
        assert!(line.starts_with(&partition), "{described}");
    }

    topics(&["--alter", "--topic", "ledger", "--partitions", "5"]);
    assert!(topics(&["--describe", "--topic", "ledger"]).contains("PartitionCount: 5"));

    let entity = ["--entity-type", "topics", "--entity-name", "ledger"];
    configs(&[&["--alter", "--add-config", "max.message.bytes=2000000"], &entity[..]].concat());
    let told = configs(&[&["--describe"], &entity[..]].concat());
    assert!(told.contains("max.message.bytes=2000000"), "{told}");
    assert!(told.contains("retention.ms=86400000"), "{told}");
    configs(&[&["--alter", "--delete-config", "max.message.bytes"], &entity[..]].concat());
    let told = configs(&[&["--describe"], &entity[..]].concat());
    assert!(!told.contains("max.message.bytes=2000000"), "{told}");

    let produce = ["--topic", "ledger", "--property", "parse.key=true", "--property", "key.separator=:"];
    let input: String = (0..100).map(|index| format!("key-{index}:value {index}\n")).collect();
    tool("org.apache.kafka.tools.ConsoleProducer", &[&server, &produce[..]].concat(), &input);
    let offsets =
        tool("org.apache.kafka.tools.GetOffsetShell", &[&server[..], &["--topic", "ledger"]].concat(), "");
    let ends = offsets.lines().map(|line| line.rsplit(':').next().and_then(|end| end.parse::<u64>().ok()));
    assert_eq!(offsets.lines().count(), 5, "{offsets}");
    assert_eq!(ends.map(|end| end.expect("topic:partition:offset")).sum::<u64>(), 100, "{offsets}");

    let read = run(
        "kcat",
        &["-b", broker.address(), "-C", "-t", "ledger", "-o", "beginning", "-e", "-q", "-f", "%k:%s\n"],
    );
    let mut read: Vec<&str> = std::str::from_utf8(&read).expect("UTF-8").lines().collect();
    let mut sent: Vec<&str> = input.lines().collect();
    read.sort_unstable();
    sent.sort_unstable();
    assert_eq!(read, sent);

    topics(&["--delete", "--topic", "ledger"]);
    assert_eq!(topics(&["--list"]).trim(), "");
    broker.stop();
}
