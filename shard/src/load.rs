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

/// Connections by shard, and by address where that is bounded.
#[derive(Clone, Debug)]
pub struct Load(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    by_shard: Vec<AtomicUsize>,
    max: usize,
    max_per_address: Option<usize>,
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Load {
    /// No connections yet. `max`: `max.connections`; `max_per_address`: `max.connections.per.ip`, if it bounds.
    pub fn new(shards: u16, max: usize, max_per_address: Option<usize>) -> Load {
        Load(Arc::new(Shared {
            by_shard: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
            max,
            max_per_address,
            by_address: Mutex::default(),
        }))
    }

    /// Counts a new connection and says which shard shall hold it: the one with the fewest, `here` among equals.
    ///
    /// # Errors
    /// The bound that it would break.
    pub fn place(&self, here: ShardId, peer: IpAddr) -> Result<ShardId, &'static str> {
        let counts = || self.0.by_shard.iter().map(|count| count.load(Relaxed));
        if counts().sum::<usize>() >= self.0.max {
            return Err("max.connections is reached");
        }
        if let Some(max) = self.0.max_per_address {
            let mut by_address = self.0.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(peer).or_default();
            if *count >= max {
                return Err("max.connections.per.ip is reached");
            }
            *count += 1;
        }
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
        if self.0.max_per_address.is_some() {
            let mut by_address = self.0.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = by_address.get_mut(&peer) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&peer);
                }
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
        let load = Load::new(2, 100, None);
        let places: Vec<u16> = (0..4).map(|_| load.place(ShardId(0), PEER).expect("room").0).collect();
        assert_eq!(places.iter().filter(|place| **place == 0).count(), 2, "{places:?}");
    }

    #[test]
    fn bounds_hold_and_give_way_when_a_connection_goes() {
        let load = Load::new(1, 2, Some(1));
        assert!(load.place(ShardId(0), PEER).is_ok());
        assert_eq!(load.place(ShardId(0), PEER), Err("max.connections.per.ip is reached"));
        let other = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
        assert!(load.place(ShardId(0), other).is_ok());
        assert_eq!(load.place(ShardId(0), other), Err("max.connections is reached"));
        load.remove(ShardId(0), PEER);
        assert!(load.place(ShardId(0), PEER).is_ok());
    }
}
