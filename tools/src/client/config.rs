//! The settings of a client: Kafka's names, given as properties.

use super::{
    error::{ClientError, Result},
    security::Security,
    traffic::Traffic,
};
use crate::log;
use corelane_core::config::properties;
use std::{
    collections::BTreeMap,
    fmt::Display,
    ops::{Bound, RangeBounds},
    path::Path,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

/// Settings by name, as from a file or from `name=value` on a command line. They may be secrets: there is no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Those of a properties file.
    ///
    /// # Errors
    /// A text that names the file.
    pub fn load(path: impl AsRef<Path>) -> std::result::Result<Properties, String> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        // Latin-1 of old and UTF-8 today; what is not UTF-8 is Latin-1.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect());
        let entries = properties::parse(&text).map_err(|errors| {
            let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
            format!("{}: {}", path.display(), told.join("; "))
        })?;
        Ok(Properties(entries.into_iter().map(|entry| (entry.key, entry.value)).collect()))
    }

    /// Adds `name=value` texts; one without a value gets an empty one.
    pub fn add_pairs(&mut self, pairs: &[&str]) {
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.set(name, value);
        }
    }

    /// Sets one, over what was there.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Sets one that is not there yet.
    pub fn set_default(&mut self, name: &str, value: &str) {
        self.0.entry(name.into()).or_insert_with(|| value.into());
    }

    /// One, if it is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A number within a range, or what it is by default.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn number<T>(&self, name: &str, default: T, range: impl RangeBounds<T>) -> Result<T>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.get(name) else { return Ok(default) };
        let kind = if size_of::<T>() == 4 { "INT" } else { "LONG" };
        let value: T =
            text.trim().parse().map_err(|_| invalid(name, text, &format!("Not a number of type {kind}")))?;
        if range.contains(&value) {
            return Ok(value);
        }
        let why = match range.start_bound() {
            Bound::Included(least) if value < *least => format!("Value must be at least {least}"),
            _ => "Value is too large".into(),
        };
        Err(invalid(name, text, &why))
    }

    /// A time in milliseconds.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn millis(&self, name: &str, default: u64) -> Result<Duration> {
        self.number(name, default, 0..=i64::MAX.unsigned_abs()).map(Duration::from_millis)
    }

    /// True or false.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name).map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(text) => Err(invalid(name, text, "Expected value to be either true or false")),
        }
    }

    /// One of these words.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn choice<'a>(&'a self, name: &str, default: &'a str, choices: &[&str]) -> Result<&'a str> {
        let value = self.get(name).unwrap_or(default);
        if choices.contains(&value) {
            return Ok(value);
        }
        Err(invalid(name, value, &format!("String must be one of: {}", choices.join(", "))))
    }
}

/// A value that cannot be, in the words of Kafka's `ConfigException`.
pub fn invalid(name: &str, value: &str, why: &str) -> ClientError {
    ClientError::Config(format!("Invalid value {value} for configuration {name}: {why}"))
}

/// Which of Kafka's three clients the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// AdminClientConfig.
    Admin,
    /// ProducerConfig.
    Producer,
    /// ConsumerConfig.
    Consumer,
}

/// What every client needs to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Host and port of the nodes to begin with.
    pub bootstrap: Vec<(String, u16)>,
    /// They are controllers (`bootstrap.controllers`, KIP-919), and only controllers are asked.
    pub of_controllers: bool,
    /// `client.id`.
    pub client_id: String,
    /// `request.timeout.ms`: how long a broker may take for an answer.
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`: how long a call may take with all its attempts.
    pub api_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
    /// `retry.backoff.ms`, the first time between two attempts.
    pub backoff: Duration,
    /// `retry.backoff.max.ms`, the longest.
    pub backoff_max: Duration,
    /// `security.protocol` and what belongs to it.
    pub security: Security,
    /// What the connections of this client moved.
    pub traffic: Arc<Traffic>,
}

impl ClientConfig {
    /// Reads the settings. Those that nobody knows, and those that mean something to a JVM only, change nothing; the
    /// former are warned of, as in Kafka.
    ///
    /// # Errors
    /// [`ClientError::Config`], [`ClientError::Construction`].
    pub fn read(role: Role, properties: &Properties) -> Result<ClientConfig> {
        let unknown: Vec<&str> =
            properties.iter().map(|(name, _)| name).filter(|name| !is_known(role, name)).collect();
        if !unknown.is_empty() {
            log::warn(&format!(
                "These configurations '[{}]' were supplied but are not used yet.",
                unknown.join(", ")
            ));
        }
        let controllers = properties.get("bootstrap.controllers");
        let servers = controllers.or(properties.get("bootstrap.servers")).unwrap_or_default();
        Ok(ClientConfig {
            bootstrap: addresses(servers)?,
            of_controllers: controllers.is_some(),
            client_id: properties.get("client.id").unwrap_or_default().into(),
            request_timeout: properties.millis("request.timeout.ms", 30_000)?,
            api_timeout: properties.millis("default.api.timeout.ms", 60_000)?,
            connect_timeout: properties.millis("socket.connection.setup.timeout.ms", 10_000)?,
            backoff: properties.millis("retry.backoff.ms", 100)?,
            backoff_max: properties.millis("retry.backoff.max.ms", 1000)?,
            traffic: Arc::default(),
            security: Security::read(role, properties).inspect_err(|error| {
                // Where Kafka's tools print a stack trace.
                if let Some(cause) = error.cause() {
                    log::error(&format!("{error}: {cause}"));
                }
            })?,
        })
    }
}

/// Host and port of each server in a list that commas separate.
///
/// # Errors
/// [`ClientError::Config`], in Kafka's words.
pub fn addresses(servers: &str) -> Result<Vec<(String, u16)>> {
    let mut found = Vec::new();
    for server in servers.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        let address = split_address(server)
            .ok_or_else(|| ClientError::Config(format!("Invalid url in bootstrap.servers: {server}")))?;
        found.push(address);
    }
    if found.is_empty() {
        return Err(ClientError::Config("No resolvable bootstrap urls given in bootstrap.servers".into()));
    }
    Ok(found)
}

/// `host:port`, `[v6]:port` or `PROTOCOL://host:port`.
pub fn split_address(server: &str) -> Option<(String, u16)> {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let (host, port) = rest.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// Security settings are known: without a protocol that uses them they change nothing, in Kafka too.
fn is_known(role: Role, name: &str) -> bool {
    let own = match role {
        Role::Admin => ADMIN,
        Role::Producer => PRODUCER,
        Role::Consumer => CONSUMER,
    };
    COMMON.contains(&name)
        || own.contains(&name)
        || ["ssl.", "sasl.", "security."].iter().any(|prefix| name.starts_with(prefix))
}

const COMMON: &[&str] = &[
    "bootstrap.servers",
    "client.dns.lookup",
    "client.id",
    "config.providers",
    "connections.max.idle.ms",
    "enable.metrics.push",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
];

const ADMIN: &[&str] = &["bootstrap.controllers", "default.api.timeout.ms", "retries"];

const PRODUCER: &[&str] = &[
    "acks",
    "batch.size",
    "buffer.memory",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delivery.timeout.ms",
    "enable.idempotence",
    "interceptor.classes",
    "key.serializer",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.request.size",
    "metadata.max.idle.ms",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "partitioner.class",
    "partitioner.ignore.keys",
    "retries",
    "transaction.timeout.ms",
    "transaction.two.phase.commit.enable",
    "transactional.id",
    "value.serializer",
];

const CONSUMER: &[&str] = &[
    "allow.auto.create.topics",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "check.crcs",
    "client.rack",
    "default.api.timeout.ms",
    "enable.auto.commit",
    "exclude.internal.topics",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "interceptor.classes",
    "isolation.level",
    "key.deserializer",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "value.deserializer",
];

/// Properties of `name=value` texts.
#[cfg(test)]
pub(super) fn properties(pairs: &[&str]) -> Properties {
    let mut properties = Properties::default();
    properties.add_pairs(pairs);
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_names_and_numbers_of_both_families() {
        let expected = [("a".into(), 1), ("::1".into(), 2), ("127.0.0.1".into(), 3)];
        assert_eq!(addresses("a:1, [::1]:2,PLAINTEXT://127.0.0.1:3").expect("valid"), expected);
        assert_eq!(addresses("a").expect_err("no port").to_string(), "Invalid url in bootstrap.servers: a");
        assert!(addresses(" ,").is_err());
    }

    #[test]
    fn a_wrong_value_is_told_in_kafkas_words() {
        let told = properties(&["a=x", "b=-1", "c=perhaps", "d=best"]);
        let said = |result: Result<String>| result.expect_err("wrong").to_string();
        assert_eq!(
            said(told.number("a", 1_i32, 0..).map(|n| n.to_string())),
            "Invalid value x for configuration a: Not a number of type INT"
        );
        assert_eq!(
            said(told.number("b", 1_i64, 0..).map(|n| n.to_string())),
            "Invalid value -1 for configuration b: Value must be at least 0"
        );
        assert!(told.flag("c", true).is_err());
        assert_eq!(
            said(told.choice("d", "all", &["all", "0"]).map(str::to_owned)),
            "Invalid value best for configuration d: String must be one of: all, 0"
        );
    }
}
