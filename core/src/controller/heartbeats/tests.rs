use super::{
    super::tests::{NOW, committed, controller, fence, heartbeat, id, registration, state, with_replicas},
    *,
};
use crate::{
    controller::{
        AlterPartition, AlterPartitionsRequest, AlteredPartition, ElectLeadersRequest, Election, Lifecycle,
        Parting, Registrant,
    },
    ids::TopicId,
};

fn beat(controller: &mut Controller, now: Monotonic, request: &BrokerHeartbeatRequest) -> HeartbeatReply {
    let decision = controller.heartbeat(now, request);
    committed(controller, decision).expect("known")
}

fn stop(controller: &Controller, id: i32) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest { want_shut_down: true, ..heartbeat(controller, id) }
}

fn tick(controller: &mut Controller, now: Monotonic) -> usize {
    let decisions = controller.tick(now);
    let count = decisions.len();
    decisions.into_iter().for_each(|decision| committed(controller, decision));
    count
}

fn is_fenced(controller: &Controller, id: i32) -> bool {
    controller.committed().broker(NodeId(id)).expect("registered").fenced
}

#[test]
fn a_broker_is_unfenced_when_it_knows_of_its_own_registration() {
    let mut controller = controller(1);
    let decision = controller.register_broker(NOW, &registration(2, 1), Registrant::Peer);
    committed(&mut controller, decision).expect("fresh");
    let known = heartbeat(&controller, 2);
    let behind =
        BrokerHeartbeatRequest { applied: known.applied.map(|it| MetadataOffset(it.0 - 1)), ..known.clone() };
    let waits = HeartbeatReply { caught_up: false, fenced: true, should_shut_down: false };
    assert_eq!(beat(&mut controller, NOW, &behind), waits);
    assert_eq!(beat(&mut controller, NOW, &BrokerHeartbeatRequest { applied: None, ..known.clone() }), waits);
    let reply = beat(&mut controller, NOW, &BrokerHeartbeatRequest { want_fence: true, ..known.clone() });
    assert!(reply.caught_up && reply.fenced);
    assert!(!beat(&mut controller, NOW, &known).fenced && !is_fenced(&controller, 2));
    let decision = controller.heartbeat(NOW, &known);
    assert_eq!(decision.batch, None, "nothing more to write");
    let stale = BrokerHeartbeatRequest { epoch: 0, ..known };
    assert_eq!(controller.heartbeat(NOW, &stale).reply.expect_err("old").code, ErrorCode::StaleBrokerEpoch);
}

#[test]
fn a_broker_that_is_not_heard_of_is_fenced_and_a_new_leader_gives_everyone_a_full_session() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    let mut now = NOW;
    for _ in 0..4 {
        now = now.after_ms(2_000);
        let lives = heartbeat(&controller, 2);
        beat(&mut controller, now, &lives);
        assert_eq!(tick(&mut controller, now), 0);
    }
    let image = controller.committed().clone();
    controller.lead(now, image);
    for _ in 0..4 {
        now = now.after_ms(2_000);
        let lives = heartbeat(&controller, 2);
        beat(&mut controller, now, &lives);
        assert_eq!(tick(&mut controller, now), 0, "a new leader does not know for how long");
    }
    let deadline = controller.next_deadline().expect("brokers are looked after");
    assert!(deadline <= now.after_ms(9_000 / 4));
    now = now.after_ms(1_000);
    assert_eq!(tick(&mut controller, now), 1);
    assert!(is_fenced(&controller, 1) && !is_fenced(&controller, 2));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
    assert_eq!(tick(&mut controller, now), 0, "once");
}

#[test]
fn a_broker_whose_connection_broke_is_fenced_unless_it_comes_back_soon() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    let grace_ms = Lifecycle::default().parted_timeout_ms;
    controller.parted(NOW, NodeId(1), Parting::Broken);
    assert_eq!(controller.next_deadline(), Some(NOW.after_ms(grace_ms)));
    assert_eq!(tick(&mut controller, NOW.after_ms(grace_ms - 1)), 0);
    let back = heartbeat(&controller, 1);
    beat(&mut controller, NOW.after_ms(grace_ms - 1), &back);
    assert_eq!(tick(&mut controller, NOW.after_ms(grace_ms)), 0, "it flaps, it is not gone");

    let now = NOW.after_ms(1_000);
    controller.parted(now, NodeId(1), Parting::Broken);
    controller.parted(now.after_ms(grace_ms - 1), NodeId(1), Parting::Broken);
    assert_eq!(tick(&mut controller, now.after_ms(grace_ms)), 1, "counted from the first");
    assert!(is_fenced(&controller, 1) && !is_fenced(&controller, 2));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
    controller.parted(now.after_ms(grace_ms), NodeId(1), Parting::Broken);
    controller.parted(now.after_ms(grace_ms), NodeId(99), Parting::Ended);
    assert_eq!(tick(&mut controller, now.after_ms(2 * grace_ms)), 0, "once");
    let back = heartbeat(&controller, 1);
    assert!(!beat(&mut controller, now.after_ms(2 * grace_ms), &back).fenced);
}

#[test]
fn a_broker_whose_process_ended_is_fenced_at_once_and_its_next_process_is_let_in() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    let next = registration(1, 2);
    let refused = controller.register_broker(NOW, &next, Registrant::Peer).reply;
    assert_eq!(refused.expect_err("it lives").code, ErrorCode::DuplicateBrokerRegistration);
    controller.parted(NOW, NodeId(1), Parting::Broken);
    controller.parted(NOW, NodeId(1), Parting::Ended);
    assert_eq!(tick(&mut controller, NOW), 1);
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
    let decision = controller.register_broker(NOW, &next, Registrant::Peer);
    committed(&mut controller, decision).expect("its place is free");
}

#[test]
fn a_controller_that_was_held_up_itself_blames_no_one() {
    let mut controller = controller(2);
    assert_eq!(tick(&mut controller, NOW), 0);
    let late = NOW.after_ms(60_000);
    assert_eq!(tick(&mut controller, late), 0);
    let mut now = late;
    let mut fenced = 0;
    while now < late.after_ms(9_000) {
        now = now.after_ms(1_000);
        fenced += tick(&mut controller, now);
    }
    assert_eq!(fenced, 2, "but for one session only");
}

#[test]
fn a_stopping_broker_hands_over_and_may_stop_when_the_others_know() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    with_replicas(&mut controller, "alone", 0x201, &[1], &[]);
    let first = stop(&controller, 1);
    let moving = HeartbeatReply { caught_up: true, fenced: false, should_shut_down: false };
    assert_eq!(beat(&mut controller, NOW, &first), moving);
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
    assert_eq!(state(&controller, 0x201, 0), (Some(1), vec![1], vec![]), "served to the end");
    let again = stop(&controller, 1);
    assert_eq!(beat(&mut controller, NOW, &again), moving, "2 and 3 do not know yet");
    for other in [2, 3] {
        let knows = heartbeat(&controller, other);
        beat(&mut controller, NOW, &knows);
    }
    let reply = beat(&mut controller, NOW, &again);
    assert_eq!(reply, HeartbeatReply { caught_up: true, fenced: true, should_shut_down: true });
    assert_eq!(state(&controller, 0x201, 0), (None, vec![1], vec![]));
    assert!(beat(&mut controller, NOW, &again).should_shut_down, "asked again, it may still stop");
}

#[test]
fn a_broker_that_leads_nothing_another_could_lead_may_stop_at_once() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "alone", 0x200, &[1], &[]);
    with_replicas(&mut controller, "follows", 0x201, &[2, 1], &[]);
    let request = stop(&controller, 1);
    assert!(beat(&mut controller, NOW, &request).should_shut_down);
    assert!(is_fenced(&controller, 1));
    assert_eq!(state(&controller, 0x201, 0), (Some(2), vec![2], vec![]));
}

#[test]
fn a_broker_without_a_directory_is_fenced_and_stays_so() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    let offline_directories = controller.committed().broker(NodeId(1)).expect("known").directories.clone();
    let request = BrokerHeartbeatRequest { offline_directories, ..heartbeat(&controller, 1) };
    assert!(beat(&mut controller, NOW, &request).fenced);
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
    assert!(beat(&mut controller, NOW, &request).fenced);
}

#[test]
fn an_unfenced_broker_leads_in_a_new_epoch_what_waited_for_it() {
    let mut controller = controller(1);
    with_replicas(&mut controller, "a", 0x200, &[1], &[]);
    fence(&mut controller, 1);
    let partition = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((partition.leader, partition.leader_epoch.0), (None, 1));
    let lives = heartbeat(&controller, 1);
    beat(&mut controller, NOW, &lives);
    let partition = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((partition.leader, partition.leader_epoch.0), (Some(NodeId(1)), 2));
}

/// A broker says whether its disk is full. Gives whether that changed anything.
fn fill(controller: &mut Controller, id: i32, is_full: bool) -> bool {
    let request = BrokerHeartbeatRequest { is_full, ..heartbeat(controller, id) };
    let decision = controller.heartbeat(NOW, &request);
    let changes = decision.batch.is_some();
    let reply = committed(controller, decision).expect("known");
    assert_eq!(reply, HeartbeatReply { caught_up: true, fenced: false, should_shut_down: false });
    assert_eq!(controller.committed().broker(NodeId(id)).expect("known").is_full, is_full);
    changes
}

/// The leader of a topic's partition says who is in sync.
fn alter(controller: &mut Controller, topic: TopicId, isr: &[i32]) -> Result<AlteredPartition, ErrorCode> {
    let partition = controller.committed().partition(topic, 0).expect("exists").clone();
    let broker = partition.leader.expect("led");
    let broker_epoch = controller.committed().broker(broker).expect("known").epoch;
    let asked = AlterPartition {
        topic,
        index: 0,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: isr.iter().map(|id| (NodeId(*id), -1)).collect(),
    };
    let request = AlterPartitionsRequest { broker, broker_epoch, partitions: vec![asked] };
    let decision = controller.alter_partitions(&request);
    committed(controller, decision).remove(0).2
}

#[test]
fn a_broker_whose_disk_is_full_leads_and_holds_up_only_what_no_other_can_store() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "led", 0x200, &[1, 2, 3], &[]);
    with_replicas(&mut controller, "followed", 0x201, &[2, 1, 3], &[]);
    with_replicas(&mut controller, "alone", 0x202, &[1], &[]);
    with_replicas(&mut controller, "elsewhere", 0x203, &[2, 3], &[]);
    let elsewhere = controller.committed().partition(id(0x203), 0).expect("exists").clone();
    assert!(fill(&mut controller, 1, true));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2, 3], vec![]));
    assert_eq!(state(&controller, 0x201, 0), (Some(2), vec![2, 3], vec![]));
    assert_eq!(state(&controller, 0x202, 0), (Some(1), vec![1], vec![]), "it serves what only it has");
    assert_eq!(controller.committed().partition(id(0x203), 0), Some(&elsewhere));
    assert!(!fill(&mut controller, 1, true), "once");

    // A leader that has not heard of it asks in vain, and so does who wants the preferred one back.
    let altered = alter(&mut controller, id(0x200), &[2, 3, 1]).expect("led by 2");
    assert_eq!(altered.isr, [NodeId(2), NodeId(3)]);
    let all = ElectLeadersRequest { election: Election::Preferred, partitions: None };
    let decision = controller.elect_leaders(&all);
    let elected = committed(&mut controller, decision).remove(0);
    let refused = elected.partitions[0].1.clone().expect_err("its disk is full");
    assert_eq!((&*elected.name, refused.code), ("led", ErrorCode::PreferredLeaderNotAvailable));

    // With room again it is one like the others.
    assert!(fill(&mut controller, 1, false));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2, 3], vec![]), "it has to catch up");
    let altered = alter(&mut controller, id(0x200), &[2, 3, 1]).expect("led by 2");
    assert_eq!(altered.isr, [NodeId(2), NodeId(3), NodeId(1)]);
}

#[test]
fn where_all_disks_are_full_somebody_leads_until_one_has_room() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "a", 0x200, &[1, 2, 3], &[("min.insync.replicas", "2")]);
    for id in [1, 2, 3] {
        assert!(fill(&mut controller, id, true));
    }
    assert_eq!(state(&controller, 0x200, 0), (Some(3), vec![3], vec![2]));
    let settled = controller.committed().partition(id(0x200), 0).expect("exists").clone();
    for id in [1, 2, 3, 1, 2, 3] {
        assert!(!fill(&mut controller, id, true));
    }
    // Among those that are full, who has everything is in sync: it costs nobody anything.
    let altered = alter(&mut controller, id(0x200), &[3, 1]).expect("led by 3");
    assert_eq!((altered.leader_epoch, altered.isr), (settled.leader_epoch, vec![NodeId(3), NodeId(1)]));
    // Who has room leads as soon as it has everything.
    assert!(fill(&mut controller, 2, false));
    assert_eq!(state(&controller, 0x200, 0).0, Some(3));
    let altered = alter(&mut controller, id(0x200), &[3, 1, 2]);
    assert_eq!(altered, Err(ErrorCode::NewLeaderElected));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![3, 1]));
    assert!(fill(&mut controller, 1, false));
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![3, 1]));
    // The others are eligible, and lead when it is gone: first who can store.
    fence(&mut controller, 2);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1], vec![2, 3]));
}

#[test]
fn whoever_has_room_first_leads_what_was_in_sync_with_it() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    fill(&mut controller, 1, true);
    fill(&mut controller, 2, true);
    alter(&mut controller, id(0x200), &[2, 1]).expect("led by 2");
    fill(&mut controller, 1, false);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1], vec![]));
}

#[test]
fn a_full_broker_is_let_in_for_what_only_it_has() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "alone", 0x200, &[1], &[]);
    with_replicas(&mut controller, "shared", 0x201, &[1, 2], &[]);
    let decision = controller.register_broker(NOW, &registration(1, 2), Registrant::Itself);
    committed(&mut controller, decision).expect("its next process");
    assert_eq!(state(&controller, 0x200, 0), (None, vec![1], vec![]));
    let lives = BrokerHeartbeatRequest { is_full: true, ..heartbeat(&controller, 1) };
    assert!(!beat(&mut controller, NOW, &lives).fenced);
    assert!(controller.committed().broker(NodeId(1)).expect("known").is_full);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1], vec![]));
    assert_eq!(state(&controller, 0x201, 0), (Some(2), vec![2], vec![]));
    fence(&mut controller, 2);
    assert_eq!(state(&controller, 0x201, 0), (None, vec![2], vec![]), "full or not, it lacks what 2 has");
}

#[test]
fn new_partitions_begin_with_who_can_store_them() {
    let mut controller = controller(3);
    fill(&mut controller, 1, true);
    with_replicas(&mut controller, "manual", 0x200, &[1, 2], &[]);
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
    with_replicas(&mut controller, "only", 0x201, &[1], &[]);
    assert_eq!(state(&controller, 0x201, 0), (Some(1), vec![1], vec![]));
    let new = crate::controller::NewTopic {
        name: "placed".to_owned(),
        partitions: 3,
        replication_factor: 2,
        assignments: Vec::new(),
        configs: Vec::new(),
    };
    let request = crate::controller::CreateTopicsRequest { topics: vec![new], validate_only: false };
    let decision = controller.create_topics(&request, &mut || Uuid::from_u128(0x202));
    committed(&mut controller, decision).remove(0).result.expect("created");
    for index in 0..3 {
        let replicas = &controller.committed().partition(id(0x202), index).expect("exists").replicas;
        assert!(!replicas.contains(&NodeId(1)), "{index} on {replicas:?}");
    }
}
