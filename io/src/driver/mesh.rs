//! Queues between shards: one per ordered pair, with a single writer and a single reader, so FIFO and without locks.
//!
//! A full queue is no error: what does not fit waits, in order, in the sender's driver, which asks the receiver to ring
//! back when there is room again.

use super::shared::ShardShared;
use corelane_seam::{ListenerId, ShardId};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
};

/// A connection on its way to another shard.
pub(crate) struct Moving {
    pub(crate) socket: OwnedFd,
    pub(crate) listener: ListenerId,
    pub(crate) peer: SocketAddr,
}

/// What travels.
pub(crate) enum Envelope<M> {
    Message(M),
    Connection(Moving),
}

/// Set by a sender whose queue is full, taken by the receiver when it has made room.
type Starved = Arc<AtomicBool>;

struct Outlet<M> {
    queue: rtrb::Producer<Envelope<M>>,
    held: VecDeque<Envelope<M>>,
    starved: Starved,
    receiver: Arc<ShardShared>,
    to: ShardId,
    unannounced: bool,
}

impl<M> Outlet<M> {
    fn refill(&mut self) {
        while let Some(envelope) = self.held.pop_front() {
            match self.queue.push(envelope) {
                Ok(()) => self.unannounced = true,
                Err(rtrb::PushError::Full(envelope)) => {
                    self.held.push_front(envelope);
                    return;
                }
            }
        }
    }

    fn flush(&mut self, wake: &mut impl FnMut(ShardId)) {
        if self.queue.is_abandoned() {
            // The receiver has stopped; no one is left to read.
            self.held.clear();
            self.unannounced = false;
            return;
        }
        self.refill();
        if !self.held.is_empty() {
            self.starved.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            // The receiver may have emptied the queue before it could see that we starve.
            self.refill();
        }
        if std::mem::take(&mut self.unannounced) && self.receiver.doorbell.must_wake() {
            wake(self.to);
        }
    }
}

struct Inlet<M> {
    queue: rtrb::Consumer<Envelope<M>>,
    starved: Starved,
    sender: Arc<ShardShared>,
    from: ShardId,
}

/// One shard's ends of all queues.
pub(crate) struct Mesh<M> {
    outlets: Vec<Option<Outlet<M>>>,
    inlets: Vec<Inlet<M>>,
}

/// Queues between all shards, `capacity` entries each.
pub(crate) fn mesh<M>(shards: &[Arc<ShardShared>], capacity: usize) -> Vec<Mesh<M>> {
    let mut ends: Vec<Mesh<M>> =
        shards.iter().map(|_| Mesh { outlets: Vec::new(), inlets: Vec::new() }).collect();
    for from in 0..shards.len() {
        for to in 0..shards.len() {
            if from == to {
                ends[from].outlets.push(None);
                continue;
            }
            let (producer, consumer) = rtrb::RingBuffer::new(capacity);
            let starved = Starved::default();
            ends[from].outlets.push(Some(Outlet {
                queue: producer,
                held: VecDeque::new(),
                starved: Arc::clone(&starved),
                receiver: Arc::clone(&shards[to]),
                to: ShardId(to as u16),
                unannounced: false,
            }));
            ends[to].inlets.push(Inlet {
                queue: consumer,
                starved,
                sender: Arc::clone(&shards[from]),
                from: ShardId(from as u16),
            });
        }
    }
    ends
}

impl<M> Mesh<M> {
    /// Queues; the receiver hears of it with the next [`flush`](Self::flush).
    ///
    /// # Panics
    /// When `to` is the sender itself or no shard: a bug.
    pub(crate) fn send(&mut self, to: ShardId, envelope: Envelope<M>) {
        let outlet = self
            .outlets
            .get_mut(to.index())
            .and_then(Option::as_mut)
            .unwrap_or_else(|| panic!("a message to {to:?}, which is no other shard"));
        outlet.unannounced = true;
        if !outlet.held.is_empty() {
            outlet.held.push_back(envelope);
        } else if let Err(rtrb::PushError::Full(envelope)) = outlet.queue.push(envelope) {
            outlet.held.push_back(envelope);
        }
    }

    /// Has those woken who were sent something and sleep, and queues what was held back.
    pub(crate) fn flush(&mut self, mut wake: impl FnMut(ShardId)) {
        for outlet in self.outlets.iter_mut().flatten() {
            if outlet.unannounced || !outlet.held.is_empty() {
                outlet.flush(&mut wake);
            }
        }
    }

    /// Takes up to `limit` entries of each queue.
    pub(crate) fn receive(&mut self, limit: usize, mut take: impl FnMut(ShardId, Envelope<M>)) {
        for inlet in &mut self.inlets {
            let mut taken = 0;
            while taken < limit {
                let Ok(envelope) = inlet.queue.pop() else { break };
                take(inlet.from, envelope);
                taken += 1;
            }
            if taken > 0 {
                fence(Ordering::SeqCst);
                if inlet.starved.load(Ordering::Relaxed) && inlet.starved.swap(false, Ordering::AcqRel) {
                    inlet.sender.doorbell.ring();
                }
            }
        }
    }

    /// Whether something still waits for room in a queue that someone reads.
    pub(crate) fn holds_back(&self) -> bool {
        self.outlets.iter().flatten().any(|outlet| !outlet.held.is_empty() && !outlet.queue.is_abandoned())
    }

    /// Whether something waits to be received, or could be sent that was held back.
    pub(crate) fn has_work(&self) -> bool {
        self.inlets.iter().any(|inlet| !inlet.queue.is_empty())
            || self.outlets.iter().flatten().any(|outlet| {
                !outlet.held.is_empty() && (!outlet.queue.is_full() || outlet.queue.is_abandoned())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (Mesh<u32>, Mesh<u32>) {
        let shards: Vec<_> = (0..2).map(|_| Arc::new(ShardShared::new().expect("an eventfd"))).collect();
        let mut ends = mesh(&shards, 4).into_iter();
        (ends.next().expect("first"), ends.next().expect("second"))
    }

    fn received(mesh: &mut Mesh<u32>) -> Vec<u32> {
        let mut all = Vec::new();
        mesh.receive(3, |_, envelope| match envelope {
            Envelope::Message(number) => all.push(number),
            Envelope::Connection(_) => panic!("no connection was sent"),
        });
        all
    }

    #[test]
    fn a_full_queue_holds_back_in_order_and_loses_nothing() {
        let (mut sender, mut receiver) = two();
        let mut all = Vec::new();
        for number in 0..50 {
            sender.send(ShardId(1), Envelope::Message(number));
        }
        while all.len() < 50 {
            sender.flush(|_| ());
            all.extend(received(&mut receiver));
        }
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        assert!(!sender.has_work() && !receiver.has_work());
    }

    #[test]
    fn a_receiver_that_makes_room_tells_the_sender_who_starved() {
        let (mut sender, mut receiver) = two();
        for number in 0..6 {
            sender.send(ShardId(1), Envelope::Message(number));
        }
        sender.flush(|_| ());
        let starved = Arc::clone(&sender.outlets[1].as_ref().expect("an outlet").starved);
        assert!(starved.load(Ordering::Relaxed));
        assert_eq!(received(&mut receiver), [0, 1, 2]);
        assert!(!starved.load(Ordering::Relaxed) && sender.has_work());
    }

    #[test]
    fn what_is_sent_to_a_shard_that_has_stopped_is_dropped() {
        let (mut sender, receiver) = two();
        for number in 0..6 {
            sender.send(ShardId(1), Envelope::Message(number));
        }
        drop(receiver);
        sender.flush(|_| ());
        assert!(!sender.has_work());
    }
}
