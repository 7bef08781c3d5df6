use super::{
    super::tests::{committed, controller, id, registration, with_topic},
    *,
};
use crate::{
    controller::{CreatePartitionsRequest, MorePartitions},
    ids::LeaderEpoch,
};

#[test]
fn a_registration_begins_a_new_epoch_of_what_the_broker_leads_and_of_nothing_else() {
    let mut controller = controller(2);
    with_topic(&mut controller, "a", 2, 0x200);
    let epochs = |controller: &Controller| -> Vec<(Option<NodeId>, LeaderEpoch, i32)> {
        let topic = controller.committed().topic("a").expect("exists");
        topic.partitions.values().map(|it| (it.leader, it.leader_epoch, it.partition_epoch)).collect()
    };
    let (one, two) = (Some(NodeId(1)), Some(NodeId(2)));
    assert_eq!(epochs(&controller), [(one, LeaderEpoch(0), 0), (two, LeaderEpoch(0), 0)]);
    let before = controller.committed().broker(NodeId(1)).expect("registered").epoch;
    let decision = controller.register_broker(&registration(1, 2));
    let batch = decision.batch.clone().expect("another process");
    assert_eq!(batch.preconditions, [Precondition::BrokerEpoch { id: NodeId(1), epoch: Some(before) }]);
    let epoch = committed(&mut controller, decision).expect("registered");
    assert!(epoch > before);
    assert!(matches!(&batch.records[..], [Record::RegisterBroker(record)] if record.epoch == epoch));
    assert_eq!(epochs(&controller), [(one, LeaderEpoch(1), 1), (two, LeaderEpoch(0), 0)]);
}

#[test]
fn a_repeated_registration_changes_nothing() {
    let mut controller = controller(1);
    let epoch = controller.committed().broker(NodeId(1)).expect("registered").epoch;
    let decision = controller.register_broker(&registration(1, 1));
    assert_eq!((decision.batch, decision.reply), (None, Ok(epoch)));
}

#[test]
fn registrations_in_flight_have_rising_epochs() {
    let mut controller = controller(0);
    let first = controller.register_broker(&registration(1, 1));
    let second = controller.register_broker(&registration(1, 2));
    assert!(second.reply.clone().expect("fresh") > first.reply.clone().expect("fresh"));
    committed(&mut controller, first).expect("registered");
    committed(&mut controller, second).expect("registered");
}

#[test]
fn a_broker_of_another_cluster_or_without_a_listener_is_refused() {
    let mut controller = controller(0);
    let strange = RegisterBrokerRequest { cluster_id: "other".to_owned(), ..registration(1, 1) };
    let error = controller.register_broker(&strange).reply.expect_err("another cluster");
    assert_eq!(
        error,
        ApiError::new(ErrorCode::InconsistentClusterId, "Expected cluster ID test, but got cluster ID other")
    );
    let mute = RegisterBrokerRequest { endpoints: Vec::new(), ..registration(1, 1) };
    let error = controller.register_broker(&mute).reply.expect_err("no listener");
    assert_eq!(error.code, ErrorCode::InvalidRegistration);
}

#[test]
fn an_unregistered_broker_hands_over_and_comes_back_to_what_only_it_has() {
    let mut controller = controller(2);
    with_topic(&mut controller, "alone", 1, 0x200);
    with_topic(&mut controller, "both", 1, 0x201);
    let replicas = vec![vec![NodeId(1)]];
    let more = MorePartitions { name: "alone".to_owned(), count: 2, assignments: Some(replicas) };
    let decision =
        controller.create_partitions(&CreatePartitionsRequest { topics: vec![more], validate_only: false });
    committed(&mut controller, decision);

    let epoch = controller.committed().broker(NodeId(1)).expect("registered").epoch;
    let decision = controller.unregister_broker(UnregisterBrokerRequest { id: NodeId(1) });
    let offline = |index| change(id(0x200), index, None, LeaderChange::Offline);
    assert_eq!(
        decision.batch.as_ref().expect("changes").records,
        [offline(0), offline(1), Record::UnregisterBroker { id: NodeId(1), epoch }]
    );
    committed(&mut controller, decision).expect("was registered");
    let alone = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((alone.leader, &alone.isr, alone.leader_epoch), (None, &vec![NodeId(1)], LeaderEpoch(1)));
    let gone = controller.unregister_broker(UnregisterBrokerRequest { id: NodeId(1) });
    assert_eq!(gone.reply.expect_err("gone").code, ErrorCode::BrokerIdNotRegistered);

    let decision = controller.register_broker(&registration(1, 1));
    assert!(committed(&mut controller, decision).expect("registered") > epoch);
    let alone = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((alone.leader, alone.leader_epoch), (Some(NodeId(1)), LeaderEpoch(2)));
}

#[test]
fn a_fenced_registration_leaves_the_isr_of_what_others_have() {
    let mut controller = controller(2);
    let topic = crate::controller::NewTopic {
        name: "a".to_owned(),
        partitions: 1,
        replication_factor: 2,
        assignments: Vec::new(),
        configs: Vec::new(),
    };
    let request = crate::controller::CreateTopicsRequest { topics: vec![topic], validate_only: false };
    let decision = controller.create_topics(&request, &mut || Uuid::from_u128(0x200));
    committed(&mut controller, decision);
    let decision = controller.register_broker(&RegisterBrokerRequest { fenced: true, ..registration(1, 2) });
    committed(&mut controller, decision).expect("registered");
    let state = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((state.leader, &state.isr), (Some(NodeId(2)), &vec![NodeId(2)]));
    // Once for the registration, once for the new leader.
    assert_eq!(state.leader_epoch, LeaderEpoch(2));
}
