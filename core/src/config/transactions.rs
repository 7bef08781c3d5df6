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
    /// `transaction.partition.verification.enable`: whether partitions ask the coordinator before they take the first batch of
    /// a transaction of version 1 (KIP-890).
    pub verifies_partitions: bool,
    /// `add.partitions.to.txn.retry.backoff.max.ms`: how long a partition that is to be added waits for the completion of
    /// the transaction before.
    pub add_wait_max_ms: u64,
    /// `transaction.state.log.num.partitions`: when the topic is created.
    pub topic_partitions: i32,
    /// `transaction.state.log.replication.factor`, if it was set: unset it is 3, or as many brokers as there are.
    pub topic_replication_factor: Option<i16>,
    /// `transaction.state.log.min.isr`: when the topic is created.
    pub topic_insync_replicas_min: i32,
    /// `transaction.state.log.segment.bytes`: when the topic is created.
    pub topic_segment_bytes: i32,
}

impl TransactionsConfig {
    pub(super) fn new(settings: &Settings) -> TransactionsConfig {
        let replication = settings.given("transaction.state.log.replication.factor");
        TransactionsConfig {
            timeout_max_ms: settings.int("transaction.max.timeout.ms"),
            timeout_check_ms: settings.size("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            expiration_ms: settings.integer("transactional.id.expiration.ms"),
            expiry_check_ms: settings.size("transaction.remove.expired.transaction.cleanup.interval.ms"),
            verifies_partitions: settings.boolean("transaction.partition.verification.enable"),
            add_wait_max_ms: settings.size("add.partitions.to.txn.retry.backoff.max.ms"),
            topic_partitions: settings.int("transaction.state.log.num.partitions"),
            topic_replication_factor: replication.and_then(|(_, value)| value.parse().ok()),
            topic_insync_replicas_min: settings.int("transaction.state.log.min.isr"),
            topic_segment_bytes: settings.int("transaction.state.log.segment.bytes"),
        }
    }
}
