use super::{
    super::tests::{
        NOW, committed, controller, fence, heartbeat, id, join, registration, state, with_replicas,
    },
    *,
};
use crate::{controller::AlterPartition, controller::AlterPartitionsRequest, ids::NodeId};

/// Five minutes pass, in which every broker is heard of.
fn interval(controller: &mut Controller) -> Monotonic {
    let mut now = NOW;
    for _ in 0..100 {
        now = now.after_ms(3_000);
        let living: Vec<i32> = controller
            .committed()
            .brokers()
            .filter(|broker| !broker.fenced)
            .map(|broker| broker.id.0)
            .collect();
        for id in living {
            let lives = heartbeat(controller, id);
            let decision = controller.heartbeat(now, &lives);
            committed(controller, decision).expect("known");
        }
        let decisions = controller.tick(now);
        decisions.into_iter().for_each(|decision| committed(controller, decision));
    }
    now
}

#[test]
fn leaderships_go_back_to_preferred_replicas_that_are_in_sync_again() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "back", 0x200, &[1, 2], &[]);
    with_replicas(&mut controller, "behind", 0x201, &[1, 2], &[]);
    fence(&mut controller, 1);
    join(&mut controller, &registration(1, 2));
    let partition = controller.committed().partition(id(0x200), 0).expect("exists").clone();
    let expand = AlterPartition {
        topic: id(0x200),
        index: 0,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: vec![(NodeId(2), -1), (NodeId(1), -1)],
    };
    let broker_epoch = controller.committed().broker(NodeId(2)).expect("known").epoch;
    let request = AlterPartitionsRequest { broker: NodeId(2), broker_epoch, partitions: vec![expand] };
    let decision = controller.alter_partitions(&request);
    assert!(committed(&mut controller, decision)[0].2.is_ok());
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2, 1], vec![]));
    interval(&mut controller);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![2, 1], vec![]));
    assert_eq!(state(&controller, 0x201, 0), (Some(2), vec![2], vec![]));
}

#[test]
fn a_round_of_elections_is_bounded_and_the_next_follows_at_once() {
    let mut controller = controller(2);
    let new = crate::controller::NewTopic {
        name: "many".to_owned(),
        partitions: 3_000,
        replication_factor: 2,
        assignments: Vec::new(),
        configs: Vec::new(),
    };
    let request = crate::controller::CreateTopicsRequest { topics: vec![new], validate_only: false };
    let decision = controller.create_topics(&request, &mut || uuid::Uuid::from_u128(0x300));
    committed(&mut controller, decision).remove(0).result.expect("created");
    // Half of them are led by their second replica.
    let records = controller
        .committed()
        .topic("many")
        .expect("exists")
        .partitions
        .iter()
        .map(|(index, partition)| {
            Record::PartitionChange(PartitionChangeRecord {
                topic: id(0x300),
                index: *index,
                leader: LeaderChange::Leader(partition.replicas[1]),
                ..PartitionChangeRecord::default()
            })
        })
        .collect();
    let decision = controller.propose(Vec::new(), records, ()).expect("small");
    committed(&mut controller, decision);
    let astray = |controller: &Controller| {
        let topic = controller.committed().topic("many").expect("exists");
        topic.partitions.values().filter(|it| it.leader != it.replicas.first().copied()).count()
    };
    assert_eq!(astray(&controller), 3_000);
    let mut now = interval(&mut controller);
    let mut left = vec![astray(&controller)];
    while astray(&controller) > 0 {
        now = now.after_ms(1);
        let decisions = controller.tick(now);
        decisions.into_iter().for_each(|decision| committed(&mut controller, decision));
        left.push(astray(&controller));
    }
    assert_eq!(left, [2_000, 1_000, 0]);
}

#[test]
fn where_it_is_allowed_later_a_partition_without_a_leader_is_led_by_whoever_is_left() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    fence(&mut controller, 2);
    fence(&mut controller, 1);
    join(&mut controller, &registration(2, 2));
    interval(&mut controller);
    assert_eq!(state(&controller, 0x200, 0), (None, vec![1], vec![]));
    let record = Record::Config {
        resource: crate::metadata::ConfigResource::Topic("a".into()),
        key: "unclean.leader.election.enable".to_owned(),
        value: Some("true".to_owned()),
    };
    let decision = controller.propose(Vec::new(), vec![record], ()).expect("small");
    committed(&mut controller, decision);
    let image = controller.committed().clone();
    controller.lead(NOW, image);
    interval(&mut controller);
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
}
