//! How many connections each data shard holds, seen by all of them: the one thing that shards share.

use corelane_seam::ShardId;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Connections by shard and by address, and how many there may be.
#[derive(Clone, Debug)]
pub struct Load(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    by_shard: Vec<AtomicUsize>,
    max: AtomicUsize,
    max_per_address: AtomicUsize,
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Load {
    /// No connections yet.
    pub fn new(shards: u16, max: usize, max_per_address: usize) -> Load {
        Load(Arc::new(Shared {
            by_shard: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
            max: AtomicUsize::new(max),
            max_per_address: AtomicUsize::new(max_per_address),
            by_address: Mutex::default(),
        }))
    }

    /// Sets `max.connections` and `max.connections.per.ip`. Connections beyond a lower bound stay; none is added to
    /// them.
    pub fn bound(&self, max: usize, max_per_address: usize) {
        self.0.max.store(max, Relaxed);
        self.0.max_per_address.store(max_per_address, Relaxed);
    }

    /// Counts a new connection and says which shard shall hold it: the one with the fewest, `here` among equals.
    ///
    /// # Errors
    /// The bound that it would break.
    pub fn place(&self, here: ShardId, peer: IpAddr) -> Result<ShardId, &'static str> {
        let counts = || self.0.by_shard.iter().map(|count| count.load(Relaxed));
        if counts().sum::<usize>() >= self.0.max.load(Relaxed) {
            return Err("max.connections is reached");
        }
        let mut by_address = self.0.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let held = by_address.get(&peer).copied().unwrap_or(0);
        if held >= self.0.max_per_address.load(Relaxed) {
            return Err("max.connections.per.ip is reached");
        }
        by_address.insert(peer, held + 1);
        drop(by_address);
        let own = self.0.by_shard[here.index()].load(Relaxed);
        let least = counts().enumerate().min_by_key(|(index, count)| (*count, *index));
        let place = match least {
            Some((index, count)) if count < own => ShardId(u16::try_from(index).unwrap_or(here.0)),
            Some(_) | None => here,
        };
        self.0.by_shard[place.index()].fetch_add(1, Relaxed);
        Ok(place)
    }

    /// A connection of this shard is gone.
    pub fn remove(&self, here: ShardId, peer: IpAddr) {
        self.0.by_shard[here.index()].fetch_sub(1, Relaxed);
        let mut by_address = self.0.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn four_connections_that_one_shard_accepts_end_up_spread() {
        let load = Load::new(2, 100, 100);
        let places: Vec<u16> = (0..4).map(|_| load.place(ShardId(0), PEER).expect("room").0).collect();
        assert_eq!(places.iter().filter(|place| **place == 0).count(), 2, "{places:?}");
    }

    #[test]
    fn bounds_hold_and_give_way_when_a_connection_goes() {
        let load = Load::new(1, 2, 1);
        assert!(load.place(ShardId(0), PEER).is_ok());
        assert_eq!(load.place(ShardId(0), PEER), Err("max.connections.per.ip is reached"));
        let other = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
        assert!(load.place(ShardId(0), other).is_ok());
        assert_eq!(load.place(ShardId(0), other), Err("max.connections is reached"));
        load.remove(ShardId(0), PEER);
        assert!(load.place(ShardId(0), PEER).is_ok());
    }

    #[test]
    fn a_bound_that_is_altered_holds_for_the_next_connection() {
        let load = Load::new(1, 100, 100);
        assert!(load.place(ShardId(0), PEER).is_ok());
        load.bound(100, 1);
        assert_eq!(load.place(ShardId(0), PEER), Err("max.connections.per.ip is reached"));
        load.bound(1, 100);
        assert_eq!(load.place(ShardId(0), PEER), Err("max.connections is reached"));
        load.bound(2, 2);
        assert!(load.place(ShardId(0), PEER).is_ok());
    }
}
