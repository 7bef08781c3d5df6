//! What of the configuration holds for one group: its own settings, else the broker's.

use crate::{config::GroupConfig, groups::face::Scene, metadata::ConfigResource};

/// What a group is told; `None` when it is told nothing, as most.
fn own(scene: Scene<'_>, group: &str) -> Option<GroupConfig> {
    let overrides = scene.image.configs(&ConfigResource::Group(group.to_owned()));
    (!overrides.is_empty()).then(|| GroupConfig::resolve(scene.config, &overrides))
}

/// How long a member may stay silent.
pub(super) fn session_timeout_ms(scene: Scene<'_>, group: &str) -> i32 {
    let usual = scene.config.groups.consumer.session_timeout_ms;
    own(scene, group).map_or(usual, |own| own.consumer_session_timeout_ms)
}

/// How often a member shall be heard of.
pub(super) fn heartbeat_interval_ms(scene: Scene<'_>, group: &str) -> i32 {
    let usual = scene.config.groups.consumer.heartbeat_interval_ms;
    own(scene, group).map_or(usual, |own| own.consumer_heartbeat_interval_ms)
}

/// How long lies between two target assignments, at least.
pub(super) fn assignment_interval_ms(scene: Scene<'_>, group: &str) -> i32 {
    let usual = scene.config.groups.consumer.assignment_interval_ms;
    own(scene, group).map_or(usual, |own| own.consumer_assignment_interval_ms)
}
