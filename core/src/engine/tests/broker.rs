//! A broker of engines in one thread: the mesh is a queue, the quorum commits at once, files are in memory.

use super::files::Files;
use crate::{
    config::BrokerConfig,
    controller::{
        ApiError, BrokerHeartbeatRequest, ChangeError, ConfigRules, FEATURES, KRAFT_VERSION, Lifecycle,
        RegisterBrokerRequest, Settings, VoterChange,
    },
    engine::{
        ControllerRequest, ControllerResponse, Desk, DeskEffects, Effects, Engine, Guard, Input, Place,
        QuorumStanding, Random, ReplyTo, ShardMessage, VoterStanding,
    },
    error::ErrorCode,
    groups::Transaction,
    ids::{NodeId, PartitionId, ProducerEpoch, ProducerId},
    log::{RecoverySettings, Store, StoreSettings, recover},
    metadata::{ConfigResource, Endpoint, Image, MetadataOffset, SecurityProtocol},
    wire::{decode_response, encode_request},
};
use bytes::Bytes;
use corelane_seam::{ConnectionId, FileOperation, FileResult, ListenerId, Monotonic, Now, ShardId, Token};
use imbl::OrdMap;
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request};
use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

struct NoRules;

impl ConfigRules for NoRules {
    fn check(&self, resource: &ConfigResource, key: &str, value: &str) -> Result<(), ApiError> {
        match resource {
            ConfigResource::Topic(_) => crate::config::topic::validate(key, value)
                .map_err(|text| ApiError::new(ErrorCode::InvalidConfig, text)),
            _ => Ok(()),
        }
    }
    fn check_together(&self, _: &ConfigResource, _: &OrdMap<String, String>) -> Result<(), ApiError> {
        Ok(())
    }
    fn is_list(&self, _: &ConfigResource, _: &str) -> bool {
        false
    }
    fn default_value(&self, _: &ConfigResource, _: &str) -> Option<String> {
        None
    }
}

/// Engines and the desk.
pub struct Broker {
    pub engines: Vec<Engine>,
    pub files: Files,
    pub now: Now,
    desk: Desk,
    image: Image,
    random: Random,
    applied: u64,
    mesh: VecDeque<(ShardId, ShardId, ShardMessage)>,
    /// File results that a test holds back: (shard, token, result).
    pub held: Option<VecDeque<(usize, Token, FileResult)>>,
    results: VecDeque<(usize, Token, FileResult)>,
    replies: BTreeMap<ConnectionId, VecDeque<Vec<u8>>>,
    pub closed: Vec<(ConnectionId, String)>,
    /// What the log was told to take.
    pub log_filters: Vec<String>,
    timers: Vec<Option<Monotonic>>,
    correlation: i32,
    /// A shard whose images are late, and those images.
    late: Option<(usize, Vec<ShardMessage>)>,
    /// Journal writes that were asked for, to count groups.
    pub flushes: usize,
    /// Under the desk's numbers.
    voter_changes: Vec<(u64, VoterChange)>,
    /// Shards whose clean stop is complete, which take no message any more.
    pub stopped: Vec<bool>,
}

pub const NODE: NodeId = NodeId(1);

impl Broker {
    /// A broker with `shards` data shards over these files, serving.
    pub fn start(shards: u16, files: Files) -> Broker {
        Broker::start_with(shards, files, Image::default())
    }

    /// With metadata of an earlier life.
    pub fn start_with(shards: u16, files: Files, image: Image) -> Broker {
        Broker::start_within(256 << 20, shards, files, image)
    }

    /// With this much memory for the tails of each shard's logs (two blocks each at least).
    pub fn start_within(memory_bytes_max: usize, shards: u16, files: Files, image: Image) -> Broker {
        let now = Now { monotonic: Monotonic(1_000_000_000), unix_ms: 1_700_000_000_000 };
        let config = Arc::new(BrokerConfig::default());
        let data_dir = PathBuf::from("/data");
        let recovery = RecoverySettings {
            data_dir: data_dir.clone(),
            journal_dir: data_dir.clone(),
            shards,
            salt: 7,
            journal_bytes_initial: 1 << 20,
            unix_ms: now.unix_ms,
            fault: crate::log::Fault::None,
        };
        let recovered = recover(&files, &recovery).expect("the files are sound");
        let mut logs: Vec<Vec<_>> = (0..shards).map(|_| Vec::new()).collect();
        for log in recovered.logs {
            logs[log.id.owner(shards).index()].push(log);
        }
        let engines = (0..shards).zip(logs).map(|(index, logs)| {
            let shard = ShardId(index);
            let place = Place { shard, shards, quorum: ShardId(shards), node: NODE };
            let store = StoreSettings {
                journal_bytes_initial: 1 << 20,
                journal_bytes_max: 4 << 20,
                memory_bytes_max,
                disk_reserve_bytes: 0,
                ..StoreSettings::new(shard, data_dir.clone(), recovered.boot)
            };
            Engine::new(place, Arc::clone(&config), Store::new(store, logs), u64::from(index) + 1)
        });
        let settings = Settings {
            node: NODE,
            default_partitions: 4,
            default_replication_factor: 1,
            config_rules: Arc::new(NoRules),
            features: FEATURES,
            initial_levels: BTreeMap::from([(KRAFT_VERSION.to_owned(), 1)]),
            lifecycle: Lifecycle::default(),
        };
        let mut broker = Broker {
            engines: engines.collect(),
            files,
            now,
            desk: Desk::new(settings),
            applied: image.last_applied().map_or(0, |offset| offset.0),
            // Another life draws other ids.
            random: Random(99 + image.last_applied().map_or(0, |offset| offset.0)),
            image,
            mesh: VecDeque::new(),
            held: None,
            results: VecDeque::new(),
            replies: BTreeMap::new(),
            closed: Vec::new(),
            log_filters: Vec::new(),
            timers: vec![None; usize::from(shards)],
            correlation: 0,
            late: None,
            flushes: 0,
            voter_changes: Vec::new(),
            stopped: vec![false; usize::from(shards)],
        };
        for shard in 0..broker.engines.len() {
            let mut effects = Effects::default();
            broker.engines[shard].start(now, &mut effects);
            broker.take(shard, effects);
        }
        broker.introduce();
        broker.settle();
        broker
    }

    /// Forms the cluster, registers, and is unfenced by its first heartbeat.
    fn introduce(&mut self) {
        let registration = RegisterBrokerRequest {
            id: NODE,
            cluster_id: "test".to_owned(),
            incarnation: self.random.uuid(),
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".to_owned(),
                host: "broker.test".to_owned(),
                port: 9092,
                security_protocol: SecurityProtocol::Plaintext,
            }],
            rack: None,
            directories: vec![uuid::Uuid::from_u128(0x500)],
        };
        let mut effects = DeskEffects::default();
        self.desk.lead(self.now.monotonic, self.image.clone());
        self.desk.form_cluster("test", &mut effects).expect("of this name or new");
        self.commit(effects);
        let registered = self.ask_itself(ControllerRequest::RegisterBroker(registration));
        let ControllerResponse::RegisterBroker(Ok(epoch)) = registered else {
            panic!("a new broker is welcome: {registered:?}");
        };
        let heartbeat = BrokerHeartbeatRequest {
            id: NODE,
            epoch,
            applied: self.image.last_applied(),
            want_fence: false,
            want_shut_down: false,
            is_full: false,
            offline_directories: Vec::new(),
        };
        let reply = self.ask_itself(ControllerRequest::Heartbeat(heartbeat));
        assert!(matches!(reply, ControllerResponse::Heartbeat(Ok(reply)) if !reply.fenced));
    }

    fn ask_itself(&mut self, request: ControllerRequest) -> ControllerResponse {
        let mut effects = DeskEffects::default();
        let random = &mut self.random;
        let draw = &mut || random.uuid();
        self.desk.ask(self.now.monotonic, ReplyTo::Itself, request, draw, &mut effects);
        self.commit(effects).pop().expect("the quorum commits at once")
    }

    /// The metadata as committed.
    pub fn image(&self) -> Image {
        self.image.clone()
    }

    /// Commits proposals at once, tells the shards, then lets the replies go.
    fn commit(&mut self, mut effects: DeskEffects) -> Vec<ControllerResponse> {
        let changed = !effects.proposals.is_empty();
        for batch in std::mem::take(&mut effects.proposals) {
            self.applied += 1;
            let offset = MetadataOffset(self.applied);
            self.image.apply(offset, &batch).expect("decisions hold");
            self.desk.applied(offset, &batch, &mut effects);
        }
        self.voter_changes.append(&mut effects.voter_changes);
        let quorum = ShardId(u16::try_from(self.engines.len()).expect("few"));
        if changed {
            for shard in 0..quorum.0 {
                self.mesh.push_back((
                    quorum,
                    ShardId(shard),
                    ShardMessage::Image(Box::new(self.image.clone())),
                ));
            }
        }
        for (to, message) in effects.replies {
            self.mesh.push_back((quorum, to, message));
        }
        effects.own_replies
    }

    /// A client connects to a shard.
    pub fn connect(&mut self, shard: usize, id: u64) -> ConnectionId {
        let connection = ConnectionId(id * 100 + shard as u64);
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        self.input(shard, Input::Opened { connection, listener: ListenerId(0), peer });
        connection
    }

    /// Sends a request and returns without waiting; its correlation id.
    pub fn send<T: Request>(&mut self, connection: ConnectionId, version: i16, request: &T) -> i32 {
        self.correlation += 1;
        let bytes = encode_request(self.correlation, Some("test"), version, request).expect("encodes");
        self.send_frame(connection, bytes.slice(4..));
        self.correlation
    }

    pub fn send_frame(&mut self, connection: ConnectionId, frame: Bytes) {
        self.input(Broker::shard_of(connection), Input::Frame { connection, frame });
        self.settle();
    }

    fn shard_of(connection: ConnectionId) -> usize {
        usize::try_from(connection.0 % 100).expect("small")
    }

    /// The next response on a connection, if one has come.
    pub fn response<T: Decodable + HeaderVersion>(
        &mut self,
        connection: ConnectionId,
        version: i16,
    ) -> Option<T> {
        let frame = self.replies.get_mut(&connection)?.pop_front()?;
        let (length, frame) = frame.split_at(4);
        assert_eq!(
            i32::from_be_bytes(length.try_into().expect("four")),
            i32::try_from(frame.len()).expect("small")
        );
        Some(decode_response(version, &Bytes::copy_from_slice(frame)).expect("decodes").1)
    }

    /// Sends and takes the response, which must come without waiting for time.
    pub fn ask<T: Request, R: Decodable + HeaderVersion>(
        &mut self,
        connection: ConnectionId,
        version: i16,
        request: &T,
    ) -> R {
        self.send(connection, version, request);
        let response = self.response(connection, version);
        assert!(response.is_some(), "no answer; closed: {:?}", self.closed);
        response.expect("checked")
    }

    /// Time passes.
    pub fn pass_ms(&mut self, ms: u64) {
        self.now.monotonic = self.now.monotonic.after_ms(ms);
        self.now.unix_ms += i64::try_from(ms).expect("small");
        for shard in 0..self.engines.len() {
            if self.timers[shard].is_some_and(|at| at <= self.now.monotonic) {
                self.timers[shard] = None;
                self.input(shard, Input::Timer);
            }
        }
        self.settle();
    }

    pub fn input(&mut self, shard: usize, input: Input) {
        let mut effects = Effects::default();
        self.engines[shard].handle(self.now, input, &mut effects);
        self.engines[shard].check();
        self.take(shard, effects);
    }

    fn take(&mut self, shard: usize, effects: Effects) {
        let from = ShardId(u16::try_from(shard).expect("few"));
        for (to, message) in effects.messages {
            self.mesh.push_back((from, to, message));
        }
        for (token, operation) in effects.files {
            let is_flushed = matches!(&operation, FileOperation::Write { flush, .. } if flush.is_wanted());
            self.flushes += usize::from(is_flushed);
            for result in self.files.carry_out(operation) {
                let queue = self.held.as_mut().unwrap_or(&mut self.results);
                queue.push_back((shard, token, result));
            }
        }
        for (connection, parts) in effects.replies {
            self.replies.entry(connection).or_default().push_back(Files::bytes_of(&parts));
        }
        self.closed.extend(effects.closes);
        self.stopped[shard] |= effects.stopped;
        self.log_filters.extend(effects.log_filter);
        if effects.timer.is_some() {
            self.timers[shard] = effects.timer;
        }
    }

    /// What a partition says to a producer (id and epoch) that wants to begin a transaction in it.
    pub fn may_begin(
        &self,
        topic: &str,
        index: i32,
        (producer, epoch): (i64, i16),
        guard: Option<Guard>,
    ) -> Result<Option<Guard>, ErrorCode> {
        let topic = self.image.topic(topic).expect("it was created").id;
        let id = PartitionId { topic, index };
        let shards = u16::try_from(self.engines.len()).expect("few");
        let transaction = Transaction { producer: ProducerId(producer), epoch: ProducerEpoch(epoch) };
        let owner = &self.engines[id.owner(shards).index()].owner;
        owner.may_begin(id, transaction, guard).map_err(|(error, _)| error)
    }

    /// Lets what a test held back happen.
    pub fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.results.extend(held);
        }
        self.settle();
    }

    /// Runs until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            if let Some((from, to, message)) = self.mesh.pop_front() {
                self.deliver(from, to, message);
            } else if let Some((shard, token, result)) = self.results.pop_front() {
                self.input(shard, Input::File { token, result });
            } else {
                for shard in 0..self.engines.len() {
                    self.input(shard, Input::TurnEnded);
                }
                if self.mesh.is_empty() && self.results.is_empty() {
                    return;
                }
            }
        }
        panic!("the engines never come to rest");
    }

    /// From now on this shard learns nothing new of the metadata.
    pub fn delay_images_to(&mut self, shard: usize) {
        self.late = Some((shard, Vec::new()));
    }

    /// What was delayed arrives.
    pub fn release_images(&mut self) {
        let quorum = ShardId(u16::try_from(self.engines.len()).expect("few"));
        if let Some((shard, images)) = self.late.take() {
            for message in images {
                self.input(shard, Input::Message { from: quorum, message });
            }
        }
        self.settle();
    }

    fn deliver(&mut self, from: ShardId, to: ShardId, message: ShardMessage) {
        if let Some((_, images)) = self
            .late
            .as_mut()
            .filter(|(late, _)| *late == to.index() && matches!(message, ShardMessage::Image(_)))
        {
            return images.push(message);
        }
        if self.stopped.get(to.index()) == Some(&true) {
            assert!(!matches!(message, ShardMessage::Ask { .. }), "{to:?} has stopped and is asked");
            return;
        }
        if to.index() < self.engines.len() {
            return self.input(to.index(), Input::Message { from, message });
        }
        if let ShardMessage::AskController { gather, request } = message {
            let mut effects = DeskEffects::default();
            self.desk.stand(self.standing());
            let random = &mut self.random;
            let to = ReplyTo::Gather(from, gather);
            self.desk.ask(self.now.monotonic, to, request, &mut || random.uuid(), &mut effects);
            self.commit(effects);
        }
    }

    /// How the quorum stands: this node alone, and one that follows.
    fn standing(&self) -> QuorumStanding {
        let (node, end) = (NODE, self.applied + 1);
        QuorumStanding {
            leader: Some(node),
            term: 1,
            committed_end: end,
            log_end: end,
            voters: vec![VoterStanding {
                node,
                directory: Some(0xD1),
                log_end: Some(end),
                last_fetch_ms: Some(self.now.unix_ms),
                last_caught_up_ms: Some(self.now.unix_ms),
            }],
            observers: vec![VoterStanding {
                node: NodeId(NODE.0 + 1),
                directory: Some(0xD2),
                log_end: Some(end - 1),
                last_fetch_ms: Some(self.now.unix_ms - 10),
                last_caught_up_ms: None,
            }],
            endpoints: vec![(NODE, "broker.test:9093".to_owned())],
        }
    }

    /// What the quorum was asked to change about its voters and has not answered.
    pub fn voter_changes(&self) -> Vec<VoterChange> {
        self.voter_changes.iter().map(|(_, change)| change.clone()).collect()
    }

    /// The quorum answers the oldest change.
    pub fn voters_changed(&mut self, result: Result<(), ChangeError>) {
        let (id, _) = self.voter_changes.remove(0);
        let mut effects = DeskEffects::default();
        self.desk.voters_changed(id, &result, self.standing(), &mut effects);
        self.commit(effects);
        self.settle();
    }
}
