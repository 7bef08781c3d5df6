//! `kafka-reassign-partitions` (`org.apache.kafka.tools.reassign.ReassignPartitionsCommand`), without moves between the log
//! directories of a broker.

mod ask;
mod plan;
mod throttle;

use crate::{
    Tool,
    args::{COMMAND_CONFIG, Command, Opt},
    client::{ClientError, Cluster, Properties, Role, TopicPartition},
    console::{Console, Outcome, Stop},
    java::joined,
    say,
};
use ask::{Failed, Nodes};
use corelane_core::{
    controller::spread,
    ids::{NodeId, TopicId},
};
use plan::{Assignment, Directories};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

pub const TOOL: Tool = Tool {
    name: "kafka-reassign-partitions",
    purpose: "Move partitions to other brokers.",
    options: &[
        Opt::flag("verify", "Whether the reassignment in --reassignment-json-file is complete."),
        Opt::flag("generate", "Propose a reassignment. Nothing is moved."),
        Opt::flag("execute", "Begin the reassignment in --reassignment-json-file."),
        Opt::flag("cancel", "End the reassignments in --reassignment-json-file, as if they had not begun."),
        Opt::flag("list", "All reassignments that are under way."),
        Opt::perhaps(
            "bootstrap-server",
            "Server(s) to use for bootstrapping",
            "Brokers to begin with, as HOST1:PORT1,HOST2:PORT2.",
        ),
        COMMAND_CONFIG,
        Opt::text(
            "reassignment-json-file",
            "manual assignment json file path",
            "A JSON file with partitions and their replicas:\n{\"partitions\":\n  [{\"topic\": \"foo\", \"partition\": \
             1, \"replicas\": [1,2,3],\n    \"log_dirs\": [\"any\",\"any\",\"any\"]}],\n \"version\":1\n}\nlog_dirs may \
             be left out.",
        ),
        Opt::text(
            "topics-to-move-json-file",
            "topics to reassign json file path",
            "generate: a JSON file with topics:\n{\"topics\":\n  [{\"topic\": \"foo\"},{\"topic\": \"foo1\"}],\n \
             \"version\":1\n}",
        ),
        Opt::text("broker-list", "brokerlist", "generate: the brokers to use, as 0,1,2."),
        Opt::perhaps(
            "bootstrap-controller",
            "bootstrap controller to connect to",
            "cancel, list: controllers.",
        ),
        Opt::flag("disable-rack-aware", "generate: whatever racks the brokers stand in."),
        Opt::long("throttle", "throttle", "execute: bytes per second between brokers, for what is moved.")
            .or("-1"),
        Opt::long(
            "replica-alter-log-dirs-throttle",
            "replicaAlterLogDirsThrottle",
            "execute: bytes per second between log directories, of which a broker has one.",
        )
        .or("-1"),
        Opt::long("timeout", "timeout", "execute, cancel: for moves between log directories.").or("10000"),
        Opt::flag("additional", "execute: also where other reassignments are under way."),
        Opt::flag("preserve-throttles", "verify, cancel: leave throttles as they are."),
        Opt::flag(
            "disallow-replication-factor-change",
            "execute: refuse a reassignment to fewer or more replicas than there are.",
        ),
    ],
    run,
};

/// Each action with what it needs and what it may have beside.
const ACTIONS: &[(&str, &[&str], &[&str])] = &[
    (
        "generate",
        &["topics-to-move-json-file", "broker-list"],
        &["bootstrap-server", "command-config", "disable-rack-aware"],
    ),
    (
        "execute",
        &["reassignment-json-file"],
        &[
            "additional",
            "bootstrap-server",
            "command-config",
            "throttle",
            "replica-alter-log-dirs-throttle",
            "timeout",
            "disallow-replication-factor-change",
        ],
    ),
    ("verify", &["reassignment-json-file"], &["bootstrap-server", "command-config", "preserve-throttles"]),
    (
        "cancel",
        &["reassignment-json-file"],
        &["bootstrap-server", "bootstrap-controller", "command-config", "preserve-throttles", "timeout"],
    ),
    ("list", &[], &["bootstrap-server", "bootstrap-controller", "command-config"]),
];

const EXISTING: &str = "Cannot execute because there is an existing partition assignment.  Use --additional to override \
                        this and create a new partition assignment in addition to the existing one. The --additional \
                        flag can also be used to change the throttle by resubmitting the current reassignment.";

const VERIFY: &str = "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is \
                      removed.";

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    command.help_or_version(console, "This tool helps to move topic partitions between replicas.")?;
    let action = check(&command, console)?;
    let done = act(&command, action, console);
    match done {
        Ok(()) => Ok(()),
        // As Kafka's tool has it, on standard output.
        Err(Failed::Refused(text)) => {
            say!(console, "{text}");
            Err(Stop::Code(1))
        }
        Err(Failed::Error(text)) => {
            say!(console, "Error: {text}");
            Err(Stop::Code(1))
        }
        Err(Failed::Stop(stop)) => Err(stop),
    }
}

/// Which action, and that it has what it needs and nothing else.
fn check(command: &Command, console: &mut Console) -> Outcome<&'static str> {
    let asked: Vec<_> = ACTIONS.iter().filter(|(action, ..)| command.has(action)).collect();
    let [(action, required, permitted)] = asked[..] else {
        let message =
            "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list";
        return Err(command.usage(console, message));
    };
    match (command.has("bootstrap-server"), command.has("bootstrap-controller")) {
        (true, true) => {
            let message = "Please don't specify both --bootstrap-server and --bootstrap-controller";
            return Err(command.usage(console, message));
        }
        (false, false) => {
            let message = "Please specify either --bootstrap-server or --bootstrap-controller";
            return Err(command.usage(console, message));
        }
        (true, false) | (false, true) => {}
    }
    command.required(console, required)?;
    let strange = TOOL.options.iter().map(|option| option.name).find(|name| {
        command.has(name) && name != action && !required.contains(name) && !permitted.contains(name)
    });
    match strange {
        Some(name) => {
            let message = format!("Option \"[{name}]\" can't be used with action \"[{action}]\"");
            Err(command.usage(console, &message))
        }
        None => Ok(action),
    }
}

fn act(command: &Command, action: &str, console: &mut Console) -> Result<(), Failed> {
    let mut properties = match command.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Failed::Error)?,
        None => Properties::default(),
    };
    let brokers = command.value("bootstrap-server")?.map(|servers| ("bootstrap.servers", servers));
    let controllers =
        command.value("bootstrap-controller")?.map(|servers| ("bootstrap.controllers", servers));
    if let Some((kind, servers)) = brokers.or(controllers) {
        properties.set(kind, servers);
    }
    properties.set_default("client.id", "reassign-partitions-tool");
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    match action {
        "generate" => {
            let topics = plan::topics(&read(command, "topics-to-move-json-file")?).map_err(Failed::Error)?;
            let list = command.value("broker-list")?.unwrap_or_default();
            let brokers = plan::brokers(list).map_err(Failed::Error)?;
            generate(&mut cluster, console, &topics, &brokers, !command.has("disable-rack-aware"))
        }
        "execute" => execute(&mut cluster, console, command),
        "verify" => {
            let wanted =
                plan::reassignment(&read(command, "reassignment-json-file")?).map_err(Failed::Error)?;
            verify(&mut cluster, console, wanted, command.has("preserve-throttles"))
        }
        "cancel" => {
            let wanted =
                plan::reassignment(&read(command, "reassignment-json-file")?).map_err(Failed::Error)?;
            cancel(&mut cluster, console, wanted, command.has("preserve-throttles"))
        }
        _ => list(&mut cluster, console),
    }
}

fn read(command: &Command, option: &'static str) -> Result<String, Failed> {
    let path = command.value(option)?.unwrap_or_default();
    std::fs::read_to_string(path)
        .map_err(|error| Failed::Error(format!("Unable to read file {path}: {error}")))
}

fn generate(
    cluster: &mut Cluster,
    console: &mut Console,
    topics: &[String],
    brokers: &[i32],
    with_racks: bool,
) -> Result<(), Failed> {
    let mut current = Assignment::new();
    for topic in topics {
        current.extend(ask::replicas(cluster, topic)?);
    }
    let directories = ask::directories(cluster, &current)?;
    let mut nodes = ask::nodes(cluster)?;
    nodes.retain(|id, _| brokers.contains(id));
    if !with_racks {
        nodes.values_mut().for_each(|rack| *rack = None);
    }
    let without = nodes.values().filter(|rack| rack.is_none()).count();
    if without != 0 && without != nodes.len() {
        return Err(Failed::Error(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment \
             without rack information."
                .to_owned(),
        ));
    }
    let proposed = propose(&current, topics, &nodes)?;
    say!(console, "Current partition replica assignment\n{}\n", plan::json(&current, &directories));
    let proposed = plan::json(&proposed, &Directories::new());
    say!(console, "Proposed partition reassignment configuration\n{proposed}");
    Ok(())
}

fn propose(current: &Assignment, topics: &[String], nodes: &Nodes) -> Result<Assignment, Failed> {
    let mut proposed = Assignment::new();
    for topic in topics {
        let of_topic: Vec<(&TopicPartition, &Vec<i32>)> =
            current.iter().filter(|(place, _)| place.topic == *topic).collect();
        let factor = of_topic.first().map_or(0, |(_, replicas)| replicas.len());
        if nodes.is_empty() {
            return Err(Failed::Error(
                "All brokers are currently fenced, or have all their log directories cordoned.".to_owned(),
            ));
        }
        if factor > nodes.len() {
            return Err(Failed::Error(format!(
                "The target replication factor of {factor} cannot be reached because only {} broker(s) are registered.",
                nodes.len()
            )));
        }
        // Which broker comes first is left to chance, as by Kafka's tool.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let brokers = nodes.iter().map(|(id, rack)| (NodeId(*id), rack.clone()));
        let count = i32::try_from(of_topic.len()).unwrap_or(i32::MAX);
        let places = spread(brokers, TopicId(Uuid::from_u128(nanos)), count, factor);
        proposed.extend((0..).zip(places).map(|(index, replicas)| {
            (TopicPartition::new(topic.as_str(), index), replicas.into_iter().map(|id| id.0).collect())
        }));
    }
    Ok(proposed)
}

fn execute(cluster: &mut Cluster, console: &mut Console, command: &Command) -> Result<(), Failed> {
    let wanted = plan::to_execute(&read(command, "reassignment-json-file")?).map_err(Failed::Error)?;
    if !command.has("additional") && !ask::reassignments(cluster, None)?.is_empty() {
        return Err(Failed::Refused(EXISTING.to_owned()));
    }
    let nodes = ask::nodes(cluster)?;
    if let Some(unknown) = wanted.values().flatten().find(|id| !nodes.contains_key(id)) {
        return Err(Failed::Error(format!("Unknown broker id {unknown}")));
    }
    let topics: BTreeSet<&String> = wanted.keys().map(|place| &place.topic).collect();
    let mut current = Assignment::new();
    for topic in topics {
        current.extend(ask::replicas(cluster, topic)?);
    }
    current.retain(|place, _| wanted.contains_key(place));
    let missing: Vec<String> =
        wanted.keys().filter(|place| !current.contains_key(place)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        let text = format!("Unable to find partition: {}", missing.join(", "));
        return Err(ask::executed(&ClientError::Broker { code: ask::UNKNOWN, message: Some(text) }));
    }
    let directories = ask::directories(cluster, &current)?;
    say!(
        console,
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during \
         rollback",
        plan::json(&current, &directories)
    );
    set_throttles(cluster, console, command, &wanted, &current)?;
    let places = joined(wanted.keys());
    let plural = if wanted.len() == 1 { "" } else { "s" };
    let asked = wanted.into_iter().map(|(place, replicas)| (place, Some(replicas))).collect();
    let may_change_factor = !command.has("disallow-replication-factor-change");
    let errors = ask::alter(cluster, asked, may_change_factor)?;
    if !errors.is_empty() {
        return Err(Failed::Refused(format!("Error reassigning partition(s):\n{}", lines(&errors))));
    }
    say!(console, "Successfully started partition reassignment{plural} for {places}");
    Ok(())
}

fn set_throttles(
    cluster: &mut Cluster,
    console: &mut Console,
    command: &Command,
    wanted: &Assignment,
    current: &Assignment,
) -> Result<(), Failed> {
    let rate = |option| Ok::<_, Failed>(command.long(option)?.filter(|rate| *rate >= 0));
    let (between_brokers, between_directories) =
        (rate("throttle")?, rate("replica-alter-log-dirs-throttle")?);
    if between_brokers.or(between_directories).is_none() {
        return Ok(());
    }
    say!(console, "{VERIFY}");
    if let Some(rate) = between_brokers {
        throttle::set(cluster, console, wanted, current, rate)?;
    }
    if let Some(rate) = between_directories {
        // On the brokers with moves between directories, of which there are none.
        say!(console, "The replica-alter-dir throttle limit was set to {rate} B/s");
    }
    Ok(())
}

fn lines(errors: &BTreeMap<TopicPartition, ClientError>) -> String {
    errors.iter().map(|(place, error)| format!("{place}: {error}")).collect::<Vec<_>>().join("\n")
}

fn verify(
    cluster: &mut Cluster,
    console: &mut Console,
    wanted: Vec<(TopicPartition, Vec<i32>)>,
    preserve_throttles: bool,
) -> Result<(), Failed> {
    let ongoing = ask::reassignments(cluster, None)?;
    let mut known: BTreeMap<String, Assignment> = BTreeMap::new();
    say!(console, "Status of partition reassignment:");
    for (place, replicas) in wanted.iter().cloned().collect::<Assignment>() {
        if ongoing.contains_key(&place) {
            say!(console, "Reassignment of partition {place} is still in progress.");
            continue;
        }
        if !known.contains_key(&place.topic) {
            let found = ask::replicas_if_any(cluster, &place.topic)?;
            known.insert(place.topic.clone(), found);
        }
        let current = known[&place.topic].get(&place).cloned().unwrap_or_default();
        if current == replicas {
            say!(console, "Reassignment of partition {place} is completed.");
        } else {
            let (current, replicas) = (joined(current), joined(replicas));
            say!(
                console,
                "There is no active reassignment of partition {place}, but replica set is {current} rather than {replicas}."
            );
        }
    }
    // Of moves between directories, of which there are none.
    say!(console, "");
    if ongoing.is_empty() && !preserve_throttles {
        throttle::clear(cluster, console, &wanted)?;
    }
    Ok(())
}

fn cancel(
    cluster: &mut Cluster,
    console: &mut Console,
    wanted: Vec<(TopicPartition, Vec<i32>)>,
    preserve_throttles: bool,
) -> Result<(), Failed> {
    let places: BTreeSet<TopicPartition> = wanted.iter().map(|(place, _)| place.clone()).collect();
    let mut ongoing = ask::reassignments(cluster, Some(&places))?;
    ongoing.retain(|_, it| !it.adding.is_empty() || !it.removing.is_empty());
    if ongoing.is_empty() {
        say!(console, "None of the specified partition reassignments are active.");
    } else {
        let places = joined(ongoing.keys());
        let plural = if ongoing.len() == 1 { "" } else { "s" };
        let errors = ask::alter(cluster, ongoing.into_keys().map(|place| (place, None)).collect(), true)?;
        if !errors.is_empty() {
            let plural = if errors.len() == 1 { "" } else { "s" };
            let lines = lines(&errors);
            let text = format!("Error cancelling partition reassignment{plural} for:\n{lines}");
            return Err(Failed::Refused(text));
        }
        say!(console, "Successfully cancelled partition reassignment{plural} for: {places}");
    }
    // Kafka's tool ends this line only where another follows.
    console.out.write_all(b"None of the specified partition moves are active.").map_err(Stop::from)?;
    if !preserve_throttles {
        throttle::clear(cluster, console, &wanted)?;
    }
    Ok(())
}

fn list(cluster: &mut Cluster, console: &mut Console) -> Result<(), Failed> {
    let ongoing = ask::reassignments(cluster, None)?;
    if ongoing.is_empty() {
        say!(console, "No partition reassignments found.");
        return Ok(());
    }
    say!(console, "Current partition reassignments:");
    for (place, it) in ongoing {
        let part = |what: &str, ids: &[i32]| match ids {
            [] => String::new(),
            ids => format!(" {what}: {}.", joined(ids)),
        };
        let (adding, removing) = (part("adding", &it.adding), part("removing", &it.removing));
        say!(console, "{place}: replicas: {}.{adding}{removing}", joined(&it.replicas));
    }
    Ok(())
}
