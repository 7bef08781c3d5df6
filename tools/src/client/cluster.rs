//! Which broker a request goes to, and what happens when it is not there or not the right one.

use super::{
    config::{ClientConfig, Properties, Role},
    connection::Connection,
    error::{ClientError, Result},
    text, topic_name,
};
use crate::log;
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest, MetadataRequest,
    MetadataResponse, describe_cluster_response::DescribeClusterBroker,
    metadata_request::MetadataRequestTopic,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

/// `EndpointType.CONTROLLER`.
const CONTROLLERS: i8 = 2;
/// `Errors.UNSUPPORTED_ENDPOINT_TYPE`.
const UNSUPPORTED_ENDPOINT_TYPE: i16 = 115;

/// A broker as the metadata have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Its number.
    pub id: i32,
    /// Where clients reach it.
    pub host: String,
    /// Where clients reach it.
    pub port: u16,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// Which topics are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Topics<'a> {
    /// None: only the brokers.
    None,
    /// All there are.
    All,
    /// These.
    Named(&'a [String]),
    /// These; a broker that is set up to creates those that are missing.
    NamedOrCreated(&'a [String]),
}

/// What an attempt of [`Cluster::drive`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt<T> {
    /// This.
    Done(T),
    /// To nothing yet; the call that is to be made again, as Kafka's messages name it.
    Again(&'static str),
}

/// The brokers of one cluster, with a connection to each that was needed so far.
pub struct Cluster {
    config: ClientConfig,
    nodes: BTreeMap<i32, Node>,
    controller: i32,
    links: BTreeMap<i32, Connection>,
    /// To one of the first brokers, of which the number is not known.
    first: Option<Connection>,
    /// Addresses that were complained of.
    told: BTreeSet<String>,
    interrupted: fn() -> bool,
}

impl Cluster {
    /// Reads the settings; connects when it has to.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn new(role: Role, properties: &Properties) -> Result<Cluster> {
        Ok(Cluster::with(ClientConfig::read(role, properties)?))
    }

    /// With settings that were read.
    pub fn with(config: ClientConfig) -> Cluster {
        Cluster {
            config,
            nodes: BTreeMap::new(),
            controller: -1,
            links: BTreeMap::new(),
            first: None,
            told: BTreeSet::new(),
            interrupted: || false,
        }
    }

    /// Gives up waiting where `asked` says so.
    pub fn interrupted_by(mut self, asked: fn() -> bool) -> Cluster {
        self.interrupted = asked;
        self
    }

    /// Its settings.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The nodes that were named last: brokers, or controllers where only those are asked.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// One of them.
    pub fn node(&self, id: i32) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Does `what` until it succeeds, fails for good, or `default.api.timeout.ms` is over. `call` is the name that Kafka's
    /// messages have for it.
    ///
    /// # Errors
    /// Those of `what` that cannot be retried; [`ClientError::TimedOut`].
    pub fn retry<T>(&mut self, call: &str, mut what: impl FnMut(&mut Cluster) -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + self.config.api_timeout;
        let mut backoff = self.config.backoff;
        let mut attempts = 0_u32;
        loop {
            let error = match what(self) {
                Ok(done) => return Ok(done),
                Err(error) if error.is_retriable() && !is_missing(&error) => error,
                Err(error) => return Err(error),
            };
            attempts += 1;
            if !self.pause(deadline, &mut backoff)? {
                return Err(ClientError::TimedOut(match error {
                    ClientError::Connection { .. } => no_node(call),
                    error => format!("The call {call} timed out after {attempts} attempt(s): {error}"),
                }));
            }
        }
    }

    /// Does `what` until it says that it is done, fails for good, or `default.api.timeout.ms` is over. A connection that
    /// breaks or is not made is no failure for good, every error that a broker answered with is: `what` looks at those that
    /// may pass. `call` is the call with which it begins (`AdminApiDriver`).
    ///
    /// # Errors
    /// Those of `what`; [`ClientError::TimedOut`].
    pub fn drive<T>(
        &mut self,
        call: &'static str,
        mut what: impl FnMut(&mut Cluster) -> Result<Attempt<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + self.config.api_timeout;
        let mut backoff = self.config.backoff;
        loop {
            let call = match what(self) {
                Ok(Attempt::Done(done)) => return Ok(done),
                Ok(Attempt::Again(call)) => call,
                Err(ClientError::Connection { .. } | ClientError::TimedOut(_)) => call,
                Err(error) => return Err(error),
            };
            if !self.pause(deadline, &mut backoff)? {
                return Err(ClientError::TimedOut(no_node(call)));
            }
        }
    }

    /// Waits before another attempt; whether there is time for one.
    fn pause(&self, deadline: Instant, backoff: &mut Duration) -> Result<bool> {
        if (self.interrupted)() {
            return Err(ClientError::Interrupted);
        }
        if Instant::now() + *backoff >= deadline {
            return Ok(false);
        }
        thread::sleep(*backoff);
        *backoff = (*backoff * 2).min(self.config.backoff_max);
        Ok(true)
    }

    /// Does `what` with the connection to whichever broker is at hand.
    ///
    /// # Errors
    /// Those of `what`; [`ClientError::Connection`] where none can be reached.
    pub fn on_any<T>(&mut self, what: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        if self.config.of_controllers && self.nodes.is_empty() {
            // Whoever is asked must be one.
            self.controllers()?;
        }
        self.on_some(what)
    }

    fn on_some<T>(&mut self, what: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        if let Some((&id, _)) = self.links.iter().next() {
            return self.on_node(id, what);
        }
        let mut connection = match self.first.take() {
            Some(connection) => connection,
            None => self.open_any()?,
        };
        let done = what(&mut connection);
        if !done.as_ref().is_err_and(breaks) {
            self.first = Some(connection);
        }
        done
    }

    fn open_any(&mut self) -> Result<Connection> {
        let known = self.nodes.values().map(|node| (node.host.clone(), node.port));
        let addresses: Vec<_> = self.config.bootstrap.iter().cloned().chain(known).collect();
        let mut last = None;
        for (host, port) in addresses {
            match self.open(&host, port) {
                Ok(connection) => {
                    if !self.config.of_controllers {
                        // Controllers do not know where brokers are: whoever is asked must be one.
                        connection.version::<MetadataRequest>()?;
                    }
                    return Ok(connection);
                }
                Err(error @ ClientError::Connection { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Config("no bootstrap servers".into())))
    }

    /// Connects, and says once for each address why it cannot.
    fn open(&mut self, host: &str, port: u16) -> Result<Connection> {
        let opened = Connection::open(host, port, &self.config);
        if let Err(error) = &opened
            && self.told.insert(format!("{host}:{port}"))
        {
            if error.is_authentication() {
                let cause = error.cause().map(|cause| format!(" ({cause})")).unwrap_or_default();
                log::error(&format!(
                    "Connection to {host}:{port} failed authentication due to: {error}{cause}"
                ));
            } else {
                log::warn(&format!("{error}. The broker may not be available."));
            }
        }
        opened
    }

    /// Does `what` with the connection to broker `id`.
    ///
    /// # Errors
    /// Those of `what`; [`ClientError::Connection`] where the broker is not known or cannot be reached.
    pub fn on_node<T>(&mut self, id: i32, what: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut connection = self.take_link(id)?;
        let done = what(&mut connection);
        if !done.as_ref().is_err_and(breaks) {
            self.links.insert(id, connection);
        }
        done
    }

    /// The connection to a broker, for whoever keeps it; a new one is made for the next who asks.
    ///
    /// # Errors
    /// [`ClientError::Connection`].
    pub fn take_link(&mut self, id: i32) -> Result<Connection> {
        if let Some(connection) = self.links.remove(&id) {
            return Ok(connection);
        }
        if !self.nodes.contains_key(&id) {
            self.refresh()?;
        }
        let Some(node) = self.nodes.get(&id).cloned() else {
            return Err(ClientError::Connection {
                peer: format!("node {id}"),
                reason: "no such broker is alive".into(),
            });
        };
        self.open(&node.host, node.port)
    }

    /// Does `what` with the broker that the metadata name as controller, or any.
    ///
    /// # Errors
    /// Those of `what`; [`ClientError::Connection`].
    pub fn on_controller<T>(&mut self, what: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        if self.controller < 0 {
            self.refresh()?;
        }
        let done = if self.nodes.contains_key(&self.controller) {
            self.on_node(self.controller, what)
        } else {
            self.on_any(what)
        };
        if done.as_ref().is_err_and(ClientError::is_retriable) {
            self.controller = -1;
        }
        done
    }

    /// Asks any node for the others of its kind.
    fn refresh(&mut self) -> Result<()> {
        if self.config.of_controllers { self.controllers() } else { self.metadata(Topics::None).map(drop) }
    }

    /// Asks any controller for the controllers (KIP-919).
    fn controllers(&mut self) -> Result<()> {
        let answer = self.on_some(|connection| describe(connection, true, false))?;
        let node = |node: DescribeClusterBroker| {
            let port = u16::try_from(node.port).unwrap_or_default();
            (node.broker_id.0, Node { id: node.broker_id.0, host: node.host.to_string(), port, rack: None })
        };
        self.nodes = answer.brokers.into_iter().map(node).collect();
        self.controller = answer.controller_id.0;
        Ok(())
    }

    /// Asks any node to describe the cluster: its id, and its brokers, those that are fenced too if wanted, or its
    /// controllers where only those are asked.
    ///
    /// # Errors
    /// [`ClientError::Broker`]; [`ClientError::Connection`].
    pub fn describe(&mut self, fenced: bool) -> Result<DescribeClusterResponse> {
        let of_controllers = self.config.of_controllers;
        self.on_any(|connection| describe(connection, of_controllers, fenced))
    }

    /// Asks any broker for the brokers and for topics.
    ///
    /// # Errors
    /// [`ClientError::Connection`] and the like, and where only controllers are asked; errors of single topics are in the
    /// answer.
    pub fn metadata(&mut self, topics: Topics<'_>) -> Result<MetadataResponse> {
        if self.config.of_controllers {
            let words =
                "This Admin API is not yet supported when communicating directly with the controller quorum.";
            return Err(ClientError::Broker { code: UNSUPPORTED_ENDPOINT_TYPE, message: Some(words.into()) });
        }
        let answer = self.on_any(|connection| {
            let version = connection.version::<MetadataRequest>()?;
            let (names, create) = match topics {
                Topics::None => (Some(&[][..]), false),
                Topics::All => (None, false),
                Topics::Named(names) => (Some(names), false),
                Topics::NamedOrCreated(names) => (Some(names), true),
            };
            let named = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            let mut request = MetadataRequest::default();
            request.topics = names.map(|names| names.iter().map(named).collect());
            if version >= 4 {
                request.allow_auto_topic_creation = create;
            }
            connection.call(version, &request)
        })?;
        self.nodes = answer
            .brokers
            .iter()
            .map(|broker| {
                let node = Node {
                    id: broker.node_id.0,
                    host: broker.host.to_string(),
                    port: u16::try_from(broker.port).unwrap_or_default(),
                    rack: broker.rack.as_ref().map(ToString::to_string),
                };
                (node.id, node)
            })
            .collect();
        self.controller = answer.controller_id.0;
        Ok(answer)
    }

    /// The broker that coordinates a group.
    ///
    /// # Errors
    /// [`ClientError::Broker`], of which COORDINATOR_NOT_AVAILABLE can be retried.
    pub fn coordinator(&mut self, group: &str) -> Result<i32> {
        self.find_coordinator(0, group)
    }

    /// The broker that coordinates the transactions of a transactional id.
    ///
    /// # Errors
    /// As [`Cluster::coordinator`].
    pub fn transaction_coordinator(&mut self, id: &str) -> Result<i32> {
        self.find_coordinator(1, id)
    }

    fn find_coordinator(&mut self, kind: i8, key: &str) -> Result<i32> {
        let (id, node) = self.on_any(|connection| {
            let version = connection.version::<FindCoordinatorRequest>()?;
            let mut request = FindCoordinatorRequest::default();
            if version >= 4 {
                request.coordinator_keys = vec![text(key)];
            } else {
                request.key = text(key);
            }
            request.key_type = kind;
            let answer = connection.call(version, &request)?;
            let (code, message, id, host, port) = match answer.coordinators.first() {
                Some(found) => {
                    (found.error_code, found.error_message.clone(), found.node_id, &found.host, found.port)
                }
                None => (
                    answer.error_code,
                    answer.error_message.clone(),
                    answer.node_id,
                    &answer.host,
                    answer.port,
                ),
            };
            if let Some(error) = ClientError::of(code, message.as_deref()) {
                return Err(error);
            }
            let port = u16::try_from(port).unwrap_or_default();
            Ok((id.0, Node { id: id.0, host: host.to_string(), port, rack: None }))
        })?;
        self.nodes.entry(id).or_insert(node);
        Ok(id)
    }

    /// Does `what` with the coordinator of a group.
    ///
    /// # Errors
    /// Those of `what` and of [`Cluster::coordinator`].
    pub fn on_coordinator<T>(
        &mut self,
        group: &str,
        what: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let id = self.coordinator(group)?;
        self.on_node(id, what)
    }

    /// How long to wait before another attempt.
    pub fn backoff(&self) -> Duration {
        self.config.backoff
    }
}

/// What Kafka's client says of a call that no node was found for until the time was over.
fn no_node(call: &str) -> String {
    format!("Timed out waiting for a node assignment. Call: {call}")
}

fn describe(
    connection: &mut Connection,
    of_controllers: bool,
    fenced: bool,
) -> Result<DescribeClusterResponse> {
    let version = connection.version::<DescribeClusterRequest>()?;
    if fenced && version < 2 {
        let told = "Including fenced broker endpoints is not supported with version ";
        return Err(ClientError::Unsupported(format!("{told}{version}")));
    }
    let mut request = DescribeClusterRequest::default();
    if of_controllers {
        request.endpoint_type = CONTROLLERS;
    }
    request.include_fenced_brokers = fenced;
    let answer = connection.call(version, &request)?;
    match ClientError::of(answer.error_code, answer.error_message.as_deref()) {
        Some(error) => Err(error),
        None => Ok(answer),
    }
}

/// A topic that is asked about and is not there will not come by asking again.
fn is_missing(error: &ClientError) -> bool {
    matches!(error, ClientError::Broker { code: 3 | 100, .. })
}

/// Whether a connection cannot be used after this.
fn breaks(error: &ClientError) -> bool {
    error.is_authentication()
        || matches!(
            error,
            ClientError::Connection { .. } | ClientError::TimedOut(_) | ClientError::Protocol { .. }
        )
}
