use super::{super::tests::config, *};

#[test]
fn a_groups_settings_are_refused_in_kafkas_words() {
    for (name, value, text) in [
        ("nope", "1", "Unknown group config name: nope"),
        (
            "consumer.session.timeout.ms",
            "0",
            "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1",
        ),
        (
            "share.isolation.level",
            "READ_COMMITTED",
            "Invalid value READ_COMMITTED for configuration share.isolation.level: String must be one of: \
             read_committed, read_uncommitted",
        ),
        (
            "share.auto.offset.reset",
            "by_duration:-PT1H",
            "Invalid value by_duration:-PT1H for configuration share.auto.offset.reset: Invalid value \
             `by_duration:-PT1H` for configuration share.auto.offset.reset. The value must be either 'earliest', \
             'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
        ),
    ] {
        assert_eq!(validate(name, value), Err(text.into()));
    }
    for value in ["latest", "by_duration:P1D", "by_duration:PT1H2M3.5S", "by_duration:P2DT3M"] {
        assert_eq!(validate("share.auto.offset.reset", value), Ok(()), "{value}");
    }
    for value in
        ["by_duration:", "by_duration:P", "by_duration:PT", "by_duration:PT1M1H", "by_duration:P1.5D"]
    {
        assert!(validate("share.auto.offset.reset", value).is_err(), "{value}");
    }
}

#[test]
fn a_groups_settings_stay_within_the_brokers_bounds_and_fit_each_other() {
    let broker = config(&[("group.consumer.min.session.timeout.ms", "6000")]);
    for (name, value, text) in [
        (
            "consumer.session.timeout.ms",
            "5999",
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
        (
            "consumer.session.timeout.ms",
            "60001",
            "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
        ),
        (
            "consumer.assignment.interval.ms",
            "16000",
            "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms",
        ),
        (
            "share.delivery.count.limit",
            "11",
            "share.delivery.count.limit must be less than or equal to group.share.max.delivery.count.limit",
        ),
        (
            "streams.num.standby.replicas",
            "3",
            "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
        ),
    ] {
        let set = OrdMap::unit(name.to_owned(), value.to_owned());
        assert_eq!(validate_together(&broker, &set), Err(text.into()));
    }
    let pair = [("consumer.session.timeout.ms", "6000"), ("consumer.heartbeat.interval.ms", "6000")];
    let pair: OrdMap<String, String> =
        pair.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    assert_eq!(
        validate_together(&broker, &pair),
        Err("consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms".into())
    );
    assert_eq!(validate_together(&broker, &OrdMap::new()), Ok(()));
}

#[test]
fn a_group_has_its_own_settings_or_the_brokers_and_never_what_the_brokers_bounds_forbid() {
    let broker = config(&[
        ("group.consumer.session.timeout.ms", "50000"),
        ("group.consumer.max.heartbeat.interval.ms", "9000"),
    ]);
    let inherited = GroupConfig::resolve(&broker, &OrdMap::new());
    assert_eq!(inherited.consumer_session_timeout_ms, 50_000);
    assert_eq!(inherited.consumer_heartbeat_interval_ms, 5_000);
    assert_eq!(inherited.consumer_assignment_interval_ms, 1_000);
    let own = [
        ("consumer.session.timeout.ms", "55000"),
        // Recorded when the bound was higher, and before the one below it was.
        ("consumer.heartbeat.interval.ms", "10000"),
        ("consumer.assignment.interval.ms", "nonsense"),
    ];
    let own: OrdMap<String, String> =
        own.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let resolved = GroupConfig::resolve(&broker, &own);
    assert_eq!(resolved.consumer_session_timeout_ms, 55_000);
    assert_eq!(resolved.consumer_heartbeat_interval_ms, 9_000);
    assert_eq!(resolved.consumer_assignment_interval_ms, 1_000);
}

#[test]
fn a_group_describes_where_its_values_come_from() {
    let broker = config(&[("group.consumer.session.timeout.ms", "50000")]);
    let own = OrdMap::unit("consumer.heartbeat.interval.ms".to_owned(), "6000".to_owned());
    let told = describe_group(&broker, &own, None);
    assert_eq!(told.len(), 17);
    let of = |name: &str| told.iter().find(|config| config.name == name).expect("listed");
    let synonyms = |name: &str| -> Vec<(&str, i8)> {
        of(name).synonyms.iter().map(|it| (it.name, it.source.code())).collect()
    };
    assert_eq!(of("consumer.heartbeat.interval.ms").value.as_deref(), Some("6000"));
    assert_eq!(
        synonyms("consumer.heartbeat.interval.ms"),
        [("consumer.heartbeat.interval.ms", 8), ("group.consumer.heartbeat.interval.ms", 5)]
    );
    assert_eq!(of("consumer.session.timeout.ms").value.as_deref(), Some("50000"));
    assert_eq!(of("consumer.session.timeout.ms").source, ConfigSource::StaticBroker);
    assert_eq!(synonyms("share.auto.offset.reset"), [("share.auto.offset.reset", 5)]);
}
