//! How nodes of a cluster live with each other.

use super::settings::Settings;

/// Times of the quorum and of its brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_ms: u64,
    /// `broker.session.timeout.ms`.
    pub session_ms: u64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub quorum_timeout_ms: u64,
    /// `controlled.shutdown.enable`.
    pub controlled_shutdown: bool,
    /// `leader.imbalance.check.interval.seconds`; `None` without `auto.leader.rebalance.enable`.
    pub rebalance_interval_ms: Option<u64>,
    /// `unclean.leader.election.interval.ms`.
    pub unclean_interval_ms: u64,
}

impl ClusterConfig {
    pub(super) fn new(settings: &Settings) -> ClusterConfig {
        let rebalance = settings.boolean("auto.leader.rebalance.enable");
        let interval_ms = settings.size("leader.imbalance.check.interval.seconds").saturating_mul(1_000);
        ClusterConfig {
            heartbeat_ms: settings.size("broker.heartbeat.interval.ms"),
            session_ms: settings.size("broker.session.timeout.ms"),
            quorum_timeout_ms: settings.size("controller.quorum.fetch.timeout.ms"),
            controlled_shutdown: settings.boolean("controlled.shutdown.enable"),
            rebalance_interval_ms: rebalance.then_some(interval_ms),
            unclean_interval_ms: settings.size("unclean.leader.election.interval.ms"),
        }
    }
}
