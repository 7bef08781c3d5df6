//! Who reads what in a classic group, decided by its leader.

use super::{config::Assignor, sticky};
use crate::client::member_data::Assignment;
use std::collections::{BTreeMap, BTreeSet};

/// A member and the topics it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// Static members come first and by this, so that they keep what they have.
    pub instance: Option<String>,
    pub member: String,
    pub topics: BTreeSet<String>,
    /// What it says it owns, where its assignor asks for that.
    pub owned: Assignment,
    /// As of which generation; -1 for none.
    pub generation: i32,
}

/// What each member gets, by its id; `partitions` are how many each topic has.
pub fn assign(
    assignor: Assignor,
    mut members: Vec<Subscriber>,
    partitions: &BTreeMap<String, i32>,
) -> BTreeMap<String, Assignment> {
    members.sort_by(|one, other| order(one).cmp(&order(other)));
    let mut assigned: BTreeMap<String, Assignment> =
        members.iter().map(|member| (member.member.clone(), Assignment::new())).collect();
    let mut give = |member: &Subscriber, topic: &str, partition: i32| {
        let of_member = assigned.entry(member.member.clone()).or_default();
        of_member.entry(topic.to_owned()).or_default().push(partition);
    };
    match assignor {
        Assignor::Range => range(&members, partitions, &mut give),
        Assignor::RoundRobin => round_robin(&members, partitions, &mut give),
        Assignor::Sticky | Assignor::CooperativeSticky => {
            let shares = match assignor {
                Assignor::Sticky => sticky::assign(&members, partitions),
                _ => sticky::assign_cooperatively(&members, partitions),
            };
            assigned.extend(members.into_iter().map(|member| member.member).zip(shares));
        }
    }
    assigned
}

fn order(member: &Subscriber) -> (bool, &str, &str) {
    (member.instance.is_none(), member.instance.as_deref().unwrap_or_default(), &member.member)
}

/// Each topic by itself, in ranges as even as can be, the first members getting one more (`RangeAssignor`).
fn range(
    members: &[Subscriber],
    partitions: &BTreeMap<String, i32>,
    give: &mut impl FnMut(&Subscriber, &str, i32),
) {
    for (topic, &count) in partitions {
        let wanting: Vec<_> = members.iter().filter(|member| member.topics.contains(topic)).collect();
        let Ok(sharing @ 1..) = i32::try_from(wanting.len()) else { continue };
        let (share, more) = (count / sharing, count % sharing);
        let mut next = 0;
        for (index, member) in (0..).zip(wanting) {
            let end = next + share + i32::from(index < more);
            (next..end).for_each(|partition| give(member, topic, partition));
            next = end;
        }
    }
}

/// All partitions of all topics, dealt out in turn (`RoundRobinAssignor`).
fn round_robin(
    members: &[Subscriber],
    partitions: &BTreeMap<String, i32>,
    give: &mut impl FnMut(&Subscriber, &str, i32),
) {
    let mut turn = members.iter().cycle().peekable();
    for (topic, &count) in partitions {
        if !members.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..count {
            while turn.next_if(|member| !member.topics.contains(topic)).is_some() {}
            if let Some(member) = turn.next() {
                give(member, topic, partition);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
        Subscriber {
            instance: instance.map(str::to_owned),
            member: name.into(),
            topics: topics.iter().map(|&topic| topic.into()).collect(),
            ..Subscriber::default()
        }
    }

    fn partitions(topics: &[(&str, i32)]) -> BTreeMap<String, i32> {
        topics.iter().map(|&(topic, count)| (topic.into(), count)).collect()
    }

    #[test]
    fn a_range_gives_the_first_members_one_more_of_each_topic() {
        let members =
            vec![member("b", None, &["t", "u"]), member("a", None, &["t"]), member("z", Some("0"), &["t"])];
        let assigned = assign(Assignor::Range, members, &partitions(&[("t", 4), ("u", 2)]));
        assert_eq!(assigned["z"], Assignment::from([("t".into(), vec![0, 1])]), "static members come first");
        assert_eq!(assigned["a"], Assignment::from([("t".into(), vec![2])]));
        assert_eq!(assigned["b"], Assignment::from([("t".into(), vec![3]), ("u".into(), vec![0, 1])]));
    }

    #[test]
    fn round_robin_deals_partitions_to_those_who_want_their_topic() {
        let members = vec![member("a", None, &["t"]), member("b", None, &["t", "u"])];
        let assigned = assign(Assignor::RoundRobin, members, &partitions(&[("t", 3), ("u", 2), ("v", 1)]));
        assert_eq!(assigned["a"], Assignment::from([("t".into(), vec![0, 2])]));
        assert_eq!(assigned["b"], Assignment::from([("t".into(), vec![1]), ("u".into(), vec![0, 1])]));
    }

    #[test]
    fn a_member_may_get_nothing() {
        let members = vec![member("a", None, &["t"]), member("b", None, &["t"])];
        let assigned = assign(Assignor::Range, members, &partitions(&[("t", 1)]));
        assert_eq!(assigned["b"], Assignment::new());
    }
}
