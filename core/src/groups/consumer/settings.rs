//! What of the configuration holds for one group.

use crate::groups::face::Scene;

/// How long a member may stay silent.
pub(super) fn session_timeout_ms(scene: Scene<'_>, _group: &str) -> i32 {
    scene.config.groups.consumer.session_timeout_ms.default
}

/// How often a member shall be heard of.
pub(super) fn heartbeat_interval_ms(scene: Scene<'_>, _group: &str) -> i32 {
    scene.config.groups.consumer.heartbeat_interval_ms.default
}

/// How long lies between two target assignments, at least.
pub(super) fn assignment_interval_ms(scene: Scene<'_>, _group: &str) -> i32 {
    scene.config.groups.consumer.assignment_interval_ms.default
}
