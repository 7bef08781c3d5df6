//! The whole way of the load generator, option to JSON, without a real broker.

mod fake_broker;

use clap::Parser;
use corelane_bench::{command, options::Options};
use fake_broker::{FakeBroker, Faults};
use serde_json::Value;

/// Runs a command line against a broker and gives its JSON.
fn run(broker: &FakeBroker, command: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    let directory = tempfile::tempdir()?;
    let json = directory.path().join("report.json");
    let address = broker.address();
    let mut line = vec!["corelane-bench", command, "--broker", &address, "--json", json.to_str().unwrap()];
    line.extend_from_slice(arguments);
    command::run(&Options::try_parse_from(line)?)?;
    Ok(serde_json::from_slice(&std::fs::read(json)?)?)
}

const BRIEF: [&str; 6] = ["--seconds", "0.3", "--warmup", "0", "--rate", "5000"];

fn produce(broker: &FakeBroker, arguments: &[&str]) -> anyhow::Result<Value> {
    run(broker, "produce", &[&BRIEF[..], arguments].concat())
}

#[test]
fn every_scheduled_record_is_acknowledged_and_counted_once() {
    for more in [
        &["--producers", "3", "--partitions", "2", "--idempotent"][..],
        &["--spread", "round-robin", "--in-flight", "1", "--linger-ms", "0"],
        &["--spread", "round-robin", "--key-bytes", "16"],
        &["--compression", "lz4", "--payload", "text", "--record-bytes", "100"],
    ] {
        let broker = FakeBroker::start(Faults::default());
        let report = produce(&broker, more).unwrap();
        assert_eq!(report["sections"]["produce"]["acknowledged_records"], 1500.0, "{more:?}");
        assert_eq!(report["latency_ms"]["produce"]["count"], 1500, "{more:?}");
        assert_eq!(report["errors"], serde_json::json!({}), "{more:?}");
        assert_eq!((broker.records(), broker.sequence_faults()), (1500, 0), "{more:?}");
    }
}

#[test]
fn refused_records_are_counted_by_their_error_and_idempotent_producers_go_on() {
    let broker = FakeBroker::start(Faults { refuse: Some((10, 19)), ..Faults::default() });
    let report = produce(&broker, &["--idempotent", "--linger-ms", "0"]).unwrap();
    let refused = report["errors"]["produce: records answered NOT_ENOUGH_REPLICAS"].as_i64().unwrap();
    assert!(refused > 0);
    assert_eq!(broker.records() + refused, 1500);
    let report = produce(&broker, &["--producers", "2"]).unwrap();
    assert!(report["sections"]["produce"]["acknowledged_records"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_backlog_is_read_to_its_end_and_verified() {
    let broker = FakeBroker::start(Faults::default());
    produce(&broker, &[]).unwrap();
    for sessions in ["true", "false"] {
        let report = run(&broker, "consume", &["--consumers", "2", "--sessions", sessions]).unwrap();
        let found = &report["sections"]["consume"];
        assert_eq!(found["records"], 1500.0);
        assert_eq!((&found["crc_mismatches"], &found["offset_gaps"]), (&0.0.into(), &0.0.into()));
    }
}

#[test]
fn damage_and_missing_batches_are_seen() {
    let damaging = FakeBroker::start(Faults { damage: true, ..Faults::default() });
    produce(&damaging, &[]).unwrap();
    let report = run(&damaging, "consume", &[]).unwrap();
    assert!(report["sections"]["consume"]["crc_mismatches"].as_f64().unwrap() > 0.0);

    let skipping = FakeBroker::start(Faults { skip: Some(5), ..Faults::default() });
    produce(&skipping, &[]).unwrap();
    let report = run(&skipping, "consume", &["--seconds", "1"]).unwrap();
    assert!(report["sections"]["consume"]["offset_gaps"].as_f64().unwrap() > 0.0);
}

#[test]
fn end_to_end_receives_what_was_acknowledged_and_nothing_of_an_earlier_run() {
    let broker = FakeBroker::start(Faults::default());
    for _ in 0..2 {
        let report = run(&broker, "e2e", &BRIEF).unwrap();
        assert_eq!(report["sections"]["end to end"]["received_records"], 1500.0);
        assert_eq!(report["sections"]["end to end"]["missing_records"], 0.0);
        assert_eq!(report["latency_ms"]["end to end"]["count"], 1500);
    }
}

#[test]
fn small_records_are_measured_alone_and_beside_large_ones() {
    let broker = FakeBroker::start(Faults::default());
    let report = run(&broker, "mixed", &[&BRIEF[..], &["--record-bytes", "100"]].concat()).unwrap();
    for name in ["small alone", "small beside large"] {
        assert_eq!(report["latency_ms"][name]["count"], 1500, "{name}");
    }
    assert!(report["latency_ms"]["large"]["count"].as_u64().unwrap() > 0);
}

#[test]
fn every_transaction_that_is_due_is_committed_once_under_an_epoch_of_its_own() {
    let brief = ["--producers", "10", "--every-ms", "50", "--seconds", "0.5", "--warmup", "0"];
    for busy in [None, Some(4)] {
        let broker = FakeBroker::start(Faults { busy, ..Faults::default() });
        let report = run(&broker, "transactions", &brief).unwrap();
        assert_eq!((broker.ended(), broker.records(), broker.sequence_faults()), (100, 1000, 0));
        assert_eq!(report["latency_ms"]["transactions"]["count"], 100, "{busy:?}");
        let found = &report["sections"]["transactions"];
        assert_eq!(
            (found["unfinished"].as_f64(), found["retries"].as_f64() > Some(0.0)),
            (Some(0.0), busy.is_some())
        );
    }
    let never = FakeBroker::start(Faults { busy: Some(1), ..Faults::default() });
    let report = run(&never, "transactions", &[&brief[..], &["--drain", "0.2"]].concat()).unwrap();
    assert_eq!(never.ended(), 0);
    assert_eq!(report["sections"]["transactions"]["unfinished"], 100.0);
    let latency = &report["latency_ms"]["transactions"];
    assert_eq!(latency["count"], 100, "what is never finished counts, too");
    assert!(latency["p50"].as_f64() > Some(200.0), "{latency}");
    let broker = FakeBroker::start(Faults { without_transactions: true, ..Faults::default() });
    let error = run(&broker, "transactions", &brief).unwrap_err().to_string();
    assert!(error.contains("transaction.version of the cluster is 0"), "{error}");
}

#[test]
fn connections_are_held_while_fresh_ones_are_timed() {
    let broker = FakeBroker::start(Faults::default());
    let pid = std::process::id().to_string();
    let report =
        run(&broker, "connections", &["--count", "50", "--seconds", "0.2", "--broker-pid", &pid]).unwrap();
    assert_eq!(report["sections"]["connections"]["held"], 50.0);
    assert_eq!(report["sections"]["connections"]["closed_by_broker"], 0.0);
    assert_eq!(report["latency_ms"]["fresh, beside idle ones"]["count"], 10);
}

#[test]
fn growth_creates_what_was_asked_for_and_nothing_that_is_there() {
    let broker = FakeBroker::start(Faults::default());
    let pid = std::process::id().to_string();
    let options = ["--total", "6", "--step", "6", "--pid", &pid];
    let report = run(&broker, "growth", &options).unwrap();
    assert!(report["sections"]["growth"]["partitions_per_s"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["sections"]["growth"]["broker_0_rss_mib"].as_f64().unwrap() > 0.0, "{report}");
    let error = run(&broker, "growth", &options).unwrap_err().to_string();
    assert!(error.contains("TOPIC_ALREADY_EXISTS"), "{error}");
}

#[test]
fn errors_say_what_to_check() {
    let hanging_up = FakeBroker::start(Faults { hang_up: true, ..Faults::default() });
    let error = format!("{:#}", produce(&hanging_up, &[]).unwrap_err());
    assert!(error.contains("the broker ended the connection"), "{error}");

    let broker = FakeBroker::start(Faults::default());
    produce(&broker, &["--partitions", "2"]).unwrap();
    let error = produce(&broker, &["--partitions", "3"]).unwrap_err().to_string();
    assert!(error.contains("has 2 partitions"), "{error}");

    let line = ["corelane-bench", "produce", "--broker", "127.0.0.1:1"];
    let error = command::run(&Options::parse_from(line)).unwrap_err().to_string();
    assert!(error.contains("is a broker running"), "{error}");
}
