//! A record of an idempotent producer is in the log once, however often it was sent, and each of its
//! acknowledgements names the same offset.

use crate::client::history::{Event, History, RecordId};
use corelane_core::ids::{Offset, PartitionId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut idempotent: BTreeSet<RecordId> = BTreeSet::new();
    let mut acknowledged: BTreeMap<RecordId, Offset> = BTreeMap::new();
    for (_, event) in history.events() {
        match event {
            Event::Sent { record, producer: Some(_), .. } => {
                idempotent.insert(*record);
            }
            Event::Acknowledged { record, partition, offset, .. } if idempotent.contains(record) => {
                let first = *acknowledged.entry(*record).or_insert(*offset);
                if first != *offset {
                    return Err(format!("{record:?} was acknowledged at {partition} {first} and {offset}"));
                }
            }
            Event::Audited { partition, records, .. } => {
                let mut places: BTreeMap<RecordId, Offset> = BTreeMap::new();
                for seen in records.iter().filter(|seen| idempotent.contains(&seen.record)) {
                    once(*partition, places.insert(seen.record, seen.offset), seen.record, seen.offset)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn once(
    partition: PartitionId,
    before: Option<Offset>,
    record: RecordId,
    offset: Offset,
) -> Result<(), String> {
    match before {
        Some(before) => Err(format!("{record:?} stands in {partition} at {before} and at {offset}")),
        None => Ok(()),
    }
}
