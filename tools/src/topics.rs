//! `kafka-topics` (`org.apache.kafka.tools.TopicCommand`).

use crate::{
    Tool,
    args::{BOOTSTRAP_SERVER, Command, Opt},
    client::{
        ClientError, Cluster, Properties, Role,
        admin::{self, ConfigEntry, PartitionDescription, Reassignment, Resource, TopicDescription},
        text, topic_name,
    },
    console::{Console, Outcome, Stop},
    java::{TopicFilter, id_from, id_text, is_internal, joined},
    say,
};
use kafka_protocol::messages::{
    BrokerId,
    create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic},
    create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig},
};
use std::collections::BTreeSet;

const NO_CONFIGS: &str =
    " (the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)";

/// Reports that print single partitions.
const REPORTS: &[&str] = &[
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

pub const TOOL: Tool = Tool {
    name: "kafka-topics",
    purpose: "Create, delete, describe, or change a topic.",
    options: &[
        BOOTSTRAP_SERVER,
        crate::args::COMMAND_CONFIG,
        Opt::flag("list", "List all topics."),
        Opt::flag("create", "Create a topic."),
        Opt::flag("delete", "Delete topics."),
        Opt::flag("alter", "Raise the number of partitions. Configurations are kafka-configs' business."),
        Opt::flag("describe", "Show partitions, replicas and configurations of topics."),
        Opt::text(
            "topic",
            "topic",
            "The topic; except with --create, a regular expression for names of topics.",
        ),
        Opt::text("topic-id", "topic-id", "The id of the topic to describe."),
        Opt::text("config", "name=value", "A configuration of the topic to create. May be given many times."),
        Opt::text("delete-config", "name", "No longer supported; use kafka-configs."),
        Opt::integer(
            "partitions",
            "# of partitions",
            "How many partitions; with --create the cluster's default. \
            More partitions for a topic with keys send the keys to other partitions than before.",
        ),
        Opt::integer(
            "replication-factor",
            "replication factor",
            "How many replicas of each partition; the cluster's default.",
        ),
        Opt::text(
            "replica-assignment",
            "broker:broker,broker:broker,...",
            "Which brokers keep each partition, partitions \
            separated by commas, the preferred leader first.",
        ),
        Opt::flag(
            "under-replicated-partitions",
            "With --describe: only partitions with replicas out of sync.",
        ),
        Opt::flag(
            "unavailable-partitions",
            "With --describe: only partitions without a leader that is alive.",
        ),
        Opt::flag(
            "under-min-isr-partitions",
            "With --describe: only partitions with fewer replicas in sync than configured.",
        ),
        Opt::flag(
            "at-min-isr-partitions",
            "With --describe: only partitions with just as many replicas in sync as configured.",
        ),
        Opt::flag(
            "topics-with-overrides",
            "With --describe: only topics with configurations of their own, without partitions.",
        ),
        Opt::flag("if-exists", "With --alter, --delete, --describe: no error where the topic is missing."),
        Opt::flag("if-not-exists", "With --create: no error where the topic is there."),
        Opt::flag("exclude-internal", "With --list, --describe: without the brokers' own topics."),
        Opt::integer(
            "partition-size-limit-per-response",
            "maximum number of partitions per response",
            "How many partitions are asked for at a time.",
        ),
    ],
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    check(&command, console)?;
    let mut properties = match command.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Stop::failed)?,
        None => Properties::default(),
    };
    properties.set("bootstrap.servers", command.value("bootstrap-server")?.unwrap_or_default());
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    let done = if command.has("create") {
        create(&command, &mut cluster, console)
    } else if command.has("alter") {
        alter(&command, &mut cluster)
    } else if command.has("list") {
        list(&command, &mut cluster, console)
    } else if command.has("describe") {
        describe(&command, &mut cluster, console)
    } else {
        delete(&command, &mut cluster)
    };
    match done {
        Err(Stop::Failed(message)) => {
            say!(console, "Error while executing topic command : {message}");
            Err(Stop::Code(1))
        }
        done => done,
    }
}

fn check(command: &Command, console: &mut Console) -> Outcome {
    if command.is_empty {
        return Err(command.usage(console, TOOL.purpose));
    }
    command.help_or_version(console, "This tool helps to create, delete, describe, or change a topic.")?;
    let actions = ["create", "list", "alter", "describe", "delete"];
    if actions.into_iter().filter(|action| command.has(action)).count() != 1 {
        let message =
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
        return Err(command.usage(console, message));
    }
    if command.has("delete-config") {
        console.complain(
            "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully \
             removed in future releases.",
        )?;
    }
    check_required(command, console)?;
    check_combinations(command, console)
}

fn check_required(command: &Command, console: &mut Console) -> Outcome {
    if !command.has("bootstrap-server") {
        return Err(Stop::failed("--bootstrap-server must be specified"));
    }
    if command.has("describe") && command.has("if-exists") {
        match (command.has("topic"), command.has("topic-id")) {
            (false, false) => {
                return Err(command.usage(console, "--topic or --topic-id is required to describe a topic"));
            }
            (true, true) => say!(
                console,
                "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID"
            ),
            _ => (),
        }
    }
    if !command.has("list") && !command.has("describe") {
        command.required(console, &["topic"])?;
    }
    if command.has("alter") {
        if command.has("config") {
            let message = format!(
                "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\"{NO_CONFIGS}"
            );
            return Err(command.usage(console, &message));
        }
        command.required(console, &["partitions"])?;
    }
    Ok(())
}

fn check_combinations(command: &Command, console: &mut Console) -> Outcome {
    let others = |allowed: &[&str]| -> Vec<&'static str> {
        let all = ["alter", "create", "describe", "list", "delete"];
        all.into_iter().filter(|action| !allowed.contains(action)).collect()
    };
    command.excluded(console, "config", &others(&["alter", "create"]))?;
    command.excluded(console, "partitions", &others(&["alter", "create"]))?;
    command.excluded(console, "replication-factor", &others(&["create"]))?;
    command.excluded(console, "replica-assignment", &others(&["alter", "create"]))?;
    if command.has("create") {
        command.excluded(console, "replica-assignment", &["partitions", "replication-factor"])?;
    }
    for &report in REPORTS {
        command.excluded(
            console,
            report,
            &[&others(&["describe"])[..], &["topics-with-overrides"]].concat(),
        )?;
    }
    command.excluded(console, "topics-with-overrides", &[&others(&["describe"])[..], REPORTS].concat())?;
    command.excluded(console, "if-exists", &others(&["alter", "delete", "describe"]))?;
    command.excluded(console, "if-not-exists", &others(&["create"]))?;
    command.excluded(console, "exclude-internal", &others(&["list", "describe"]))
}

/// The topics that `--topic` names, all without one.
fn named_topics(command: &Command, cluster: &mut Cluster) -> Outcome<Vec<String>> {
    let exclude = command.has("exclude-internal");
    let filter = command.value("topic")?.map(TopicFilter::new).transpose().map_err(Stop::Failed)?;
    let all = admin::list_topics(cluster)?;
    let named = all.into_iter().filter(|(name, topic)| match &filter {
        Some(filter) => filter.allows(name, exclude),
        None => !(exclude && (topic.is_internal || is_internal(name))),
    });
    Ok(named.map(|(name, _)| name).collect())
}

fn ensure_exist(command: &Command, found: &[String]) -> Outcome {
    match command.value("topic")? {
        Some(wanted) if !wanted.is_empty() && found.is_empty() && !command.has("if-exists") => {
            Err(Stop::failed(format!("Topic '{wanted}' does not exist as expected")))
        }
        _ => Ok(()),
    }
}

fn create(command: &Command, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    let name = command.value("topic")?.unwrap_or_default();
    let partitions = command.integer("partitions")?;
    let factor = command.integer("replication-factor")?;
    let assignment = replica_assignment(command)?;
    let configs = configs(command)?;
    if name.contains(['.', '_']) {
        say!(
            console,
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both."
        );
    }
    if factor.is_some_and(|factor| !(1..=i32::from(i16::MAX)).contains(&factor)) {
        return Err(Stop::failed("The replication factor must be between 1 and 32767 inclusive"));
    }
    if partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Stop::failed("The partitions must be greater than 0"));
    }
    let mut topic = CreatableTopic::default();
    topic.name = topic_name(name);
    topic.num_partitions = partitions.unwrap_or(-1);
    topic.replication_factor = factor.and_then(|factor| i16::try_from(factor).ok()).unwrap_or(-1);
    topic.assignments = (0..)
        .zip(&assignment)
        .map(|(index, brokers)| {
            let assignment = CreatableReplicaAssignment::default().with_partition_index(index);
            assignment.with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
        })
        .collect();
    topic.configs = configs
        .iter()
        .map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        })
        .collect();
    match admin::create_topic(cluster, &topic) {
        Ok(()) => say!(console, "Created topic {name}."),
        // TOPIC_ALREADY_EXISTS
        Err(ClientError::Broker { code: 36, .. }) if command.has("if-not-exists") => (),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// `--config`, in the order given; of one that comes twice the last counts.
fn configs(command: &Command) -> Outcome<Vec<(String, String)>> {
    let mut configs: Vec<(String, String)> = Vec::new();
    for text in command.values("config") {
        let parts: Vec<&str> = text.split('=').map(str::trim).collect();
        let &[name, value] = parts.as_slice() else {
            return Err(Stop::failed(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
            ));
        };
        configs.retain(|(known, _)| known != name);
        configs.push((name.into(), value.into()));
    }
    Ok(configs)
}

/// `--replica-assignment`: the brokers of each partition.
fn replica_assignment(command: &Command) -> Outcome<Vec<Vec<i32>>> {
    let Some(text) = command.value("replica-assignment")?.filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (index, partition) in text.split(',').enumerate() {
        let mut brokers = Vec::new();
        for broker in partition.split(':').map(str::trim) {
            brokers
                .push(broker.parse().map_err(|_| Stop::failed(format!("For input string: \"{broker}\"")))?);
        }
        let repeated: BTreeSet<i32> = brokers
            .iter()
            .filter(|id| brokers.iter().filter(|other| other == id).count() > 1)
            .copied()
            .collect();
        if !repeated.is_empty() {
            let repeated = joined(repeated);
            return Err(Stop::failed(format!(
                "Partition replica lists may not contain duplicate entries: {repeated}"
            )));
        }
        if partitions.first().is_some_and(|first| first.len() != brokers.len()) {
            let brokers = joined(brokers).replace(',', ", ");
            return Err(Stop::failed(format!(
                "Partition {index} has different replication factor: [{brokers}]"
            )));
        }
        partitions.push(brokers);
    }
    Ok(partitions)
}

fn alter(command: &Command, cluster: &mut Cluster) -> Outcome {
    let partitions = command.integer("partitions")?.unwrap_or_default();
    let assignment = replica_assignment(command)?;
    let topics = named_topics(command, cluster)?;
    ensure_exist(command, &topics)?;
    if topics.is_empty() {
        return Ok(());
    }
    let described =
        if assignment.is_empty() { Vec::new() } else { admin::describe_topics(cluster, &topics, PAGE)? };
    let mut changes = Vec::new();
    for name in &topics {
        let mut change = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(partitions);
        if let Some(topic) = described.iter().find(|topic| topic.name == *name) {
            let new = assignment.iter().skip(topic.partitions.len());
            let brokers = |ids: &Vec<i32>| ids.iter().copied().map(BrokerId).collect();
            let new = new.map(|ids| CreatePartitionsAssignment::default().with_broker_ids(brokers(ids)));
            change.assignments = Some(new.collect());
        } else {
            change.assignments = None;
        }
        changes.push(change);
    }
    Ok(admin::create_partitions(cluster, &changes)?)
}

fn list(command: &Command, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    let topics = named_topics(command, cluster)?;
    say!(console, "{}", topics.join("\n"));
    Ok(())
}

fn delete(command: &Command, cluster: &mut Cluster) -> Outcome {
    let topics = named_topics(command, cluster)?;
    ensure_exist(command, &topics)?;
    if topics.is_empty() {
        return Ok(());
    }
    Ok(admin::delete_topics(cluster, &topics)?)
}

/// Partitions in one answer, where nothing else is said.
const PAGE: i32 = 2000;

fn describe(command: &Command, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    let id =
        command.value("topic-id")?.map(id_from).transpose().map_err(Stop::Failed)?.filter(|id| !id.is_nil());
    let names = match id {
        Some(id) => {
            let exclude = command.has("exclude-internal");
            let all = admin::list_topics(cluster)?.into_iter();
            let found: Vec<String> = all
                .filter(|(name, topic)| {
                    topic.id == id && !(exclude && (topic.is_internal || is_internal(name)))
                })
                .map(|(name, _)| name)
                .collect();
            if found.is_empty() && !command.has("if-exists") {
                return Err(Stop::failed(format!("TopicId '{}' does not exist as expected", id_text(id))));
            }
            found
        }
        None => {
            let found = named_topics(command, cluster)?;
            ensure_exist(command, &found)?;
            found
        }
    };
    let page = command.integer("partition-size-limit-per-response")?.unwrap_or(PAGE);
    let topics = admin::describe_topics(cluster, &names, page)?;
    let live = admin::live_brokers(cluster)?;
    let reassignments = admin::reassignments(cluster, &topics)?;
    for topic in &topics {
        let configs = admin::describe_configs(cluster, Resource::Topic, &topic.name, false)?;
        let moving = |partition: &PartitionDescription| {
            reassignments.get(&crate::client::TopicPartition::new(topic.name.as_str(), partition.index))
        };
        let all_partitions = !REPORTS.iter().any(|report| command.has(report));
        let is_overridden = configs.iter().any(|config| !config.is_default());
        if all_partitions && (!command.has("topics-with-overrides") || is_overridden) {
            let factor = topic.partitions.first().map_or(0, |first| replication_factor(first, moving(first)));
            say!(console, "{}", topic_line(topic, factor, &configs));
        }
        if command.has("topics-with-overrides") {
            continue;
        }
        for partition in &topic.partitions {
            let view = View { partition, moving: moving(partition), live: &live, configs: &configs };
            if all_partitions || view.is_reported(command)? {
                say!(console, "{}", view.line(&topic.name));
            }
        }
    }
    Ok(())
}

fn topic_line(topic: &TopicDescription, factor: usize, configs: &[ConfigEntry]) -> String {
    let own = configs.iter().filter(|config| !config.is_default());
    let own =
        joined(own.map(|config| format!("{}={}", config.name, config.value.as_deref().unwrap_or("null"))));
    let id = if topic.id.is_nil() { String::new() } else { format!("\tTopicId: {}", id_text(topic.id)) };
    let TopicDescription { name, partitions, .. } = topic;
    let count = partitions.len();
    format!("Topic: {name}{id}\tPartitionCount: {count}\tReplicationFactor: {factor}\tConfigs: {own}")
}

/// While replicas move, those that are to come do not count.
fn replication_factor(partition: &PartitionDescription, moving: Option<&Reassignment>) -> usize {
    match moving {
        Some(moving)
            if partition
                .replicas
                .iter()
                .any(|id| moving.adding.contains(id) || moving.removing.contains(id)) =>
        {
            moving.replicas.len().saturating_sub(moving.adding.len())
        }
        _ => partition.replicas.len(),
    }
}

/// A partition with what its reports need.
struct View<'a> {
    partition: &'a PartitionDescription,
    moving: Option<&'a Reassignment>,
    live: &'a [i32],
    configs: &'a [ConfigEntry],
}

impl View<'_> {
    fn is_reported(&self, command: &Command) -> Outcome<bool> {
        let in_sync = self.partition.in_sync.len();
        let leader = self.partition.leader;
        let under_replicated = replication_factor(self.partition, self.moving) > in_sync;
        Ok(command.has("under-replicated-partitions") && under_replicated
            || command.has("unavailable-partitions")
                && leader.is_none_or(|leader| !self.live.contains(&leader))
            || command.has("under-min-isr-partitions")
                && (leader.is_none() || in_sync < self.min_in_sync()?)
            || command.has("at-min-isr-partitions") && in_sync == self.min_in_sync()?)
    }

    fn min_in_sync(&self) -> Outcome<usize> {
        let config = self.configs.iter().find(|config| config.name == "min.insync.replicas");
        let value = config.and_then(|config| config.value.as_deref()?.parse().ok());
        value.ok_or_else(|| Stop::failed("the broker does not tell min.insync.replicas"))
    }

    fn line(&self, topic: &str) -> String {
        let PartitionDescription { index, leader, replicas, in_sync, eligible, last_eligible } =
            self.partition;
        let leader = leader.map_or_else(|| "none".into(), |id| id.to_string());
        let moving = self.moving.map_or_else(String::new, |moving| {
            format!(
                "\tAdding Replicas: {}\tRemoving Replicas: {}",
                joined(&moving.adding),
                joined(&moving.removing)
            )
        });
        let known = |ids: &Option<Vec<i32>>| ids.as_ref().map_or_else(|| "N/A".into(), joined);
        format!(
            "\tTopic: {topic}\tPartition: {index}\tLeader: {leader}\tReplicas: {}\tIsr: {}{moving}\tElr: {}\tLastKnownElr: {}",
            joined(replicas),
            joined(in_sync),
            known(eligible),
            known(last_eligible)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(leader: Option<i32>, in_sync: &[i32]) -> PartitionDescription {
        PartitionDescription {
            index: 0,
            leader,
            replicas: vec![1, 2],
            in_sync: in_sync.to_vec(),
            eligible: None,
            last_eligible: Some(vec![]),
        }
    }

    #[test]
    fn a_partitions_line_has_kafkas_form() {
        let view = View { partition: &partition(None, &[2]), moving: None, live: &[], configs: &[] };
        let expected =
            "\tTopic: t\tPartition: 0\tLeader: none\tReplicas: 1,2\tIsr: 2\tElr: N/A\tLastKnownElr: ";
        assert_eq!(view.line("t"), expected);
    }

    #[test]
    fn replicas_that_are_to_come_do_not_count_while_they_move() {
        let moving = Reassignment { replicas: vec![1, 2, 3], adding: vec![2], removing: vec![1] };
        assert_eq!(replication_factor(&partition(Some(1), &[1]), Some(&moving)), 2);
        let done = Reassignment { replicas: vec![3], adding: vec![], removing: vec![] };
        assert_eq!(replication_factor(&partition(Some(1), &[1]), Some(&done)), 2);
    }

    fn command(arguments: &[&str]) -> Command {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
        Command::parse(TOOL.options, &arguments).expect("well formed")
    }

    #[test]
    fn an_assignment_names_each_broker_once_and_has_one_factor() {
        let parse = |text| replica_assignment(&command(&["--replica-assignment", text]));
        assert_eq!(parse("0:1, 1:2").expect("valid"), [[0, 1], [1, 2]]);
        let said = |text| match parse(text) {
            Err(Stop::Failed(message)) => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(said("0:0"), "Partition replica lists may not contain duplicate entries: 0");
        assert_eq!(said("0:1,2"), "Partition 1 has different replication factor: [2]");
    }

    #[test]
    fn a_configuration_is_one_name_and_one_value() {
        let given = command(&["--config", "a = 1", "--config", "b=2", "--config", "a=3"]);
        assert_eq!(configs(&given).expect("valid"), [("b".into(), "2".into()), ("a".into(), "3".into())]);
        assert!(configs(&command(&["--config", "a"])).is_err());
    }
}
