//! Reading a partition from front to back, each byte checked.

use crate::{Client, FetchWanted, payload::Stamp};
use anyhow::{Context, ensure};
use corelane_core::{
    error::ErrorCode,
    records::{Batches, DecodedBatch, Scratch},
};
use std::time::{Duration, Instant};

/// Longest that a partition may take to give anything at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads on at the end of what is known until the high watermark is reached, and adds what comes: `known[i]` is the
/// record at offset `i`.
///
/// # Errors
/// When offsets are not dense, a record's bytes are not those that some producer wrote, the log does not start at 0, or
/// the broker does not answer.
pub fn read_on(
    client: &mut Client,
    topic: &str,
    partition: i32,
    known: &mut Vec<Stamp>,
) -> anyhow::Result<()> {
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        let from = i64::try_from(known.len())?;
        let fetched = client.fetch(topic, partition, from, FetchWanted::default())?;
        let place = || format!("{topic}-{partition} from {from} on");
        match fetched.error {
            ErrorCode::None => {}
            // The partition is not loaded yet: a client would ask again.
            ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::UnknownTopicOrPartition
                if Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            error => anyhow::bail!("{}: {error}", place()),
        }
        ensure!(fetched.log_start == 0, "{}: the log starts at {}", place(), fetched.log_start);
        let before = known.len();
        stamps(&fetched.records, known).with_context(place)?;
        if i64::try_from(known.len())? >= fetched.high_watermark {
            return Ok(());
        }
        if known.len() > before {
            deadline = Instant::now() + PATIENCE;
        }
        ensure!(
            Instant::now() < deadline,
            "{}: nothing comes below the high watermark {}",
            place(),
            fetched.high_watermark
        );
    }
}

/// Appends the records of fetched batches; those before the offset that was asked for are passed over.
fn stamps(bytes: &[u8], known: &mut Vec<Stamp>) -> anyhow::Result<()> {
    let mut scratch = Scratch::new();
    for batch in Batches::new(bytes) {
        let batch = batch?;
        ensure!(batch.checksum_matches(), "a batch's checksum is wrong: {batch:?}");
        for record in DecodedBatch::new(batch, &mut scratch)?.records() {
            let record = record?;
            let expected = i64::try_from(known.len())?;
            if record.offset.0 < expected {
                continue;
            }
            ensure!(record.offset.0 == expected, "offset {} where {expected} belongs", record.offset.0);
            let value = record.value.context("a null value")?;
            let stamp = Stamp::of(value)
                .with_context(|| format!("offset {expected} holds bytes that no one wrote: {value:02x?}"))?;
            known.push(stamp);
        }
    }
    Ok(())
}

/// Reads all of it.
///
/// # Errors
/// As [`read_on`].
pub fn read_all(client: &mut Client, topic: &str, partition: i32) -> anyhow::Result<Vec<Stamp>> {
    let mut all = Vec::new();
    read_on(client, topic, partition, &mut all)?;
    Ok(all)
}
