//! A configuration from all of its sources, as the broker's start reads it, and what is asked of one later.
//!
//! An input is text in parts, each ended by a NUL: a properties file, variables of the environment as lines of
//! `NAME=value`, overrides as lines of `key=value`, and topic settings likewise.

use corelane_core::config::{
    BrokerConfig, ReadOptions, Source, TopicConfig, broker, describe_broker, describe_topic, environment,
    properties, topic,
};

/// One input.
pub fn exercise(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(4, '\0');
    let mut part = || parts.next().unwrap_or_default();
    let (file, variables, overrides, of_topic) = (part(), part(), part(), part());

    let mut entries: Vec<(Source, String, String)> = Vec::new();
    if let Ok(read) = properties::parse(file) {
        let source = |line| Source::File { path: "server.properties".into(), line };
        entries.extend(read.into_iter().map(|it| (source(it.line), it.key, it.value)));
    }
    entries.extend(environment::entries(pairs(variables)).0);
    entries.extend(pairs(overrides).map(|(key, value)| (Source::Override, key, value)));
    for allow_unknown in [false, true] {
        let options =
            ReadOptions { allow_unknown, host_name: || "broker.test".to_owned(), ..ReadOptions::default() };
        match BrokerConfig::from_entries(&entries, &options) {
            Ok((config, warnings)) => {
                let _ = warnings.iter().map(ToString::to_string).count();
                asked(&config, overrides, of_topic);
            }
            Err(errors) => {
                assert!(!errors.is_empty(), "refused without a reason");
                // Each says what is wrong, why it matters, and what mends it.
                for error in errors {
                    let said = [&error.wrong, &error.why, &error.mend];
                    assert!(said.iter().all(|text| !text.is_empty()), "{error:?}");
                }
            }
        }
    }
}

/// What a running broker does with its configuration: everything is described, and dynamic settings that were found
/// right apply.
fn asked(config: &BrokerConfig, dynamic: &str, of_topic: &str) {
    assert!(!describe_broker(config, None).is_empty());
    let right = |(key, value): &(String, String)| broker::validate_dynamic(key, value, true).is_ok();
    let node = pairs(dynamic).filter(right).collect();
    let config = config.with_dynamic(&Default::default(), &node);
    assert!(!describe_broker(&config, None).is_empty());

    let own = pairs(of_topic).filter(|(key, value)| topic::validate(key, value).is_ok()).collect();
    if topic::validate_together(&config, &own).is_ok() {
        let _ = TopicConfig::resolve(&config, &own);
        assert!(!describe_topic(&config, &own, None).is_empty());
    }
}

fn pairs(lines: &str) -> impl Iterator<Item = (String, String)> {
    lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
}
