//! The controller's desk: requests come in from data shards and from this node itself, batches go out to the quorum,
//! replies wait until what they lean on is committed and applied.

use super::{GatherId, ShardMessage};
use crate::{
    controller::{
        AllocateProducerIdsRequest, AlterConfigsRequest, ApiError, Controller, CreatePartitionsRequest,
        CreateTopicsRequest, CreatedTopic, Decision, DeleteTopicsRequest, DeletedTopicResult,
        ElectLeadersRequest, ElectedTopic, NamedResult, ProducerIdBlock, RegisterBrokerRequest,
        ResourceResult, Settings, UpdateFeaturesRequest,
    },
    error::ErrorCode,
    ids::NodeId,
    metadata::{Batch, Image, MetadataOffset},
};
use corelane_seam::ShardId;
use std::collections::VecDeque;
use uuid::Uuid;

/// What is asked of the controller.
#[derive(Clone, Debug)]
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
}

/// How far the quorum's log has come.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// How far a voter has come, as the leader knows. Times are of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoterStanding {
    /// Which.
    pub node: NodeId,
    /// What it has flushed ends below this index; `None` if it has not been heard of.
    pub log_end: Option<u64>,
    /// When it was last sent what it has answered.
    pub last_fetch_ms: Option<i64>,
    /// When it last had everything that the leader had.
    pub last_caught_up_ms: Option<i64>,
}

/// The controller's answer, of the kind that was asked for.
#[derive(Clone, Debug)]
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
    /// The quorum cannot decide: not the leader, or the change was lost. The outcome is not known.
    Unavailable(ErrorCode),
}

/// To whom a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyTo {
    Gather(ShardId, GatherId),
    Itself,
}

struct Due {
    at: u64,
    to: ReplyTo,
    response: Option<ControllerResponse>,
}

/// What the desk wants done.
#[derive(Debug, Default)]
pub struct DeskEffects {
    /// To propose to the quorum, in order.
    pub proposals: Vec<Batch>,
    /// Replies, in order; after the image that shows what they speak of.
    pub replies: Vec<(ShardId, ShardMessage)>,
}

/// The controller with its replies.
pub struct Desk {
    controller: Controller,
    leads: bool,
    introduced: bool,
    standing: Option<QuorumStanding>,
    due: VecDeque<Due>,
}

impl Desk {
    /// A desk that does not lead yet.
    pub fn new(settings: Settings) -> Desk {
        Desk {
            controller: Controller::new(settings, Image::default()),
            leads: false,
            introduced: false,
            standing: None,
            due: VecDeque::new(),
        }
    }

    /// This node leads the quorum, everything of earlier terms is applied.
    pub fn lead(&mut self, committed: Image) {
        self.controller.reset(committed);
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

    /// Forms the cluster if that has not happened, and registers this broker.
    ///
    /// # Errors
    /// When the cluster is another, or the registration is refused.
    pub fn introduce(
        &mut self,
        cluster_id: &str,
        registration: &RegisterBrokerRequest,
        effects: &mut DeskEffects,
    ) -> Result<(), ApiError> {
        let formed = self.controller.form_cluster(cluster_id);
        self.decided(ReplyTo::Itself, formed.batch, formed.due, None, effects);
        formed.reply?;
        let registered = self.controller.register_broker(registration);
        self.decided(ReplyTo::Itself, registered.batch, registered.due, None, effects);
        registered.reply.map(|_| ())?;
        self.introduced = true;
        Ok(())
    }

    /// Whether this broker's introduction is committed.
    pub fn is_introduced(&self) -> bool {
        self.leads && self.introduced && !self.due.iter().any(|due| due.to == ReplyTo::Itself)
    }

    /// How far the quorum's log has come: to be told before [`ask`](Self::ask), or what is answered is old.
    pub fn stand(&mut self, standing: QuorumStanding) {
        self.standing = Some(standing);
    }

    /// A data shard asks. `draw` gives random topic ids.
    pub fn ask(
        &mut self,
        from: ShardId,
        gather: GatherId,
        request: ControllerRequest,
        draw: &mut dyn FnMut() -> Uuid,
        effects: &mut DeskEffects,
    ) {
        let to = ReplyTo::Gather(from, gather);
        if !self.leads {
            let response = ControllerResponse::Unavailable(ErrorCode::NotController);
            return self.reply(to, response, effects);
        }
        match request {
            ControllerRequest::CreateTopics(request) => {
                let decision = self.controller.create_topics(&request, draw);
                self.answer(to, decision, ControllerResponse::CreateTopics, effects);
            }
            ControllerRequest::DeleteTopics(request) => {
                let decision = self.controller.delete_topics(&request);
                self.answer(to, decision, ControllerResponse::DeleteTopics, effects);
            }
            ControllerRequest::CreatePartitions(request) => {
                let decision = self.controller.create_partitions(&request);
                self.answer(to, decision, ControllerResponse::CreatePartitions, effects);
            }
            ControllerRequest::AlterConfigs(request) => {
                let decision = self.controller.alter_configs(&request);
                self.answer(to, decision, ControllerResponse::AlterConfigs, effects);
            }
            ControllerRequest::AllocateProducerIds(request) => {
                let decision = self.controller.allocate_producer_ids(request);
                self.answer(to, decision, ControllerResponse::AllocateProducerIds, effects);
            }
            ControllerRequest::ElectLeaders(request) => {
                let decision = self.controller.elect_leaders(&request);
                self.answer(to, decision, ControllerResponse::ElectLeaders, effects);
            }
            ControllerRequest::UpdateFeatures(request) => {
                let decision = self.controller.update_features(&request);
                self.answer(to, decision, ControllerResponse::UpdateFeatures, effects);
            }
            ControllerRequest::DescribeQuorum => {
                let unknown = ControllerResponse::Unavailable(ErrorCode::NotController);
                let standing = self.standing.clone();
                self.reply(to, standing.map_or(unknown, ControllerResponse::DescribeQuorum), effects);
            }
        }
    }

    fn answer<R>(
        &mut self,
        to: ReplyTo,
        decision: Decision<R>,
        wrap: impl FnOnce(R) -> ControllerResponse,
        effects: &mut DeskEffects,
    ) {
        let Decision { batch, due, reply } = decision;
        self.decided(to, batch, due, Some(wrap(reply)), effects);
    }

    fn decided(
        &mut self,
        to: ReplyTo,
        batch: Option<Batch>,
        at: u64,
        response: Option<ControllerResponse>,
        effects: &mut DeskEffects,
    ) {
        effects.proposals.extend(batch);
        self.due.push_back(Due { at, to, response });
        self.settle(effects);
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
            if let Some(Due { to, response: Some(response), .. }) = self.due.pop_front() {
                self.reply(to, response, effects);
            }
        }
    }

    fn fail_all(&mut self, effects: &mut DeskEffects) {
        for due in std::mem::take(&mut self.due) {
            self.reply(due.to, ControllerResponse::Unavailable(ErrorCode::NotController), effects);
        }
    }

    fn reply(&self, to: ReplyTo, response: ControllerResponse, effects: &mut DeskEffects) {
        if let ReplyTo::Gather(shard, gather) = to {
            effects.replies.push((shard, ShardMessage::ControllerAnswer { gather, response }));
        }
    }
}
