//! The settings of a consumer.

use crate::client::{ClientConfig, Properties, Role, config::invalid, error::Result};
use std::time::Duration;

/// Where a partition begins for which nothing is committed, or whose records are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// At what is there.
    Earliest,
    /// At what comes.
    Latest,
    /// At what is at most this old (KIP-1106).
    Ago(Duration),
    /// Nowhere: it is an error.
    Never,
}

/// How a group agrees on who reads what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Members decide.
    Classic,
    /// The coordinator decides (KIP-848).
    Consumer,
}

/// Who gets what, in a classic group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// `range`.
    Range,
    /// `roundrobin`.
    RoundRobin,
    /// `sticky`: members get back what they had, as far as that is even (KIP-54).
    Sticky,
    /// `cooperative-sticky`: members keep what they have while they agree anew (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
            Assignor::Sticky => "sticky",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }

    fn from_class(class: &str) -> Option<Assignor> {
        match class.rsplit('.').next()? {
            "RangeAssignor" | "range" => Some(Assignor::Range),
            "RoundRobinAssignor" | "roundrobin" => Some(Assignor::RoundRobin),
            "StickyAssignor" | "sticky" => Some(Assignor::Sticky),
            "CooperativeStickyAssignor" | "cooperative-sticky" => Some(Assignor::CooperativeSticky),
            _ => None,
        }
    }
}

/// Kafka's `ConsumerConfig`, as far as it means anything here.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// What all clients have.
    pub client: ClientConfig,
    /// `group.id`.
    pub group: Option<String>,
    /// `group.instance.id`.
    pub instance: Option<String>,
    /// `group.protocol`.
    pub protocol: GroupProtocol,
    /// `partition.assignment.strategy`.
    pub assignors: Vec<Assignor>,
    /// `group.remote.assignor`.
    pub remote_assignor: Option<String>,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat: Duration,
    /// `max.poll.interval.ms`: how long members may take to join again.
    pub rebalance_timeout: Duration,
    /// `auto.commit.interval.ms`, where `enable.auto.commit` is on.
    pub auto_commit: Option<Duration>,
    /// `auto.offset.reset`.
    pub reset: Reset,
    /// `isolation.level` is `read_committed`.
    pub read_committed: bool,
    /// `fetch.min.bytes`.
    pub min_bytes: i32,
    /// `fetch.max.bytes`.
    pub max_bytes: i32,
    /// `fetch.max.wait.ms`.
    pub max_wait: Duration,
    /// `max.partition.fetch.bytes`.
    pub partition_bytes: i32,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// `allow.auto.create.topics`.
    pub create_topics: bool,
    /// `exclude.internal.topics`.
    pub exclude_internal: bool,
    /// `metadata.max.age.ms`.
    pub metadata_age: Duration,
}

impl ConsumerConfig {
    /// Whether members keep what they have while the group shares out anew: only where every assignor can do with that.
    pub fn is_cooperative(&self) -> bool {
        self.assignors.iter().all(|assignor| *assignor == Assignor::CooperativeSticky)
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`ClientError::Config`](crate::client::ClientError::Config).
    pub fn read(properties: &Properties) -> Result<ConsumerConfig> {
        let client = ClientConfig::read(Role::Consumer, properties)?;
        let group = properties.get("group.id").map(str::to_owned).filter(|group| !group.is_empty());
        let protocol =
            match properties.get("group.protocol").unwrap_or("classic").to_ascii_lowercase().as_str() {
                "classic" => GroupProtocol::Classic,
                "consumer" => GroupProtocol::Consumer,
                other => {
                    return Err(invalid(
                        "group.protocol",
                        other,
                        "String must be one of (case insensitive): CONSUMER, CLASSIC",
                    ));
                }
            };
        let int = |name, default: i32| properties.number(name, default, 0..);
        let auto_commit = properties.flag("enable.auto.commit", true)?;
        let auto_commit_interval = properties.millis("auto.commit.interval.ms", 5000)?;
        Ok(ConsumerConfig {
            client,
            auto_commit: (auto_commit && group.is_some()).then_some(auto_commit_interval),
            group,
            instance: properties.get("group.instance.id").map(str::to_owned),
            protocol,
            assignors: assignors(properties)?,
            remote_assignor: properties.get("group.remote.assignor").map(str::to_owned),
            session_timeout: properties.millis("session.timeout.ms", 45_000)?,
            heartbeat: properties.millis("heartbeat.interval.ms", 3000)?,
            rebalance_timeout: properties.millis("max.poll.interval.ms", 300_000)?,
            reset: reset(properties)?,
            read_committed: properties.choice(
                "isolation.level",
                "read_uncommitted",
                &["read_committed", "read_uncommitted"],
            )? == "read_committed",
            min_bytes: int("fetch.min.bytes", 1)?,
            max_bytes: int("fetch.max.bytes", 50 * 1024 * 1024)?,
            max_wait: properties.millis("fetch.max.wait.ms", 500)?,
            partition_bytes: int("max.partition.fetch.bytes", 1024 * 1024)?,
            check_crcs: properties.flag("check.crcs", true)?,
            create_topics: properties.flag("allow.auto.create.topics", true)?,
            exclude_internal: properties.flag("exclude.internal.topics", true)?,
            metadata_age: properties.millis("metadata.max.age.ms", 300_000)?,
        })
    }
}

fn assignors(properties: &Properties) -> Result<Vec<Assignor>> {
    let name = "partition.assignment.strategy";
    let Some(classes) = properties.get(name) else { return Ok(vec![Assignor::Range]) };
    let known: Vec<_> = classes.split(',').filter_map(|class| Assignor::from_class(class.trim())).collect();
    if known.is_empty() {
        return Err(invalid(
            name,
            classes,
            "only RangeAssignor, RoundRobinAssignor, StickyAssignor and CooperativeStickyAssignor are there",
        ));
    }
    Ok(known)
}

fn reset(properties: &Properties) -> Result<Reset> {
    let name = "auto.offset.reset";
    Ok(match properties.get(name).unwrap_or("latest") {
        "latest" => Reset::Latest,
        "earliest" => Reset::Earliest,
        "none" => Reset::Never,
        other => {
            let duration = other.strip_prefix("by_duration:").and_then(crate::java::duration);
            let why = "Invalid value. Value must be one of latest, earliest, none, by_duration:PnDTnHnMn.nS";
            Reset::Ago(duration.ok_or_else(|| invalid(name, other, why))?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[&str]) -> Result<ConsumerConfig> {
        let mut properties = Properties::default();
        properties.add_pairs(&["bootstrap.servers=a:1"]);
        properties.add_pairs(pairs);
        ConsumerConfig::read(&properties)
    }

    #[test]
    fn nothing_is_committed_by_itself_without_a_group() {
        assert_eq!(read(&[]).expect("defaults").auto_commit, None);
        assert_eq!(read(&["group.id=g"]).expect("valid").auto_commit, Some(Duration::from_secs(5)));
        assert_eq!(read(&["group.id=g", "enable.auto.commit=false"]).expect("valid").auto_commit, None);
    }

    #[test]
    fn one_assignor_that_wants_everything_given_back_is_enough_for_that() {
        let is_cooperative = |strategy: &str| {
            let property = format!("partition.assignment.strategy={strategy}");
            read(&[&property]).expect("valid").is_cooperative()
        };
        assert!(is_cooperative("org.apache.kafka.clients.consumer.CooperativeStickyAssignor"));
        assert!(!is_cooperative("CooperativeStickyAssignor,RangeAssignor"));
        assert!(read(&["partition.assignment.strategy=MyAssignor"]).is_err());
    }

    #[test]
    fn a_reset_is_a_word_or_a_duration() {
        assert_eq!(read(&["auto.offset.reset=none"]).expect("valid").reset, Reset::Never);
        let ago = read(&["auto.offset.reset=by_duration:PT1H"]).expect("valid").reset;
        assert_eq!(ago, Reset::Ago(Duration::from_secs(3600)));
        assert!(read(&["auto.offset.reset=soon"]).is_err());
    }
}
