//! Who reads what where members keep what they have.
//!
//! With the eager `StickyAssignor` (KIP-54) all have given everything back, and say what they had. With the
//! `CooperativeStickyAssignor` (KIP-429) they go on reading meanwhile: a partition that changes hands is given to nobody at
//! first, its owner gives it back and joins again, and the next round gives it to the other.

use super::assign::Subscriber;
use crate::client::{TopicPartition, member_data::Assignment};
use std::collections::{BTreeMap, BTreeSet};

/// Who is meant, by its place among the members.
type Index = usize;

/// What each member gets, by its place; `partitions` are how many each topic has.
pub fn assign(members: &[Subscriber], partitions: &BTreeMap<String, i32>) -> Vec<Assignment> {
    Shares::even(members, partitions).told(&BTreeMap::new())
}

/// What each member gets in this round: nothing that another still reads.
pub fn assign_cooperatively(members: &[Subscriber], partitions: &BTreeMap<String, i32>) -> Vec<Assignment> {
    let mut claimed: Claims = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        for place in owned(member) {
            claimed.entry(place).or_default().insert(index);
        }
    }
    Shares::even(members, partitions).told(&claimed)
}

/// Who says it has a partition.
type Claims = BTreeMap<TopicPartition, BTreeSet<Index>>;

struct Shares<'a> {
    members: &'a [Subscriber],
    owners: BTreeMap<TopicPartition, Option<Index>>,
    loads: Vec<usize>,
}

impl<'a> Shares<'a> {
    /// As even as can be, with as much as can be where it was.
    fn even(members: &'a [Subscriber], partitions: &BTreeMap<String, i32>) -> Shares<'a> {
        let mut shares = Shares::new(members, partitions);
        shares.keep_what_is_owned();
        shares.give_what_is_free();
        shares.balance();
        shares
    }

    fn new(members: &'a [Subscriber], partitions: &BTreeMap<String, i32>) -> Shares<'a> {
        let wanted: BTreeSet<&String> = members.iter().flat_map(|member| &member.topics).collect();
        let there = partitions.iter().filter(|(topic, _)| wanted.contains(topic));
        let places = there.flat_map(|(topic, count)| {
            (0..*count).map(move |partition| TopicPartition::new(topic, partition))
        });
        Shares { members, owners: places.map(|place| (place, None)).collect(), loads: vec![0; members.len()] }
    }

    /// What members say they own. Of several the one of the youngest generation is believed; of one generation nobody.
    fn keep_what_is_owned(&mut self) {
        let mut claims: BTreeMap<TopicPartition, (i32, Option<Index>)> = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            for place in owned(member).filter(|place| member.topics.contains(&place.topic)) {
                let claim = claims.entry(place).or_insert((member.generation, Some(index)));
                if claim.1 == Some(index) {
                    continue;
                }
                if member.generation > claim.0 {
                    *claim = (member.generation, Some(index));
                } else if member.generation == claim.0 {
                    claim.1 = None;
                }
            }
        }
        for (place, (_, index)) in claims {
            if let (Some(owner), Some(index)) = (self.owners.get_mut(&place), index) {
                *owner = Some(index);
                self.loads[index] += 1;
            }
        }
    }

    /// Who has least of those who want the topic.
    fn least(&self, topic: &str) -> Option<Index> {
        let wanting = (0..self.members.len()).filter(|index| self.members[*index].topics.contains(topic));
        wanting.min_by_key(|index| self.loads[*index])
    }

    fn give_what_is_free(&mut self) {
        let free: Vec<TopicPartition> =
            self.owners.iter().filter(|(_, owner)| owner.is_none()).map(|(place, _)| place.clone()).collect();
        for place in free {
            if let Some(index) = self.least(&place.topic) {
                self.loads[index] += 1;
                self.owners.insert(place, Some(index));
            }
        }
    }

    /// From who has two more than another to that one, as long as there is such a pair. Every move makes the loads more
    /// even, so it ends.
    fn balance(&mut self) {
        // Who gives away does so from the end, as Kafka's.
        let places: Vec<TopicPartition> = self.owners.keys().rev().cloned().collect();
        loop {
            let mut is_even = true;
            for place in &places {
                let (Some(Some(from)), Some(to)) =
                    (self.owners.get(place).copied(), self.least(&place.topic))
                else {
                    continue;
                };
                if self.loads[from] > self.loads[to] + 1 {
                    self.loads[from] -= 1;
                    self.loads[to] += 1;
                    self.owners.insert(place.clone(), Some(to));
                    is_even = false;
                }
            }
            if is_even {
                return;
            }
        }
    }

    /// Without what only others claim.
    fn told(self, claimed: &Claims) -> Vec<Assignment> {
        let mut told = vec![Assignment::new(); self.members.len()];
        for (place, owner) in self.owners {
            let Some(index) = owner else { continue };
            let is_new = claimed.get(&place).is_some_and(|owners| !owners.contains(&index));
            if !is_new {
                told[index].entry(place.topic).or_default().push(place.partition);
            }
        }
        told
    }
}

fn owned(member: &Subscriber) -> impl Iterator<Item = TopicPartition> {
    let topics = member.owned.iter();
    topics.flat_map(|(topic, partitions)| {
        partitions.iter().map(|partition| TopicPartition::new(topic.as_str(), *partition))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(topics: &[&str], generation: i32, owned: &[(&str, &[i32])]) -> Subscriber {
        Subscriber {
            topics: topics.iter().map(|&topic| topic.into()).collect(),
            generation,
            owned: owned.iter().map(|(topic, partitions)| ((*topic).into(), partitions.to_vec())).collect(),
            ..Subscriber::default()
        }
    }

    fn shares(members: &[Subscriber], topics: &[(&str, i32)]) -> Vec<Vec<i32>> {
        let partitions = topics.iter().map(|&(topic, count)| (topic.into(), count)).collect();
        told(assign_cooperatively(members, &partitions))
    }

    fn told(assigned: Vec<Assignment>) -> Vec<Vec<i32>> {
        assigned.into_iter().map(|share| share.into_values().flatten().collect()).collect()
    }

    #[test]
    fn what_changes_hands_is_first_given_back_and_then_given() {
        let alone = member(&["t"], 1, &[("t", &[0, 1, 2, 3])]);
        let first = shares(&[alone, member(&["t"], -1, &[])], &[("t", 4)]);
        assert_eq!((first[0].len(), first[1].len()), (2, 0), "{first:?}");
        let stayed = member(&["t"], 2, &[("t", &first[0])]);
        let second = shares(&[stayed, member(&["t"], 2, &[])], &[("t", 4)]);
        assert_eq!(second[0], first[0], "what one has it keeps");
        assert_eq!(second[1].len(), 2);
    }

    #[test]
    fn what_changes_hands_is_given_at_once_where_everything_was_given_back() {
        let members = [member(&["t"], 1, &[("t", &[0, 1, 2, 3])]), member(&["t"], -1, &[])];
        let shared = told(assign(&members, &BTreeMap::from([("t".into(), 4)])));
        assert_eq!((shared[0].len(), shared[1].len()), (2, 2), "{shared:?}");
    }

    #[test]
    fn what_a_member_leaves_behind_goes_to_who_has_least() {
        let members = [member(&["t"], 3, &[("t", &[0, 1, 2])]), member(&["t"], 3, &[("t", &[3])])];
        assert_eq!(shares(&members, &[("t", 6)]), [vec![0, 1, 2], vec![3, 4, 5]]);
    }

    #[test]
    fn of_two_who_say_they_own_a_partition_the_younger_generation_is_believed() {
        let stale = member(&["t"], 1, &[("t", &[0])]);
        let fresh = member(&["t"], 2, &[("t", &[0])]);
        assert_eq!(shares(&[stale.clone(), fresh], &[("t", 1)]), [vec![], vec![0]]);
        let same = shares(&[stale.clone(), stale], &[("t", 1)]);
        assert_eq!(same.concat(), [0], "one of them has it: {same:?}");
    }

    #[test]
    fn only_who_wants_a_topic_gets_of_it() {
        let members = [member(&["t"], -1, &[]), member(&["u"], 1, &[("t", &[0])])];
        let shared = shares(&members, &[("t", 2), ("u", 1), ("v", 9)]);
        assert_eq!(shared, [vec![1], vec![0]], "t-0 is still to be given back");
    }

    /// Partitions by topic.
    type Had = &'static [(&'static str, &'static [i32])];

    /// A group: its topics, and of each member the topics it wants and what it had.
    struct Group {
        topics: &'static [(&'static str, i32)],
        members: &'static [(&'static [&'static str], Had)],
        /// What Kafka's assignor makes of it: how much each has, from least to most, and how much stays where it was.
        loads: &'static [usize],
        kept: usize,
    }

    const T: &[&str] = &["t"];
    const U: &[&str] = &["u"];
    const BOTH: &[&str] = &["t", "u"];

    /// As `org.apache.kafka.clients.consumer.StickyAssignor` of 4.3.1 answered.
    const GROUPS: &[Group] = &[
        Group { topics: &[("t", 10)], members: &[(T, &[]), (T, &[]), (T, &[])], loads: &[3, 3, 4], kept: 0 },
        // One comes.
        Group {
            topics: &[("t", 10)],
            members: &[
                (T, &[("t", &[0, 3, 6, 9])]),
                (T, &[("t", &[1, 4, 7])]),
                (T, &[("t", &[2, 5, 8])]),
                (T, &[]),
            ],
            loads: &[2, 2, 3, 3],
            kept: 8,
        },
        // One goes.
        Group {
            topics: &[("t", 10)],
            members: &[(T, &[("t", &[0, 3, 6])]), (T, &[("t", &[2, 5])]), (T, &[("t", &[8, 9])])],
            loads: &[3, 3, 4],
            kept: 7,
        },
        // The topic grows.
        Group {
            topics: &[("t", 13)],
            members: &[
                (T, &[("t", &[0, 3, 6])]),
                (T, &[("t", &[1, 4, 7])]),
                (T, &[("t", &[2, 5])]),
                (T, &[("t", &[8, 9])]),
            ],
            loads: &[3, 3, 3, 4],
            kept: 10,
        },
        Group {
            topics: &[("t", 4), ("u", 5)],
            members: &[(T, &[]), (BOTH, &[]), (U, &[])],
            loads: &[3, 3, 3],
            kept: 0,
        },
        Group {
            topics: &[("t", 4), ("u", 5)],
            members: &[
                (T, &[("t", &[0, 1, 2])]),
                (BOTH, &[("t", &[3]), ("u", &[2, 4])]),
                (U, &[("u", &[0, 1, 3])]),
                (BOTH, &[]),
            ],
            loads: &[2, 2, 2, 3],
            kept: 7,
        },
        // One topic grows, the other was made anew and is smaller: what is gone is nobody's.
        Group {
            topics: &[("t", 8), ("u", 5)],
            members: &[
                (T, &[("t", &[1, 2])]),
                (BOTH, &[("u", &[2, 4])]),
                (U, &[("u", &[0, 1, 3, 9])]),
                (BOTH, &[("t", &[0, 3])]),
            ],
            loads: &[3, 3, 3, 4],
            kept: 9,
        },
        // One wants another topic.
        Group {
            topics: &[("t", 4), ("u", 5)],
            members: &[
                (U, &[("t", &[1, 2])]),
                (BOTH, &[("u", &[2, 4])]),
                (U, &[("u", &[0, 1, 3])]),
                (BOTH, &[("t", &[0, 3])]),
            ],
            loads: &[2, 2, 2, 3],
            kept: 5,
        },
    ];

    #[test]
    fn shares_are_as_even_as_kafkas_and_no_less_stays_where_it_was() {
        for group in GROUPS {
            let members: Vec<Subscriber> =
                group.members.iter().map(|(topics, had)| member(topics, 1, had)).collect();
            let partitions = group.topics.iter().map(|&(topic, count)| (topic.into(), count)).collect();
            let shares = assign(&members, &partitions);
            let mut loads: Vec<usize> =
                shares.iter().map(|share| share.values().map(Vec::len).sum()).collect();
            loads.sort_unstable();
            assert_eq!(loads, group.loads, "{shares:?}");
            let kept = members.iter().zip(&shares).map(|(member, share)| {
                let stayed = |place: &TopicPartition| {
                    share.get(&place.topic).is_some_and(|partitions| partitions.contains(&place.partition))
                };
                owned(member).filter(stayed).count()
            });
            assert!(kept.sum::<usize>() >= group.kept, "{shares:?}");
        }
    }
}
