//! Listeners, advertised addresses and the quorum's voters, checked against each other as Kafka checks them.

use super::{
    broker::{Roles, Voter},
    listener::{self, Advertised, Listener},
    read::{Findings, verb},
    roles,
    settings::Settings,
};
use crate::ids::NodeId;
use std::collections::BTreeMap;

/// Where to listen, what to tell, and whom the quorum consists of.
#[derive(Default)]
pub(super) struct Network {
    pub(super) listeners: Vec<Listener>,
    pub(super) advertised: Vec<Advertised>,
    /// Where the first of the controllers' listeners is reached.
    pub(super) controller: Option<Advertised>,
    pub(super) inter_broker_listener: String,
}

/// Reads the listeners. `host_name` is what is told where a listener is on every interface and nothing else was said.
pub(super) fn network(
    settings: &Settings,
    own_roles: Roles,
    host_name: fn() -> String,
    findings: &mut Findings,
) -> Network {
    let protocols = protocols(settings, findings);
    let listeners = listeners(settings, &protocols, findings);
    roles::listeners(settings, own_roles, &listeners, findings);
    let (advertised, controllers) = advertised(settings, &listeners, host_name, findings);
    let controller = controller(settings, &listeners, &controllers, host_name);
    // Where there is no listener for clients, that was said already.
    let serves_clients = own_roles.broker && listeners.iter().any(|listener| !listener.controller);
    let inter_broker_listener =
        inter_broker(settings, if serves_clients { &listeners } else { &[] }, findings);
    Network { listeners, advertised, controller, inter_broker_listener }
}

/// Listener names and the protocols they stand for.
fn protocols(settings: &Settings, findings: &mut Findings) -> BTreeMap<String, String> {
    const KEY: &str = "listener.security.protocol.map";
    let mut protocols = BTreeMap::new();
    for pair in settings.list(KEY) {
        match pair.split_once(':') {
            Some((name, protocol)) => {
                protocols.insert(name.trim().to_ascii_uppercase(), protocol.trim().to_ascii_uppercase());
            }
            None => findings.refuse(
                KEY,
                format!("{pair:?} in {KEY} is not of the form NAME:PROTOCOL"),
                "without its protocol a listener cannot be opened",
                format!("write {pair}:PLAINTEXT"),
            ),
        }
    }
    // As in Kafka: the quorum's listeners are plain unless the map says otherwise.
    for name in settings.list("controller.listener.names") {
        protocols.entry(name.to_ascii_uppercase()).or_insert_with(|| "PLAINTEXT".into());
    }
    protocols
}

fn listeners(
    settings: &Settings,
    protocols: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Vec<Listener> {
    const KEY: &str = "listeners";
    let controllers: Vec<_> =
        settings.list("controller.listener.names").iter().map(|name| name.to_ascii_uppercase()).collect();
    let mut listeners: Vec<Listener> = Vec::new();
    for text in settings.list(KEY) {
        let (name, host, port) = match listener::parse(&text) {
            Ok(parts) => parts,
            Err(wrong) => {
                malformed(KEY, wrong, findings);
                continue;
            }
        };
        if let Some(twin) = listeners
            .iter()
            .find(|twin| twin.name == name || (port != 0 && twin.port == port && overlaps(twin, &host)))
        {
            let shared = if twin.name == name { format!("the name {name}") } else { format!("port {port}") };
            findings.refuse(
                KEY,
                format!("two listeners share {shared}"),
                "clients could not tell which of them they reach",
                "give each listener a name and a port of its own",
            );
            continue;
        }
        served_protocol(&name, protocols, findings);
        // Host names resolve when the listener is opened; every interface has one spelling from here on.
        let host = if host == "0.0.0.0" || !listener::is_wildcard(&host) { host } else { String::new() };
        listeners.push(Listener { controller: controllers.contains(&name), name, host, port });
    }
    if listeners.is_empty() && findings.errors.is_empty() {
        findings.refuse(
            KEY,
            "listeners is empty",
            "a broker that listens nowhere serves nobody",
            "write listeners=PLAINTEXT://127.0.0.1:9092, or remove the setting",
        );
    }
    listeners
}

/// Whether a host contends with a listener for one port.
fn overlaps(twin: &Listener, host: &str) -> bool {
    twin.host == host || listener::is_wildcard(&twin.host) || listener::is_wildcard(host)
}

fn malformed(key: &str, wrong: String, findings: &mut Findings) {
    findings.refuse(
        key,
        format!("{key}: {wrong}"),
        "the broker would not know where to listen or what to tell its clients",
        format!("write {key}=NAME://host:port, for instance {key}=PLAINTEXT://127.0.0.1:9092"),
    );
}

fn served_protocol(name: &str, protocols: &BTreeMap<String, String>, findings: &mut Findings) {
    const KEY: &str = "listener.security.protocol.map";
    let feature = match protocols.get(name).map(String::as_str) {
        Some("PLAINTEXT") => return,
        Some("SSL") => "TLS",
        Some("SASL_PLAINTEXT" | "SASL_SSL") => "SASL",
        Some(other) => {
            findings.refuse(
                KEY,
                format!("listener {name} has the unknown security protocol {other}"),
                "without its protocol a listener cannot be opened",
                format!("write {name}:PLAINTEXT in {KEY}"),
            );
            return;
        }
        None => {
            findings.refuse(
                KEY,
                format!("no security protocol is defined for listener {name}"),
                "without its protocol a listener cannot be opened",
                format!("add {name}:PLAINTEXT to {KEY}"),
            );
            return;
        }
    };
    findings.refuse(
        "listeners",
        format!("listener {name} needs {feature}, but {feature} {} not built yet", verb(feature)),
        "serving it in plain text would expose what the listener was to protect",
        format!("map {name} to PLAINTEXT in {KEY}, or remove the listener"),
    );
}

/// Where other controllers reach this one: where it says, else where it listens.
fn controller(
    settings: &Settings,
    listeners: &[Listener],
    told: &[Advertised],
    host_name: fn() -> String,
) -> Option<Advertised> {
    let name = settings.list("controller.listener.names").first()?.to_ascii_uppercase();
    let told = told.iter().find(|it| it.name == name).cloned();
    told.or_else(|| {
        let Listener { host, port, .. } = listeners.iter().find(|it| it.controller && it.name == name)?;
        let host = if listener::is_wildcard(host) { host_name() } else { host.clone() };
        Some(Advertised { name, host, port: *port })
    })
}

/// What is told of the listeners: to clients, and to other controllers as far as it is said.
fn advertised(
    settings: &Settings,
    listeners: &[Listener],
    host_name: fn() -> String,
    findings: &mut Findings,
) -> (Vec<Advertised>, Vec<Advertised>) {
    const KEY: &str = "advertised.listeners";
    let reachable = |host: &str| if listener::is_wildcard(host) { host_name() } else { host.to_owned() };
    let told = settings.list(KEY);
    if told.is_empty() {
        let clients = listeners.iter().filter(|listener| !listener.controller);
        let told =
            clients.map(|l| Advertised { name: l.name.clone(), host: reachable(&l.host), port: l.port });
        return (told.collect(), Vec::new());
    }
    let (mut advertised, mut controllers): (Vec<Advertised>, Vec<Advertised>) = Default::default();
    for text in told {
        let (name, host, port) = match listener::parse(&text) {
            Ok(parts) => parts,
            Err(wrong) => {
                malformed(KEY, wrong, findings);
                continue;
            }
        };
        if !host.is_empty() && listener::is_wildcard(&host) {
            findings.refuse(
                KEY,
                format!("{KEY} tells clients to connect to {host}, which is no address one can connect to"),
                "clients would be sent nowhere after their first request",
                format!("write a host in {name}://host:{port} that clients can reach"),
            );
            continue;
        }
        let Some(own) = listeners.iter().find(|listener| listener.name == name) else {
            findings.refuse(
                KEY,
                format!("{KEY} names {name}, which is not among the listeners"),
                "clients would be sent to where nobody listens",
                format!("add {name}://:{port} to listeners, or remove it from {KEY}"),
            );
            continue;
        };
        if advertised.iter().chain(&controllers).any(|twin| twin.name == name) {
            findings.refuse(
                KEY,
                format!("{KEY} names {name} twice"),
                "a client can be told one address only",
                format!("keep one {name}:// entry"),
            );
        } else {
            let told = if own.controller { &mut controllers } else { &mut advertised };
            told.push(Advertised { name, host: reachable(&host), port });
        }
    }
    (advertised, controllers)
}

fn inter_broker(settings: &Settings, listeners: &[Listener], findings: &mut Findings) -> String {
    const KEY: &str = "inter.broker.listener.name";
    let told = settings.text(KEY).map(str::to_ascii_uppercase);
    let name = told.unwrap_or_else(|| "PLAINTEXT".into());
    if !listeners.is_empty()
        && !listeners.iter().any(|listener| listener.name == name && !listener.controller)
    {
        let clients: Vec<_> = listeners.iter().filter(|l| !l.controller).map(|l| l.name.as_str()).collect();
        findings.refuse(
            KEY,
            format!("{KEY} is {name}, which is not among the listeners for brokers and clients"),
            "brokers would not know how to reach each other",
            format!("set {KEY} to one of: {}", clients.join(", ")),
        );
    }
    name
}

/// The quorum's voters.
pub(super) fn voters(settings: &Settings, node_id: NodeId, findings: &mut Findings) -> Vec<Voter> {
    const KEY: &str = "controller.quorum.voters";
    let mut voters = Vec::new();
    for text in settings.list(KEY) {
        let voter = text.split_once('@').and_then(|(id, address)| {
            let (host, port) = listener::split_address(address)?;
            let id = id.parse().ok().filter(|id| *id >= 0)?;
            (!host.is_empty()).then_some(Voter { node: NodeId(id), host, port })
        });
        match voter {
            Some(voter) => voters.push(voter),
            None => findings.refuse(
                KEY,
                format!("{text:?} in {KEY} is not of the form id@host:port"),
                "a voter that cannot be named cannot vote",
                format!("write {KEY}={node_id}@localhost:9093, or remove the setting"),
            ),
        }
    }
    let twice =
        voters.iter().enumerate().find(|(at, it)| voters[..*at].iter().any(|other| other.node == it.node));
    if let Some((_, twice)) = twice {
        findings.refuse(
            KEY,
            format!("{KEY} names node {} twice", twice.node),
            "each voter has one vote and one address",
            "remove one of the two".to_owned(),
        );
    }
    if voters.len() > 1 && settings.text("corelane.cluster.id").is_none() {
        findings.refuse(
            "corelane.cluster.id",
            "the quorum has several voters, but the cluster's id is not given",
            "nodes that each make up an id would refuse each other",
            "set CLUSTER_ID in the environment, or corelane.cluster.id, to the same value on every node",
        );
    }
    voters
}
