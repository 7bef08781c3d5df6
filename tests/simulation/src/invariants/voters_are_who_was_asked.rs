//! When all is well again, whoever was added to the metadata quorum votes, and whoever was removed does not; see
//! [`LastWord`]. Nobody else came or went. A node with another directory is another voter.

use super::last_word::LastWord;
use crate::client::{
    history::{Event, History},
    quorum::Voter,
};
use std::collections::BTreeMap;

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut known: BTreeMap<Voter, LastWord<bool>> = BTreeMap::new();
    let mut is_first = true;
    for (moment, event) in history.events() {
        match event {
            Event::VoterChangeAsked { voter, votes } => {
                known.entry(*voter).or_insert_with(|| LastWord::seen(false)).asked(*votes);
            }
            Event::VoterChanged { voter, votes, asked } => {
                let word = known.entry(*voter).or_insert_with(|| LastWord::seen(false));
                word.agreed(votes, *asked, moment);
            }
            Event::Voters { voters } => {
                for voter in voters {
                    known.entry(*voter).or_insert_with(|| LastWord::seen(false));
                }
                for (voter, word) in &mut known {
                    let votes = voters.contains(voter);
                    if !is_first && !word.may_be().any(|may| *may == votes) {
                        let does = if votes { "votes" } else { "does not vote" };
                        return Err(format!("{voter:?} {does}, which nobody asked for"));
                    }
                    *word = LastWord::seen(votes);
                }
                is_first = false;
            }
            _ => {}
        }
    }
    Ok(())
}
