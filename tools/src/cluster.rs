//! `kafka-cluster` (`org.apache.kafka.tools.ClusterTool`).

use crate::{
    Tool,
    args::{Argparse, Opt, Parsed},
    client::{ClientError, Cluster, Properties, Role, error::Result},
    console::{Console, Outcome, Stop},
    say,
};
use kafka_protocol::messages::{DescribeClusterResponse, UnregisterBrokerRequest};

const OPTIONS: &[Opt] = &[
    Opt::text("bootstrap-server", "BOOTSTRAP_SERVER", "Brokers to begin with, as HOST1:PORT1,HOST2:PORT2."),
    Opt::text("b", "BOOTSTRAP_SERVER", "Brokers to begin with.").alias_of("bootstrap-server"),
    Opt::text("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "Controllers to begin with."),
    Opt::text("C", "BOOTSTRAP_CONTROLLER", "Controllers to begin with.").alias_of("bootstrap-controller"),
    Opt::text("config", "CONFIG", "(DEPRECATED) As --command-config."),
    Opt::text("command-config", "COMMAND_CONFIG", "A properties file with settings of the client."),
    Opt::text("c", "COMMAND_CONFIG", "A properties file.").alias_of("command-config"),
    Opt::integer("id", "ID", "unregister: REQUIRED: the broker's number."),
    Opt::integer("i", "ID", "unregister: the broker's number.").alias_of("id"),
    Opt::flag("include-fenced-brokers", "list-endpoints: also of brokers that are fenced."),
];

/// The commands, and the options that each has besides those of all.
const COMMANDS: [(&str, &[&str]); 3] =
    [("cluster-id", &[]), ("unregister", &["id"]), ("list-endpoints", &["include-fenced-brokers"])];

const PARSER: Argparse = parser("[-h] {cluster-id,unregister,list-endpoints} ...");

const fn parser(form: &'static str) -> Argparse {
    Argparse { name: "kafka-cluster", form, purpose: "The Kafka cluster tool.", options: OPTIONS }
}

/// As it complains of what follows a command.
fn parser_of(command: &str) -> Argparse {
    parser(match command {
        "cluster-id" => {
            "cluster-id [-h] [--config CONFIG]\n                     [--command-config COMMAND_CONFIG]\n                     \
             (--bootstrap-server BOOTSTRAP_SERVER |\n                     --bootstrap-controller BOOTSTRAP_CONTROLLER)"
        }
        "unregister" => {
            "unregister [-h] [--config CONFIG]\n                     [--command-config COMMAND_CONFIG] --id ID\n                     \
             (--bootstrap-server BOOTSTRAP_SERVER |\n                     --bootstrap-controller BOOTSTRAP_CONTROLLER)"
        }
        _ => {
            "list-endpoints [-h] [--config CONFIG]\n                     [--command-config COMMAND_CONFIG]\n                     \
             [--include-fenced-brokers]\n                     \
             (--bootstrap-server BOOTSTRAP_SERVER |\n                     --bootstrap-controller BOOTSTRAP_CONTROLLER)"
        }
    })
}

pub const TOOL: Tool = Tool {
    name: "kafka-cluster",
    purpose: "Show a cluster's id and its brokers, and unregister brokers.",
    options: OPTIONS,
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let first = arguments.first().and_then(|first| COMMANDS.iter().find(|(command, _)| command == first));
    let parser = first.map_or(PARSER, |(command, _)| parser_of(command));
    let parsed = parser.parse(console, arguments)?;
    let command = parser.command(&parsed, &COMMANDS).map_err(|message| parser.error(console, &message))?;
    let wrong = |console: &mut Console, message: &str| parser_of(command).error(console, message);
    let (brokers, controllers) = (parsed.value("bootstrap-server")?, parsed.value("bootstrap-controller")?);
    if command == "unregister" && !parsed.has("id") {
        return Err(wrong(console, "argument --id/-i is required"));
    }
    let (kind, servers) = match (brokers, controllers) {
        (Some(_), Some(_)) => {
            let message =
                "argument --bootstrap-controller/-C: not allowed with argument --bootstrap-server/-b";
            return Err(wrong(console, message));
        }
        (Some(servers), None) => ("bootstrap.servers", servers),
        (None, Some(servers)) => ("bootstrap.controllers", servers),
        (None, None) => {
            let message = "one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required";
            return Err(wrong(console, message));
        }
    };
    let mut properties = match config(&parsed, console)? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.set(kind, servers);
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    match command {
        "cluster-id" => {
            let id = describe(&mut cluster, false).map_err(told)?.cluster_id;
            say!(console, "Cluster ID: {}", &*id);
            Ok(())
        }
        "unregister" => unregister(&mut cluster, parsed.integer("id")?.unwrap_or_default(), console),
        _ => list(&mut cluster, parsed.has("include-fenced-brokers"), console),
    }
}

fn config<'a>(parsed: &'a Parsed, console: &mut Console) -> Outcome<Option<&'a str>> {
    let (old, new) = (parsed.value("config")?, parsed.value("command-config")?);
    if old.is_some() && new.is_some() {
        return Err(Stop::failed("--config and --command-config cannot be specified together."));
    }
    if old.is_some() {
        let warning = "Option --config has been deprecated and will be removed in a future version. Use --command-config \
                       instead.";
        say!(console, "{warning}");
    }
    Ok(old.or(new))
}

/// As the message of Java's `ExecutionException`.
fn told(error: ClientError) -> Stop {
    Stop::failed(format!("{}: {error}", error.class()))
}

fn describe(cluster: &mut Cluster, fenced: bool) -> Result<DescribeClusterResponse> {
    cluster.retry("describeCluster", |cluster| cluster.describe(fenced))
}

fn unregister(cluster: &mut Cluster, id: i32, console: &mut Console) -> Outcome {
    let done = cluster.retry("unregisterBroker", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<UnregisterBrokerRequest>()?;
            let request = UnregisterBrokerRequest::default().with_broker_id(id.into());
            let answer = connection.call(version, &request)?;
            ClientError::of(answer.error_code, answer.error_message.as_deref()).map_or(Ok(()), Err)
        })
    });
    match done {
        Ok(()) => say!(console, "Broker {id} is no longer registered."),
        Err(ClientError::Unsupported(_) | ClientError::Broker { code: 35, .. }) => {
            say!(console, "The target cluster does not support the broker unregistration API.");
        }
        Err(error) => return Err(told(error)),
    }
    Ok(())
}

fn list(cluster: &mut Cluster, fenced: bool, console: &mut Console) -> Outcome {
    let of_controllers = cluster.config().of_controllers;
    if fenced && of_controllers {
        let told = "The option --include-fenced-brokers is only supported with --bootstrap-server option";
        return Err(Stop::failed(told));
    }
    let answer = match describe(cluster, fenced) {
        Ok(answer) => answer,
        Err(error @ (ClientError::Unsupported(_) | ClientError::Broker { code: 35, .. })) => {
            say!(console, "{error}");
            return Ok(());
        }
        Err(error) => return Err(told(error)),
    };
    let mut nodes = answer.brokers;
    nodes.sort_by_key(|node| node.broker_id.0);
    let host = nodes.iter().map(|node| node.host.chars().count()).max().unwrap_or(100);
    let racks = nodes.iter().filter_map(|node| node.rack.as_ref()).filter(|rack| !rack.is_empty());
    let rack = racks.map(|rack| rack.chars().count()).max().unwrap_or(10);
    let state = |text: &str| if of_controllers { String::new() } else { format!("{text:<10} ") };
    let what = if of_controllers { "controller" } else { "broker" };
    let title = "ENDPOINT_TYPE";
    say!(
        console,
        "{:<10} {:<host$} {:<10} {:<rack$} {}{title:<15}",
        "ID",
        "HOST",
        "PORT",
        "RACK",
        state("STATE")
    );
    for node in nodes {
        say!(
            console,
            "{:<10} {:<host$} {:<10} {:<rack$} {}{what:<15}",
            node.broker_id.0,
            &*node.host,
            node.port,
            node.rack.as_deref().unwrap_or("null"),
            state(if node.is_fenced { "fenced" } else { "unfenced" })
        );
    }
    Ok(())
}
