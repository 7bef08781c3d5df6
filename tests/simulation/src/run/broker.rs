//! A broker of a run: as in production, but small, so that journals wrap, segments roll and memory runs short.

use crate::{
    rng::Rng,
    world::{Accepting, Boot, Factory, Listener},
};
use corelane_core::{
    config::{BrokerConfig, ReadOptions, Source},
    log::Fault,
};
use corelane_shard::{BrokerSettings, LogControl, Node, Report, assemble};
use std::sync::{
    Arc,
    mpsc::{Receiver, channel},
};

/// Of the clients' listener.
const PORT: u16 = 9092;

/// What makes a broker at every start, and where it reports.
pub(super) fn factory(rng: &mut Rng, host: &str, fault: Fault) -> (Factory<Node>, Receiver<Report>) {
    let (reports, received) = channel();
    let config = Arc::new(config(rng, host));
    let factory = move |boot: &Boot| {
        let settings = BrokerSettings {
            log: LogControl::default(),
            config: Arc::clone(&config),
            shards: boot.shards,
            ports: vec![PORT],
            seed: boot.entropy,
            fault,
            reports: reports.clone(),
        };
        let assembled = assemble(&settings, Arc::new(boot.disk.clone()), boot.now)?;
        Ok(assembled.seeds.into_iter().map(|seed| seed.grow(boot.now)).collect())
    };
    (Box::new(factory), received)
}

/// Where it listens.
pub(super) fn listeners() -> Vec<Listener> {
    vec![Listener { port: PORT, accepting: Accepting::DataShards }]
}

fn config(rng: &mut Rng, host: &str) -> BrokerConfig {
    let listener = format!("PLAINTEXT://{host}:{PORT}");
    let entries = [("log.dirs", "/data"), ("listeners", &listener), ("auto.create.topics.enable", "false")];
    let entries = entries.map(|(key, value)| (Source::Override, key.to_owned(), value.to_owned()));
    let (mut config, _) = BrokerConfig::from_entries(&entries, &ReadOptions::default())
        .unwrap_or_else(|errors| panic!("the simulated broker's configuration: {errors:?}"));
    // Far below what the configuration's tables allow.
    config.journal_bytes_max = 1 << rng.between(19, 22);
    config.shard_memory_bytes = 1 << rng.between(21, 24);
    config.tail_cache_bytes = 1 << rng.between(12, 22);
    config.disk_reserve_bytes = 1 << 20;
    // Fifty would be most of what each start recovers.
    config.groups.topic_partitions = 3;
    // As short as members of the classic protocol may have it: Kafka's default is most of an audit's time.
    config.groups.consumer.session_timeout_ms = 6_000;
    config.log_cleaner_backoff_ms = 1 << rng.between(3, 11);
    config.log_cleaner_dedupe_bytes = 1 << rng.between(7, 20);
    config
}
