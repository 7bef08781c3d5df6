//! Whoever reads what is committed finds all of a transaction that was committed and nothing of one that was aborted. Of
//! one whose end was asked for and not answered it finds all or nothing.

use crate::client::history::{Event, History, Moment, RecordId};
use corelane_core::ids::{Offset, PartitionId};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a transaction.
#[derive(Default)]
struct Known {
    records: Vec<(PartitionId, RecordId)>,
    commit_asked: bool,
    /// Whether it was told to be committed.
    told: Option<bool>,
    /// When its producer asked or was told last: what was read before that shows nothing.
    last: Option<Moment>,
}

/// What the last reading of a partition found.
struct Read {
    at: Moment,
    log_start: Offset,
    records: BTreeSet<RecordId>,
}

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    let mut of_record: BTreeMap<RecordId, u64> = BTreeMap::new();
    let mut offsets: BTreeMap<RecordId, Offset> = BTreeMap::new();
    let mut read: BTreeMap<PartitionId, Read> = BTreeMap::new();
    for (at, event) in history.events() {
        match event {
            Event::Wrote { transaction, record, partition }
                if of_record.insert(*record, *transaction).is_none() =>
            {
                known.entry(*transaction).or_default().records.push((*partition, *record));
            }
            Event::Acknowledged { record, offset, .. } => {
                offsets.insert(*record, *offset);
            }
            Event::EndAsked { transaction, commit } => {
                let known = known.entry(*transaction).or_default();
                known.commit_asked |= commit;
                known.last = Some(at);
            }
            Event::EndAnswered { transaction, commit } => {
                let known = known.entry(*transaction).or_default();
                known.told = Some(*commit);
                known.last = Some(at);
            }
            Event::AuditedCommitted { partition, log_start, records } => {
                let records: BTreeSet<RecordId> = records.iter().map(|seen| seen.record).collect();
                for record in &records {
                    let transaction = of_record.get(record).and_then(|it| Some((it, known.get(it)?)));
                    if let Some((number, transaction)) = transaction {
                        shown(*partition, *record, *number, transaction)?;
                    }
                }
                read.insert(*partition, Read { at, log_start: *log_start, records });
            }
            _ => {}
        }
    }
    known.iter().try_for_each(|(number, transaction)| is_whole(*number, transaction, &offsets, &read))
}

/// A record that is shown is of a transaction that may be committed.
fn shown(partition: PartitionId, record: RecordId, number: u64, transaction: &Known) -> Result<(), String> {
    if transaction.told == Some(false) || !transaction.commit_asked {
        let why = if transaction.commit_asked { "was aborted" } else { "nobody asked to commit" };
        return Err(format!("{partition} shows {record:?} of transaction {number}, which {why}"));
    }
    Ok(())
}

/// All of a transaction's records that must be somewhere are there, or, where nobody knows, none of them.
fn is_whole(
    number: u64,
    transaction: &Known,
    offsets: &BTreeMap<RecordId, Offset>,
    read: &BTreeMap<PartitionId, Read>,
) -> Result<(), String> {
    let (mut found, mut missing) = (None, None);
    for (partition, record) in &transaction.records {
        let read = read.get(partition).filter(|read| Some(read.at) > transaction.last);
        let (Some(offset), Some(read)) = (offsets.get(record), read) else { continue };
        if read.records.contains(record) {
            found = Some((partition, record));
        } else if *offset >= read.log_start {
            missing = Some((partition, record));
        }
    }
    match (transaction.told, found, missing) {
        (Some(true), _, Some((partition, record))) => {
            Err(format!("{partition} lacks {record:?} of transaction {number}, which was committed"))
        }
        (None, Some((there, one)), Some((partition, record))) => Err(format!(
            "transaction {number} is there in parts: {one:?} in {there}, but {record:?} is not in {partition}"
        )),
        _ => Ok(()),
    }
}
