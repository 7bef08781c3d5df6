//! What the controller may ask of the configuration's tables.

use corelane_core::{
    config::{BrokerConfig, DescribedConfig, broker, describe_broker, describe_topic, topic},
    controller::ConfigRules,
    metadata::ConfigResource,
};
use imbl::OrdMap;
use std::sync::Arc;

/// `DescribeConfigsResponse.ConfigType.LIST`.
const LIST: i8 = 7;

/// The tables, for one broker.
pub(crate) struct Rules {
    config: Arc<BrokerConfig>,
}

impl Rules {
    pub fn new(config: Arc<BrokerConfig>) -> Rules {
        Rules { config }
    }

    fn described(&self, resource: &ConfigResource, key: &str) -> Option<DescribedConfig> {
        let keys = Some(&[key][..]);
        let described = match resource {
            ConfigResource::Topic(_) => describe_topic(&self.config, &OrdMap::new(), keys),
            ConfigResource::Broker(_) | ConfigResource::BrokerDefault => describe_broker(&self.config, keys),
            ConfigResource::Group(_) | ConfigResource::ClientMetrics(_) => Vec::new(),
        };
        described.into_iter().next()
    }
}

impl ConfigRules for Rules {
    fn check(&self, resource: &ConfigResource, key: &str, value: &str) -> Result<(), String> {
        match resource {
            ConfigResource::Topic(_) => topic::validate(key, value),
            ConfigResource::Broker(_) => broker::validate_dynamic(key, value, true),
            ConfigResource::BrokerDefault => broker::validate_dynamic(key, value, false),
            ConfigResource::Group(_) => Err("configurations of groups are not supported yet".to_owned()),
            ConfigResource::ClientMetrics(_) => Err("client metrics are not supported yet".to_owned()),
        }
    }

    fn check_together(
        &self,
        resource: &ConfigResource,
        configs: &OrdMap<String, String>,
    ) -> Result<(), String> {
        match resource {
            ConfigResource::Topic(_) => topic::validate_together(&self.config, configs),
            ConfigResource::Broker(_)
            | ConfigResource::BrokerDefault
            | ConfigResource::Group(_)
            | ConfigResource::ClientMetrics(_) => Ok(()),
        }
    }

    fn is_list(&self, resource: &ConfigResource, key: &str) -> bool {
        self.described(resource, key).is_some_and(|config| config.config_type == LIST)
    }

    fn default_value(&self, resource: &ConfigResource, key: &str) -> Option<String> {
        self.described(resource, key).and_then(|config| config.value)
    }
}
