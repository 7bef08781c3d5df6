//! Finding a record by its time, in one batch: the last step of ListOffsets, after the segment and its index.

use crate::{
    ids::Offset,
    records::{
        Batch, Scratch,
        walk::{RecordFacts, WalkFault, walk},
    },
};
use std::ops::ControlFlow;

/// A record and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Where it is.
    pub offset: Offset,
    /// When, in Unix milliseconds.
    pub timestamp_ms: i64,
}

/// The first record of `batch` at `from` or later that is of `target_ms` or later. Timestamps need not ascend: it is
/// the first by offset. `from` leaves out what lies below the log start.
pub fn first_at_or_after(
    batch: &Batch<'_>,
    target_ms: i64,
    from: Offset,
    scratch: &mut Scratch,
) -> Result<Option<Timed>, WalkFault> {
    // The header says whether going over the records can find anything.
    if batch.header().max_timestamp_ms() < target_ms {
        return Ok(None);
    }
    let mut found = None;
    walk(batch, scratch, |record| {
        let timed = timed(batch, &record);
        if timed.timestamp_ms >= target_ms && timed.offset >= from {
            found = Some(timed);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The first record of `batch` that has its latest timestamp, or none if no record has a timestamp.
pub fn latest(batch: &Batch<'_>, scratch: &mut Scratch) -> Result<Option<Timed>, WalkFault> {
    let mut latest: Option<Timed> = None;
    walk(batch, scratch, |record| {
        let timed = timed(batch, &record);
        if timed.timestamp_ms >= 0 && latest.is_none_or(|latest| timed.timestamp_ms > latest.timestamp_ms) {
            latest = Some(timed);
        }
        ControlFlow::Continue(())
    })?;
    Ok(latest)
}

fn timed(batch: &Batch<'_>, record: &RecordFacts) -> Timed {
    let base = batch.header().base_offset();
    let offset = Offset(base.0.saturating_add(i64::from(record.offset_delta)));
    Timed { offset, timestamp_ms: record.timestamp_ms }
}

#[cfg(test)]
mod tests;
