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
}

impl ClusterConfig {
    pub(super) fn new(settings: &Settings) -> ClusterConfig {
        ClusterConfig {
            heartbeat_ms: settings.size("broker.heartbeat.interval.ms"),
            session_ms: settings.size("broker.session.timeout.ms"),
            quorum_timeout_ms: settings.size("controller.quorum.fetch.timeout.ms"),
        }
    }
}
