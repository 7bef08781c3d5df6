use super::{
    table::{self, Row, Status, Valid, broker_row, broker_rows, topic_row},
    *,
};
use crate::ids::NodeId;
use imbl::OrdMap;

fn line(line: u32, key: &str, value: &str) -> (Source, String, String) {
    (Source::File { path: "server.properties".into(), line }, key.into(), value.into())
}

fn read(pairs: &[(&str, &str)]) -> Result<(BrokerConfig, Vec<Warning>), Vec<ConfigError>> {
    let lines: Vec<_> = (1u32..).zip(pairs).map(|(number, (key, value))| line(number, key, value)).collect();
    BrokerConfig::from_entries(
        &lines,
        &ReadOptions { allow_unknown: false, host_name: || "box".into(), ..ReadOptions::default() },
    )
}

pub(super) fn config(pairs: &[(&str, &str)]) -> BrokerConfig {
    read(pairs).expect("a good configuration").0
}

/// The one error of a bad configuration, as text.
fn error(pairs: &[(&str, &str)]) -> String {
    let errors = read(pairs).expect_err("a bad configuration");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(!errors[0].why.is_empty() && !errors[0].mend.is_empty());
    errors[0].to_string()
}

fn all_rows() -> impl Iterator<Item = &'static Row> {
    broker_rows().chain(table::TOPIC).chain(table::GROUP).chain(table::CLIENT_METRICS)
}

#[test]
fn tables_are_sorted_without_duplicates() {
    for rows in
        table::BROKER.iter().map(|(_, rows)| *rows).chain([table::TOPIC, table::GROUP, table::CLIENT_METRICS])
    {
        assert!(rows.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
    let mut names: Vec<_> = broker_rows().map(|row| row.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    // Kafka 4.3.0 defines 360 broker settings, three more that are set at run time only, and 34 of topics.
    assert_eq!(names.iter().filter(|name| !name.starts_with("corelane.")).count(), 363);
    assert_eq!(table::TOPIC.len(), 34);
}

#[test]
fn every_default_is_a_value_of_its_row() {
    for row in all_rows() {
        if let Some(default) = row.default.filter(|default| !default.is_empty()) {
            assert_eq!(row.check(default), Ok(()), "{}", row.name);
        }
    }
}

#[test]
fn every_sentence_is_one() {
    for row in all_rows() {
        assert!(
            row.doc.ends_with('.') && row.doc.starts_with(char::is_uppercase),
            "{}: {}",
            row.name,
            row.doc
        );
    }
}

#[test]
fn every_synonym_is_a_row_of_the_broker() {
    for row in table::TOPIC {
        for (name, _) in table::topic_synonyms(row.name) {
            assert!(broker_row(name).is_some(), "{name}");
        }
    }
    for row in broker_rows() {
        assert!(table::broker_synonyms(row.name).iter().all(|name| broker_row(name).is_some()));
    }
}

/// Some other value that a row takes.
fn another(row: &Row) -> String {
    let special = [
        ("advertised.listeners", "PLAINTEXT://elsewhere:1"),
        ("cleanup.policy", ""),
        ("controller.listener.names", "QUORUM"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT"),
        ("listeners", "PLAINTEXT://127.0.0.1:1"),
        ("inter.broker.listener.name", "plaintext"),
        ("controller.quorum.voters", "1@localhost:9093"),
        ("process.roles", "broker, controller"),
        ("controller.quorum.bootstrap.servers", "localhost:9093"),
        ("compression.type", "zstd"),
        ("compression.gzip.level", "9"),
        ("corelane.cpu.pin", "true"),
        ("group.consumer.assignors", "range"),
        ("group.consumer.migration.policy", "disabled"),
        // Within its bounds, which are narrow.
        ("group.consumer.heartbeat.interval.ms", "6000"),
        ("group.consumer.max.heartbeat.interval.ms", "16000"),
        ("group.consumer.min.heartbeat.interval.ms", "4000"),
        ("group.consumer.min.session.timeout.ms", "44000"),
        ("group.coordinator.rebalance.protocols", "classic"),
        ("message.timestamp.type", "LogAppendTime"),
        ("max.compaction.lag.ms", "7"),
        ("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("log.cleaner.io.buffer.load.factor", "0.25"),
        ("log.cleaner.io.max.bytes.per.second", "1000.5"),
        ("follower.replication.throttled.replicas", "*"),
        ("leader.replication.throttled.replicas", "0:1, 12:3"),
    ];
    if let Some((_, value)) = special.iter().find(|(name, _)| *name == row.name) {
        return (*value).into();
    }
    match (row.default, row.valid) {
        (Some("true"), _) => "false".into(),
        (Some("false"), _) => "true".into(),
        (Some("9223372036854775807"), _) => "77".into(),
        (Some(number), Valid::Between(least, most)) => {
            if number == most.to_string() {
                least.to_string()
            } else {
                most.to_string()
            }
        }
        (Some(number), _) => match number.parse::<i64>() {
            Ok(2_147_483_647) => "5".into(),
            Ok(number) => (number + 1).to_string(),
            Err(_) => "other".into(),
        },
        (None, _) => "other".into(),
    }
}

#[test]
fn every_honoured_topic_setting_changes_the_topic() {
    let broker = BrokerConfig::default();
    let before = TopicConfig::resolve(&broker, &OrdMap::new());
    for row in table::TOPIC.iter().filter(|row| row.status == Status::Honoured) {
        let mut overrides = OrdMap::unit(row.name.to_owned(), another(row));
        if row.name == "flush.ms" {
            overrides.insert("flush.messages".into(), "10".into());
            let without = TopicConfig::resolve(&broker, &overrides.without("flush.ms"));
            assert_ne!(without, TopicConfig::resolve(&broker, &overrides));
        }
        assert_eq!(topic::validate(row.name, &overrides[row.name]), Ok(()));
        assert_ne!(
            before,
            TopicConfig::resolve(&broker, &overrides),
            "{} = {}",
            row.name,
            overrides[row.name]
        );
    }
}

#[test]
fn every_honoured_broker_setting_changes_the_broker_or_its_topics() {
    // These say again what is so anyway, or are checked and then forgotten: nothing further may hang on them.
    let checked_only =
        ["broker.id", "inter.broker.listener.name", "listener.security.protocol.map", "process.roles"];
    let inherited: Vec<_> =
        table::TOPIC.iter().flat_map(|row| table::topic_synonyms(row.name)).map(|(name, _)| *name).collect();
    // What a group's own settings are held against, which the tests of groups' settings show.
    let bounds_groups = |name: &str| {
        let bounded = name.replace(".min.", ".").replace(".max.", ".");
        bounded != name && table::GROUP.iter().any(|row| bounded == format!("group.{}", row.name))
    };
    let before = BrokerConfig::default();
    for row in broker_rows().filter(|row| row.status == Status::Honoured) {
        if checked_only.contains(&row.name) || inherited.contains(&row.name) || bounds_groups(row.name) {
            continue;
        }
        let mut after = match row.update {
            table::Update::Dynamic => {
                before.with_dynamic(&OrdMap::new(), &OrdMap::unit(row.name.into(), another(row)))
            }
            _ => config(&[(row.name, &another(row))]),
        };
        after.settings = before.settings.clone();
        assert_ne!(before, after, "{}", row.name);
    }
}

#[test]
fn corelane_alone_is_a_complete_node() {
    let config = BrokerConfig::default();
    assert_eq!((config.node_id.0, config.voters.len()), (1, 0));
    assert!(config.roles.broker && config.roles.controller);
    assert_eq!(config.data_dir, std::path::Path::new("./corelane-data"));
    assert_eq!(config.journal_dir, config.data_dir);
    let (listener, told) = (&config.listeners[0], &config.advertised[0]);
    assert_eq!((listener.host.as_str(), listener.port, config.listeners.len()), ("127.0.0.1", 9092, 1));
    assert_eq!((told.name.as_str(), told.host.as_str(), told.port), ("PLAINTEXT", "127.0.0.1", 9092));
    let topic = TopicConfig::resolve(&config, &OrdMap::new());
    assert_eq!(topic.flush, FlushPolicy::EveryGroup);
    assert_eq!(topic.retention_ms, Some(7 * 24 * 3_600_000));
    assert_eq!((topic.retention_bytes, topic.segment_bytes), (None, 1 << 30));
}

#[test]
fn kafkas_own_server_properties_load() {
    let config = config(&[
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.bootstrap.servers", "localhost:9093"),
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("advertised.listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
        ("controller.listener.names", "CONTROLLER"),
        (
            "listener.security.protocol.map",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
        ),
        ("num.network.threads", "3"),
        ("socket.send.buffer.bytes", "102400"),
        ("log.dirs", "/tmp/kraft-combined-logs"),
        ("offsets.topic.replication.factor", "1"),
        ("log.retention.hours", "168"),
        ("log.segment.bytes", "1073741824"),
    ]);
    assert_eq!(config.listeners.len(), 2);
    assert!(config.listeners[1].controller);
    assert_eq!(config.advertised.len(), 1);
    assert_eq!(config.advertised[0].host, "localhost");
}

#[test]
fn the_environment_of_a_compose_file_reads() {
    let environment = [
        ("KAFKA_NODE_ID", "1"),
        (
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
            "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT",
        ),
        ("KAFKA_ADVERTISED_LISTENERS", "INTERNAL://:29092,EXTERNAL://127.0.0.1:9092"),
        ("KAFKA_LISTENERS", "INTERNAL://:29092,CONTROLLER://:29093,EXTERNAL://0.0.0.0:9092"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@kafka-1:29093"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "INTERNAL"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
        ("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qk"),
    ];
    let (entries, _) = environment::entries(environment.map(|(name, value)| (name.into(), value.into())));
    let options = ReadOptions { allow_unknown: false, host_name: || "box".into(), ..ReadOptions::default() };
    let (config, warnings) = BrokerConfig::from_entries(&entries, &options).expect("reads");
    assert_eq!(config.cluster_id.as_deref(), Some("MkU3OEVBNTcwNTJENDM2Qk"));
    assert_eq!(config.advertised[0].host, "box");
    assert_eq!(config.advertised[1].port, 9092);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|text| text.contains("KAFKA_PORT: unknown setting port")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("no ZooKeeper")), "{warnings:?}");
}

/// What a node of one role is told, over `more`.
fn node_of_one_role<'a>(role: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut pairs = vec![("process.roles", role), ("node.id", "7"), ("corelane.cluster.id", "c")];
    pairs.extend(more);
    pairs
}

#[test]
fn a_node_may_be_only_a_controller_or_only_a_broker() {
    let voters = ("controller.quorum.voters", "7@a:9093,8@b:9093");
    let listeners = ("listeners", "CONTROLLER://:9093");
    let controller = config(&node_of_one_role("controller", &[voters, listeners]));
    assert_eq!(controller.roles, Roles { broker: false, controller: true });
    assert!(controller.advertised.is_empty() && controller.listeners[0].controller);
    let told = ("advertised.listeners", "CONTROLLER://a:9093");
    assert!(read(&node_of_one_role("controller", &[voters, listeners, told])).is_ok(), "Kafka has it");

    let voters = ("controller.quorum.voters", "1@a:9093");
    let broker = config(&node_of_one_role("broker", &[voters]));
    assert_eq!(broker.roles, Roles { broker: true, controller: false });
    assert_eq!((broker.listeners[0].port, broker.voters[0].node), (9092, NodeId(1)));
    let servers = ("controller.quorum.bootstrap.servers", "a:9093, [::1]:9094");
    let broker = config(&node_of_one_role("broker", &[servers]));
    assert_eq!(broker.bootstrap, [("a".to_owned(), 9093), ("::1".to_owned(), 9094)]);
    assert!(broker.voters.is_empty());
}

#[test]
fn the_environment_of_kafkas_isolated_controllers_reads() {
    let read = |role: &str, more: &[(&str, &str)]| {
        let shared = [
            ("KAFKA_PROCESS_ROLES", role),
            ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@controller-1:9093,2@controller-2:9093,3@controller-3:9093"),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
            ("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qk"),
        ];
        let environment = shared.iter().chain(more).map(|(name, value)| ((*name).into(), (*value).into()));
        let (entries, _) = environment::entries(environment);
        BrokerConfig::from_entries(&entries, &ReadOptions::default()).expect("reads").0
    };
    let controller = read("controller", &[("KAFKA_NODE_ID", "2"), ("KAFKA_LISTENERS", "CONTROLLER://:9093")]);
    assert_eq!((controller.roles.broker, controller.listeners.len()), (false, 1));
    assert_eq!(controller.directories(), [&controller.metadata_dir]);
    let broker = read(
        "broker",
        &[
            ("KAFKA_NODE_ID", "4"),
            (
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,HOST:PLAINTEXT",
            ),
            ("KAFKA_LISTENERS", "PLAINTEXT://:19092,HOST://:9092"),
            ("KAFKA_ADVERTISED_LISTENERS", "HOST://localhost:29092,PLAINTEXT://broker-1:19092"),
        ],
    );
    assert_eq!((broker.roles.controller, broker.voters.len(), broker.advertised.len()), (false, 3, 2));
}

#[test]
fn a_directory_that_was_formatted_says_which_cluster_it_is_of() {
    fn formatted(directory: &std::path::Path) -> Option<String> {
        (directory == std::path::Path::new("/meta")).then(|| "theirs".to_owned())
    }
    let options = ReadOptions { formatted_for: formatted, ..ReadOptions::default() };
    let read = |pairs: &[(&str, &str)]| {
        let lines: Vec<_> = pairs.iter().map(|(key, value)| line(1, key, value)).collect();
        BrokerConfig::from_entries(&lines, &options)
    };
    let voters = ("controller.quorum.voters", "1@a:1,2@b:1");
    for directory in [("log.dirs", "/meta"), ("metadata.log.dir", "/meta")] {
        let (config, _) = read(&[directory, voters]).expect("the cluster is known");
        assert_eq!(config.cluster_id.as_deref(), Some("theirs"));
        let (config, _) = read(&[directory, ("corelane.cluster.id", "ours")]).expect("said");
        assert_eq!(config.cluster_id.as_deref(), Some("ours"), "what is said counts, and is compared later");
    }
    assert!(read(&[("log.dirs", "/elsewhere"), voters]).is_err());
}

#[test]
fn a_controller_is_reached_where_its_first_listener_is_or_is_said_to_be() {
    let listeners = ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093,OTHER://o:9094");
    let names = ("controller.listener.names", "controller,other");
    let place = |pairs: &[(&str, &str)]| {
        let endpoint = config(pairs).controller_endpoint?;
        Some((endpoint.name, endpoint.host, endpoint.port))
    };
    let at = |host: &str, port| Some(("CONTROLLER".to_owned(), host.to_owned(), port));
    assert_eq!(place(&[]), None, "a broker alone listens to clients only");
    assert_eq!(place(&[listeners, names]), at("box", 9093));
    let told = ("advertised.listeners", "PLAINTEXT://p:1,CONTROLLER://c:2");
    assert_eq!(place(&[listeners, names, told]), at("c", 2));
}

#[test]
fn what_does_not_go_with_a_nodes_one_role_is_refused() {
    let voters = ("controller.quorum.voters", "1@a:9093");
    let own = ("controller.quorum.voters", "7@a:9093");
    let controllers = ("listeners", "CONTROLLER://:9093");
    for (role, more, text) in [
        ("broker", &[][..], "nothing says where its controllers are"),
        ("broker", &[own], "it is only a broker"),
        ("broker", &[voters, ("listeners", "PLAINTEXT://:1,CONTROLLER://:2")], "this node is only a broker"),
        ("broker", &[("controller.quorum.bootstrap.servers", "a")], "not of the form host:port"),
        ("broker", &[voters, ("corelane.cluster.id", "")], "the cluster's id is not given"),
        ("controller", &[own], "has listeners of controller.listener.names only"),
        ("controller", &[controllers, voters], "names node 1, but this is node 7"),
        ("controller", &[own, controllers, ("inter.broker.listener.name", "CONTROLLER")], "for controllers"),
        ("controller", &[own, ("listeners", "PLAINTEXT://:1,CONTROLLER://:2")], "listeners names PLAINTEXT,"),
    ] {
        let error = error(&node_of_one_role(role, more));
        assert!(error.contains(text), "{error}");
    }
    assert!(error(&[("process.roles", "")]).contains("names no role"));
}

#[test]
fn what_is_only_advertised_in_the_environment_is_listened_to() {
    let environment = [
        ("KAFKA_BROKER_ID".to_owned(), "7".to_owned()),
        ("KAFKA_ADVERTISED_LISTENERS".to_owned(), "PLAINTEXT://kafka:29092".to_owned()),
    ];
    let (entries, _) = environment::entries(environment);
    let (config, _) = BrokerConfig::from_entries(&entries, &ReadOptions::default()).expect("reads");
    assert_eq!((config.node_id.0, config.listeners[0].port), (7, 29092));
    assert_eq!(config.listeners[0].host, "0.0.0.0");
}

#[test]
fn an_override_wins_over_the_environment_and_that_over_a_file() {
    let environment = Source::Environment { variable: "KAFKA_NUM_PARTITIONS".into() };
    let mut entries = vec![
        (Source::Override, "num.partitions".to_owned(), "3".to_owned()),
        (environment, "num.partitions".to_owned(), "2".to_owned()),
        line(1, "num.partitions", "1"),
    ];
    let read = |entries: &[_]| BrokerConfig::from_entries(entries, &ReadOptions::default()).expect("reads").0;
    assert_eq!(read(&entries).num_partitions, 3);
    entries.remove(0);
    assert_eq!(read(&entries).num_partitions, 2);
}

#[test]
fn all_errors_are_told_at_once_with_their_places() {
    let pairs = [("num.partition", "1"), ("log.segment.bytes", "5"), ("ssl.keystore.location", "/k")];
    let errors = read(&pairs).expect_err("bad");
    let mut texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.sort();
    assert_eq!(
        texts,
        [
            "server.properties:1: unknown setting num.partition (the nearest known one is num.partitions)",
            "server.properties:2: Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576",
            "server.properties:3: ssl.keystore.location is set, but TLS is not built yet",
        ]
    );
}

#[test]
fn every_refusal_says_what_is_wrong() {
    for (pairs, text) in [
        (&[("authorizer.class.name", "A")][..], "access control is not built yet"),
        (&[("sasl.enabled.mechanisms", "PLAIN")], "SASL is not built yet"),
        (&[("log.dirs", "a,b")], "several log directories are not built yet"),
        (&[("remote.log.storage.system.enable", "true")], "tiered storage is not built yet"),
        (&[("quota.window.num", "5")], "quotas are not built yet"),
        (&[("log.cleaner.dedupe.buffer.size", "1000")], "must be at least 1048576"),
        (&[("log.cleaner.io.buffer.load.factor", "0")], "must be above 0 and at most 1"),
        (&[("listeners", "SSL://:9093"), ("inter.broker.listener.name", "SSL")], "needs TLS"),
        (&[("listeners", "SASL_SSL://:1"), ("inter.broker.listener.name", "SASL_SSL")], "needs SASL"),
        (&[("controller.quorum.voters", "1@a:1,2@b:1")], "the cluster's id is not given"),
        (&[("controller.quorum.voters", "1@a:1,1@b:1"), ("corelane.cluster.id", "c")], "names node 1 twice"),
        (&[("replica.selector.class", "my.Selector")], "no such class is known here"),
        (&[("controller.quorum.voters", "2@a:1")], "names node 2, but this is node 1"),
        (&[("advertised.listeners", "PLAINTEXT://0.0.0.0:9092")], "no address one can connect to"),
        (&[("advertised.listeners", "X://a:9092")], "not among the listeners"),
        (&[("listeners", "PLAINTEXT://:1,PLAINTEXT://:2")], "share the name PLAINTEXT"),
        (&[("listener.name.x.ssl.keystore.type", "JKS")], "settings of single listeners are not built yet"),
        (&[("node.id", "1"), ("broker.id", "2")], "broker.id is 2, but node.id is 1"),
        (&[("log.retention.ms", "0")], "must be unlimited (-1) or, equal or greater than 1"),
        (&[("retention.ms", "5")], "the broker's is log.retention.ms"),
        (&[("socket.request.max.bytes", "2000000000")], "> corelane.shard.memory.bytes"),
    ] {
        let error = error(pairs);
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn what_is_set_to_its_inert_default_does_not_refuse() {
    let pairs = [("ssl.client.auth", "none"), ("authorizer.class.name", ""), ("sasl.jaas.config", "")];
    assert!(read(&pairs).is_ok());
}

#[test]
fn unknown_names_warn_where_that_was_asked_for() {
    let options = ReadOptions { allow_unknown: true, ..ReadOptions::default() };
    let (_, warnings) = BrokerConfig::from_entries(&[line(3, "nonsense", "1")], &options).expect("allowed");
    assert_eq!(warnings[0].to_string(), "server.properties:3: unknown setting nonsense has no effect");
}

#[test]
fn kafkas_flush_defaults_give_a_promise_up_with_a_word() {
    let (broker, warnings) = read(&[("log.flush.interval.messages", "9223372036854775807")]).expect("reads");
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().contains("gives up that what is acknowledged is on disk"));
    let topic = TopicConfig::resolve(&broker, &OrdMap::new());
    assert_eq!(topic.flush, FlushPolicy::Interval { messages: None, ms: None });
    let (broker, warnings) = read(&[("log.flush.interval.ms", "1000")]).expect("reads");
    assert!(warnings[0].text.contains("changes nothing"));
    assert_eq!(TopicConfig::resolve(&broker, &OrdMap::new()).flush, FlushPolicy::EveryGroup);
}

#[test]
fn retention_prefers_the_finest_unit() {
    let topic = |pairs: &[(&str, &str)]| TopicConfig::resolve(&config(pairs), &OrdMap::new());
    assert_eq!(
        topic(&[("log.retention.hours", "1"), ("log.retention.minutes", "2")]).retention_ms,
        Some(120_000)
    );
    assert_eq!(topic(&[("log.retention.minutes", "2"), ("log.retention.ms", "3")]).retention_ms, Some(3));
    assert_eq!(topic(&[("log.retention.hours", "-1")]).retention_ms, None);
}

#[test]
fn topic_settings_are_refused_in_kafkas_words() {
    for (name, value, text) in [
        ("nope", "1", "Unknown topic config name: nope"),
        ("segment.bytes", "x", "Invalid value x for configuration segment.bytes: Not a number of type INT"),
        (
            "cleanup.policy",
            "compact,squeeze",
            "Invalid value compact,squeeze for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "remote.storage.enable",
            "true",
            "Invalid value true for configuration remote.storage.enable: tiered storage is not built yet",
        ),
    ] {
        assert_eq!(topic::validate(name, value), Err(text.into()));
    }
    let lags = [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")];
    let lags = lags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    assert!(topic::validate_together(&BrokerConfig::default(), &lags).is_err());
}

#[test]
fn a_topic_describes_where_its_values_come_from() {
    let broker = config(&[("log.retention.hours", "2")]);
    let keys = Some(&["retention.ms"][..]);
    let inherited = describe_topic(&broker, &OrdMap::new(), keys).remove(0);
    assert_eq!((inherited.value.as_deref(), inherited.source), (Some("7200000"), ConfigSource::StaticBroker));
    assert_eq!(inherited.synonyms[0].name, "log.retention.hours");
    let own = describe_topic(&broker, &OrdMap::unit("retention.ms".into(), "5".into()), keys).remove(0);
    assert_eq!((own.value.as_deref(), own.source.code()), (Some("5"), 1));
    assert_eq!(own.synonyms.len(), 3);
    assert_eq!(describe_topic(&broker, &OrdMap::new(), None).len(), 33);
}

#[test]
fn dynamic_settings_win_and_only_effective_ones_are_taken() {
    let broker = BrokerConfig::default();
    let cluster = OrdMap::from(&[("message.max.bytes".to_owned(), "5".to_owned())][..]);
    let node = OrdMap::from(&[("max.connections".to_owned(), "9".to_owned())][..]);
    let next = broker.with_dynamic(&cluster, &node);
    assert_eq!((next.connections_max, broker.connections_max), (9, i32::MAX));
    assert_eq!(TopicConfig::resolve(&next, &OrdMap::new()).message_bytes_max, 5);
    let told = describe_broker(&next, Some(&["message.max.bytes"])).remove(0);
    assert_eq!((told.source, told.read_only), (ConfigSource::DynamicDefaultBroker, false));
    assert_eq!(broker::validate_dynamic("message.max.bytes", "5", false), Ok(()));
    let refused = broker::validate_dynamic("log.dirs", "x", true).expect_err("read-only");
    assert_eq!(refused, "Cannot update these configs dynamically: [log.dirs]");
    assert!(broker::validate_dynamic("listeners", "x", false).is_err());
}

#[test]
fn what_can_be_altered_at_run_time_is_inherited_by_topics_or_groups_or_taken_up_by_the_broker() {
    // What `with_dynamic` sets anew.
    let taken_up = [
        "log.cleaner.backoff.ms",
        "log.cleaner.dedupe.buffer.size",
        "log.cleaner.io.buffer.load.factor",
        "log.cleaner.io.max.bytes.per.second",
        "max.connections",
        "max.connections.per.ip",
        "producer.id.expiration.ms",
        "transaction.partition.verification.enable",
    ];
    let inherited = |name: &str| {
        let mut synonyms = table::TOPIC.iter().flat_map(|row| table::topic_synonyms(row.name));
        let of_groups = table::GROUP.iter().any(|row| name == format!("group.{}", row.name));
        of_groups || synonyms.any(|(synonym, _)| *synonym == name)
    };
    let alterable = describe_broker(&BrokerConfig::default(), None).into_iter().filter(|it| !it.read_only);
    for config in alterable {
        assert!(taken_up.contains(&config.name) || inherited(config.name), "{}", config.name);
    }
}

#[test]
fn settings_altered_at_run_time_are_held_against_all_others() {
    let broker = config(&[("log.cleaner.max.compaction.lag.ms", "10")]);
    let lag = |value: &str| OrdMap::unit("log.cleaner.min.compaction.lag.ms".to_owned(), value.to_owned());
    for per_broker in [true, false] {
        assert_eq!(broker::validate_dynamic_together(&broker, &lag("10"), per_broker), Ok(()));
        assert!(broker::validate_dynamic_together(&broker, &lag("11"), per_broker).is_err());
    }
}

#[test]
fn the_clusters_default_is_told_also_where_the_broker_is_told_otherwise() {
    let unit = |value: &str| OrdMap::unit("max.connections".to_owned(), value.to_owned());
    let broker = BrokerConfig::default().with_dynamic(&unit("7"), &unit("9"));
    let told = broker::describe_broker_default(&broker, None);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].value.as_deref(), told[0].source.code()), (Some("7"), 3));
    let told = describe_broker(&broker, Some(&["max.connections"])).remove(0);
    let synonyms: Vec<_> = told.synonyms.iter().map(|it| (it.source.code(), it.value.as_deref())).collect();
    assert_eq!(synonyms, [(2, Some("9")), (3, Some("7")), (5, Some("2147483647"))]);
    assert_eq!(told.source, ConfigSource::DynamicBroker);
}

#[test]
fn a_setting_that_another_one_overrules_is_described_as_it_was_set() {
    let broker = config(&[("log.retention.ms", "5")]);
    let hours = describe_broker(&broker, Some(&["log.retention.hours"])).remove(0);
    assert_eq!((hours.value.as_deref(), hours.source), (Some("168"), ConfigSource::Default));
    let ms = describe_broker(&broker, Some(&["log.retention.ms"])).remove(0);
    let names: Vec<_> = ms.synonyms.iter().map(|it| it.name).collect();
    assert_eq!(names, ["log.retention.ms", "log.retention.hours"]);
}

#[test]
fn what_is_set_at_run_time_only_is_told_where_it_is_set_and_a_file_cannot_set_it() {
    let name = "leader.replication.throttled.rate";
    let entries = [(Source::Override, name.to_owned(), "5".to_owned())];
    let (broker, warnings) =
        BrokerConfig::from_entries(&entries, &ReadOptions::default()).expect("it is passed over");
    assert!(warnings[0].text.contains("at run time only"), "{}", warnings[0].text);
    assert_eq!((broker.leader_throttle.rate, describe_broker(&broker, Some(&[name])).len()), (None, 0));
    assert_eq!(broker::validate_dynamic(name, "5", false), Ok(()));
    let cluster = broker.with_dynamic(&OrdMap::unit(name.into(), "5".into()), &OrdMap::new());
    assert_eq!((cluster.leader_throttle.rate, cluster.follower_throttle.rate), (Some(5), None));
    let own = broker.with_dynamic(
        &OrdMap::unit(name.into(), "5".into()),
        &OrdMap::unit(name.into(), i64::MAX.to_string()),
    );
    assert_eq!(own.leader_throttle.rate, None, "the largest number is no bound");
    let told = describe_broker(&cluster, Some(&[name])).remove(0);
    assert_eq!((told.value.as_deref(), told.source), (Some("5"), ConfigSource::DynamicDefaultBroker));
    assert!(!told.read_only && told.synonyms.len() == 1, "{:?}", told.synonyms);
}

#[test]
fn throttled_replicas_are_written_as_kafka_takes_them() {
    let key = "leader.replication.throttled.replicas";
    for text in ["", "*", "0:1", "0:1,1:2, 10:3", "0:1,"] {
        assert_eq!(topic::validate(key, text), Ok(()), "{text}");
    }
    for text in ["0", "*,0:1", "0:-1", "+0:1", "0:1:2", "0 : 1", "a:b"] {
        assert!(topic::validate(key, text).is_err(), "{text}");
    }
    let of = |text: &str| {
        let overrides = OrdMap::unit(key.to_owned(), text.to_owned());
        TopicConfig::resolve(&BrokerConfig::default(), &overrides).leader_throttled
    };
    let node = crate::ids::NodeId;
    assert!(of("*").has(7, node(7)));
    assert!(of("0:1, 10:3").has(10, node(3)) && !of("0:1,10:3").has(10, node(1)));
    assert!(!of("").has(0, node(0)));
}

#[test]
fn passwords_are_withheld() {
    let told = describe_broker(&BrokerConfig::default(), Some(&["ssl.key.password"])).remove(0);
    assert!(told.sensitive && told.value.is_none());
    assert!(topic_row("ssl.key.password").is_none());
}

#[test]
fn the_manual_names_every_public_key() {
    let page = manual();
    for row in all_rows().filter(|row| row.update != table::Update::Internal) {
        assert!(page.contains(&format!("| `{}` |", row.name)), "{}", row.name);
    }
}
