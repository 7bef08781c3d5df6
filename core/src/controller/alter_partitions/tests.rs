use super::{
    super::tests::{
        NOW, committed, controller, fence, heartbeat, id, join, registration, state, with_replicas,
    },
    *,
};
use crate::controller::BrokerHeartbeatRequest;

/// What the leader of the topic 0x200's partition asks for now.
fn asked(controller: &Controller, isr: &[i32]) -> AlterPartition {
    let partition = controller.committed().partition(id(0x200), 0).expect("exists");
    AlterPartition {
        topic: id(0x200),
        index: 0,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: isr.iter().map(|id| (NodeId(*id), -1)).collect(),
    }
}

fn epoch(controller: &Controller, id: i32) -> i64 {
    controller.committed().broker(NodeId(id)).map_or(-1, |broker| broker.epoch)
}

fn alter(
    controller: &mut Controller,
    broker: i32,
    partition: AlterPartition,
) -> Result<AlteredPartition, ErrorCode> {
    let broker_epoch = epoch(controller, broker);
    let request =
        AlterPartitionsRequest { broker: NodeId(broker), broker_epoch, partitions: vec![partition] };
    let decision = controller.alter_partitions(&request);
    committed(controller, decision).remove(0).2
}

#[test]
fn a_leader_shrinks_and_expands_the_isr_and_is_told_the_state_that_results() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "a", 0x200, &[1, 2, 3], &[("min.insync.replicas", "2")]);
    let shrink = asked(&controller, &[1]);
    let altered = alter(&mut controller, 1, shrink).expect("led by 1");
    let expected = AlteredPartition {
        leader: NodeId(1),
        leader_epoch: LeaderEpoch(0),
        isr: vec![NodeId(1)],
        partition_epoch: 1,
    };
    assert_eq!(altered, expected);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1], vec![2, 3]));
    let expand = asked(&controller, &[1, 3]);
    let altered = alter(&mut controller, 1, expand).expect("led by 1");
    assert_eq!((altered.isr, altered.partition_epoch), (vec![NodeId(1), NodeId(3)], 2));
    // As many as must be in sync: no one is eligible beside them.
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1, 3], vec![]));
    let same = asked(&controller, &[1, 3]);
    assert_eq!(alter(&mut controller, 1, same).expect("as it is").partition_epoch, 2);
}

#[test]
fn what_is_asked_of_another_state_or_by_another_than_the_leader_is_refused_in_kafkas_codes() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    let shrink = asked(&controller, &[1]);
    alter(&mut controller, 1, shrink).expect("led by 1");
    let now = asked(&controller, &[1, 2]);
    let node = |id| (NodeId(id), -1);
    let cases = [
        (AlterPartition { topic: id(0x999), ..now.clone() }, ErrorCode::UnknownTopicId),
        (AlterPartition { index: 1, ..now.clone() }, ErrorCode::UnknownTopicOrPartition),
        (AlterPartition { leader_epoch: LeaderEpoch(1), ..now.clone() }, ErrorCode::NotController),
        (AlterPartition { partition_epoch: 2, ..now.clone() }, ErrorCode::NotController),
        (AlterPartition { leader_epoch: LeaderEpoch(-1), ..now.clone() }, ErrorCode::FencedLeaderEpoch),
        (AlterPartition { partition_epoch: 0, ..now.clone() }, ErrorCode::InvalidUpdateVersion),
        (AlterPartition { isr: vec![node(1), node(3)], ..now.clone() }, ErrorCode::InvalidRequest),
        (AlterPartition { isr: vec![node(2)], ..now.clone() }, ErrorCode::InvalidRequest),
        (AlterPartition { isr: vec![node(1), node(1)], ..now.clone() }, ErrorCode::InvalidRequest),
        (AlterPartition { isr: vec![], ..now.clone() }, ErrorCode::InvalidRequest),
    ];
    for (partition, code) in cases {
        assert_eq!(alter(&mut controller, 1, partition.clone()), Err(code), "{partition:?}");
    }
    assert_eq!(alter(&mut controller, 2, now.clone()), Err(ErrorCode::InvalidRequest));
    let stale = AlterPartitionsRequest { broker: NodeId(1), broker_epoch: 0, partitions: vec![now.clone()] };
    assert_eq!(controller.alter_partitions(&stale).reply[0].2, Err(ErrorCode::StaleBrokerEpoch));
    let broker_epoch = epoch(&controller, 1);
    let twice =
        AlterPartitionsRequest { broker: NodeId(1), broker_epoch, partitions: vec![now.clone(), now] };
    let decision = controller.alter_partitions(&twice);
    let results = committed(&mut controller, decision);
    assert!(results[0].2.is_ok());
    assert_eq!(results[1].2, Err(ErrorCode::OperationNotAttempted));
}

#[test]
fn a_follower_that_restarted_is_fenced_or_stops_is_not_taken_for_in_sync() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "a", 0x200, &[1, 2, 3], &[]);
    let old = epoch(&controller, 2);
    fence(&mut controller, 2);
    let expand = asked(&controller, &[1, 2]);
    assert_eq!(alter(&mut controller, 1, expand), Err(ErrorCode::IneligibleReplica));
    let new = join(&mut controller, &registration(2, 2));
    let with =
        |epoch| AlterPartition { isr: vec![(NodeId(1), -1), (NodeId(2), epoch)], ..asked(&controller, &[]) };
    let (before, after) = (with(old), with(new));
    assert_eq!(alter(&mut controller, 1, before), Err(ErrorCode::IneligibleReplica));
    alter(&mut controller, 1, after).expect("the registration that is");
    let stop = BrokerHeartbeatRequest { want_shut_down: true, ..heartbeat(&controller, 2) };
    with_replicas(&mut controller, "b", 0x201, &[2, 1], &[]);
    let decision = controller.heartbeat(NOW, &stop);
    committed(&mut controller, decision).expect("known");
    assert_eq!(state(&controller, 0x201, 0), (Some(1), vec![1], vec![]));
    let expand = asked(&controller, &[1, 2]);
    assert_eq!(alter(&mut controller, 1, expand), Err(ErrorCode::IneligibleReplica));
}
