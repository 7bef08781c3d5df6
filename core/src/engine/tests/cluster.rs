//! Several brokers of engines in one thread, with a small controller: registrations, ISRs and leaders as a test wants
//! them. Calls between brokers arrive, or are lost, as it wants too.

use super::files::Files;
use crate::{
    config::BrokerConfig,
    controller::{AlterPartition, AlterPartitionsRequest, AlteredPartition, ProducerIdBlock},
    engine::{
        ControllerRequest, ControllerResponse, Effects, Engine, GatherId, Input, Line, PeerCall, Place,
        ShardMessage,
    },
    error::{ErrorCode, Fatal},
    groups::OFFSETS_TOPIC,
    ids::{LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, TopicId},
    log::{Fault, ReadError, ReadRequest, RecoverySettings, Store, StoreSettings, recover},
    metadata::{
        Batch, BrokerChangeRecord, ConfigResource, Endpoint, Image, LeaderChange, MetadataOffset,
        PartitionChangeRecord, PartitionRecord, Record, RegisterBrokerRecord, SecurityProtocol,
    },
    records::Batches,
    transactions::TRANSACTIONS_TOPIC,
    wire::{RequestHeader, decode_request, decode_response, encode_request},
};
use bytes::Bytes;
use corelane_seam::{ConnectionId, FileResult, ListenerId, Monotonic, Now, ShardId, Token};
use kafka_protocol::{
    messages::FetchRequest,
    protocol::{Decodable, HeaderVersion, Request},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::Arc,
};

/// The topic that tests replicate.
pub const TOPIC: &str = "replicated";
pub const TOPIC_ID: TopicId = TopicId(uuid::Uuid::from_u128(0xABCD));
const QUORUM: ShardId = ShardId(1);
/// What a broker leaves free of its disk.
pub const RESERVE: u64 = 1 << 20;

pub struct Node {
    pub engine: Engine,
    timer: Option<Monotonic>,
    /// Results of files that wait while the disk is held.
    held: Option<VecDeque<(Token, FileResult)>>,
}

enum Event {
    File(i32, Token, FileResult),
    Message(i32, ShardMessage),
    Frame(i32, ConnectionId, Bytes),
    Answer(Call, Bytes),
    Failed(Call),
}

/// A call between brokers: who asks whom, by which line, under which correlation id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    from: i32,
    to: i32,
    line: Line,
    correlation: i32,
}

/// See the module. Each broker has one data shard.
pub struct Cluster {
    pub nodes: BTreeMap<i32, Node>,
    pub files: BTreeMap<i32, Files>,
    pub image: Image,
    pub now: Now,
    applied: u64,
    epochs: i64,
    events: VecDeque<Event>,
    /// Calls without an answer, in the order in which they were made.
    calls: Vec<Call>,
    /// Connections between brokers, by who accepted each.
    opened: BTreeSet<(i32, ConnectionId)>,
    /// Who cannot reach whom.
    pub cut: BTreeSet<(i32, i32)>,
    pub controller_down: bool,
    /// Who does not hear of new metadata.
    kept_from: BTreeSet<i32>,
    replies: BTreeMap<ConnectionId, VecDeque<Vec<u8>>>,
    correlation: i32,
    boots: u64,
    pub fault: Fault,
    topic: &'static str,
    /// Each broker stands in a rack of its own, and sends consumers to theirs.
    in_racks: bool,
    /// Fetches from offsets that were not flushed.
    pub violations: Vec<String>,
    /// Bytes of calls between brokers.
    pub call_bytes: usize,
    /// How many calls there were by each line.
    pub called: BTreeMap<Line, usize>,
    /// The first of the last block that was given out.
    producer_ids: i64,
    pub asked_for_isr: Vec<AlterPartition>,
    /// Who has said that its disk is full, or no longer.
    pub told_full: Vec<(i32, bool)>,
    /// Who has said of which partitions that they are offline.
    pub told_offline: Vec<(i32, Vec<i32>)>,
}

pub fn partition(index: i32) -> PartitionId {
    PartitionId { topic: TOPIC_ID, index }
}

/// A partition of [`TOPIC`], led by its first replica.
pub fn placed(index: i32, replicas: &[NodeId], isr: &[NodeId]) -> Record {
    Record::Partition(PartitionRecord {
        topic: TOPIC_ID,
        index,
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
        removing: Vec::new(),
        adding: Vec::new(),
        leader: replicas.first().copied(),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        elr: Vec::new(),
        last_known_elr: Vec::new(),
    })
}

impl Cluster {
    /// Brokers 1 to `count`, and partitions with all of them as replicas in sync, led by the first.
    pub fn start(count: i32, partitions: i32) -> Cluster {
        Cluster::start_with(count, partitions, Fault::None)
    }

    pub fn start_with(count: i32, partitions: i32, fault: Fault) -> Cluster {
        Cluster::start_as(count, partitions, fault, (TOPIC, false))
    }

    /// Broker N in "rack N"; consumers are sent to the replica in theirs.
    pub fn start_in_racks(count: i32, partitions: i32) -> Cluster {
        Cluster::start_as(count, partitions, Fault::None, (TOPIC, true))
    }

    /// With partitions of `__consumer_offsets`, and topic `t` on broker 1, of which offsets can be committed.
    pub fn start_with_groups(count: i32, partitions: i32, fault: Fault) -> Cluster {
        let mut cluster = Cluster::start_as(count, partitions, fault, (OFFSETS_TOPIC, false));
        let (id, one) = (TopicId(uuid::Uuid::from_u128(0xEF)), NodeId(1));
        let Record::Partition(placed) = placed(0, &[one], &[one]) else { unreachable!() };
        let partition = Record::Partition(PartitionRecord { topic: id, ..placed });
        cluster.apply(vec![Record::Topic { name: "t".into(), id }, partition]);
        cluster.settle();
        cluster
    }

    /// With partitions of `__transaction_state`, led by broker 1, and topic `t`, whose two partitions the last one leads.
    pub fn start_with_transactions(count: i32) -> Cluster {
        let mut cluster = Cluster::start_as(count, 2, Fault::None, (TRANSACTIONS_TOPIC, false));
        let id = TopicId(uuid::Uuid::from_u128(0xEF));
        let led = (0..2).map(|index| {
            let Record::Partition(placed) = placed(index, &[NodeId(count)], &[NodeId(count)]) else {
                unreachable!()
            };
            Record::Partition(PartitionRecord { topic: id, ..placed })
        });
        cluster.apply([Record::Topic { name: "t".into(), id }].into_iter().chain(led).collect());
        cluster.settle();
        cluster
    }

    fn start_as(
        count: i32,
        partitions: i32,
        fault: Fault,
        (topic, in_racks): (&'static str, bool),
    ) -> Cluster {
        let now = Now { monotonic: Monotonic(1_000_000_000), unix_ms: 1_700_000_000_000 };
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            files: (1..=count).map(|id| (id, Files::default())).collect(),
            image: Image::default(),
            now,
            applied: 0,
            epochs: 0,
            events: VecDeque::new(),
            calls: Vec::new(),
            opened: BTreeSet::new(),
            cut: BTreeSet::new(),
            controller_down: false,
            kept_from: BTreeSet::new(),
            replies: BTreeMap::new(),
            correlation: 0,
            boots: 0,
            fault,
            topic,
            in_racks,
            violations: Vec::new(),
            call_bytes: 0,
            called: BTreeMap::new(),
            producer_ids: 0,
            asked_for_isr: Vec::new(),
            told_full: Vec::new(),
            told_offline: Vec::new(),
        };
        for id in 1..=count {
            cluster.boot(id);
        }
        let replicas: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let mut records = vec![Record::Topic { name: topic.into(), id: TOPIC_ID }];
        records.extend((0..partitions).map(|index| placed(index, &replicas, &replicas)));
        cluster.apply(records);
        cluster.settle();
        cluster
    }

    /// A topic's setting.
    pub fn configure(&mut self, key: &str, value: &str) {
        let (resource, value) = (ConfigResource::Topic(self.topic.into()), Some(value.to_owned()));
        self.apply(vec![Record::Config { resource, key: key.to_owned(), value }]);
        self.settle();
    }

    /// Commits records; every broker learns of them.
    pub fn apply(&mut self, records: Vec<Record>) {
        self.applied += 1;
        self.image.apply(MetadataOffset(self.applied), &Batch::of(records)).expect("decisions hold");
        for id in self.nodes.keys().filter(|id| !self.kept_from.contains(id)) {
            let image = ShardMessage::Image(Box::new(self.image.clone()));
            self.events.push_back(Event::Message(*id, image));
        }
    }

    /// From now on a broker does not hear of new metadata.
    pub fn keep_from(&mut self, id: i32) {
        self.kept_from.insert(id);
    }

    /// It hears of all of it.
    pub fn let_know(&mut self, id: i32) {
        self.kept_from.remove(&id);
        let image = ShardMessage::Image(Box::new(self.image.clone()));
        self.events.push_back(Event::Message(id, image));
        self.settle();
    }

    /// Starts a broker's process over its files.
    pub fn boot(&mut self, id: i32) {
        self.boots += 1;
        let data_dir = PathBuf::from("/data");
        let files = self.files[&id].clone();
        let recovery = RecoverySettings {
            data_dir: data_dir.clone(),
            journal_dir: data_dir.clone(),
            shards: 1,
            salt: self.boots,
            journal_bytes_initial: 1 << 20,
            unix_ms: self.now.unix_ms,
            fault: Fault::None,
        };
        let recovered = recover(&files, &recovery).expect("the files are sound");
        let store = StoreSettings {
            journal_bytes_initial: 1 << 20,
            journal_bytes_max: 4 << 20,
            disk_reserve_bytes: RESERVE,
            fault: self.fault,
            ..StoreSettings::new(ShardId(0), data_dir, recovered.boot)
        };
        let place = Place { shard: ShardId(0), shards: 1, quorum: QUORUM, node: NodeId(id) };
        let mut config = BrokerConfig::default();
        config.reads_from_nearest = self.in_racks;
        let config = Arc::new(config);
        let engine = Engine::new(place, config, Store::new(store, recovered.logs), self.boots);
        self.nodes.insert(id, Node { engine, timer: None, held: None });
        let mut effects = Effects::default();
        let now = self.now;
        self.nodes.get_mut(&id).expect("just made").engine.start(now, &mut effects);
        self.take(id, effects);
        self.epochs += 1;
        let endpoint = Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: format!("broker{id}.test"),
            port: 9092,
            security_protocol: SecurityProtocol::Plaintext,
        };
        self.apply(vec![Record::RegisterBroker(RegisterBrokerRecord {
            id: NodeId(id),
            epoch: self.epochs,
            incarnation: uuid::Uuid::from_u128(u128::from(self.boots)),
            endpoints: vec![endpoint],
            rack: self.in_racks.then(|| format!("rack {id}")),
            directories: vec![uuid::Uuid::from_u128(5)],
            fenced: false,
            in_controlled_shutdown: false,
        })]);
        self.elect_where_nobody_leads();
    }

    /// A broker's process dies, and the next one finds nothing of what it had.
    pub fn boot_without_files(&mut self, id: i32) {
        self.kill(id);
        self.settle();
        self.files.insert(id, Files::default());
        self.boot(id);
    }

    /// A broker's process dies, and the controller notices: it leads nothing and is in sync nowhere, but where nobody
    /// else is.
    pub fn kill(&mut self, id: i32) {
        self.vanish(id);
        self.fence(id);
    }

    /// A broker's process dies; nobody has noticed yet.
    pub fn vanish(&mut self, id: i32) {
        self.nodes.remove(&id);
        self.opened.retain(|(to, _)| *to != id);
        self.events.retain(|event| match event {
            Event::File(of, ..) | Event::Message(of, _) => *of != id,
            Event::Answer(call, _) | Event::Failed(call) => call.from != id,
            Event::Frame(to, connection, _) => {
                *to != id && peers_of(*connection).is_none_or(|(from, ..)| from != id)
            }
        });
        let (ended, left): (Vec<Call>, Vec<Call>) =
            std::mem::take(&mut self.calls).into_iter().partition(|call| call.from == id || call.to == id);
        self.calls = left;
        for call in ended {
            if call.from == id {
                self.hang_up(call);
            } else {
                self.events.push_back(Event::Failed(call));
            }
        }
    }

    /// The controller takes a broker for dead.
    pub fn fence(&mut self, id: i32) {
        let broker = self.image.broker(NodeId(id)).expect("it was registered").clone();
        let mut records = vec![Record::BrokerChange(BrokerChangeRecord {
            id: broker.id,
            epoch: broker.epoch,
            fenced: Some(true),
            in_controlled_shutdown: None,
        })];
        let topic = self.image.topic(self.topic).expect("it was created").clone();
        for (index, partition) in &topic.partitions {
            let rest: Vec<NodeId> = partition.isr.iter().copied().filter(|node| node.0 != id).collect();
            let leads = partition.leader == Some(NodeId(id));
            let next = rest.iter().find(|node| self.nodes.contains_key(&node.0));
            if !partition.isr.contains(&NodeId(id)) {
                continue;
            }
            let leader = match (leads, next) {
                (false, _) => LeaderChange::Unchanged,
                (true, Some(next)) => LeaderChange::Leader(*next),
                (true, None) => LeaderChange::Offline,
            };
            let isr = (!rest.is_empty()).then_some(rest);
            if isr.is_none() && leader == LeaderChange::Unchanged {
                continue;
            }
            records.push(change(*index, isr, leader));
        }
        self.apply(records);
    }

    /// The controller hears that a broker's disk is full, or no longer, and changes the ISR of partition 0, or not.
    pub fn full(&mut self, id: i32, is_full: bool, isr: Option<Vec<i32>>) {
        let epoch = self.image.broker(NodeId(id)).expect("it is registered").epoch;
        let full = Record::BrokerFull { id: NodeId(id), epoch, is_full };
        let isr =
            isr.map(|isr| change(0, Some(isr.into_iter().map(NodeId).collect()), LeaderChange::Unchanged));
        self.apply(isr.into_iter().chain([full]).collect());
        self.settle();
    }

    fn elect_where_nobody_leads(&mut self) {
        let Some(topic) = self.image.topic(self.topic).cloned() else { return };
        let offline = topic.partitions.iter().filter(|(_, partition)| partition.leader.is_none());
        let records: Vec<Record> = offline
            .filter_map(|(index, partition)| {
                let next = partition.isr.iter().find(|node| self.nodes.contains_key(&node.0))?;
                Some(change(*index, None, LeaderChange::Leader(*next)))
            })
            .collect();
        if !records.is_empty() {
            self.apply(records);
        }
    }

    /// Makes a broker the leader, in sync or not, with this ISR.
    pub fn elect(&mut self, index: i32, leader: i32, isr: Option<Vec<i32>>) {
        let isr = isr.map(|isr| isr.into_iter().map(NodeId).collect());
        self.apply(vec![change(index, isr, LeaderChange::Leader(NodeId(leader)))]);
        self.settle();
    }

    pub fn isr(&self, index: i32) -> Vec<i32> {
        let partition = self.image.partition(TOPIC_ID, index).expect("it was created");
        partition.isr.iter().map(|node| node.0).collect()
    }

    pub fn leader(&self, index: i32) -> Option<i32> {
        self.image.partition(TOPIC_ID, index).and_then(|partition| partition.leader).map(|node| node.0)
    }

    // ---- what engines do ----

    fn input(&mut self, id: i32, input: Input) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let mut effects = Effects::default();
        node.engine.handle(now, input, &mut effects);
        node.engine.check();
        self.take(id, effects);
    }

    fn take(&mut self, id: i32, effects: Effects) {
        for (to, message) in effects.messages {
            assert_eq!(to, QUORUM, "there is one data shard");
            match message {
                ShardMessage::AskController { gather, request } => self.decide(id, gather, request),
                ShardMessage::DiskFull(is_full) => self.told_full.push((id, is_full)),
                _ => {}
            }
        }
        for (token, operation) in effects.files {
            for result in self.files[&id].carry_out(operation) {
                let node = self.nodes.get_mut(&id).expect("it acts");
                match &mut node.held {
                    Some(held) => held.push_back((token, result)),
                    None => self.events.push_back(Event::File(id, token, result)),
                }
            }
        }
        for (connection, parts) in effects.replies {
            let bytes = Files::bytes_of(&parts);
            match peers_of(connection) {
                Some((from, to, line)) => {
                    let is_of = |call: &Call| (call.from, call.to, call.line) == (from, to, line);
                    if let Some(at) = self.calls.iter().position(is_of) {
                        let call = self.calls.remove(at);
                        self.events.push_back(Event::Answer(call, Bytes::from(bytes).slice(4..)));
                    }
                }
                None => self.replies.entry(connection).or_default().push_back(bytes),
            }
        }
        assert!(effects.closes.is_empty(), "{:?}", effects.closes);
        for call in effects.calls {
            self.call(id, call);
        }
        if effects.timer.is_some() {
            self.nodes.get_mut(&id).expect("it acts").timer = effects.timer;
        }
    }

    /// Whoever was called sees the connection end.
    fn hang_up(&mut self, Call { from, to, line, .. }: Call) {
        let connection = connection_of(from, to, line);
        self.opened.remove(&(to, connection));
        self.input(to, Input::Closed { connection });
    }

    fn call(&mut self, from: i32, PeerCall { peer, line, frame }: PeerCall) {
        let to = peer.0;
        let correlation = i32::from_be_bytes(frame[4..8].try_into().expect("four"));
        let call = Call { from, to, line, correlation };
        self.call_bytes += frame.len();
        *self.called.entry(line).or_default() += 1;
        if line == Line::Replication {
            let is_twice = self.calls.iter().any(|other| Call { correlation, ..*other } == call);
            assert!(!is_twice, "broker {from} calls {to} twice");
            self.check_call(from, &frame);
        }
        if self.cut.contains(&(from, to)) || !self.nodes.contains_key(&to) {
            return self.events.push_back(Event::Failed(call));
        }
        self.calls.push(call);
        self.events.push_back(Event::Frame(to, connection_of(from, to, line), frame));
    }

    /// A fetch position is only ever a flushed one.
    fn check_call(&mut self, from: i32, frame: &Bytes) {
        let header = RequestHeader::parse(frame).expect("a sound header");
        let request: FetchRequest = decode_request(&header, frame).expect("a sound fetch");
        let store = &self.nodes[&from].engine.owner.store;
        for partition in request.topics.iter().flat_map(|topic| &topic.partitions) {
            let slot = store.slot(self::partition(partition.partition)).expect("it is followed");
            // An empty log may be asked for from the leader's start on, if that lies within a batch.
            let is_empty = store.log_start(slot) == store.log_end(slot);
            if partition.fetch_offset > store.flushed_end(slot).0 && !is_empty {
                self.violations.push(format!("broker {from} fetches from {}", partition.fetch_offset));
            }
        }
    }

    /// Two brokers cannot reach each other from now on; what was under way is lost.
    pub fn cut_between(&mut self, a: i32, b: i32) {
        for (from, to) in [(a, b), (b, a)] {
            self.cut.insert((from, to));
            let between = |call: &mut Call| (call.from, call.to) == (from, to);
            let lost: Vec<Call> = self.calls.extract_if(.., between).collect();
            for call in lost {
                self.events.push_back(Event::Failed(call));
                self.hang_up(call);
            }
        }
        let cut = self.cut.clone();
        let is_cut = |event: &Event| match event {
            Event::Frame(to, connection, _) => {
                peers_of(*connection).is_some_and(|(from, ..)| cut.contains(&(from, *to)))
            }
            _ => false,
        };
        self.events.retain(|event| !is_cut(event));
    }

    fn decide(&mut self, id: i32, gather: GatherId, request: ControllerRequest) {
        let request = match request {
            ControllerRequest::AlterPartitions(request) => request,
            ControllerRequest::OfflineReplicas(request) => {
                self.told_offline.push((id, request.partitions.iter().map(|(_, index)| *index).collect()));
                let response = match self.controller_down {
                    true => ControllerResponse::Unavailable(ErrorCode::NotController),
                    false => ControllerResponse::OfflineReplicas(Ok(())),
                };
                let answer = ShardMessage::ControllerAnswer { gather, response };
                return self.events.push_back(Event::Message(id, answer));
            }
            ControllerRequest::AllocateProducerIds(_) => {
                self.producer_ids += 1000;
                let block = ProducerIdBlock { first: ProducerId(self.producer_ids), count: 1000 };
                let response = ControllerResponse::AllocateProducerIds(Ok(block));
                let answer = ShardMessage::ControllerAnswer { gather, response };
                return self.events.push_back(Event::Message(id, answer));
            }
            other => panic!("{other:?}"),
        };
        self.asked_for_isr.extend(request.partitions.iter().cloned());
        let response = match self.controller_down {
            true => ControllerResponse::Unavailable(ErrorCode::NotController),
            false => ControllerResponse::AlterPartitions(self.alter(&request)),
        };
        let answer = ShardMessage::ControllerAnswer { gather, response };
        self.events.push_back(Event::Message(id, answer));
    }

    fn alter(
        &mut self,
        request: &AlterPartitionsRequest,
    ) -> Vec<(TopicId, i32, Result<AlteredPartition, ErrorCode>)> {
        let mut results = Vec::new();
        for asked in &request.partitions {
            let result = self.alter_one(request.broker, asked);
            results.push((asked.topic, asked.index, result));
        }
        results
    }

    fn alter_one(&mut self, leader: NodeId, asked: &AlterPartition) -> Result<AlteredPartition, ErrorCode> {
        let known = self.image.partition(asked.topic, asked.index);
        let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?.clone();
        if known.leader != Some(leader) || known.leader_epoch != asked.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if known.partition_epoch != asked.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        for (node, epoch) in &asked.isr {
            let broker = self.image.broker(*node).filter(|broker| broker.is_active());
            if broker.is_none_or(|broker| *epoch != -1 && *epoch != broker.epoch) {
                return Err(ErrorCode::IneligibleReplica);
            }
        }
        let isr: Vec<NodeId> = asked.isr.iter().map(|(node, _)| *node).collect();
        self.apply(vec![change(asked.index, Some(isr.clone()), LeaderChange::Unchanged)]);
        let (leader_epoch, partition_epoch) = (known.leader_epoch, known.partition_epoch + 1);
        Ok(AlteredPartition { leader, leader_epoch, isr, partition_epoch })
    }

    // ---- time and clients ----

    pub fn settle(&mut self) {
        for _ in 0..200_000 {
            if let Some(event) = self.events.pop_front() {
                self.happen(event);
                continue;
            }
            let ids: Vec<i32> = self.nodes.keys().copied().collect();
            ids.into_iter().for_each(|id| self.input(id, Input::TurnEnded));
            if self.events.is_empty() {
                return;
            }
        }
        panic!("the brokers never come to rest");
    }

    /// Whether nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        self.events.is_empty()
    }

    /// One event, and the end of a broker's turn.
    pub fn step(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.happen(event);
        }
        let ids: Vec<i32> = self.nodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.input(id, Input::TurnEnded));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::File(id, token, result) => self.input(id, Input::File { token, result }),
            Event::Message(id, message) => self.input(id, Input::Message { from: QUORUM, message }),
            Event::Frame(to, connection, frame) => {
                if self.opened.insert((to, connection)) {
                    self.connect(to, connection.0);
                }
                self.input(to, Input::Frame { connection, frame });
            }
            Event::Answer(Call { from, to, line, .. }, frame) => {
                self.input(from, Input::PeerAnswer { peer: NodeId(to), line, frame });
            }
            Event::Failed(Call { from, to, line, correlation }) => {
                self.input(from, Input::PeerFailed { peer: NodeId(to), line, correlation });
            }
        }
    }

    pub fn pass_ms(&mut self, ms: u64) {
        let until = self.now.monotonic.after_ms(ms);
        loop {
            let next = self.nodes.values().filter_map(|node| node.timer).min();
            let at = next.filter(|at| *at <= until).unwrap_or(until).max(self.now.monotonic);
            let passed = (at.0 - self.now.monotonic.0) / 1_000_000;
            self.now.monotonic = at;
            self.now.unix_ms += i64::try_from(passed).expect("small");
            let due = |node: &Node| node.timer.is_some_and(|timer| timer <= at);
            let ids: Vec<i32> = self.nodes.iter().filter(|(_, node)| due(node)).map(|(id, _)| *id).collect();
            for id in &ids {
                self.nodes.get_mut(id).expect("it lives").timer = None;
                self.input(*id, Input::Timer);
            }
            self.settle();
            if at >= until && ids.is_empty() {
                return;
            }
        }
    }

    /// From now on nothing that a broker asks of its disk is answered.
    pub fn hold_disk(&mut self, id: i32) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.held.get_or_insert_default();
        }
    }

    pub fn release_disk(&mut self, id: i32) {
        let Some(held) = self.nodes.get_mut(&id).and_then(|node| node.held.take()) else { return };
        self.events.extend(held.into_iter().map(|(token, result)| Event::File(id, token, result)));
        self.settle();
    }

    /// Something happens to a broker.
    pub fn tell(&mut self, id: i32, input: Input) {
        self.input(id, input);
        self.settle();
    }

    /// A broker hears that its disk is gone.
    pub fn lose_directory(&mut self, id: i32) {
        let message = ShardMessage::DirectoryOffline(Fatal::new("the disk is gone".to_owned()));
        self.input(id, Input::Message { from: QUORUM, message });
        self.settle();
    }

    pub fn connect(&mut self, id: i32, number: u64) -> ConnectionId {
        let connection = ConnectionId(number);
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        self.input(id, Input::Opened { connection, listener: ListenerId(0), peer });
        connection
    }

    pub fn send<T: Request>(&mut self, id: i32, connection: ConnectionId, version: i16, request: &T) {
        self.correlation += 1;
        let bytes = encode_request(self.correlation, Some("test"), version, request).expect("encodes");
        self.input(id, Input::Frame { connection, frame: bytes.slice(4..) });
    }

    pub fn response<T: Decodable + HeaderVersion>(
        &mut self,
        connection: ConnectionId,
        version: i16,
    ) -> Option<T> {
        let frame = Bytes::from(self.replies.get_mut(&connection)?.pop_front()?);
        Some(decode_response(version, &frame.slice(4..)).expect("decodes").1)
    }

    // ---- what is there ----

    pub fn marks(&self, id: i32, index: i32) -> (Offset, Offset, Offset) {
        let store = &self.nodes[&id].engine.owner.store;
        let slot = store.slot(partition(index)).expect("it is a replica");
        (store.log_start(slot), store.high_watermark(slot), store.log_end(slot))
    }

    /// All whole batches of a replica below an offset, as they stand in its log, each with its base offset.
    pub fn batches(&mut self, id: i32, index: i32, below: Offset) -> BTreeMap<i64, Vec<u8>> {
        let (start, _, end) = self.marks(id, index);
        let mut from = start;
        let mut found = BTreeMap::new();
        while from < end.min(below) {
            let request = ReadRequest { from, max_bytes: 1 << 20, up_to: end, at_least_one: true };
            let node = self.nodes.get_mut(&id).expect("it lives");
            let slot = node.engine.owner.store.slot(partition(index)).expect("it is a replica");
            let mut out = Vec::new();
            let read = node.engine.owner.store.read_unflushed(slot, request, &mut out);
            self.take(id, Effects { files: out, ..Effects::default() });
            let bytes = match read {
                Err(ReadError::Later) => {
                    self.settle();
                    continue;
                }
                other => Files::bytes_of(&other.expect("in range").parts),
            };
            let before = from;
            for batch in Batches::new(&bytes).map_while(Result::ok) {
                let header = batch.header();
                if header.last_offset() >= from {
                    from = header.next_offset();
                    if from <= below {
                        found.insert(header.base_offset().0, batch.bytes().to_vec());
                    }
                }
            }
            assert!(from > before, "broker {id}: a read at {before} of {end} gave nothing");
        }
        found
    }
}

fn change(index: i32, isr: Option<Vec<NodeId>>, leader: LeaderChange) -> Record {
    Record::PartitionChange(PartitionChangeRecord {
        topic: TOPIC_ID,
        index,
        isr,
        leader,
        ..PartitionChangeRecord::default()
    })
}

/// Connections of brokers have numbers of their own, from one million on for the first line, two for the second.
fn connection_of(from: i32, to: i32, line: Line) -> ConnectionId {
    let place = line.place() as u64;
    let pair = u64::from(from.unsigned_abs()) * 100 + u64::from(to.unsigned_abs());
    ConnectionId((1 + place) * 1_000_000 + pair)
}

fn peers_of(connection: ConnectionId) -> Option<(i32, i32, Line)> {
    let place = usize::try_from((connection.0 / 1_000_000).checked_sub(1)?).ok()?;
    let pair = i32::try_from(connection.0 % 1_000_000).ok()?;
    Some((pair / 100, pair % 100, *Line::ALL.get(place)?))
}
