//! Exactly once, by real clients: consume, transform, produce, while the broker and the application are killed.

use anyhow::{Context, Result};
use corelane_client_tests::{Broker, Client, Record, Transformer, ours};
use std::collections::BTreeSet;

const RECORDS: usize = 400;

/// Records of which every value is another.
fn numbered() -> Vec<Record> {
    let one = |number| Record {
        key: Some(format!("k{number}")),
        value: Some(format!("v{number}")),
        headers: vec![],
    };
    (0..RECORDS).map(one).collect()
}

/// What a reader of committed records finds.
fn committed(broker: &Broker, topic: &str) -> Vec<String> {
    let read = ["--topic", topic, "--from-beginning", "--isolation-level", "read_committed"];
    let server = ["--bootstrap-server", broker.address(), "--timeout-ms", "5000"];
    let told = ours("kafka-console-consumer", &[&server[..], &read].concat(), "");
    told.out.lines().map(str::to_owned).collect()
}

/// Kills the broker. librdkafka may wait for ever for a group's coordinator that was down when it wanted to commit offsets
/// in a transaction, and does not heed its time-out (its issues 5511 and 5456): whoever watches over it starts it again.
fn crash(broker: &mut Broker, client: Client, application: &mut Transformer) -> Result<()> {
    broker.crash();
    if client == Client::Librdkafka {
        application.replace()?;
    }
    Ok(())
}

/// Each record of one topic is in the other once, although both sides of the wire were killed meanwhile.
fn exactly_once(client: Client) -> Result<()> {
    let stack = client.stack().context("it has transactions")?;
    let mut broker = Broker::start_to_crash(&[]);
    let address = broker.address().to_owned();
    client.create(&address, "from", 2);
    client.create(&address, "to", 2);
    let records = numbered();
    let mut application = Transformer::start(stack, &address, "from", "to", "app")?;
    // While it works: a part at a time.
    let parts: Vec<&[Record]> = records.chunks(RECORDS / 4).collect();
    let _ = client.produce(&address, "from", parts[0]);
    application.wait_for(10)?;
    application.replace()?;
    let _ = client.produce(&address, "from", parts[1]);
    application.wait_for(RECORDS / 8)?;
    crash(&mut broker, client, &mut application)?;
    let _ = client.produce(&address, "from", parts[2]);
    application.wait_for(RECORDS / 4)?;
    application.replace()?;
    crash(&mut broker, client, &mut application)?;
    let _ = client.produce(&address, "from", parts[3]);
    let expected: BTreeSet<String> = records.iter().filter_map(|record| record.value.clone()).collect();
    // What it was not told of any more may be committed all the same, so it may never tell of all of it.
    let mut found = Vec::new();
    for _ in 0..24 {
        found = committed(&broker, "to");
        if found.len() >= RECORDS {
            break;
        }
        application.keep_alive()?;
        application.ensure_steady()?;
    }
    let once: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), once.len(), "{client:?}: nothing is there twice");
    assert_eq!(once, expected, "{client:?}: everything is there");
    drop(application);
    broker.stop();
    Ok(())
}

#[test]
fn java_transforms_every_record_exactly_once() -> Result<()> {
    exactly_once(Client::Java)
}

#[test]
fn librdkafka_transforms_every_record_exactly_once() -> Result<()> {
    exactly_once(Client::Librdkafka)
}

#[test]
fn kafka_python_transforms_every_record_exactly_once() -> Result<()> {
    exactly_once(Client::KafkaPython)
}

#[test]
fn aiokafka_transforms_every_record_exactly_once() -> Result<()> {
    exactly_once(Client::Aiokafka)
}

#[test]
fn franz_go_transforms_every_record_exactly_once() -> Result<()> {
    exactly_once(Client::FranzGo)
}
