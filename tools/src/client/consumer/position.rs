//! Where a consumer is in each of its partitions.

use super::{
    config::{ConsumerConfig, Reset},
    fetch::Want,
};
use crate::client::{
    Cluster, TopicPartition,
    error::{ClientError, Result},
    groups,
    offsets::{self, EARLIEST, LATEST},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// All partitions of a consumer.
#[derive(Default)]
pub struct Positions {
    partitions: BTreeMap<TopicPartition, Partition>,
    leaders: BTreeMap<TopicPartition, Option<i32>>,
}

struct Partition {
    at: At,
    /// Not fetched before this.
    paused: Option<Instant>,
    committed: Option<i64>,
}

#[derive(Clone, Copy)]
enum At {
    /// Where the group was, or where the reset says.
    Unknown,
    /// Where the reset says, after this offset was out of range.
    Lost(i64),
    /// At a special offset or a time, to be asked for.
    Time(i64),
    /// Handed out up to `read`, fetched up to `fetched`.
    Known { read: i64, fetched: i64 },
}

impl Partition {
    fn new(at: At) -> Partition {
        Partition { at, paused: None, committed: None }
    }
}

impl Positions {
    /// These and no others, each from an offset or a special one.
    pub fn assign_at(&mut self, partitions: &BTreeMap<TopicPartition, i64>) {
        let at = |offset: i64| {
            if offset < 0 { At::Time(offset) } else { At::Known { read: offset, fetched: offset } }
        };
        self.partitions =
            partitions.iter().map(|(place, offset)| (place.clone(), Partition::new(at(*offset)))).collect();
    }

    /// These and no others; those that stay go on where they are.
    pub fn assign(&mut self, places: BTreeSet<TopicPartition>) {
        self.partitions.retain(|place, _| places.contains(place));
        for place in places {
            self.partitions.entry(place).or_insert_with(|| Partition::new(At::Unknown));
        }
    }

    /// Whether one of the present partitions is not among these.
    pub fn loses(&self, places: &BTreeSet<TopicPartition>) -> bool {
        self.partitions.keys().any(|place| !places.contains(place))
    }

    pub fn leaders(&mut self, leaders: BTreeMap<TopicPartition, Option<i32>>) {
        self.leaders = leaders;
    }

    /// What may be fetched.
    pub fn wanted(&self) -> Vec<Want> {
        let now = Instant::now();
        let ready =
            self.partitions.iter().filter(|(_, partition)| partition.paused.is_none_or(|until| now >= until));
        let wanted = ready.filter_map(|(place, partition)| {
            let At::Known { fetched, .. } = partition.at else { return None };
            let leader = (*self.leaders.get(place)?)?;
            Some(Want { place: place.clone(), leader, from: fetched })
        });
        wanted.collect()
    }

    /// A chunk came; whether it still is what is wanted.
    pub fn fetched(&mut self, place: &TopicPartition, from: i64, end: i64) -> bool {
        match self.partitions.get_mut(place).map(|partition| &mut partition.at) {
            Some(At::Known { fetched, .. }) if *fetched == from => {
                *fetched = end;
                true
            }
            _ => false,
        }
    }

    /// Everything below is handed out.
    pub fn read_to(&mut self, place: &TopicPartition, offset: i64) {
        if let Some(At::Known { read, .. }) =
            self.partitions.get_mut(place).map(|partition| &mut partition.at)
        {
            *read = (*read).max(offset);
        }
    }

    /// The position is out of range.
    pub fn reset(&mut self, place: &TopicPartition, from: i64) {
        if let Some(partition) = self.partitions.get_mut(place) {
            partition.at = At::Lost(from);
        }
    }

    pub fn pause(&mut self, place: &TopicPartition, until: Instant) {
        if let Some(partition) = self.partitions.get_mut(place) {
            partition.paused = Some(until);
        }
    }

    /// What was read and is not committed.
    pub fn uncommitted(&self) -> BTreeMap<TopicPartition, i64> {
        let read = self.partitions.iter().filter_map(|(place, partition)| match partition.at {
            At::Known { read, .. } if partition.committed != Some(read) => Some((place.clone(), read)),
            _ => None,
        });
        read.collect()
    }

    pub fn committed(&mut self, offsets: &BTreeMap<TopicPartition, i64>) {
        for (place, offset) in offsets {
            if let Some(partition) = self.partitions.get_mut(place) {
                partition.committed = Some(*offset);
            }
        }
    }

    /// Whether there are partitions of which it is not known where to begin.
    pub fn has_open(&self) -> bool {
        self.open().next().is_some()
    }

    fn open(&self) -> impl Iterator<Item = (&TopicPartition, At)> {
        let open = self.partitions.iter().map(|(place, partition)| (place, partition.at));
        open.filter(|(_, at)| !matches!(at, At::Known { .. }))
    }

    /// Asks where to begin: the group, then the leaders.
    ///
    /// # Errors
    /// [`Reset::Never`] where nothing is committed; what cannot be asked again.
    pub fn find(&mut self, cluster: &mut Cluster, config: &ConsumerConfig) -> Result<()> {
        self.find_committed(cluster, config)?;
        let mut wanted = BTreeMap::new();
        for (place, at) in self.open() {
            let timestamp = match at {
                At::Time(timestamp) => timestamp,
                _ => reset_time(place, at, config)?,
            };
            wanted.insert(place.clone(), timestamp);
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let found = offsets::list_offsets(cluster, &wanted, config.read_committed)?;
        let mut nothing_then = BTreeMap::new();
        for (place, found) in found {
            match found {
                Ok(found) if found.offset >= 0 => self.begin(&place, found.offset),
                // No record is that young: what comes.
                Ok(_) => drop(nothing_then.insert(place, LATEST)),
                Err(error) if error.is_retriable() => {
                    // The topic may be on its way.
                    let timestamp = wanted.get(&place).copied().unwrap_or(LATEST);
                    nothing_then.insert(place, timestamp);
                }
                Err(error) => return Err(error),
            }
        }
        for (place, timestamp) in nothing_then {
            if let Some(partition) = self.partitions.get_mut(&place) {
                partition.at = At::Time(timestamp);
            }
        }
        Ok(())
    }

    fn find_committed(&mut self, cluster: &mut Cluster, config: &ConsumerConfig) -> Result<()> {
        let Some(group) = &config.group else { return Ok(()) };
        if !self.open().any(|(_, at)| matches!(at, At::Unknown)) {
            return Ok(());
        }
        let committed = groups::committed(cluster, group)?;
        for (place, partition) in &mut self.partitions {
            if let (At::Unknown, Some(committed)) = (partition.at, committed.get(place)) {
                partition.at = At::Known { read: committed.offset, fetched: committed.offset };
                partition.committed = Some(committed.offset);
            }
        }
        Ok(())
    }

    fn begin(&mut self, place: &TopicPartition, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(place) {
            partition.at = At::Known { read: offset, fetched: offset };
        }
    }
}

fn reset_time(place: &TopicPartition, at: At, config: &ConsumerConfig) -> Result<i64> {
    Ok(match config.reset {
        Reset::Earliest => EARLIEST,
        Reset::Latest => LATEST,
        Reset::Ago(ago) => {
            let then = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
            i64::try_from(then.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
        }
        Reset::Never => {
            let message = match at {
                At::Lost(offset) => {
                    format!(
                        "Fetch position {offset} is out of range for partition {place}, and no reset policy is defined"
                    )
                }
                _ => format!("Undefined offset with no reset policy for partitions: [{place}]"),
            };
            return Err(ClientError::Config(message));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    #[test]
    fn a_chunk_from_another_position_than_the_present_one_is_not_taken() {
        let mut positions = Positions::default();
        positions.assign_at(&BTreeMap::from([(place(0), 5)]));
        assert!(!positions.fetched(&place(0), 4, 9) && !positions.fetched(&place(1), 5, 9));
        assert!(positions.fetched(&place(0), 5, 9));
        assert!(!positions.fetched(&place(0), 5, 9), "it was taken already");
    }

    #[test]
    fn only_what_was_read_since_is_to_be_committed() {
        let mut positions = Positions::default();
        positions.assign_at(&BTreeMap::from([(place(0), 0), (place(1), EARLIEST)]));
        positions.fetched(&place(0), 0, 10);
        positions.read_to(&place(0), 3);
        let offsets = positions.uncommitted();
        assert_eq!(offsets, BTreeMap::from([(place(0), 3)]), "what is fetched is not read");
        positions.committed(&offsets);
        assert!(positions.uncommitted().is_empty());
    }

    #[test]
    fn partitions_that_stay_go_on_where_they_are() {
        let mut positions = Positions::default();
        positions.assign_at(&BTreeMap::from([(place(0), 7), (place(1), 8)]));
        assert!(positions.loses(&BTreeSet::from([place(0)])));
        positions.assign(BTreeSet::from([place(0), place(2)]));
        positions.leaders(BTreeMap::from([(place(0), Some(1)), (place(2), Some(1))]));
        let wanted = positions.wanted();
        assert_eq!(wanted.len(), 1, "where partition 2 begins is not known");
        assert_eq!(wanted[0].from, 7);
        assert!(positions.has_open());
    }
}
