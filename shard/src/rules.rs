//! What the controller may ask of the configuration's tables.

use corelane_core::{
    config::{
        BrokerConfig, DescribedConfig, broker, client_metrics, describe_broker, describe_client_metrics,
        describe_group, describe_topic, group, topic,
    },
    controller::{ApiError, ConfigRules},
    error::ErrorCode,
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
            ConfigResource::Group(_) => describe_group(&self.config, &OrdMap::new(), keys),
            ConfigResource::ClientMetrics(_) => describe_client_metrics(&OrdMap::new(), keys),
        };
        described.into_iter().next()
    }
}

impl ConfigRules for Rules {
    fn check(&self, resource: &ConfigResource, key: &str, value: &str) -> Result<(), ApiError> {
        match resource {
            ConfigResource::Topic(_) => topic::validate(key, value).map_err(invalid_config),
            ConfigResource::Broker(_) => broker::validate_dynamic(key, value, true).map_err(invalid_request),
            ConfigResource::BrokerDefault => {
                broker::validate_dynamic(key, value, false).map_err(invalid_request)
            }
            ConfigResource::Group(_) => group::validate(key, value).map_err(invalid_config),
            ConfigResource::ClientMetrics(_) => {
                client_metrics::validate(key, value).map_err(|(code, text)| ApiError::new(code, text))
            }
        }
    }

    fn check_together(
        &self,
        resource: &ConfigResource,
        configs: &OrdMap<String, String>,
    ) -> Result<(), ApiError> {
        match resource {
            ConfigResource::Topic(_) => {
                topic::validate_together(&self.config, configs).map_err(invalid_config)
            }
            ConfigResource::Broker(_) => {
                broker::validate_dynamic_together(&self.config, configs, true).map_err(invalid_request)
            }
            ConfigResource::BrokerDefault => {
                broker::validate_dynamic_together(&self.config, configs, false).map_err(invalid_request)
            }
            ConfigResource::Group(_) => {
                group::validate_together(&self.config, configs).map_err(invalid_config)
            }
            ConfigResource::ClientMetrics(_) => Ok(()),
        }
    }

    fn is_list(&self, resource: &ConfigResource, key: &str) -> bool {
        // Kafka appends to no list of client metrics.
        let listed = !matches!(resource, ConfigResource::ClientMetrics(_));
        listed && self.described(resource, key).is_some_and(|config| config.config_type == LIST)
    }

    fn default_value(&self, resource: &ConfigResource, key: &str) -> Option<String> {
        self.described(resource, key).and_then(|config| config.value)
    }
}

fn invalid_config(text: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidConfig, text)
}

/// What Kafka's brokers answer for their own settings (KAFKA-13609).
fn invalid_request(text: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, text)
}
