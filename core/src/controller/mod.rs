//! What the leader of the metadata quorum decides.
//!
//! A request comes in, a [`Decision`] goes out: the batch to propose to the quorum, and the reply that is due once the
//! batch is committed. Decisions are made on a *speculative* image: the committed one plus every batch that was
//! decided and is not committed yet. Two requests in flight that create one name therefore meet here, not in the log.
//!
//! How to call it: [`reset`](Controller::reset) with the committed image when the leadership is won (after every entry
//! of earlier terms is applied) and whenever it is lost; propose the batches in the order in which they were decided;
//! tell each committed batch to [`applied`](Controller::applied), in the log's order. A batch that could not be
//! proposed, or that was lost, means `reset`: later decisions may have leaned on it.

mod alter_configs;
mod alter_partitions;
mod balance;
mod brokers;
mod config_rules;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod elect_leaders;
mod features;
mod heartbeats;
pub mod limits;
mod offline_replicas;
mod partition_change;
mod placement;
mod producer_ids;
mod reassignments;
mod sessions;
mod update_features;
mod voters;

pub(crate) use alter_configs::check_form;
pub use alter_configs::{AlterConfigsRequest, AlterResource, ConfigOp, ConfigOpKind, ResourceResult};
pub use alter_partitions::{AlterPartition, AlterPartitionsRequest, AlteredPartition, AlteredPartitions};
pub use brokers::{RegisterBrokerRequest, Registrant, UnregisterBrokerRequest};
pub use config_rules::ConfigRules;
pub use create_partitions::{CreatePartitionsRequest, MorePartitions};
pub use create_topics::{CreateTopicsRequest, CreatedTopic, NewTopic, ReplicaAssignment};
pub use delete_topics::{DeleteTopicsRequest, DeletedTopicResult, TopicRef};
pub use elect_leaders::{ElectLeadersRequest, ElectedTopic, Election};
pub use features::{FEATURES, Feature, consumer_groups_are_finalized};
pub use heartbeats::{BrokerHeartbeatRequest, HeartbeatReply};
pub use offline_replicas::OfflineReplicasRequest;
pub use placement::spread;
pub use producer_ids::{AllocateProducerIdsRequest, ProducerIdBlock};
pub use reassignments::{
    ListReassignmentsRequest, OngoingReassignment, ReassignPartitionsRequest, Reassigned, Reassignment,
    TopicReassignment, TopicReassignments,
};
pub use sessions::{Lifecycle, Parting};
pub use update_features::{FeatureUpdate, UpdateFeaturesRequest, UpgradeType};
pub use voters::{ChangeError, KRAFT_VERSION, VoterChange, VoterKey};

use crate::{
    error::ErrorCode,
    ids::NodeId,
    metadata::{BATCH_BYTES_MAX, Batch, Image, MetadataOffset, Precondition, Record, Violated},
};
use serde::{Deserialize, Serialize};
use sessions::Sessions;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// What decisions depend on besides the image.
#[derive(Clone)]
pub struct Settings {
    /// Where the controller runs, for its words.
    pub node: NodeId,
    /// Partitions of a topic whose creator asks for -1 (`num.partitions`).
    pub default_partitions: i32,
    /// Replicas of a topic whose creator asks for -1 (`default.replication.factor`).
    pub default_replication_factor: i16,
    /// Which configurations exist and what they may be.
    pub config_rules: Arc<dyn ConfigRules + Send + Sync>,
    /// What a new cluster is finalized at.
    pub features: &'static [Feature],
    /// Levels of a new cluster that are others than the table's.
    pub initial_levels: BTreeMap<String, i16>,
    /// How long brokers are waited for, and what is looked after.
    pub lifecycle: Lifecycle,
}

/// A refusal as it goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// Kafka's code.
    pub code: ErrorCode,
    /// Kafka's words.
    pub message: String,
}

impl ApiError {
    /// With a text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError { code, message: message.into() }
    }

    fn too_large() -> ApiError {
        ApiError::new(ErrorCode::PolicyViolation, "Unable to perform excessively large batch operation.")
    }

    fn unknown_topic() -> ApiError {
        ApiError::new(ErrorCode::UnknownTopicOrPartition, "This server does not host this topic-partition.")
    }
}

/// The result for one of the things that a request names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedResult<T> {
    /// As the request named it.
    pub name: String,
    /// What became of it.
    pub result: Result<T, ApiError>,
}

/// What is to happen upon a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<R> {
    /// What is too much for one batch: to be proposed before it. Every prefix of it leaves a state that can be, and that
    /// the same decision would be made on again.
    pub before: Vec<Batch>,
    /// To be proposed to the quorum, in the order of the decisions. `None`: nothing changes.
    pub batch: Option<Batch>,
    /// The reply is due when [`Controller::settled`] reaches this: with its own batch, or, without one, with the
    /// last batch decided before, since the reply may lean on it. If [`Controller::applied`] fails or
    /// [`Controller::reset`] is called before, the reply is void and NOT_CONTROLLER takes its place.
    pub due: u64,
    /// What to answer then.
    pub reply: R,
}

/// Why replies will not come true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Voided {
    /// The committed batch had no effect.
    #[error("the batch had no effect: {0}")]
    Violated(Violated),
    /// Another leader's batch was committed while batches of this one were in flight.
    #[error("another leader's batch was committed")]
    DecidedElsewhere,
}

/// See the module.
pub struct Controller {
    settings: Settings,
    committed: Image,
    speculative: Image,
    /// Decided, not yet committed, oldest first.
    in_flight: VecDeque<Batch>,
    decided: u64,
    sessions: Sessions,
}

impl Controller {
    /// On an image that is committed.
    pub fn new(settings: Settings, committed: Image) -> Controller {
        let speculative = committed.clone();
        let sessions = Sessions::default();
        Controller { settings, committed, speculative, in_flight: VecDeque::new(), decided: 0, sessions }
    }

    /// The image up to the last batch told to [`applied`](Self::applied).
    pub fn committed(&self) -> &Image {
        &self.committed
    }

    /// The image that decisions are made on.
    pub fn speculative(&self) -> &Image {
        &self.speculative
    }

    /// How many of the decided batches are settled, in the count of [`Decision::due`].
    pub fn settled(&self) -> u64 {
        self.decided - self.in_flight.len() as u64
    }

    /// Forgets what is in flight and starts from `committed`. Every reply that is not answered yet is void.
    pub fn reset(&mut self, committed: Image) {
        self.speculative = committed.clone();
        self.committed = committed;
        self.in_flight.clear();
    }

    /// Takes note of a committed batch. What was due by it may be answered then ([`settled`](Self::settled)).
    ///
    /// # Errors
    /// When the batch had no effect, or was decided elsewhere while others were in flight here. Every reply that is
    /// not answered yet is void then: what is in flight was decided on an image that never came to be, and will have
    /// no effect if it is committed after all, or only the effect that its preconditions allow.
    pub fn applied(&mut self, offset: MetadataOffset, batch: &Batch) -> Result<(), Voided> {
        let result = self.committed.apply(offset, batch).map_err(Voided::Violated);
        if result.is_ok() {
            self.sessions.applied(offset, batch);
        }
        let result = match self.in_flight.pop_front() {
            Some(expected) if expected != *batch => result.and(Err(Voided::DecidedElsewhere)),
            Some(_) | None => result,
        };
        if result.is_err() {
            self.in_flight.clear();
        }
        if self.in_flight.is_empty() {
            self.speculative = self.committed.clone();
        }
        result
    }

    /// A decision that changes nothing.
    fn unchanged<R>(&self, reply: R) -> Decision<R> {
        Decision { before: Vec::new(), batch: None, due: self.decided, reply }
    }

    /// A decision to write records, which take effect on the speculative image at once. Without records, as
    /// [`unchanged`](Self::unchanged).
    ///
    /// # Errors
    /// When the batch is too large. Nothing has changed then.
    fn propose<R>(
        &mut self,
        preconditions: Vec<Precondition>,
        records: Vec<Record>,
        reply: R,
    ) -> Result<Decision<R>, ApiError> {
        if records.is_empty() {
            return Ok(self.unchanged(reply));
        }
        let batch = Batch { records, preconditions };
        if batch.records.len() > limits::RECORDS_PER_BATCH_MAX || batch.encode().len() > BATCH_BYTES_MAX {
            return Err(ApiError::too_large());
        }
        if let Err(violated) = self.speculative.speculate(&batch) {
            // A decision must only say what can be. Refusing is safe, and the text finds the bug.
            return Err(ApiError::new(ErrorCode::UnknownServerError, violated.to_string()));
        }
        self.in_flight.push_back(batch.clone());
        self.decided += 1;
        Ok(Decision { before: Vec::new(), batch: Some(batch), due: self.decided, reply })
    }

    /// As [`propose`](Self::propose), in as many batches as it takes, each under the same preconditions.
    fn propose_all<R>(
        &mut self,
        preconditions: &[Precondition],
        records: Vec<Record>,
        reply: R,
    ) -> Result<Decision<R>, ApiError> {
        let mut batches = Batch::split(records, limits::RECORDS_PER_BATCH_MAX);
        let last = batches.pop().unwrap_or_default();
        let (speculative, in_flight) = (self.speculative.clone(), self.in_flight.len());
        let mut before = Vec::new();
        let rest = || {
            for batch in batches {
                before.extend(self.propose(preconditions.to_vec(), batch.records, ())?.batch);
            }
            self.propose(preconditions.to_vec(), last.records, reply)
        };
        match rest() {
            Ok(decision) => Ok(Decision { before, ..decision }),
            Err(error) => {
                // None of it is proposed.
                self.decided -= (self.in_flight.len() - in_flight) as u64;
                self.in_flight.truncate(in_flight);
                self.speculative = speculative;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
