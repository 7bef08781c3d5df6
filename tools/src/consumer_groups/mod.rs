//! `kafka-consumer-groups` (`org.apache.kafka.tools.consumer.group.ConsumerGroupCommand`).

mod delete;
mod describe;
mod list;
mod plan;
mod reset;

use crate::{
    Tool,
    args::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Command, Opt},
    client::{Cluster, Properties, Role},
    console::{Console, Outcome, Stop},
    say,
};
use fancy_regex::Regex;

pub const TOOL: Tool = Tool {
    name: "kafka-consumer-groups",
    purpose: "List, describe, delete and reset consumer groups.",
    options: &[
        BOOTSTRAP_SERVER,
        Opt::text("group", "consumer group", "The group; may be given many times."),
        Opt::text(
            "topic",
            "topic",
            "Of which topic offsets are deleted or reset, all of its partitions or some: topic:0,1,2. May be given many times.",
        ),
        Opt::flag("all-topics", "With --reset-offsets: all topics of which the group has offsets."),
        Opt::flag("list", "List all groups."),
        Opt::flag("describe", "Show where a group is in its partitions, and how far behind."),
        Opt::flag("all-groups", "All groups."),
        Opt::flag("delete", "Delete groups with their offsets."),
        Opt::long("timeout", "timeout (ms)", "How long an answer may take with all attempts.").or("30000"),
        COMMAND_CONFIG,
        Opt::flag(
            "reset-offsets",
            "Set where a group without members begins. Takes one of --to-datetime, --by-duration, \
            --to-earliest, --to-latest, --shift-by, --from-file, --to-current, --to-offset, and --all-topics or --topic.",
        ),
        Opt::flag("delete-offsets", "Delete a group's offsets of topics."),
        Opt::flag("dry-run", "With --reset-offsets: only show what would be."),
        Opt::flag("execute", "With --reset-offsets: do it."),
        Opt::flag("export", "With --reset-offsets: print it as CSV."),
        Opt::long("to-offset", "offset", "To this offset."),
        Opt::text("from-file", "path to CSV file", "To what a CSV file says."),
        Opt::text("to-datetime", "datetime", "To a time: YYYY-MM-DDTHH:mm:SS.sss"),
        Opt::text("by-duration", "duration", "To a time that long ago: PnDTnHnMnS"),
        Opt::flag("to-earliest", "To the beginning."),
        Opt::flag("to-latest", "To the end."),
        Opt::flag("to-current", "To where it is."),
        Opt::long("shift-by", "number-of-offsets", "By so many records, forwards or, below zero, backwards."),
        Opt::flag("members", "With --describe: the members."),
        Opt::flag("verbose", "With --describe: more of it."),
        Opt::flag("offsets", "With --describe: partitions and offsets, as without it."),
        Opt::perhaps(
            "state",
            "",
            "With --describe: the group's state. With --list: the states, or only groups in some: stable,empty.",
        ),
        Opt::perhaps("type", "", "With --list: the types, or only groups of some: classic,consumer."),
        Opt::text(
            "validate-regex",
            "regex",
            "Only say whether a regular expression is one in the syntax of RE2.",
        ),
    ],
    run,
};

const PURPOSE: &str = "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or \
                       reset consumer group offsets.";

const ACTIONS: [&str; 6] =
    ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];

/// What `--reset-offsets` resets to.
const SCENARIOS: [&str; 8] = [
    "to-offset",
    "shift-by",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "from-file",
];

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    check(&command, console)?;
    if ACTIONS.iter().filter(|action| command.has(action)).count() != 1 {
        let actions: Vec<String> = ACTIONS.iter().map(|action| format!("--{action}")).collect();
        let message = format!("Command must include exactly one action: {}", actions.join(", "));
        return Err(command.usage(console, &message));
    }
    if let Some(pattern) = command.value("validate-regex")? {
        return validate(pattern, console);
    }
    let mut properties = match command.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.set("bootstrap.servers", command.value("bootstrap-server")?.unwrap_or_default());
    properties.set("default.api.timeout.ms", command.long("timeout")?.unwrap_or(30_000).to_string());
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    let done = if command.has("list") {
        list::list(&command, &mut cluster, console)
    } else if command.has("describe") {
        describe::describe(&command, &mut cluster, console)
    } else if command.has("delete") {
        delete::delete_groups(&command, &mut cluster, console)
    } else if command.has("reset-offsets") {
        reset::reset(&command, &mut cluster, console)
    } else {
        delete::delete_offsets(&command, &mut cluster, console)
    };
    match done {
        Ok(()) => Ok(()),
        Err(Failure::Usage(message)) => Err(command.usage(console, &message)),
        Err(Failure::Stop(Stop::Failed(message))) => {
            // With exit code 0, as Kafka's.
            print_error(console, &format!("Executing consumer group command failed due to {message}"))
        }
        Err(Failure::Stop(stop)) => Err(stop),
    }
}

/// What ends an action.
enum Failure {
    /// The command line asks for what cannot be: the usage follows.
    Usage(String),
    /// Anything else.
    Stop(Stop),
}

impl<T: Into<Stop>> From<T> for Failure {
    fn from(stop: T) -> Failure {
        Failure::Stop(stop.into())
    }
}

type Done<T = ()> = Result<T, Failure>;

fn print_error(console: &mut Console, message: &str) -> Outcome {
    say!(console, "\nError: {message}");
    Ok(())
}

fn validate(pattern: &str, console: &mut Console) -> Outcome {
    // RE2 is what automata can do: no backreferences, no lookaround.
    match Regex::new(pattern).map_err(|error| error.to_string()).and_then(|_| only_automata(pattern)) {
        Ok(()) => say!(console, "The regular expression `{pattern}` is valid."),
        Err(why) => say!(console, "The regular expression `{pattern}` is invalid: {why}."),
    }
    Ok(())
}

fn only_automata(pattern: &str) -> Result<(), String> {
    let lookaround =
        ["(?=", "(?!", "(?<=", "(?<!", "(?>"].into_iter().find(|syntax| pattern.contains(syntax));
    match lookaround {
        Some(syntax) => Err(format!("invalid or unsupported Perl syntax: `{syntax}`")),
        None => Ok(()),
    }
}

fn check(command: &Command, console: &mut Console) -> Outcome {
    for (option, among) in [
        ("members", &["describe"][..]),
        ("verbose", &["describe"]),
        ("offsets", &["describe"]),
        ("state", &["describe", "list"]),
        ("type", &["list"]),
    ] {
        let is_free = command.has("help") || command.has("version");
        if command.has(option) && !is_free && !among.iter().any(|action| command.has(action)) {
            let message =
                format!("Option(s) [{option}] are unavailable given other options on the command line");
            return Err(Stop::Failed(message));
        }
    }
    command.help_or_version(console, PURPOSE)?;
    if !command.has("validate-regex") {
        command.required(console, &["bootstrap-server"])?;
    }
    check_describe(command, console)?;
    let has_scope = command.has("group") || command.has("all-groups");
    if command.has("delete") {
        if !has_scope {
            let message = "Option [delete] takes one of these options: [group], [all-groups]";
            return Err(command.usage(console, message));
        }
        if command.has("topic") {
            let message =
                "The consumer does not support topic-specific offset deletion from a consumer group.";
            return Err(command.usage(console, message));
        }
    }
    if command.has("delete-offsets") && !(command.has("group") && command.has("topic")) {
        let message = "Option [delete-offsets] takes the following options: [group], [topic]";
        return Err(command.usage(console, message));
    }
    check_reset(command, console)?;
    command.excluded(console, "group", &["all-groups"])?;
    command.excluded(console, "group", &["list"])?;
    command.excluded(console, "topic", &["list", "describe"])
}

fn check_describe(command: &Command, console: &mut Console) -> Outcome {
    if !command.has("describe") {
        return Ok(());
    }
    if !command.has("group") && !command.has("all-groups") {
        let message = "Option [describe] takes one of these options: [group], [all-groups]";
        return Err(command.usage(console, message));
    }
    if ["members", "offsets", "state"].into_iter().filter(|option| command.has(option)).count() > 1 {
        let message = "Option [describe] takes at most one of these options: [members], [offsets], [state]";
        return Err(command.usage(console, message));
    }
    if command.value("state")?.is_some() {
        return Err(command.usage(console, "Option [describe] does not take a value for [state]"));
    }
    Ok(())
}

fn check_reset(command: &Command, console: &mut Console) -> Outcome {
    if !command.has("reset-offsets") {
        return Ok(());
    }
    if command.has("dry-run") && command.has("execute") {
        return Err(
            command.usage(console, "Option [reset-offsets] only accepts one of [execute] and [dry-run]")
        );
    }
    if !command.has("dry-run") && !command.has("execute") {
        console.complain(
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require \
             either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are \
             scripting this command and want to keep the current default behavior without prompting.",
        )?;
    }
    if !command.has("group") && !command.has("all-groups") {
        let message = "Option [reset-offsets] takes one of these options: [group], [all-groups]";
        return Err(command.usage(console, message));
    }
    for scenario in SCENARIOS {
        let others: Vec<&'static str> = SCENARIOS.into_iter().filter(|other| *other != scenario).collect();
        command.excluded(console, scenario, &others)?;
    }
    Ok(())
}

/// The groups that are meant: those that were named, or all.
fn meant(command: &Command, cluster: &mut Cluster) -> Outcome<Vec<String>> {
    if command.has("all-groups") {
        return Ok(list::consumer_groups(cluster)?.into_iter().map(|group| group.id).collect());
    }
    Ok(command.values("group").into_iter().map(str::to_owned).collect())
}
