//! What administrators ask, by Kafka's admin client and tools and by librdkafka's.

use corelane_client_tests::{Broker, Pair, jars, python, run};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

/// What Apache Kafka 4.3.1 answered to the same program, as one node (1) that is controller and broker with its default
/// settings: `kafka.Kafka` of the same jars, its storage formatted by `kafka.tools.StorageTool`.
const KAFKAS_ANSWERS: &str = include_str!("../java/administration.txt");

fn script(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.join(name).to_str().expect("UTF-8").to_owned()
}

fn java(arguments: &[&str]) -> String {
    // Starts in half the time; the tools are not what is measured.
    let fixed = ["-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"];
    let output = run("java", &[&fixed[..], &[&jars()], arguments].concat());
    String::from_utf8(output).expect("UTF-8")
}

#[test]
fn an_administrator_is_told_what_kafka_tells() {
    let broker = Broker::start();
    let answers = java(&[&script("java/Administration.java"), broker.address()]);
    for (ours, kafkas) in answers.lines().zip(KAFKAS_ANSWERS.lines()) {
        assert_eq!(ours, kafkas);
    }
    assert_eq!(answers.lines().count(), KAFKAS_ANSWERS.lines().count(), "{answers}");

    let server = ["--bootstrap-server", broker.address()];
    let directories =
        java(&[&["org.apache.kafka.tools.LogDirsCommand"], &server[..], &["--describe"]].concat());
    assert!(
        directories.contains(r#""partition":"t-1","size":0,"offsetLag":0,"isFuture":false"#),
        "{directories}"
    );
    let status = ["describe", "--status"];
    let quorum = java(&[&["org.apache.kafka.tools.MetadataQuorumCommand"], &server[..], &status].concat());
    for line in ["LeaderId:               1", "MaxFollowerLag:         0", "CurrentObservers:       []"] {
        assert!(quorum.contains(line), "{quorum}");
    }
    let features = java(&[&["org.apache.kafka.tools.FeatureCommand"], &server[..], &["describe"]].concat());
    let group =
        "Feature: group.version SupportedMinVersion: 0 SupportedMaxVersion: 1 FinalizedVersionLevel: 1";
    // Padded to columns.
    let words: Vec<&str> = features.split_whitespace().collect();
    assert!(words.join(" ").contains(group), "{features}");
    broker.stop();
}

#[test]
fn what_librdkafka_alters_takes_effect_and_what_it_may_not_is_refused() {
    let broker = Broker::start();
    run(python(), &[&script("python/administration.py"), broker.address()]);
    broker.stop();
}

/// Says something that ends the connection, with a line in the log at level INFO that names `key`.
fn break_off(broker: &Broker, key: u16) {
    let mut connection = TcpStream::connect(broker.address()).expect("the broker listens");
    let mut frame = vec![0, 0, 0, 8];
    frame.extend(key.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0, 1]);
    connection.write_all(&frame).expect("it reads");
    assert_eq!(connection.read(&mut [0; 1]).expect("it closes in order"), 0);
}

#[test]
fn a_logger_that_is_raised_says_more_and_one_that_is_lowered_again_no_more() {
    // One shard, so that lines stand in the order in which things happened.
    let broker = Broker::start_with(&["corelane.shards=1"]);
    let mut pair = Pair::start();
    let entity =
        ["--bootstrap-server", broker.address(), "--entity-type", "broker-loggers", "--entity-name", "1"];
    let mut configs = |arguments: &[&'static str]| pair.same("kafka-configs", &[&entity, arguments].concat());
    let gone = "connection gone";
    let told = configs(&["--describe"]);
    assert!(told.out.contains("corelane_shard=INFO"), "{told:?}");
    break_off(&broker, 32_001);
    let log = broker.log_with("32001");
    assert!(!log.contains(gone), "{log}");
    let done = configs(&["--alter", "--add-config", "corelane_shard=DEBUG"]);
    assert_eq!(done.code, 0, "{done:?}");
    break_off(&broker, 32_002);
    let _ = broker.log_with(gone);
    assert!(configs(&["--describe"]).out.contains("corelane_shard=DEBUG"));
    configs(&["--alter", "--add-config", "corelane_shard=LOUD"]);
    configs(&["--alter", "--add-config", "no_such_logger=INFO"]);
    configs(&["--alter", "--delete-config", "root"]);
    configs(&["--alter", "--delete-config", "corelane_shard"]);
    break_off(&broker, 32_003);
    assert!(configs(&["--describe"]).out.contains("corelane_shard=INFO"));
    break_off(&broker, 32_004);
    let log = broker.log_with("32004");
    let (_, after) = log.split_once("32003").expect("it was logged before");
    assert!(!after.contains(gone), "{after}");
    pair.finish();
    broker.stop();
}
