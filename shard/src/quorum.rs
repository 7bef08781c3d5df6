//! The quorum's shard: raft-meta's quorum, the controller's desk, and the images that go to the data shards.

use crate::node::Report;
use corelane_core::{
    controller::{ApiError, BrokerHeartbeatRequest, HeartbeatReply, RegisterBrokerRequest, Settings},
    engine::{ControllerRequest, ControllerResponse, Desk, DeskEffects, Random, ReplyTo, ShardMessage},
    error::{ErrorCode, Fatal},
    metadata::Image,
};
use corelane_raft_meta::{ProposeError, Quorum, QuorumInput, QuorumOutput};
use corelane_seam::{Completion, Monotonic, Now, Operation, Shard, ShardId};
use std::sync::mpsc::Sender;
use tracing::{error, info, warn};

/// How often this node's broker says that it lives; Kafka's default.
const HEARTBEAT_INTERVAL_MS: u64 = 2_000;
/// How soon it asks again while it is fenced.
const FENCED_INTERVAL_MS: u64 = 100;

type Operations = Vec<Operation<ShardMessage>>;

/// What the quorum's shard is told once.
pub struct QuorumShardSettings {
    /// How many data shards there are.
    pub data_shards: u16,
    /// What the controller decides by.
    pub controller: Settings,
    /// How this broker introduces itself; its cluster id is the directory's.
    pub registration: RegisterBrokerRequest,
    /// For topic ids.
    pub seed: u64,
    /// Where it reports.
    pub reports: Sender<Report>,
}

/// The quorum's shard.
pub struct QuorumShard {
    quorum: Quorum,
    desk: Desk,
    registration: RegisterBrokerRequest,
    data_shards: u16,
    random: Random,
    image: Image,
    next_proposal: u64,
    /// This broker is registered and unfenced; its shards are told of changes.
    introduced: bool,
    /// Of this broker's registration, once it is committed.
    broker_epoch: Option<i64>,
    /// When this broker says again that it lives. `None` while it is not registered, or waits for an answer.
    heartbeat_at: Option<Monotonic>,
    image_changed: bool,
    timer_set: Option<Monotonic>,
    reports: Sender<Report>,
    drained: u16,
    stopping: bool,
    stopped: bool,
}

impl QuorumShard {
    /// Over an opened quorum.
    pub fn new(quorum: Quorum, settings: QuorumShardSettings) -> QuorumShard {
        QuorumShard {
            quorum,
            desk: Desk::new(settings.controller),
            registration: settings.registration,
            data_shards: settings.data_shards,
            random: Random(settings.seed),
            image: Image::default(),
            next_proposal: 0,
            introduced: false,
            broker_epoch: None,
            heartbeat_at: None,
            image_changed: false,
            timer_set: None,
            reports: settings.reports,
            drained: 0,
            stopping: false,
            stopped: false,
        }
    }

    /// Runs the quorum until it has nothing more to say.
    fn run(&mut self, now: Now, out: &mut Operations) {
        let mut outputs = Vec::new();
        self.look_after(now, out);
        self.quorum.poll(now, &mut outputs);
        while !outputs.is_empty() {
            let mut effects = DeskEffects::default();
            for output in outputs.drain(..) {
                self.output(now, output, &mut effects, out);
            }
            self.tell(effects, out, now);
            self.look_after(now, out);
            self.quorum.poll(now, &mut outputs);
        }
        let deadlines = [self.quorum.next_deadline(), self.desk.next_deadline(), self.heartbeat_at];
        let next = deadlines.into_iter().flatten().min();
        if let Some(at) = next.filter(|_| next != self.timer_set) {
            self.timer_set = next;
            out.push(Operation::Timer { at });
        }
    }

    /// This broker says that it lives, if that is due, and only then the controller looks who does not: both may have been
    /// held up together.
    fn look_after(&mut self, now: Now, out: &mut Operations) {
        let mut effects = DeskEffects::default();
        if let Some(epoch) =
            self.broker_epoch.filter(|_| self.heartbeat_at.is_some_and(|at| at <= now.monotonic))
        {
            self.heartbeat_at = None;
            let heartbeat = BrokerHeartbeatRequest {
                id: self.registration.id,
                epoch,
                applied: self.image.last_applied(),
                want_fence: false,
                want_shut_down: false,
                offline_directories: Vec::new(),
            };
            self.ask_itself(now, ControllerRequest::Heartbeat(heartbeat), &mut effects);
        }
        self.desk.tick(now.monotonic, &mut effects);
        self.tell(effects, out, now);
    }

    fn ask_itself(&mut self, now: Now, request: ControllerRequest, effects: &mut DeskEffects) {
        let random = &mut self.random;
        self.desk.ask(now.monotonic, ReplyTo::Itself, request, &mut || random.uuid(), effects);
    }

    fn output(&mut self, now: Now, output: QuorumOutput, effects: &mut DeskEffects, out: &mut Operations) {
        match output {
            QuorumOutput::File { token, operation } => out.push(Operation::File { token, operation }),
            // A quorum of one calls no one, and is not called.
            QuorumOutput::Call { .. } | QuorumOutput::Answer { .. } => {}
            QuorumOutput::Applied { offset, batch, image } => {
                self.image = image;
                self.image_changed = true;
                self.desk.applied(offset, &batch, effects);
            }
            QuorumOutput::ImageReplaced { image, .. } => {
                self.image = image;
                self.image_changed = true;
            }
            QuorumOutput::Proposed { result: Ok(_), .. } => {}
            QuorumOutput::Proposed { result: Err(error), .. } => self.proposal_failed(now, &error, effects),
            QuorumOutput::LeaderChanged { writable: true, term, .. } => {
                info!(term, "this node leads the metadata quorum");
                self.desk.lead(now.monotonic, self.image.clone());
                self.introduce(now, effects);
            }
            QuorumOutput::LeaderChanged { writable: false, .. } => {
                self.desk.resign(self.image.clone(), effects)
            }
            QuorumOutput::Fatal(fatal) => self.fatal(fatal, out),
            QuorumOutput::Stopped => self.end(out),
        }
    }

    /// What was decided behind a proposal without effect leaned on it: start over from what is committed.
    fn proposal_failed(&mut self, now: Now, error: &ProposeError, effects: &mut DeskEffects) {
        warn!("a metadata change had no effect: {error}");
        match error {
            ProposeError::Violated(_)
            | ProposeError::LeaseExpired
            | ProposeError::TooLarge { .. }
            | ProposeError::Busy => {
                self.desk.resign(self.image.clone(), effects);
                self.desk.lead(now.monotonic, self.image.clone());
                self.introduce(now, effects);
            }
            ProposeError::NotLeader { .. }
            | ProposeError::LeadershipLost
            | ProposeError::Stopped
            | ProposeError::Fatal(_) => self.desk.resign(self.image.clone(), effects),
        }
    }

    /// Forms the cluster if that has not happened, and registers this broker. Said again by the same process, it changes nothing.
    fn introduce(&mut self, now: Now, effects: &mut DeskEffects) {
        let cluster_id = self.quorum.cluster_id().to_owned();
        self.registration.cluster_id.clone_from(&cluster_id);
        self.heartbeat_at = None;
        match self.desk.form_cluster(&cluster_id, effects) {
            Ok(()) => {
                let registration = ControllerRequest::RegisterBroker(self.registration.clone());
                self.ask_itself(now, registration, effects);
            }
            Err(refused) => self.cannot_join(&refused),
        }
    }

    fn cannot_join(&mut self, refused: &ApiError) {
        let text = format!("this broker cannot join its cluster: {refused}");
        error!("{text}");
        // Whoever started the broker may have gone; nothing depends on it.
        let _ = self.reports.send(Report::Fatal(Fatal::new(text)));
    }

    /// What the controller answered this broker.
    fn answered(&mut self, now: Now, response: ControllerResponse) {
        match response {
            ControllerResponse::RegisterBroker(Ok(epoch)) => {
                self.broker_epoch = Some(epoch);
                self.heartbeat_at = Some(now.monotonic);
            }
            ControllerResponse::RegisterBroker(Err(refused)) => self.cannot_join(&refused),
            ControllerResponse::Heartbeat(Ok(HeartbeatReply { fenced, .. })) => {
                self.introduced |= !fenced;
                let pause_ms = if fenced { FENCED_INTERVAL_MS } else { HEARTBEAT_INTERVAL_MS };
                self.heartbeat_at = Some(now.monotonic.after_ms(pause_ms));
            }
            ControllerResponse::Heartbeat(Err(refused)) => {
                warn!("a heartbeat was refused: {refused}");
                self.heartbeat_at = Some(now.monotonic.after_ms(FENCED_INTERVAL_MS));
            }
            // The leadership is lost; whoever leads next is introduced to.
            ControllerResponse::Unavailable(ErrorCode::NotController) => {}
            other => debug_assert!(false, "this broker did not ask for {other:?}"),
        }
    }

    /// Proposes, tells the shards of a new image, then sends the replies that lean on it.
    fn tell(&mut self, effects: DeskEffects, out: &mut Operations, now: Now) {
        for batch in effects.proposals {
            self.next_proposal += 1;
            self.quorum.handle(now, QuorumInput::Propose { id: self.next_proposal, batch });
        }
        for response in effects.own_replies {
            self.answered(now, response);
        }
        if self.introduced && std::mem::take(&mut self.image_changed) {
            for to in (0..self.data_shards).map(ShardId) {
                out.push(Operation::Message {
                    to,
                    message: ShardMessage::Image(Box::new(self.image.clone())),
                });
            }
        }
        out.extend(effects.replies.into_iter().map(|(to, message)| Operation::Message { to, message }));
    }

    fn message(&mut self, now: Now, from: ShardId, message: ShardMessage, out: &mut Operations) {
        match message {
            ShardMessage::AskController { gather, request } => {
                let mut effects = DeskEffects::default();
                let random = &mut self.random;
                self.desk.stand(self.quorum.standing(now));
                let to = ReplyTo::Gather(from, gather);
                self.desk.ask(now.monotonic, to, request, &mut || random.uuid(), &mut effects);
                self.tell(effects, out, now);
            }
            ShardMessage::DirectoryOffline(fatal) => {
                error!("the log directory is offline, nothing is acknowledged until a restart: {fatal}");
            }
            ShardMessage::Drained => {
                self.drained += 1;
                self.stop_if_drained(now);
            }
            ShardMessage::Ask { .. }
            | ShardMessage::Answer { .. }
            | ShardMessage::Forget { .. }
            | ShardMessage::ControllerAnswer { .. }
            | ShardMessage::Image(_)
            | ShardMessage::AsksNoMore => {
                debug_assert!(false, "a data shard's word came to the quorum's shard")
            }
        }
    }

    /// The quorum goes last: data shards may still need it.
    fn stop_if_drained(&mut self, now: Now) {
        if self.stopping && self.drained == self.data_shards {
            self.quorum.handle(now, QuorumInput::Stop);
        }
    }

    fn fatal(&mut self, fatal: Fatal, out: &mut Operations) {
        error!("the metadata quorum cannot go on: {fatal}");
        for to in (0..self.data_shards).map(ShardId) {
            out.push(Operation::Message { to, message: ShardMessage::DirectoryOffline(fatal.clone()) });
        }
        // Whoever started the broker may have gone; nothing depends on it.
        let _ = self.reports.send(Report::Fatal(fatal));
        self.end(out);
    }

    fn end(&mut self, out: &mut Operations) {
        if !self.stopped {
            self.stopped = true;
            out.push(Operation::Stopped);
        }
    }
}

impl Shard for QuorumShard {
    type Message = ShardMessage;

    fn start(&mut self, now: Now, out: &mut Operations) {
        self.run(now, out);
    }

    fn complete(&mut self, now: Now, completion: Completion<ShardMessage>, out: &mut Operations) {
        match completion {
            Completion::File { token, result } => {
                self.quorum.handle(now, QuorumInput::FileCompletion(token, result));
            }
            Completion::Message { from, message } => self.message(now, from, message, out),
            Completion::Timer => self.timer_set = None,
            Completion::Stop => {
                self.stopping = true;
                self.stop_if_drained(now);
            }
            Completion::Accepted { connection, .. } => out.push(Operation::Close { connection }),
            Completion::Connected { .. }
            | Completion::Received { .. }
            | Completion::Sent { .. }
            | Completion::Closed { .. } => {}
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
