use super::*;
use crate::ids::TopicId;
use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

fn round_trip(record: &Record) {
    let read = Record::decode(&record.key(), record.value().as_deref());
    assert_eq!(read, Ok(Some(record.clone())));
}

fn name() -> impl Strategy<Value = Arc<str>> {
    "[a-zA-Z0-9._äß-]{0,12}".prop_map(Arc::from)
}

fn blob() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn topic_id() -> impl Strategy<Value = TopicId> {
    any::<u128>().prop_map(|number| TopicId(Uuid::from_u128(number)))
}

fn owned() -> impl Strategy<Value = Vec<Owned>> {
    let one = (topic_id(), proptest::collection::vec((any::<i32>(), any::<i32>()), 1..4), any::<bool>());
    let one = one.prop_map(|(topic, partitions, epochs)| Owned {
        topic,
        epochs: epochs.then(|| partitions.iter().map(|(_, epoch)| *epoch).collect()),
        partitions: partitions.into_iter().map(|(partition, _)| partition).collect(),
    });
    proptest::collection::vec(one, 0..4)
}

fn offset() -> impl Strategy<Value = Record> {
    let value = (any::<i64>(), any::<i32>(), name(), any::<i64>(), 0..i64::MAX, topic_id(), any::<bool>());
    let value = value.prop_map(|(offset, epoch, metadata, at, expires, topic_id, old)| OffsetValue {
        offset,
        metadata: (*metadata).into(),
        committed_at_ms: at,
        // The old version has neither epoch nor topic id.
        leader_epoch: if old { -1 } else { epoch },
        expires_at_ms: old.then_some(expires),
        topic_id: if old { TopicId::ZERO } else { topic_id },
    });
    (name(), name(), any::<i32>(), proptest::option::of(value))
        .prop_map(|(group, topic, partition, value)| Record::Offset { group, topic, partition, value })
}

fn classic_group() -> impl Strategy<Value = Record> {
    let member = (name(), proptest::option::of(name()), name(), any::<i32>(), any::<i32>(), blob(), blob());
    let member =
        member.prop_map(|(id, instance_id, client, rebalance, session, subscription, assignment)| {
            MemberValue {
                id,
                instance_id,
                client_id: client.clone(),
                client_host: client,
                rebalance_timeout_ms: rebalance,
                session_timeout_ms: session,
                subscription,
                assignment,
            }
        });
    let members = proptest::collection::vec(member, 0..4);
    let value = (name(), any::<i32>(), proptest::option::of(name()), any::<i64>(), members);
    let value = value.prop_map(|(protocol_type, generation, protocol, since, members)| GroupValue {
        protocol_type,
        generation,
        leader: protocol.clone(),
        protocol,
        state_since_ms: since,
        members,
    });
    (name(), proptest::option::of(value)).prop_map(|(group, value)| Record::ClassicGroup { group, value })
}

fn subscription() -> impl Strategy<Value = MemberSubscription> {
    let classic = proptest::option::of((any::<i32>(), proptest::collection::vec((name(), blob()), 0..3)));
    let texts = proptest::collection::vec(name(), 0..5);
    (proptest::option::of(name()), name(), texts, any::<i32>(), classic).prop_map(
        |(optional, text, topics, timeout, classic)| MemberSubscription {
            instance_id: optional.clone(),
            rack_id: optional.clone(),
            client_id: text.clone(),
            client_host: text,
            topics,
            regex: optional.clone(),
            rebalance_timeout_ms: timeout,
            assignor: optional,
            classic: classic
                .map(|(session_timeout_ms, protocols)| ClassicMetadata { session_timeout_ms, protocols }),
        },
    )
}

proptest! {
    #[test]
    fn an_offset_reads_as_it_was_written(record in offset()) {
        round_trip(&record);
    }

    #[test]
    fn a_classic_group_reads_as_it_was_written(record in classic_group()) {
        round_trip(&record);
    }

    #[test]
    fn a_consumer_group_reads_as_it_was_written(
        group in name(), member in name(), value in subscription(), owned in owned(), number in any::<i64>(),
    ) {
        let epoch = number.to_be_bytes()[0].into();
        let topics: Vec<_> = owned
            .iter()
            .map(|owned| TopicPartitions { topic: owned.topic, partitions: owned.partitions.clone() })
            .collect();
        let current = CurrentAssignment {
            epoch,
            previous_epoch: epoch - 1,
            state: 1,
            assigned: owned.clone(),
            pending_revocation: owned,
        };
        let resolved = ResolvedRegex { topics: value.topics.clone(), version: number, at_ms: number };
        for record in [
            Record::ConsumerGroup { group: group.clone(), value: Some((epoch, number)) },
            Record::ConsumerGroup { group: group.clone(), value: None },
            Record::SubscribedTopics { group: group.clone(), present: false },
            Record::Member { group: group.clone(), member: member.clone(), value: Some(value) },
            Record::TargetEpoch { group: group.clone(), value: Some((epoch, number)) },
            Record::Target { group: group.clone(), member: member.clone(), value: Some(topics) },
            Record::Current { group: group.clone(), member: member.clone(), value: Some(current) },
            Record::Current { group: group.clone(), member: member.clone(), value: None },
            Record::Regex { group, regex: member, value: Some(resolved) },
        ] {
            round_trip(&record);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_take_more_memory_than_they_have(
        kind in 0_i16..20,
        key in proptest::collection::vec(any::<u8>(), 0..40),
        value in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let key = [&kind.to_be_bytes()[..], &key].concat();
        let _ = Record::decode(&key, Some(&value));
        for version in 0_i16..5 {
            let _ = Record::decode(&key, Some(&[&version.to_be_bytes()[..], &value].concat()));
        }
    }
}

#[test]
fn a_commit_has_the_bytes_that_kafka_writes() {
    let record = Record::Offset {
        group: "g".into(),
        topic: "t".into(),
        partition: 7,
        value: Some(OffsetValue {
            offset: 42,
            leader_epoch: 3,
            metadata: "m".into(),
            committed_at_ms: 1,
            expires_at_ms: None,
            topic_id: TopicId(Uuid::from_u128(5)),
        }),
    };
    assert_eq!(record.key(), [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 7]);
    let mut value = vec![0, 4, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 3, 2, b'm', 0, 0, 0, 0, 0, 0, 0, 1];
    value.extend([1, 0, 16]);
    value.extend(5_u128.to_be_bytes());
    assert_eq!(record.value(), Some(value));
}

#[test]
fn versions_of_older_brokers_are_read() {
    // Version 0 of a commit: offset, metadata, time.
    let value = [&[0, 0][..], &9_i64.to_be_bytes(), &[0, 0], &5_i64.to_be_bytes()].concat();
    let key = [0, 0, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 0];
    let Ok(Some(Record::Offset { value: Some(read), .. })) = Record::decode(&key, Some(&value)) else {
        panic!("a commit of version 0 was not read")
    };
    assert_eq!((read.offset, read.leader_epoch, read.committed_at_ms), (9, -1, 5));
    // Version 0 of an empty group: type, generation, no protocol, no leader, no members.
    let value =
        [&[0, 0, 0, 0][..], &4_i32.to_be_bytes(), &[255, 255, 255, 255], &0_i32.to_be_bytes()].concat();
    let Ok(Some(Record::ClassicGroup { value: Some(read), .. })) =
        Record::decode(&[0, 2, 0, 1, b'g'], Some(&value))
    else {
        panic!("a group of version 0 was not read")
    };
    assert_eq!((read.generation, read.state_since_ms, read.members.len()), (4, -1, 0));
}

#[test]
fn records_of_share_and_streams_groups_are_passed_by_and_unknown_versions_refused() {
    assert_eq!(Record::decode(&[0, 11, 0, 1, b'g'], None), Ok(None));
    assert_eq!(Record::decode(&[0, 2, 0, 1, b'g'], Some(&[0, 5])), Err(RecordFault::Version(5)));
}
