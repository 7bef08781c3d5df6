//! What must be true of every history, one claim per file. Each judges only what clients asked and were answered.

mod commits_never_go_back;
mod every_input_is_transformed_once;
mod group_has_one_owner;
mod last_of_key_wins;
mod last_word;
mod no_duplicate_of_idempotent;
mod no_topic_lost;
mod nothing_acknowledged_lost;
mod offsets_dense;
mod replicas_are_where_asked;
mod transactions_are_all_or_nothing;
mod voters_are_who_was_asked;
mod watermark_monotonic;
mod what_was_read_never_changes;

use crate::client::history::History;

/// A claim that a history refutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which claim.
    pub invariant: &'static str,
    /// What contradicts it.
    pub text: String,
}

type Check = fn(&History) -> Result<(), String>;

/// Every claim with its name.
const ALL: &[(&str, Check)] = &[
    ("nothing_acknowledged_lost", nothing_acknowledged_lost::check),
    ("no_topic_lost", no_topic_lost::check),
    ("replicas_are_where_asked", replicas_are_where_asked::check),
    ("voters_are_who_was_asked", voters_are_who_was_asked::check),
    ("offsets_dense", offsets_dense::check),
    ("last_of_key_wins", last_of_key_wins::check),
    ("no_duplicate_of_idempotent", no_duplicate_of_idempotent::check),
    ("transactions_are_all_or_nothing", transactions_are_all_or_nothing::check),
    ("every_input_is_transformed_once", every_input_is_transformed_once::check),
    ("group_has_one_owner", group_has_one_owner::check),
    ("commits_never_go_back", commits_never_go_back::check),
    ("what_was_read_never_changes", what_was_read_never_changes::check),
    ("what_was_read_stays", nothing_acknowledged_lost::check_read),
    ("watermark_monotonic", watermark_monotonic::check),
];

/// Holds the history against every claim; the first that fails is returned.
pub fn check(history: &History) -> Result<(), Violation> {
    for (invariant, check) in ALL {
        check(history).map_err(|text| Violation { invariant, text })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
