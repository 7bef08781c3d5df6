//! Whatever members do, no partition has two owners at any time, and when they rest everyone has its share.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const TOPICS: [&[&str]; 4] = [&["t"], &["t", "u"], &["u"], &[]];
const MEMBERS: [&str; 5] = ["a", "b", "c", "i-1", "j-1"];

#[derive(Clone, Debug)]
enum Deed {
    /// A member sends a heartbeat, the first one if it is not in; the answer may get lost.
    Beat {
        member: usize,
        lost: bool,
    },
    /// It reads these topics from now on.
    Read {
        member: usize,
        topics: usize,
    },
    Leave(usize),
    LeaveForAWhile(usize),
    Grow(bool),
    Restart,
    Pass(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let member = 0..MEMBERS.len();
    prop_oneof![
        10 => (member.clone(), prop::bool::weighted(0.15)).prop_map(|(member, lost)| Deed::Beat { member, lost }),
        2 => (member.clone(), 0..TOPICS.len()).prop_map(|(member, topics)| Deed::Read { member, topics }),
        1 => member.clone().prop_map(Deed::Leave),
        1 => member.prop_map(Deed::LeaveForAWhile),
        1 => any::<bool>().prop_map(Deed::Grow),
        1 => Just(Deed::Restart),
        4 => (0..500_u64).prop_map(Deed::Pass),
    ]
}

/// A consumer, as good clients are: it gives up at once what it is not told to own any more.
#[derive(Clone, Debug, Default)]
struct Consumer {
    epoch: i32,
    topics: usize,
    owned: BTreeMap<Uuid, BTreeSet<i32>>,
}

struct World {
    bench: Bench,
    consumers: Vec<Consumer>,
    partitions: [i32; 2],
}

impl World {
    fn new() -> World {
        let consumers = vec![Consumer::default(); MEMBERS.len()];
        World { bench: Bench::new(&[("t", 3), ("u", 2)]), consumers, partitions: [3, 2] }
    }

    fn act(&mut self, deed: &Deed) {
        match *deed {
            Deed::Beat { member, lost } => self.beat(member, lost),
            Deed::Read { member, topics } => self.consumers[member].topics = topics,
            Deed::Leave(member) => self.leave(member, -1),
            Deed::LeaveForAWhile(member) if MEMBERS[member].contains('-') => self.leave(member, -2),
            Deed::LeaveForAWhile(_) => {}
            Deed::Grow(first) => {
                let place = usize::from(!first);
                self.bench.add_partition(["t", "u"][place], self.partitions[place]);
                self.partitions[place] += 1;
            }
            Deed::Restart => {
                let before = self.bench.describe();
                self.bench.restart();
                assert_eq!(self.bench.describe(), before, "what is loaded is what was");
            }
            Deed::Pass(ms) => drop(self.bench.pass_ms(ms)),
        }
        self.check();
    }

    fn beat(&mut self, member: usize, lost: bool) {
        let (name, consumer) = (MEMBERS[member], self.consumers[member].clone());
        let owned = consumer.owned.iter().map(|(topic, partitions)| {
            OwnedPartitions::default()
                .with_topic_id(*topic)
                .with_partitions(partitions.iter().copied().collect())
        });
        let request = join(name, TOPICS[consumer.topics])
            .with_member_epoch(consumer.epoch)
            .with_rebalance_timeout_ms(1_000_000)
            .with_instance_id(name.split_once('-').map(|(instance, _)| s(instance)))
            .with_topic_partitions(Some(owned.collect()));
        let (response, _) = self.bench.beat(request);
        if lost {
            return;
        }
        let consumer = &mut self.consumers[member];
        if response.error_code != 0 {
            let error = ErrorCode::from_code(response.error_code).expect("a code");
            assert!(
                matches!(
                    error,
                    ErrorCode::FencedMemberEpoch
                        | ErrorCode::UnknownMemberId
                        | ErrorCode::UnreleasedInstanceId
                ),
                "{error}"
            );
            *consumer = Consumer { topics: consumer.topics, ..Consumer::default() };
            return;
        }
        consumer.epoch = response.member_epoch;
        if let Some(assignment) = response.assignment {
            let owned = assignment.topic_partitions.into_iter();
            consumer.owned = owned.map(|it| (it.topic_id, it.partitions.into_iter().collect())).collect();
        }
    }

    fn leave(&mut self, member: usize, epoch: i32) {
        let name = MEMBERS[member];
        let instance = name.split_once('-').map(|(instance, _)| s(instance));
        self.bench.beat(go_on(name, epoch).with_instance_id(instance));
        let consumer = &mut self.consumers[member];
        *consumer = Consumer { topics: consumer.topics, ..Consumer::default() };
    }

    fn owned(&self) -> Vec<(Uuid, i32)> {
        let all = self.consumers.iter().flat_map(|consumer| &consumer.owned);
        all.flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition))).collect()
    }

    fn check(&self) {
        let owned = self.owned();
        let distinct: BTreeSet<_> = owned.iter().collect();
        assert_eq!(owned.len(), distinct.len(), "two consumers read the same: {:?}", self.consumers);
    }

    /// Everyone sends heartbeats until nothing changes any more: also static members that were fenced, which must wait
    /// until their former session is over.
    fn rest(&mut self) {
        for _ in 0..45 {
            self.bench.pass_ms(1500);
            (0..MEMBERS.len()).for_each(|member| self.beat(member, false));
            self.check();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn whatever_members_do_everything_that_is_read_is_owned_once_in_the_end(
        deeds in proptest::collection::vec(deed(), 0..80),
    ) {
        let mut world = World::new();
        deeds.iter().for_each(|deed| world.act(deed));
        world.rest();
        prop_assert_eq!(world.bench.state(), "Stable");
        let mut read: BTreeSet<&str> = BTreeSet::new();
        world.consumers.iter().for_each(|consumer| read.extend(TOPICS[consumer.topics]));
        let there: i32 = [("t", world.partitions[0]), ("u", world.partitions[1])]
            .into_iter()
            .filter(|(topic, _)| read.contains(topic))
            .map(|(_, partitions)| partitions)
            .sum();
        prop_assert_eq!(world.owned().len(), usize::try_from(there).expect("small"));
        let described = world.bench.describe();
        for (member, consumer) in described.members.iter().zip(&world.consumers) {
            prop_assert_eq!(&member.assignment, &member.target_assignment);
            prop_assert_eq!(member.member_epoch, consumer.epoch);
        }
    }
}

#[test]
fn a_thousand_members_share_a_thousand_partitions_and_a_heartbeat_costs_no_record() {
    let mut bench = Bench::new(&[("t", 1000)]);
    let names: Vec<String> = (0..1000).map(|number| format!("m{number:04}")).collect();
    for name in &names {
        bench.beat(join(name, &["t"]));
    }
    bench.pass_ms(1000);
    let mut epochs = vec![1; names.len()];
    let mut owned: Vec<Vec<i32>> = vec![Vec::new(); names.len()];
    for _ in 0..4 {
        for (place, name) in names.iter().enumerate() {
            let (response, _) = bench.beat(owning(name, epochs[place], &[("t", &owned[place])]));
            epochs[place] = response.member_epoch;
            if let Some(partitions) = told(&response) {
                owned[place] = partitions;
            }
        }
    }
    assert!(owned.iter().all(|own| own.len() == 1));
    assert_eq!(bench.state(), "Stable");
    let written = bench.log.len();
    names.iter().zip(&epochs).for_each(|(name, epoch)| drop(bench.beat(go_on(name, *epoch))));
    assert_eq!(bench.log.len(), written);
}
