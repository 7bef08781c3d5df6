//! Fetch sessions of followers (KIP-227), as the shard with the connection knows them: one per connection. Positions are
//! kept by the owners of the partitions.

use super::fetch_session::SessionError;
use crate::ids::Map;
use corelane_seam::{ConnectionId, ShardId};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
struct State {
    id: i32,
    /// Of the request to come.
    epoch: i32,
    /// Who has positions of it, with the last answer of each that became part of a response.
    owners: BTreeMap<ShardId, u64>,
}

/// What a follower's fetch begins or goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerOpened {
    /// For the response; 0: there is none after it.
    pub id: i32,
    /// It begins, whatever was before.
    pub is_fresh: bool,
}

/// The sessions of one shard's connections.
#[derive(Debug, Default)]
pub struct FollowerSessions(Map<ConnectionId, State>);

impl FollowerSessions {
    /// Finds or makes the session of a request with this session `id` and `epoch`. `new_id` is random and positive. A
    /// session without a name (epoch -1) lasts for this request.
    pub fn open(
        &mut self,
        connection: ConnectionId,
        (id, epoch): (i32, i32),
        new_id: i32,
    ) -> Result<FollowerOpened, SessionError> {
        let known = self.0.get_mut(&connection);
        if epoch == 0 || epoch == -1 {
            let id = if epoch == 0 { new_id.max(1) } else { 0 };
            let owners = known.map(|state| std::mem::take(&mut state.owners)).unwrap_or_default();
            self.0.insert(connection, State { id, epoch: 1, owners });
            return Ok(FollowerOpened { id, is_fresh: true });
        }
        let known = known.filter(|state| state.id == id && id != 0).ok_or(SessionError::NotFound)?;
        if known.epoch != epoch {
            return Err(SessionError::WrongEpoch);
        }
        known.epoch = known.epoch.checked_add(1).unwrap_or(1);
        Ok(FollowerOpened { id, is_fresh: false })
    }

    /// Who is to be asked: the owners of what the request names, and all that know of the session, or of the one before.
    /// With each, which of its answers was [`delivered`](Self::delivered) last.
    pub fn owners(
        &mut self,
        connection: ConnectionId,
        opened: FollowerOpened,
        named: &BTreeSet<ShardId>,
    ) -> BTreeMap<ShardId, u64> {
        let Some(state) = self.0.get_mut(&connection) else { return BTreeMap::new() };
        for owner in named {
            state.owners.entry(*owner).or_default();
        }
        if opened.is_fresh {
            state.owners.values_mut().for_each(|serial| *serial = 0);
        }
        state.owners.clone()
    }

    /// An owner's answer leaves in a response of this session.
    pub fn delivered(&mut self, connection: ConnectionId, id: i32, owner: ShardId, serial: u64) {
        if let Some(state) = self.0.get_mut(&connection).filter(|state| state.id == id)
            && let Some(last) = state.owners.get_mut(&owner)
        {
            *last = serial;
        }
    }

    /// The connection has ended: the owners that must forget its session.
    pub fn close(&mut self, connection: ConnectionId) -> BTreeSet<ShardId> {
        self.0.remove(&connection).map(|state| state.owners.into_keys().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: ConnectionId = ConnectionId(7);

    fn set(shards: &[u16]) -> BTreeSet<ShardId> {
        shards.iter().copied().map(ShardId).collect()
    }

    fn map(owners: &[(u16, u64)]) -> BTreeMap<ShardId, u64> {
        owners.iter().map(|(shard, serial)| (ShardId(*shard), *serial)).collect()
    }

    #[test]
    fn every_owner_that_knows_of_a_session_is_asked_and_told_of_its_end() {
        let mut sessions = FollowerSessions::default();
        let opened = sessions.open(HERE, (0, 0), 5).expect("opens");
        assert_eq!(opened, FollowerOpened { id: 5, is_fresh: true });
        assert_eq!(sessions.owners(HERE, opened, &set(&[0, 1])), map(&[(0, 0), (1, 0)]));
        sessions.delivered(HERE, 5, ShardId(1), 3);
        sessions.delivered(HERE, 4, ShardId(1), 9);
        let opened = sessions.open(HERE, (5, 1), 6).expect("goes on");
        assert_eq!(sessions.owners(HERE, opened, &set(&[])), map(&[(0, 0), (1, 3)]), "unnamed is unchanged");
        let opened = sessions.open(HERE, (5, 2), 6).expect("goes on");
        assert_eq!(sessions.owners(HERE, opened, &set(&[2])), map(&[(0, 0), (1, 3), (2, 0)]));
        let opened = sessions.open(HERE, (0, 0), 6).expect("begins anew");
        assert_eq!(
            sessions.owners(HERE, opened, &set(&[1])),
            map(&[(0, 0), (1, 0), (2, 0)]),
            "the old one ends everywhere"
        );
        let opened = sessions.open(HERE, (6, 1), 7).expect("goes on");
        assert_eq!(sessions.owners(HERE, opened, &set(&[])), map(&[(0, 0), (1, 0), (2, 0)]));
        assert_eq!(sessions.close(HERE), set(&[0, 1, 2]), "all of them know of it");
        assert_eq!(sessions.close(HERE), set(&[]));
    }

    #[test]
    fn a_session_is_of_one_connection_and_its_requests_come_in_order() {
        let mut sessions = FollowerSessions::default();
        sessions.open(HERE, (0, 0), 5).expect("opens");
        assert_eq!(sessions.open(ConnectionId(8), (5, 1), 6), Err(SessionError::NotFound));
        assert_eq!(sessions.open(HERE, (4, 1), 6), Err(SessionError::NotFound));
        assert_eq!(sessions.open(HERE, (5, 2), 6), Err(SessionError::WrongEpoch));
        assert!(sessions.open(HERE, (5, 1), 6).is_ok());
        assert!(sessions.open(HERE, (5, -1), 6).is_ok(), "the last one");
        assert_eq!(sessions.open(HERE, (0, 1), 6), Err(SessionError::NotFound));
    }
}
