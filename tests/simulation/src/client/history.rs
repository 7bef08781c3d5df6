//! What clients know, in the order in which they came to know it. Invariants judge this and nothing else.

use super::quorum::Voter;
use corelane_core::ids::{Offset, PartitionId, ProducerId, TopicId};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// A record's own number, carried in its value, never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId(pub u64);

/// A place in the history: what was noted earlier has a smaller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub usize);

/// What a producer asked to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nothing.
    None,
    /// The leader's write.
    Leader,
    /// The flush on every in-sync replica.
    All,
}

/// A record at its offset, as an answer showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub offset: Offset,
    /// What.
    pub record: RecordId,
}

/// One thing that clients came to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A record is sent, for the first time or again. Until it is acknowledged its outcome is unknown.
    Sent {
        /// Which.
        record: RecordId,
        /// Where to.
        partition: PartitionId,
        /// What its producer waits for.
        acks: Acks,
        /// By an idempotent producer.
        producer: Option<ProducerId>,
    },
    /// A record was acknowledged at an offset.
    Acknowledged {
        /// Which.
        record: RecordId,
        /// Where.
        partition: PartitionId,
        /// What its producer had asked to wait for.
        acks: Acks,
        /// At which offset.
        offset: Offset,
    },
    /// A fetch was answered. What lies before the offset that was asked for is left out.
    Fetched {
        /// Where.
        partition: PartitionId,
        /// When it was asked.
        asked: Moment,
        /// From which offset.
        from: Offset,
        /// The log start offset in the answer.
        log_start: Offset,
        /// The high watermark in the answer.
        high_watermark: Offset,
        /// What came, in order.
        records: Vec<Seen>,
    },
    /// Everything from the log start to the high watermark, read while nothing was written.
    Audited {
        /// Where.
        partition: PartitionId,
        /// The log start offset.
        log_start: Offset,
        /// The high watermark.
        high_watermark: Offset,
        /// What is there, in order.
        records: Vec<Seen>,
    },
    /// Records below an offset were asked to be deleted; they may be gone from here on.
    DeleteRecordsAsked {
        /// Where.
        partition: PartitionId,
        /// Below this one.
        before: Offset,
    },
    /// A topic was asked to be deleted; all of it may be gone from here on.
    DeleteTopicAsked {
        /// Any of its partitions.
        topic: TopicId,
    },
    /// Marks of a partition that an answer showed outside of a fetch.
    Marks {
        /// Where.
        partition: PartitionId,
        /// When it was asked.
        asked: Moment,
        /// The log start offset, if the answer showed it.
        log_start: Option<Offset>,
        /// The high watermark, if the answer showed it.
        high_watermark: Option<Offset>,
    },
    /// A topic was acknowledged to have at least so many partitions.
    TopicAcknowledged {
        /// Which.
        topic: TopicId,
        /// How many.
        partitions: i32,
    },
    /// A topic is compacted: of a key, only its last record need be there.
    TopicCompacted {
        /// All of its partitions.
        topic: TopicId,
        /// Its tombstones outlast any replica's absence. Otherwise a replica that was away for longer may bring back
        /// what they buried, as on Kafka (`delete.retention.ms`).
        buries_for_good: bool,
    },
    /// All topics with their numbers of partitions, asked for while nothing was changed.
    TopicsAudited {
        /// Every topic.
        topics: BTreeMap<TopicId, i32>,
    },
    /// Someone asked for a partition to be moved, for the first time or again.
    ReassignmentAsked {
        /// Which.
        partition: PartitionId,
        /// To which brokers; `None`: back to where it was before the last move.
        replicas: Option<Vec<i32>>,
    },
    /// That was agreed to.
    Reassigned {
        /// Which.
        partition: PartitionId,
        /// To which brokers; `None`: back.
        replicas: Option<Vec<i32>>,
        /// When it was asked.
        asked: Moment,
    },
    /// Where a partition is, asked for while nothing was being moved.
    Placed {
        /// Which.
        partition: PartitionId,
        /// Its replicas, the preferred leader first.
        replicas: Vec<i32>,
    },
    /// Someone asked for a change of who votes in the metadata quorum, for the first time or again.
    VoterChangeAsked {
        /// Whose vote.
        voter: Voter,
        /// Whether it votes afterwards.
        votes: bool,
    },
    /// That was done.
    VoterChanged {
        /// Whose vote.
        voter: Voter,
        /// Whether it votes now.
        votes: bool,
        /// When it was asked.
        asked: Moment,
    },
    /// Who votes in the metadata quorum: at first, and when it is asked for while nothing is being changed.
    Voters {
        /// All of them.
        voters: BTreeSet<Voter>,
    },
    /// A partition is to become a part of a transaction: it may have markers from here on.
    Added {
        /// Which.
        partition: PartitionId,
    },
    /// A record is sent in a transaction, which is numbered over all clients.
    Wrote {
        /// Which transaction.
        transaction: u64,
        /// Which record.
        record: RecordId,
        /// Where to.
        partition: PartitionId,
    },
    /// A record that is sent tells what became of another one: that of a group's input at an offset. To be counted once,
    /// with the group's own offset.
    Transformed {
        /// Which group.
        group: Rc<str>,
        /// Its input.
        input: PartitionId,
        /// Of the record that was read.
        offset: Offset,
        /// The record that is written.
        record: RecordId,
        /// Where to.
        output: PartitionId,
    },
    /// A group has read its input up to the end, and all that it wrote is committed.
    Drained {
        /// Which group.
        group: Rc<str>,
        /// Its input.
        input: PartitionId,
        /// Where it ended.
        to: Offset,
    },
    /// A transaction's producer asked for its end, for the first time or again.
    EndAsked {
        /// Which.
        transaction: u64,
        /// Whether it is to be committed.
        commit: bool,
    },
    /// That is decided.
    EndAnswered {
        /// Which.
        transaction: u64,
        /// Whether it is committed.
        commit: bool,
    },
    /// What a reader of committed records finds from the log start to the last stable offset, when nothing is written
    /// any more.
    AuditedCommitted {
        /// Where.
        partition: PartitionId,
        /// The log start offset.
        log_start: Offset,
        /// What is there, in order.
        records: Vec<Seen>,
    },
    /// A member of a group got its assignment.
    Assigned {
        /// Which group.
        group: Rc<str>,
        /// In which generation.
        generation: i32,
        /// Which member.
        member: Rc<str>,
        /// What it owns.
        partitions: Vec<PartitionId>,
    },
    /// Offsets of a group were committed.
    Committed {
        /// Which group.
        group: Rc<str>,
        /// When they were asked for.
        asked: Moment,
        /// By partition.
        offsets: Vec<(PartitionId, i64)>,
    },
    /// A group's committed offsets were told; −1 where there was none.
    OffsetsTold {
        /// Which group.
        group: Rc<str>,
        /// When they were asked for.
        asked: Moment,
        /// By partition.
        offsets: Vec<(PartitionId, i64)>,
    },
    /// The power of the broker's machine was cut: acks=1 promises nothing of before.
    PowerCut,
    /// From here on something may be wrong with a cluster: who is asked may lead no more and not know it, and tell what
    /// was true once.
    Unsettled,
    /// All is well again: everyone who leads knows what is committed.
    Settled,
}

/// Everything, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
    power_cut: Option<Moment>,
    of_cluster: bool,
}

impl History {
    /// Of a cluster.
    pub fn of_cluster() -> History {
        History { of_cluster: true, ..History::default() }
    }

    /// Whether several brokers are asked: then acks=1 promises nothing, because the next leader may not have it.
    pub fn is_of_cluster(&self) -> bool {
        self.of_cluster
    }

    /// Notes an event.
    pub fn note(&mut self, event: Event) {
        if event == Event::PowerCut {
            self.power_cut = Some(self.now());
        }
        self.events.push(event);
    }

    /// The moment now: later than all that was noted.
    pub fn now(&self) -> Moment {
        Moment(self.events.len())
    }

    /// Whether the power was cut at `moment` or later.
    pub fn power_cut_since(&self, moment: Moment) -> bool {
        self.power_cut.is_some_and(|cut| cut >= moment)
    }

    /// All events, each with its moment.
    pub fn events(&self) -> impl Iterator<Item = (Moment, &Event)> {
        self.events.iter().enumerate().map(|(index, event)| (Moment(index), event))
    }
}
