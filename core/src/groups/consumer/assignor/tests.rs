//! What every assignment must be, whoever reads what and owned what before.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn topic(number: usize) -> TopicId {
    TopicId(Uuid::from_u128(number as u128 + 1))
}

/// A group of tests: who reads which topics, and what each was to own.
#[derive(Clone, Debug, Default)]
struct Group {
    partitions: BTreeMap<TopicId, i32>,
    members: BTreeMap<String, (BTreeSet<TopicId>, Partitions)>,
}

impl Group {
    /// `counts` are the partitions of the topics, which are read by so many members.
    fn alike(counts: &[i32], members: usize) -> Group {
        let partitions: BTreeMap<_, _> =
            counts.iter().enumerate().map(|(number, count)| (topic(number), *count)).collect();
        let mut group = Group { partitions, members: BTreeMap::new() };
        (0..members).for_each(|number| group.join(number));
        group
    }

    fn join(&mut self, number: usize) {
        let all = self.partitions.keys().copied().collect();
        self.members.insert(format!("m{number:04}"), (all, Partitions::new()));
    }

    fn assign(&mut self, assignor: Assignor) {
        let all: BTreeSet<TopicId> = self.partitions.keys().copied().collect();
        let read: BTreeSet<TopicId> = self.members.values().flat_map(|(read, _)| read).copied().collect();
        let subscribers = self.members.iter().map(|(id, (read, target))| Subscriber {
            id,
            instance: None,
            topics: read.iter().copied().collect(),
            target,
        });
        let spec = Spec {
            alike: self.members.values().all(|(read, _)| *read == all),
            subscribers: subscribers.collect(),
            partitions: read.iter().map(|topic| (*topic, self.partitions[topic])).collect(),
        };
        let assigned = assignor.assign(&spec);
        assert_eq!(assigned.len(), self.members.len());
        for ((_, target), new) in self.members.values_mut().zip(assigned) {
            *target = new;
        }
    }

    fn owned(&self) -> BTreeMap<(TopicId, i32), String> {
        let each = self.members.iter().flat_map(|(id, (_, target))| {
            let all = target.iter().flat_map(|(topic, it)| it.iter().map(|number| (*topic, *number)));
            all.map(move |partition| (partition, id.clone()))
        });
        each.collect()
    }

    fn loads(&self) -> Vec<usize> {
        self.members.values().map(|(_, target)| target.values().map(BTreeSet::len).sum()).collect()
    }

    /// Every partition that anyone reads is owned once, by someone who reads it.
    fn check(&self) {
        let owned: usize = self.loads().iter().sum();
        assert_eq!(owned, self.owned().len(), "nothing is owned twice");
        let read: BTreeSet<TopicId> = self.members.values().flat_map(|(read, _)| read).copied().collect();
        let there: i32 = read.iter().map(|topic| self.partitions[topic]).sum();
        assert_eq!(owned, usize::try_from(there).expect("small"), "everything that is read is owned");
        for (read, target) in self.members.values() {
            for (topic, partitions) in target {
                assert!(read.contains(topic), "only what is read is owned");
                assert!(!partitions.is_empty());
                assert!(partitions.iter().all(|it| (0..self.partitions[topic]).contains(it)));
            }
        }
    }

    fn is_even(&self) -> bool {
        let loads = self.loads();
        loads.iter().max().copied().unwrap_or(0) <= loads.iter().min().copied().unwrap_or(0) + 1
    }

    /// How many partitions have another owner than before; those whose owner is gone do not count.
    fn moved_since(&self, before: &BTreeMap<(TopicId, i32), String>) -> usize {
        let now = self.owned();
        let moved = before.iter().filter(|(partition, owner)| {
            self.members.contains_key(*owner) && now.get(partition) != Some(owner)
        });
        moved.count()
    }
}

fn counts() -> impl Strategy<Value = Vec<i32>> {
    proptest::collection::vec(0..12_i32, 1..5)
}

/// Members that read different topics, and perhaps were to own some already.
fn uneven() -> impl Strategy<Value = (Group, Vec<BTreeSet<usize>>)> {
    let reads = proptest::collection::vec(proptest::collection::btree_set(0..5_usize, 0..5), 1..8);
    (proptest::collection::vec(0..12_i32, 5), reads.clone(), reads).prop_map(|(counts, reads, next)| {
        let mut group = Group::alike(&counts, reads.len());
        group.read(&reads);
        (group, next)
    })
}

impl Group {
    fn read(&mut self, reads: &[BTreeSet<usize>]) {
        for ((read, _), topics) in self.members.values_mut().zip(reads) {
            *read = topics.iter().map(|number| topic(*number)).collect();
        }
    }
}

proptest! {
    #[test]
    fn a_uniform_assignment_is_whole_and_even(counts in counts(), members in 1..9_usize) {
        let mut group = Group::alike(&counts, members);
        group.assign(Assignor::Uniform);
        group.check();
        prop_assert!(group.is_even());
        let before = group.owned();
        group.assign(Assignor::Uniform);
        prop_assert_eq!(group.moved_since(&before), 0, "what is even stays");
    }

    #[test]
    fn a_member_that_joins_gets_no_more_than_its_share_moved(counts in counts(), members in 1..9_usize) {
        let mut group = Group::alike(&counts, members);
        group.assign(Assignor::Uniform);
        let before = group.owned();
        // Between others, not after them.
        group.members.insert("m0000a".into(), (group.partitions.keys().copied().collect(), Partitions::new()));
        group.assign(Assignor::Uniform);
        group.check();
        prop_assert!(group.is_even());
        let new: usize = group.members["m0000a"].1.values().map(BTreeSet::len).sum();
        prop_assert_eq!(group.moved_since(&before), new, "only what it gets has moved");
    }

    #[test]
    fn when_a_member_leaves_nothing_but_its_own_moves(
        counts in counts(), members in 2..9_usize, gone in 0..9_usize,
    ) {
        let mut group = Group::alike(&counts, members);
        group.assign(Assignor::Uniform);
        let before = group.owned();
        group.members.remove(&format!("m{:04}", gone % members));
        group.assign(Assignor::Uniform);
        group.check();
        prop_assert!(group.is_even());
        prop_assert_eq!(group.moved_since(&before), 0);
    }

    #[test]
    fn whoever_reads_what_all_of_it_is_owned_and_no_move_would_even_it_more((mut group, next) in uneven()) {
        for reads in [None, Some(next)] {
            if let Some(reads) = reads {
                group.read(&reads);
            }
            group.assign(Assignor::Uniform);
            group.check();
            let loads = group.loads();
            for (from, (_, target)) in group.members.values().enumerate() {
                for (to, (read, _)) in group.members.values().enumerate() {
                    let could_move = target.keys().any(|topic| read.contains(topic));
                    prop_assert!(!could_move || loads[from] <= loads[to] + 1, "{:?}", group);
                }
            }
            let before = group.owned();
            group.assign(Assignor::Uniform);
            prop_assert_eq!(group.moved_since(&before), 0, "what is even stays");
        }
    }

    #[test]
    fn a_range_assignment_is_whole_and_gives_each_a_range((mut group, _) in uneven()) {
        group.assign(Assignor::Range);
        group.check();
        for topic in group.partitions.keys() {
            let mut next = 0;
            let mut shares = Vec::new();
            for (_, target) in group.members.values().filter(|(read, _)| read.contains(topic)) {
                let own: Vec<i32> = target.get(topic).into_iter().flatten().copied().collect();
                prop_assert!(own.iter().copied().eq(next..next + i32::try_from(own.len()).expect("small")));
                next += i32::try_from(own.len()).expect("small");
                shares.push(own.len());
            }
            prop_assert!(shares.is_sorted_by(|a, b| a >= b), "those at the front have one more");
            prop_assert!(shares.first().copied().unwrap_or(0) <= shares.last().copied().unwrap_or(0) + 1);
        }
    }
}

#[test]
fn ranges_of_topics_with_as_many_partitions_meet_at_one_member() {
    let mut group = Group::alike(&[4, 4], 3);
    group.assign(Assignor::Range);
    let own: Vec<_> =
        group.members.values().map(|(_, target)| target.values().cloned().collect::<Vec<_>>()).collect();
    let both = |partitions: &[i32]| vec![partitions.iter().copied().collect::<BTreeSet<_>>(); 2];
    assert_eq!(own, [both(&[0, 1]), both(&[2]), both(&[3])]);
}

#[test]
fn static_members_come_first_in_the_order_of_their_static_names() {
    let topics: Arc<[TopicId]> = [topic(0)].into();
    let none = Partitions::new();
    let subscriber = |id, instance| Subscriber { id, instance, topics: topics.clone(), target: &none };
    let spec = Spec {
        subscribers: vec![subscriber("a", None), subscriber("b", Some("z")), subscriber("c", Some("y"))],
        partitions: [(topic(0), 3)].into(),
        alike: true,
    };
    let own: Vec<Vec<i32>> =
        Assignor::Range.assign(&spec).into_iter().map(|it| it.into_values().flatten().collect()).collect();
    assert_eq!(own, [[2], [1], [0]]);
}

#[test]
fn a_thousand_members_join_one_by_one_in_steps_of_their_number() {
    let mut group = Group::alike(&[1000], 999);
    group.assign(Assignor::Uniform);
    let before = group.owned();
    group.join(999);
    group.assign(Assignor::Uniform);
    group.check();
    assert_eq!((group.moved_since(&before), group.is_even()), (1, true));
}
