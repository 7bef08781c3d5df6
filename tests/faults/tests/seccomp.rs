//! Under the profile that the image is to run with.

use bytes::Bytes;
use corelane_core::records::{BatchBuilder, NewRecord};
use corelane_fault_tests::{ACKS_ALL, Broker, BrokerOptions, Client, clock, payload::Stamp, read_all};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};
use syscalls::Sysno;

/// The profile as container engines make it a filter: what it names is allowed, all else answers EPERM.
fn filter() -> BpfProgram {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker/seccomp.json");
    let text = fs::read_to_string(path).expect("the profile");
    let profile: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    let names = profile["syscalls"][0]["names"].as_array().expect("a list of names");
    let numbers = names.iter().map(|name| {
        let name = name.as_str().expect("a name");
        let call: Sysno = name.parse().unwrap_or_else(|_| panic!("there is no system call {name}"));
        (i64::from(call.id()), Vec::new())
    });
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = numbers.collect();
    let architecture = std::env::consts::ARCH.try_into().expect("an architecture with filters");
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture);
    filter.and_then(TryInto::try_into).expect("a filter")
}

fn batch(number: u64) -> Bytes {
    let value = Stamp { producer: 0, number }.value(50_000);
    let mut batch = BatchBuilder::new();
    batch.push(NewRecord { timestamp_ms: clock::unix_ms(), value: Some(&value), ..NewRecord::default() });
    batch.build()
}

#[test]
fn the_broker_serves_stores_and_stops_under_its_seccomp_profile() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut options = BrokerOptions::new(directory.path(), 2).with("corelane.tail.cache.bytes", 0);
    options.filter = Some(filter());
    let count = 60;
    for start in 0..2 {
        let mut broker = Broker::start(&options).unwrap_or_else(|error| panic!("{error:#}"));
        let mut client = Client::connect(broker.address()).expect("it listens");
        if start == 0 {
            // Small segments: they are written, closed, and later sent from their files.
            client.create_topics(&["t"], 2, &[("segment.bytes", "1048576")]).expect("a topic");
            client.await_topic("t", 2, Duration::from_secs(10)).expect("its leader");
            for number in 0..count {
                for partition in 0..2 {
                    let batch = batch(number);
                    let produced = client.produce("t", partition, batch, ACKS_ALL).expect("an answer");
                    assert!(produced.error.is_none(), "{produced:?}");
                }
            }
        }
        for partition in 0..2 {
            let log = read_all(&mut client, "t", partition).unwrap_or_else(|error| panic!("{error:#}"));
            assert!(log.into_iter().eq((0..count).map(|number| Stamp { producer: 0, number })));
        }
        let status = broker.terminate(Duration::from_secs(20)).expect("it stops");
        assert!(status.success(), "{}", broker.said());
        assert!(!broker.said().contains("Operation not permitted"), "{}", broker.said());
    }
}
