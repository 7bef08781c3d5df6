//! Every record acknowledged under acks=all is found by every later audit, at its offset, unless someone asked for
//! its deletion; and under acks=1 unless the power was cut in between.

use crate::client::history::{Acks, Event, History, RecordId};
use corelane_core::ids::{Offset, PartitionId, TopicId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut promised: BTreeMap<(PartitionId, Offset), (RecordId, Acks)> = BTreeMap::new();
    let mut deletable: BTreeMap<PartitionId, Offset> = BTreeMap::new();
    let mut deleted_topics: BTreeSet<TopicId> = BTreeSet::new();
    for (_, event) in history.events() {
        match event {
            Event::Acknowledged { record, partition, acks, offset } => match acks {
                // A duplicate that was acknowledged again must not weaken the first promise.
                Acks::All => {
                    promised.insert((*partition, *offset), (*record, Acks::All));
                }
                Acks::Leader => {
                    promised.entry((*partition, *offset)).or_insert((*record, Acks::Leader));
                }
                Acks::None => {}
            },
            Event::DeleteRecordsAsked { partition, before } => {
                let below = deletable.entry(*partition).or_default();
                *below = (*below).max(*before);
            }
            Event::DeleteTopicAsked { topic } => {
                deleted_topics.insert(*topic);
            }
            Event::PowerCut => promised.retain(|_, (_, acks)| *acks == Acks::All),
            Event::Audited { partition, log_start, records, .. } => {
                if deleted_topics.contains(&partition.topic) {
                    continue;
                }
                let below = deletable.get(partition).copied().unwrap_or_default();
                if *log_start > below {
                    return Err(format!(
                        "{partition} starts at {log_start}, deletion was asked below {below}"
                    ));
                }
                let found: BTreeMap<Offset, RecordId> =
                    records.iter().map(|seen| (seen.offset, seen.record)).collect();
                let range = (*partition, *log_start)..=(*partition, Offset(i64::MAX));
                for ((_, offset), (record, acks)) in promised.range(range) {
                    if found.get(offset) != Some(record) {
                        let instead = found.get(offset);
                        return Err(format!(
                            "{record:?} was acknowledged ({acks:?}) at {partition} offset {offset}; \
                             an audit found {instead:?} there"
                        ));
                    }
                }
            }
            Event::Sent { .. }
            | Event::Fetched { .. }
            | Event::Marks { .. }
            | Event::Assigned { .. }
            | Event::Committed { .. }
            | Event::OffsetsTold { .. }
            | Event::TopicAcknowledged { .. }
            | Event::TopicsAudited { .. } => {}
        }
    }
    Ok(())
}
