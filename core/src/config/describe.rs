//! What DescribeConfigs (key 32) answers, before it is encoded.

use super::table::Row;

/// `org.apache.kafka.common.requests.DescribeConfigsResponse.ConfigSource`, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic = 1,
    /// Set at run time on this broker.
    DynamicBroker = 2,
    /// Set at run time on all brokers of the cluster.
    DynamicDefaultBroker = 3,
    /// Set by file, environment or override.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// Set on the subscription of client metrics.
    ClientMetrics = 7,
    /// Set on the group.
    Group = 8,
}

impl ConfigSource {
    /// The number on the wire.
    pub const fn code(self) -> i8 {
        self as i8
    }
}

/// One of the names under which a value could have been set, with the value set there, the winning one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The name there.
    pub name: &'static str,
    /// The value there; `None` where it is sensitive or nobody gave one.
    pub value: Option<String>,
    /// Where.
    pub source: ConfigSource,
}

/// One configuration as DescribeConfigs tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConfig {
    /// Its name.
    pub name: &'static str,
    /// Its value; `None` where it is sensitive or has none.
    pub value: Option<String>,
    /// Which setting won.
    pub source: ConfigSource,
    /// Nobody set it (version 0 of the API tells only this).
    pub is_default: bool,
    /// It cannot be altered at run time.
    pub read_only: bool,
    /// Its value is withheld.
    pub sensitive: bool,
    /// Every setting that bears on it, the winning one first.
    pub synonyms: Vec<Synonym>,
    /// `DescribeConfigsResponse.ConfigType`'s number.
    pub config_type: i8,
    /// One sentence.
    pub documentation: &'static str,
}

impl DescribedConfig {
    /// One that can be altered at run time and hides nothing: what wins is what stands first among `synonyms`.
    pub(super) fn alterable(
        row: &'static Row,
        value: Option<String>,
        synonyms: Vec<Synonym>,
    ) -> DescribedConfig {
        let source = synonyms.first().map_or(ConfigSource::Default, |first| first.source);
        DescribedConfig {
            name: row.name,
            value,
            source,
            is_default: source == ConfigSource::Default,
            read_only: false,
            sensitive: false,
            synonyms,
            config_type: row.kind.code(),
            documentation: row.doc,
        }
    }
}
