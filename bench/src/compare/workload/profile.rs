//! Where a CPU-second of the broker goes, for what it does most.

use super::reading::{fill, make_cold, read_all};
use crate::{
    compare::{
        brokers::Brokers,
        load::{producers, rate},
        model::System,
        profile::Recording,
        session::Session,
    },
    schedule::Rate,
};
use anyhow::Result;

/// What each of eight consumers is sent.
const TAIL_RECORDS_PER_S: f64 = 2000.0;

/// Corelane's threads sampled while it is produced to, while consumers read what comes, and while a backlog is read. Once:
/// shares differ little between rounds.
///
/// # Errors
/// The connections', or the broker's. That perf is not there is noted among the conditions.
pub fn profiles(session: &mut Session<'_>, program: System) -> Result<()> {
    if program != System::Corelane || session.round > 1 {
        return Ok(());
    }
    let mut brokers = session.start(program, 1, &[], "profiles")?;
    session.warm_up(&brokers, program)?;
    match Recording::start(session.ground, &brokers.pids()) {
        Err(error) => session.results.conditions.push(("no flame graphs".into(), format!("{error:#}"))),
        Ok(recording) => {
            drop(recording);
            produce(session, &brokers, program)?;
            tail(session, &brokers, program)?;
            catch_up(session, &brokers, program)?;
        }
    }
    brokers.stop()?;
    Ok(())
}

fn produce(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let recording = Recording::start(session.ground, &brokers.pids())?;
    session.measure(("profile", "produce"), brokers, system, 16, &producers(4, Rate::Max), 0)?;
    let caption = "4 producers at Kafka's defaults (acks=all, idempotent, batches of 16 KiB) in a closed loop, 16 partitions";
    session.results.profiles.push(recording.finish("produce", caption)?);
    Ok(())
}

fn tail(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let recording = Recording::start(session.ground, &brokers.pids())?;
    let settings = producers(4, rate(TAIL_RECORDS_PER_S));
    session.measure(("profile", "tail fetch"), brokers, system, 16, &settings, 8)?;
    let caption = "2,000 records of 1 KiB per second, which eight consumers wait for, each for all of them";
    session.results.profiles.push(recording.finish("tail-fetch", caption)?);
    Ok(())
}

fn catch_up(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let (bytes, seconds, ground) = (session.plan.backlog_bytes, session.plan.seconds, session.ground);
    let (read, profile) = session.with_topic(brokers, system, 16, &[], |topic| {
        fill(topic, bytes, &brokers.pids())?;
        make_cold(brokers.data())?;
        let recording = Recording::start(ground, &brokers.pids())?;
        let read = read_all(topic, None, seconds, &brokers.pids())?;
        let caption = "a backlog that is not in the page cache, read by one consumer";
        Ok((read, recording.finish("catch-up-fetch", caption)?))
    })?;
    session.keep_figures(("profile", "catch-up fetch"), system, &read.figures);
    session.results.profiles.push(profile);
    Ok(())
}
