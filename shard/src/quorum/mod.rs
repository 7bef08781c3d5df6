//! The quorum's shard: raft-meta's quorum, the controller's desk, this broker's life in its cluster, and the images that
//! go to the data shards.
//!
//! - `server`: the controller's listener; other nodes' calls.
//! - `member`: this node's part in the quorum, with a vote or without.
//! - `nodes`: calls of other nodes, and to them; who is not connected any more (`parted`).
//! - `announce`: what this node says of itself as a voter.
//! - `addresses`: where the quorum's nodes are.
//! - `front`: clients of Kafka's protocol on the controller's listener.
//! - `requests`, `control`: this node's requests for the active controller, wherever it is.

mod addresses;
mod announce;
mod control;
mod front;
mod member;
mod nodes;
mod parted;
mod requests;
mod server;
mod stop;

use crate::{
    assemble::idle_max,
    log_control::LogControl,
    node::Report,
    peers::{Ended, PeerSettings, Peers},
};
use addresses::Addresses;
pub use announce::Announcement;
use announce::Announcer;
use control::{Control, Leader, Origin};
use corelane_core::{
    config::BrokerConfig,
    controller::{RegisterBrokerRequest, Settings},
    engine::{BrokerLife, Desk, DeskEffects, Front, FrontEffects, LifeSettings, Place, Random, ShardMessage},
    ids::NodeId,
    log::Fault,
    metadata::Image,
    wire::{PEER_FRAME_BYTES_MAX, PeerKind, PeerRequest},
};
use corelane_raft_meta::{ProposeError, QuorumInput, QuorumOutput};
use corelane_seam::{Completion, Monotonic, Now, Operation, Shard, ShardId};
pub use member::Member;
use parted::Parted;
use server::{Server, controller_answer};
use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};
use tracing::{error, info, warn};

type Operations = Vec<Operation<ShardMessage>>;

/// A node that owes an answer for so long is taken for gone: the quorum gives up on a call much sooner.
const PEER_SILENCE_MAX: Duration = Duration::from_secs(5);

/// What stands before an answer's body.
const CORRELATION_BYTES: usize = 4;

/// What the quorum's shard is told once.
pub struct QuorumShardSettings {
    /// Which node this is.
    pub node: NodeId,
    /// How many data shards there are; none, if this node is no broker.
    pub data_shards: u16,
    /// What the controller decides by.
    pub controller: Settings,
    /// How this broker introduces itself, with the directory's cluster id, and how it lives in its cluster; `None`: it is
    /// only a controller.
    pub broker: Option<(RegisterBrokerRequest, LifeSettings)>,
    /// What it says of itself to the active controller; `None`: it is only a broker.
    pub announcement: Option<Announcement>,
    /// For topic ids.
    pub seed: u64,
    /// A bug on purpose, for tests that prove that tests can fail.
    pub fault: Fault,
    /// The configuration, which clients of the controller's listener ask for.
    pub config: Arc<BrokerConfig>,
    /// The log of this process.
    pub log: LogControl,
    /// Where it reports.
    pub reports: Sender<Report>,
}

/// The quorum's shard.
pub struct QuorumShard {
    quorum: Member,
    desk: Desk,
    /// None of a node that is only a controller.
    /// As the broker registers with.
    data_directories: Vec<uuid::Uuid>,
    life: Option<BrokerLife>,
    announcer: Option<Announcer>,
    node: NodeId,
    leader: Leader,
    term: u64,
    data_shards: u16,
    random: Random,
    fault: Fault,
    image: Image,
    image_changed: bool,
    /// Nothing is acknowledged here any more.
    directory_offline: bool,
    /// The controller was told last that the disk is full.
    said_full: bool,
    /// This broker was let in: its shards are told of the metadata from then on.
    introduced: bool,
    /// A node that is only a controller has said that it serves.
    serves: bool,
    next_proposal: u64,
    control: Control,
    server: Server,
    front: Front,
    log: LogControl,
    peers: Peers,
    voters: Vec<NodeId>,
    addresses: Addresses,
    parted: Parted,
    ended: Vec<Ended>,
    /// The quorum's calls that are under way, by their correlation ids on the wire.
    quorum_calls: BTreeMap<i32, u64>,
    next_correlation: i32,
    timer_set: Option<Monotonic>,
    reports: Sender<Report>,
    stop: Stop,
    drained: u16,
    stopped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// Asked for: leaderships are to move away first.
    Asked,
    /// The data shards were told.
    Told,
}

impl QuorumShard {
    /// Over an opened quorum.
    pub fn new(quorum: Member, settings: QuorumShardSettings) -> QuorumShard {
        let node = settings.node;
        let quorum_shard = ShardId(settings.data_shards);
        let place = Place { shard: quorum_shard, shards: settings.data_shards, quorum: quorum_shard, node };
        let mut random = Random(settings.seed);
        let front =
            Front::new(place, Arc::clone(&settings.config), settings.log.loggers().clone(), random.draw());
        let peers = PeerSettings { silence_max: PEER_SILENCE_MAX, frame_bytes_max: PEER_FRAME_BYTES_MAX };
        QuorumShard {
            quorum,
            desk: Desk::new(settings.controller),
            data_directories: settings
                .broker
                .as_ref()
                .map_or_else(Vec::new, |(registration, _)| registration.directories.clone()),
            life: settings.broker.map(|(registration, life)| BrokerLife::new(registration, life)),
            announcer: settings.announcement.map(Announcer::new),
            node,
            leader: Leader::Unknown,
            term: 0,
            data_shards: settings.data_shards,
            random,
            fault: settings.fault,
            image: Image::default(),
            image_changed: false,
            directory_offline: false,
            said_full: false,
            introduced: false,
            serves: false,
            next_proposal: 0,
            control: Control::new(node),
            server: Server::new(idle_max(&settings.config)),
            front,
            log: settings.log,
            peers: Peers::new(peers),
            voters: Vec::new(),
            addresses: Addresses::default(),
            parted: Parted::default(),
            ended: Vec::new(),
            quorum_calls: BTreeMap::new(),
            next_correlation: 0,
            timer_set: None,
            reports: settings.reports,
            stop: Stop::No,
            drained: 0,
            stopped: false,
        }
    }

    /// The term in which this node leads the quorum, for the simulator's invariants.
    pub fn leads(&self) -> Option<u64> {
        (self.leader == Leader::Here).then_some(self.term)
    }

    /// The metadata as far as this node knows it.
    pub fn image(&self) -> &Image {
        &self.image
    }

    fn locate_voters(&mut self, now: Now, out: &mut Operations) {
        self.voters = self.quorum.voters();
        self.addresses.set(self.quorum.controllers());
        for (voter, address) in self.addresses.current() {
            if voter != self.node {
                self.peers.locate(now, voter, Some(address), out, &mut self.ended);
            }
        }
    }

    /// Runs everything until it has nothing more to say.
    fn run(&mut self, now: Now, out: &mut Operations) {
        let mut effects = DeskEffects::default();
        self.desk.tick(now.monotonic, &mut effects);
        self.peers.expire(now, out, &mut self.ended);
        self.server.sweep(now, out);
        let mut of_clients = FrontEffects::default();
        self.front.tick(now, &mut of_clients);
        self.answer_clients(now, of_clients, out);
        loop {
            self.live(now);
            self.announce(now);
            self.pursue(now, &mut effects, out);
            self.calls_ended(now, &mut effects, out);
            self.tell(now, std::mem::take(&mut effects), out);
            let mut outputs = Vec::new();
            self.quorum.poll(now, &mut outputs);
            if outputs.is_empty() && self.ended.is_empty() {
                break;
            }
            for output in outputs {
                self.output(now, output, &mut effects, out);
            }
        }
        self.stop_if_let_go(out);
        if self.stopped {
            // The very last word.
            out.push(Operation::Stopped);
        } else {
            self.set_timer(out);
        }
    }

    fn set_timer(&mut self, out: &mut Operations) {
        let deadlines = [
            self.quorum.next_deadline(),
            self.desk.next_deadline(),
            self.life.as_ref().and_then(BrokerLife::next_deadline),
            self.peers.next_deadline(),
            self.control.next_deadline(self.leader),
            self.front.next_deadline(),
            self.server.next_sweep(),
            self.announcer.as_ref().and_then(|it| it.next_deadline(&self.quorum)),
        ];
        let next = deadlines.into_iter().flatten().min();
        if let Some(at) = next.filter(|_| next != self.timer_set) {
            self.timer_set = next;
            out.push(Operation::Timer { at });
        }
    }

    fn output(&mut self, now: Now, output: QuorumOutput, effects: &mut DeskEffects, out: &mut Operations) {
        match output {
            QuorumOutput::File { token, operation } => out.push(Operation::File { token, operation }),
            QuorumOutput::Call { id, to, body } => {
                let correlation = self.correlation();
                self.quorum_calls.insert(correlation, id);
                let call = PeerRequest { correlation, from: self.node, kind: PeerKind::Quorum, body };
                self.peers.call(now, to, call.encode(), out, &mut self.ended);
            }
            QuorumOutput::Answer { id, body } => self.server.answer(id, &body, out),
            QuorumOutput::Applied { offset, batch, image } => {
                self.take_image(image);
                self.desk.applied(offset, &batch, effects);
            }
            QuorumOutput::ImageReplaced { image, .. } => self.take_image(image),
            QuorumOutput::Proposed { result: Ok(_), .. } => {}
            QuorumOutput::Proposed { result: Err(error), .. } => self.proposal_failed(now, &error, effects),
            QuorumOutput::LeaderChanged { leader, term, writable } => {
                self.locate_voters(now, out);
                self.leader_changed(now, leader, term, writable, effects);
            }
            QuorumOutput::Located(_) => self.locate_voters(now, out),
            QuorumOutput::VotersChanged { id, result } => {
                let standing = self.quorum.standing(now);
                self.desk.voters_changed(id, &result, standing, effects);
            }
            QuorumOutput::Fatal(fatal) => self.fatal(now, fatal, out),
            QuorumOutput::Stopped => self.end(now, out),
        }
    }

    fn take_image(&mut self, image: Image) {
        self.front.take_image(image.clone());
        self.image = image;
        self.image_changed = true;
    }

    fn leader_changed(
        &mut self,
        now: Now,
        leader: Option<NodeId>,
        term: u64,
        writable: bool,
        effects: &mut DeskEffects,
    ) {
        let led = self.leader == Leader::Here;
        self.term = term;
        self.leader = match leader {
            Some(leader) if leader == self.node && writable => Leader::Here,
            Some(leader) if leader != self.node => Leader::There(leader),
            Some(_) | None => Leader::Unknown,
        };
        match self.leader {
            Leader::Here => {
                info!(term, "this node leads the metadata quorum");
                self.desk.lead(now.monotonic, self.image.clone());
                if let Err(refused) = self.desk.form_cluster(self.quorum.cluster_id(), effects) {
                    self.refused(&refused.to_string());
                }
                for (node, parting) in self.parted.nodes() {
                    self.desk.parted(now.monotonic, node, parting, effects);
                }
            }
            Leader::There(leader) => info!(term, leader = leader.0, "another node leads the metadata quorum"),
            Leader::Unknown => {}
        }
        // Another controller, or none: whoever it is hears of this broker at once.
        self.hurry(now);
        if self.life.is_none() && leader.is_some() && !std::mem::replace(&mut self.serves, true) {
            // Whoever started this node may have gone; nothing depends on it.
            let _ = self.reports.send(Report::Serving);
        }
        if led && self.leader != Leader::Here {
            self.desk.resign(self.image.clone(), effects);
        }
    }

    /// What was decided behind a proposal without effect leaned on it: start over from what is committed.
    fn proposal_failed(&mut self, now: Now, error: &ProposeError, effects: &mut DeskEffects) {
        warn!("a metadata change had no effect: {error}");
        self.desk.resign(self.image.clone(), effects);
        match error {
            ProposeError::Violated(_)
            | ProposeError::LeaseExpired
            | ProposeError::TooLarge { .. }
            | ProposeError::Busy => {
                self.desk.lead(now.monotonic, self.image.clone());
            }
            ProposeError::NotLeader { .. }
            | ProposeError::LeadershipLost
            | ProposeError::Stopped
            | ProposeError::Fatal(_) => {}
        }
    }

    /// Proposes, tells the shards of a new image, then sends the replies that lean on it.
    fn tell(&mut self, now: Now, effects: DeskEffects, out: &mut Operations) {
        for batch in effects.proposals {
            self.next_proposal += 1;
            self.quorum.handle(now, QuorumInput::Propose { id: self.next_proposal, batch });
        }
        let is_let_in = self.life.as_ref().is_some_and(|life| life.is_let_in_by(&self.image));
        self.introduced |= is_let_in || self.fault == Fault::LeadAsBefore;
        for (id, change) in effects.voter_changes {
            self.quorum.handle(now, QuorumInput::ChangeVoters { id, change });
        }
        if self.introduced && std::mem::take(&mut self.image_changed) {
            for to in self.shards() {
                let message = ShardMessage::Image(Box::new(self.image.clone()));
                out.push(Operation::Message { to, message });
            }
        }
        out.extend(effects.replies.into_iter().map(|(to, message)| Operation::Message { to, message }));
        for (call, response) in effects.peer_replies {
            self.server.answer(call, &controller_answer(self.applied_end(), &response.encode()), out);
        }
        for (gather, response) in effects.front_replies {
            self.deliver(now, Origin::Front(gather), response, out);
        }
        for response in effects.own_replies {
            self.life_answered(now, response);
        }
        for response in effects.announcer_replies {
            self.announced(now, &response);
        }
        for (origin, response) in self.control.caught_up(self.applied_end()) {
            self.deliver(now, origin, response, out);
        }
    }

    fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.data_shards).map(ShardId)
    }

    fn applied_end(&self) -> u64 {
        self.image.last_applied().map_or(0, |offset| offset.0 + 1)
    }

    fn correlation(&mut self) -> i32 {
        self.next_correlation = self.next_correlation.wrapping_add(1);
        self.next_correlation
    }

    // ---- shards of this node ----

    fn message(&mut self, now: Now, from: ShardId, message: ShardMessage, out: &mut Operations) {
        match message {
            ShardMessage::AskController { gather, request } => {
                self.control.ask(now, Origin::Shard(from, gather), request);
            }
            ShardMessage::DirectoryOffline(fatal) => {
                error!("the log directory is offline, nothing is acknowledged until a restart: {fatal}");
                self.directory_offline = true;
            }
            ShardMessage::DiskFull(is_full) => {
                // Without data shards there is nobody to say so.
                self.life.iter_mut().for_each(|life| life.disk(now.monotonic, from, is_full));
            }
            ShardMessage::Drained => {
                self.drained += 1;
                if self.drained == self.data_shards {
                    // The quorum goes last: data shards may have needed it.
                    self.quorum.handle(now, QuorumInput::Stop);
                }
            }
            ShardMessage::Answer { gather, response } => self.owner_answered(now, gather, response, out),
            ShardMessage::Ask { .. }
            | ShardMessage::Forget { .. }
            | ShardMessage::EndSession { .. }
            | ShardMessage::ControllerAnswer { .. }
            | ShardMessage::Image(_)
            | ShardMessage::Throttled { .. }
            | ShardMessage::PeerGone(_)
            | ShardMessage::AsksNoMore
            | ShardMessage::Stop => {
                debug_assert!(false, "a data shard's word came to the quorum's shard")
            }
        }
    }
}

impl Shard for QuorumShard {
    type Message = ShardMessage;

    fn start(&mut self, now: Now, out: &mut Operations) {
        self.locate_voters(now, out);
        self.run(now, out);
    }

    fn complete(&mut self, now: Now, completion: Completion<ShardMessage>, out: &mut Operations) {
        match completion {
            Completion::File { token, result } => {
                self.quorum.handle(now, QuorumInput::FileCompletion(token, result));
            }
            Completion::Message { from, message } => self.message(now, from, message, out),
            Completion::Timer => self.timer_set = None,
            Completion::Stop => self.stop(now),
            Completion::Accepted { connection, listener, peer, .. } => {
                self.front.opened(connection, listener, peer);
                self.server.accepted(now, connection, peer, out);
            }
            Completion::Connected { token, result } => {
                self.peers.connected(now, token, result, out, &mut self.ended);
            }
            Completion::Received { connection, buffer, bytes } if self.peers.holds(connection) => {
                self.peers.received(now, connection, buffer, bytes, out, &mut self.ended);
            }
            Completion::Received { connection, buffer, bytes } => {
                let heard = self.server.received(now, connection, buffer, bytes, out);
                self.called(now, heard.calls, out);
                self.asked(now, heard.frames, out);
            }
            Completion::Sent { connection } if self.peers.holds(connection) => {
                self.peers.sent(connection, out);
            }
            Completion::Sent { connection } => self.server.sent(connection, out),
            Completion::Closed { connection, .. } if self.peers.holds(connection) => {
                self.peers.closed(now, connection, &mut self.ended);
            }
            Completion::Closed { connection, .. } => {
                self.server.closed(connection);
                self.front.closed(connection);
            }
        }
    }

    fn end_of_turn(&mut self, now: Now, out: &mut Operations) {
        if !self.stopped {
            self.run(now, out);
        }
    }

    fn busy_with(&self) -> String {
        "metadata".to_owned()
    }
}
