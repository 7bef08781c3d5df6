//! One shard's engine: every decision that a data shard takes.
//!
//! [`Engine::handle`] takes one [`Input`] and adds what shall happen to [`Effects`]. It waits for nothing. A request
//! arrives as a frame on the shard that holds its connection; its handler (api/) asks the owners of the partitions it
//! names, at most one hop away, and responds when they have answered.

mod connection;
mod desk;
mod enlistment;
mod fetch_session;
mod follower;
mod follower_session;
mod front;
mod gather;
mod gone;
mod inspect;
mod life;
mod markers;
mod message;
mod owner;
mod partition;
mod peers;
pub(crate) mod producer_ids;
mod replicas;
mod requests;
mod throttle;
mod topics;
mod turn;
mod view;

#[cfg(test)]
mod tests;

pub use connection::Ordering;
pub use desk::{
    CONTROLLER_BODY_BYTES_MAX, ControllerRequest, ControllerResponse, Desk, DeskEffects, QuorumStanding,
    ReplyTo, VoterStanding,
};
pub use enlistment::Enlist;
pub use fetch_session::{FetchSessions, Opened, SessionError, SessionKey, SessionRequest, Wanted};
pub use follower_session::{FollowerOpened, FollowerSessions};
pub use front::{Controllers, Front, FrontEffects};
pub use gather::{Ask, Context, Gather, Place, Random, Response, Start, Step, missing};
pub use gone::GonePeers;
pub use inspect::{
    LOGGERS_SHARD, LogSizes, LoggersChange, LoggersRequest, ProducerSeen, ProducersQuery, ProducersResult,
    SizeQuery,
};
pub use life::{BrokerLife, LifeAnswer, LifeRequest, LifeSettings, Standing};
pub use message::*;
pub use peers::{Line, PeerCall, PeerLost};
pub use producer_ids::ProducerIdPool;
pub use replicas::FollowerId;
pub use view::ReplicaView;

use crate::{
    config::BrokerConfig,
    error::Fatal,
    ids::{Map, NodeId},
    log::Store,
    loggers::Loggers,
    metadata::{ConfigResource, Image, MetadataOffset},
    timers::{TimerId, Timers},
};
use bytes::Bytes;
use connection::Connection;
use corelane_seam::{
    ConnectionId, FileOperation, FileResult, ListenerId, Monotonic, Now, Part, ShardId, Token,
};
use gather::{GatherIds, Running};
use markers::LocalMarkers;
use owner::{Answers, Owner};
use peers::PeerCalls;
use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

/// What happened to a shard.
#[derive(Debug)]
pub enum Input {
    /// A client connected.
    Opened {
        /// Its name.
        connection: ConnectionId,
        /// By which listener.
        listener: ListenerId,
        /// From where.
        peer: SocketAddr,
    },
    /// A whole frame came (without its length prefix, which was checked).
    Frame {
        /// By which connection.
        connection: ConnectionId,
        /// One ref-counted buffer.
        frame: Bytes,
    },
    /// The connection is gone.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// Another shard said something.
    Message {
        /// Which shard.
        from: ShardId,
        /// What.
        message: ShardMessage,
    },
    /// A file operation completed.
    File {
        /// As asked.
        token: Token,
        /// Result.
        result: FileResult,
    },
    /// Another broker has answered the call that it was sent.
    PeerAnswer {
        /// Which.
        peer: NodeId,
        /// By which connection.
        line: Line,
        /// Header and response, without the length.
        frame: Bytes,
    },
    /// The call to another broker has no answer: it could not be reached, or the connection was lost.
    PeerFailed {
        /// Which.
        peer: NodeId,
        /// By which connection.
        line: Line,
        /// As in the request.
        correlation: i32,
    },
    /// The timer came due.
    Timer,
    /// No input is left for the moment: seal the journal's next group, answer waiting reads.
    TurnEnded,
    /// Finish what is owed, take nothing new.
    Stop,
}

/// What shall happen.
#[derive(Debug, Default)]
pub struct Effects {
    /// Operations on files.
    pub files: Vec<(Token, FileOperation)>,
    /// To other shards, in order.
    pub messages: Vec<(ShardId, ShardMessage)>,
    /// Responses, in the order in which they must leave.
    pub replies: Vec<(ConnectionId, Vec<Part>)>,
    /// Connections that cannot go on, with the reason for the log.
    pub closes: Vec<(ConnectionId, String)>,
    /// Back-pressure: stop (`true`) or go on reading a connection.
    pub pauses: Vec<(ConnectionId, bool)>,
    /// Requests for other brokers. Each is answered by one [`Input::PeerAnswer`] or [`Input::PeerFailed`].
    pub calls: Vec<PeerCall>,
    /// Where another broker is reached by its peers, host and port, since the metadata changed; `None`: nowhere.
    pub peer_endpoints: Vec<(NodeId, Option<(String, u16)>)>,
    /// The next deadline, if it changed.
    pub timer: Option<Monotonic>,
    /// The log takes other lines from now on, before any reply leaves: a filter as in
    /// [`Loggers::filter`](crate::loggers::Loggers::filter).
    pub log_filter: Option<String>,
    /// A log directory failed: every shard must know.
    pub directory_offline: Option<Fatal>,
    /// This shard's disk is full from now on, or no longer: the quorum's shard must know.
    pub disk_full: Option<bool>,
    /// The clean stop is complete.
    pub stopped: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// No caught-up metadata yet: frames wait.
    Starting,
    Serving,
    Stopping,
}

#[derive(Debug)]
enum Deadline {
    Gather(GatherId),
    /// Retention, segment roll, checkpoints.
    Maintenance,
    /// Sessions, rebalances and expiry of groups, timeouts of transactions; the next slice of loading them.
    Coordinators,
    /// Followers that lag; fetches that have rested.
    Replication,
}

/// How long a reign counts as new: in that time its followers have heard of it.
const NEW_REIGN_MS: u64 = 1_000;

/// What a node was started with, with what was altered since.
fn config_in_force(started_with: &BrokerConfig, image: &Image, node: NodeId) -> Arc<BrokerConfig> {
    let cluster = image.configs(&ConfigResource::BrokerDefault);
    let own = image.configs(&ConfigResource::Broker(node));
    Arc::new(started_with.with_dynamic(&cluster, &own))
}

/// One data shard.
pub struct Engine {
    place: Place,
    /// As the broker was started.
    static_config: Arc<BrokerConfig>,
    /// With what was altered since.
    config: Arc<BrokerConfig>,
    image: Image,
    phase: Phase,
    owner: Owner,
    connections: Map<ConnectionId, Connection>,
    gathers: Map<GatherId, Running>,
    gather_ids: GatherIds,
    timers: Timers<Deadline>,
    timer_set: Option<Monotonic>,
    /// When the logs look after themselves next.
    maintenance: Option<(Monotonic, TimerId)>,
    /// When the coordinators want to be called next.
    coordinators_due: Option<(Monotonic, TimerId)>,
    replication_due: Option<(Monotonic, TimerId)>,
    /// Until then its followers may not have heard of what this broker leads.
    reign_is_new_until: Option<Monotonic>,
    gone: GonePeers,
    /// Under which the controller is asked who is in sync.
    alteration: Option<GatherId>,
    /// Under which it is told of replicas that are offline here.
    offline_report: Option<GatherId>,
    /// Under which it is asked for producer ids of transactions.
    wished_ids: Option<GatherId>,
    peer_calls: PeerCalls,
    local_markers: LocalMarkers,
    sessions: FetchSessions,
    follower_sessions: FollowerSessions,
    random: Random,
    /// Requests of shards that know newer metadata, in order.
    early: VecDeque<(Asker, OwnerRequest, Option<MetadataOffset>)>,
    /// Bytes of frames that wait for their responses, of all connections.
    bytes_held: usize,
    paused_for_memory: Vec<ConnectionId>,
    busy_with: &'static str,
    /// In a clean stop: whether this shard has told the others that it asks nothing any more.
    asks_no_more: bool,
    /// How many of the others have told it so.
    peers_ask_no_more: u16,
}

impl Engine {
    /// An engine with its recovered logs. It serves once the quorum's shard has sent a caught-up image.
    pub fn new(place: Place, config: Arc<BrokerConfig>, mut store: Store, seed: u64) -> Engine {
        store.configure_cleaner(topics::cleaner_settings(&config, place.shards));
        Engine {
            place,
            config: Arc::clone(&config),
            static_config: config,
            image: Image::default(),
            phase: Phase::Starting,
            owner: Owner::new(store),
            connections: Map::default(),
            gathers: Map::default(),
            gather_ids: GatherIds::default(),
            timers: Timers::default(),
            timer_set: None,
            maintenance: None,
            coordinators_due: None,
            replication_due: None,
            reign_is_new_until: None,
            gone: GonePeers::default(),
            alteration: None,
            offline_report: None,
            wished_ids: None,
            peer_calls: PeerCalls::default(),
            local_markers: LocalMarkers::default(),
            sessions: FetchSessions::default(),
            follower_sessions: FollowerSessions::default(),
            random: Random(seed),
            early: VecDeque::new(),
            bytes_held: 0,
            paused_for_memory: Vec::new(),
            busy_with: "nothing",
            asks_no_more: false,
            peers_ask_no_more: 0,
        }
    }

    /// What the log was started with, to be told to [`LOGGERS_SHARD`] before anything else.
    pub fn keep_loggers(&mut self, loggers: Loggers) {
        self.owner.loggers = loggers;
    }

    /// First of all: opens the journal.
    pub fn start(&mut self, now: Now, effects: &mut Effects) {
        self.owner.store.start(now, &mut effects.files);
        // At once: whether the disk is full already must be known before much is appended.
        self.maintenance = Some((now.monotonic, self.timers.set(now.monotonic, Deadline::Maintenance)));
        self.set_timer(effects);
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Effects) {
        match input {
            Input::Opened { connection, listener, peer } => {
                self.connections.insert(connection, Connection::new(listener, peer));
            }
            Input::Frame { connection, frame } => self.frame(now, connection, frame, effects),
            Input::Closed { connection } => self.closed(connection, effects),
            Input::Message { from, message } => self.message(now, from, message, effects),
            Input::File { token, result } => {
                self.busy_with = "a file's completion";
                let mut answers = Answers::new();
                self.owner.file(now, token, result, effects, &mut answers);
                self.carry(now, answers, effects);
            }
            Input::PeerAnswer { line: Line::Markers | Line::Enlistment, frame, .. } => {
                self.peer_told(now, frame, effects);
            }
            Input::PeerFailed { line: Line::Markers | Line::Enlistment, correlation, .. } => {
                self.peer_lost(now, correlation, effects);
            }
            Input::PeerAnswer { peer, line: Line::Replication, frame } => {
                self.busy_with = "another broker's answer";
                self.gone.answered(peer);
                let mut answers = Answers::new();
                self.owner.peer_answered(now, peer, &frame, effects, &mut answers);
                self.carry(now, answers, effects);
            }
            Input::PeerFailed { peer, line: Line::Replication, .. } => {
                self.owner.peer_failed(now, peer);
                self.peer_is_gone(now, peer, effects);
            }
            Input::Timer => self.timer(now, effects),
            Input::TurnEnded => self.turn_ended(now, effects),
            Input::Stop => self.stop(now, effects),
        }
        self.tell_directory_offline(effects);
        if let Some(is_full) = effects.disk_full.take() {
            effects.messages.push((self.place.quorum, ShardMessage::DiskFull(is_full)));
        }
        self.set_timer(effects);
    }

    /// What the shard was last busy with.
    pub fn busy_with(&self) -> &'static str {
        self.busy_with
    }

    /// The configuration in force: as the broker was started, with what was altered since.
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Whether no request of this connection is under way.
    pub fn owes_nothing(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_none_or(|state| state.requests_held() == 0)
    }

    /// Asserts what must hold between any two inputs.
    pub fn check(&self) {
        self.owner.check();
        let held: usize = self.connections.values().map(Connection::bytes_held).sum();
        assert_eq!(held, self.bytes_held, "bytes held by connections and their sum are apart");
    }

    // ---- other shards, time, the end of a turn ----

    fn message(&mut self, now: Now, from: ShardId, message: ShardMessage, effects: &mut Effects) {
        let mut answers = Answers::new();
        match message {
            ShardMessage::Ask { gather, request, seen } => {
                self.busy_with = "another shard's request";
                let asker = Asker { shard: from, gather };
                if self.early.is_empty() && seen <= self.image.last_applied() {
                    self.owner.ask(now, asker, request, effects, &mut answers);
                } else {
                    self.early.push_back((asker, request, seen));
                }
            }
            ShardMessage::Answer { gather, response: OwnerResponse::Append(results) }
                if self.local_markers.has(gather) =>
            {
                self.marked_here(now, gather, results, effects);
            }
            ShardMessage::Answer { gather, response } => {
                self.step(now, gather, effects, |gather, context| gather.answered(context, response));
            }
            ShardMessage::Forget { gather } => {
                let asker = Asker { shard: from, gather };
                // What a follower said of its positions counts, whoever waits: it will not say it again.
                let is_said = |request: &OwnerRequest| matches!(request, OwnerRequest::Follow(_));
                self.early.retain(|(early, request, _)| *early != asker || is_said(request));
                self.owner.forget(asker);
            }
            ShardMessage::EndSession { connection } => {
                let ended = FollowerSession { shard: from, connection };
                let is_of = |request: &OwnerRequest| matches!(request, OwnerRequest::Follow(follow) if follow.session == ended);
                self.early.retain(|(_, request, _)| !is_of(request));
                self.owner.end_session(ended);
            }
            ShardMessage::ControllerAnswer { gather, response } if self.alteration == Some(gather) => {
                self.alteration = None;
                let results = match response {
                    ControllerResponse::AlterPartitions(results) => Some(results),
                    _ => None,
                };
                self.owner.altered(now, results, &mut answers);
            }
            ShardMessage::ControllerAnswer { gather, response } if self.offline_report == Some(gather) => {
                self.offline_report = None;
                let heard = matches!(response, ControllerResponse::OfflineReplicas(_));
                self.owner.offline_replicas_told(now, heard);
            }
            ShardMessage::ControllerAnswer { gather, response } if self.wished_ids == Some(gather) => {
                self.wished_ids = None;
                self.owner.producer_ids_came(now, producer_ids::block(response), &mut answers);
            }
            ShardMessage::ControllerAnswer { gather, response } => {
                self.step(now, gather, effects, |gather, context| {
                    gather.controller_answered(context, response)
                });
            }
            ShardMessage::Image(image) => {
                self.busy_with = "new metadata";
                self.take_image(now, *image, effects, &mut answers);
            }
            ShardMessage::DirectoryOffline(fatal) => self.owner.go_offline(&fatal.0, &mut answers),
            ShardMessage::Throttled { led, followed } => self.owner.note_throttled(now, (led, followed)),
            ShardMessage::PeerGone(peer) => self.gone.told(now.monotonic, peer),
            ShardMessage::AsksNoMore => self.peers_ask_no_more += 1,
            ShardMessage::AskController { .. }
            | ShardMessage::DiskFull(_)
            | ShardMessage::Drained
            | ShardMessage::Stop => {
                debug_assert!(false, "a word for another came to a data shard's engine");
            }
        }
        self.carry(now, answers, effects);
    }

    fn take_image(&mut self, now: Now, image: Image, effects: &mut Effects, answers: &mut Answers) {
        let first = self.phase == Phase::Starting;
        self.config = config_in_force(&self.static_config, &image, self.place.node);
        self.owner.store.set_producer_expiration_ms(i64::from(self.config.producer_id_expiration_ms));
        self.owner.know(&image, &self.config);
        self.owner.know_brokers(self.place.node, &image, &self.config);
        self.tell_endpoints(&image, effects);
        let mut follower =
            topics::Follower { owner: &mut self.owner, place: self.place, config: &self.config, now };
        let reign_began = follower.follow(&self.image, &image, first, answers);
        self.image = image;
        if reign_began {
            self.reign_is_new_until = Some(now.monotonic.after_ms(NEW_REIGN_MS));
            self.step_all(now, effects, |gather, context| gather.reign_began(context));
        }
        if !self.gone.is_empty(now.monotonic) {
            self.step_all(now, effects, |gather, context| gather.metadata_changed(context));
        }
        while self.early.front().is_some_and(|(_, _, seen)| *seen <= self.image.last_applied()) {
            if let Some((asker, request, _)) = self.early.pop_front() {
                self.owner.ask(now, asker, request, effects, answers);
            }
        }
        if self.phase == Phase::Stopping {
            // Groups whose coordinator came here just now wait for nobody either.
            self.owner.stop_coordinators(answers);
        }
        if first {
            self.phase = Phase::Serving;
            let mut waiting: Vec<ConnectionId> = self.connections.keys().copied().collect();
            waiting.sort_unstable();
            for connection in waiting {
                self.run(now, connection, effects);
            }
        }
    }
}
