//! What one reader saw at an offset every later reader sees there; it was sent, and to that partition.

use crate::client::history::{Event, History, RecordId};
use corelane_core::ids::{Offset, PartitionId};
use std::collections::BTreeMap;

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut sent: BTreeMap<RecordId, PartitionId> = BTreeMap::new();
    let mut read: BTreeMap<(PartitionId, Offset), RecordId> = BTreeMap::new();
    for (_, event) in history.events() {
        let (partition, records) = match event {
            Event::Sent { record, partition, .. } => {
                sent.insert(*record, *partition);
                continue;
            }
            Event::Fetched { partition, records, .. } | Event::Audited { partition, records, .. } => {
                (*partition, records)
            }
            _ => continue,
        };
        for seen in records {
            if sent.get(&seen.record) != Some(&partition) {
                return Err(format!("{partition} shows {:?}, which was never sent there", seen.record));
            }
            let first = *read.entry((partition, seen.offset)).or_insert(seen.record);
            if first != seen.record {
                let offset = seen.offset;
                return Err(format!("{partition} {offset} was {first:?} and became {:?}", seen.record));
            }
        }
    }
    Ok(())
}
