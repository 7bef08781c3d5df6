//! Whoever reads a compacted topic through sees of each key the last record, or, behind a tombstone, none: never an
//! older one than was acknowledged under acks=all, or read, before. But for a topic of several replicas whose tombstones
//! are kept for less than a replica may be away: what they buried may come back there, and it alone.

use crate::client::{
    history::{Acks, Event, History, Seen},
    record,
};
use corelane_core::ids::{PartitionId, TopicId};
use std::collections::BTreeMap;

pub(super) fn check(history: &History) -> Result<(), String> {
    // Whether what is buried stays so.
    let mut compacted: BTreeMap<TopicId, bool> = BTreeMap::new();
    // Of each key, the last record that is known.
    let mut known: BTreeMap<(PartitionId, u64), Seen> = BTreeMap::new();
    let mut learn = |partition: PartitionId, seen: Seen| {
        let last = known.entry((partition, record::key(seen.record))).or_insert(seen);
        if last.offset < seen.offset {
            *last = seen;
        }
        *last
    };
    for (_, event) in history.events() {
        match event {
            Event::TopicCompacted { topic, buries_for_good } => {
                compacted.insert(*topic, *buries_for_good);
            }
            Event::Acknowledged { record, partition, acks: Acks::All, offset } => {
                learn(*partition, Seen { record: *record, offset: *offset });
            }
            Event::Fetched { partition, records, .. } => {
                for (_, seen) in last_of_each(records) {
                    learn(*partition, seen);
                }
            }
            Event::Audited { partition, records, .. } => {
                let Some(buries_for_good) = compacted.get(&partition.topic) else { continue };
                for (key, seen) in last_of_each(records) {
                    let last = learn(*partition, seen);
                    let may_come_back = !buries_for_good && record::is_tombstone(last.record);
                    if seen.offset < last.offset && !may_come_back {
                        return Err(format!(
                            "{partition} shows of key {key} the record at {}, but there was one at {}",
                            seen.offset, last.offset
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn last_of_each(records: &[Seen]) -> BTreeMap<u64, Seen> {
    records.iter().map(|seen| (record::key(seen.record), *seen)).collect()
}
