//! High watermark and log start never go back: whoever asks after an answer came sees no less than that answer.
//! Answers to requests that overlapped may come in either order. In a cluster in which something is wrong, whoever leads
//! may know less than the last leader, or lead no more and not know it: then what is told counts, and is not judged. Nor
//! is, in a cluster, what a Fetch tells, which a follower may have answered with the watermark it knows (KIP-392), nor the
//! log start, which followers hear of after the client.

use crate::client::history::{Event, History, Moment};
use corelane_core::ids::{Offset, PartitionId};
use std::collections::BTreeMap;

/// The highest marks shown so far, with the moment at which they were first known.
#[derive(Default)]
struct Shown {
    high_watermark: Vec<(Moment, Offset)>,
    log_start: Vec<(Moment, Offset)>,
}

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut shown: BTreeMap<PartitionId, Shown> = BTreeMap::new();
    let mut settled = true;
    for (moment, event) in history.events() {
        let (partition, asked, high_watermark, log_start) = match event {
            Event::Fetched { partition, asked, high_watermark, log_start, .. } => {
                (*partition, *asked, Some(*high_watermark), Some(*log_start))
            }
            Event::Marks { partition, asked, high_watermark, log_start } => {
                (*partition, *asked, *high_watermark, *log_start)
            }
            // No client asks for anything else during an audit, but retention goes on: the log start it began from
            // may be behind by now. It stands in the marks of the answer that told it.
            Event::Audited { partition, high_watermark, .. } => {
                (*partition, moment, Some(*high_watermark), None)
            }
            Event::Unsettled | Event::Settled => {
                settled = *event == Event::Settled;
                continue;
            }
            _ => continue,
        };
        let by_anyone = history.is_of_cluster() && matches!(event, Event::Fetched { .. });
        let asked = if settled && !by_anyone { asked } else { Moment(0) };
        let shown = shown.entry(partition).or_default();
        if let Some(value) = high_watermark {
            observe(&mut shown.high_watermark, asked, moment, value)
                .map_err(|before| went_back(partition, "high watermark", before, value))?;
        }
        if let Some(value) = log_start.filter(|_| !history.is_of_cluster()) {
            observe(&mut shown.log_start, asked, moment, value)
                .map_err(|before| went_back(partition, "log start", before, value))?;
        }
    }
    Ok(())
}

/// Holds `value` against what was known when it was asked for.
fn observe(
    rises: &mut Vec<(Moment, Offset)>,
    asked: Moment,
    moment: Moment,
    value: Offset,
) -> Result<(), Offset> {
    let known = rises.partition_point(|(at, _)| *at < asked);
    if let Some((_, before)) = known.checked_sub(1).map(|last| rises[last])
        && value < before
    {
        return Err(before);
    }
    if rises.last().is_none_or(|(_, highest)| value > *highest) {
        rises.push((moment, value));
    }
    Ok(())
}

fn went_back(partition: PartitionId, what: &str, before: Offset, now: Offset) -> String {
    format!("{what} of {partition} went back from {before} to {now}")
}
