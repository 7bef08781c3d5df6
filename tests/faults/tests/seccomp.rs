//! Under the profile that the image is to run with, and under one that forbids io_uring, as container engines do.

use bytes::Bytes;
use corelane_core::records::{BatchBuilder, NewRecord};
use corelane_fault_tests::{ACKS_ALL, Broker, BrokerOptions, Client, clock, payload::Stamp, read_all};
use corelane_io::DriverKind;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};
use syscalls::Sysno;

/// The profile as container engines make it a filter: what it names is allowed, but for what `without` names; all else
/// answers with `errno`.
fn filter(without: &[&str], errno: i32) -> BpfProgram {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker/seccomp.json");
    let text = fs::read_to_string(path).expect("the profile");
    let profile: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    let names = profile["syscalls"][0]["names"].as_array().expect("a list of names");
    let names = names.iter().map(|name| name.as_str().expect("a name"));
    let numbers = names.filter(|name| !without.contains(name)).map(|name| {
        let call: Sysno = name.parse().unwrap_or_else(|_| panic!("there is no system call {name}"));
        (i64::from(call.id()), Vec::new())
    });
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = numbers.collect();
    let architecture = std::env::consts::ARCH.try_into().expect("an architecture with filters");
    let refused = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture);
    filter.and_then(TryInto::try_into).expect("a filter")
}

fn batch(number: u64) -> Bytes {
    let value = Stamp { producer: 0, number }.value(50_000);
    let mut batch = BatchBuilder::new();
    batch.push(NewRecord { timestamp_ms: clock::unix_ms(), value: Some(&value), ..NewRecord::default() });
    batch.build()
}

/// Twice, with all that was stored still there; what the broker said the second time.
fn serve_store_and_stop(filter: BpfProgram, driver: Option<DriverKind>) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let mut options = BrokerOptions::new(directory.path(), 2).with("corelane.tail.cache.bytes", 0);
    options.filter = Some(filter);
    options.driver = driver;
    let count = 60;
    let mut said = String::new();
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
        said = broker.said();
        assert!(status.success(), "{said}");
        assert!(!said.contains("Operation not permitted"), "{said}");
    }
    said
}

#[test]
fn the_broker_serves_stores_and_stops_under_its_seccomp_profile() {
    for driver in DriverKind::ALL {
        let said = serve_store_and_stop(filter(&[], libc::EPERM), Some(driver));
        assert!(said.contains(&format!("driver={driver}")), "{said}");
    }
}

/// Those of io_uring, and some that engines have not heard of yet.
const FORBIDDEN: [&str; 5] =
    ["io_uring_setup", "io_uring_enter", "io_uring_register", "cachestat", "epoll_pwait2"];

#[test]
fn where_io_uring_is_forbidden_the_portable_driver_serves_by_itself_and_one_line_says_so() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let said = serve_store_and_stop(filter(&FORBIDDEN, errno), None);
        assert!(said.contains("driver=portable"), "{said}");
        let told: Vec<_> = said.lines().filter(|line| line.contains("io_uring")).collect();
        let [line] = &told[..] else { panic!("{said}") };
        for part in ["WARN", "portable driver serves instead", "docker run --security-opt seccomp="] {
            assert!(line.contains(part), "no {part:?} in: {line}");
        }
    }
}

#[test]
fn who_asks_for_the_glommio_driver_where_io_uring_is_forbidden_is_told_what_forbids_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut options = BrokerOptions::new(directory.path(), 2);
    options.filter = Some(filter(&FORBIDDEN, libc::EPERM));
    options.driver = Some(DriverKind::Glommio);
    let mut broker = Broker::spawn(&options).expect("it runs");
    let status = broker.wait(Duration::from_secs(20)).expect("it ends");
    let said = broker.said();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("error: io_uring is forbidden") && said.contains("--driver portable"), "{said}");
}
