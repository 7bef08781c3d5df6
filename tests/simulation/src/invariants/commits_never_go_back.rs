//! What a group is told of its committed offsets is never older than what it knew to be committed.
//!
//! A commit is superseded by one that was asked for after it was acknowledged. Once that one is acknowledged too, nobody
//! who asks is told of the first, nor that there is none, unless someone asked for the topic's deletion. A commit whose
//! outcome nobody knows may take effect at any time. In a cluster in which something is wrong, a coordinator may be one no
//! more and not know it, and tell what was true once: that is not judged.

use crate::client::history::{Event, History, Moment};
use corelane_core::ids::{PartitionId, TopicId};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

#[derive(Clone, Copy)]
struct Commit {
    asked: Moment,
    acknowledged: Moment,
    offset: i64,
}

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut commits: BTreeMap<(Rc<str>, PartitionId), Vec<Commit>> = BTreeMap::new();
    let mut deleted: BTreeSet<TopicId> = BTreeSet::new();
    let mut settled = true;
    for (moment, event) in history.events() {
        match event {
            Event::Unsettled | Event::Settled => settled = *event == Event::Settled,
            Event::Committed { group, asked, offsets } => {
                for (partition, offset) in offsets {
                    let of_partition = commits.entry((Rc::clone(group), *partition)).or_default();
                    of_partition.push(Commit { asked: *asked, acknowledged: moment, offset: *offset });
                }
            }
            Event::DeleteTopicAsked { topic } => {
                deleted.insert(*topic);
            }
            Event::OffsetsTold { group, asked, offsets } if settled => {
                for (partition, told) in offsets {
                    let known = commits.get(&(Rc::clone(group), *partition)).map_or(&[][..], |all| all);
                    if deleted.contains(&partition.topic) {
                        continue;
                    }
                    stale(known, *asked, *told).map_err(|newer| {
                        format!("{group}, {partition}: told {told}, {newer} was committed")
                    })?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a told offset is older than it may be; what it should have been at least.
fn stale(known: &[Commit], asked: Moment, told: i64) -> Result<(), i64> {
    let mut acknowledged_before = known.iter().filter(|commit| commit.acknowledged < asked);
    let its_acknowledgement = known.iter().find(|commit| commit.offset == told).map(|it| it.acknowledged);
    let superseded = |newer: &&Commit| match its_acknowledgement {
        // It was acknowledged before this one was even asked for.
        Some(at) => newer.offset != told && newer.asked > at,
        // Nothing at all is older than anything; what nobody was told of may have come late.
        None => told < 0,
    };
    match acknowledged_before.rfind(superseded) {
        Some(newer) => Err(newer.offset),
        None => Ok(()),
    }
}
