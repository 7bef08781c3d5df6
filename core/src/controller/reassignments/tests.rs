use super::{
    super::tests::{committed, controller, fence, id, state, with_replicas},
    *,
};
use crate::controller::{AlterPartition, AlterPartitionsRequest, AlteredPartition};

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

/// Moves partition 0 of the topic "a", 0x200.
fn reassign(
    controller: &mut Controller,
    to: Option<&[i32]>,
    factor_may_change: bool,
) -> Result<(), ApiError> {
    let partitions = vec![Reassignment { index: 0, replicas: to.map(nodes) }];
    let request = ReassignPartitionsRequest {
        topics: vec![TopicReassignment { name: "a".to_owned(), partitions }],
        allow_replication_factor_change: factor_may_change,
    };
    let decision = controller.reassign_partitions(&request);
    committed(controller, decision).remove(0).1.remove(0).1
}

/// The leader says who is in sync.
fn in_sync(controller: &mut Controller, isr: &[i32]) -> Result<AlteredPartition, ErrorCode> {
    let partition = controller.committed().partition(id(0x200), 0).expect("exists");
    let broker = partition.leader.expect("led");
    let asked = AlterPartition {
        topic: id(0x200),
        index: 0,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: isr.iter().map(|id| (NodeId(*id), -1)).collect(),
    };
    let broker_epoch = controller.committed().broker(broker).expect("registered").epoch;
    let request = AlterPartitionsRequest { broker, broker_epoch, partitions: vec![asked] };
    let decision = controller.alter_partitions(&request);
    committed(controller, decision).remove(0).2
}

fn ongoing(controller: &Controller) -> Vec<(Vec<NodeId>, Vec<NodeId>, Vec<NodeId>)> {
    let listed = controller.list_reassignments(&ListReassignmentsRequest::default());
    let named = ListReassignmentsRequest {
        topics: Some(vec![("a".to_owned(), vec![0, 7]), ("b".to_owned(), vec![0])]),
    };
    assert_eq!(controller.list_reassignments(&named), listed);
    let partitions = listed.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|partition| (partition.replicas, partition.adding, partition.removing)).collect()
}

#[test]
fn a_partition_moves_when_all_that_is_added_is_in_sync_and_the_old_leader_is_told_to_look() {
    let mut controller = controller(4);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    reassign(&mut controller, Some(&[3, 4]), false).expect("as many");
    assert_eq!(ongoing(&controller), [(nodes(&[3, 4, 1, 2]), nodes(&[3, 4]), nodes(&[1, 2]))]);
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1, 2], vec![]));
    in_sync(&mut controller, &[1, 2, 3]).expect("not all yet");
    assert_eq!(ongoing(&controller).len(), 1);
    assert_eq!(in_sync(&mut controller, &[1, 2, 3, 4]), Err(ErrorCode::NewLeaderElected));
    assert_eq!(ongoing(&controller), []);
    assert_eq!(state(&controller, 0x200, 0), (Some(3), vec![3, 4], vec![]));
    assert_eq!(controller.committed().partition(id(0x200), 0).expect("exists").replicas, nodes(&[3, 4]));
}

#[test]
fn another_order_of_the_same_replicas_needs_no_one_to_catch_up() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    reassign(&mut controller, Some(&[2, 1]), false).expect("as many");
    let partition = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((&partition.replicas, partition.leader), (&nodes(&[2, 1]), Some(NodeId(1))));
    assert_eq!(ongoing(&controller), []);
}

#[test]
fn a_replica_that_is_taken_away_hears_of_a_new_epoch() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    reassign(&mut controller, Some(&[1]), true).expect("may change");
    let partition = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!((partition.leader, partition.leader_epoch.0), (Some(NodeId(1)), 1));
    assert_eq!((&partition.replicas, &partition.isr), (&nodes(&[1]), &nodes(&[1])));
}

#[test]
fn fewer_replicas_wait_until_all_that_stay_are_in_sync() {
    let mut controller = controller(4);
    with_replicas(&mut controller, "a", 0x200, &[1, 2, 3], &[]);
    in_sync(&mut controller, &[1, 2]).expect("led by 1");
    reassign(&mut controller, Some(&[3, 1]), true).expect("may change");
    assert_eq!(ongoing(&controller), [(nodes(&[3, 1, 2]), vec![], nodes(&[2]))]);
    in_sync(&mut controller, &[1, 2, 3]).expect("led by 1");
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1, 3], vec![]));
}

#[test]
fn a_cancelled_reassignment_leaves_what_was_before() {
    let mut controller = controller(4);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    let error = reassign(&mut controller, None, true).expect_err("nothing is under way");
    assert_eq!(error.code, ErrorCode::NoReassignmentInProgress);
    reassign(&mut controller, Some(&[3, 4]), true).expect("as many");
    in_sync(&mut controller, &[1, 2, 3]).expect("not all yet");
    reassign(&mut controller, None, true).expect("under way");
    let partition = controller.committed().partition(id(0x200), 0).expect("exists");
    assert_eq!(partition.replicas, nodes(&[1, 2]));
    assert_eq!(state(&controller, 0x200, 0), (Some(1), vec![1, 2], vec![]));
    assert_eq!(ongoing(&controller), []);
}

#[test]
fn a_cancellation_that_would_lose_records_is_refused_unless_that_is_allowed() {
    let mut controller = controller(3);
    with_replicas(&mut controller, "a", 0x200, &[1], &[]);
    reassign(&mut controller, Some(&[2, 3]), true).expect("may change");
    in_sync(&mut controller, &[1, 2]).expect("3 is missing");
    fence(&mut controller, 1);
    assert_eq!(state(&controller, 0x200, 0), (Some(2), vec![2], vec![]));
    let error = reassign(&mut controller, None, true).expect_err("only 2 has everything");
    assert_eq!(error.code, ErrorCode::InvalidReplicaAssignment);
    assert!(error.message.contains("unclean leader election"));
}

#[test]
fn what_cannot_be_is_refused_in_kafkas_words() {
    let mut controller = controller(2);
    with_replicas(&mut controller, "a", 0x200, &[1, 2], &[]);
    let mut refused = |to: &[i32], may_change| {
        let error = reassign(&mut controller, Some(to), may_change).expect_err("refused");
        (error.code, error.message)
    };
    let assignment = |text: &str| {
        (ErrorCode::InvalidReplicaAssignment, format!("The manual partition assignment includes {text}"))
    };
    assert_eq!(refused(&[], true), assignment("an empty replica list."));
    assert_eq!(refused(&[1, 9], true), assignment("broker 9, but no such broker is registered."));
    assert_eq!(refused(&[1, 1], true), assignment("the broker 1 more than once."));
    let text = "The replication factor is changed from 2 to 1".to_owned();
    assert_eq!(refused(&[1], false), (ErrorCode::InvalidReplicationFactor, text));
    let request = |name: &str, index| {
        let partitions = vec![Reassignment { index, replicas: Some(nodes(&[1, 2])) }];
        let topics = vec![TopicReassignment { name: name.to_owned(), partitions }];
        ReassignPartitionsRequest { topics, allow_replication_factor_change: true }
    };
    for (name, index, text) in
        [("b", 0, "Unable to find a topic named b."), ("a", 3, "Unable to find partition a:3.")]
    {
        let reply = controller.reassign_partitions(&request(name, index)).reply;
        let expected = ApiError::new(ErrorCode::UnknownTopicOrPartition, text);
        assert_eq!(reply[0].1[0].1, Err(expected));
    }
}
