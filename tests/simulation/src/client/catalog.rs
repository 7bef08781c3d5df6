//! What clients know together: topics, watermarks, and the numbers that are taken.

use super::{
    answer::Answer, group::Named, history::RecordId, quorum::KnownQuorum, request::Request, routes::Routes,
};
use corelane_core::{
    error::ErrorCode,
    ids::{Offset, PartitionId, TopicId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// A topic that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTopic {
    /// Its name, never given to another topic of the run.
    pub name: Rc<str>,
    /// How many partitions it has at least.
    pub partitions: i32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Catalog {
    topics: BTreeMap<TopicId, KnownTopic>,
    deleted: BTreeSet<TopicId>,
    high_watermarks: BTreeMap<PartitionId, Offset>,
    /// Names of topics whose records retention may take.
    passing: BTreeSet<Rc<str>>,
    /// Names of topics that are compacted, and whether their tombstones outlast any replica's absence.
    compacted: BTreeMap<Rc<str>, bool>,
    /// Below which offsets records were deleted, and somebody was told so.
    deleted_below: BTreeMap<PartitionId, Offset>,
    /// Where records may be deleted on some replicas only: nobody was told that they are.
    maybe_deleted: BTreeSet<PartitionId>,
    /// Who may vote.
    pub quorum: KnownQuorum,
    /// Who leads what.
    pub routes: Routes,
    /// Whether someone has asked for partitions to be moved since all was well.
    pub are_reassigned: bool,
    pipelines: Vec<Pipeline>,
    names: u32,
    records: u64,
    commits: i64,
    transactions: u64,
}

/// What is read in the name of a group, transformed, and written in transactions of an id of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Of its group and of its transactional id.
    pub name: Rc<str>,
    /// All that it reads.
    pub input: Named,
}

impl Catalog {
    /// Of so many brokers.
    pub fn new(brokers: usize) -> Catalog {
        Catalog { routes: Routes::new(brokers), ..Catalog::default() }
    }

    /// Topics whose deletion no one asked for.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (TopicId, &KnownTopic)> {
        self.topics.iter().map(|(id, topic)| (*id, topic))
    }

    /// Whether its deletion was asked for.
    pub fn is_deleted(&self, topic: TopicId) -> bool {
        self.deleted.contains(&topic)
    }

    /// Every partition of every topic, with the topic's name.
    pub fn partitions(&self) -> Vec<(PartitionId, Rc<str>)> {
        let of = |(topic, known): (&TopicId, &KnownTopic)| {
            let (topic, name) = (*topic, Rc::clone(&known.name));
            (0..known.partitions).map(move |index| (PartitionId { topic, index }, Rc::clone(&name)))
        };
        self.topics.iter().flat_map(of).collect()
    }

    /// Somebody is told that records below an offset are deleted.
    pub fn note_deleted_below(&mut self, partition: PartitionId, before: Offset) {
        let known = self.deleted_below.entry(partition).or_default();
        *known = (*known).max(before);
    }

    /// Below which offset every replica must have deleted its records.
    pub fn deleted_below(&self, partition: PartitionId) -> Offset {
        self.deleted_below.get(&partition).copied().unwrap_or_default()
    }

    /// Records were to be deleted, and nobody was told that they are.
    pub fn note_maybe_deleted(&mut self, partition: PartitionId) {
        self.maybe_deleted.insert(partition);
    }

    /// Whether a deletion may have come to some replicas only.
    pub fn is_maybe_deleted(&self, partition: PartitionId) -> bool {
        self.maybe_deleted.contains(&partition)
    }

    /// The highest watermark that was shown.
    pub fn high_watermark(&self, partition: PartitionId) -> Offset {
        self.high_watermarks.get(&partition).copied().unwrap_or_default()
    }

    /// A name that no topic had yet.
    pub fn new_name(&mut self) -> Rc<str> {
        self.names += 1;
        format!("topic-{}", self.names).into()
    }

    /// Numbers that no record had yet.
    pub fn new_records(&mut self, count: u64) -> Vec<RecordId> {
        let first = self.records + 1;
        self.records += count;
        (first..=self.records).map(RecordId).collect()
    }

    /// An offset that no one has committed yet, larger than all before.
    pub fn next_commit(&mut self) -> i64 {
        self.commits += 1;
        self.commits
    }

    /// Retention may take what is acknowledged in the topic of this name.
    pub fn expect_retention(&mut self, name: &Rc<str>) {
        self.passing.insert(Rc::clone(name));
    }

    /// The topic of this name is compacted; its tombstones outlast any replica's absence or not.
    pub fn expect_compaction(&mut self, name: &Rc<str>, buries_for_good: bool) {
        self.compacted.insert(Rc::clone(name), buries_for_good);
    }

    /// Whether the tombstones of a compacted topic outlast any replica's absence.
    pub fn buries_for_good(&self, name: &Rc<str>) -> bool {
        self.compacted.get(name).is_some_and(|for_good| *for_good)
    }

    /// Whether a topic is compacted, so that its records need keys.
    pub fn is_compacted(&self, name: &Rc<str>) -> bool {
        self.compacted.contains_key(name)
    }

    /// Whether retention may take a topic's records.
    pub fn is_passing(&self, name: &Rc<str>) -> bool {
        self.passing.contains(name)
    }

    /// Partitions whose every record stays there, if nobody deletes it.
    pub fn lasting_partitions(&self) -> Vec<Named> {
        let mut all = self.partitions();
        all.retain(|(_, topic)| !self.is_compacted(topic) && !self.is_passing(topic));
        all
    }

    /// What is transformed; nothing whose deletion someone asked for.
    pub fn pipelines(&self) -> &[Pipeline] {
        &self.pipelines
    }

    /// From here on this is transformed, too.
    pub fn add_pipeline(&mut self, input: Named) -> Pipeline {
        self.names += 1;
        let pipeline = Pipeline { name: format!("pipeline-{}", self.names).into(), input };
        self.pipelines.push(pipeline.clone());
        pipeline
    }

    /// The number of another transaction.
    pub fn new_transaction(&mut self) -> u64 {
        self.transactions += 1;
        self.transactions
    }

    /// How many transactions were begun.
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// How many records were made.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Takes note of what is asked.
    pub fn asked(&mut self, request: &Request) {
        match request {
            Request::DeleteTopic { topic, .. } => {
                self.topics.remove(topic);
                self.deleted.insert(*topic);
                self.pipelines.retain(|pipeline| pipeline.input.0.topic != *topic);
            }
            Request::Quorum(request) => self.quorum.asked(request),
            _ => {}
        }
    }

    /// Takes note that nobody waits for an answer any more.
    pub fn ended(&mut self, request: &Request) {
        if let Request::Quorum(request) = request {
            self.quorum.ended(request);
        }
    }

    /// Takes note of what was answered. Topics that were not known yet are returned with their names.
    pub fn answered(&mut self, request: &Request, answer: &Answer) -> Vec<(TopicId, Rc<str>)> {
        let mut learned = Vec::new();
        self.routes.learn(request, answer);
        match (request, answer) {
            (Request::CreateTopic { name, partitions, .. }, Answer::CreateTopic(Ok(id))) => {
                learned.extend(self.know(*id, name, *partitions));
            }
            (Request::CreatePartitions { topic, name, count }, Answer::CreatePartitions(ErrorCode::None)) => {
                learned.extend(self.know(*topic, name, *count));
            }
            (_, Answer::Metadata(topics)) => {
                for topic in topics {
                    learned.extend(self.know(topic.id, &topic.name.as_str().into(), topic.partitions));
                }
            }
            (_, Answer::Fetch(ErrorCode::None, _, partitions)) => {
                for found in partitions.iter().filter(|found| found.error.is_none()) {
                    let known = self.high_watermarks.entry(found.partition).or_default();
                    *known = (*known).max(found.high_watermark);
                }
            }
            _ => {}
        }
        learned
    }

    /// The topic, if it is new.
    fn know(&mut self, id: TopicId, name: &Rc<str>, partitions: i32) -> Option<(TopicId, Rc<str>)> {
        if self.deleted.contains(&id) {
            return None;
        }
        let is_new = !self.topics.contains_key(&id);
        let topic = self.topics.entry(id).or_insert_with(|| KnownTopic { name: Rc::clone(name), partitions });
        topic.partitions = topic.partitions.max(partitions);
        is_new.then(|| (id, Rc::clone(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_whose_deletion_was_asked_for_does_not_come_back() {
        let mut catalog = Catalog::default();
        let name = catalog.new_name();
        let id = TopicId::ZERO;
        let create = Request::CreateTopic { name: Rc::clone(&name), partitions: 2, configs: Vec::new() };
        catalog.answered(&create, &Answer::CreateTopic(Ok(id)));
        assert_eq!(catalog.partitions().len(), 2);
        catalog.asked(&Request::DeleteTopic { topic: id, name: Rc::clone(&name) });
        catalog.answered(&create, &Answer::CreateTopic(Ok(id)));
        assert_eq!(catalog.topics().len(), 0);
    }

    #[test]
    fn numbers_and_names_are_never_given_twice() {
        let mut catalog = Catalog::default();
        assert_eq!(catalog.new_records(2), [RecordId(1), RecordId(2)]);
        assert_eq!(catalog.new_records(1), [RecordId(3)]);
        assert_ne!(catalog.new_name(), catalog.new_name());
    }
}
