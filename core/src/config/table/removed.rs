//! Settings that Kafka once had and has no more: old files still hold them.

const ZOOKEEPER: &str = "there is no ZooKeeper here, metadata lives in the brokers' own quorum";
const FORMAT: &str = "there is one message format and one protocol level";
const PASSWORDS: &str = "it concerned passwords kept in ZooKeeper";
const REMOVED: &str = "Kafka 4 removed it";

/// Why a setting that Kafka removed is accepted without effect; `None` for what Kafka never had, or what meant
/// something that must not be passed over (`port`, `host.name`).
pub fn removed(name: &str) -> Option<&'static str> {
    if name == "zookeeper" || name.starts_with("zookeeper.") {
        return Some(ZOOKEEPER);
    }
    if name.starts_with("password.encoder.") {
        return Some(PASSWORDS);
    }
    match name {
        "broker.id.generation.enable" | "reserved.broker.max.id" => Some(ZOOKEEPER),
        "inter.broker.protocol.version"
        | "log.message.format.version"
        | "log.message.downconversion.enable"
        | "message.downconversion.enable"
        | "message.format.version" => Some(FORMAT),
        "auto.include.jmx.reporter"
        | "controlled.shutdown.max.retries"
        | "controlled.shutdown.retry.backoff.ms"
        | "group.coordinator.new.enable"
        | "leader.imbalance.per.broker.percentage"
        | "log.message.timestamp.difference.max.ms"
        | "offsets.commit.required.acks" => Some(REMOVED),
        _ => None,
    }
}
