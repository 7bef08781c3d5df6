//! What the controller asks the configuration tables.

use super::ApiError;
use crate::metadata::ConfigResource;
use imbl::OrdMap;

/// The configurations of each kind of resource.
pub trait ConfigRules {
    /// Whether a resource of this kind has such a configuration and it may have this value; if not, Kafka's code and
    /// words for why.
    fn check(&self, resource: &ConfigResource, key: &str, value: &str) -> Result<(), ApiError>;
    /// Whether all that is set for a resource goes together.
    fn check_together(
        &self,
        resource: &ConfigResource,
        configs: &OrdMap<String, String>,
    ) -> Result<(), ApiError>;
    /// Whether it is a list, which values can be appended to and subtracted from.
    fn is_list(&self, resource: &ConfigResource, key: &str) -> bool;
    /// What it is while nothing is set: what an append starts from.
    fn default_value(&self, resource: &ConfigResource, key: &str) -> Option<String>;
}
