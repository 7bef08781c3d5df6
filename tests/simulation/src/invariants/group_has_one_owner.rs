//! In one generation of a group a partition belongs to one member at most.

use crate::client::history::{Event, History};
use std::collections::BTreeMap;

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut owners = BTreeMap::new();
    for (_, event) in history.events() {
        let Event::Assigned { group, generation, member, partitions } = event else { continue };
        for partition in partitions {
            let owner = owners.entry((group, generation, partition)).or_insert(member);
            if *owner != member {
                return Err(format!(
                    "{partition} belongs to {owner} and to {member} in generation {generation} of {group}"
                ));
            }
        }
    }
    Ok(())
}
