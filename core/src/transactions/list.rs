//! ListTransactions.

use super::{
    records::{Transaction, TransactionalId},
    state::State,
};
use crate::{error::ErrorCode, ids::ProducerId};
use kafka_protocol::messages::ListTransactionsRequest;
use regex::bytes::{Regex, RegexBuilder};
use std::collections::BTreeSet;

/// The longest pattern.
const PATTERN_BYTES_MAX: usize = 1024;

/// The largest compiled pattern: what a look at an id costs grows with it, and there may be many ids.
const COMPILED_BYTES_MAX: usize = 16 * 1024;

/// One line of ListTransactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTransaction {
    /// Which.
    pub id: TransactionalId,
    /// Its producer.
    pub producer_id: ProducerId,
    /// Where it stands.
    pub state: State,
}

/// What ListTransactions asks for.
#[derive(Clone, Debug)]
pub struct ListFilter {
    /// `None` for all.
    states: Option<Vec<State>>,
    /// Empty for all.
    producer_ids: BTreeSet<ProducerId>,
    /// Only those whose transaction began longer ago than this; negative for all (KIP-994).
    duration_ms: i64,
    /// Only those whose whole id matches (KIP-1152).
    pattern: Option<Regex>,
}

impl ListFilter {
    /// Of a request; and the states it names that there are not, which the answer repeats.
    ///
    /// # Errors
    /// INVALID_REGULAR_EXPRESSION. Kafka takes Java's expressions. Here matching takes linear time, so what needs more (back
    /// references, looks around) is refused, as is what is too large.
    pub fn new(request: &ListTransactionsRequest) -> Result<(ListFilter, Vec<String>), ErrorCode> {
        let (mut states, mut unknown) = (Vec::new(), Vec::new());
        for name in &request.state_filters {
            match State::from_name(name) {
                Some(state) => states.push(state),
                None => unknown.push(name.to_string()),
            }
        }
        let pattern = request.transactional_id_pattern.as_ref().filter(|pattern| !pattern.is_empty());
        let filter = ListFilter {
            states: (!request.state_filters.is_empty()).then_some(states),
            producer_ids: request.producer_id_filters.iter().map(|id| ProducerId(id.0)).collect(),
            duration_ms: request.duration_filter,
            pattern: pattern.map(|pattern| compile(pattern)).transpose()?,
        };
        Ok((filter, unknown))
    }

    /// Whether a transactional id is asked for.
    pub(super) fn takes(&self, now_ms: i64, id: &str, transaction: &Transaction) -> bool {
        let lasts_ms = now_ms.saturating_sub(transaction.started_ms);
        self.states.as_ref().is_none_or(|states| states.contains(&transaction.state))
            && (self.producer_ids.is_empty() || self.producer_ids.contains(&transaction.producer_id))
            && (self.duration_ms < 0 || lasts_ms > self.duration_ms)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id.as_bytes()))
    }
}

/// Compiles a pattern, which must match a whole id.
fn compile(pattern: &str) -> Result<Regex, ErrorCode> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(ErrorCode::InvalidRegularExpression);
    }
    let build =
        |text: &str, unicode| RegexBuilder::new(text).unicode(unicode).size_limit(COMPILED_BYTES_MAX).build();
    // As in Java, `\w` and the like are of ASCII; what is more than bytes needs Unicode. A pattern that is not whole by
    // itself shall not become so by the brackets around it: `a)|(b`.
    let whole = format!("^(?:{pattern})$");
    let built = |unicode| build(pattern, unicode).and_then(|_| build(&whole, unicode));
    built(false).or_else(|_| built(true)).map_err(|_| ErrorCode::InvalidRegularExpression)
}
