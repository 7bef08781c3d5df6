//! What coordinators decide: it is appended and replayed, and answered when it is committed.

use super::{Coordination, Groups, Hosted, Owner, Phase, Transactions, reply};
use crate::{
    engine::owner::{Answers, confirmation::Unconfirmed},
    error::ErrorCode,
    groups::{Ticket, Transaction},
    ids::{Offset, PartitionId},
    log::AppendError,
    records::{BatchBuilder, NO_SEQUENCE, NewRecord},
};
use corelane_seam::Now;

/// Records of one batch of a decision that may be split.
const SPLIT_RECORDS: usize = 1000;

/// What of an outcome is the log's.
#[derive(Debug)]
pub(in crate::engine::owner) struct Decision<C: Coordination> {
    pub records: Vec<C::Record>,
    /// The state is as the records say already: they are not replayed.
    pub applied: bool,
    /// The records need not be one batch.
    pub may_split: bool,
    /// The records are a part of this transaction.
    pub transaction: Option<Transaction>,
    pub replies: Vec<(Ticket, Result<C::Response, ErrorCode>)>,
    pub then: Option<C::Then>,
    /// The replies are worth something only from who leads yet.
    pub of_leader: bool,
}

/// Replies that wait for their records, and what the coordinator goes on with then.
#[derive(Debug)]
pub(super) struct Pending<C: Coordination> {
    pub until: Offset,
    pub replies: Vec<(Ticket, Result<C::Response, ErrorCode>)>,
    pub then: Option<C::Then>,
    pub of_leader: bool,
}

/// Why a decision's records are not appended.
enum Refusal {
    NoRoom,
    Because(ErrorCode),
}

impl<C: Coordination> Decision<C> {
    /// What is appended next: all of it, unless it may be split.
    fn next_batch(&mut self) -> Vec<C::Record> {
        if self.may_split && self.records.len() > SPLIT_RECORDS {
            let rest = self.records.split_off(SPLIT_RECORDS);
            std::mem::replace(&mut self.records, rest)
        } else {
            std::mem::take(&mut self.records)
        }
    }
}

impl Owner {
    /// A decision: its records are appended and replayed; its replies wait until they are committed.
    pub(super) fn decided<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        outcome: C::Outcome,
        answers: &mut Answers,
    ) {
        let decision = C::unpack(self, id, outcome);
        self.take_decision(now, id, decision, answers);
    }

    pub(super) fn take_decision<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        decision: Decision<C>,
        answers: &mut Answers,
    ) {
        let Some(hosted) = C::host(self).hosted.get_mut(id) else { return };
        if hosted.blocked.is_empty() {
            self.append_decision(now, id, decision, answers);
        } else {
            hosted.blocked.push_back(decision);
        }
    }

    fn append_decision<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        mut decision: Decision<C>,
        answers: &mut Answers,
    ) {
        while !decision.records.is_empty() {
            let records = decision.next_batch();
            match self.append_decided::<C>(now, id, &records, decision.transaction) {
                Ok(first) => {
                    let (applied, whose) = (decision.applied, decision.transaction.map(|it| it.producer));
                    let Some(hosted) = C::host(self).hosted.get_mut(id) else { return };
                    if !applied {
                        for (at, record) in (first.0..).zip(records) {
                            hosted.coordinator.replay(record, Offset(at), whose);
                        }
                    }
                }
                Err(Refusal::NoRoom) => {
                    let Some(hosted) = C::host(self).hosted.get_mut(id) else { return };
                    decision.records.splice(..0, records);
                    return hosted.blocked.push_front(decision);
                }
                Err(Refusal::Because(error)) => return self.undecided(now, id, decision, error, answers),
            }
        }
        if decision.replies.is_empty() && decision.then.is_none() {
            return;
        }
        let Some(slot) = self.store.slot(id) else { return };
        let until = self.store.log_end(slot);
        let Some(partition) = self.partitions.get(&id) else { return };
        let early = C::answers_early(self.store.fault()) && decision.then.is_none();
        let high_watermark = if early { until } else { partition.high_watermark };
        let Some(hosted) = C::host(self).hosted.get_mut(id) else { return };
        let Decision { replies, then, of_leader, .. } = decision;
        if until > high_watermark {
            return hosted.pending.push_back(Pending { until, replies, then, of_leader });
        }
        debug_assert!(then.is_none(), "what waits for records has records");
        self.answer::<C>(now, id, replies, of_leader, answers);
    }

    /// Answers with what is committed. What only a leader may tell waits for its followers, if there are any.
    fn answer<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        replies: Vec<(Ticket, Result<C::Response, ErrorCode>)>,
        of_leader: bool,
        answers: &mut Answers,
    ) {
        for (ticket, answer) in replies {
            if !of_leader {
                reply::<C>(ticket, answer, answers);
                continue;
            }
            let Ticket { asker, place } = ticket;
            let told = C::response(place, answer);
            let refused = |place, error| C::response(place, Err(error));
            self.answer_when_confirmed(now, id, Unconfirmed::Reply { asker, place, told, refused }, answers);
        }
    }

    /// The records of a decision were refused: so are those who wait for it.
    fn undecided<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        decision: Decision<C>,
        error: ErrorCode,
        answers: &mut Answers,
    ) {
        let (told, stored) = C::refused(error);
        for (ticket, _) in decision.replies {
            reply::<C>(ticket, Err(told), answers);
        }
        if let Some(then) = decision.then {
            self.go_on::<C>(now, id, then, Err(stored), answers);
        }
    }

    fn go_on<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        then: C::Then,
        result: Result<(), ErrorCode>,
        answers: &mut Answers,
    ) {
        let next = self.with::<C, _>(now, id, |coordinator, stage| coordinator.stored(stage, then, result));
        if let Some(next) = next {
            self.decided::<C>(now, id, next, answers);
        }
    }

    /// Appends records as one batch, of a producer's transaction if it is given. Gives the first one's offset.
    fn append_decided<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        records: &[C::Record],
        transaction: Option<Transaction>,
    ) -> Result<Offset, Refusal> {
        let codec = C::codec(&C::host(self).config);
        let Some(partition) = self.partitions.get(&id).filter(|partition| partition.offline.is_none()) else {
            return Err(Refusal::Because(ErrorCode::NotLeaderOrFollower));
        };
        if !partition.has_enough_in_sync() {
            return Err(Refusal::Because(ErrorCode::NotEnoughReplicas));
        }
        let mut batch = BatchBuilder::new().codec(codec);
        if let Some(Transaction { producer, epoch }) = transaction {
            // The coordinator counts no sequences.
            batch = batch.producer(producer, epoch, NO_SEQUENCE).transactional();
        }
        for record in records {
            let (key, value) = C::encode(record);
            batch.push(NewRecord {
                timestamp_ms: now.unix_ms,
                key: Some(&key),
                value: value.as_deref(),
                headers: &[],
            });
        }
        let bytes = batch.build();
        if bytes.len() > usize::try_from(partition.config.message_bytes_max).unwrap_or(0) {
            return Err(Refusal::Because(ErrorCode::RecordListTooLarge));
        }
        let Some(slot) = self.store.slot(id) else {
            return Err(Refusal::Because(ErrorCode::KafkaStorageError));
        };
        match self.store.append(now, slot, partition.leader_epoch, &bytes) {
            Ok(appended) => Ok(appended.base_offset),
            Err(AppendError::Full) => Err(Refusal::NoRoom),
            Err(AppendError::Offline(_) | AppendError::DiskReserve | AppendError::Unknown) => {
                Err(Refusal::Because(ErrorCode::KafkaStorageError))
            }
            Err(AppendError::Producer(refused)) => Err(Refusal::Because(refused.code)),
        }
    }

    /// The high watermark of a partition has risen.
    pub(in crate::engine::owner) fn coordinators_committed(
        &mut self,
        now: Now,
        id: PartitionId,
        high_watermark: Offset,
        answers: &mut Answers,
    ) {
        self.committed_of::<Groups>(now, id, high_watermark, answers);
        self.committed_of::<Transactions>(now, id, high_watermark, answers);
    }

    fn committed_of<C: Coordination>(
        &mut self,
        now: Now,
        id: PartitionId,
        high_watermark: Offset,
        answers: &mut Answers,
    ) {
        if let Some(Hosted { phase: Phase::Loading(_), .. }) = C::host(self).hosted.get(id) {
            return self.load_on::<C>(id);
        }
        loop {
            let Some(hosted) = C::host(self).hosted.get_mut(id) else { return };
            let met = hosted.pending.front().is_some_and(|pending| pending.until <= high_watermark);
            let Some(pending) = hosted.pending.pop_front_if(|_| met) else { return };
            self.answer::<C>(now, id, pending.replies, pending.of_leader, answers);
            if let Some(then) = pending.then {
                self.go_on::<C>(now, id, then, Ok(()), answers);
            }
        }
    }

    /// There is room again: what was decided is appended, then what waited behind it is decided.
    pub(in crate::engine::owner) fn append_blocked(&mut self, now: Now, answers: &mut Answers) {
        self.append_blocked_of::<Groups>(now, answers);
        self.append_blocked_of::<Transactions>(now, answers);
    }

    fn append_blocked_of<C: Coordination>(&mut self, now: Now, answers: &mut Answers) {
        let all = C::host(self).hosted.iter();
        let blocked: Vec<PartitionId> =
            all.filter(|(_, hosted)| !hosted.blocked.is_empty()).map(|(id, _)| id).collect();
        for id in blocked {
            let count = C::host(self).hosted.get(id).map_or(0, |hosted| hosted.blocked.len());
            for _ in 0..count {
                let Some(hosted) = C::host(self).hosted.get_mut(id) else { break };
                let Some(decision) = hosted.blocked.pop_front() else { break };
                let before = hosted.blocked.len();
                self.append_decision(now, id, decision, answers);
                if C::host(self).hosted.get(id).is_some_and(|hosted| hosted.blocked.len() > before) {
                    break;
                }
            }
            while let Some(hosted) = C::host(self).hosted.get_mut(id)
                && hosted.blocked.is_empty()
                && let Some(input) = hosted.waiting.pop_front()
            {
                self.give(now, id, input, answers);
            }
        }
    }
}
