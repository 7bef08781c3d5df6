//! When all is well again, a partition is where one of the last reassignments put it, and without any where it was: a
//! reassignment that was agreed to outdoes all that were answered before it was asked. One whose answer was lost, or that
//! failed, may have happened at any time since. What was asked to go back goes to wherever it was; that is not judged.

use crate::client::history::{Event, History, Moment};
use corelane_core::ids::PartitionId;
use std::collections::BTreeMap;

/// Where a partition may be.
#[derive(Default)]
struct Known {
    /// Where it was when it was last looked at, if no reassignment since is known to have happened.
    before: Option<Vec<i32>>,
    /// What was asked since and may have the last word: when it was answered, if it was, and for what.
    asked: Vec<(Option<Moment>, Vec<i32>)>,
    /// Whether one of those happened for certain.
    moved: bool,
    goes_back: bool,
}

impl Known {
    fn asked(&mut self, replicas: &[i32]) {
        self.asked.push((None, replicas.to_vec()));
    }

    /// One of those that were asked for just this is answered.
    fn agreed(&mut self, replicas: &[i32], asked: Moment, at: Moment) {
        let is_it =
            |(answered, other): &&mut (Option<Moment>, Vec<i32>)| answered.is_none() && other == replicas;
        if let Some((answered, _)) = self.asked.iter_mut().find(is_it) {
            *answered = Some(at);
        }
        (self.before, self.moved) = (None, true);
        self.asked.retain(|(answered, _)| answered.is_none_or(|answered| answered >= asked));
    }

    fn placed(&mut self, partition: PartitionId, replicas: &[i32]) -> Result<(), String> {
        let is_known = self.before.is_some() || self.moved;
        let may_be = self.before.as_deref() == Some(replicas)
            || self.asked.iter().any(|(_, asked)| asked == replicas)
            || self.goes_back;
        if is_known && !may_be {
            let last: Vec<&Vec<i32>> =
                self.before.iter().chain(self.asked.iter().map(|(_, to)| to)).collect();
            return Err(format!("{partition} is on {replicas:?} and not on any of {last:?}"));
        }
        *self = Known { before: Some(replicas.to_vec()), ..Known::default() };
        Ok(())
    }
}

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut partitions: BTreeMap<PartitionId, Known> = BTreeMap::new();
    for (moment, event) in history.events() {
        match event {
            Event::ReassignmentAsked { partition, replicas } => {
                let known = partitions.entry(*partition).or_default();
                match replicas {
                    Some(replicas) => known.asked(replicas),
                    None => known.goes_back = true,
                }
            }
            Event::Reassigned { partition, replicas: Some(replicas), asked } => {
                partitions.entry(*partition).or_default().agreed(replicas, *asked, moment);
            }
            Event::Placed { partition, replicas } => {
                partitions.entry(*partition).or_default().placed(*partition, replicas)?;
            }
            _ => {}
        }
    }
    Ok(())
}
