//! Whoever reads a compacted topic through sees of each key the last record, or, behind a tombstone, none: never an
//! older one than was acknowledged under acks=all, or read, before.

use crate::client::{
    history::{Acks, Event, History, Seen},
    record,
};
use corelane_core::ids::{Offset, PartitionId, TopicId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut compacted: BTreeSet<TopicId> = BTreeSet::new();
    // Of each key, the last offset that is known.
    let mut known: BTreeMap<(PartitionId, u64), Offset> = BTreeMap::new();
    let mut learn = |partition: PartitionId, key: u64, offset: Offset| {
        let last = known.entry((partition, key)).or_insert(offset);
        *last = (*last).max(offset);
        *last
    };
    for (_, event) in history.events() {
        match event {
            Event::TopicCompacted { topic } => {
                compacted.insert(*topic);
            }
            Event::Acknowledged { record, partition, acks: Acks::All, offset } => {
                learn(*partition, record::key(*record), *offset);
            }
            Event::Fetched { partition, records, .. } => {
                for (key, offset) in last_of_each(records) {
                    learn(*partition, key, offset);
                }
            }
            Event::Audited { partition, records, .. } if compacted.contains(&partition.topic) => {
                for (key, offset) in last_of_each(records) {
                    let last = learn(*partition, key, offset);
                    if offset < last {
                        return Err(format!(
                            "{partition} shows of key {key} the record at {offset}, but there was one at {last}"
                        ));
                    }
                }
            }
            Event::Sent { .. }
            | Event::Acknowledged { .. }
            | Event::Audited { .. }
            | Event::DeleteRecordsAsked { .. }
            | Event::DeleteTopicAsked { .. }
            | Event::Marks { .. }
            | Event::TopicAcknowledged { .. }
            | Event::TopicsAudited { .. }
            | Event::Assigned { .. }
            | Event::Committed { .. }
            | Event::OffsetsTold { .. }
            | Event::ReassignmentAsked { .. }
            | Event::Reassigned { .. }
            | Event::Placed { .. }
            | Event::VoterChangeAsked { .. }
            | Event::VoterChanged { .. }
            | Event::Voters { .. }
            | Event::PowerCut
            | Event::Unsettled
            | Event::Settled => {}
        }
    }
    Ok(())
}

fn last_of_each(records: &[Seen]) -> BTreeMap<u64, Offset> {
    records.iter().map(|seen| (record::key(seen.record), seen.offset)).collect()
}
