//! Between the log start and the high watermark every offset holds one record: none is skipped, none comes twice. A
//! fetch begins at the offset that was asked for and passes no watermark. In a topic that is compacted, or has markers of
//! transactions, offsets are skipped, but ascend.

use crate::client::history::{Event, History, Seen};
use corelane_core::ids::{Offset, PartitionId, TopicId};
use std::collections::BTreeSet;

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut holed: BTreeSet<TopicId> = BTreeSet::new();
    for (_, event) in history.events() {
        let run = |partition: PartitionId, from, records: &[Seen]| {
            run(partition, from, records, holed.contains(&partition.topic))
        };
        match event {
            Event::TopicCompacted { topic, .. } => {
                holed.insert(*topic);
            }
            Event::Added { partition } => {
                holed.insert(partition.topic);
            }
            Event::Fetched { partition, from, high_watermark, records, .. } => {
                let end = run(*partition, *from, records)?;
                if !records.is_empty() && end > *high_watermark {
                    return Err(format!(
                        "{partition} showed offset {end} past its watermark {high_watermark}"
                    ));
                }
            }
            Event::Audited { partition, log_start, high_watermark, records } => {
                let end = run(*partition, *log_start, records)?;
                let may_end = end <= *high_watermark && holed.contains(&partition.topic);
                if end != *high_watermark && !may_end {
                    return Err(format!("{partition} ends at {end}, its watermark is {high_watermark}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The offset behind an unbroken run, or an ascending one with `holes`.
fn run(partition: PartitionId, from: Offset, records: &[Seen], holes: bool) -> Result<Offset, String> {
    let mut next = from;
    for seen in records {
        if seen.offset < next || (seen.offset > next && !holes) {
            return Err(format!("{partition} shows offset {} where {next} was due", seen.offset));
        }
        next = seen.offset.plus(1);
    }
    Ok(next)
}
