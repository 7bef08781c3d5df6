//! `kafka-configs` (`kafka.admin.ConfigCommand`).

mod entities;
mod quotas;
mod resources;
mod scram;

use crate::{
    Tool,
    args::{COMMAND_CONFIG, Command, Opt},
    client::{ClientError, Cluster, Properties, Role, config::addresses},
    console::{Console, Outcome, Stop},
};
use entities::{Entities, Kind};

pub const TOOL: Tool = Tool {
    name: "kafka-configs",
    purpose: "Show and change configurations of topics, brokers, groups, clients, users and addresses.",
    options: &[
        Opt::text(
            "bootstrap-server",
            "server to connect to",
            "Brokers to begin with, as HOST1:PORT1,HOST2:PORT2.",
        ),
        Opt::text("bootstrap-controller", "controller to connect to", "Controllers to begin with."),
        COMMAND_CONFIG,
        Opt::flag("alter", "Change configurations."),
        Opt::flag("describe", "Show configurations."),
        Opt::flag("all", "With --describe: also those that are not set."),
        Opt::text(
            "entity-type",
            "",
            "topics, clients, users, brokers, broker-loggers, ips, client-metrics or groups.",
        ),
        Opt::text("entity-name", "", "Name of the topic, client, user and so on."),
        Opt::flag("entity-default", "What holds where nothing is set, of clients, users, brokers or ips."),
        Opt::text(
            "add-config",
            "",
            "Configurations to set: k1=v1,k2=[v1,v2,v2],k3=v3, brackets around values with commas.",
        ),
        Opt::text("add-config-file", "", "A properties file with configurations to set."),
        Opt::text("delete-config", "", "Configurations to take back: k1,k2."),
        Opt::text("topic", "", "The topic's name."),
        Opt::text("client", "", "The client's id."),
        Opt::flag("client-defaults", "What holds for all clients."),
        Opt::text("user", "", "The user's principal name."),
        Opt::flag("user-defaults", "What holds for all users."),
        Opt::text("broker", "", "The broker's id."),
        Opt::flag("broker-defaults", "What holds for all brokers."),
        Opt::text("broker-logger", "", "The id of the broker whose logging is meant."),
        Opt::flag("ip-defaults", "What holds for all addresses."),
        Opt::text("ip", "", "The address."),
        Opt::text("group", "", "The group's name."),
        Opt::text("client-metrics", "", "The name of a subscription to metrics of clients."),
    ],
    run,
};

const PURPOSE: &str = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, \
                       client-metrics or group";

/// What ends an action, by how it is told.
enum Failure {
    /// By itself.
    Told(String),
    /// Behind a line with all arguments, as an exception that nobody expected.
    Unexpected(ClientError),
    /// As it is.
    Stop(Stop),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::Unexpected(error)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Failure {
        Failure::Stop(stop)
    }
}

impl From<crate::args::ArgumentError> for Failure {
    fn from(error: crate::args::ArgumentError) -> Failure {
        Failure::Told(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Stop(error.into())
    }
}

type Done<T = ()> = Result<T, Failure>;

fn told<T>(message: impl Into<String>) -> Done<T> {
    Err(Failure::Told(message.into()))
}

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    match act(arguments, console) {
        Ok(()) => Ok(()),
        Err(Failure::Told(message)) => Err(Stop::Failed(message)),
        Err(Failure::Stop(stop)) => Err(stop),
        Err(Failure::Unexpected(error)) => Err(Stop::Failed(format!(
            "Error while executing config command with args '{}'\n{}: {error}",
            arguments.iter().map(|argument| without_secrets(argument)).collect::<Vec<_>>().join(" "),
            error.class()
        ))),
    }
}

/// Kafka's tool repeats its arguments with their passwords; nobody needs those to see what went wrong.
fn without_secrets(argument: &str) -> String {
    let names = ["password=", "sasl.jaas.config=", "ssl.keystore.key="];
    let ends = names.iter().filter_map(|name| Some(argument.find(name)? + name.len()));
    match ends.min() {
        Some(end) => format!("{}[hidden]", &argument[..end]),
        None => argument.to_owned(),
    }
}

fn act(arguments: &[String], console: &mut Console) -> Done {
    let command = Command::parse(TOOL.options, arguments)?;
    command.help_or_version(console, PURPOSE)?;
    if ["alter", "describe"].into_iter().filter(|action| command.has(action)).count() != 1 {
        let message = "Command must include exactly one action: --describe, --alter";
        return Err(command.usage(console, message).into());
    }
    command.excluded(console, "describe", &["alter", "add-config", "delete-config"])?;
    let entities = Entities::read(&command)?;
    entities.check(&command)?;
    let mut cluster = cluster(&command, console)?;
    if command.has("describe") {
        return match entities.first() {
            Kind::Users | Kind::Clients | Kind::Ips => quotas::describe(&entities, &mut cluster, console),
            kind => resources::describe(kind, entities.name(), command.has("all"), &mut cluster, console),
        };
    }
    if entities.kinds.len() != entities.names.len() {
        return told("An entity name must be specified for every entity type");
    }
    let add = to_be_added(&command)?;
    let delete: Vec<String> = command
        .values("delete-config")
        .iter()
        .flat_map(|keys| keys.split(','))
        .map(|key| key.trim().into())
        .collect();
    let (kind, name) = (entities.first(), entities.name().unwrap_or_default());
    match kind {
        Kind::Users | Kind::Clients | Kind::Ips => quotas::alter(&entities, &add, &delete, &mut cluster)?,
        kind => resources::alter(kind, name, &add, &delete, &mut cluster)?,
    }
    let plural = kind.name();
    let line = match name {
        "" => format!("Completed updating default config for {plural} in the cluster."),
        name => format!("Completed updating config for {} {name}.", kind.singular()),
    };
    console.line(format_args!("{line}"))?;
    Ok(())
}

fn cluster(command: &Command, console: &mut Console) -> Done<Cluster> {
    let mut properties = match command.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Failure::Told)?,
        None => Properties::default(),
    };
    let (kind, servers) = match (command.value("bootstrap-server")?, command.value("bootstrap-controller")?) {
        (Some(servers), None) => ("bootstrap.servers", servers),
        (None, Some(servers)) => ("bootstrap.controllers", servers),
        _ => {
            let message = "You must specify either --bootstrap-controller or --bootstrap-server.";
            return Err(command.usage(console, message).into());
        }
    };
    addresses(servers)?;
    properties.set(kind, servers);
    Ok(Cluster::new(Role::Admin, &properties)?)
}

/// `--add-config` and `--add-config-file`, in the order of names.
fn to_be_added(command: &Command) -> Done<Properties> {
    let mut properties = match command.value("add-config-file")? {
        Some(path) => Properties::load(path).map_err(Failure::Told)?,
        None => Properties::default(),
    };
    for pair in command.value("add-config")?.into_iter().flat_map(split) {
        let Some((key, value)) = pair.split_once('=').filter(|(_, value)| {
            // An equals sign inside of brackets belongs to the value.
            !value.contains('=') || value.trim_start().starts_with('[')
        }) else {
            return told(
                "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \
                 \"key=[val1,val2]\" to group values which contain commas.",
            );
        };
        properties.set(key.trim(), value.replace(['[', ']'], "").trim());
    }
    let is_bad =
        |key: &str| key.chars().any(|letter| !letter.is_ascii_alphanumeric() && !"$._-".contains(letter));
    if let Some((key, _)) = properties.iter().find(|(key, _)| is_bad(key)) {
        return told(format!("Invalid character found for config key: {key}"));
    }
    Ok(properties)
}

/// At commas that do not stand in brackets.
fn split(text: &str) -> Vec<&str> {
    let mut pairs = Vec::new();
    let (mut from, mut depth) = (0, 0_i32);
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth <= 0 => {
                pairs.push(&text[from..at]);
                from = at + 1;
            }
            _ => (),
        }
    }
    pairs.push(&text[from..]);
    // As Java's split: empty texts at the end are none.
    while pairs.len() > 1 && pairs.last() == Some(&"") {
        pairs.pop();
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str) -> Done<Properties> {
        let arguments = ["--add-config".to_owned(), text.to_owned()];
        to_be_added(&Command::parse(TOOL.options, &arguments).expect("well formed"))
    }

    #[test]
    fn brackets_keep_commas_together() {
        let Ok(added) = added("a=1,b=[2,3],c=[x=1,y=2],d=") else { panic!("valid") };
        let pairs: Vec<_> = added.iter().collect();
        assert_eq!(pairs, [("a", "1"), ("b", "2,3"), ("c", "x=1,y=2"), ("d", "")]);
    }

    #[test]
    fn no_password_is_repeated() {
        let told = without_secrets("producer_byte_rate=1,SCRAM-SHA-256=[iterations=8192,password=sesame]");
        assert_eq!(told, "producer_byte_rate=1,SCRAM-SHA-256=[iterations=8192,password=[hidden]");
        assert_eq!(without_secrets("--alter"), "--alter");
    }

    #[test]
    fn what_is_no_pair_or_no_key_is_told() {
        assert!(
            matches!(added("a"), Err(Failure::Told(text)) if text.starts_with("requirement failed: Invalid entity"))
        );
        assert!(
            matches!(added("a b=1"), Err(Failure::Told(text)) if text == "Invalid character found for config key: a b")
        );
    }
}
