use super::*;
use crate::ids::{LeaderEpoch, NodeId, TopicId};
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

fn id(value: u128) -> TopicId {
    TopicId(Uuid::from_u128(value))
}

fn topic(name: &str, value: u128) -> Record {
    Record::Topic { name: name.into(), id: id(value) }
}

fn partition(topic: u128, index: i32) -> Record {
    Record::Partition(PartitionRecord {
        topic: id(topic),
        index,
        replicas: vec![NodeId(1), NodeId(2)],
        isr: vec![NodeId(1)],
        removing: vec![],
        adding: vec![NodeId(2)],
        leader: Some(NodeId(1)),
        leader_epoch: LeaderEpoch(3),
        partition_epoch: 5,
        elr: vec![],
        last_known_elr: vec![],
    })
}

fn change(topic: u128, index: i32, leader: LeaderChange) -> PartitionChangeRecord {
    PartitionChangeRecord { topic: id(topic), index, leader, ..PartitionChangeRecord::default() }
}

fn register(id: i32, epoch: i64) -> Record {
    Record::RegisterBroker(RegisterBrokerRecord {
        id: NodeId(id),
        epoch,
        incarnation: Uuid::from_u128(9),
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: "h".to_owned(),
            port: 9092,
            security_protocol: SecurityProtocol::Plaintext,
        }],
        rack: Some("r".to_owned()),
        directories: vec![Uuid::from_u128(4)],
        fenced: false,
        in_controlled_shutdown: false,
    })
}

fn config(resource: ConfigResource, key: &str, value: Option<&str>) -> Record {
    Record::Config { resource, key: key.to_owned(), value: value.map(str::to_owned) }
}

/// One of every kind.
fn every_record() -> Vec<Record> {
    vec![
        Record::ClusterId { id: "c".to_owned() },
        Record::FeatureLevel { name: "metadata.version".to_owned(), level: 30 },
        register(1, 4),
        register(2, 5),
        topic("a", 0x100),
        topic("__consumer_offsets", 0x101),
        topic("b.c", 0x102),
        partition(0x100, 0),
        partition(0x100, 1),
        Record::PartitionChange(change(0x100, 1, LeaderChange::Offline)),
        config(ConfigResource::Topic("a".into()), "retention.ms", Some("1")),
        config(ConfigResource::Broker(NodeId(1)), "x", Some("1")),
        config(ConfigResource::BrokerDefault, "x", Some("2")),
        config(ConfigResource::Group("g".to_owned()), "x", Some("3")),
        config(ConfigResource::ClientMetrics("m".to_owned()), "x", Some("4")),
        Record::ProducerIds { broker: NodeId(1), next: 1000 },
        Record::BrokerChange(BrokerChangeRecord {
            id: NodeId(2),
            epoch: 5,
            fenced: Some(true),
            in_controlled_shutdown: None,
        }),
        Record::UnregisterBroker { id: NodeId(2), epoch: 5 },
        Record::BrokerFull { id: NodeId(1), epoch: 4, is_full: true },
        Record::RemoveTopic { id: id(0x102) },
    ]
}

fn full_image() -> Image {
    let mut image = Image::new();
    image.apply(MetadataOffset(7), &Batch::of(every_record())).expect("each follows from those before");
    image
}

fn after(image: &Image, records: Vec<Record>) -> Image {
    let mut next = image.clone();
    next.speculate(&Batch::of(records)).expect("possible");
    next.check().expect("invariants");
    next
}

fn refusal(image: &Image, record: Record) -> Violated {
    let mut next = image.clone();
    let violated = next.speculate(&Batch::of(vec![topic("first", 0x999), record])).expect_err("impossible");
    assert_eq!(&next, image, "nothing of the batch took effect");
    violated
}

#[test]
fn the_sum_of_records_is_found_by_name_and_id() {
    let image = full_image();
    image.check().expect("invariants");
    assert_eq!(image.last_applied(), Some(MetadataOffset(7)));
    assert_eq!(image.topics().map(|it| &*it.name).collect::<Vec<_>>(), ["__consumer_offsets", "a"]);
    assert_eq!(image.topics_from("a").map(|it| &*it.name).collect::<Vec<_>>(), ["a"]);
    let a = image.topic("a").expect("exists");
    assert!(Arc::ptr_eq(a, image.topic_by_id(id(0x100)).expect("exists")));
    assert_eq!((a.is_internal, a.partition_count()), (false, 2));
    assert!(image.topic("__consumer_offsets").expect("exists").is_internal);
    assert_eq!(a.configs.get("retention.ms").map(String::as_str), Some("1"));
    let offline = a.partition(1).expect("exists");
    assert_eq!((offline.leader, offline.leader_epoch, offline.partition_epoch), (None, LeaderEpoch(4), 6));
    assert_eq!(image.next_producer_id(), 1000);
    assert_eq!(image.brokers().map(|it| it.id.0).collect::<Vec<_>>(), [1]);
    assert_eq!(image.broker(NodeId(1)).and_then(|it| it.endpoint("PLAINTEXT")).map(|it| it.port), Some(9092));
    assert!(image.topic_colliding_with("b_c").is_none(), "the topic is gone");
}

#[test]
fn a_batch_that_cannot_apply_leaves_only_its_offset() {
    let mut image = full_image();
    let mut batch = Batch::of(vec![topic("new", 0x200)]);
    batch.preconditions.push(Precondition::TopicNameFree("a".into()));
    let before = image.clone();
    let violated = Violated::Precondition(Precondition::TopicNameFree("a".into()));
    assert_eq!(image.apply(MetadataOffset(8), &batch), Err(violated));
    assert_eq!(image.last_applied(), Some(MetadataOffset(8)));
    assert_eq!(Image { last_applied: Some(MetadataOffset(7)), ..image.clone() }, before);
    let again = image.apply(MetadataOffset(8), &Batch::default());
    assert!(matches!(again, Err(Violated::OffsetNotAhead { .. })));
}

#[test]
fn preconditions_hold_exactly_when_they_say() {
    let image = full_image();
    let cases = [
        (Precondition::TopicNameFree("z".into()), Precondition::TopicNameFree("a".into())),
        (Precondition::TopicExists(id(0x100)), Precondition::TopicExists(id(0x102))),
        (
            Precondition::PartitionCount { topic: id(0x100), count: 2 },
            Precondition::PartitionCount { topic: id(0x100), count: 1 },
        ),
        (
            Precondition::PartitionEpoch { topic: id(0x100), index: 1, epoch: 6 },
            Precondition::PartitionEpoch { topic: id(0x100), index: 1, epoch: 5 },
        ),
        (
            Precondition::BrokerEpoch { id: NodeId(1), epoch: Some(4) },
            Precondition::BrokerEpoch { id: NodeId(1), epoch: None },
        ),
        (
            Precondition::BrokerEpoch { id: NodeId(2), epoch: None },
            Precondition::BrokerEpoch { id: NodeId(2), epoch: Some(5) },
        ),
        (Precondition::ProducerIdsNext(1000), Precondition::ProducerIdsNext(0)),
    ];
    for (holds, does_not) in cases {
        assert!(image.holds(&holds), "{holds:?}");
        assert!(!image.holds(&does_not), "{does_not:?}");
    }
    assert!(!image.holds(&Precondition::ClusterIdUnset) && Image::new().holds(&Precondition::ClusterIdUnset));
}

#[test]
fn records_that_contradict_the_image_are_refused_whole() {
    let image = full_image();
    let stranger =
        PartitionChangeRecord { isr: Some(vec![NodeId(9)]), ..change(0x100, 0, LeaderChange::Unchanged) };
    for record in [
        topic("a", 0x200),
        topic("other", 0x100),
        topic("reserved", 1),
        topic("bad name", 0x200),
        partition(0x999_9999, 0),
        partition(0x100, 3),
        Record::PartitionChange(stranger),
        Record::PartitionChange(change(0x100, 0, LeaderChange::Leader(NodeId(2)))),
        Record::PartitionChange(change(0x100, 9, LeaderChange::Unchanged)),
        config(ConfigResource::Topic("none".into()), "x", None),
        Record::ProducerIds { broker: NodeId(1), next: 999 },
        Record::ClusterId { id: "d".to_owned() },
        Record::FeatureLevel { name: "f".to_owned(), level: -1 },
        register(1, 4),
        register(-1, 4),
        Record::UnregisterBroker { id: NodeId(1), epoch: 3 },
        Record::RemoveTopic { id: id(0x200) },
    ] {
        assert!(matches!(refusal(&image, record), Violated::Record { index: 1, .. }));
    }
}

#[test]
fn a_named_leader_begins_an_epoch_even_if_it_led_before() {
    let image = after(
        &full_image(),
        vec![Record::PartitionChange(change(0x100, 0, LeaderChange::Leader(NodeId(1))))],
    );
    let partition = image.partition(id(0x100), 0).expect("exists");
    assert_eq!((partition.leader_epoch, partition.partition_epoch), (LeaderEpoch(4), 6));
    let image = after(&image, vec![Record::PartitionChange(change(0x100, 0, LeaderChange::Unchanged))]);
    let partition = image.partition(id(0x100), 0).expect("exists");
    assert_eq!((partition.leader_epoch, partition.partition_epoch), (LeaderEpoch(4), 7));
}

#[test]
fn deleting_a_topic_takes_its_configurations_along() {
    let image = after(&full_image(), vec![Record::RemoveTopic { id: id(0x100) }, topic("a", 0x200)]);
    assert!(image.configs(&ConfigResource::Topic("a".into())).is_empty());
    assert_eq!(image.topic("a").map(|it| it.partition_count()), Some(0));
}

#[test]
fn a_delta_names_each_difference_and_nothing_else() {
    let old = full_image();
    assert_eq!(delta(&old, &old.clone()), []);
    let new = after(
        &old,
        vec![
            Record::RemoveTopic { id: id(0x101) },
            topic("__consumer_offsets", 0x050),
            partition(0x100, 2),
            Record::PartitionChange(change(0x100, 0, LeaderChange::Leader(NodeId(1)))),
            config(ConfigResource::BrokerDefault, "x", None),
            config(ConfigResource::Broker(NodeId(1)), "y", Some("2")),
            Record::UnregisterBroker { id: NodeId(1), epoch: 4 },
            register(3, 8),
            Record::FeatureLevel { name: "metadata.version".to_owned(), level: 0 },
        ],
    );
    let changes = delta(&old, &new);
    let before = old.topic("a").expect("exists");
    let after = new.topic("a").expect("exists");
    let changed = |index: i32| PartitionChanged {
        index,
        old: before.partitions.get(&index).cloned(),
        new: after.partitions[&index].clone(),
    };
    assert_eq!(
        changes,
        [
            Change::TopicDeleted(old.topic_by_id(id(0x101)).expect("existed").clone()),
            Change::TopicCreated(new.topic_by_id(id(0x050)).expect("exists").clone()),
            Change::TopicChanged(TopicChanged {
                topic: after.clone(),
                partitions: vec![changed(0), changed(2)],
                configs: false,
            }),
            Change::ConfigsChanged(
                ConfigResource::Broker(NodeId(1)),
                new.configs(&ConfigResource::Broker(NodeId(1)))
            ),
            Change::ConfigsChanged(ConfigResource::BrokerDefault, imbl::OrdMap::new()),
            Change::BrokerRemoved(NodeId(1)),
            Change::BrokerChanged(new.broker(NodeId(3)).expect("exists").clone()),
            Change::FeatureChanged("metadata.version".to_owned(), 0),
        ]
    );
}

#[test]
fn a_topics_configuration_alone_is_a_change_of_the_topic() {
    let old = full_image();
    let new = after(&old, vec![config(ConfigResource::Topic("a".into()), "retention.ms", None)]);
    let topic = new.topic("a").expect("exists").clone();
    let expected = Change::TopicChanged(TopicChanged { topic, partitions: vec![], configs: true });
    assert_eq!(delta(&old, &new), [expected]);
}

#[test]
fn a_snapshot_is_the_image_and_its_damage_is_found() {
    let image = full_image();
    let bytes = image.encode();
    assert_eq!(Image::decode(&bytes), Ok(image.clone()));
    assert_eq!(Image::decode(&Image::new().encode()), Ok(Image::new()));
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        assert!(Image::decode(&damaged).is_err(), "byte {position}");
        assert!(Image::decode(&bytes[..position]).is_err(), "cut at {position}");
    }
}

#[test]
fn a_batch_survives_its_encoding() {
    let batch = Batch {
        records: every_record(),
        preconditions: vec![
            Precondition::TopicNameFree("a".into()),
            Precondition::BrokerEpoch { id: NodeId(1), epoch: None },
            Precondition::ClusterIdUnset,
        ],
    };
    let bytes = batch.encode();
    assert_eq!(Batch::decode(&bytes), Ok(batch));
    for cut in 0..bytes.len() {
        assert!(Batch::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn what_a_later_version_wrote_is_refused_by_name() {
    let later = |kind: u8| [1, 0, 1, kind, 0];
    assert_eq!(
        Batch::decode(&later(12)),
        Err(DecodeError::UnknownKind { what: "record", kind: 12, position: 3 })
    );
    assert_eq!(
        Batch::decode(&[1, 1, 7, 0]).expect_err("unknown").to_string(),
        "precondition of kind 7 at byte 2 is unknown: it was written by a later version of the broker"
    );
    assert_eq!(Batch::decode(&[2]), Err(DecodeError::UnknownVersion(2)));
    assert_eq!(Batch::decode(&[0]), Err(DecodeError::AbandonedVersion(0)));
    let too_large = vec![0; BATCH_BYTES_MAX + 1];
    assert!(matches!(Batch::decode(&too_large), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn the_known_kinds_are_all_kinds() {
    // The last variant of each enum: if one is added, the count of known kinds must follow.
    let last = Record::BrokerFull { id: NodeId(0), epoch: 0, is_full: false };
    let kind = postcard::to_allocvec(&last).expect("plain data")[0];
    assert_eq!(u32::from(kind) + 1, Record::KINDS);
    let batch = Batch { records: vec![], preconditions: vec![Precondition::ClusterIdUnset] };
    assert_eq!(batch.encode()[2], 6);
    assert!(Batch::decode(&batch.encode()).is_ok());
}

/// The first bytes of what is on disks and in quorums: if this changes, old logs are not readable any more.
#[test]
fn the_encoding_is_what_it_was() {
    let batch = Batch {
        records: vec![
            Record::ProducerIds { broker: NodeId(1), next: 1000 },
            config(ConfigResource::Topic("a".into()), "k", Some("v")),
        ],
        preconditions: vec![Precondition::ProducerIdsNext(0)],
    };
    let expected = [1, 1, 5, 0, 2, 7, 2, 208, 15, 6, 0, 1, b'a', 1, b'k', 1, 1, b'v'];
    assert_eq!(batch.encode(), expected);
}

#[test]
fn reserved_ids_are_kafkas() {
    assert!(id(0).is_reserved() && id(1).is_reserved() && !id(2).is_reserved());
    for top in 0..64_u128 {
        let candidate = id((top << 122) | 5);
        assert_eq!(candidate.is_reserved(), candidate.to_string().starts_with('-'));
    }
}

fn arbitrary_record() -> impl Strategy<Value = Record> {
    let topic_number = 0..4_u128;
    let nodes = || prop::collection::vec((-1..4).prop_map(NodeId), 0..4);
    let leader = prop_oneof![
        Just(LeaderChange::Unchanged),
        Just(LeaderChange::Offline),
        (0..4).prop_map(|id| LeaderChange::Leader(NodeId(id)))
    ];
    prop_oneof![
        prop::sample::select(every_record()),
        (topic_number.clone(), "[ab._]{0,3}").prop_map(|(value, name)| topic(&name, value)),
        (
            topic_number.clone(),
            -1..3,
            nodes(),
            nodes(),
            prop::option::of((0..3).prop_map(NodeId)),
            prop::sample::select(vec![-1, 0, i32::MAX])
        )
            .prop_map(|(topic, index, replicas, isr, leader, epoch)| Record::Partition(
                PartitionRecord {
                    topic: id(topic),
                    index,
                    replicas,
                    isr,
                    removing: vec![],
                    adding: vec![],
                    leader,
                    leader_epoch: LeaderEpoch(epoch),
                    partition_epoch: epoch,
                    ..PartitionRecord::default()
                }
            )),
        (topic_number, 0..3, prop::option::of(nodes()), leader).prop_map(|(topic, index, isr, leader)| {
            Record::PartitionChange(PartitionChangeRecord { isr, ..change(topic, index, leader) })
        }),
        (-1..4, -1..6_i64).prop_map(|(id, epoch)| register(id, epoch)),
        any::<i64>().prop_map(|next| Record::ProducerIds { broker: NodeId(1), next }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_batches_keep_the_invariants_and_the_snapshot_equal(
        batches in prop::collection::vec(prop::collection::vec(arbitrary_record(), 0..6), 0..30)
    ) {
        let mut image = full_image();
        for (offset, records) in (8..).zip(batches) {
            let before = image.clone();
            let result = image.apply(MetadataOffset(offset), &Batch::of(records));
            prop_assert_eq!(image.check(), Ok(()));
            prop_assert!(result.is_ok() || delta(&before, &image).is_empty());
        }
        let bytes = image.encode();
        let decoded = Image::decode(&bytes).expect("just encoded");
        prop_assert_eq!(&decoded, &image);
        prop_assert_eq!(decoded.encode(), bytes);
        prop_assert_eq!(delta(&decoded, &image), []);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut image = full_image();
        if let Ok(batch) = Batch::decode(&bytes) {
            prop_assert!(image.apply(MetadataOffset(8), &batch).is_ok() || image.check().is_ok());
        }
        let mut snapshot = bytes;
        let crc = crc32c::crc32c(&snapshot);
        snapshot.extend_from_slice(&crc.to_le_bytes());
        if let Ok(image) = Image::decode(&snapshot) {
            prop_assert_eq!(image.check(), Ok(()));
        }
    }

    #[test]
    fn bytes_changed_anywhere_never_panic(position in 0..2000_usize, value in any::<u8>()) {
        let mut bytes = Batch::of(every_record()).encode();
        let position = position % bytes.len();
        bytes[position] = value;
        if let Ok(batch) = Batch::decode(&bytes) {
            let mut image = Image::new();
            let _ = image.apply(MetadataOffset(8), &batch);
            prop_assert_eq!(image.check(), Ok(()));
        }
    }
}
