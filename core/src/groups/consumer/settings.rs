//! What of the configuration holds for one group: its own settings, else the broker's.

use crate::{config::GroupConfig, groups::face::Scene, metadata::ConfigResource};

/// The settings of a group.
fn of(scene: Scene<'_>, group: &str) -> GroupConfig {
    let overrides = scene.image.configs(&ConfigResource::Group(group.to_owned()));
    if overrides.is_empty() {
        // Most groups have none, and heartbeats are many: nothing is parsed for them.
        let broker = &scene.config.groups.consumer;
        return GroupConfig {
            consumer_session_timeout_ms: broker.session_timeout_ms,
            consumer_heartbeat_interval_ms: broker.heartbeat_interval_ms,
            consumer_assignment_interval_ms: broker.assignment_interval_ms,
        };
    }
    GroupConfig::resolve(scene.config, &overrides)
}

/// How long a member may stay silent.
pub(super) fn session_timeout_ms(scene: Scene<'_>, group: &str) -> i32 {
    of(scene, group).consumer_session_timeout_ms
}

/// How often a member shall be heard of.
pub(super) fn heartbeat_interval_ms(scene: Scene<'_>, group: &str) -> i32 {
    of(scene, group).consumer_heartbeat_interval_ms
}

/// How long lies between two target assignments, at least.
pub(super) fn assignment_interval_ms(scene: Scene<'_>, group: &str) -> i32 {
    of(scene, group).consumer_assignment_interval_ms
}
