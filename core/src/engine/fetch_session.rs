//! Incremental fetches (KIP-227): a session remembers what a client asks for and what it was last told, so that a
//! request names only changes and a response only partitions with news.

use crate::{
    ids::{LeaderEpoch, Map, TopicId},
    limits,
};
use corelane_seam::Monotonic;
use std::collections::BTreeMap;

/// How a partition is named in a session: as the client names it. Compared by the index first, in which those of a topic differ
/// at once: every fetch looks up every partition of its session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey {
    /// Index.
    pub partition: i32,
    /// Set from Fetch 13 on.
    pub topic_id: TopicId,
    /// Set below Fetch 13, else empty.
    pub topic: kafka_protocol::messages::TopicName,
}

/// What a client asks of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// First offset.
    pub fetch_offset: i64,
    /// Bound in bytes.
    pub bytes_max: i32,
    /// What the client believes.
    pub current_leader_epoch: LeaderEpoch,
    /// Of the last record it has.
    pub last_fetched_epoch: LeaderEpoch,
}

/// What a client was last told of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    log_start_offset: i64,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    epoch: i32,
    uses_ids: bool,
    last_used: Monotonic,
    next_order: u64,
    /// In the order in which they are to be read: whoever was served goes to the end.
    by_order: BTreeMap<u64, SessionKey>,
    partitions: BTreeMap<SessionKey, (u64, Wanted, Option<Told>)>,
}

impl Session {
    fn put(&mut self, key: SessionKey, wanted: Wanted) {
        if let Some((_, known, told)) = self.partitions.get_mut(&key) {
            // What was said under another reign may have been passed over: the marks are told again.
            if known.current_leader_epoch != wanted.current_leader_epoch {
                *told = None;
            }
            *known = wanted;
            return;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.by_order.insert(order, key.clone());
        self.partitions.insert(key, (order, wanted, None));
    }

    fn forget(&mut self, key: &SessionKey) {
        if let Some((order, _, _)) = self.partitions.remove(key) {
            self.by_order.remove(&order);
        }
    }

    /// Partitions in the order in which they are to be read.
    pub fn wanted(&self) -> impl Iterator<Item = (&SessionKey, &Wanted)> {
        self.by_order.values().filter_map(|key| self.partitions.get(key).map(|(_, wanted, _)| (key, wanted)))
    }

    /// Whether the client must be told about a partition now: it has records or an error, or a mark has moved.
    /// Remembers what it is told, and lets the others come first next time when it was given records.
    pub fn tell(&mut self, key: &SessionKey, has_records: bool, has_error: bool, marks: (i64, i64)) -> bool {
        let Some((order, _, told)) = self.partitions.get_mut(key) else { return false };
        let now = Told { high_watermark: marks.0, log_start_offset: marks.1 };
        let news = has_records || has_error || *told != Some(now);
        // An error is told again next time, as Kafka does: the client may have missed why.
        *told = (!has_error).then_some(now);
        if has_records {
            self.by_order.remove(order);
            *order = self.next_order;
            self.by_order.insert(self.next_order, key.clone());
            self.next_order += 1;
        }
        news
    }
}

/// How a Fetch request relates to a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// A full fetch without a session (or none could be given): id 0.
    Sessionless,
    /// A full fetch that starts this session.
    New(i32),
    /// The next incremental fetch of this session.
    Incremental(i32),
}

/// What a Fetch request says of its session.
#[derive(Debug)]
pub struct SessionRequest {
    /// 0: none yet.
    pub id: i32,
    /// 0: start one; -1: end it and answer in full.
    pub epoch: i32,
    /// Whether topics are named by id (Fetch 13 and later).
    pub uses_ids: bool,
    /// Partitions named by the request, in its order.
    pub wanted: Vec<(SessionKey, Wanted)>,
    /// Partitions to leave out from now on.
    pub forgotten: Vec<SessionKey>,
}

/// Why a session cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// FETCH_SESSION_ID_NOT_FOUND.
    NotFound,
    /// INVALID_FETCH_SESSION_EPOCH.
    WrongEpoch,
    /// FETCH_SESSION_TOPIC_ID_ERROR: the client changed between names and ids.
    MixedIds,
}

/// The sessions of one shard's connections. Bounded; the longest unused makes room.
#[derive(Debug, Default)]
pub struct FetchSessions {
    sessions: Map<i32, Session>,
    partitions: usize,
}

impl FetchSessions {
    /// Finds or makes the request's session. `new_id` is random and positive.
    pub fn open(
        &mut self,
        now: Monotonic,
        request: SessionRequest,
        new_id: i32,
    ) -> Result<(Opened, Vec<(SessionKey, Wanted)>), SessionError> {
        if request.epoch == 0 || request.epoch == -1 {
            self.remove(request.id);
            if request.epoch == -1 || request.wanted.is_empty() || !self.make_room(request.wanted.len()) {
                return Ok((Opened::Sessionless, request.wanted));
            }
            let mut session = Session {
                epoch: 1,
                uses_ids: request.uses_ids,
                last_used: now,
                next_order: 0,
                by_order: BTreeMap::new(),
                partitions: BTreeMap::new(),
            };
            for (key, wanted) in &request.wanted {
                session.put(key.clone(), wanted.clone());
            }
            let mut id = new_id.max(1);
            while self.sessions.contains_key(&id) {
                id = id.checked_add(1).unwrap_or(1);
            }
            self.partitions += session.partitions.len();
            self.sessions.insert(id, session);
            return Ok((Opened::New(id), request.wanted));
        }
        let session = self.sessions.get_mut(&request.id).ok_or(SessionError::NotFound)?;
        if session.epoch != request.epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.uses_ids != request.uses_ids {
            return Err(SessionError::MixedIds);
        }
        session.epoch = session.epoch.checked_add(1).unwrap_or(1);
        session.last_used = now;
        let before = session.partitions.len();
        for key in &request.forgotten {
            session.forget(key);
        }
        for (key, wanted) in request.wanted {
            session.put(key, wanted);
        }
        let wanted = session.wanted().map(|(key, wanted)| (key.clone(), wanted.clone())).collect();
        self.partitions = self.partitions - before + session.partitions.len();
        Ok((Opened::Incremental(request.id), wanted))
    }

    /// A session that is still there.
    pub fn get_mut(&mut self, id: i32) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }

    /// Makes room for a session of `wanted` partitions; false when it alone is too large.
    fn make_room(&mut self, wanted: usize) -> bool {
        if wanted > limits::FETCH_SESSION_PARTITIONS_MAX {
            return false;
        }
        while self.sessions.len() >= limits::FETCH_SESSIONS_MAX
            || self.partitions + wanted > limits::FETCH_SESSION_PARTITIONS_MAX
        {
            let oldest = self.sessions.iter().min_by_key(|(id, session)| (session.last_used, **id));
            let Some((&id, _)) = oldest else { return false };
            self.remove(id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::{messages::TopicName, protocol::StrBytes};

    fn key(partition: i32) -> SessionKey {
        let topic = TopicName(StrBytes::from_static_str("t"));
        SessionKey { topic_id: TopicId::ZERO, topic, partition }
    }

    fn wanted(fetch_offset: i64) -> Wanted {
        Wanted {
            fetch_offset,
            bytes_max: 1,
            current_leader_epoch: LeaderEpoch::UNKNOWN,
            last_fetched_epoch: LeaderEpoch::UNKNOWN,
        }
    }

    fn request(id: i32, epoch: i32, partitions: &[(i32, i64)]) -> SessionRequest {
        let wanted = partitions.iter().map(|(index, offset)| (key(*index), wanted(*offset))).collect();
        SessionRequest { id, epoch, uses_ids: false, wanted, forgotten: Vec::new() }
    }

    #[test]
    fn who_follows_another_reign_is_told_the_marks_again() {
        let mut sessions = FetchSessions::default();
        sessions.open(Monotonic(0), request(0, 0, &[(0, 5)]), 7).expect("opens");
        let tell = |sessions: &mut FetchSessions| {
            sessions.get_mut(7).expect("it is there").tell(&key(0), false, false, (10, 0))
        };
        assert!(tell(&mut sessions));
        sessions.open(Monotonic(0), request(7, 1, &[(0, 6)]), 8).expect("goes on");
        assert!(!tell(&mut sessions), "it knows");
        let mut next = request(7, 2, &[(0, 6)]);
        next.wanted[0].1.current_leader_epoch = LeaderEpoch(3);
        sessions.open(Monotonic(0), next, 8).expect("goes on");
        assert!(tell(&mut sessions));
    }

    #[test]
    fn an_incremental_fetch_reads_all_partitions_of_its_session() {
        let mut sessions = FetchSessions::default();
        let (opened, _) = sessions.open(Monotonic(0), request(0, 0, &[(0, 5), (1, 6)]), 7).expect("opens");
        assert_eq!(opened, Opened::New(7));
        let mut next = request(7, 1, &[(1, 9)]);
        next.forgotten.push(key(0));
        let (opened, all) = sessions.open(Monotonic(1), next, 8).expect("goes on");
        assert_eq!((opened, all), (Opened::Incremental(7), vec![(key(1), wanted(9))]));
    }

    #[test]
    fn a_repeated_or_skipped_epoch_and_an_unknown_session_are_refused() {
        let mut sessions = FetchSessions::default();
        sessions.open(Monotonic(0), request(0, 0, &[(0, 0)]), 7).expect("opens");
        assert_eq!(sessions.open(Monotonic(0), request(7, 2, &[]), 8).err(), Some(SessionError::WrongEpoch));
        assert_eq!(sessions.open(Monotonic(0), request(9, 1, &[]), 8).err(), Some(SessionError::NotFound));
        let mut mixed = request(7, 1, &[]);
        mixed.uses_ids = true;
        assert_eq!(sessions.open(Monotonic(0), mixed, 8).err(), Some(SessionError::MixedIds));
    }

    #[test]
    fn a_partition_without_news_is_not_told_again_and_a_served_one_goes_to_the_end() {
        let mut sessions = FetchSessions::default();
        sessions.open(Monotonic(0), request(0, 0, &[(0, 0), (1, 0)]), 7).expect("opens");
        let session = sessions.get_mut(7).expect("was opened");
        assert!(session.tell(&key(0), true, false, (10, 0)));
        assert!(!session.tell(&key(0), false, false, (10, 0)));
        assert!(session.tell(&key(0), false, false, (11, 0)), "the watermark moved");
        assert!(session.tell(&key(1), false, true, (-1, -1)), "an error is told");
        assert!(session.tell(&key(1), false, true, (-1, -1)), "and told again");
        let order: Vec<i32> = session.wanted().map(|(key, _)| key.partition).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn the_longest_unused_session_makes_room() {
        let mut sessions = FetchSessions::default();
        for id in 1..=i32::try_from(limits::FETCH_SESSIONS_MAX).expect("small") + 1 {
            sessions.open(Monotonic(id.unsigned_abs().into()), request(0, 0, &[(0, 0)]), id).expect("opens");
        }
        assert_eq!(sessions.sessions.len(), limits::FETCH_SESSIONS_MAX);
        assert!(sessions.get_mut(1).is_none());
        assert_eq!(sessions.partitions, limits::FETCH_SESSIONS_MAX);
    }
}
