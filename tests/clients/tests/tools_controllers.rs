//! The tools that ask controllers and no broker (`--bootstrap-controller`, KIP-919), ours beside Apache Kafka's.

use corelane_client_tests::{Broker, Pair, kafkas_apart, ours};
use corelane_fault_tests::cluster::Ground;

/// What goes on while two tools look at it.
fn without_progress(out: &str) -> String {
    let moves = ["HighWatermark:", "MaxFollowerLag", "Lag"];
    let kept = out.lines().filter(|line| !moves.iter().any(|word| line.contains(word)));
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn controllers_are_asked_without_a_broker_as_kafkas_are() {
    let ground = Ground::loopback(1).expect("loopback");
    let controller = ground.controller_address(0).to_string();
    let broker = Broker::start_with(&[
        "node.id=1",
        "controller.listener.names=CONTROLLER",
        &format!("listeners=PLAINTEXT://{},CONTROLLER://{controller}", ground.client_address(0)),
        &format!("controller.quorum.voters=1@{controller}"),
    ]);
    let server = ["--bootstrap-controller", controller.as_str()];
    let with = |arguments: &[&'static str]| [&server[..], arguments].concat();
    let mut pair = Pair::start();
    let quorum = "kafka-metadata-quorum";
    pair.same_but(quorum, &with(&["describe", "--status"]), without_progress);

    let configs = "kafka-configs";
    let of_node = ["--entity-type", "brokers", "--entity-name", "1"];
    let of_loggers = ["--entity-type", "broker-loggers", "--entity-name", "1"];
    pair.same(configs, &with(&[&["--alter", "--add-config", "max.connections=77"], &of_node[..]].concat()));
    pair.same(configs, &with(&[&["--describe"], &of_node[..]].concat()));
    pair.same(
        configs,
        &with(&[&["--alter", "--add-config", "corelane_shard=DEBUG"], &of_loggers[..]].concat()),
    );
    pair.same_lines(configs, &with(&[&["--describe"], &of_loggers[..]].concat()));
    pair.same(configs, &with(&["--describe", "--entity-type", "brokers", "--entity-default"]));

    pair.same("kafka-features", &with(&["describe"]));
    for command in ["cluster-id", "list-endpoints"] {
        let arguments = [&[command][..], &server].concat();
        let (java, own) = (kafkas_apart("kafka-cluster", &arguments), ours("kafka-cluster", &arguments, ""));
        assert_eq!(own, java, "{command}");
    }

    let unsupported = "not yet supported when communicating directly with the controller quorum";
    let refused = pair.same(configs, &with(&["--describe", "--entity-type", "topics"]));
    assert!(refused.err.contains(unsupported), "{refused:?}");
    let brokers = ["--bootstrap-controller", broker.address(), "describe", "--status"];
    let mismatched =
        "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
    pair.same_failure(quorum, &brokers, "", mismatched);
    let controllers = ["--bootstrap-server", controller.as_str(), "describe", "--status"];
    pair.same_failure(quorum, &controllers, "", "The node does not support METADATA");
    pair.finish();
    broker.stop();
}
