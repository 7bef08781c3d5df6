//! What the transaction coordinator is told.

use super::settings::Settings;

/// Settings of transactions and of their coordinators.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionsConfig {
    /// `transaction.max.timeout.ms`: the longest timeout that a producer may ask for.
    pub timeout_max_ms: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub timeout_check_ms: u64,
    /// `transactional.id.expiration.ms`: how long a transactional id is kept after its last change.
    pub expiration_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiry_check_ms: u64,
}

impl TransactionsConfig {
    pub(super) fn new(settings: &Settings) -> TransactionsConfig {
        TransactionsConfig {
            timeout_max_ms: settings.int("transaction.max.timeout.ms"),
            timeout_check_ms: settings.size("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            expiration_ms: settings.integer("transactional.id.expiration.ms"),
            expiry_check_ms: settings.size("transaction.remove.expired.transaction.cleanup.interval.ms"),
        }
    }
}
