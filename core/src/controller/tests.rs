//! What all decisions have in common; and the fixtures of the other tests.

use super::*;
use crate::{
    ids::{NodeId, TopicId},
    metadata::{ConfigResource, Endpoint, SecurityProtocol},
};
use corelane_seam::Monotonic;
use imbl::OrdMap;
use proptest::prelude::*;
use uuid::Uuid;

/// Topics have `cleanup.policy`, a list, and `retention.ms`, a number; everything else has nothing.
pub(super) struct TestRules;

impl ConfigRules for TestRules {
    fn check(&self, _: &ConfigResource, key: &str, value: &str) -> Result<(), ApiError> {
        let invalid = |text: String| Err(ApiError::new(ErrorCode::InvalidConfig, text));
        match key {
            "cleanup.policy" | "min.insync.replicas" | "unclean.leader.election.enable" => Ok(()),
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
        initial_levels: BTreeMap::new(),
        lifecycle: Lifecycle::default(),
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
        directories: vec![Uuid::from_u128(0xd000 + u128::try_from(id).expect("from 0 on"))],
    }
}

/// The quorum as the tests need it: commits what it is given.
pub(super) fn commit(controller: &mut Controller, batch: &Batch) -> Result<(), Voided> {
    let offset = controller.committed().last_applied().map_or(1, |last| last.0 + 1);
    controller.applied(MetadataOffset(offset), batch)
}

pub(super) fn committed<R>(controller: &mut Controller, decision: Decision<R>) -> R {
    for batch in decision.before.iter().chain(&decision.batch) {
        commit(controller, batch).expect("nothing else happens in between");
    }
    assert!(controller.settled() >= decision.due);
    controller.committed().check().expect("invariants");
    decision.reply
}

/// When the fixtures do what they do.
pub(super) const NOW: Monotonic = Monotonic(1_000_000_000);

/// Of a formed cluster with active brokers 1 to `brokers`.
pub(super) fn controller(brokers: i32) -> Controller {
    let mut controller = Controller::new(settings(), Image::new());
    controller.lead(NOW, Image::new());
    let formed = controller.form_cluster("test");
    committed(&mut controller, formed).expect("first");
    for id in 1..=brokers {
        join(&mut controller, &registration(id, 1));
    }
    controller
}

/// A broker registers as another process than the controller's, its first heartbeat unfences it. Its epoch.
pub(super) fn join(controller: &mut Controller, request: &RegisterBrokerRequest) -> i64 {
    let registered = controller.register_broker(NOW, request, Registrant::Peer);
    let epoch = committed(controller, registered).expect("no other lives");
    let beat = heartbeat(controller, request.id.0);
    let decision = controller.heartbeat(NOW, &beat);
    assert!(!committed(controller, decision).expect("known").fenced);
    epoch
}

/// What a broker says that has applied everything.
pub(super) fn heartbeat(controller: &Controller, id: i32) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest {
        id: NodeId(id),
        epoch: controller.committed().broker(NodeId(id)).map_or(-1, |broker| broker.epoch),
        applied: controller.committed().last_applied(),
        want_fence: false,
        want_shut_down: false,
        is_full: false,
        offline_directories: Vec::new(),
    }
}

/// A broker is fenced, as if it had not been heard of.
pub(super) fn fence(controller: &mut Controller, id: i32) {
    let decision = controller.fence_broker(NodeId(id), ());
    committed(controller, decision).expect("known");
}

/// A partition's leader, ISR and eligible replicas.
pub(super) fn state(controller: &Controller, topic: u128, index: i32) -> (Option<i32>, Vec<i32>, Vec<i32>) {
    let partition = controller.committed().partition(id(topic), index).expect("exists");
    let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect();
    (partition.leader.map(|id| id.0), numbers(&partition.isr), numbers(&partition.elr))
}

/// Creates a topic with id `topic` and one partition on these brokers, with these settings.
pub(super) fn with_replicas(
    controller: &mut Controller,
    name: &str,
    topic: u128,
    replicas: &[i32],
    configs: &[(&str, &str)],
) {
    let replicas = replicas.iter().copied().map(NodeId).collect();
    let new = NewTopic {
        assignments: vec![ReplicaAssignment { index: 0, replicas }],
        configs: configs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect(),
        ..new_topic(name, -1, -1)
    };
    let decision = controller.create_topics(&request(vec![new]), &mut || Uuid::from_u128(topic));
    let result = committed(controller, decision).remove(0).result;
    result.expect("created");
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
    InsyncMin(u8, u8),
    ProducerIds,
    /// A process of a broker registers, with its disk or with another.
    Register(i32, u8, bool),
    /// A broker says that it lives, and whether it wants to stop, and is full.
    Heartbeat(i32, bool, bool),
    Unregister(i32),
    /// The leader of a partition says who is in sync, by a bit of each of its replicas.
    Isr(u8, i32, u8),
    Elect(bool),
    /// A partition shall be on these brokers, or where it was.
    Reassign(u8, i32, Option<(i32, i32)>),
    /// Milliseconds pass.
    Pass(u64),
    Commit,
    /// Everything that was decided is committed.
    Settle,
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6u8, -2..6i32, -1..4i16).prop_map(|(name, count, factor)| Step::Create(name, count, factor)),
        1 => (0..6u8).prop_map(Step::Delete),
        1 => (0..6u8, 0..9i32).prop_map(|(name, count)| Step::Grow(name, count)),
        1 => (0..6u8, any::<bool>()).prop_map(|(name, set)| Step::Alter(name, set)),
        1 => (0..6u8, 1..4u8).prop_map(|(name, min)| Step::InsyncMin(name, min)),
        1 => Just(Step::ProducerIds),
        3 => (1..5i32, 0..3u8, any::<bool>()).prop_map(|(id, run, disk)| Step::Register(id, run, disk)),
        8 => (1..5i32, prop::bool::weighted(0.2), prop::bool::weighted(0.3))
            .prop_map(|(id, stop, full)| Step::Heartbeat(id, stop, full)),
        1 => (1..5i32).prop_map(Step::Unregister),
        5 => (0..6u8, 0..4i32, any::<u8>()).prop_map(|(name, index, bits)| Step::Isr(name, index, bits)),
        1 => any::<bool>().prop_map(Step::Elect),
        2 => (0..6u8, 0..3i32, prop::option::of((1..5i32, 1..5i32)))
            .prop_map(|(name, index, to)| Step::Reassign(name, index, to)),
        3 => (0..8_000u64).prop_map(Step::Pass),
        4 => Just(Step::Commit),
        6 => Just(Step::Settle),
        1 => Just(Step::Lose),
    ]
}

type Batches = Vec<Batch>;

fn batches<R>(decision: Decision<R>) -> Batches {
    decision.before.into_iter().chain(decision.batch).collect()
}

fn decide(
    controller: &mut Controller,
    now: Monotonic,
    step: Step,
    draw: &mut dyn FnMut() -> Uuid,
) -> Batches {
    // "t.0" and "t_0" collide, and so on.
    let name = |n: u8| format!("t{}{}", if n.is_multiple_of(2) { '.' } else { '_' }, n / 2);
    let alter = |name: String, key: &str, kind, value: String| {
        let ops = vec![ConfigOp { key: key.to_owned(), kind, value: Some(value) }];
        let resource = ConfigResource::Topic(name.into());
        let resources = vec![AlterResource { resource, ops, replaces: false }];
        AlterConfigsRequest { resources, validate_only: false }
    };
    match step {
        Step::Create(n, count, factor) => {
            batches(controller.create_topics(&request(vec![new_topic(&name(n), count, factor)]), draw))
        }
        Step::Delete(n) => {
            let topics = vec![TopicRef::Name(name(n))];
            batches(controller.delete_topics(&DeleteTopicsRequest { topics }))
        }
        Step::Grow(n, count) => {
            let topics = vec![MorePartitions { name: name(n), count, assignments: None }];
            batches(controller.create_partitions(&CreatePartitionsRequest { topics, validate_only: false }))
        }
        Step::Alter(n, set) => {
            let kind = if set { ConfigOpKind::Append } else { ConfigOpKind::Delete };
            batches(controller.alter_configs(&alter(name(n), "cleanup.policy", kind, "compact".into())))
        }
        Step::InsyncMin(n, min) => {
            let change = alter(name(n), "min.insync.replicas", ConfigOpKind::Set, min.to_string());
            batches(controller.alter_configs(&change))
        }
        Step::ProducerIds => {
            let broker_epoch = controller.speculative().broker(NodeId(1)).map_or(0, |broker| broker.epoch);
            let request = AllocateProducerIdsRequest { broker: NodeId(1), broker_epoch };
            batches(controller.allocate_producer_ids(request))
        }
        Step::Register(id, run, disk) => {
            let mut request = registration(id, u128::from(run));
            if disk {
                request.directories =
                    vec![Uuid::from_u128(0xe000 + u128::from(run) * 16 + id.unsigned_abs() as u128)];
            }
            batches(controller.register_broker(now, &request, Registrant::Peer))
        }
        Step::Heartbeat(id, want_shut_down, is_full) => {
            let request = BrokerHeartbeatRequest { want_shut_down, is_full, ..heartbeat(controller, id) };
            batches(controller.heartbeat(now, &request))
        }
        Step::Unregister(id) => {
            batches(controller.unregister_broker(UnregisterBrokerRequest { id: NodeId(id) }))
        }
        Step::Isr(n, index, bits) => isr_of(controller, &name(n), index, bits)
            .map_or(Vec::new(), |asked| batches(controller.alter_partitions(&asked))),
        Step::Elect(unclean) => {
            let election = if unclean { Election::Unclean } else { Election::Preferred };
            batches(controller.elect_leaders(&ElectLeadersRequest { election, partitions: None }))
        }
        Step::Reassign(n, index, to) => {
            let replicas = to.map(|(one, two)| vec![NodeId(one), NodeId(two)]);
            let partitions = vec![Reassignment { index, replicas }];
            let topics = vec![TopicReassignment { name: name(n), partitions }];
            let allow_replication_factor_change = true;
            batches(
                controller.reassign_partitions(&ReassignPartitionsRequest {
                    topics,
                    allow_replication_factor_change,
                }),
            )
        }
        Step::Pass(_) => controller.tick(now).into_iter().flat_map(batches).collect(),
        Step::Commit | Step::Settle | Step::Lose => Vec::new(),
    }
}

/// What the leader of a partition may ask for.
fn isr_of(controller: &Controller, name: &str, index: i32, bits: u8) -> Option<AlterPartitionsRequest> {
    let image = controller.speculative();
    let topic = image.topic(name)?;
    let partition = topic.partition(index)?;
    let leader = partition.leader?;
    let chosen =
        partition.replicas.iter().enumerate().filter(|(bit, id)| **id == leader || bits >> bit & 1 == 1);
    let asked = AlterPartition {
        topic: topic.id,
        index,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: chosen.map(|(_, id)| (*id, -1)).collect(),
    };
    let broker_epoch = image.broker(leader)?.epoch;
    Some(AlterPartitionsRequest { broker: leader, broker_epoch, partitions: vec![asked] })
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
    fn any_sequence_of_decisions_keeps_the_invariants(steps in prop::collection::vec(step(), 1..120)) {
        let mut controller = controller(3);
        let mut draw = ids();
        let mut in_flight = std::collections::VecDeque::new();
        let mut now = NOW;
        for step in steps {
            let before = controller.committed().clone();
            match step {
                Step::Commit => {
                    if let Some(batch) = in_flight.pop_front() {
                        commit(&mut controller, &batch).expect("decided in this order");
                    }
                }
                Step::Settle => {
                    for batch in in_flight.drain(..) {
                        commit(&mut controller, &batch).expect("decided in this order");
                    }
                }
                Step::Lose => {
                    in_flight.clear();
                    controller.lead(now, before.clone());
                }
                Step::Pass(ms) => {
                    now = now.after_ms(ms);
                    in_flight.extend(decide(&mut controller, now, step, &mut draw));
                }
                other => in_flight.extend(decide(&mut controller, now, other, &mut draw)),
            }
            let (committed, speculative) = (controller.committed(), controller.speculative());
            prop_assert_eq!(committed.check(), Ok(()));
            prop_assert_eq!(speculative.check(), Ok(()));
            assert_ahead(&before, committed);
            assert_ahead(committed, speculative);
            for partition in speculative.topics().flat_map(|topic| topic.partitions.values()) {
                // The only ones that leave an ISR to no one are those that lost their disk.
                prop_assert!(!partition.isr.is_empty() || !partition.last_known_elr.is_empty());
                let registered = |id| speculative.broker(id).is_some();
                prop_assert!(partition.leader.is_none_or(registered));
                // Whoever could lead does.
                let active = |id: &NodeId| speculative.broker(*id).is_some_and(|broker| broker.is_active());
                prop_assert!(partition.leader.is_some() || !partition.isr.iter().any(active));
                // Whoever is full leads only what no other in sync could store, and holds no one up who can.
                let full = |id: &NodeId| speculative.broker(*id).is_some_and(|broker| broker.is_full);
                let takes = |id: &NodeId| speculative.broker(*id).is_some_and(|broker| broker.takes_records());
                match partition.leader {
                    Some(leader) if full(&leader) => prop_assert!(!partition.isr.iter().any(takes)),
                    Some(_) => prop_assert!(!partition.isr.iter().any(full)),
                    None => {}
                }
            }
            prop_assert_eq!(&Image::decode(&committed.encode()).expect("just encoded"), committed);
            for batch in &in_flight {
                prop_assert_eq!(&Batch::decode(&batch.encode()).expect("just encoded"), batch);
            }
        }
    }
}
