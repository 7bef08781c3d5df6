//! The tools that measure, in both editions. What they measured is masked, how they say it is compared.

use corelane_client_tests::{Broker, JavaTools, Pair, ours};
use std::collections::{BTreeMap, BTreeSet};

/// Every number is `#`.
fn masked(out: &str) -> String {
    let mut masked = String::new();
    for letter in out.chars() {
        match letter {
            '0'..='9' => {
                if !masked.ends_with('#') {
                    masked.push('#');
                }
            }
            // Of a number with decimals.
            '.' if masked.ends_with('#') => (),
            _ => masked.push(letter),
        }
    }
    masked
}

/// The kinds of lines: how many there are of each, and before which others, depends on how fast it goes.
fn kinds(out: &str) -> String {
    let masked = masked(out);
    masked.lines().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("\n")
}

/// As [`masked`], but for how many records were sent in all.
fn sent(out: &str) -> String {
    let line = |line: &str| match line.split_once(" records sent") {
        Some((count, rest)) => format!("{count} records sent{}", masked(rest)),
        None => line.to_owned(),
    };
    out.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// As [`masked`], but for how much was read: the third and the fifth column.
fn read(out: &str) -> String {
    let line = |line: &str| {
        let cells = line.split(", ").enumerate();
        let cell = |(column, cell)| if [2, 4].contains(&column) { String::from(cell) } else { masked(cell) };
        cells.map(cell).collect::<Vec<_>>().join(", ")
    };
    out.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The metrics at the end of an output, in the order of their names; their columns are as wide as the longest name.
fn metrics(out: &str) -> BTreeMap<String, String> {
    let (_, told) = out.split_once("\nMetric Name ").expect("a header");
    let (header, lines) = told.split_once('\n').expect("lines below it");
    let width = "Metric Name ".len() + header.strip_suffix("   Value").expect("two columns").len();
    let line = |line: &str| {
        let (name, value) = line.split_at(width);
        let value = value.strip_prefix(" : ").unwrap_or_else(|| panic!("{line:?} stands out of its column"));
        (name.trim_end().to_owned(), value.to_owned())
    };
    lines.lines().filter(|line| !line.is_empty()).map(line).collect()
}

#[test]
fn metrics_have_kafkas_names_and_form_and_count_what_was_done() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let mut java = JavaTools::start();
    let producer = "kafka-producer-perf-test";
    let send = ["--topic", "counted", "--num-records", "50", "--record-size", "10", "--throughput", "-1"];
    let consumer = "kafka-consumer-perf-test";
    // What both have sent.
    let read = ["--topic", "counted", "--num-records", "100", "--group", "counters"];
    for (tool, arguments, count, wanted) in [
        (
            producer,
            &send[..],
            "producer-metrics:record-send-total:{client-id=perf-producer-client}",
            "50.000",
        ),
        (
            consumer,
            &read,
            "consumer-fetch-manager-metrics:records-consumed-total:{client-id=perf-consumer-client}",
            "100.000",
        ),
    ] {
        let arguments = [&server[..], arguments, &["--print-metrics"]].concat();
        let own = ours(tool, &arguments, "");
        assert_eq!(own.code, 0, "{own:?}");
        let own = metrics(&own.out);
        if tool == consumer {
            // The group reads all of it once more.
            let reset =
                ["--reset-offsets", "--to-earliest", "--all-topics", "--group", "counters", "--execute"];
            let reset = ours("kafka-consumer-groups", &[&server[..], &reset].concat(), "");
            assert_eq!(reset.code, 0, "{reset:?}");
        }
        let theirs = java.run(tool, &arguments, "");
        let theirs = metrics(&theirs.out);
        let unknown: Vec<_> = own.keys().filter(|name| !theirs.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "Kafka has no {unknown:?} among {:?}", theirs.keys());
        assert_eq!((own[count].as_str(), theirs[count].as_str()), (wanted, wanted));
        let requests = own.iter().find(|(name, _)| name.contains(":request-total:")).expect("requests");
        assert!(requests.1.parse::<f64>().expect("a number") > 0.0, "{requests:?}");
    }
    broker.stop();
}

#[test]
fn what_was_sent_is_told_as_by_kafka() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let payloads = file("payloads", "one\ntwo\nthree\n");
    let other = file("other", "one;two");
    let empty = file("empty", "");
    let config = file("producer.properties", "acks=1\n");
    let mut pair = Pair::start();
    let tool = "kafka-producer-perf-test";
    // No line between before the end.
    let some =
        ["--topic", "sent", "--num-records", "50", "--throughput", "-1", "--reporting-interval", "600000"];
    for arguments in [
        &["--record-size", "10"][..],
        &["--payload-monotonic", "--command-property", "acks=1", "linger.ms=1"],
        &["--payload-file", &payloads],
        &["--payload-file", &other, "--payload-delimiter", ";"],
        &["--payload-file", &empty],
        &["--record-size", "10", "--producer-props", "acks=0"],
        &["--record-size", "10", "--producer.config", &config],
        &["--record-size", "10", "--command-config", &config],
        &["--record-size", "10", "--warmup-records", "20"],
    ] {
        pair.same_but(tool, &[&server[..], &some, arguments].concat(), sent);
    }
    // Ten milliseconds from record to record, and a line for every one that has passed.
    let slow = ["--topic", "sent", "--num-records", "30", "--throughput", "100", "--reporting-interval", "1"];
    let told = pair.same_but(tool, &[&server[..], &slow, &["--record-size", "10"]].concat(), kinds);
    assert!(told.out.lines().count() > 1, "{told:?}");
    let warm = ["--record-size", "10", "--warmup-records", "10"];
    let told = pair.same_but(tool, &[&server[..], &slow, &warm].concat(), kinds);
    assert!(told.out.contains("In steady state."), "{told:?}");
    pair.finish();
    broker.stop();
}

#[test]
fn what_was_read_is_told_as_by_kafka() {
    let broker = Broker::start_with(&["group.initial.rebalance.delay.ms=0"]);
    let server = ["--bootstrap-server", broker.address()];
    let send = ["--topic", "read", "--num-records", "300", "--throughput", "-1", "--record-size", "5000"];
    let made = ours("kafka-producer-perf-test", &[&server[..], &send].concat(), "");
    assert_eq!(made.code, 0, "{made:?}");
    let mut pair = Pair::start();
    let tool = "kafka-consumer-perf-test";
    let topic = ["--topic", "read"];
    for arguments in [
        &["--num-records", "300"][..],
        &["--messages", "300", "--hide-header"],
        &["--num-records", "300", "--date-format", "dd.MM.yy HH:mm"],
        &["--num-records", "300", "--command-property", "group.protocol=consumer"],
        // Nothing comes behind the last.
        &["--num-records", "301", "--timeout", "3000"],
    ] {
        pair.same_but(tool, &[&server[..], &topic, arguments].concat(), read);
    }
    let pattern = ["--include", "re.d", "--num-records", "300", "--fetch-size", "20000"];
    pair.same_but(tool, &[&server[..], &pattern].concat(), read);
    let detailed = ["--num-records", "300", "--show-detailed-stats", "--reporting-interval", "1"];
    pair.same_but(tool, &[&server[..], &topic, &detailed].concat(), kinds);
    pair.finish();
    broker.stop();
}
