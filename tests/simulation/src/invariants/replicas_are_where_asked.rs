//! When all is well again, a partition is where one of the last reassignments put it, and without any where it was; see
//! [`LastWord`]. What was asked to go back goes to wherever it was; that is not judged.

use super::last_word::LastWord;
use crate::client::history::{Event, History};
use corelane_core::ids::PartitionId;
use std::collections::BTreeMap;

/// Where a partition may be.
#[derive(Default)]
struct Known {
    word: LastWord<Vec<i32>>,
    goes_back: bool,
}

impl Known {
    fn placed(&mut self, partition: PartitionId, replicas: &[i32]) -> Result<(), String> {
        let may_be = self.word.may_be().any(|may| may == replicas) || self.goes_back;
        if self.word.is_known() && !may_be {
            let last: Vec<&Vec<i32>> = self.word.may_be().collect();
            return Err(format!("{partition} is on {replicas:?} and not on any of {last:?}"));
        }
        *self = Known { word: LastWord::seen(replicas.to_vec()), goes_back: false };
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
                    Some(replicas) => known.word.asked(replicas.clone()),
                    None => known.goes_back = true,
                }
            }
            Event::Reassigned { partition, replicas: Some(replicas), asked } => {
                partitions.entry(*partition).or_default().word.agreed(replicas, *asked, moment);
            }
            Event::Placed { partition, replicas } => {
                partitions.entry(*partition).or_default().placed(*partition, replicas)?;
            }
            _ => {}
        }
    }
    Ok(())
}
