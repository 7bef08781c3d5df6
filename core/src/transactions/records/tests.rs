use super::*;
use proptest::prelude::*;

const STARTED_MS: i64 = 1_700_000_000_000;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

fn ongoing(layout: Layout) -> Transaction {
    Transaction {
        layout,
        producer_id: ProducerId(1001),
        epoch: ProducerEpoch(5),
        previous_id: Some(ProducerId(1000)),
        next_id: None,
        timeout_ms: 60_000,
        state: State::Ongoing,
        partitions: PartitionSet::from_iter([("t".into(), 7)]),
        updated_ms: STARTED_MS + 1,
        started_ms: STARTED_MS,
        client_version: 2,
    }
    .laid_out(layout)
}

/// What Kafka's own `TransactionLog` (4.3.1) wrote for these.
#[test]
fn records_have_the_bytes_that_kafka_writes() {
    let key = Record { id: "t\u{e4}x".into(), value: None }.key();
    assert_eq!(key, bytes("0000000474c3a478"));
    let empty = |layout| {
        let empty = Transaction {
            epoch: ProducerEpoch(0),
            previous_id: Some(ProducerId(1001)),
            state: State::Empty,
            partitions: PartitionSet::new(),
            started_ms: -1,
            client_version: 0,
            ..ongoing(layout)
        };
        empty.laid_out(layout)
    };
    let overflow = Transaction {
        epoch: ProducerEpoch(i16::MAX),
        previous_id: Some(ProducerId(1001)),
        next_id: Some(ProducerId(2000)),
        state: State::PrepareCommit,
        updated_ms: STARTED_MS + 2,
        ..ongoing(Layout::Flexible)
    };
    let complete = Transaction {
        producer_id: ProducerId(2000),
        epoch: ProducerEpoch(0),
        next_id: None,
        state: State::CompleteCommit,
        partitions: PartitionSet::new(),
        ..overflow.clone()
    };
    let written = [
        (
            ongoing(Layout::Plain),
            "000000000000000003e900050000ea60010000000100017400000001000000070000018bcfe568010000018bcfe56800",
        ),
        (
            ongoing(Layout::Flexible),
            "000100000000000003e900050000ea60010202740200000007000000018bcfe568010000018bcfe5680002000800000000000003\
             e802020002",
        ),
        (empty(Layout::Plain), "000000000000000003e900000000ea6000ffffffff0000018bcfe56801ffffffffffffffff"),
        (
            empty(Layout::Flexible),
            "000100000000000003e900000000ea6000000000018bcfe56801ffffffffffffffff01000800000000000003e9",
        ),
        (
            overflow,
            "000100000000000003e97fff0000ea60020202740200000007000000018bcfe568020000018bcfe5680003000800000000000003\
             e9010800000000000007d002020002",
        ),
        (
            complete,
            "000100000000000007d000000000ea6004010000018bcfe568020000018bcfe5680002000800000000000003e902020002",
        ),
    ];
    for (transaction, hex) in written {
        let record = Record { id: "x".into(), value: Some(transaction) };
        assert_eq!(record.value(), Some(bytes(hex)), "{record:?}");
        let read = Record::decode(&record.key(), record.value().as_deref());
        assert_eq!(read, Ok(Some(record)));
    }
}

#[test]
fn what_is_not_known_is_passed_over_or_refused() {
    assert_eq!(Record::decode(&[0, 1, 0, 1, b'x'], None), Ok(None), "a later type of key");
    let key = Record { id: "x".into(), value: None }.key();
    assert_eq!(Record::decode(&key, Some(&[0, 2])), Err(RecordFault::Version(2)));
    let mut value = ongoing(Layout::Flexible).encode();
    // Behind the version, the producer's id and epoch and the timeout.
    for state in [6, 7, 8, 255] {
        value[16] = state;
        assert_eq!(Record::decode(&key, Some(&value)), Err(RecordFault::Number), "state {state}");
    }
}

#[test]
fn a_tag_of_a_later_broker_is_passed_over() {
    let mut value = ongoing(Layout::Flexible).encode();
    // Two tags become three, the last NextProducerEpoch.
    let count = value.len() - 15;
    assert_eq!(value[count], 2);
    value[count] = 3;
    value.extend([3, 2, 0, 9]);
    let key = Record { id: "x".into(), value: None }.key();
    let read = Record::decode(&key, Some(&value)).expect("it reads").expect("it is known");
    assert_eq!(read.value, Some(ongoing(Layout::Flexible)));
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let ids = (any::<i64>(), proptest::option::of(0..i64::MAX), proptest::option::of(0..i64::MAX));
    let numbers = (any::<i16>(), any::<i32>(), any::<i64>(), any::<i64>(), any::<i16>());
    let partitions = proptest::collection::vec(("[a-z\u{e4}.]{1,9}", any::<i32>()), 0..9);
    (ids, numbers, 0_i8..6, partitions, any::<bool>()).prop_map(
        |(
            (id, previous, next),
            (epoch, timeout_ms, updated_ms, started_ms, version),
            state,
            parts,
            plain,
        )| {
            let state = State::from_number(state).expect("there are six");
            let parts = if state == State::Empty { Vec::new() } else { parts };
            let layout = if plain { Layout::Plain } else { Layout::Flexible };
            let transaction = Transaction {
                layout,
                producer_id: ProducerId(id),
                epoch: ProducerEpoch(epoch),
                previous_id: previous.map(ProducerId),
                next_id: next.map(ProducerId),
                timeout_ms,
                state,
                partitions: parts.into_iter().map(|(topic, number)| (topic.into(), number)).collect(),
                updated_ms,
                started_ms,
                client_version: version,
            };
            transaction.laid_out(layout)
        },
    )
}

proptest! {
    #[test]
    fn a_record_reads_as_it_was_written(
        id in "[a-zA-Z0-9\u{df}]{0,20}",
        value in proptest::option::of(transaction()),
    ) {
        let record = Record { id: id.into(), value };
        let read = Record::decode(&record.key(), record.value().as_deref());
        prop_assert_eq!(read, Ok(Some(record)));
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_take_more_memory_than_they_have(
        key in proptest::collection::vec(any::<u8>(), 0..40),
        value in proptest::collection::vec(any::<u8>(), 0..120),
        version in 0_i16..3,
    ) {
        let _ = Record::decode(&key, Some(&value));
        let value = [&version.to_be_bytes()[..], &value].concat();
        let _ = Record::decode(&[0, 0, 0, 1, b'x'], Some(&value));
    }
}
