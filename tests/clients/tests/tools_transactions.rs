//! Transactions of our editions of Kafka's tools beside those of Apache Kafka's own, on Apache Kafka's broker and on ours.

use corelane_client_tests::{Broker, KafkaBroker, Pair, jars, ours, run};

/// A broker that needs no others for transactions.
fn kafka(levels: &[&str]) -> KafkaBroker {
    let settings = ["replication.factor=1", "min.isr=1", "num.partitions=1"];
    let settings: Vec<String> =
        settings.iter().map(|setting| format!("transaction.state.log.{setting}")).collect();
    KafkaBroker::start_at(&["PLAINTEXT"], &settings, levels)
}

fn create(server: &[&str], topic: &str) {
    let create = ["--create", "--topic", topic, "--partitions", "1"];
    let made = ours("kafka-topics", &[server, &create].concat(), "");
    assert_eq!(made.code, 0, "{made:?}");
}

/// How much was sent; how fast is another thing every time.
fn sent(out: &str) -> String {
    let line = |line: &str| match line.split_once(" records sent") {
        Some((count, _)) => format!("{count} records sent"),
        None => line.to_owned(),
    };
    out.lines().map(line).collect::<Vec<_>>().join("\n")
}

const TOOL: &str = "kafka-producer-perf-test";

#[test]
fn what_transactions_commit_is_read_and_what_they_abort_is_not() {
    what_is_committed_is_read(kafka(&[]).address("PLAINTEXT"));
    let broker = Broker::start();
    what_is_committed_is_read(broker.address());
    broker.stop();
}

fn what_is_committed_is_read(address: &str) {
    let server = ["--bootstrap-server", address];
    let mut pair = Pair::start();
    create(&server, "mixed");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/java/Transactions.java");
    run("java", &["-XX:TieredStopAtLevel=1", "-cp", &jars(), program, address, "mixed"]);
    let read = ["--topic", "mixed", "--partition", "0", "--from-beginning", "--formatter-property"];
    let read = [&server[..], &read, &["print.offset=true", "--timeout-ms", "5000"]].concat();
    let committed = [&read[..], &["--isolation-level", "read_committed"]].concat();
    let told = pair.same("kafka-console-consumer", &committed);
    assert_eq!(told.out.lines().count(), 9, "{told:?}");
    assert!(!told.out.contains("aborted") && !told.out.contains("open"), "{told:?}");
    let told = pair.same("kafka-console-consumer", &read);
    assert_eq!(told.out.lines().count(), 16, "{told:?}");
    for time in ["-1", "-2", "-3", "-4", "-5", "-6", "earliest-pending-upload"] {
        pair.same("kafka-get-offsets", &[&server[..], &["--topic", "mixed", "--time", time]].concat());
    }
    pair.finish();
}

#[test]
fn transactions_are_measured_as_by_kafka() {
    // From transaction.version 2 on leaders add partitions by themselves, before it the client does.
    for levels in [&[][..], &["transaction.version=0"]] {
        measured(kafka(levels).address("PLAINTEXT"));
    }
    let broker = Broker::start();
    measured(broker.address());
    broker.stop();
}

fn measured(address: &str) {
    let server = ["--bootstrap-server", address];
    let mut pair = Pair::start();
    create(&server, "java");
    create(&server, "own");
    performance(&mut pair, &server);
    pair.finish();
}

/// Transactions in every way there is to ask for them.
fn performance(pair: &mut Pair, server: &[&str]) {
    let some = ["--num-records", "30", "--record-size", "10", "--reporting-interval", "600000"];
    let by_id = ["--transactional-id", "tools"];
    let by_setting = ["--command-property", "transactional.id=tools"];
    let by_duration = ["--transaction-duration-ms", "100"];
    for arguments in [
        &[&["--throughput", "-1"][..], &by_id].concat()[..],
        &[&["--throughput", "-1"][..], &by_setting].concat(),
        &[&["--throughput", "-1"][..], &by_duration].concat(),
        &[&["--throughput", "-1"][..], &by_setting, &by_id, &by_duration].concat(),
        // Several transactions, one after the other.
        &[&["--throughput", "60"][..], &by_id, &by_duration].concat(),
        &[&["--throughput", "-1"][..], &by_id, &["--transaction-duration-ms", "1"]].concat(),
    ] {
        let arguments = [server, &some, arguments, &["--topic", "{}"]].concat();
        pair.each_but(TOOL, &arguments, ["java", "own"], sent);
    }
    // Six times thirty records, and a marker at the end of each transaction.
    let markers = end_of(server, "own") - 180;
    assert!((9..=120).contains(&markers), "{markers} markers");
    let read = ["--topic", "own", "--partition", "0", "--from-beginning", "--timeout-ms", "5000"];
    let read = [server, &read, &["--isolation-level", "read_committed"]].concat();
    let told = pair.same("kafka-console-consumer", &read);
    assert_eq!(told.out.lines().count() % 180, 0, "nothing is left open: {told:?}");
    refusals(pair, server);
}

fn end_of(server: &[&str], topic: &str) -> i64 {
    let told = ours("kafka-get-offsets", &[server, &["--topic", topic]].concat(), "");
    let end = told.out.trim().rsplit(':').next().and_then(|it| it.parse().ok());
    end.unwrap_or_else(|| panic!("{told:?}"))
}

/// What cannot be done, in Kafka's words.
fn refusals(pair: &mut Pair, server: &[&str]) {
    let some = ["--topic", "own", "--num-records", "3", "--throughput", "-1", "--record-size", "10"];
    let by_id = ["--transactional-id", "tools"];
    for arguments in [
        &["--command-property", "acks=1"][..],
        &["--command-property", "enable.idempotence=false"],
        &["--command-property", "enable.idempotence=true", "acks=1"],
        &["--command-property", "max.in.flight.requests.per.connection=6"],
        &["--command-property", "transaction.timeout.ms=2000000000"],
        &["--transaction-duration-ms", "0"],
    ] {
        let told = pair.same(TOOL, &[server, &some, &by_id, arguments].concat());
        assert_eq!(told.code, 1, "{told:?}");
    }
    // Larger than a topic takes.
    let large = ["--topic", "own", "--num-records", "1", "--throughput", "-1", "--record-size", "1048500"];
    let told = pair.same(TOOL, &[server, &large, &by_id].concat());
    assert_eq!(told.code, 1, "{told:?}");
    let unprepared = ["--topic", "own", "--command-property", "transactional.id=tools"];
    // Kafka's says the same, and then its producer closes for ever.
    let told = ours("kafka-console-producer", &[server, &unprepared].concat(), "one\n");
    let sentence = "Cannot add partition own-0 to transaction before completing a call to initTransactions\n";
    assert_eq!((told.code, told.err.as_str()), (1, sentence));
}
