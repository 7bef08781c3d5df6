//! `add-controller` and `remove-controller`.

use crate::{
    args::{Argparse, Parsed},
    client::{ClientError, Cluster, Properties, error::Result as Answer, text},
    console::{Console, Outcome, Stop},
    java::{id_from, id_text},
    say,
};
use corelane_core::config::{
    formatted::{META_PROPERTIES, MetaProperties},
    parse_listener,
};
use kafka_protocol::messages::{
    AddRaftVoterRequest, RemoveRaftVoterRequest, add_raft_voter_request::Listener,
};
use std::{collections::BTreeMap, path::Path};
use uuid::Uuid;

/// Where a controller is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    listener: String,
    host: String,
    port: u16,
}

/// How long a change may take by the broker's count, as Kafka's client gives it.
const TIMEOUT_MS: i32 = 30_000;

/// `add-controller`: the controller whose configuration is in `properties`.
pub fn add(
    parsed: &Parsed,
    properties: &Properties,
    connect: impl FnOnce() -> Outcome<Cluster>,
    console: &mut Console,
) -> Outcome {
    let mut cluster = connect()?;
    if parsed.value("command-config")?.is_none() {
        return Err(Stop::failed(
            "You must supply the configuration file of the controller you are adding when using add-controller.",
        ));
    }
    let id = controller_id(properties)?;
    let directory = directory_id(metadata_directory(properties)?)?;
    let endpoints = endpoints(properties)?;
    let is_dry = parsed.has("dry-run");
    if !is_dry {
        let listener = |it: &Endpoint| {
            Listener::default().with_name(text(&it.listener)).with_host(text(&it.host)).with_port(it.port)
        };
        let request = AddRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_timeout_ms(TIMEOUT_MS)
            .with_voter_id(id)
            .with_voter_directory_id(directory)
            .with_listeners(endpoints.iter().map(listener).collect());
        done(&mut cluster, "addRaftVoter", |cluster| {
            cluster.on_any(|connection| {
                let version = connection.version::<AddRaftVoterRequest>()?;
                let answer = connection.call(version, &request)?;
                settled(ClientError::of(answer.error_code, answer.error_message.as_deref()))
            })
        })?;
    }
    let doing = if is_dry { "DRY RUN of adding" } else { "Added" };
    let told: Vec<String> = endpoints.iter().map(shown).collect();
    say!(
        console,
        "{doing} controller {id} with directory id {} and endpoints: {}",
        id_text(directory),
        told.join(", ")
    );
    Ok(())
}

/// `remove-controller`.
pub fn remove(
    parser: &Argparse,
    parsed: &Parsed,
    connect: impl FnOnce() -> Outcome<Cluster>,
    console: &mut Console,
) -> Outcome {
    // As argparse4j has it: the last of the arguments that are missing is told.
    let id = parsed.integer("controller-id")?;
    let Some(directory) = parsed.value("controller-directory-id")? else {
        return Err(parser.error(console, "argument --controller-directory-id/-d is required"));
    };
    let Some(id) = id else {
        return Err(parser.error(console, "argument --controller-id/-i is required"));
    };
    let mut cluster = connect()?;
    if id < 0 {
        return Err(Stop::failed(format!("Invalid negative --controller-id: {id}")));
    }
    let directory = id_from(directory)
        .map_err(|why| Stop::failed(format!("Failed to parse --controller-directory-id: {why}")))?;
    let is_dry = parsed.has("dry-run");
    if !is_dry {
        let request = RemoveRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_voter_id(id)
            .with_voter_directory_id(directory);
        done(&mut cluster, "removeRaftVoter", |cluster| {
            cluster.on_any(|connection| {
                let version = connection.version::<RemoveRaftVoterRequest>()?;
                let answer = connection.call(version, &request)?;
                settled(ClientError::of(answer.error_code, answer.error_message.as_deref()))
            })
        })?;
    }
    // Two spaces behind the first word: so Kafka's own.
    let doing = if is_dry { "DRY RUN of removing " } else { "Removed " };
    say!(console, "{doing} KRaft controller {id} with directory id {}", id_text(directory));
    Ok(())
}

/// An answer that Kafka's client does not ask for again: any but that another node is the controller.
fn settled(error: Option<ClientError>) -> Answer<Option<ClientError>> {
    match error {
        Some(ClientError::Broker { code: 41, message }) => Err(ClientError::Broker { code: 41, message }),
        error => Ok(error),
    }
}

fn done(
    cluster: &mut Cluster,
    call: &str,
    what: impl FnMut(&mut Cluster) -> Answer<Option<ClientError>>,
) -> Outcome {
    // Kafka prints the exception that carries it, with its class.
    let failed = |error: ClientError| Stop::failed(format!("{}: {error}", error.class()));
    match cluster.retry(call, what) {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(failed(error)),
    }
}

fn shown(endpoint: &Endpoint) -> String {
    let Endpoint { listener, host, port } = endpoint;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    format!("{listener}://{host}:{port}")
}

fn controller_id(properties: &Properties) -> Outcome<i32> {
    let valid = "Is this a valid controller configuration file?";
    let Some(id) = properties.get("node.id") else {
        return Err(Stop::failed(format!("node.id not found in configuration file. {valid}")));
    };
    let id: i32 = id.parse().map_err(|_| Stop::failed(format!("For input string: \"{id}\"")))?;
    if id < 0 {
        return Err(Stop::failed(format!("node.id was negative in configuration file. {valid}")));
    }
    if !properties.get("process.roles").unwrap_or_default().contains("controller") {
        let told = format!("process.roles did not contain 'controller' in configuration file. {valid}");
        return Err(Stop::failed(told));
    }
    Ok(id)
}

fn metadata_directory(properties: &Properties) -> Outcome<&str> {
    let first = || properties.get("log.dirs").and_then(|dirs| dirs.trim().split(',').next());
    properties.get("metadata.log.dir").or_else(first).ok_or_else(|| {
        Stop::failed(
            "Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?",
        )
    })
}

fn directory_id(directory: &str) -> Outcome<Uuid> {
    let path = Path::new(directory).join(META_PROPERTIES);
    let unreadable = || Stop::failed(format!("Unable to read meta.properties from {directory}"));
    let text = std::fs::read_to_string(&path).map_err(|_| unreadable())?;
    let meta = MetaProperties::parse(&text)
        .map_err(|why| Stop::failed(format!("Error loading {}: {why}", path.display())))?;
    let id = meta.directory_id;
    id.map(Uuid::from_u128).ok_or_else(|| Stop::failed(format!("No directory id found in {directory}")))
}

/// Where the controller's own listeners are reached: as it advertises them, or as it listens.
fn endpoints(properties: &Properties) -> Outcome<Vec<Endpoint>> {
    let mut known = BTreeMap::new();
    for key in ["listeners", "advertised.listeners"] {
        let texts = properties.get(key).unwrap_or_default().split(',').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            let (name, host, port) = parse_listener(text).map_err(|_| {
                Stop::failed(format!("Error creating broker listeners from '{text}': Unable to parse {text}"))
            })?;
            known.insert(name, (host, port));
        }
    }
    let Some(names) = properties.get("controller.listener.names") else {
        return Err(Stop::failed(
            "controller.listener.names was not found. Is this a valid controller configuration file?",
        ));
    };
    let endpoint = |name: &str| {
        let listener = name.to_ascii_uppercase();
        let Some((host, port)) = known.get(&listener).cloned() else {
            let told = format!("Cannot find information about controller listener name: {listener}");
            return Err(Stop::failed(told));
        };
        let host = if host.is_empty() { "localhost".to_owned() } else { host };
        Ok(Endpoint { listener, host, port })
    };
    names.split(',').map(endpoint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[&str]) -> Properties {
        let mut properties = Properties::default();
        properties.add_pairs(pairs);
        properties
    }

    fn told<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
        match outcome {
            Err(Stop::Failed(told)) => told,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_configuration_of_no_controller_is_told() {
        for (pairs, wrong) in [
            (&["process.roles=controller"][..], "node.id not found in configuration file"),
            (&["node.id=-1"], "node.id was negative"),
            (&["node.id=1"], "process.roles did not contain 'controller'"),
            (&["node.id=1", "process.roles=broker"], "process.roles did not contain 'controller'"),
        ] {
            assert!(told(controller_id(&properties(pairs))).starts_with(wrong), "{pairs:?}");
        }
        assert!(matches!(
            controller_id(&properties(&["node.id=4", "process.roles=broker,controller"])),
            Ok(4)
        ));
    }

    #[test]
    fn a_controller_is_reached_where_it_advertises_else_where_it_listens() {
        let listeners = "listeners=PLAINTEXT://:9092,CONTROLLER://:9093,Other://[::1]:9094";
        let mut known = properties(&[listeners, "controller.listener.names=controller,OTHER"]);
        let told_of = |known: &Properties| -> Vec<String> {
            endpoints(known).expect("two").iter().map(shown).collect()
        };
        assert_eq!(told_of(&known), ["CONTROLLER://localhost:9093", "OTHER://[::1]:9094"]);
        known.set("advertised.listeners", "CONTROLLER://c.example:1");
        assert_eq!(told_of(&known), ["CONTROLLER://c.example:1", "OTHER://[::1]:9094"]);
        known.set("controller.listener.names", "NONE");
        assert!(told(endpoints(&known)).ends_with("controller listener name: NONE"));
    }

    #[test]
    fn a_directorys_id_is_read_from_where_the_metadata_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path().display().to_string();
        let known = properties(&[&format!("log.dirs={at},/elsewhere")]);
        assert_eq!(metadata_directory(&known).ok(), Some(&*at));
        assert_eq!(told(directory_id(&at)), format!("Unable to read meta.properties from {at}"));
        let path = directory.path().join(META_PROPERTIES);
        std::fs::write(&path, "version=1\ncluster.id=c\nnode.id=1\n").expect("written");
        assert_eq!(told(directory_id(&at)), format!("No directory id found in {at}"));
        std::fs::write(&path, "version=1\ncluster.id=c\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n")
            .expect("written");
        assert_eq!(directory_id(&at).ok(), Some(Uuid::from_u128(1)));
    }
}
