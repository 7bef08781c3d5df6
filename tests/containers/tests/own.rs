//! The project's own compose files. One after the other: they publish the same ports.

use corelane_container_tests::{Cluster, start};
use std::path::Path;

/// Starts a file of `docker/`; `None` where that cannot be.
fn started(name: &str) -> Option<Box<dyn Cluster>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker").join(name);
    start(&file).unwrap_or_else(|error| panic!("{error:#}"))
}

/// What a topic holds of this, sent and read on the host.
fn assert_keeps_records(cluster: &dyn Cluster, bootstrap: &str, replicas: &str) {
    let tool = |words: &[&str], input: &str| {
        let words =
            [&words[..1], &["--bootstrap-server", bootstrap, "--topic", "orders"], &words[1..]].concat();
        let ran = cluster.tool_on_host(&words, input).expect("it runs");
        assert!(ran.code == 0 && !ran.err.contains("ERROR"), "{words:?}: {ran:?}");
        ran.out
    };
    tool(&["kafka-topics", "--create", "--partitions", "3", "--replication-factor", replicas], "");
    tool(&["kafka-console-producer"], "first\nsecond\n");
    let read =
        tool(&["kafka-console-consumer", "--from-beginning", "--max-messages", "2", "--group", "shop"], "");
    assert_eq!(read, "first\nsecond\n");
    let described = tool(&["kafka-topics", "--describe"], "");
    assert!(described.contains(&format!("ReplicationFactor: {replicas}")), "{described}");
}

#[test]
fn the_projects_compose_files_serve_one_node_and_three() {
    let Some(one) = started("compose.yml") else { return };
    assert_keeps_records(&*one, "127.0.0.1:9092", "1");
    let said = one.said("kafka").expect("it is told");
    assert!(!said.contains("who did not own them"), "its volume is the user's: {said}");
    drop(one);

    let Some(three) = started("compose-cluster.yml") else { return };
    assert_keeps_records(&*three, "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094", "3");
    let quorum =
        ["kafka-metadata-quorum", "--bootstrap-server", "kafka-2:29092", "describe", "--replication"];
    let ran = three.inside("kafka-3", &quorum, "").expect("it runs");
    assert_eq!(
        ran.out.lines().filter(|line| line.contains("Leader") || line.contains("Follower")).count(),
        3,
        "{ran:?}"
    );
}
