//! Every record acknowledged under acks=all, and every one that a consumer read, is found by every later audit, at its
//! offset, unless someone asked for its deletion; under acks=1, which promises nothing in a cluster, unless the power was
//! cut in between. In a compacted topic it may be missing where a later record of its key is there, or where a tombstone
//! of its key came behind it that has served its time.

use crate::client::{
    history::{Acks, Event, History, RecordId},
    record,
};
use corelane_core::ids::{Offset, PartitionId, TopicId};
use std::collections::{BTreeMap, BTreeSet};

/// Why a record must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    Acknowledged(Acks),
    Read,
}

/// Of what was acknowledged.
pub(super) fn check(history: &History) -> Result<(), String> {
    judge(history, |event| match event {
        Event::Acknowledged { record, partition, acks: acks @ (Acks::All | Acks::Leader), offset } => {
            vec![(*partition, *offset, *record, Promise::Acknowledged(*acks))]
        }
        _ => Vec::new(),
    })
}

/// Of what a consumer read.
pub(super) fn check_read(history: &History) -> Result<(), String> {
    judge(history, |event| match event {
        Event::Fetched { partition, records, .. } => {
            let promised = records.iter().map(|seen| (*partition, seen.offset, seen.record, Promise::Read));
            promised.collect()
        }
        _ => Vec::new(),
    })
}

type Promised = Vec<(PartitionId, Offset, RecordId, Promise)>;

fn judge(history: &History, promises: impl Fn(&Event) -> Promised) -> Result<(), String> {
    let mut promised: BTreeMap<(PartitionId, Offset), (RecordId, Promise)> = BTreeMap::new();
    let mut deletable: BTreeMap<PartitionId, Offset> = BTreeMap::new();
    let mut deleted_topics: BTreeSet<TopicId> = BTreeSet::new();
    let mut keys = Keys::default();
    for (_, event) in history.events() {
        keys.note(event);
        for (partition, offset, record, promise) in promises(event) {
            if promise == Promise::Acknowledged(Acks::Leader) {
                // A duplicate that was acknowledged again must not weaken the first promise.
                promised.entry((partition, offset)).or_insert((record, promise));
            } else {
                promised.insert((partition, offset), (record, promise));
            }
        }
        match event {
            Event::DeleteRecordsAsked { partition, before } => {
                let below = deletable.entry(*partition).or_default();
                *below = (*below).max(*before);
            }
            Event::DeleteTopicAsked { topic } => {
                deleted_topics.insert(*topic);
            }
            Event::PowerCut => {
                promised.retain(|_, (_, promise)| *promise != Promise::Acknowledged(Acks::Leader));
            }
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
                for ((_, offset), (record, promise)) in promised.range(range) {
                    if found.get(offset) != Some(record)
                        && !keys.is_superseded(*partition, *record, *offset, &found)
                    {
                        let instead = found.get(offset);
                        return Err(format!(
                            "{record:?} at {partition} offset {offset}: {promise:?}; an audit found {instead:?} there"
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is known of the keys of compacted topics.
#[derive(Default)]
struct Keys {
    compacted: BTreeSet<TopicId>,
    /// Tombstones that were sent, by key; with their offsets, once they were acknowledged.
    tombstones: BTreeMap<(PartitionId, u64), BTreeMap<RecordId, Option<Offset>>>,
}

impl Keys {
    fn note(&mut self, event: &Event) {
        let (partition, record, offset) = match event {
            Event::TopicCompacted { topic, .. } => {
                self.compacted.insert(*topic);
                return;
            }
            Event::Sent { record, partition, .. } => (partition, record, None),
            Event::Acknowledged { record, partition, offset, .. } => (partition, record, Some(*offset)),
            _ => return,
        };
        if record::is_tombstone(*record) {
            let of_key = self.tombstones.entry((*partition, record::key(*record))).or_default();
            let known = of_key.entry(*record).or_default();
            *known = known.or(offset);
        }
    }

    /// Whether compaction may have taken a record.
    fn is_superseded(
        &self,
        partition: PartitionId,
        lost: RecordId,
        at: Offset,
        found: &BTreeMap<Offset, RecordId>,
    ) -> bool {
        let key = record::key(lost);
        let is_later = |(_, record): (&Offset, &RecordId)| record::key(*record) == key;
        let tombstones = self.tombstones.get(&(partition, key));
        // Whether one that was never acknowledged was appended, and where, no one knows.
        let is_behind = |offset: &Option<Offset>| offset.is_none_or(|offset| offset >= at);
        self.compacted.contains(&partition.topic)
            && !found.contains_key(&at)
            && (found.range(at..).any(is_later) || tombstones.is_some_and(|all| all.values().any(is_behind)))
    }
}
