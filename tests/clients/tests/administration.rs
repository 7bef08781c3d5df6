//! What administrators ask, by Kafka's admin client and tools and by librdkafka's.

use corelane_client_tests::{Broker, jars, python, run};
use std::path::PathBuf;

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
    broker.stop();
}

#[test]
fn what_librdkafka_alters_takes_effect_and_what_it_may_not_is_refused() {
    let broker = Broker::start();
    run(python(), &[&script("python/administration.py"), broker.address()]);
    broker.stop();
}
