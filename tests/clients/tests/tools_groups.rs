//! The tools that need consumer groups, beside Apache Kafka's own, and the commands that people learn first.
//!
//! Waits for the broker to have groups: then it belongs into `../tests`.

use corelane_client_tests::{Broker, Pair, QUIET, Ran, jars, our_command, ours};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What the formatter of offsets was called before Kafka 4, which does not know it any more.
const OF_OLD: &str = "kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter";

fn produce(server: &[&str], topic: &str, lines: &str) {
    let sent = ours("kafka-console-producer", &[server, &["--topic", topic]].concat(), lines);
    assert_eq!((sent.code, sent.out.as_str()), (0, ""), "{}", sent.err);
}

#[test]
fn the_tool_for_groups_says_what_kafkas_says() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    ours(
        "kafka-topics",
        &[&server[..], &["--create", "--topic", "ledger", "--partitions", "2"]].concat(),
        "",
    );
    produce(&server, "ledger", "one\ntwo\nthree\nfour\n");
    let mut pair = Pair::start();
    // Each edition reads as a member of a group of its own.
    for protocol in ["classic", "consumer"] {
        let groups = ["a", "b"].map(|edition| format!("{protocol}-{edition}"));
        let property = format!("group.protocol={protocol}");
        let read = ["--topic", "ledger", "--from-beginning", "--max-messages", "4", "--group", "{}"];
        let read = [
            &server[..],
            &read,
            &["--formatter-property", "print.key=true", "--command-property", &property],
        ]
        .concat();
        pair.each("kafka-console-consumer", &read, [&groups[0], &groups[1]]);
    }
    let tool = "kafka-consumer-groups";
    let on = |arguments: &[&'static str]| [&server[..], arguments].concat();
    pair.same_lines(tool, &on(&["--list"]));
    pair.same_lines(tool, &on(&["--list", "--state", "--type"]));
    for group in ["classic-a", "classic-b", "consumer-a", "consumer-b", "nobody"] {
        for view in [
            &[][..],
            &["--verbose"],
            &["--members"],
            &["--members", "--verbose"],
            &["--state"],
            &["--state", "--verbose"],
        ] {
            pair.same(tool, &[&server[..], &["--describe", "--group", group], view].concat());
        }
    }
    for arguments in [
        &["--to-earliest", "--dry-run"][..],
        &["--to-latest", "--dry-run"],
        &["--to-current", "--dry-run", "--export"],
        &["--to-offset", "1", "--dry-run"],
        &["--to-offset", "99", "--dry-run"],
        &["--shift-by", "-1", "--dry-run"],
        &["--to-datetime", "2020-01-01T00:00:00.000", "--dry-run"],
        &["--by-duration", "P1D", "--dry-run"],
        &["--dry-run"],
    ] {
        let reset = ["--reset-offsets", "--group", "classic-a", "--topic", "ledger:0"];
        pair.same(tool, &[&server[..], &reset, arguments].concat());
    }
    let reset = ["--reset-offsets", "--group", "{}", "--topic", "ledger:1", "--to-earliest", "--execute"];
    pair.each(tool, &on(&reset), ["classic-a", "classic-b"]);
    pair.each(
        tool,
        &on(&["--delete-offsets", "--group", "{}", "--topic", "ledger:1"]),
        ["classic-a", "classic-b"],
    );
    pair.same(tool, &on(&["--delete-offsets", "--group", "nobody", "--topic", "ledger"]));
    pair.each(tool, &on(&["--delete", "--group", "{}"]), ["classic-a", "classic-b"]);
    pair.same(tool, &on(&["--delete", "--group", "nobody"]));
    pair.finish();
    broker.stop();
}

#[test]
fn what_the_coordinator_keeps_is_printed_as_by_kafka() {
    let broker =
        Broker::start_with(&["offsets.topic.num.partitions=1", "group.initial.rebalance.delay.ms=0"]);
    let server = ["--bootstrap-server", broker.address()];
    produce(&server, "ledger", "one\ntwo\nthree\nfour\n");
    for protocol in ["classic", "consumer"] {
        let property = format!("group.protocol={protocol}");
        let read = ["--topic", "ledger", "--from-beginning", "--max-messages", "4", "--group", protocol];
        let ran = ours(
            "kafka-console-consumer",
            &[&server[..], &read, &["--command-property", &property]].concat(),
            "",
        );
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let deleted = ["--delete", "--group", "classic"];
    let ran = ours("kafka-consumer-groups", &[&server[..], &deleted].concat(), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let offsets = ours("kafka-get-offsets", &[&server[..], &["--topic", "__consumer_offsets"]].concat(), "");
    let count = offsets.out.trim().rsplit(':').next().unwrap_or_default();
    let all =
        ["--topic", "__consumer_offsets", "--partition", "0", "--from-beginning", "--max-messages", count];
    let mut pair = Pair::start();
    let mut printed = |class: &str| {
        let class = format!("org.apache.kafka.tools.consumer.{class}");
        let arguments = [&server[..], &all, &["--formatter", &class]].concat();
        pair.same("kafka-console-consumer", &arguments).out
    };
    let offsets = printed("OffsetsMessageFormatter");
    assert!(offsets.contains(r#""topic":"ledger""#) && offsets.contains(r#""value":null"#), "{offsets}");
    let groups = printed("GroupMetadataMessageFormatter");
    assert!(groups.contains(r#""protocolType":"consumer""#), "{groups}");
    assert_eq!(printed("TransactionLogMessageFormatter"), "", "there are no transactions in it");
    assert_eq!(printed("ShareGroupMessageFormatter"), "", "there are no share groups in it");
    pair.same("kafka-console-consumer", &[&server[..], &all, &["--formatter", OF_OLD]].concat());
    pair.finish();
    broker.stop();
}

#[test]
fn two_members_share_a_topic() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    ours(
        "kafka-topics",
        &[&server[..], &["--create", "--topic", "shared", "--partitions", "4"]].concat(),
        "",
    );
    let keyed: String = (0..40).map(|index| format!("key-{index}\tvalue {index}\n")).collect();
    let produce = [&server[..], &["--topic", "shared", "--reader-property", "parse.key=true"]].concat();
    assert_eq!(ours("kafka-console-producer", &produce, &keyed).code, 0);
    let read = ["--topic", "shared", "--from-beginning", "--group", "both", "--timeout-ms", "8000"];
    let read: Vec<String> = server.iter().chain(&read).map(|&argument| argument.to_owned()).collect();
    let run = move || {
        let arguments: Vec<&str> = read.iter().map(String::as_str).collect();
        ours("kafka-console-consumer", &arguments, "")
    };
    let members: Vec<_> = (0..2).map(|_| std::thread::spawn(run.clone())).collect();
    let read: Vec<Ran> = members.into_iter().map(|member| member.join().expect("no panic")).collect();
    let mut values: Vec<&str> = read.iter().flat_map(|ran| ran.out.lines()).collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 40, "every record is read by one of the two");
    broker.stop();
}

/// A consumer that does not run on when its test fails.
struct Running(Child);

impl Running {
    fn terminate(&self) {
        let id = libc::pid_t::try_from(self.0.id()).expect("a process id");
        // SAFETY: sends a signal to a child that has not been waited for, so the id is still the child's.
        assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0, "it had ended before it was told to");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without effect when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_member_of_ours_and_one_of_kafkas_share_a_topic_and_keep_what_they_have() {
    a_member_of_each_shares_a_topic("CooperativeStickyAssignor");
}

#[test]
fn a_member_of_ours_and_one_of_kafkas_share_a_topic_and_get_again_what_they_had() {
    a_member_of_each_shares_a_topic("StickyAssignor");
}

fn a_member_of_each_shares_a_topic(assignor: &str) {
    let broker = Broker::start_with(&["group.initial.rebalance.delay.ms=0"]);
    let server = ["--bootstrap-server", broker.address()];
    ours("kafka-topics", &[&server[..], &["--create", "--topic", "kept", "--partitions", "4"]].concat(), "");
    let send = |from: u32| {
        let keyed: String = (from..from + 40).map(|index| format!("key-{index}\tvalue {index}\n")).collect();
        let send = [&server[..], &["--topic", "kept", "--reader-property", "parse.key=true"]].concat();
        assert_eq!(ours("kafka-console-producer", &send, &keyed).code, 0);
    };
    let strategy = format!("partition.assignment.strategy=org.apache.kafka.clients.consumer.{assignor}");
    let read = ["--topic", "kept", "--from-beginning", "--group", "kept", "--command-property", &strategy];
    let read = [&server[..], &read].concat();
    send(0);
    let mut first = Running(our_command("kafka-console-consumer", &read).spawn().expect("the binary runs"));
    let mut lines = BufReader::new(first.0.stdout.take().expect("piped")).lines();
    let mut values: Vec<String> = lines.by_ref().take(40).map(|line| line.expect("UTF-8")).collect();
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let second = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", QUIET, "-cp", &jars(), class])
        .args(&read)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut second = Running(second.expect("java is there: run tests/install-clients"));
    let described = || {
        let describe = ["--describe", "--group", "kept", "--members"];
        ours("kafka-consumer-groups", &[&server[..], &describe].concat(), "").out
    };
    let halves = || {
        let described = described();
        let members = described.lines().filter(|line| line.starts_with("kept"));
        let shares: Vec<&str> = members.filter_map(|line| line.split_whitespace().last()).collect();
        shares == ["2", "2"]
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while !halves() {
        assert!(Instant::now() < deadline, "they never share it evenly:\n{}", described());
    }
    send(40);
    let lag = || {
        let describe = ["--describe", "--group", "kept"];
        let described = ours("kafka-consumer-groups", &[&server[..], &describe].concat(), "").out;
        described
            .lines()
            .filter(|line| line.starts_with("kept"))
            .any(|line| line.split_whitespace().nth(5) != Some("0"))
    };
    while lag() {
        assert!(Instant::now() < deadline, "they never read all");
    }
    first.terminate();
    second.terminate();
    values.extend(lines.map(|line| line.expect("UTF-8")));
    assert!(values.len() < 80, "ours gave nothing back: {}", values.len());
    let read = BufReader::new(second.0.stdout.take().expect("piped")).lines();
    values.extend(read.map(|line| line.expect("UTF-8")));
    values.sort();
    let mut expected: Vec<String> = (0..80).map(|index| format!("value {index}")).collect();
    expected.sort();
    assert_eq!(values, expected, "each record is read once");
    broker.stop();
}

#[test]
fn the_commands_that_people_learn_first_work_as_they_are_taught() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let run =
        |tool: &str, arguments: &[&str], input: &str| ours(tool, &[&server[..], arguments].concat(), input);
    let told = |ran: Ran| {
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    assert_eq!(told(run("kafka-topics", &["--list"], "")), "\n");
    let create = ["--create", "--topic", "orders", "--partitions", "3", "--replication-factor", "1"];
    assert_eq!(told(run("kafka-topics", &create, "")), "Created topic orders.\n");
    assert_eq!(told(run("kafka-topics", &["--list"], "")), "orders\n");
    assert_eq!(told(run("kafka-console-producer", &["--topic", "orders"], "first\nsecond\n")), "");
    // Without a number it would wait for more, as taught; so it is told how many there are.
    let read = ["--topic", "orders", "--from-beginning", "--group", "shop", "--max-messages", "2"];
    let mut read: Vec<String> =
        told(run("kafka-console-consumer", &read, "")).lines().map(str::to_owned).collect();
    read.sort();
    assert_eq!(read, ["first", "second"]);
    let described = told(run("kafka-topics", &["--describe", "--topic", "orders"], ""));
    assert_eq!(described.lines().count(), 4, "{described}");
    assert!(told(run("kafka-consumer-groups", &["--list"], "")).lines().any(|group| group == "shop"));
    let described = told(run("kafka-consumer-groups", &["--group", "shop", "--describe"], ""));
    assert!(described.contains("LOG-END-OFFSET") && described.contains("orders"), "{described}");
    assert_eq!(told(run("kafka-topics", &["--delete", "--topic", "orders"], "")), "");
    assert!(!told(run("kafka-topics", &["--list"], "")).contains("orders"));
    broker.stop();
}
