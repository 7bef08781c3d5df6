//! The controller's desk: requests come in from data shards and from this node itself, batches go out to the quorum,
//! replies wait until what they lean on is committed and applied.

use super::{GatherId, ShardMessage};
use crate::{
    controller::{
        AllocateProducerIdsRequest, AlterConfigsRequest, AlterPartitionsRequest, AlteredPartitions, ApiError,
        BrokerHeartbeatRequest, ChangeError, Controller, CreatePartitionsRequest, CreateTopicsRequest,
        CreatedTopic, Decision, DeleteTopicsRequest, DeletedTopicResult, ElectLeadersRequest, ElectedTopic,
        HeartbeatReply, ListReassignmentsRequest, NamedResult, OfflineReplicasRequest, Parting,
        ProducerIdBlock, ReassignPartitionsRequest, Reassigned, RegisterBrokerRequest, Registrant,
        ResourceResult, Settings, TopicReassignments, UnregisterBrokerRequest, UpdateFeaturesRequest,
        VoterChange, VoterKey,
    },
    error::ErrorCode,
    ids::NodeId,
    metadata::{Batch, Image, MetadataOffset},
};
use corelane_seam::{Monotonic, ShardId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// What is asked of the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerRequest {
    /// CreateTopics, or a Metadata that creates what is missing.
    CreateTopics(CreateTopicsRequest),
    /// DeleteTopics.
    DeleteTopics(DeleteTopicsRequest),
    /// CreatePartitions.
    CreatePartitions(CreatePartitionsRequest),
    /// IncrementalAlterConfigs, AlterConfigs.
    AlterConfigs(AlterConfigsRequest),
    /// A block of producer ids for a data shard.
    AllocateProducerIds(AllocateProducerIdsRequest),
    /// ElectLeaders.
    ElectLeaders(ElectLeadersRequest),
    /// UpdateFeatures.
    UpdateFeatures(UpdateFeaturesRequest),
    /// DescribeQuorum.
    DescribeQuorum,
    /// A broker's process introduces itself.
    RegisterBroker(RegisterBrokerRequest),
    /// A broker says that it lives.
    Heartbeat(BrokerHeartbeatRequest),
    /// UnregisterBroker.
    UnregisterBroker(UnregisterBrokerRequest),
    /// A leader says who is in sync.
    AlterPartitions(AlterPartitionsRequest),
    /// AlterPartitionReassignments.
    ReassignPartitions(ReassignPartitionsRequest),
    /// ListPartitionReassignments.
    ListReassignments(ListReassignmentsRequest),
    /// A broker cannot serve some of its replicas any more.
    OfflineReplicas(OfflineReplicasRequest),
    /// AddRaftVoter, RemoveRaftVoter; or a voter says where it is reached.
    ChangeVoters(VoterChange),
}

/// How far the quorum's log has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumStanding {
    /// Who leads, as this node knows.
    pub leader: Option<NodeId>,
    /// The leader's epoch.
    pub term: u64,
    /// Everything below it is committed, and applied here.
    pub committed_end: u64,
    /// The index that the next entry gets.
    pub log_end: u64,
    /// How far each voter has come, itself included. Of a leader only.
    pub voters: Vec<VoterStanding>,
    /// How far each node has come that follows without a vote. Of a leader only.
    pub observers: Vec<VoterStanding>,
    /// Where voters are reached (`HOST:PORT`), as far as anybody has said. Of a leader only.
    pub endpoints: Vec<(NodeId, String)>,
}

/// How far a voter or an observer has come, as the leader knows. Times are of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterStanding {
    /// Which.
    pub node: NodeId,
    /// The directory that it is recorded with.
    pub directory: Option<u128>,
    /// What it has flushed ends below this index; `None` if it has not been heard of.
    pub log_end: Option<u64>,
    /// When it was last sent what it has answered.
    pub last_fetch_ms: Option<i64>,
    /// When it last had everything that the leader had.
    pub last_caught_up_ms: Option<i64>,
}

/// The controller's answer, of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerResponse {
    /// CreateTopics.
    CreateTopics(Vec<NamedResult<CreatedTopic>>),
    /// DeleteTopics.
    DeleteTopics(Vec<DeletedTopicResult>),
    /// CreatePartitions.
    CreatePartitions(Vec<NamedResult<()>>),
    /// IncrementalAlterConfigs, AlterConfigs.
    AlterConfigs(Vec<ResourceResult>),
    /// A block of producer ids.
    AllocateProducerIds(Result<ProducerIdBlock, ApiError>),
    /// ElectLeaders.
    ElectLeaders(Vec<ElectedTopic>),
    /// UpdateFeatures.
    UpdateFeatures(Result<(), ApiError>),
    /// DescribeQuorum.
    DescribeQuorum(QuorumStanding),
    /// The broker's epoch.
    RegisterBroker(Result<i64, ApiError>),
    /// What the broker is told.
    Heartbeat(Result<HeartbeatReply, ApiError>),
    /// UnregisterBroker.
    UnregisterBroker(Result<(), ApiError>),
    /// Each partition as it is now.
    AlterPartitions(AlteredPartitions),
    /// AlterPartitionReassignments.
    ReassignPartitions(Reassigned),
    /// ListPartitionReassignments.
    ListReassignments(Vec<TopicReassignments>),
    /// Others lead what they can.
    OfflineReplicas(Result<(), ApiError>),
    /// AddRaftVoter, RemoveRaftVoter; or a voter says where it is reached.
    ChangeVoters(Result<(), ApiError>),
    /// The quorum cannot decide: not the leader, or the change was lost. The outcome is not known.
    Unavailable(ErrorCode),
}

/// Bytes of a request or response that travels between nodes: what a request of a client that the controller answers can
/// ask for, with room. What is larger is refused before it is decoded.
pub const CONTROLLER_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The layout of what travels. Another one is refused.
const BODY_VERSION: u8 = 2;

impl ControllerRequest {
    /// As it travels to the active controller.
    pub fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    /// Reads what [`encode`](Self::encode) wrote. Never panics; allocates in proportion to `bytes`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<ControllerRequest, String> {
        decode_body(bytes)
    }
}

impl ControllerResponse {
    /// As it travels back.
    pub fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    /// Reads what [`encode`](Self::encode) wrote. Never panics; allocates in proportion to `bytes`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<ControllerResponse, String> {
        decode_body(bytes)
    }
}

fn encode_body<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(&(BODY_VERSION, value)).expect("plain data always has a postcard form")
}

fn decode_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if bytes.len() > CONTROLLER_BODY_BYTES_MAX {
        return Err(format!("{} bytes are more than the {CONTROLLER_BODY_BYTES_MAX} allowed", bytes.len()));
    }
    match bytes.split_first() {
        Some((&BODY_VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            Ok(_) => Err("bytes after the end".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        Some((version, _)) => Err(format!("layout version {version} is unknown")),
        None => Err("nothing at all".to_owned()),
    }
}

/// To whom a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// A data shard of this node.
    Gather(ShardId, GatherId),
    /// A client of this node's own listener for controllers.
    Front(GatherId),
    /// Another node that forwarded a request; the number is its driver's.
    Peer(u64),
    /// This node's own broker, as a process.
    Itself,
    /// This node as a voter of the quorum.
    Announcer,
}

struct Due {
    at: u64,
    to: ReplyTo,
    response: ControllerResponse,
}

/// What the desk wants done.
#[derive(Debug, Default)]
pub struct DeskEffects {
    /// To propose to the quorum, in order.
    pub proposals: Vec<Batch>,
    /// Changes of who votes, for the quorum; what becomes of each goes to [`Desk::voters_changed`] under its number.
    pub voter_changes: Vec<(u64, VoterChange)>,
    /// Replies to data shards, in order; after the image that shows what they speak of.
    pub replies: Vec<(ShardId, ShardMessage)>,
    /// Replies to other nodes, by [`ReplyTo::Peer`].
    pub peer_replies: Vec<(u64, ControllerResponse)>,
    /// Replies to clients of the controller's listener, by [`ReplyTo::Front`].
    pub front_replies: Vec<(GatherId, ControllerResponse)>,
    /// Replies to this node's own broker.
    pub own_replies: Vec<ControllerResponse>,
    /// Replies to this node as a voter.
    pub announcer_replies: Vec<ControllerResponse>,
}

/// The controller with its replies. The calling order of a leader: [`lead`](Self::lead),
/// [`form_cluster`](Self::form_cluster), then [`ask`](Self::ask) as requests come and [`tick`](Self::tick) at
/// [`next_deadline`](Self::next_deadline), after what has arrived until then.
pub struct Desk {
    controller: Controller,
    leads: bool,
    standing: Option<QuorumStanding>,
    due: VecDeque<Due>,
    /// Changes of who votes that the quorum has not answered.
    changes: BTreeMap<u64, (ReplyTo, VoterChange)>,
    next_change: u64,
}

impl Desk {
    /// A desk that does not lead yet.
    pub fn new(settings: Settings) -> Desk {
        Desk {
            controller: Controller::new(settings, Image::default()),
            leads: false,
            standing: None,
            due: VecDeque::new(),
            changes: BTreeMap::new(),
            next_change: 0,
        }
    }

    /// This node leads the quorum, everything of earlier terms is applied. Every broker has a full session.
    pub fn lead(&mut self, now: Monotonic, committed: Image) {
        self.controller.lead(now, committed);
        self.leads = true;
    }

    /// This node does not lead any more: what was not committed is void.
    pub fn resign(&mut self, committed: Image, effects: &mut DeskEffects) {
        self.leads = false;
        self.controller.reset(committed);
        self.fail_all(effects);
    }

    /// The committed metadata, as the controller knows it.
    pub fn committed(&self) -> &Image {
        self.controller.committed()
    }

    /// Forms the cluster if that has not happened.
    ///
    /// # Errors
    /// When the cluster is another.
    pub fn form_cluster(&mut self, cluster_id: &str, effects: &mut DeskEffects) -> Result<(), ApiError> {
        let formed = self.controller.form_cluster(cluster_id);
        effects.proposals.extend(formed.batch);
        formed.reply.map(|_| ())
    }

    /// How far the quorum's log has come: to be told before [`ask`](Self::ask), or what is answered is old.
    pub fn stand(&mut self, standing: QuorumStanding) {
        self.standing = Some(standing);
    }

    /// Time has passed: brokers that were not heard of are fenced, leaderships balanced.
    pub fn tick(&mut self, now: Monotonic, effects: &mut DeskEffects) {
        if self.leads {
            for decision in self.controller.tick(now) {
                effects.proposals.extend(decision.before);
                effects.proposals.extend(decision.batch);
            }
        }
    }

    /// No connection with a broker is left. It is fenced unless it comes back with a heartbeat soon; at once, if its
    /// process has ended.
    pub fn parted(&mut self, now: Monotonic, id: NodeId, parting: Parting, effects: &mut DeskEffects) {
        if self.leads {
            self.controller.parted(now, id, parting);
            self.tick(now, effects);
        }
    }

    /// When [`tick`](Self::tick) has something to do, at the latest.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.controller.next_deadline().filter(|_| self.leads)
    }

    /// A data shard, another node or this node's broker asks. `draw` gives random topic ids.
    pub fn ask(
        &mut self,
        now: Monotonic,
        to: ReplyTo,
        request: ControllerRequest,
        draw: &mut dyn FnMut() -> Uuid,
        effects: &mut DeskEffects,
    ) {
        if !self.leads {
            let response = ControllerResponse::Unavailable(ErrorCode::NotController);
            return reply(to, response, effects);
        }
        use ControllerRequest as Asked;
        use ControllerResponse as Answer;
        let controller = &mut self.controller;
        match request {
            Asked::CreateTopics(request) => {
                let decision = controller.create_topics(&request, draw);
                self.answer(to, decision, Answer::CreateTopics, effects);
            }
            Asked::DeleteTopics(request) => {
                let decision = controller.delete_topics(&request);
                self.answer(to, decision, Answer::DeleteTopics, effects);
            }
            Asked::CreatePartitions(request) => {
                let decision = controller.create_partitions(&request);
                self.answer(to, decision, Answer::CreatePartitions, effects);
            }
            Asked::AlterConfigs(request) => {
                let decision = controller.alter_configs(&request);
                self.answer(to, decision, Answer::AlterConfigs, effects);
            }
            Asked::AllocateProducerIds(request) => {
                let decision = controller.allocate_producer_ids(request);
                self.answer(to, decision, Answer::AllocateProducerIds, effects);
            }
            Asked::ElectLeaders(request) => {
                let decision = controller.elect_leaders(&request);
                self.answer(to, decision, Answer::ElectLeaders, effects);
            }
            Asked::UpdateFeatures(request) => {
                let decision = controller.update_features(&request);
                self.answer(to, decision, Answer::UpdateFeatures, effects);
            }
            Asked::DescribeQuorum => {
                let unknown = Answer::Unavailable(ErrorCode::NotController);
                let standing = self.standing.clone();
                reply(to, standing.map_or(unknown, Answer::DescribeQuorum), effects);
            }
            Asked::RegisterBroker(request) => {
                let registrant = if to == ReplyTo::Itself { Registrant::Itself } else { Registrant::Peer };
                let decision = controller.register_broker(now, &request, registrant);
                self.answer(to, decision, Answer::RegisterBroker, effects);
            }
            Asked::Heartbeat(request) => {
                let decision = controller.heartbeat(now, &request);
                self.answer(to, decision, Answer::Heartbeat, effects);
            }
            Asked::UnregisterBroker(request) => {
                let decision = controller.unregister_broker(request);
                self.answer(to, decision, Answer::UnregisterBroker, effects);
            }
            Asked::AlterPartitions(request) => {
                let decision = controller.alter_partitions(&request);
                self.answer(to, decision, Answer::AlterPartitions, effects);
            }
            Asked::ReassignPartitions(request) => {
                let decision = controller.reassign_partitions(&request);
                self.answer(to, decision, Answer::ReassignPartitions, effects);
            }
            Asked::ListReassignments(request) => {
                let ongoing = controller.list_reassignments(&request);
                reply(to, Answer::ListReassignments(ongoing), effects);
            }
            Asked::OfflineReplicas(request) => {
                let decision = controller.offline_replicas(&request);
                self.answer(to, decision, Answer::OfflineReplicas, effects);
            }
            Asked::ChangeVoters(change) => self.change_voters(to, change, effects),
        }
    }

    fn answer<R>(
        &mut self,
        to: ReplyTo,
        decision: Decision<R>,
        wrap: impl FnOnce(R) -> ControllerResponse,
        effects: &mut DeskEffects,
    ) {
        let Decision { before, batch, due, reply } = decision;
        effects.proposals.extend(before);
        effects.proposals.extend(batch);
        self.due.push_back(Due { at: due, to, response: wrap(reply) });
        self.settle(effects);
    }

    fn change_voters(&mut self, to: ReplyTo, change: VoterChange, effects: &mut DeskEffects) {
        let refused = change.check_supported(self.controller.committed()).and_then(|()| match change {
            VoterChange::Add { .. } => self.can_be_reached(),
            VoterChange::Remove { .. } | VoterChange::Move { .. } => Ok(()),
        });
        if let Err(error) = refused {
            return reply(to, ControllerResponse::ChangeVoters(Err(error)), effects);
        }
        self.next_change += 1;
        effects.voter_changes.push((self.next_change, change.clone()));
        self.changes.insert(self.next_change, (to, change));
    }

    /// A voter that nobody can call is no use to another one.
    fn can_be_reached(&self) -> Result<(), ApiError> {
        let Some(standing) = &self.standing else { return Ok(()) };
        let is_located =
            |voter: &VoterStanding| standing.endpoints.iter().any(|(node, _)| *node == voter.node);
        match standing.voters.iter().find(|voter| !is_located(voter)) {
            None => Ok(()),
            Some(lost) => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Voter {} has no controller listener that another voter could reach", lost.node),
            )),
        }
    }

    /// What became of a change of who votes. `standing` is how the quorum stands now.
    pub fn voters_changed(
        &mut self,
        id: u64,
        result: &Result<(), ChangeError>,
        standing: QuorumStanding,
        effects: &mut DeskEffects,
    ) {
        let Some((to, change)) = self.changes.remove(&id) else { return };
        let voters: Vec<VoterKey> = standing.voters.iter().map(|it| (it.node, it.directory)).collect();
        self.standing = Some(standing);
        let response = match result {
            Ok(()) => ControllerResponse::ChangeVoters(Ok(())),
            Err(error) => match change.refusal(error, &voters) {
                Some(refusal) => ControllerResponse::ChangeVoters(Err(refusal)),
                None => ControllerResponse::Unavailable(ErrorCode::NotController),
            },
        };
        reply(to, response, effects);
    }

    /// A batch was committed and applied. The image that results goes to the shards before the replies.
    pub fn applied(&mut self, offset: MetadataOffset, batch: &Batch, effects: &mut DeskEffects) {
        if self.controller.applied(offset, batch).is_err() {
            // What was decided behind a batch without effect leaned on it.
            self.fail_all(effects);
        } else {
            self.settle(effects);
        }
    }

    /// Replies that are due.
    fn settle(&mut self, effects: &mut DeskEffects) {
        let settled = self.controller.settled();
        while self.due.front().is_some_and(|due| due.at <= settled) {
            if let Some(Due { to, response, .. }) = self.due.pop_front() {
                reply(to, response, effects);
            }
        }
    }

    fn fail_all(&mut self, effects: &mut DeskEffects) {
        for due in std::mem::take(&mut self.due) {
            reply(due.to, ControllerResponse::Unavailable(ErrorCode::NotController), effects);
        }
    }
}

fn reply(to: ReplyTo, response: ControllerResponse, effects: &mut DeskEffects) {
    match to {
        ReplyTo::Gather(shard, gather) => {
            effects.replies.push((shard, ShardMessage::ControllerAnswer { gather, response }));
        }
        ReplyTo::Peer(id) => effects.peer_replies.push((id, response)),
        ReplyTo::Front(gather) => effects.front_replies.push((gather, response)),
        ReplyTo::Itself => effects.own_replies.push(response),
        ReplyTo::Announcer => effects.announcer_replies.push(response),
    }
}

#[cfg(test)]
mod tests;
