//! Real input: Debian's index of its packages, about 50 MB of text in records from 200 B to several kB. Each paragraph
//! is a record, its key the package's name; kcat sends a sixth of them with each codec, Java's console producer the
//! last sixth with lz4.

use std::collections::BTreeMap;

use corelane_client_tests::{Broker, Client, assert_dense, jars, run, run_with_input};

/// Key and value.
type Paragraph = (String, String);

/// Ends a record in kcat's input, and stands for the end of a line in that of the console producer, whose records are
/// lines. The index does not contain it.
const SEPARATOR: &str = "\u{1e}";

const PARTS: usize = 6;

fn index() -> Vec<Paragraph> {
    let indexes = run("apt-get", &["indextargets", "--format", "$(FILENAME)", "Created-By: Packages"]);
    let indexes = String::from_utf8(indexes).expect("UTF-8");
    assert!(!indexes.trim().is_empty(), "no package index: run tests/install-clients");
    let files: Vec<&str> = ["cat-file"].into_iter().chain(indexes.lines()).collect();
    let text = String::from_utf8(run("/usr/lib/apt/apt-helper", &files)).expect("Debian's indexes are UTF-8");
    assert!(!text.contains(SEPARATOR));
    let paragraphs: Vec<Paragraph> = text
        .split("\n\n")
        .filter_map(|paragraph| {
            let name = paragraph.lines().next()?.strip_prefix("Package: ")?;
            Some((name.to_owned(), paragraph.to_owned()))
        })
        .collect();
    assert!(paragraphs.len() > 10_000, "{} paragraphs are no index of Debian's", paragraphs.len());
    paragraphs
}

/// Each key's values in their order.
fn by_key(paragraphs: impl IntoIterator<Item = Paragraph>) -> BTreeMap<String, Vec<String>> {
    let mut keys = BTreeMap::<String, Vec<String>>::new();
    for (key, value) in paragraphs {
        keys.entry(key).or_default().push(value);
    }
    keys
}

fn kcat(broker: &Broker, codec: &str, part: &[Paragraph]) {
    let input: String = part.iter().map(|(key, value)| format!("{key}\t{value}{SEPARATOR}")).collect();
    let arguments = ["-b", broker.address(), "-P", "-t", codec, "-z", codec, "-K", "\t", "-D", SEPARATOR];
    run_with_input("kcat", &arguments, input.into());
}

fn console_producer(broker: &Broker, topic: &str, part: &[Paragraph]) {
    let input: String = part.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
    let class = "org.apache.kafka.tools.ConsoleProducer";
    let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
    let target = ["--bootstrap-server", broker.address(), "--topic", topic];
    let compression = ["--compression-codec", "lz4"];
    let reader = ["--property", "parse.key=true", "--property", "key.separator=\t"];
    run_with_input(
        "java",
        &[&[quiet, "-cp", &jars(), class], &target[..], &compression, &reader].concat(),
        input.into(),
    );
}

/// The batches are stored with the codec with which they were sent.
fn assert_codec(broker: &Broker, topic: &str, number: u8) {
    let stored = Client::Platformatic.codecs(broker.address(), topic);
    assert_eq!(stored, [number].into(), "the codecs of {topic}");
}

/// Both readers find every record once, as it was sent and in the order of its key.
fn compare(broker: &Broker, topic: &str, sent: &[Paragraph]) {
    let expected = by_key(sent.iter().cloned());
    for reader in [Client::Librdkafka, Client::Java] {
        let stored = reader.consume(broker.address(), topic);
        assert_dense(&stored);
        let read = by_key(stored.into_iter().map(|stored| {
            (stored.record.key.expect("every record has a key"), stored.record.value.expect("and a value"))
        }));
        // Not assert_eq!: it would print megabytes.
        for (key, values) in &expected {
            assert!(
                read.get(key) == Some(values),
                "{reader:?} reads {key} of {topic} otherwise than it was sent"
            );
        }
        assert_eq!(read.len(), expected.len(), "{reader:?} reads keys of {topic} that were not sent");
    }
}

#[test]
fn the_package_index_is_read_as_it_was_sent_by_every_codec_and_producer() {
    let broker = Broker::start();
    let paragraphs = index();
    let parts: Vec<&[Paragraph]> = paragraphs.chunks(paragraphs.len().div_ceil(PARTS)).collect();
    // With the numbers of the codecs: librdkafka silently sends records as they are where it takes the broker for one
    // that lacks the codec.
    let codecs = [("none", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)];
    for ((codec, number), part) in codecs.into_iter().zip(&parts) {
        kcat(&broker, codec, part);
        assert_codec(&broker, codec, number);
        compare(&broker, codec, part);
    }
    let lines: Vec<Paragraph> =
        parts[PARTS - 1].iter().map(|(key, value)| (key.clone(), value.replace('\n', SEPARATOR))).collect();
    console_producer(&broker, "console", &lines);
    assert_codec(&broker, "console", 3);
    compare(&broker, "console", &lines);
    broker.stop();
}
