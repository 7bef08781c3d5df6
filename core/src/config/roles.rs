//! What a node is, and what follows from that for its listeners and the quorum's addresses, as Kafka's `KafkaConfig` has it.

use super::{
    broker::{Roles, Voter},
    listener::{self, Listener},
    read::Findings,
    settings::Settings,
};
use crate::ids::NodeId;

/// What `process.roles` says.
pub(super) fn roles(settings: &Settings, findings: &mut Findings) -> Roles {
    const KEY: &str = "process.roles";
    let named = settings.list(KEY);
    let has = |name: &str| named.iter().any(|role| role == name);
    let roles = Roles { broker: has("broker"), controller: has("controller") };
    if !roles.broker && !roles.controller {
        findings.refuse(
            KEY,
            format!("{KEY} names no role"),
            "a node that is neither broker nor controller does nothing",
            format!("write {KEY}=broker,controller, or one of them, or remove the setting"),
        );
        // Said once: nothing else is held against roles that there are not.
        return Roles { broker: true, controller: true };
    }
    roles
}

/// Holds the listeners against the roles.
pub(super) fn listeners(settings: &Settings, roles: Roles, listeners: &[Listener], findings: &mut Findings) {
    const KEY: &str = "listeners";
    let of = |controller: bool| -> Vec<&str> {
        listeners.iter().filter(|it| it.controller == controller).map(|it| it.name.as_str()).collect()
    };
    let (clients, controllers) = (of(false), of(true));
    if roles.broker && !listeners.is_empty() && clients.is_empty() {
        findings.refuse(
            KEY,
            "every listener is named in controller.listener.names, none is left for clients",
            "a broker that no client can reach serves nobody",
            "add a listener for clients, for instance listeners=PLAINTEXT://:9092,CONTROLLER://:9093",
        );
    }
    if !roles.broker && !clients.is_empty() {
        findings.refuse(
            KEY,
            format!(
                "listeners names {}, but a node that is only a controller has listeners of controller.listener.names only",
                clients.join(", ")
            ),
            "clients would connect to a node that serves none",
            "write listeners=CONTROLLER://:9093, or process.roles=broker,controller",
        );
    }
    if !roles.controller && !controllers.is_empty() {
        findings.refuse(
            KEY,
            format!(
                "listeners names {}, which controller.listener.names has for controllers, but this node is only a broker",
                controllers.join(", ")
            ),
            "other nodes would take it for a controller",
            format!("remove {}:// from listeners, or write process.roles=broker,controller", controllers[0]),
        );
    }
    let inter_broker =
        settings.given("inter.broker.listener.name").map(|(_, name)| name.to_ascii_uppercase());
    if let Some(name) = inter_broker.filter(|_| !roles.broker)
        && settings.list("controller.listener.names").iter().any(|it| it.eq_ignore_ascii_case(&name))
    {
        findings.refuse(
            "inter.broker.listener.name",
            format!("inter.broker.listener.name is {name}, which is a listener for controllers"),
            "brokers would be told to replicate by way of a controller",
            "remove inter.broker.listener.name: this node is no broker",
        );
    }
}

/// Holds the quorum's addresses against the roles.
pub(super) fn quorum(
    settings: &Settings,
    (roles, node_id): (Roles, NodeId),
    voters: &[Voter],
    findings: &mut Findings,
) {
    const KEY: &str = "controller.quorum.voters";
    let names_itself = voters.iter().any(|voter| voter.node == node_id);
    if roles.controller && !voters.is_empty() && !names_itself {
        let named: Vec<_> = voters.iter().map(|voter| voter.node.to_string()).collect();
        findings.refuse(
            KEY,
            format!("{KEY} names node {}, but this is node {node_id}", named.join(", ")),
            "a controller that is no voter decides nothing",
            format!("add {node_id}@host:port to {KEY}, set node.id to a number that it names, or remove it"),
        );
    }
    if !roles.controller && names_itself {
        findings.refuse(
            KEY,
            format!("{KEY} names node {node_id}, which is this one, but it is only a broker"),
            "the others would wait for the vote of a node that has none",
            format!("remove {node_id} from {KEY} on every node, or write process.roles=broker,controller"),
        );
    }
    let servers = settings.list("controller.quorum.bootstrap.servers");
    if !roles.controller && voters.is_empty() && servers.is_empty() {
        findings.refuse(
            KEY,
            "this node is only a broker, and nothing says where its controllers are",
            "without controllers there is no metadata",
            format!("write {KEY}=1@host:9093, or controller.quorum.bootstrap.servers=host:9093"),
        );
    }
    if roles.broker != roles.controller && settings.text("corelane.cluster.id").is_none() {
        findings.refuse(
            "corelane.cluster.id",
            "this node is only one of broker and controller, but the cluster's id is not given",
            "nodes that each make up an id would refuse each other",
            "format the directory (kafka-storage format), or set CLUSTER_ID in the environment, or corelane.cluster.id, to the \
             same value on every node",
        );
    }
}

/// `controller.quorum.bootstrap.servers`.
pub(super) fn bootstrap(settings: &Settings, findings: &mut Findings) -> Vec<(String, u16)> {
    const KEY: &str = "controller.quorum.bootstrap.servers";
    let mut servers = Vec::new();
    for text in settings.list(KEY) {
        match listener::split_address(&text).filter(|(host, _)| !host.is_empty()) {
            Some(server) => servers.push(server),
            None => findings.refuse(
                KEY,
                format!("{text:?} in {KEY} is not of the form host:port"),
                "a controller without an address cannot be asked",
                format!("write {KEY}=localhost:9093, or remove the setting"),
            ),
        }
    }
    servers
}
