//! Answers that are worth something only from who leads yet. A leader that has been replaced, and has not heard of it,
//! would tell what is no longer so: an offset from which a transactional application starts again, and transforms once
//! more what its successor's coordinator knows to be done; or that a producer's batch is out of order, of which a client
//! says that records were lost, when its successor has the batches between. (Kafka's brokers do tell that.)
//!
//! So such an answer waits until every follower in sync has asked for the partition once more: whoever did had not begun
//! to lead it when the question came, and nobody else may lead next. It is what Raft does for its reads (Ongaro's thesis,
//! section 6.4), by way of the fetches that come anyway.

use super::{Answers, JobId, Owner};
use crate::{
    engine::{
        message::{Asker, OwnerResponse},
        partition::Partition,
    },
    error::ErrorCode,
    ids::{NodeId, PartitionId},
    log::Fault,
};
use corelane_seam::{Monotonic, Now};
use std::collections::{BTreeMap, VecDeque};

/// How long such an answer waits, in ms. Its client looks for the leader anew then. (As long as a commit waits in
/// Kafka: `offsets.commit.timeout.ms`.)
const CONFIRMED_WITHIN_MS: u64 = 5_000;

/// An answer that waits.
#[derive(Debug)]
pub(super) enum Unconfirmed {
    /// A coordinator's.
    Reply {
        asker: Asker,
        place: u32,
        told: OwnerResponse,
        /// The same place's answer when it is an error.
        refused: fn(u32, ErrorCode) -> OwnerResponse,
    },
    /// A batch that is refused, as prepared.
    Refusal { job: JobId, place: u32 },
}

#[derive(Debug)]
struct Waiting {
    /// Which followers must have answered.
    question: u64,
    until: Monotonic,
    answer: Unconfirmed,
}

/// Those of one shard, by partition and in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Confirmations(BTreeMap<PartitionId, VecDeque<Waiting>>);

impl Confirmations {
    /// When the first has waited too long.
    pub fn due(&self) -> Option<Monotonic> {
        self.0.values().filter_map(VecDeque::front).map(|waiting| waiting.until).min()
    }

    /// The next of a partition, if it `may` go.
    fn pop(&mut self, id: PartitionId, may: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let queue = self.0.get_mut(&id)?;
        let popped = queue.pop_front_if(|waiting| may(waiting));
        if queue.is_empty() {
            self.0.remove(&id);
        }
        popped
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.0.keys().copied().collect()
    }
}

impl Owner {
    /// Answers when followers have confirmed that this broker leads yet; at once, if there are none in sync.
    pub(super) fn answer_when_confirmed(
        &mut self,
        now: Now,
        id: PartitionId,
        answer: Unconfirmed,
        answers: &mut Answers,
    ) {
        let asks = self.store.fault() != Fault::TellUnconfirmed;
        let Some(partition) = self.partitions.get(&id).filter(|_| asks) else {
            return self.confirmed(answer, answers);
        };
        let question = self.replica_sessions.ask_who_leads(&partition.replica_sessions, id);
        if self.last_confirmed(id) >= question {
            return self.confirmed(answer, answers);
        }
        let until = now.monotonic.after_ms(CONFIRMED_WITHIN_MS);
        self.confirmations.0.entry(id).or_default().push_back(Waiting { question, until, answer });
    }

    /// Answers what followers have confirmed. Called once in a turn, because much can bring it about: a follower's fetch,
    /// its death, other metadata.
    pub fn answer_confirmed(&mut self, answers: &mut Answers) {
        for id in self.confirmations.partitions() {
            self.answer_confirmed_of(id, answers);
        }
    }

    fn answer_confirmed_of(&mut self, id: PartitionId, answers: &mut Answers) {
        let last = self.last_confirmed(id);
        while let Some(waiting) = self.confirmations.pop(id, |waiting| waiting.question <= last) {
            self.confirmed(waiting.answer, answers);
        }
    }

    fn confirmed(&mut self, answer: Unconfirmed, answers: &mut Answers) {
        match answer {
            Unconfirmed::Reply { asker, told, .. } => answers.push((asker, told)),
            Unconfirmed::Refusal { job, place } => self.jobs.settle(job, place, None, answers),
        }
    }

    /// It is not known that this broker leads, or known that it does not.
    fn not_confirmed(&mut self, answer: Unconfirmed, coordinator: ErrorCode, answers: &mut Answers) {
        match answer {
            Unconfirmed::Reply { asker, place, refused, .. } => {
                answers.push((asker, refused(place, coordinator)));
            }
            Unconfirmed::Refusal { job, place } => {
                self.jobs.settle(job, place, Some(ErrorCode::NotLeaderOrFollower), answers);
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

    /// A partition is led no more, or this broker stops: whoever waits is told to go elsewhere.
    pub(super) fn fail_unconfirmed(&mut self, id: PartitionId, answers: &mut Answers) {
        for waiting in self.confirmations.0.remove(&id).unwrap_or_default() {
            self.not_confirmed(waiting.answer, ErrorCode::NotCoordinator, answers);
        }
    }

    /// The same of all partitions.
    pub(super) fn fail_all_unconfirmed(&mut self, answers: &mut Answers) {
        for id in self.confirmations.partitions() {
            self.fail_unconfirmed(id, answers);
        }
    }

    /// Those who have waited too long are told to look for the leader.
    pub(super) fn give_up_unconfirmed(&mut self, now: Now, answers: &mut Answers) {
        if self.confirmations.due().is_none_or(|due| due > now.monotonic) {
            return;
        }
        for id in self.confirmations.partitions() {
            let mut last = 0;
            while let Some(waiting) = self.confirmations.pop(id, |waiting| waiting.until <= now.monotonic) {
                last = waiting.question;
                self.not_confirmed(waiting.answer, ErrorCode::CoordinatorNotAvailable, answers);
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
