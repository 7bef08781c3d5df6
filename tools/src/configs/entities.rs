//! Whose configurations are meant.

use super::{Done, told};
use crate::args::Command;
use std::net::ToSocketAddrs;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Topics,
    Clients,
    Users,
    Brokers,
    Ips,
    ClientMetrics,
    Groups,
    BrokerLoggers,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Topics,
        Kind::Clients,
        Kind::Users,
        Kind::Brokers,
        Kind::Ips,
        Kind::ClientMetrics,
        Kind::Groups,
        Kind::BrokerLoggers,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Topics => "topics",
            Kind::Clients => "clients",
            Kind::Users => "users",
            Kind::Brokers => "brokers",
            Kind::Ips => "ips",
            Kind::ClientMetrics => "client-metrics",
            Kind::Groups => "groups",
            Kind::BrokerLoggers => "broker-loggers",
        }
    }

    /// As Kafka's tool forms it: without the last letter.
    pub fn singular(self) -> &'static str {
        &self.name()[..self.name().len() - 1]
    }
}

/// The options that name an entity of a kind.
const NAMED: [(&str, Kind); 8] = [
    ("topic", Kind::Topics),
    ("client", Kind::Clients),
    ("user", Kind::Users),
    ("broker", Kind::Brokers),
    ("broker-logger", Kind::BrokerLoggers),
    ("ip", Kind::Ips),
    ("client-metrics", Kind::ClientMetrics),
    ("group", Kind::Groups),
];

/// The options that name what holds by default.
const DEFAULTS: [(&str, Kind); 4] = [
    ("client-defaults", Kind::Clients),
    ("user-defaults", Kind::Users),
    ("broker-defaults", Kind::Brokers),
    ("ip-defaults", Kind::Ips),
];

/// One entity, or a user's clients; the name of a default is empty, and there may be none.
#[derive(Debug)]
pub struct Entities {
    pub kinds: Vec<Kind>,
    pub names: Vec<String>,
}

impl Entities {
    pub fn read(command: &Command) -> Done<Entities> {
        let mut kinds = Vec::new();
        let connection = "--bootstrap-server or --bootstrap-controller";
        let named: Vec<&str> = command.values("entity-type");
        let mut unknown = None;
        for name in named {
            match Kind::ALL.into_iter().find(|kind| kind.name() == name) {
                Some(kind) => kinds.push(kind),
                None => unknown = unknown.or(Some(name)),
            }
        }
        kinds.extend(
            NAMED.iter().chain(&DEFAULTS).filter(|(option, _)| command.has(option)).map(|(_, kind)| *kind),
        );
        let repeated: Vec<&str> = kinds
            .iter()
            .enumerate()
            .filter(|(index, kind)| kinds[..*index].contains(kind))
            .map(|(_, kind)| kind.name())
            .collect();
        if !repeated.is_empty() {
            return told(format!("Duplicate entity type(s) specified: {}", repeated.join(",")));
        }
        if !command.has("bootstrap-server") && !command.has("bootstrap-controller") {
            return told("Either --bootstrap-server or --bootstrap-controller must be specified.");
        }
        if let Some(unknown) = unknown {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            return told(format!(
                "Invalid entity type {unknown}, the entity type must be one of {} with a {connection} argument",
                known.join(", ")
            ));
        }
        let mut names: Vec<String> = Vec::new();
        let mut given = command.values("entity-name").into_iter();
        for option in command.order(&["entity-name", "entity-default"]) {
            names.push(if option == "entity-name" {
                given.next().unwrap_or_default().into()
            } else {
                String::new()
            });
        }
        for (option, _) in NAMED {
            names.extend(command.value(option)?.map(str::to_owned));
        }
        names.extend(DEFAULTS.iter().filter(|(option, _)| command.has(option)).map(|_| String::new()));
        Ok(Entities { kinds, names })
    }

    /// The first kind; there is one, as [`Entities::check`] says.
    pub fn first(&self) -> Kind {
        self.kinds.first().copied().unwrap_or(Kind::Topics)
    }

    /// The first name.
    pub fn name(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    pub fn check(&self, command: &Command) -> Done {
        let kinds = &self.kinds;
        let listed = || kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",");
        let is_pair = kinds.len() == 2 && kinds.contains(&Kind::Users) && kinds.contains(&Kind::Clients);
        if kinds.is_empty() {
            return told("At least one entity type must be specified");
        }
        if kinds.len() > 1 && !is_pair {
            return told("Only 'users' and 'clients' entity types may be specified together");
        }
        let general =
            ["entity-name", "entity-type", "entity-default"].into_iter().any(|option| command.has(option));
        if general && NAMED.iter().chain(&DEFAULTS).any(|(option, _)| command.has(option)) {
            return told(
                "--entity-{type,name,default} should not be used in conjunction with specific entity flags",
            );
        }
        if command.has("bootstrap-server") && command.has("bootstrap-controller") {
            return told("Only one of --bootstrap-server or --bootstrap-controller can be specified");
        }
        self.check_names()?;
        let has_name = self.names.iter().any(|name| !name.is_empty());
        let has_default = self.names.iter().any(String::is_empty);
        let with_defaults =
            kinds.iter().any(|kind| matches!(kind, Kind::Users | Kind::Clients | Kind::Brokers | Kind::Ips));
        if command.has("describe") {
            if !with_defaults && command.has("entity-default") {
                return told(format!(
                    "--entity-default must not be specified with --describe of {}",
                    listed()
                ));
            }
            if kinds.contains(&Kind::BrokerLoggers) && !has_name {
                return told(format!("An entity name must be specified with --describe of {}", listed()));
            }
            return Ok(());
        }
        if with_defaults && !has_name && !has_default {
            return told(
                "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
            );
        }
        if !with_defaults && !has_name {
            return told(format!("An entity name must be specified with --alter of {}", listed()));
        }
        match (command.has("add-config"), command.has("add-config-file"), command.has("delete-config")) {
            (true, true, _) => told("Only one of --add-config or --add-config-file must be specified"),
            (false, false, false) => told(
                "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
            ),
            _ => Ok(()),
        }
    }

    fn check_names(&self) -> Done {
        let plural = self.first().name();
        for name in self.names.iter().filter(|name| !name.is_empty()) {
            match self.first() {
                Kind::Brokers | Kind::BrokerLoggers if name.parse::<i32>().is_err() => {
                    return told(format!(
                        "The entity name for {plural} must be a valid integer broker id, but it is: {name}"
                    ));
                }
                Kind::Ips if (name.as_str(), 0).to_socket_addrs().is_err() => {
                    return told(format!(
                        "The entity name for {plural} must be a valid IP or resolvable host, but it is: {name}"
                    ));
                }
                _ => (),
            }
        }
        Ok(())
    }
}
