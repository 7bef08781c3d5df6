//! Of what a pipeline reads nothing is transformed twice, and once it has come to the end, nothing was left out: the
//! offsets of its group and what it wrote were committed together, or neither of them.

use crate::client::history::{Event, History, Moment, RecordId, Seen};
use corelane_core::ids::{Offset, PartitionId, TopicId};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// A group and what it reads.
type Pipeline = (Rc<str>, PartitionId);

#[derive(Default)]
struct Known {
    /// Of each offset of the input every record that was written for it, and where.
    outputs: BTreeMap<Offset, Vec<(PartitionId, RecordId)>>,
    /// Up to where it has read, and when that was.
    drained: Option<(Moment, Offset)>,
}

/// What may have been taken away.
#[derive(Default)]
struct Deleted {
    from: BTreeSet<PartitionId>,
    topics: BTreeSet<TopicId>,
}

impl Deleted {
    fn may_lack(&self, partition: PartitionId) -> bool {
        self.from.contains(&partition) || self.topics.contains(&partition.topic)
    }
}

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut pipelines: BTreeMap<Pipeline, Known> = BTreeMap::new();
    let mut read: BTreeMap<PartitionId, (Moment, &[Seen])> = BTreeMap::new();
    let mut deleted = Deleted::default();
    for (at, event) in history.events() {
        match event {
            Event::Transformed { group, input, offset, record, output } => {
                let known = pipelines.entry((Rc::clone(group), *input)).or_default();
                known.outputs.entry(*offset).or_default().push((*output, *record));
            }
            Event::Drained { group, input, to } => {
                pipelines.entry((Rc::clone(group), *input)).or_default().drained = Some((at, *to));
            }
            Event::AuditedCommitted { partition, records, .. } => {
                read.insert(*partition, (at, records));
            }
            Event::DeleteRecordsAsked { partition, .. } => {
                deleted.from.insert(*partition);
            }
            Event::DeleteTopicAsked { topic } => {
                deleted.topics.insert(*topic);
            }
            _ => {}
        }
    }
    let all = read.values().flat_map(|(_, records)| records.iter());
    let there: BTreeSet<RecordId> = all.map(|seen| seen.record).collect();
    for (pipeline, known) in &pipelines {
        twice(pipeline, known, &there)?;
        let Some((drained, to)) = known.drained else { continue };
        let Some((_, input)) = read.get(&pipeline.1).filter(|(at, _)| *at > drained) else { continue };
        let due = input.iter().filter(|seen| seen.offset < to);
        for seen in due {
            left_out(pipeline, known, *seen, &there, &deleted)?;
        }
    }
    Ok(())
}

fn twice(pipeline: &Pipeline, known: &Known, there: &BTreeSet<RecordId>) -> Result<(), String> {
    for (offset, outputs) in &known.outputs {
        let mut found = outputs.iter().filter(|(_, record)| there.contains(record));
        if let (Some((first, one)), Some((second, other))) = (found.next(), found.next()) {
            let (group, input) = pipeline;
            return Err(format!(
                "{group}: {offset} of {input} was transformed to {one:?} in {first} and to {other:?} in {second}"
            ));
        }
    }
    Ok(())
}

fn left_out(
    (group, input): &Pipeline,
    known: &Known,
    seen: Seen,
    there: &BTreeSet<RecordId>,
    deleted: &Deleted,
) -> Result<(), String> {
    let outputs = known.outputs.get(&seen.offset).map_or(&[][..], |outputs| outputs);
    let is_explained =
        |(output, record): &(PartitionId, RecordId)| there.contains(record) || deleted.may_lack(*output);
    if outputs.iter().any(is_explained) {
        return Ok(());
    }
    Err(format!("{group}: {:?} at {} of {input} was not transformed", seen.record, seen.offset))
}
