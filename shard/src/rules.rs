//! What the controller may ask of the configuration's tables.

use corelane_core::{
    config::{BrokerConfig, TopicConfig, broker, topic},
    controller::ConfigRules,
    metadata::ConfigResource,
};
use imbl::OrdMap;
use std::sync::Arc;

/// The tables, for one broker.
pub(crate) struct Rules {
    config: Arc<BrokerConfig>,
}

impl Rules {
    pub fn new(config: Arc<BrokerConfig>) -> Rules {
        Rules { config }
    }
}
