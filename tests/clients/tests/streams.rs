//! Kafka Streams: repartition and changelog topics, groups, and a state that outlives its process.

use std::collections::BTreeMap;

use corelane_client_tests::{Broker, Client, QUIET, jars, run_with_input};

const TEXT: &str = "a consumer group shares the partitions of a topic\n\
                    a partition belongs to one member of the group\n\
                    the group goes on where the member stopped\n";

fn words(texts: &[&str]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in texts.iter().flat_map(|text| text.split_whitespace()) {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn a_word_count_counts_every_word_and_goes_on_counting_when_it_is_started_again() {
    counts_every_word("at_least_once");
}

#[test]
fn a_word_count_in_transactions_counts_every_word_exactly_once() {
    counts_every_word("exactly_once_v2");
}

fn counts_every_word(guarantee: &str) {
    let broker = Broker::start();
    Client::Java.create(broker.address(), "lines", 3);
    Client::Java.create(broker.address(), "counts", 2);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/java/WordCount.java");
    let mut texts = Vec::new();
    for _ in 0..2 {
        texts.push(TEXT);
        let expected = words(&texts);
        let total: u64 = expected.values().sum();
        let jars = jars();
        let total = total.to_string();
        let arguments =
            [QUIET, "-cp", &jars, program, broker.address(), "lines", "counts", guarantee, &total];
        let output = run_with_input("java", &arguments, TEXT.as_bytes().to_vec());
        let counted: BTreeMap<String, u64> =
            serde_json::from_slice(&output).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(counted, expected);
    }
    broker.stop();
}
