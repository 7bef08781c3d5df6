use super::{
    super::tests::{controller, fence, id, join, registration},
    *,
};
use crate::controller::RegisterBrokerRequest;
use std::collections::BTreeSet;

#[test]
fn replicas_stand_in_as_many_racks_as_there_are_and_every_broker_leads_as_often() {
    let mut controller = controller(0);
    for broker in 0..6 {
        let rack = Some(["a", "b", "c"][usize::try_from(broker % 3).expect("small")].to_owned());
        join(&mut controller, &RegisterBrokerRequest { rack, ..registration(broker, 1) });
    }
    let placement = Placement::new(controller.committed(), 3).expect("enough");
    let mut led: BTreeMap<NodeId, usize> = BTreeMap::new();
    for index in 0..60 {
        let replicas = placement.replicas(id(0x777), index);
        let racks: BTreeSet<i32> = replicas.iter().map(|id| id.0 % 3).collect();
        assert_eq!(racks.len(), 3, "{replicas:?}");
        *led.entry(replicas[0]).or_default() += 1;
    }
    assert!(led.len() == 6 && led.values().all(|times| *times == 10), "{led:?}");
    let four = Placement::new(controller.committed(), 4).expect("enough").replicas(id(0x777), 0);
    assert_eq!(four.iter().collect::<BTreeSet<_>>().len(), 4, "a rack's second broker before none at all");
}

#[test]
fn a_fenced_broker_is_given_a_replica_only_when_the_active_ones_do_not_suffice() {
    let mut controller = controller(3);
    fence(&mut controller, 2);
    let two = Placement::new(controller.committed(), 2).expect("enough");
    assert!((0..20).all(|index| !two.replicas(id(0x777), index).contains(&NodeId(2))));
    let three = Placement::new(controller.committed(), 3).expect("registered");
    assert!((0..20).all(|index| three.replicas(id(0x777), index)[2] == NodeId(2)));
}

#[test]
fn brokers_of_a_users_choice_are_used_as_the_controller_would() {
    let rack = |id: i32| (NodeId(id), Some(["a", "b"][usize::try_from(id % 2).expect("small")].to_owned()));
    let spread_out = spread((1..=4).map(rack), id(0x777), 8, 2);
    assert!(
        spread_out.iter().all(|replicas| replicas.len() == 2 && (replicas[0].0 + replicas[1].0) % 2 == 1)
    );
    let leaders: Vec<i32> = spread_out.iter().map(|replicas| replicas[0].0).collect();
    assert!((1..=4).all(|id| leaders.iter().filter(|leader| **leader == id).count() == 2), "{leaders:?}");
    assert_eq!(spread([(NodeId(7), None)], id(0x777), 1, 3), [[NodeId(7)]]);
    assert!(spread([], id(0x777), 1, 3).is_empty());
}
