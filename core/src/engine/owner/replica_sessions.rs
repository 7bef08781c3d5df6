//! Followers' fetch sessions (KIP-227), kept where the partitions are owned: a fetch costs what has changed, not what is
//! followed. A session knows of which partitions there may be news (they are *due*); only those are read, at most
//! [`READ_AT_ONCE_MAX`] for one answer, so that a follower that comes back to many partitions stalls nobody.

mod session;

use super::{Answers, Asker, Owner, read::OPENED_AT_ONCE_MAX};
use crate::{
    engine::{
        Effects,
        message::{FollowPosition, FollowRequest, FollowerSession, OwnerResponse, ReadResult},
        replicas::FollowerId,
        throttle::Quota,
    },
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, PartitionId},
};
use corelane_seam::{Monotonic, Now};
use session::{Session, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// Partitions that are read for one answer: below a millisecond.
const READ_AT_ONCE_MAX: usize = 512;

/// The sessions of one owner.
#[derive(Debug, Default)]
pub(super) struct ReplicaSessions {
    sessions: BTreeMap<FollowerSession, Session>,
    by_asker: BTreeMap<Asker, FollowerSession>,
    /// Waiting fetches of which there is news since this turn began.
    woken: BTreeSet<FollowerSession>,
    /// Of what is throttled.
    pub quota: Quota,
    /// Which session was given something of what is throttled last: after a wait others come first.
    throttled_last: Option<FollowerSession>,
    /// How often anybody asked whether this broker leads yet.
    questions: u64,
    /// How often a partition was read.
    #[cfg(test)]
    reads: u64,
}

impl Owner {
    /// A follower fetches: takes in what it says of its positions, then answers, or waits for news.
    pub(super) fn follow_request(
        &mut self,
        now: Now,
        asker: Asker,
        request: FollowRequest,
        effects: &mut Effects,
        answers: &mut Answers,
    ) {
        let key = request.session;
        if request.is_fresh {
            self.end_session(key);
        }
        let session = self.replica_sessions.sessions.entry(key).or_insert_with(|| Session::new(request.who));
        session.who = request.who;
        session.delivered(request.delivered);
        for id in &request.forgotten {
            self.forget_position(key, *id);
        }
        for named in &request.named {
            self.name_position(now, key, named, answers);
        }
        self.ask_outside_again(now, key, answers);
        let Some(session) = self.replica_sessions.sessions.get_mut(&key) else { return };
        session.last_fetch = now.monotonic;
        let waiting = Waiting {
            asker,
            bytes_max: request.bytes_max,
            wait_for_bytes: request.wait_for_bytes,
            answered: false,
            once: request.once,
            owner: request.owner,
        };
        if let Some(before) = session.waiting.replace(waiting) {
            self.replica_sessions.by_asker.remove(&before.asker);
        }
        self.replica_sessions.by_asker.insert(asker, key);
        self.answer_follower(now, key, effects, answers);
    }

    fn name_position(
        &mut self,
        now: Now,
        key: FollowerSession,
        named: &FollowPosition,
        answers: &mut Answers,
    ) {
        let Some(session) = self.replica_sessions.sessions.get_mut(&key) else { return };
        let who = session.who;
        if self.store.slot(named.id).is_none() {
            return session.refuse(named.id);
        }
        session.name(named);
        let Some(reading) = session.reading(named.id) else { return };
        if self.leader_of(named.id, named.current_leader_epoch).is_ok()
            && let Some(partition) = self.partitions.get_mut(&named.id)
        {
            partition.replicas.note_log_start(who.node, named.log_start);
        }
        self.note_fetch(now, who, &reading, answers);
        self.look_outside(key, named.id);
        if let Some(partition) = self.partitions.get_mut(&named.id)
            && !partition.replica_sessions.contains(&key)
        {
            partition.replica_sessions.push(key);
        }
    }

    /// A follower has left a question unanswered: by the next fetch of its session it is no longer silent.
    pub(super) fn hear_again(&mut self, id: PartitionId, node: NodeId) {
        let sessions = self.replica_sessions.sessions.values_mut();
        for session in sessions.filter(|it| it.who.node == node && it.positions.contains_key(&id)) {
            session.outside.insert(id);
        }
    }

    /// Notes whether the session's follower is in sync.
    fn look_outside(&mut self, key: FollowerSession, id: PartitionId) {
        let Some(session) = self.replica_sessions.sessions.get_mut(&key) else { return };
        let partition = self.partitions.get(&id);
        match partition.is_some_and(|partition| !partition.replicas.is_heard_in_sync(session.who.node)) {
            true if session.positions.contains_key(&id) => {
                session.outside.insert(id);
            }
            _ => {
                session.outside.remove(&id);
                // Who is in sync is not throttled.
                if session
                    .positions
                    .get(&id)
                    .and_then(|it| it.due)
                    .is_some_and(|due| session.held.contains_key(&due))
                {
                    self.replica_sessions.mark_due(&[key], id);
                }
            }
        }
    }

    /// Who is in sync has changed.
    pub fn isr_changed(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get(&id) else { return };
        for key in partition.replica_sessions.clone() {
            self.look_outside(key, id);
        }
    }

    /// A follower that has all there is does not name the partition again; what kept it out of the ISR may have gone.
    fn ask_outside_again(&mut self, now: Now, key: FollowerSession, answers: &mut Answers) {
        let Some(session) = self.replica_sessions.sessions.get_mut(&key) else { return };
        let who = session.who;
        for id in session.next_outside() {
            let session = self.replica_sessions.sessions.get(&key);
            if let Some(reading) = session.and_then(|session| session.reading(id)) {
                self.note_fetch(now, who, &reading, answers);
                self.look_outside(key, id);
            }
        }
    }

    fn forget_position(&mut self, key: FollowerSession, id: PartitionId) {
        if let Some(session) = self.replica_sessions.sessions.get_mut(&key) {
            session.forget(id);
        }
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.replica_sessions.retain(|other| *other != key);
        }
    }

    /// A follower's connection has ended, or begins anew.
    pub fn end_session(&mut self, key: FollowerSession) {
        let Some(session) = self.replica_sessions.sessions.remove(&key) else { return };
        if let Some(waiting) = session.waiting {
            self.replica_sessions.by_asker.remove(&waiting.asker);
        }
        for id in session.positions.keys() {
            if let Some(partition) = self.partitions.get_mut(id) {
                partition.replica_sessions.retain(|other| *other != key);
            }
        }
    }

    /// How often a partition was read for a follower, since the start.
    #[cfg(test)]
    pub fn follower_reads(&self) -> u64 {
        self.replica_sessions.reads
    }

    /// No one waits for this follower's fetch any more; its session stays.
    pub(super) fn forget_follower(&mut self, asker: Asker) {
        let Some(key) = self.replica_sessions.by_asker.remove(&asker) else { return };
        let Some(session) = self.replica_sessions.sessions.get_mut(&key) else { return };
        if session.waiting.take().is_some_and(|waiting| waiting.once) {
            self.end_session(key);
        }
    }

    /// There is news of a partition for its followers, or there may be.
    pub(super) fn news_for_followers(&mut self, id: PartitionId) {
        if let Some(partition) = self.partitions.get(&id) {
            self.replica_sessions.mark_due(&partition.replica_sessions, id);
        }
    }

    /// A partition is led from now on: followers may have asked for it before.
    pub(super) fn take_in_followers(&mut self, id: PartitionId) {
        let sessions = self.replica_sessions.sessions.iter();
        let keys: Vec<FollowerSession> = sessions
            .filter(|(_, session)| session.positions.contains_key(&id))
            .map(|(key, _)| *key)
            .collect();
        for key in &keys {
            self.look_outside(*key, id);
        }
        self.replica_sessions.mark_due(&keys, id);
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.replica_sessions = keys;
        }
    }

    /// Records were appended in this turn: followers that had everything until now had it when they last asked.
    pub(super) fn wake_followers(&mut self) {
        for slot in self.store.take_appended() {
            let Some(id) = self.by_slot.get(&slot).copied() else { continue };
            let Some(partition) = self.partitions.get_mut(&id) else { continue };
            for key in &partition.replica_sessions {
                if let Some(session) = self.replica_sessions.sessions.get(key) {
                    partition.replicas.appended(session.who.node, session.last_fetch);
                }
            }
            self.replica_sessions.mark_due(&partition.replica_sessions, id);
        }
    }

    /// Answers the followers that wait and of whose partitions there is news, each once in a turn.
    pub(super) fn answer_followers(&mut self, now: Now, effects: &mut Effects, answers: &mut Answers) {
        use std::ops::Bound::{Excluded, Unbounded};
        // Who took of the quota last comes last, or it would take it all.
        let after = self.replica_sessions.throttled_last.map_or(Unbounded, Excluded);
        let first: Vec<FollowerSession> =
            self.replica_sessions.woken.range((after, Unbounded)).copied().collect();
        for key in first {
            self.replica_sessions.woken.remove(&key);
            self.answer_follower(now, key, effects, answers);
        }
        while let Some(key) = self.replica_sessions.woken.pop_first() {
            self.answer_follower(now, key, effects, answers);
        }
    }

    /// Reads one partition that is due; the result, if the follower must be told of it.
    fn read_due(
        &mut self,
        now: Now,
        key: FollowerSession,
        id: PartitionId,
        pass: &mut Pass,
        effects: &mut Effects,
    ) -> Option<ReadResult> {
        let reading = self.replica_sessions.sessions.get(&key)?.reading(id)?;
        let throttle = self.throttle_of(id, pass.who);
        let exceeded = throttle.may_wait && self.replica_sessions.quota.is_exceeded(now.monotonic);
        let may_open = pass.opening < OPENED_AT_ONCE_MAX && !exceeded;
        let mut room = if may_open { pass.room.saturating_sub(pass.bytes) } else { 0 };
        if throttle.may_wait && may_open {
            room = room.min(self.replica_sessions.quota.room(now.monotonic));
        }
        let found = self.read_one(now, &reading, Some(pass.who), room, may_open && pass.bytes == 0, effects);
        let has_more = self.store.slot(id).is_some_and(|slot| self.store.log_end(slot) > reading.from);
        #[cfg(test)]
        {
            self.replica_sessions.reads += 1;
        }
        pass.bytes += found.result.bytes;
        pass.opening += usize::from(found.later);
        if throttle.counts && found.result.bytes > 0 {
            self.replica_sessions.quota.moved(now.monotonic, found.result.bytes);
            self.replica_sessions.throttled_last = Some(key);
        }
        let session = self.replica_sessions.sessions.get_mut(&key)?;
        if exceeded && has_more && !found.result.is_urgent() {
            // Marks alone are no news for who is behind: it would ask again at once for each of them.
            session.hold(id);
            return None;
        }
        session.take(id, &found, has_more).then_some(found.result)
    }

    /// What the quota of leaders means for a follower's partition (Kafka's `shouldLeaderThrottle`).
    fn throttle_of(&self, id: PartitionId, who: FollowerId) -> Throttle {
        let Some(partition) = self.partitions.get(&id) else { return Throttle::default() };
        let counts = partition.config.leader_throttled.has(id.index, self.replication.node);
        Throttle { counts, may_wait: counts && !partition.replicas.is_in_sync(who.node) }
    }

    /// When followers are to be given again what there was no quota for.
    pub(super) fn throttled_due(&self) -> Option<Monotonic> {
        let held = self.replica_sessions.sessions.values().any(|session| !session.held.is_empty());
        held.then(|| self.replica_sessions.quota.retry_at())
    }

    /// Gives followers again what there was no quota for, if there is some.
    pub(super) fn release_throttled(&mut self, now: Now) {
        if self.replica_sessions.quota.retry_at() <= now.monotonic {
            self.replica_sessions.release();
        }
    }

    fn answer_follower(
        &mut self,
        now: Now,
        key: FollowerSession,
        effects: &mut Effects,
        answers: &mut Answers,
    ) {
        let Some(session) = self.replica_sessions.sessions.get_mut(&key) else { return };
        let Some(mut waiting) = session.waiting else { return };
        let who = session.who;
        let due: Vec<PartitionId> = session.due.values().take(READ_AT_ONCE_MAX).copied().collect();
        let refused = |id| (id, ReadResult::failed(ErrorCode::NotLeaderOrFollower));
        let mut results: Vec<_> = std::mem::take(&mut session.strangers).into_iter().map(refused).collect();
        let (examined, all) = (due.len(), session.due.len());
        let mut reading = Pass { who, room: waiting.bytes_max, bytes: 0, opening: 0 };
        for id in due {
            let told = self.read_due(now, key, id, &mut reading, effects);
            results.extend(told.map(|result| (id, result)));
        }
        let Pass { bytes, opening, .. } = reading;
        let Some(session) = self.replica_sessions.sessions.get_mut(&key) else { return };
        if results.is_empty() && examined < all && session.due.len() < all {
            // None of these had anything; others may.
            self.replica_sessions.woken.insert(key);
            return;
        }
        if results.is_empty() && (opening > 0 || waiting.answered) {
            return;
        }
        waiting.answered = true;
        session.serial += 1;
        session.answered_after = self.replica_sessions.questions;
        session.told.extend(results.iter().map(|(id, _)| *id));
        let serial = session.serial;
        let is_urgent = results.iter().any(|(_, result)| result.bytes == 0);
        let is_done = is_urgent || bytes >= waiting.wait_for_bytes;
        session.waiting = (!is_done).then_some(waiting);
        answers.push((waiting.asker, OwnerResponse::Followed { owner: waiting.owner, serial, results }));
        if is_done {
            self.replica_sessions.by_asker.remove(&waiting.asker);
            if waiting.once {
                self.end_session(key);
            }
        }
    }
}

/// What a partition's throttle means for a follower.
#[derive(Clone, Copy, Debug, Default)]
struct Throttle {
    /// What is sent of it counts.
    counts: bool,
    /// It waits where there is no quota: the follower is not in sync.
    may_wait: bool,
}

/// The reads for one answer.
struct Pass {
    who: FollowerId,
    room: usize,
    bytes: usize,
    /// Files that must be opened first.
    opening: usize,
}

impl ReplicaSessions {
    /// What was held is due again.
    pub fn release(&mut self) {
        for (key, session) in &mut self.sessions {
            if session.release() && session.waiting.is_some() {
                self.woken.insert(*key);
            }
        }
    }

    /// Has the followers with these sessions ask for a partition again, at once: whoever does had not begun to lead it
    /// when this was asked. Gives the question's number.
    pub(super) fn ask_who_leads(&mut self, keys: &[FollowerSession], id: PartitionId) -> u64 {
        self.questions += 1;
        for key in keys {
            if let Some(session) = self.sessions.get_mut(key) {
                session.tell_anyway(id);
            }
        }
        self.mark_due(keys, id);
        self.questions
    }

    /// The last question of those that a broker has answered by asking for a partition again, in this reign.
    pub(super) fn follows_since(
        &self,
        keys: &[FollowerSession],
        id: PartitionId,
        reign: LeaderEpoch,
        node: NodeId,
    ) -> u64 {
        let sessions = keys.iter().filter_map(|key| self.sessions.get(key));
        let follows = |session: &&Session| {
            let position = session.positions.get(&id);
            session.who.node == node
                && position.is_some_and(|position| position.current_leader_epoch == reign)
        };
        sessions.filter(follows).map(|session| session.asked_after).max().unwrap_or(0)
    }

    /// There may be news of a partition for these.
    pub(super) fn mark_due(&mut self, keys: &[FollowerSession], id: PartitionId) {
        for key in keys {
            if let Some(session) = self.sessions.get_mut(key) {
                session.mark_due(id);
                if session.waiting.is_some() {
                    self.woken.insert(*key);
                }
            }
        }
    }

    /// Asserts what must hold between any two inputs.
    pub fn check(&self) {
        for session in self.sessions.values() {
            let due = session.positions.values().filter(|position| position.due.is_some()).count();
            let placed = session.due.len() + session.held.len();
            assert_eq!(due, placed, "what is due, or held, and its order are apart");
            assert!(session.outside.iter().all(|id| session.positions.contains_key(id)));
        }
    }
}
