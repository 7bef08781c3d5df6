use super::{
    super::tests::{
        NOW, committed, controller, fence, heartbeat, id, join, registration, state, with_replicas,
        with_topic,
    },
    *,
};
use crate::ids::LeaderEpoch;

/// Long after the last heartbeat.
const LATER: Monotonic = Monotonic(60_000_000_000);

#[test]
fn a_registration_takes_the_leadership_of_what_only_the_broker_has_until_it_is_unfenced_in_a_new_epoch() {
    let mut controller = controller(2);
    with_topic(&mut controller, "a", 2, 0x200);
    let epochs = |controller: &Controller| -> Vec<(Option<NodeId>, LeaderEpoch, i32)> {
        let topic = controller.committed().topic("a").expect("exists");
        topic.partitions.values().map(|it| (it.leader, it.leader_epoch, it.partition_epoch)).collect()
    };
    let (one, two) = (Some(NodeId(1)), Some(NodeId(2)));
    assert_eq!(epochs(&controller), [(one, LeaderEpoch(0), 0), (two, LeaderEpoch(0), 0)]);
    let before = controller.committed().broker(NodeId(1)).expect("registered").epoch;
    let decision = controller.register_broker(LATER, &registration(1, 2), Registrant::Peer);
    let batch = decision.batch.clone().expect("another process");
    assert_eq!(batch.preconditions, [Precondition::BrokerEpoch { id: NodeId(1), epoch: Some(before) }]);
    let epoch = committed(&mut controller, decision).expect("registered");
    assert!(epoch > before);
    assert!(
        matches!(&batch.records[..], [Record::RegisterBroker(record)] if record.epoch == epoch && record.fenced)
    );
    assert_eq!(epochs(&controller), [(None, LeaderEpoch(1), 1), (two, LeaderEpoch(0), 0)]);
    let beat = heartbeat(&controller, 1);
    let decision = controller.heartbeat(LATER, &beat);
    assert_eq!(decision.batch.as_ref().map(|batch| batch.records.len()), Some(1), "however much it leads");
    committed(&mut controller, decision).expect("known");
    assert_eq!(epochs(&controller), [(one, LeaderEpoch(2), 2), (two, LeaderEpoch(0), 0)]);
}

#[test]
fn another_process_of_a_broker_that_lives_is_refused_until_its_session_is_over() {
    let mut controller = controller(2);
    let again = registration(1, 2);
    let error = controller.register_broker(NOW, &again, Registrant::Peer).reply.expect_err("one lives");
    assert_eq!(error.code, ErrorCode::DuplicateBrokerRegistration);
    // An earlier process of the controller's own node is gone, or this one would not be.
    assert!(controller.register_broker(NOW, &again, Registrant::Itself).reply.is_ok());
    let image = controller.committed().clone();
    controller.lead(LATER, image.clone());
    let silent = controller.register_broker(LATER, &again, Registrant::Peer).reply;
    assert!(silent.is_ok(), "whoever lives makes itself known to a new controller at once");
    controller.lead(LATER, image);
    let lives = heartbeat(&controller, 1);
    let decision = controller.heartbeat(LATER, &lives);
    assert!(!committed(&mut controller, decision).expect("known").fenced);
    let error = controller.register_broker(LATER, &again, Registrant::Peer).reply.expect_err("it has");
    assert_eq!(error.code, ErrorCode::DuplicateBrokerRegistration);
    let over = LATER.after_ms(9_000);
    assert!(controller.register_broker(over, &again, Registrant::Peer).reply.is_ok());
}

#[test]
fn a_fenced_broker_makes_way_for_another_process_at_once() {
    let mut controller = controller(2);
    fence(&mut controller, 1);
    let decision = controller.register_broker(NOW, &registration(1, 2), Registrant::Peer);
    committed(&mut controller, decision).expect("the other leads nothing");
}

#[test]
fn a_repeated_registration_changes_nothing() {
    let mut controller = controller(1);
    let epoch = controller.committed().broker(NodeId(1)).expect("registered").epoch;
    let decision = controller.register_broker(NOW, &registration(1, 1), Registrant::Peer);
    assert_eq!((decision.batch, decision.reply), (None, Ok(epoch)));
}

#[test]
fn registrations_in_flight_have_rising_epochs() {
    let mut controller = controller(0);
    let first = controller.register_broker(NOW, &registration(1, 1), Registrant::Itself);
    let second = controller.register_broker(NOW, &registration(1, 2), Registrant::Itself);
    assert!(second.reply.clone().expect("fresh") > first.reply.clone().expect("fresh"));
    committed(&mut controller, first).expect("registered");
    committed(&mut controller, second).expect("registered");
}

#[test]
fn a_broker_of_another_cluster_or_without_a_listener_or_a_directory_of_its_own_is_refused() {
    let mut controller = controller(1);
    let strange = RegisterBrokerRequest { cluster_id: "other".to_owned(), ..registration(2, 1) };
    let error =
        controller.register_broker(NOW, &strange, Registrant::Peer).reply.expect_err("another cluster");
    assert_eq!(
        error,
        ApiError::new(ErrorCode::InconsistentClusterId, "Expected cluster ID test, but got cluster ID other")
    );
    let one = Uuid::from_u128(0xd001);
    for (request, text) in [
        (RegisterBrokerRequest { endpoints: Vec::new(), ..registration(2, 1) }, "at least one listener"),
        (RegisterBrokerRequest { directories: vec![], ..registration(2, 1) }, "No directories specified"),
        (
            RegisterBrokerRequest { directories: vec![Uuid::from_u128(99)], ..registration(2, 1) },
            "Reserved directory",
        ),
        (
            RegisterBrokerRequest { directories: vec![Uuid::max(); 2], ..registration(2, 1) },
            "Duplicate directory",
        ),
        (
            RegisterBrokerRequest { directories: vec![one], ..registration(2, 1) },
            "Broker 1 is already registered",
        ),
    ] {
        let error = controller.register_broker(NOW, &request, Registrant::Peer).reply.expect_err(text);
        assert_eq!(error.code, ErrorCode::InvalidRegistration);
        assert!(error.message.contains(text), "{error}");
    }
}

#[test]
fn an_unregistered_broker_hands_over_and_comes_back_to_what_only_it_has() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "alone", 0x200, &[1], &[]);
    with_replicas(&mut controller, "both", 0x201, &[1, 2], &[]);
    let decision = controller.unregister_broker(UnregisterBrokerRequest { id: NodeId(1) });
    committed(&mut controller, decision).expect("was registered");
    assert_eq!(state(&controller, 0x200, 0), (None, vec![1], vec![]));
    assert_eq!(state(&controller, 0x201, 0), (Some(2), vec![2], vec![]));
    let gone = controller.unregister_broker(UnregisterBrokerRequest { id: NodeId(1) });
    assert_eq!(gone.reply.expect_err("gone").code, ErrorCode::BrokerIdNotRegistered);
    join(&mut controller, &registration(1, 1));
    let alone = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((alone.leader, alone.leader_epoch), (Some(NodeId(1)), LeaderEpoch(2)));
}

#[test]
fn a_registration_after_an_unclean_stop_moves_what_others_have_and_the_broker_leaves_the_isr() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    let decision = controller.register_broker(LATER, &registration(1, 2), Registrant::Peer);
    committed(&mut controller, decision).expect("registered");
    let partition = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((partition.leader, partition.leader_epoch), (Some(NodeId(2)), LeaderEpoch(1)));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
}

#[test]
fn a_replica_that_left_below_the_least_isr_is_eligible_and_leads_when_no_one_in_sync_can() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "a", 0x200, &[1, 2, 3], &[("min.insync.replicas", "2")]);
    fence(&mut controller, 3);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1, 2], vec![]));
    fence(&mut controller, 2);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1], vec![2]));
    fence(&mut controller, 1);
    assert_eq!(state(&controller, 0x200, 0), (None, vec![1], vec![2]));
    // 3 may lack what was committed by 1 and 2.
    join(&mut controller, &registration(3, 2));
    assert_eq!(state(&controller, 0x200, 0), (None, vec![1], vec![2]));
    join(&mut controller, &registration(2, 2));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![1]));
}

#[test]
fn a_broker_with_a_replaced_disk_is_neither_in_sync_nor_eligible_and_never_leads_what_it_lost() {
    let mut controller = controller(3);
    let strict = [("min.insync.replicas", "2")];
    with_replicas(&mut controller, "eligible", 0x200, &[1, 2], &strict);
    with_replicas(&mut controller, "last", 0x201, &[1, 3], &[]);
    fence(&mut controller, 3);
    fence(&mut controller, 2);
    fence(&mut controller, 1);
    assert_eq!(state(&controller, 0x200, 0), (None, vec![1], vec![2]));
    assert_eq!(state(&controller, 0x201, 0), (None, vec![1], vec![]));
    let replaced = RegisterBrokerRequest { directories: vec![Uuid::from_u128(0xe001)], ..registration(1, 2) };
    join(&mut controller, &replaced);
    assert_eq!(state(&controller, 0x200, 0), (None, vec![], vec![2]));
    assert_eq!(state(&controller, 0x201, 0), (None, vec![], vec![]));
    // Whoever is eligible comes back and leads; for the other partition only an unclean election is left.
    join(&mut controller, &registration(2, 2));
    join(&mut controller, &registration(3, 2));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
    assert_eq!(state(&controller, 0x201, 0), (None, vec![], vec![]));
}

#[test]
fn only_where_it_is_allowed_a_replica_that_was_not_in_sync_leads() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "clean", 0x200, &[1, 2], &[]);
    with_replicas(&mut controller, "unclean", 0x201, &[1, 2], &[("unclean.leader.election.enable", "true")]);
    fence(&mut controller, 2);
    fence(&mut controller, 1);
    join(&mut controller, &registration(2, 2));
    assert_eq!(state(&controller, 0x200, 0), (None, vec![1], vec![]));
    assert_eq!(state(&controller, 0x201, 0), (Some(2), vec![2], vec![]));
}

#[test]
fn a_change_of_the_least_isr_forgets_who_was_eligible_under_the_other_one() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[("min.insync.replicas", "2")]);
    fence(&mut controller, 2);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1], vec![2]));
    let record = Record::Config {
        resource: crate::metadata::ConfigResource::Topic("a".into()),
        key: "min.insync.replicas".to_owned(),
        value: Some("1".to_owned()),
    };
    let decision = controller.propose(Vec::new(), vec![record], ()).expect("small");
    committed(&mut controller, decision);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1], vec![]));
}

#[test]
fn what_is_too_much_for_one_batch_goes_in_several_and_the_broker_is_fenced_by_the_last() {
    let mut controller = controller(2);
    for topic in 0..3_u128 {
        let new = crate::controller::NewTopic {
            name: format!("t{topic}"),
            partitions: 9_000,
            replication_factor: 2,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let request = crate::controller::CreateTopicsRequest { topics: vec![new], validate_only: false };
        let decision = controller.create_topics(&request, &mut || Uuid::from_u128(0x300 + topic));
        committed(&mut controller, decision).remove(0).result.expect("created");
    }
    let decision = controller.fence_broker(NodeId(1), ());
    assert_eq!((decision.before.len(), decision.due), (2, controller.decided));
    let last = decision.batch.as_ref().and_then(|batch| batch.records.last());
    assert!(matches!(last, Some(Record::BrokerChange(change)) if change.fenced == Some(true)));
    committed(&mut controller, decision).expect("known");
    let led_by_two = |index| state(&controller, 0x302, index) == (Some(2), vec![2], vec![]);
    assert!((0..9_000).all(led_by_two));
}
