//! What the caller's thread and the sender's share: topics, and the batches that wait.

use super::{
    batch::{Batch, Identity},
    partitioner,
};
use crate::client::error::ClientError;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has said so; no step leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, not longer than `most`.
    pub fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    pub fn notify(&self) {
        self.changed.notify_all();
    }
}

#[derive(Default)]
pub struct State {
    pub topics: BTreeMap<String, Topic>,
    /// Bytes of all records that are not done.
    pub buffered: usize,
    /// Somebody waits for room: nothing lingers.
    pub is_full: bool,
    /// How many wait for everything to be done.
    pub flushing: usize,
    pub closing: bool,
    /// Who an idempotent producer is.
    pub identity: Option<Identity>,
    /// What a transactional producer's leaders may do by themselves: add their partition to its transaction.
    pub adds_partitions: bool,
    /// Why nothing can be sent any more.
    pub failed: Option<ClientError>,
}

impl State {
    pub fn topic(&mut self, name: &str) -> &mut Topic {
        if !self.topics.contains_key(name) {
            self.topics.insert(name.to_owned(), Topic::default());
        }
        self.topics.get_mut(name).expect("it was put there")
    }

    /// Sequences begin again, under an identity that has none yet.
    pub fn identify(&mut self, identity: Identity) {
        self.identity = Some(identity);
        for queue in self.topics.values_mut().flat_map(|topic| &mut topic.queues) {
            queue.next_sequence = 0;
            queue.again.iter_mut().for_each(|batch| batch.sequence = None);
        }
    }

    /// Whether no record waits or is under way.
    pub fn is_idle(&self) -> bool {
        self.topics.values().flat_map(|topic| &topic.queues).all(Queue::is_idle)
    }
}

#[derive(Default)]
pub struct Topic {
    /// One per partition; empty while they are not known.
    pub queues: Vec<Queue>,
    /// Why the topic cannot be sent to, told to the next who asks.
    pub failed: Option<ClientError>,
    /// Where records without a key go for now, and how many bytes already did.
    sticky: Option<(usize, usize)>,
}

impl Topic {
    pub fn is_known(&self) -> bool {
        !self.queues.is_empty()
    }

    /// The partition of a record. Without a key all go to one until a batch's worth has (KIP-794), then to another at
    /// random, if possible one with a leader.
    pub fn choose(&mut self, key: Option<&[u8]>, bytes: usize, batch_bytes: usize) -> usize {
        if let Some(key) = key {
            return partitioner::of_key(key, self.queues.len());
        }
        let (partition, sent) = match self.sticky {
            Some((partition, sent)) if sent < batch_bytes && partition < self.queues.len() => {
                (partition, sent)
            }
            _ => (self.any(), 0),
        };
        self.sticky = Some((partition, sent + bytes));
        partition
    }

    fn any(&self) -> usize {
        let led: Vec<usize> =
            (0..self.queues.len()).filter(|&index| self.queues[index].leader.is_some()).collect();
        match led.len() {
            0 => rand::random_range(0..self.queues.len()),
            count => led[rand::random_range(0..count)],
        }
    }
}

/// What goes to one partition.
#[derive(Default)]
pub struct Queue {
    pub leader: Option<i32>,
    /// In order; only the last takes more records.
    pub waiting: VecDeque<Batch>,
    /// Sent and to be sent again, in order, before anything that waits.
    pub again: VecDeque<Batch>,
    /// Batches that are sent and not answered.
    pub in_flight: usize,
    /// The next record's, of an idempotent producer.
    pub next_sequence: i32,
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.again.is_empty() && self.in_flight == 0
    }

    /// A batch that failed for now goes back among those before and behind it.
    pub fn put_back(&mut self, batch: Batch) {
        let place = |batch: &Batch| batch.sequence.map(|sequence| sequence.base);
        let at = self.again.iter().position(|other| place(other) > place(&batch)).unwrap_or(self.again.len());
        self.again.insert(at, batch);
    }
}
