//! Which broker leads which partition and coordinates which group, as Metadata and FindCoordinator tell; forgotten when
//! a broker says that it is not the one.

use super::{
    answer::Answer,
    group::{GroupAnswer, GroupRequest},
    request::{Destination, Request},
    transaction::{TransactionAnswer, TransactionRequest},
};
use corelane_core::{error::ErrorCode, ids::PartitionId};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// See the module. Brokers are named by their node ids.
#[derive(Debug, Default)]
pub struct Routes {
    leaders: BTreeMap<PartitionId, i32>,
    coordinators: BTreeMap<Rc<str>, i32>,
    /// Of transactional ids.
    transaction_coordinators: BTreeMap<Rc<str>, i32>,
    leaders_are_stale: bool,
    lost_coordinators: BTreeSet<Rc<str>>,
    lost_transaction_coordinators: BTreeSet<Rc<str>>,
    /// Brokers that are not coming back: nobody's bootstrap list names them.
    avoided: BTreeSet<i32>,
    /// How many brokers there are.
    brokers: i32,
}

impl Routes {
    /// To so many brokers, whose node ids count from 1.
    pub fn new(brokers: usize) -> Routes {
        Routes { brokers: i32::try_from(brokers).expect("few brokers"), ..Routes::default() }
    }

    /// The node ids of all brokers that are not avoided.
    pub fn nodes(&self) -> Vec<i32> {
        (1..=self.brokers).filter(|node| !self.is_avoided(*node)).collect()
    }

    /// From now on this broker is asked only where it is known to be the one.
    pub fn avoid(&mut self, node: i32) {
        self.avoided.insert(node);
        self.leaders.retain(|_, leader| *leader != node);
        self.coordinators.retain(|_, coordinator| *coordinator != node);
        self.transaction_coordinators.retain(|_, coordinator| *coordinator != node);
    }

    /// Whether it is not coming back.
    pub fn is_avoided(&self, node: i32) -> bool {
        self.avoided.contains(&node)
    }

    /// Whether one is not coming back.
    pub fn has_avoided(&self) -> bool {
        !self.avoided.is_empty()
    }

    /// Whether there are many brokers.
    pub fn are_many(&self) -> bool {
        self.brokers > 1
    }

    /// The broker that a request is for, if it is for one and that is known.
    pub fn broker_for(&self, request: &Request) -> Option<i32> {
        match request.destination() {
            Destination::Any => None,
            Destination::LeaderOf(partition) => self.leader(partition),
            Destination::CoordinatorOf(group) => self.coordinators.get(&group).copied(),
            Destination::TransactionsOf(id) => self.transaction_coordinators.get(&id).copied(),
        }
    }

    /// Who leads a partition, if that is known.
    pub fn leader(&self, partition: PartitionId) -> Option<i32> {
        self.leaders.get(&partition).copied()
    }

    /// Whether one request may name both partitions: both have the same leader.
    pub fn is_one_request(&self, one: PartitionId, other: PartitionId) -> bool {
        !self.are_many() || self.leader(one) == self.leader(other)
    }

    /// What to ask, once, to know again what was found to be wrong.
    pub fn refresh(&mut self) -> Vec<Request> {
        let metadata = std::mem::take(&mut self.leaders_are_stale).then_some(Request::Metadata);
        let lost = std::mem::take(&mut self.lost_coordinators).into_iter();
        let groups = lost.map(|group| Request::Group { group, request: GroupRequest::FindCoordinator });
        let lost = std::mem::take(&mut self.lost_transaction_coordinators).into_iter();
        let transactions =
            lost.map(|id| Request::Transaction { id, request: TransactionRequest::FindCoordinator });
        metadata.into_iter().chain(groups).chain(transactions).collect()
    }

    /// Takes note of an answer.
    pub fn learn(&mut self, request: &Request, answer: &Answer) {
        match (request, answer) {
            (_, Answer::Metadata(topics)) => {
                for topic in topics {
                    for (index, leader) in &topic.leaders {
                        let partition = PartitionId { topic: topic.id, index: *index };
                        self.leaders.insert(partition, *leader);
                    }
                }
            }
            (Request::Group { group, .. }, Answer::Group(GroupAnswer::FindCoordinator(Ok(node)))) => {
                self.coordinators.insert(Rc::clone(group), *node);
            }
            (Request::Group { group, .. }, Answer::Group(answer)) if is_of_another(answer) => {
                self.coordinators.remove(group);
                self.lost_coordinators.insert(Rc::clone(group));
            }
            (
                Request::Transaction { id, .. },
                Answer::Transaction(TransactionAnswer::FindCoordinator(Ok(node))),
            ) => {
                self.transaction_coordinators.insert(Rc::clone(id), *node);
            }
            (Request::Transaction { id, .. }, Answer::Transaction(answer))
                if answer.error() == ErrorCode::NotCoordinator =>
            {
                self.transaction_coordinators.remove(id);
                self.lost_transaction_coordinators.insert(Rc::clone(id));
            }
            (Request::Produce { batches, .. }, Answer::Produce(outcomes)) => {
                for (batch, outcome) in batches.iter().zip(outcomes) {
                    self.heard(batch.partition, outcome.error);
                }
            }
            (_, Answer::Fetch(_, _, partitions)) => {
                for found in partitions {
                    self.heard(found.partition, found.error);
                }
            }
            (Request::ListOffsets { partition, .. }, Answer::ListOffsets(Err(error)))
            | (Request::DeleteRecords { partition, .. }, Answer::DeleteRecords(Err(error))) => {
                self.heard(*partition, *error);
            }
            _ => {}
        }
    }

    /// A request ended without an answer: whom it was for may be somebody else by now, as clients assume.
    pub fn lost(&mut self, request: &Request) {
        match request.destination() {
            _ if !self.are_many() => {}
            Destination::Any => {}
            Destination::LeaderOf(partition) => self.heard(partition, ErrorCode::NotLeaderOrFollower),
            Destination::CoordinatorOf(group) => {
                self.coordinators.remove(&group);
                self.lost_coordinators.insert(group);
            }
            Destination::TransactionsOf(id) => {
                self.transaction_coordinators.remove(&id);
                self.lost_transaction_coordinators.insert(id);
            }
        }
    }

    fn heard(&mut self, partition: PartitionId, error: ErrorCode) {
        if error == ErrorCode::NotLeaderOrFollower {
            self.leaders.remove(&partition);
            self.leaders_are_stale = true;
        }
    }
}

/// Whether another broker is the group's coordinator.
fn is_of_another(answer: &GroupAnswer) -> bool {
    let error = match answer {
        GroupAnswer::Join(Err((error, _)))
        | GroupAnswer::FindCoordinator(Err(error))
        | GroupAnswer::Sync(Err(error))
        | GroupAnswer::Report(Err(error))
        | GroupAnswer::Offsets(Err(error))
        | GroupAnswer::Heartbeat(error)
        | GroupAnswer::Leave(error) => *error,
        GroupAnswer::Commit(errors) => return errors.contains(&ErrorCode::NotCoordinator),
        GroupAnswer::Join(Ok(_))
        | GroupAnswer::FindCoordinator(Ok(_))
        | GroupAnswer::Sync(Ok(_))
        | GroupAnswer::Report(Ok(_))
        | GroupAnswer::Offsets(Ok(_)) => return false,
    };
    error == ErrorCode::NotCoordinator
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{answer::Topic, request::Spec};
    use corelane_core::ids::TopicId;

    const PARTITION: PartitionId = PartitionId { topic: TopicId::ZERO, index: 1 };

    fn list_offsets() -> Request {
        Request::ListOffsets { partition: PARTITION, topic: "t".into(), spec: Spec::Latest }
    }

    /// With these leaders of its partitions.
    fn topic(partitions: i32, leaders: &[(i32, i32)]) -> Topic {
        Topic {
            name: "t".into(),
            id: TopicId::ZERO,
            partitions,
            leaders: leaders.to_vec(),
            replicas: Vec::new(),
        }
    }

    #[test]
    fn a_leader_is_known_from_metadata_until_a_broker_denies_it() {
        let mut routes = Routes::default();
        assert_eq!(routes.broker_for(&list_offsets()), None);
        routes.learn(&Request::Metadata, &Answer::Metadata(vec![topic(2, &[(1, 3)])]));
        assert_eq!(routes.broker_for(&list_offsets()), Some(3));
        assert!(routes.refresh().is_empty());
        routes.learn(&list_offsets(), &Answer::ListOffsets(Err(ErrorCode::NotLeaderOrFollower)));
        assert_eq!(routes.broker_for(&list_offsets()), None);
        assert!(matches!(routes.refresh()[..], [Request::Metadata]));
        assert!(routes.refresh().is_empty());
    }

    #[test]
    fn only_among_many_brokers_do_partitions_of_different_leaders_part() {
        let other = PartitionId { index: 2, ..PARTITION };
        for many in [false, true] {
            let mut routes = Routes::new(if many { 3 } else { 1 });
            routes.learn(&Request::Metadata, &Answer::Metadata(vec![topic(3, &[(1, 3), (2, 1)])]));
            assert_eq!(routes.is_one_request(PARTITION, other), !many);
            assert!(routes.is_one_request(other, other));
        }
    }

    #[test]
    fn a_broker_that_is_not_coming_back_is_no_ones_leader_until_metadata_says_so_again() {
        let mut routes = Routes::new(3);
        routes.learn(&Request::Metadata, &Answer::Metadata(vec![topic(2, &[(1, 3)])]));
        routes.avoid(3);
        assert_eq!(routes.broker_for(&list_offsets()), None);
        assert!(routes.is_avoided(3) && !routes.is_avoided(1));
        assert_eq!(routes.nodes(), [1, 2]);
    }

    #[test]
    fn among_many_a_lost_request_makes_its_client_ask_again_who_leads() {
        for many in [false, true] {
            let mut routes = Routes::new(if many { 3 } else { 1 });
            routes.learn(&Request::Metadata, &Answer::Metadata(vec![topic(2, &[(1, 3)])]));
            routes.lost(&list_offsets());
            assert_eq!(routes.broker_for(&list_offsets()).is_none(), many);
            assert_eq!(routes.refresh().len(), usize::from(many));
        }
    }

    #[test]
    fn a_coordinator_is_known_until_a_broker_denies_it() {
        let mut routes = Routes::default();
        let of = |request| Request::Group { group: "g".into(), request };
        let leave = of(GroupRequest::Leave { member: "m".into() });
        let found = Answer::Group(GroupAnswer::FindCoordinator(Ok(2)));
        routes.learn(&of(GroupRequest::FindCoordinator), &found);
        assert_eq!(routes.broker_for(&leave), Some(2));
        routes.learn(&leave, &Answer::Group(GroupAnswer::Leave(ErrorCode::NotCoordinator)));
        assert_eq!(routes.broker_for(&leave), None);
        let again = routes.refresh();
        assert!(matches!(again[..], [Request::Group { request: GroupRequest::FindCoordinator, .. }]));
    }
}
