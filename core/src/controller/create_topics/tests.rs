use super::{
    super::tests::{committed, controller, id, ids, new_topic, request, with_topic},
    *,
};
use crate::{ids::LeaderEpoch, metadata::Batch};

fn refusal(controller: &mut Controller, topic: NewTopic) -> (ErrorCode, String) {
    let decision = controller.create_topics(&request(vec![topic]), &mut ids());
    assert_eq!(decision.batch, None);
    let error = decision.reply[0].result.clone().expect_err("refused");
    (error.code, error.message)
}

fn partition(topic: u128, index: i32, replicas: &[i32]) -> Record {
    let replicas: Vec<NodeId> = replicas.iter().copied().map(NodeId).collect();
    Record::Partition(PartitionRecord {
        topic: id(topic),
        index,
        isr: replicas.clone(),
        leader: replicas.first().copied(),
        replicas,
        removing: vec![],
        adding: vec![],
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        ..PartitionRecord::default()
    })
}

#[test]
fn a_topic_is_its_record_its_configurations_and_its_partitions() {
    let mut controller = controller(1);
    let mut topic = new_topic("a", -1, -1);
    topic.configs = vec![("retention.ms".to_owned(), Some("5".to_owned()))];
    let decision = controller.create_topics(&request(vec![topic]), &mut ids());
    let resource = ConfigResource::Topic("a".into());
    let configs = OrdMap::unit("retention.ms".to_owned(), "5".to_owned());
    assert_eq!(
        decision.batch,
        Some(Batch {
            preconditions: vec![Precondition::TopicNameFree("a".into())],
            records: vec![
                Record::Topic { name: "a".into(), id: id(0x100) },
                Record::Config { resource, key: "retention.ms".to_owned(), value: Some("5".to_owned()) },
                partition(0x100, 0, &[1]),
                partition(0x100, 1, &[1]),
            ],
        })
    );
    let created = CreatedTopic { id: id(0x100), partitions: 2, replication_factor: 1, configs };
    assert_eq!(decision.reply, [NamedResult { name: "a".to_owned(), result: Ok(created.clone()) }]);
    committed(&mut controller, decision);
    let topic = controller.committed().topic("a").expect("created").clone();
    assert_eq!((topic.partition_count(), &topic.configs), (2, &created.configs));
}

#[test]
fn replicas_are_striped_over_the_brokers() {
    let mut controller = controller(3);
    let decision =
        controller.create_topics(&request(vec![new_topic("a", 7, 2)]), &mut || Uuid::from_u128(0x100 * 3));
    let batch = decision.batch.expect("creates");
    // Leaders take turns; after a full turn the followers move on by one.
    let expected = [[1, 2], [2, 3], [3, 1], [1, 3], [2, 1], [3, 2], [1, 2]];
    let expected = (0..).zip(expected).map(|(index, replicas)| partition(0x300, index, &replicas));
    assert_eq!(batch.records[1..], expected.collect::<Vec<_>>());
}

#[test]
fn ids_that_kafka_never_gives_out_are_drawn_again() {
    let mut controller = controller(1);
    with_topic(&mut controller, "taken", 1, 0x100);
    let leading_dash = 62 << 122;
    let mut drawn = [0, 1, leading_dash, 0x100, 0x101].into_iter().map(Uuid::from_u128);
    let decision = controller.create_topics(&request(vec![new_topic("a", 1, 1)]), &mut || {
        drawn.next().expect("the fifth is good")
    });
    assert_eq!(decision.reply[0].result.as_ref().map(|topic| topic.id), Ok(id(0x101)));
}

#[test]
fn a_broken_source_of_ids_is_an_error_and_no_endless_loop() {
    let mut controller = controller(1);
    let decision = controller.create_topics(&request(vec![new_topic("a", 1, 1)]), &mut Uuid::nil);
    assert_eq!(
        decision.reply[0].result.as_ref().map_err(|error| error.code),
        Err(ErrorCode::UnknownServerError)
    );
}

#[test]
fn names_are_refused_in_kafkas_words() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a.b", 1, 0x90);
    let long = "x".repeat(250);
    let cases = [
        ("", ErrorCode::InvalidTopicException, "Topic name is invalid: the empty string is not allowed".to_owned()),
        ("..", ErrorCode::InvalidTopicException, "Topic name is invalid: '..' is not allowed".to_owned()),
        (
            "a b",
            ErrorCode::InvalidTopicException,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'".to_owned(),
        ),
        (
            &long,
            ErrorCode::InvalidTopicException,
            format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"),
        ),
        ("a.b", ErrorCode::TopicAlreadyExists, "Topic 'a.b' already exists.".to_owned()),
        ("a_b", ErrorCode::InvalidTopicException, "Topic 'a_b' collides with existing topic: a.b".to_owned()),
        ("__cluster_metadata", ErrorCode::TopicAuthorizationFailed, "Authorization failed.".to_owned()),
    ];
    for (name, code, text) in cases {
        assert_eq!(refusal(&mut controller, new_topic(name, 1, 1)), (code, text));
    }
}

#[test]
fn counts_are_refused_in_kafkas_words() {
    let mut controller = controller(1);
    let cases = [
        (
            0,
            1,
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            -2,
            1,
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            1,
            0,
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            1,
            3,
            ErrorCode::InvalidReplicationFactor,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered.",
        ),
    ];
    for (partitions, factor, code, text) in cases {
        assert_eq!(refusal(&mut controller, new_topic("a", partitions, factor)), (code, text.to_owned()));
    }
}

#[test]
fn without_an_active_broker_nothing_is_created() {
    let mut controller = controller(0);
    assert_eq!(
        refusal(&mut controller, new_topic("a", 1, 1)),
        (
            ErrorCode::InvalidReplicationFactor,
            "Unable to replicate the partition 1 time(s): All brokers are currently fenced.".to_owned()
        )
    );
}

#[test]
fn configurations_are_checked_alone_and_together() {
    let mut controller = controller(1);
    let mut with = |configs: &[(&str, Option<&str>)]| {
        let own = |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(str::to_owned));
        let topic = NewTopic { configs: configs.iter().map(own).collect(), ..new_topic("a", 1, 1) };
        refusal(&mut controller, topic)
    };
    let invalid = |text: &str| (ErrorCode::InvalidConfig, text.to_owned());
    assert_eq!(with(&[("nope", Some("1"))]), invalid("Unknown topic config name: nope"));
    assert_eq!(
        with(&[("retention.ms", Some("x"))]),
        invalid("Invalid value x for configuration retention.ms: Not a number of type LONG")
    );
    assert_eq!(
        with(&[("b", None), ("retention.ms", None)]),
        invalid("Null value not supported for topic configs: b,retention.ms")
    );
    assert_eq!(
        with(&[("cleanup.policy", Some("none")), ("retention.ms", Some("1"))]),
        invalid("none has no retention")
    );
}

#[test]
fn topics_of_one_request_see_each_other() {
    let mut controller = controller(1);
    let topics = vec![
        new_topic("a.b", 1, 1),
        new_topic("twice", 1, 1),
        new_topic("a_b", 1, 1),
        new_topic("twice", 1, 1),
    ];
    let decision = controller.create_topics(&request(topics), &mut ids());
    let results: Vec<(&str, Option<&str>)> = decision
        .reply
        .iter()
        .map(|it| (it.name.as_str(), it.result.as_ref().err().map(|error| error.message.as_str())))
        .collect();
    assert_eq!(
        results,
        [
            ("a.b", None),
            ("twice", Some("Duplicate topic name.")),
            ("a_b", Some("Topic 'a_b' collides with existing topic: a.b")),
        ]
    );
    assert_eq!(decision.batch.expect("one is created").records.len(), 2);
}

#[test]
fn validation_creates_nothing_and_promises_no_id() {
    let mut controller = controller(1);
    let validate = CreateTopicsRequest { topics: vec![new_topic("a", 3, 1)], validate_only: true };
    let decision = controller.create_topics(&validate, &mut ids());
    assert_eq!(decision.batch, None);
    let created = decision.reply[0].result.clone().expect("valid");
    assert_eq!((created.id, created.partitions), (TopicId::ZERO, 3));
    assert!(controller.speculative().topic("a").is_none());
}

#[test]
fn assigned_replicas_are_taken_as_they_are_or_refused() {
    let mut controller = controller(2);
    let assigned = |assignments: &[(i32, &[i32])]| NewTopic {
        assignments: assignments
            .iter()
            .map(|(index, replicas)| ReplicaAssignment {
                index: *index,
                replicas: replicas.iter().copied().map(NodeId).collect(),
            })
            .collect(),
        ..new_topic("a", -1, -1)
    };
    type Assigned<'a> = &'a [(i32, &'a [i32])];
    let cases: [(Assigned, &str); 6] = [
        (&[(0, &[])], "The manual partition assignment includes an empty replica list."),
        (
            &[(0, &[9])],
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (&[(0, &[1, 1])], "The manual partition assignment includes the broker 1 more than once."),
        (
            &[(0, &[1, 2]), (1, &[1])],
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).",
        ),
        (&[(0, &[1]), (0, &[2])], "Found multiple manual partition assignments for partition 0"),
        (&[(1, &[1]), (2, &[1])], "partitions should be a consecutive 0-based integer sequence"),
    ];
    for (assignments, text) in cases {
        let expected = (ErrorCode::InvalidReplicaAssignment, text.to_owned());
        assert_eq!(refusal(&mut controller, assigned(assignments)), expected);
    }
    let counted = NewTopic { partitions: 1, ..assigned(&[(0, &[1])]) };
    assert_eq!(refusal(&mut controller, counted).0, ErrorCode::InvalidRequest);
    let decision =
        controller.create_topics(&request(vec![assigned(&[(1, &[1, 2]), (0, &[2, 1])])]), &mut ids());
    let records = decision.batch.expect("creates").records;
    assert_eq!(records[1..], [partition(0x100, 0, &[2, 1]), partition(0x100, 1, &[1, 2])]);
}

#[test]
fn a_request_for_too_much_is_refused_before_anything_is_built() {
    let mut controller = controller(1);
    let topics = vec![new_topic("a", i32::MAX, 1), new_topic("b", i32::MAX, 1)];
    let decision = controller.create_topics(&request(topics), &mut ids());
    let excessive =
        ApiError::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request.");
    assert!(decision.reply.iter().all(|it| it.result == Err(excessive.clone())));
    // Within that bound, but not with the topic's own record.
    let decision = controller.create_topics(&request(vec![new_topic("a", 10_000, 1)]), &mut ids());
    assert_eq!(decision.reply[0].result, Err(ApiError::too_large()));
    assert!(controller.speculative().topic("a").is_none());
}
