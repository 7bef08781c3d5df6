use super::{
    super::tests::{committed, controller, id, with_topic},
    *,
};
use crate::{ids::NodeId, metadata::Batch};
use Election::{Preferred, Unclean};

fn named(election: Election, name: &str, index: i32) -> ElectLeadersRequest {
    ElectLeadersRequest { election, partitions: Some(vec![(name.to_owned(), vec![index])]) }
}

fn refusal(controller: &mut Controller, request: &ElectLeadersRequest) -> (ErrorCode, String) {
    let decision = controller.elect_leaders(request);
    assert_eq!(decision.batch, None);
    let error = decision.reply[0].partitions[0].1.clone().expect_err("refused");
    (error.code, error.message)
}

/// Changes partition 0 of the topic 0x100 by hand.
fn change(controller: &mut Controller, leader: LeaderChange, replicas: &[i32], isr: &[i32]) {
    let ids = |ids: &[i32]| Some(ids.iter().copied().map(NodeId).collect());
    let record = Record::PartitionChange(PartitionChangeRecord {
        topic: id(0x100),
        index: 0,
        replicas: ids(replicas),
        isr: ids(isr),
        leader,
        ..PartitionChangeRecord::default()
    });
    let decision = controller.propose(Vec::new(), vec![record], ()).expect("small");
    committed(controller, decision);
}

#[test]
fn a_partition_that_is_led_as_it_should_be_needs_no_election() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 2, 0x100);
    for election in [Preferred, Unclean] {
        let (code, _) = refusal(&mut controller, &named(election, "a", 0));
        assert_eq!(code, ErrorCode::ElectionNotNeeded);
        // Asked of all partitions, those that need none are not told of.
        let all = controller.elect_leaders(&ElectLeadersRequest { election, partitions: None });
        assert_eq!((all.batch, all.reply), (None, Vec::new()));
    }
    let unknown = |text: &str| (ErrorCode::UnknownTopicOrPartition, text.to_owned());
    assert_eq!(refusal(&mut controller, &named(Preferred, "b", 0)), unknown("No such topic as b"));
    assert_eq!(refusal(&mut controller, &named(Preferred, "a", 7)), unknown("No such partition as a-7"));
}

#[test]
fn a_preferred_replica_that_is_in_sync_leads_in_a_new_epoch_and_one_that_is_not_does_not() {
    let mut controller = controller(2);
    with_topic(&mut controller, "a", 1, 0x100);
    change(&mut controller, LeaderChange::Leader(NodeId(2)), &[1, 2], &[2]);
    let (code, _) = refusal(&mut controller, &named(Preferred, "a", 0));
    assert_eq!(code, ErrorCode::PreferredLeaderNotAvailable);
    change(&mut controller, LeaderChange::Unchanged, &[1, 2], &[2, 1]);
    let before = controller.committed().partition(id(0x100), 0).expect("known").clone();
    let decision = controller.elect_leaders(&named(Preferred, "a", 0));
    let expected = Batch {
        preconditions: vec![Precondition::PartitionEpoch {
            topic: id(0x100),
            index: 0,
            epoch: before.partition_epoch,
        }],
        records: vec![Record::PartitionChange(PartitionChangeRecord {
            topic: id(0x100),
            index: 0,
            leader: LeaderChange::Leader(NodeId(1)),
            ..PartitionChangeRecord::default()
        })],
    };
    assert_eq!(decision.batch, Some(expected));
    let reply = committed(&mut controller, decision);
    assert_eq!(reply[0].partitions, [(0, Ok(()))]);
    let after = controller.committed().partition(id(0x100), 0).expect("known");
    assert_eq!(after.leader, Some(NodeId(1)));
    assert_eq!(after.leader_epoch.0, before.leader_epoch.0 + 1);
}

#[test]
fn where_no_one_leads_an_unclean_election_takes_whoever_is_left_and_no_one_where_none_is() {
    let mut controller = controller(2);
    with_topic(&mut controller, "a", 1, 0x100);
    change(&mut controller, LeaderChange::Offline, &[9, 2], &[9]);
    let decision = controller.elect_leaders(&ElectLeadersRequest { election: Unclean, partitions: None });
    assert_eq!(committed(&mut controller, decision)[0].partitions, [(0, Ok(()))]);
    let after = controller.committed().partition(id(0x100), 0).expect("known");
    assert_eq!((after.leader, &after.isr[..]), (Some(NodeId(2)), &[NodeId(2)][..]));
    change(&mut controller, LeaderChange::Offline, &[9], &[9]);
    let (code, _) = refusal(&mut controller, &named(Unclean, "a", 0));
    assert_eq!(code, ErrorCode::EligibleLeadersNotAvailable);
}
