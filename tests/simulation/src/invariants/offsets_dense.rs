//! Between the log start and the high watermark every offset holds one record: none is skipped, none comes twice. A
//! fetch begins at the offset that was asked for and passes no watermark.

use crate::client::history::{Event, History, Seen};
use corelane_core::ids::{Offset, PartitionId};

pub(super) fn check(history: &History) -> Result<(), String> {
    for (_, event) in history.events() {
        match event {
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
                if end != *high_watermark {
                    return Err(format!("{partition} ends at {end}, its watermark is {high_watermark}"));
                }
            }
            Event::Sent { .. }
            | Event::Acknowledged { .. }
            | Event::DeleteRecordsAsked { .. }
            | Event::DeleteTopicAsked { .. }
            | Event::Marks { .. }
            | Event::Assigned { .. }
            | Event::Committed { .. }
            | Event::OffsetsTold { .. }
            | Event::TopicAcknowledged { .. }
            | Event::TopicsAudited { .. }
            | Event::PowerCut => {}
        }
    }
    Ok(())
}

/// The offset behind an unbroken run.
fn run(partition: PartitionId, from: Offset, records: &[Seen]) -> Result<Offset, String> {
    let mut next = from;
    for seen in records {
        if seen.offset != next {
            return Err(format!("{partition} shows offset {} where {next} was due", seen.offset));
        }
        next = next.plus(1);
    }
    Ok(next)
}
