//! What our editions of Kafka's tools can be told, beside Apache Kafka's own; and those about a cluster as a whole, on both
//! brokers.

use corelane_client_tests::{Broker, KafkaBroker, Pair, Ran, kafkas_apart, ours};
use std::collections::BTreeSet;

/// The long options that a help text lists. Descriptions begin further to the right.
fn options(help: &str) -> BTreeSet<String> {
    let lines = help.lines().filter(|line| line.trim_start().len() + 4 > line.len());
    let long = |line: &str| {
        let mut words = line.split_whitespace().take(2);
        words.find(|word| word.starts_with("--")).map(|word| word.trim_matches(['-', ',', '.']).to_owned())
    };
    lines.filter_map(long).collect()
}

#[test]
fn every_tool_can_be_told_what_kafkas_can_be_told() {
    let mut pair = Pair::start();
    let text = |ran: Ran| [ran.out, ran.err].join("\n");
    let transactions =
        ["list", "describe", "describe-producers", "abort", "find-hanging", "forceTerminateTransaction"];
    let features = ["describe", "upgrade", "downgrade", "disable", "version-mapping", "feature-dependencies"];
    for (tool, commands) in [
        ("kafka-broker-api-versions", &[][..]),
        ("kafka-cluster", &["cluster-id", "unregister", "list-endpoints"]),
        ("kafka-configs", &[]),
        ("kafka-console-consumer", &[]),
        ("kafka-console-producer", &[]),
        ("kafka-consumer-groups", &[]),
        ("kafka-consumer-perf-test", &[]),
        ("kafka-delete-records", &[]),
        ("kafka-dump-log", &[]),
        ("kafka-features", &features),
        ("kafka-get-offsets", &[]),
        ("kafka-leader-election", &[]),
        ("kafka-log-dirs", &[]),
        ("kafka-metadata-quorum", &["describe", "add-controller", "remove-controller"]),
        ("kafka-producer-perf-test", &[]),
        ("kafka-reassign-partitions", &[]),
        ("kafka-topics", &[]),
        ("kafka-transactions", &transactions),
    ] {
        let mut help = |arguments: &[&str]| {
            // It ends its JVM.
            let apart = tool == "kafka-cluster";
            options(&text(if apart { kafkas_apart(tool, arguments) } else { pair.kafkas(tool, arguments) }))
        };
        let mut expected = help(&["--help"]);
        for command in commands {
            expected.extend(help(&[command, "--help"]));
        }
        assert!(expected.len() > 2, "{tool}: {expected:?}");
        expected.remove("help");
        let mut found = options(&text(ours(tool, &["--help"], "")));
        found.remove("help");
        let missing: Vec<_> = expected.difference(&found).collect();
        assert!(missing.is_empty(), "{tool} lacks {missing:?}");
        let more: Vec<_> = found.difference(&expected).filter(|name| name.len() > 1).collect();
        assert!(more.is_empty(), "{tool} alone has {more:?}");
    }
    pair.finish();
}

#[test]
fn what_is_wrong_about_a_cluster_is_told_as_by_kafka() {
    let nowhere = ["--bootstrap-server", "127.0.0.1:1"];
    let mut pair = Pair::start();
    for arguments in [
        &[][..],
        &["tell"],
        &["cluster-id"],
        &["unregister"],
        &["unregister", "-b", "127.0.0.1:1"],
        &["unregister", "-b", "127.0.0.1:1", "--id", "x"],
        &["list-endpoints", "-b", "a:1", "-C", "b:1"],
        &["list-endpoints", "-C", "127.0.0.1:1", "--include-fenced-brokers"],
    ] {
        pair.same_apart("kafka-cluster", arguments);
    }
    for arguments in [
        &[][..],
        &["tell"],
        &["describe"],
        &["describe", "--nothing"],
        &["describe", "--dry-run"],
        &["feature-dependencies"],
        &["feature-dependencies", "--feature", "group.version"],
        &["feature-dependencies", "--feature", "group.version=7"],
        &["feature-dependencies", "--feature", "nothing=1"],
        &["feature-dependencies", "--feature", "metadata.version=6"],
        &["feature-dependencies", "--feature", "metadata.version=30", "--feature", "share.version=1"],
        &["feature-dependencies", "--feature", "eligible.leader.replicas.version=1"],
        &["version-mapping"],
        &["version-mapping", "--release-version", "9"],
        &["version-mapping", "--release-version", "3.3"],
        &["version-mapping", "--release-version", "3.9.1"],
        &["version-mapping", "--release-version", "4.0"],
        &["version-mapping", "--release-version", "4.2-IV0"],
        &["version-mapping", "--release-version", "4.4-IV0"],
    ] {
        pair.same("kafka-features", arguments);
    }
    for arguments in [
        &["--bootstrap-controller", "a:1", "describe"][..],
        &["describe", "--node-id", "x"],
        &["describe", "--node-id", "-1"],
        &["upgrade"],
        &["disable"],
        &["upgrade", "--feature", "group.version"],
        &["upgrade", "--feature", "group.version=1", "--feature", "group.version=0"],
        &["upgrade", "--release-version", "9"],
        &["upgrade", "--release-version", "4.0", "--feature", "group.version=1"],
        &["upgrade", "--metadata", "9"],
    ] {
        pair.same("kafka-features", &[&nowhere[..], arguments].concat());
    }
    pair.finish();
}

/// Kafka's metadata grow twice a second by themselves.
fn without_epochs(out: &str) -> String {
    out.lines().filter_map(|line| line.split(" Epoch: ").next()).collect::<Vec<_>>().join("\n")
}

/// The same questions to either broker.
fn asked(pair: &mut Pair, address: &str) {
    let after = ["--bootstrap-server", address];
    let on = |arguments: &[&'static str]| [arguments, &after].concat();
    for arguments in [
        &["cluster-id"][..],
        &["list-endpoints"],
        &["list-endpoints", "--include-fenced-brokers"],
        &["unregister", "--id", "7"],
    ] {
        pair.same("kafka-cluster", &on(arguments));
    }
    for arguments in [&["describe"][..], &["describe", "--node-id", "1"]] {
        pair.same_but("kafka-features", &[&after[..], arguments].concat(), without_epochs);
    }
    for arguments in [
        &["upgrade", "--feature", "group.version=1", "--dry-run"][..],
        &["upgrade", "--feature", "group.version=9", "--dry-run"],
        &["upgrade", "--feature", "nothing=1"],
        &["downgrade", "--feature", "group.version=0", "--dry-run"],
        &["downgrade", "--feature", "group.version=0", "--unsafe", "--dry-run"],
        &["disable", "--feature", "group.version", "--dry-run"],
        &["disable", "--feature", "nothing"],
    ] {
        pair.same("kafka-features", &[&after[..], arguments].concat());
    }
}

#[test]
fn what_a_cluster_is_is_told_as_by_kafka() {
    let (own, kafka) = (Broker::start(), KafkaBroker::start(&["PLAINTEXT"], &[]));
    let mut pair = Pair::start();
    asked(&mut pair, own.address());
    let address = kafka.address("PLAINTEXT");
    asked(&mut pair, address);
    let server = ["--bootstrap-server", address];
    for arguments in [
        &["upgrade", "--release-version", "4.0", "--dry-run"][..],
        &["downgrade", "--release-version", "4.0", "--dry-run"],
        &["downgrade", "--metadata", "4.2-IV0", "--dry-run"],
    ] {
        pair.same("kafka-features", &[&server[..], arguments].concat());
    }
    let changed =
        ours("kafka-features", &[&server[..], &["disable", "--feature", "share.version"]].concat(), "");
    assert_eq!((changed.code, changed.out.as_str()), (0, "share.version was disabled.\n"), "{changed:?}");
    pair.same_but("kafka-features", &[&server[..], &["describe"]].concat(), without_epochs);
    pair.finish();
    own.stop();
}
