//! What all decisions have in common; and the fixtures of the other tests.

use super::*;
use crate::{
    ids::{NodeId, TopicId},
    metadata::{ConfigResource, Endpoint, SecurityProtocol},
};
use imbl::OrdMap;
use proptest::prelude::*;
use uuid::Uuid;

/// Topics have `cleanup.policy`, a list, and `retention.ms`, a number; everything else has nothing.
pub(super) struct TestRules;

impl ConfigRules for TestRules {
    fn check(&self, _: &ConfigResource, key: &str, value: &str) -> Result<(), ApiError> {
        let invalid = |text: String| Err(ApiError::new(ErrorCode::InvalidConfig, text));
        match key {
            "cleanup.policy" => Ok(()),
            "retention.ms" if value.parse::<i64>().is_ok() => Ok(()),
            "retention.ms" => {
                invalid(format!("Invalid value {value} for configuration {key}: Not a number of type LONG"))
            }
            _ => invalid(format!("Unknown topic config name: {key}")),
        }
    }
    fn check_together(&self, _: &ConfigResource, configs: &OrdMap<String, String>) -> Result<(), ApiError> {
        match (configs.get("cleanup.policy"), configs.get("retention.ms")) {
            (Some(policy), Some(_)) if policy == "none" => {
                Err(ApiError::new(ErrorCode::InvalidConfig, "none has no retention"))
            }
            _ => Ok(()),
        }
    }
    fn is_list(&self, _: &ConfigResource, key: &str) -> bool {
        key == "cleanup.policy"
    }
    fn default_value(&self, _: &ConfigResource, key: &str) -> Option<String> {
        (key == "cleanup.policy").then(|| "delete".to_owned())
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        node: NodeId(1),
        default_partitions: 2,
        default_replication_factor: 1,
        config_rules: Arc::new(TestRules),
        features: FEATURES,
    }
}

pub(super) fn registration(id: i32, incarnation: u128) -> RegisterBrokerRequest {
    RegisterBrokerRequest {
        id: NodeId(id),
        cluster_id: "test".to_owned(),
        incarnation: Uuid::from_u128(incarnation),
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            security_protocol: SecurityProtocol::Plaintext,
        }],
        rack: None,
        directories: Vec::new(),
        fenced: false,
    }
}

/// The quorum as the tests need it: commits what it is given.
pub(super) fn commit(controller: &mut Controller, batch: &Batch) -> Result<(), Voided> {
    let offset = controller.committed().last_applied().map_or(1, |last| last.0 + 1);
    controller.applied(MetadataOffset(offset), batch)
}

pub(super) fn committed<R>(controller: &mut Controller, decision: Decision<R>) -> R {
    if let Some(batch) = &decision.batch {
        commit(controller, batch).expect("nothing else happens in between");
    }
    assert!(controller.settled() >= decision.due);
    controller.committed().check().expect("invariants");
    decision.reply
}

/// Of a formed cluster with brokers 1 to `brokers`.
pub(super) fn controller(brokers: i32) -> Controller {
    let mut controller = Controller::new(settings(), Image::new());
    let formed = controller.form_cluster("test");
    committed(&mut controller, formed).expect("first");
    for id in 1..=brokers {
        let registered = controller.register_broker(&registration(id, 1));
        committed(&mut controller, registered).expect("fresh");
    }
    controller
}

/// Ids from 0x100 on, so none is reserved and each is known.
pub(super) fn ids() -> impl FnMut() -> Uuid {
    let mut next = 0xff;
    move || {
        next += 1;
        Uuid::from_u128(next)
    }
}

pub(super) fn id(value: u128) -> TopicId {
    TopicId(Uuid::from_u128(value))
}

pub(super) fn new_topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions,
        replication_factor,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}

pub(super) fn request(topics: Vec<NewTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, validate_only: false }
}

/// Creates a topic with id `topic`.
pub(super) fn with_topic(controller: &mut Controller, name: &str, partitions: i32, topic: u128) {
    let decision = controller
        .create_topics(&request(vec![new_topic(name, partitions, -1)]), &mut || Uuid::from_u128(topic));
    assert!(committed(controller, decision)[0].result.is_ok());
}

#[test]
fn two_creations_of_one_name_in_flight_conflict() {
    let mut controller = controller(1);
    let mut draw = ids();
    let first = controller.create_topics(&request(vec![new_topic("a", 1, 1)]), &mut draw);
    let second = controller.create_topics(&request(vec![new_topic("a", 1, 1)]), &mut draw);
    assert_eq!(
        second.reply[0].result,
        Err(ApiError::new(ErrorCode::TopicAlreadyExists, "Topic 'a' already exists."))
    );
    assert_eq!(second.batch, None);
    // The refusal leans on the first creation and must not be told before that is committed.
    assert_eq!(second.due, first.due);
    assert!(controller.settled() < second.due);
    commit(&mut controller, &first.batch.expect("creates")).expect("nothing stands against it");
    assert_eq!(controller.settled(), second.due);
}

#[test]
fn losing_the_leadership_forgets_what_was_in_flight() {
    let mut controller = controller(1);
    let decided = controller.create_topics(&request(vec![new_topic("a", 1, 1)]), &mut ids());
    assert!(controller.speculative().topic("a").is_some());
    let image = controller.committed().clone();
    controller.reset(image);
    assert!(controller.speculative().topic("a").is_none());
    let again = controller.create_topics(&request(vec![new_topic("a", 1, 1)]), &mut ids());
    assert_eq!(again.batch, decided.batch);
}

#[test]
fn a_foreign_batch_voids_what_is_in_flight() {
    let mut controller = controller(1);
    let first = controller.create_topics(&request(vec![new_topic("a", 1, 1)]), &mut ids());
    let foreign = Batch::of(vec![Record::Topic { name: "b".into(), id: id(7) }]);
    assert_eq!(commit(&mut controller, &foreign), Err(Voided::DecidedElsewhere));
    assert!(controller.speculative().topic("a").is_none() && controller.speculative().topic("b").is_some());
    // Committed after all, it takes effect, as on every other node.
    commit(&mut controller, &first.batch.expect("creates")).expect("its preconditions hold");
    assert!(controller.speculative().topic("a").is_some());
}

#[test]
fn a_batch_without_effect_voids_what_is_in_flight_behind_it() {
    let mut controller = controller(1);
    let mut draw = ids();
    let first = controller.create_topics(&request(vec![new_topic("a", 1, 1)]), &mut draw);
    let other = Batch::of(vec![Record::Topic { name: "a".into(), id: id(7) }]);
    assert_eq!(commit(&mut controller, &other), Err(Voided::DecidedElsewhere));
    let refused = commit(&mut controller, &first.batch.expect("creates"));
    let free = Precondition::TopicNameFree("a".into());
    assert_eq!(refused, Err(Voided::Violated(Violated::Precondition(free))));
    assert_eq!(controller.committed().topic("a").map(|topic| topic.id), Some(id(7)));
    assert_eq!(controller.speculative(), controller.committed());
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8, i32, i16),
    Delete(u8),
    Grow(u8, i32),
    Alter(u8, bool),
    ProducerIds,
    Register(i32, u8, bool),
    Unregister(i32),
    Commit,
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6u8, -2..6i32, -1..4i16).prop_map(|(name, count, factor)| Step::Create(name, count, factor)),
        (0..6u8).prop_map(Step::Delete),
        (0..6u8, 0..9i32).prop_map(|(name, count)| Step::Grow(name, count)),
        (0..6u8, any::<bool>()).prop_map(|(name, set)| Step::Alter(name, set)),
        Just(Step::ProducerIds),
        (1..5i32, 0..3u8, any::<bool>()).prop_map(|(id, run, fenced)| Step::Register(id, run, fenced)),
        (1..5i32).prop_map(Step::Unregister),
        Just(Step::Commit),
        Just(Step::Commit),
        Just(Step::Lose),
    ]
}

fn decide(controller: &mut Controller, step: Step, draw: &mut dyn FnMut() -> Uuid) -> Option<Batch> {
    // "t.0" and "t_0" collide, and so on.
    let name = |n: u8| format!("t{}{}", if n.is_multiple_of(2) { '.' } else { '_' }, n / 2);
    match step {
        Step::Create(n, count, factor) => {
            controller.create_topics(&request(vec![new_topic(&name(n), count, factor)]), draw).batch
        }
        Step::Delete(n) => {
            let topics = vec![TopicRef::Name(name(n))];
            controller.delete_topics(&DeleteTopicsRequest { topics }).batch
        }
        Step::Grow(n, count) => {
            let topics = vec![MorePartitions { name: name(n), count, assignments: None }];
            controller.create_partitions(&CreatePartitionsRequest { topics, validate_only: false }).batch
        }
        Step::Alter(n, set) => {
            let kind = if set { ConfigOpKind::Append } else { ConfigOpKind::Delete };
            let ops = vec![ConfigOp { key: "cleanup.policy".into(), kind, value: Some("compact".into()) }];
            let resources =
                vec![AlterResource { resource: ConfigResource::Topic(name(n).into()), ops, replaces: false }];
            controller.alter_configs(&AlterConfigsRequest { resources, validate_only: false }).batch
        }
        Step::ProducerIds => {
            let broker_epoch = controller.speculative().broker(NodeId(1)).map_or(0, |broker| broker.epoch);
            let request = AllocateProducerIdsRequest { broker: NodeId(1), broker_epoch };
            controller.allocate_producer_ids(request).batch
        }
        Step::Register(id, run, fenced) => {
            let request = RegisterBrokerRequest { fenced, ..registration(id, u128::from(run)) };
            controller.register_broker(&request).batch
        }
        Step::Unregister(id) => {
            controller.unregister_broker(UnregisterBrokerRequest { id: NodeId(id) }).batch
        }
        Step::Commit | Step::Lose => None,
    }
}

/// Epochs never go back, producer ids are never given again.
fn assert_ahead(old: &Image, new: &Image) {
    assert!(new.next_producer_id() >= old.next_producer_id());
    for topic in old.topics() {
        let Some(now) = new.topic_by_id(topic.id) else { continue };
        assert!(now.partition_count() >= topic.partition_count());
        for (index, before) in &topic.partitions {
            let after = now.partition(*index).expect("partitions stay");
            assert!(after.leader_epoch >= before.leader_epoch);
            assert!(after.partition_epoch >= before.partition_epoch);
            assert!(after.leader == before.leader || after.leader_epoch > before.leader_epoch);
            assert!(after == &**before || after.partition_epoch > before.partition_epoch);
        }
    }
    for broker in old.brokers() {
        assert!(new.broker(broker.id).is_none_or(|now| now.epoch >= broker.epoch));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_decisions_keeps_the_invariants(steps in prop::collection::vec(step(), 1..60)) {
        let mut controller = controller(2);
        let mut draw = ids();
        let mut in_flight = std::collections::VecDeque::new();
        for step in steps {
            let before = controller.committed().clone();
            match step {
                Step::Commit => {
                    if let Some(batch) = in_flight.pop_front() {
                        commit(&mut controller, &batch).expect("decided in this order");
                    }
                }
                Step::Lose => {
                    in_flight.clear();
                    controller.reset(before.clone());
                }
                other => in_flight.extend(decide(&mut controller, other, &mut draw)),
            }
            let (committed, speculative) = (controller.committed(), controller.speculative());
            prop_assert_eq!(committed.check(), Ok(()));
            prop_assert_eq!(speculative.check(), Ok(()));
            assert_ahead(&before, committed);
            assert_ahead(committed, speculative);
            for partition in speculative.topics().flat_map(|topic| topic.partitions.values()) {
                let active = |id| speculative.broker(id).is_some_and(|broker| broker.is_active());
                prop_assert!(partition.leader.is_none_or(active));
                prop_assert!(!partition.isr.is_empty());
            }
            prop_assert_eq!(&Image::decode(&committed.encode()).expect("just encoded"), committed);
            for batch in &in_flight {
                prop_assert_eq!(&Batch::decode(&batch.encode()).expect("just encoded"), batch);
            }
        }
    }
}
