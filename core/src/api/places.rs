//! Partitions of a request and their results, in the order in which the response must name them.

use crate::engine::{Ask, OwnerRequest};
use corelane_seam::ShardId;
use kafka_protocol::messages::TopicName;
use uuid::Uuid;

/// A topic as the request names it, and what is asked of its partitions.
#[derive(Debug)]
pub(super) struct Topic {
    pub name: TopicName,
    pub id: Uuid,
    indexes: Vec<i32>,
}

/// A place per partition. Answers come in any order and name their place.
#[derive(Debug)]
pub(super) struct Places<R> {
    topics: Vec<Topic>,
    results: Vec<Option<R>>,
}

impl<R> Default for Places<R> {
    fn default() -> Self {
        Places { topics: Vec::new(), results: Vec::new() }
    }
}

impl<R> Places<R> {
    /// The partitions that follow belong to this topic.
    pub fn topic(&mut self, name: TopicName, id: Uuid) {
        self.topics.push(Topic { name, id, indexes: Vec::new() });
    }

    /// The next partition of the topic; its place.
    pub fn partition(&mut self, index: i32) -> u32 {
        let topic = self.topics.last_mut().expect("a topic is named before its partitions");
        topic.indexes.push(index);
        self.results.push(None);
        u32::try_from(self.results.len() - 1).expect("a frame's length bounds its partitions")
    }

    /// The partition at this place is answered.
    pub fn set(&mut self, place: u32, result: R) {
        if let Some(slot) = self.results.get_mut(place as usize) {
            *slot = Some(result);
        }
    }

    /// Those of one owner are answered; whether all are now.
    pub fn set_all(&mut self, results: Vec<(u32, R)>) -> bool {
        for (place, result) in results {
            self.set(place, result);
        }
        self.results.iter().all(Option::is_some)
    }

    /// Topics with their partitions' results, `missing` where there is none. Leaves nothing.
    pub fn take(&mut self, mut missing: impl FnMut() -> R) -> Vec<(Topic, Vec<(i32, R)>)> {
        let mut results = std::mem::take(&mut self.results).into_iter();
        let topics = std::mem::take(&mut self.topics).into_iter();
        topics
            .map(|mut topic| {
                let indexes = std::mem::take(&mut topic.indexes);
                let of_topic = indexes
                    .into_iter()
                    .map(|index| (index, results.next().flatten().unwrap_or_else(&mut missing)))
                    .collect();
                (topic, of_topic)
            })
            .collect()
    }
}

/// What each owner is asked. Owners are few, so they are searched one by one.
#[derive(Debug)]
pub(super) struct ByOwner<Q>(Vec<(ShardId, Vec<Q>)>);

impl<Q> Default for ByOwner<Q> {
    fn default() -> Self {
        ByOwner(Vec::new())
    }
}

impl<Q> ByOwner<Q> {
    /// Asks this owner one thing more.
    pub fn push(&mut self, owner: ShardId, query: Q) {
        match self.0.iter_mut().find(|(other, _)| *other == owner) {
            Some((_, queries)) => queries.push(query),
            None => self.0.push((owner, vec![query])),
        }
    }

    /// Asks this owner for nothing but an answer.
    pub fn ask_nothing_of(&mut self, owner: ShardId) {
        self.0.push((owner, Vec::new()));
    }

    /// Whether no one is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who is asked.
    pub fn owners(&self) -> impl Iterator<Item = ShardId> {
        self.0.iter().map(|(owner, _)| *owner)
    }

    /// One request to each.
    pub fn into_asks(self, mut request: impl FnMut(Vec<Q>) -> OwnerRequest) -> Vec<Ask> {
        self.0.into_iter().map(|(owner, queries)| Ask::Owner(owner, request(queries))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn results_are_named_in_the_order_of_the_request_whatever_the_order_of_answers() {
        let name = |text| TopicName(StrBytes::from_static_str(text));
        let mut places = Places::default();
        places.topic(name("a"), Uuid::nil());
        let first = places.partition(7);
        let second = places.partition(3);
        places.topic(name("b"), Uuid::nil());
        let third = places.partition(0);
        assert!(!places.set_all(vec![(third, "third")]));
        assert!(!places.set_all(vec![(first, "first")]));
        let taken = places.take(|| "missing");
        assert_eq!(taken[0].1, [(7, "first"), (3, "missing")]);
        assert_eq!((taken[1].0.name.as_str(), &taken[1].1[..]), ("b", &[(0, "third")][..]));
        assert_eq!(second, 1);
    }
}
