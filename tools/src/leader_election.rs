//! `kafka-leader-election` (`org.apache.kafka.tools.LeaderElectionCommand`).

use crate::{
    Tool,
    args::{COMMAND_CONFIG, Command, Opt},
    client::{ClientError, Cluster, Properties, Role, TopicPartition, error::Result, topic_name},
    console::{Console, Outcome, Stop},
    say,
};
use kafka_protocol::messages::{ElectLeadersRequest, elect_leaders_request::TopicPartitions};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Kafka's code of ELECTION_NOT_NEEDED.
const NOT_NEEDED: i16 = 84;

/// How long the tool waits for an election; the configuration may say otherwise.
const TIMEOUT_MS: u32 = 30_000;

pub const TOOL: Tool = Tool {
    name: "kafka-leader-election",
    purpose: "Elect the leaders of partitions anew.",
    options: &[
        Opt::text(
            "bootstrap-server",
            "host:port",
            "REQUIRED: brokers to begin with, as HOST1:PORT1,HOST2:PORT2.",
        ),
        Opt::text("admin.config", "config file", "The old name of --command-config."),
        COMMAND_CONFIG,
        Opt::text(
            "path-to-json-file",
            "Path to JSON file",
            "A JSON file with the partitions:\n{\"partitions\":\n  [{\"topic\": \"foo\", \"partition\": 1}]\n}\nNot \
             with --all-topic-partitions or --topic.",
        ),
        Opt::text(
            "topic",
            "topic name",
            "The topic of the partition. Not with --path-to-json-file or --all-topic-partitions.",
        ),
        Opt::integer("partition", "partition id", "The partition. REQUIRED with --topic."),
        Opt::flag(
            "all-topic-partitions",
            "All partitions for which there is something to elect. Not with --topic or --path-to-json-file.",
        ),
        Opt::text(
            "election-type",
            "election type",
            "REQUIRED: `preferred` elects the first of the replicas where it does not lead and is in sync; `unclean` \
             any replica that is left where nobody leads, at the price of acknowledged records.",
        ),
    ],
    run,
};

/// What is elected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Election {
    Preferred,
    Unclean,
}

impl fmt::Display for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Election::Preferred => "PREFERRED",
            Election::Unclean => "UNCLEAN",
        })
    }
}

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    command.help_or_version(
        console,
        "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are \
         preferred replicas and unclean replicas.",
    )?;
    check(&command, console)?;
    let election = election(command.value("election-type")?.unwrap_or_default())?;
    let places = match (command.value("path-to-json-file")?, command.value("topic")?) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Stop::failed(format!("Unable to read file {path}: {error}")))?;
            Some(parse(&text).map_err(Stop::Failed)?)
        }
        (None, Some(topic)) => {
            let partition = command.integer("partition")?.unwrap_or_default();
            Some(BTreeSet::from([TopicPartition::new(topic, partition)]))
        }
        (None, None) => None,
    };
    let old = "Option --admin.config has been deprecated and will be removed in a future version. Use \
               --command-config instead.";
    let config = if command.has("admin.config") {
        say!(console, "{old}");
        command.value("admin.config")?
    } else {
        command.value("command-config")?
    };
    let mut properties = match config {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.set("bootstrap.servers", command.value("bootstrap-server")?.unwrap_or_default());
    for (name, ms) in [("default.api.timeout.ms", TIMEOUT_MS), ("request.timeout.ms", TIMEOUT_MS / 2)] {
        properties.set_default(name, &ms.to_string());
    }
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    let outcomes = elect(&mut cluster, election, places.as_ref());
    tell(console, election, outcomes)
}

fn listed(places: impl IntoIterator<Item = TopicPartition>) -> String {
    places.into_iter().map(|place| place.to_string()).collect::<Vec<_>>().join(", ")
}

/// The tool's own checks, in its own words.
fn check(command: &Command, console: &mut Console) -> Outcome {
    let missing: Vec<&str> =
        ["bootstrap-server", "election-type"].into_iter().filter(|name| !command.has(name)).collect();
    if !missing.is_empty() {
        return Err(Stop::failed(format!("Missing required option(s): {}", missing.join(", "))));
    }
    command.excluded(console, "admin.config", &["command-config"])?;
    let which = ["topic", "all-topic-partitions", "path-to-json-file"];
    if which.into_iter().filter(|name| command.has(name)).count() != 1 {
        return Err(Stop::failed(format!(
            "One and only one of the following options is required: {}",
            which.join(", ")
        )));
    }
    match (command.has("topic"), command.has("partition")) {
        (true, false) => Err(Stop::failed("Missing required option(s): partition")),
        (false, true) => Err(Stop::failed("Option partition is only allowed if topic is used")),
        (true, true) | (false, false) => Ok(()),
    }
}

fn election(text: &str) -> Outcome<Election> {
    [Election::Preferred, Election::Unclean]
        .into_iter()
        .find(|election| election.to_string().eq_ignore_ascii_case(text))
        .ok_or_else(|| Stop::failed(format!("Value [{text}] is not one of [PREFERRED|UNCLEAN]")))
}

/// The partitions of a JSON file.
fn parse(text: &str) -> std::result::Result<BTreeSet<TopicPartition>, String> {
    let json: Value = serde_json::from_str(text).map_err(|_| "Replica election data is empty".to_owned())?;
    let partitions = json.get("partitions").ok_or("Replica election data is missing \"partitions\" field")?;
    let partitions =
        partitions.as_array().ok_or_else(|| format!("Expected JSON array, received {partitions}"))?;
    let (mut places, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for entry in partitions {
        let field = |name: &str| entry.get(name).ok_or_else(|| format!("No such field exists: `{name}`"));
        let topic = field("topic")?;
        let topic = topic.as_str().ok_or_else(|| format!("Expected `String` value, received {topic}"))?;
        let partition = field("partition")?;
        let partition = partition
            .as_i64()
            .and_then(|it| i32::try_from(it).ok())
            .ok_or_else(|| format!("Expected `Integer` value, received {partition}"))?;
        let place = TopicPartition::new(topic, partition);
        if !places.insert(place.clone()) {
            twice.insert(place);
        }
    }
    if twice.is_empty() {
        return Ok(places);
    }
    Err(format!("Replica election data contains duplicate partitions: [{}]", listed(twice)))
}

type Outcomes = BTreeMap<TopicPartition, Result<()>>;

/// Asks the controller; `None`: for all partitions. Each has its own outcome.
fn elect(
    cluster: &mut Cluster,
    election: Election,
    places: Option<&BTreeSet<TopicPartition>>,
) -> Result<Outcomes> {
    let timeout = i32::try_from(cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX);
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for place in places.into_iter().flatten() {
        topics.entry(&place.topic).or_default().push(place.partition);
    }
    let asked = topics.into_iter().map(|(name, partitions)| {
        TopicPartitions::default().with_topic(topic_name(name)).with_partitions(partitions)
    });
    let asked = places.map(|_| asked.collect::<Vec<_>>());
    let answer = cluster.retry("electLeaders", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<ElectLeadersRequest>()?;
            let mut request = ElectLeadersRequest::default();
            request.topic_partitions = asked.clone();
            request.timeout_ms = timeout;
            if version >= 1 {
                request.election_type = i8::from(election == Election::Unclean);
            }
            let answer = connection.call(version, &request)?;
            ClientError::check(answer.error_code).map(|()| answer)
        })
    })?;
    let mut outcomes = Outcomes::new();
    for topic in answer.replica_election_results {
        for it in topic.partition_result {
            let place = TopicPartition::new(topic.topic.0.as_str(), it.partition_id);
            let error = ClientError::of(it.error_code, it.error_message.as_deref());
            outcomes.insert(place, error.map_or(Ok(()), Err));
        }
    }
    Ok(outcomes)
}

fn tell(console: &mut Console, election: Election, outcomes: Result<Outcomes>) -> Outcome {
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(ClientError::TimedOut(_)) => {
            say!(console, "Timeout waiting for election results");
            return Err(Stop::failed("Timeout waiting for election results"));
        }
        Err(error) => return Err(Stop::failed(format!("{}: {error}", error.class()))),
    };
    let (mut elected, mut unneeded, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (place, outcome) in outcomes {
        match outcome {
            Ok(()) => elected.push(place),
            Err(ClientError::Broker { code: NOT_NEEDED, .. }) => unneeded.push(place),
            Err(error) => failed.push((place, error)),
        }
    }
    if !elected.is_empty() {
        let places = listed(elected);
        say!(console, "Successfully completed leader election ({election}) for partitions {places}");
    }
    if !unneeded.is_empty() {
        say!(console, "Valid replica already elected for partitions {}", listed(unneeded));
    }
    for (place, error) in &failed {
        let class = error.class();
        say!(
            console,
            "Error completing leader election ({election}) for partition: {place}: {class}: {error}"
        );
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Stop::failed(format!("{} replica(s) could not be elected", failed.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_each_partition_once() {
        let one = r#"{"topic": "t", "partition": 1}"#;
        let parsed = parse(&format!(r#"{{"partitions": [{one}]}}"#)).expect("valid");
        assert_eq!(parsed, BTreeSet::from([TopicPartition::new("t", 1)]));
        let told = |text: &str| parse(text).expect_err("invalid");
        assert_eq!(
            told(&format!(r#"{{"partitions": [{one}, {one}]}}"#)),
            "Replica election data contains duplicate partitions: [t-1]"
        );
        assert_eq!(told("{}"), "Replica election data is missing \"partitions\" field");
    }

    #[test]
    fn what_was_elected_what_was_not_needed_and_what_failed_is_told_apart() {
        let (mut console, written) = crate::console::testing();
        let error = |code| Err(ClientError::Broker { code, message: None });
        let outcomes = BTreeMap::from([
            (TopicPartition::new("a", 0), Ok(())),
            (TopicPartition::new("a", 1), error(NOT_NEEDED)),
            (TopicPartition::new("b", 0), Ok(())),
            (TopicPartition::new("c", 0), error(80)),
        ]);
        let stop = tell(&mut console, Election::Preferred, Ok(outcomes)).expect_err("one failed");
        assert!(
            matches!(&stop, Stop::Failed(text) if text == "1 replica(s) could not be elected"),
            "{stop:?}"
        );
        let lines: Vec<String> = written.text().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "Successfully completed leader election (PREFERRED) for partitions a-0, b-0");
        assert_eq!(lines[1], "Valid replica already elected for partitions a-1");
        assert!(lines[2].starts_with(
            "Error completing leader election (PREFERRED) for partition: c-0: \
             org.apache.kafka.common.errors.PreferredLeaderNotAvailableException: "
        ));
    }
}
