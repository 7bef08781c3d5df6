//! Answers that are worth something only from who leads yet. A leader that has been replaced, and has not heard of it,
//! would tell what is no longer so: above all an offset from which a transactional application starts again, and
//! transforms once more what its successor's coordinator knows to be done. (Kafka's coordinators do tell it.)
//!
//! So such an answer waits until every follower in sync has asked for the partition once more: whoever did had not begun
//! to lead it when the question came, and nobody else may lead next. It is what Raft does for its reads (Ongaro's thesis,
//! section 6.4), by way of the fetches that come anyway.

use super::{Coordination, Host, reply};
use crate::{
    engine::{
        owner::{Answers, Owner},
        partition::Partition,
    },
    error::ErrorCode,
    groups::{Coordinator as Groups, Ticket},
    ids::{NodeId, PartitionId},
    log::Fault,
};
use corelane_seam::{Monotonic, Now};
use std::collections::{BTreeMap, VecDeque};

/// How long such an answer waits, in ms. Its client looks for the coordinator anew then. (As long as a commit waits in
/// Kafka: `offsets.commit.timeout.ms`.)
const CONFIRMED_WITHIN_MS: u64 = 5_000;

/// Answers to one client, until followers have spoken.
#[derive(Debug)]
struct Waiting<C: Coordination> {
    /// Which they must have answered.
    question: u64,
    until: Monotonic,
    replies: Vec<(Ticket, Result<C::Response, ErrorCode>)>,
}

/// Those of one shard, by partition and in the order in which they came.
#[derive(Debug)]
pub(super) struct Unconfirmed<C: Coordination>(BTreeMap<PartitionId, VecDeque<Waiting<C>>>);

impl<C: Coordination> Default for Unconfirmed<C> {
    fn default() -> Unconfirmed<C> {
        Unconfirmed(BTreeMap::new())
    }
}

impl<C: Coordination> Unconfirmed<C> {
    /// When the first has waited too long.
    pub fn due(&self) -> Option<Monotonic> {
        self.0.values().filter_map(VecDeque::front).map(|waiting| waiting.until).min()
    }

    /// Who waits for answers of a partition's coordinator, to be told something else.
    pub fn take(&mut self, id: PartitionId) -> impl Iterator<Item = Ticket> + use<C> {
        tickets(self.0.remove(&id).into_iter().flatten())
    }

    /// The same of all of them.
    pub fn take_all(&mut self) -> impl Iterator<Item = Ticket> + use<C> {
        tickets(std::mem::take(&mut self.0).into_values().flatten())
    }

    /// The answers of a partition up to a question.
    fn pop(&mut self, id: PartitionId, may: impl Fn(&Waiting<C>) -> bool) -> Option<Waiting<C>> {
        let queue = self.0.get_mut(&id)?;
        let popped = queue.pop_front_if(|waiting| may(waiting));
        if queue.is_empty() {
            self.0.remove(&id);
        }
        popped
    }
}

fn tickets<C: Coordination>(waiting: impl Iterator<Item = Waiting<C>>) -> impl Iterator<Item = Ticket> {
    waiting.flat_map(|waiting| waiting.replies).map(|(ticket, _)| ticket)
}

impl Owner {
    /// Answers with what is committed. What only a leader may tell waits for its followers, if there are any.
    pub(super) fn answer<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        replies: Vec<(Ticket, Result<C::Response, ErrorCode>)>,
        of_leader: bool,
        answers: &mut Answers,
    ) {
        let asks = of_leader && self.store.fault() != Fault::TellOffsetsUnconfirmed;
        let Some(partition) = self.partitions.get(&id).filter(|_| asks) else {
            return replies.into_iter().for_each(|(ticket, answer)| reply::<C>(ticket, answer, answers));
        };
        let question = self.replica_sessions.ask_who_leads(&partition.replica_sessions, id);
        let until = now.monotonic.after_ms(CONFIRMED_WITHIN_MS);
        let waiting = Waiting { question, until, replies };
        C::host(self).unconfirmed.0.entry(id).or_default().push_back(waiting);
        self.answer_confirmed_of::<C>(id, answers);
    }

    /// Answers what followers have confirmed. Called once in a turn, because much can bring it about: a follower's fetch,
    /// its death, other metadata.
    pub fn answer_confirmed(&mut self, answers: &mut Answers) {
        let ids: Vec<PartitionId> = self.groups.unconfirmed.0.keys().copied().collect();
        for id in ids {
            self.answer_confirmed_of::<Groups>(id, answers);
        }
    }

    fn answer_confirmed_of<C: Coordination>(&mut self, id: PartitionId, answers: &mut Answers) {
        let last = self.last_confirmed(id);
        while let Some(waiting) = C::host(self).unconfirmed.pop(id, |waiting| waiting.question <= last) {
            for (ticket, answer) in waiting.replies {
                reply::<C>(ticket, answer, answers);
            }
        }
    }

    /// The last question to which the answer is known: this broker leads.
    fn last_confirmed(&self, id: PartitionId) -> u64 {
        // Without enough in sync somebody who is not may lead next (KIP-966).
        let Some(partition) = self.partitions.get(&id).filter(|it| it.is_led_next_from_the_isr()) else {
            return 0;
        };
        self.answered_questions(partition).map(|(_, question)| question).min().unwrap_or(u64::MAX)
    }

    /// The followers that are in sync, or may be, with the last question that each has answered.
    fn answered_questions(&self, partition: &Partition) -> impl Iterator<Item = (NodeId, u64)> {
        let others = partition.replicas.may_be_in_sync().filter(|node| *node != self.replication.node);
        others.map(|node| {
            let keys = &partition.replica_sessions;
            (node, self.replica_sessions.follows_since(keys, partition.id, partition.leader_epoch, node))
        })
    }

    /// Those who have waited too long are told to look for the coordinator.
    pub(super) fn give_up_unconfirmed<C: Coordination>(&mut self, now: Now, answers: &mut Answers) {
        let host: &mut Host<C> = C::host(self);
        if host.unconfirmed.due().is_none_or(|due| due > now.monotonic) {
            return;
        }
        let ids: Vec<PartitionId> = host.unconfirmed.0.keys().copied().collect();
        for id in ids {
            let mut last = 0;
            while let Some(waiting) =
                C::host(self).unconfirmed.pop(id, |waiting| waiting.until <= now.monotonic)
            {
                last = waiting.question;
                for (ticket, _) in waiting.replies {
                    reply::<C>(ticket, Err(ErrorCode::CoordinatorNotAvailable), answers);
                }
            }
            self.note_silence(now, id, last);
        }
    }

    /// Who has not answered a question may not keep others waiting for ever.
    fn note_silence(&mut self, now: Now, id: PartitionId, question: u64) {
        let Some(partition) = self.partitions.get(&id) else { return };
        let silent: Vec<NodeId> = self
            .answered_questions(partition)
            .filter(|(_, answered)| *answered < question)
            .map(|(node, _)| node)
            .collect();
        for node in silent {
            if let Some(partition) = self.partitions.get_mut(&id) {
                partition.replicas.note_silence(node, now.monotonic);
            }
            self.hear_again(id, node);
        }
    }
}
