//! kcat: librdkafka 2.0 as Debian packages it.

use corelane_client_tests::{Broker, Record, Stored, assert_dense, run, run_with_input};
use serde::Deserialize;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A line of `kcat -C -J`.
#[derive(Deserialize)]
struct Line {
    partition: u32,
    offset: u64,
    ts: i64,
    headers: Option<Vec<String>>,
    key: Option<String>,
    payload: Option<String>,
}

impl Line {
    fn stored(&self) -> Stored {
        let headers = self.headers.as_deref().unwrap_or_default();
        let headers = headers.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let record = Record { key: self.key.clone(), value: self.payload.clone(), headers };
        Stored { partition: self.partition, offset: self.offset, record }
    }
}

fn kcat(broker: &Broker, arguments: &[&str], input: &str) -> Vec<u8> {
    run_with_input("kcat", &[&["-b", broker.address()], arguments].concat(), input.into())
}

fn consume(broker: &Broker, arguments: &[&str]) -> Vec<Line> {
    let output = kcat(broker, &[&["-C", "-J", "-e", "-q"], arguments].concat(), "");
    let mut lines: Vec<Line> = serde_json::Deserializer::from_slice(&output)
        .into_iter()
        .map(|line| line.expect("kcat writes JSON"))
        .collect();
    lines.sort_by_key(|line| line.partition);
    lines
}

/// Key and value by key, each key's records in the order of their offsets.
fn by_key(mut records: Vec<(String, String)>) -> Vec<(String, String)> {
    records.sort_by(|one, other| one.0.cmp(&other.0));
    records
}

fn round_trip(broker: &Broker, topic: &str, settings: &[&str]) {
    let sent: Vec<(String, String)> = (0..1000)
        .map(|index| (format!("key-{}", index % 50), format!("{topic} value {index} {}", "text ".repeat(20))))
        .collect();
    let input: String = sent.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
    let produce = ["-P", "-t", topic, "-K", "\t", "-H", "origin=kcat", "-H", "origin=twice"];
    kcat(broker, &[&produce, settings].concat(), &input);
    // With acks=0 kcat is done before the broker is: as many as were sent come in the end.
    kcat(broker, &["-C", "-t", topic, "-o", "beginning", "-q", "-c", &sent.len().to_string()], "");

    let stored: Vec<Stored> =
        consume(broker, &["-t", topic, "-o", "beginning"]).iter().map(Line::stored).collect();
    assert_dense(&stored);
    let headers = [("origin".to_owned(), "kcat".to_owned()), ("origin".to_owned(), "twice".to_owned())];
    assert!(stored.iter().all(|stored| stored.record.headers == headers));
    let read = stored.into_iter().map(|stored| {
        (stored.record.key.expect("every record has a key"), stored.record.value.expect("and a value"))
    });
    assert_eq!(by_key(read.collect()), by_key(sent));
}

#[test]
fn kcat_reads_back_what_it_produced_with_each_codec() {
    let broker = Broker::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        round_trip(&broker, codec, &["-z", codec]);
    }
    round_trip(&broker, "idempotent", &["-X", "enable.idempotence=true"]);
    for acks in ["0", "1"] {
        round_trip(&broker, &format!("acks-{acks}"), &["-X", &format!("acks={acks}")]);
    }
    lists_the_topic(&broker);
    finds_offsets_by_timestamp(&broker);
    broker.stop();
}

#[test]
fn kcat_reads_the_last_value_of_every_key_of_a_compacted_topic() {
    let broker = Broker::start_with(&[
        "log.cleanup.policy=compact",
        "log.cleaner.min.cleanable.ratio=0",
        "log.cleaner.backoff.ms=100",
        "log.roll.ms=200",
        "num.partitions=1",
    ]);
    let keys = 50;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let mut sent = 0;
        let mut send = |count: usize| {
            let line = |index| format!("key-{}\tvalue {index} {}\n", index % keys, "text ".repeat(20));
            let input: String = (sent..sent + count).map(line).collect();
            kcat(
                &broker,
                &["-P", "-t", codec, "-K", "\t", "-z", codec, "-X", "enable.idempotence=true"],
                &input,
            );
            sent += count;
            sent
        };
        let read = |sent: usize| {
            let lines = consume(&broker, &["-t", codec, "-o", "beginning"]);
            assert!(lines.is_sorted_by(|one, next| one.offset < next.offset), "offsets ascend");
            for index in sent - keys..sent {
                let line =
                    lines.iter().find(|line| line.offset == index as u64).expect("the last of its key");
                assert_eq!(line.key, Some(format!("key-{}", index % keys)));
                assert!(
                    line.payload.as_ref().is_some_and(|value| value.starts_with(&format!("value {index} ")))
                );
            }
            lines.len()
        };
        // The segment that takes appends is left alone, so it is a matter of sending until an old one is compacted.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let all = send(1000);
            if read(all) < all / 2 {
                break;
            }
            assert!(Instant::now() < deadline, "{codec}: nothing was compacted within a minute");
        }
    }
    broker.stop();
}

fn lists_the_topic(broker: &Broker) {
    let listing: Value =
        serde_json::from_slice(&kcat(broker, &["-L", "-J", "-t", "gzip"], "")).expect("JSON");
    assert_eq!(listing["brokers"][0]["name"], broker.address());
    let partitions = listing["topics"][0]["partitions"].as_array().expect("partitions");
    assert_eq!(partitions.len(), 4, "as num.partitions says");
    for partition in partitions {
        assert_eq!(partition["leader"], 1);
        assert_eq!(partition["isrs"], serde_json::json!([{ "id": 1 }]));
    }
}

fn finds_offsets_by_timestamp(broker: &Broker) {
    for value in ["first", "second", "third"] {
        kcat(broker, &["-P", "-t", "timed", "-p", "2"], value);
        // Timestamps have milliseconds: the next one is a later one.
        std::thread::sleep(Duration::from_millis(2));
    }
    let stored = consume(broker, &["-t", "timed", "-p", "2", "-o", "beginning"]);
    assert_eq!(stored.len(), 3);
    assert!(stored[0].ts < stored[1].ts && stored[1].ts < stored[2].ts);
    let asked = [
        (stored[0].ts - 1, 0),
        (stored[1].ts, 1),
        (stored[1].ts + 1, 2),
        (stored[2].ts, 2),
        (stored[2].ts + 1, -1),
    ];
    for (timestamp, offset) in asked {
        let answer = run("kcat", &["-b", broker.address(), "-Q", "-t", &format!("timed:2:{timestamp}")]);
        assert_eq!(String::from_utf8_lossy(&answer).trim(), format!("timed [2] offset {offset}"));
    }
    let from = format!("s@{}", stored[1].ts);
    let read = consume(broker, &["-t", "timed", "-p", "2", "-o", &from]);
    assert_eq!(read.iter().map(|line| line.offset).collect::<Vec<_>>(), [1, 2]);
}
