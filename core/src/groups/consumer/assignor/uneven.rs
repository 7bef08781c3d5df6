//! The uniform assignor where members read different topics (`UniformHeterogeneousAssignmentBuilder`).

use super::Spec;
use crate::{groups::consumer::member::Partitions, ids::TopicId};
use std::collections::BTreeMap;

/// How often all topics are gone through for balance: each time moves fewer partitions.
const ROUNDS_MAX: usize = 16;

/// A topic: who reads it, and who is to own each partition. Members are named by their place.
struct Topic {
    readers: Vec<usize>,
    owners: Vec<Option<usize>>,
}

struct Builder {
    topics: BTreeMap<TopicId, Topic>,
    /// How many partitions each member is to own.
    loads: Vec<usize>,
}

/// Everyone keeps what it was to own and still reads; what nobody has goes to the readers with the least; then
/// partitions move from readers with more to readers with less, topic by topic, while that evens them.
pub(super) fn assign(spec: &Spec<'_>) -> Vec<Partitions> {
    let mut builder = Builder::new(spec);
    builder.keep(spec);
    let order = builder.order();
    builder.give_out(&order);
    builder.balance(&order);
    let mut assigned = vec![Partitions::new(); spec.subscribers.len()];
    for (topic, it) in &builder.topics {
        for (partition, owner) in (0..).zip(&it.owners) {
            if let Some(owner) = owner {
                assigned[*owner].entry(*topic).or_default().insert(partition);
            }
        }
    }
    assigned
}

impl Builder {
    fn new(spec: &Spec<'_>) -> Builder {
        let mut topics: BTreeMap<TopicId, Topic> = BTreeMap::new();
        for (place, subscriber) in spec.subscribers.iter().enumerate() {
            for topic in subscriber.topics.iter() {
                let fresh = || {
                    let count = usize::try_from(spec.count(*topic)).unwrap_or(0);
                    Topic { readers: Vec::new(), owners: vec![None; count] }
                };
                topics.entry(*topic).or_insert_with(fresh).readers.push(place);
            }
        }
        Builder { topics, loads: vec![0; spec.subscribers.len()] }
    }

    fn keep(&mut self, spec: &Spec<'_>) {
        for (place, subscriber) in spec.subscribers.iter().enumerate() {
            for (topic, partitions) in subscriber.target.iter().filter(|(topic, _)| subscriber.reads(**topic))
            {
                let Some(topic) = self.topics.get_mut(topic) else { continue };
                for partition in partitions {
                    let slot = usize::try_from(*partition).ok().and_then(|index| topic.owners.get_mut(index));
                    if let Some(owner @ None) = slot {
                        *owner = Some(place);
                        self.loads[place] += 1;
                    }
                }
            }
        }
    }

    /// The topics, those first that leave the least choice: many partitions per reader, then few readers.
    fn order(&self) -> Vec<TopicId> {
        let mut order: Vec<TopicId> = self.topics.keys().copied().collect();
        order.sort_by(|a, b| {
            let (a, b) = (&self.topics[a], &self.topics[b]);
            // Partitions per reader, without dividing.
            let per_reader = (b.owners.len() * a.readers.len()).cmp(&(a.owners.len() * b.readers.len()));
            per_reader.then(a.readers.len().cmp(&b.readers.len()))
        });
        order
    }

    fn give_out(&mut self, order: &[TopicId]) {
        for id in order {
            let Some(topic) = self.topics.get_mut(id) else { continue };
            let mut scale = Scale::new(&topic.readers, &self.loads);
            for owner in topic.owners.iter_mut().filter(|owner| owner.is_none()) {
                let reader = scale.next_least(&self.loads);
                *owner = Some(reader);
                self.loads[reader] += 1;
            }
        }
    }

    /// Goes through the topics until one time round has moved nothing.
    fn balance(&mut self, order: &[TopicId]) {
        let order: Vec<TopicId> =
            order.iter().copied().filter(|topic| self.topics[topic].readers.len() >= 2).collect();
        let mut last_moved = None;
        for _ in 0..ROUNDS_MAX {
            for (place, topic) in order.iter().enumerate() {
                if last_moved == Some(place) {
                    return;
                }
                if self.balance_topic(*topic) || last_moved.is_none() {
                    last_moved = Some(place);
                }
            }
        }
    }

    /// Moves partitions of one topic from its readers with the most to those with the least; whether any moved.
    fn balance_topic(&mut self, id: TopicId) -> bool {
        let Some(topic) = self.topics.get_mut(&id) else { return false };
        let mut scale = Scale::new(&topic.readers, &self.loads);
        if scale.is_even_at_first(&self.loads) {
            return false;
        }
        // What each reader can give, the highest partition last.
        let mut gives: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in topic.owners.iter().enumerate() {
            if let Some(owner) = owner {
                gives.entry(*owner).or_default().push(partition);
            }
        }
        let mut moved = false;
        while !scale.is_even() {
            let giver = loop {
                match scale.next_most(&self.loads) {
                    None => return moved,
                    Some(reader) => match gives.get_mut(&reader).and_then(Vec::pop) {
                        Some(partition) => break (reader, partition),
                        None => scale.leave_out(),
                    },
                }
            };
            let taker = scale.next_least(&self.loads);
            if scale.is_even() {
                break;
            }
            let (reader, partition) = giver;
            topic.owners[partition] = Some(taker);
            self.loads[reader] -= 1;
            self.loads[taker] += 1;
            moved = true;
        }
        moved
    }
}

/// The readers of a topic by their load. Those at the low end take in turns until they are level with the next ones,
/// who then take turns with them; those at the high end give likewise.
struct Scale {
    readers: Vec<usize>,
    /// Readers before this place take in turns; all of them have this load at the start of a turn.
    low_end: usize,
    low_load: isize,
    next_low: usize,
    /// Readers from the one place up to the other give in turns; all of them have this load at the start of a turn.
    /// Those after them have nothing to give.
    high_start: usize,
    high_end: usize,
    high_load: isize,
    /// The next to give, plus one.
    next_high: usize,
}

fn load(loads: &[usize], reader: usize) -> isize {
    isize::try_from(loads[reader]).unwrap_or(isize::MAX)
}

impl Scale {
    fn new(readers: &[usize], loads: &[usize]) -> Scale {
        let mut readers = readers.to_vec();
        readers.sort_by_key(|reader| (loads[*reader], *reader));
        let ends = [readers.first(), readers.last()].map(|it| it.map_or(0, |reader| load(loads, *reader)));
        let count = readers.len();
        Scale {
            readers,
            low_end: 0,
            low_load: ends[0] - 1,
            next_low: 0,
            high_start: count,
            high_end: count,
            high_load: ends[1] + 1,
            next_high: count,
        }
    }

    fn is_even_at_first(&self, loads: &[usize]) -> bool {
        let ends = [self.readers.first(), self.readers.last()];
        let [Some(low), Some(high)] = ends else { return true };
        load(loads, *high) - load(loads, *low) <= 1
    }

    fn is_even(&self) -> bool {
        self.high_load - self.low_load <= 1
    }

    /// The next reader to take. There is at least one reader.
    fn next_least(&mut self, loads: &[usize]) -> usize {
        if self.next_low >= self.low_end {
            self.low_load += 1;
            let next = self.readers[self.low_end..].iter();
            self.low_end += next.take_while(|reader| load(loads, **reader) == self.low_load).count();
            self.next_low = 0;
        }
        self.next_low += 1;
        self.readers[self.next_low - 1]
    }

    /// The next reader to give, if any can.
    fn next_most(&mut self, loads: &[usize]) -> Option<usize> {
        if self.next_high <= self.high_start {
            let before = self.readers[..self.high_start].last();
            self.high_load = match before {
                // Nobody of this turn can give: on to the next ones.
                Some(reader) if self.high_end <= self.high_start => load(loads, *reader),
                _ => self.high_load - 1,
            };
            let before = self.readers[..self.high_start].iter().rev();
            self.high_start -= before.take_while(|reader| load(loads, **reader) == self.high_load).count();
            self.next_high = self.high_end;
        }
        self.next_high = self.next_high.checked_sub(1)?;
        Some(self.readers[self.next_high])
    }

    /// The reader that was just to give has nothing to give of this topic.
    fn leave_out(&mut self) {
        self.high_end -= 1;
        self.readers.swap(self.next_high, self.high_end);
    }
}
