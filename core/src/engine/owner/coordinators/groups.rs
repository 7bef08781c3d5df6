//! Groups, in `__consumer_offsets`.

use super::{Coordination, Decision, Host, Phase, Stage, reply};
use crate::{
    config::BrokerConfig,
    engine::{
        message::{Asker, GroupQuery, OwnerResponse},
        owner::{Answers, Owner},
    },
    error::ErrorCode,
    groups::{
        Coordinator, ListedGroup, OFFSETS_TOPIC, Outcome, Reply, Request, Response, Scene, Then, Ticket,
        records::Record,
    },
    ids::{LeaderEpoch, Offset, PartitionId, ProducerId, TopicId},
    log::{EndTransaction, Fault},
    message_format::RecordFault,
    records::{Codec, Outcome as Ending},
};
use corelane_seam::{Monotonic, Now};
use std::{convert::Infallible, sync::Arc};

impl<'a> Stage<'a> {
    fn groups(self) -> Scene<'a> {
        Scene { now: self.now, image: self.image, config: self.config }
    }
}

impl Coordination for Coordinator {
    const TOPIC: &'static str = OFFSETS_TOPIC;
    const ACTS_ON_COMMITTED: bool = false;

    type Request = Request;
    type Response = Response;
    type Notice = Infallible;
    type Record = Record;
    type Then = Then;
    type Outcome = Outcome;

    fn new(_epoch: LeaderEpoch) -> Coordinator {
        Coordinator::new()
    }

    fn host(owner: &mut Owner) -> &mut Host<Coordinator> {
        &mut owner.groups
    }

    fn handle(&mut self, stage: Stage<'_>, ticket: Ticket, request: Request) -> Outcome {
        self.handle(stage.groups(), ticket, request)
    }

    fn noticed(&mut self, _stage: Stage<'_>, notice: Infallible) -> Outcome {
        match notice {}
    }

    fn stored(&mut self, stage: Stage<'_>, then: Then, result: Result<(), ErrorCode>) -> Outcome {
        self.stored(stage.groups(), then, result)
    }

    fn alarm(&mut self, stage: Stage<'_>) -> Option<Outcome> {
        self.alarm(stage.groups())
    }

    fn next_alarm(&self) -> Option<Monotonic> {
        self.next_alarm()
    }

    fn loaded(&mut self, stage: Stage<'_>) {
        self.loaded(stage.groups());
    }

    fn replay(&mut self, record: Record, offset: Offset, whose: Option<ProducerId>) {
        self.replay(record, offset, whose);
    }

    fn transaction_ended(&mut self, producer: ProducerId, ending: Ending) {
        self.end_transaction(producer, ending);
    }

    fn take_waiting(&mut self) -> Vec<Ticket> {
        self.waiting()
    }

    fn check(&self) {
        self.check();
    }

    fn summary(&self) -> String {
        let (groups, members) = self.size();
        format!("{groups} groups with {members} members")
    }

    fn answers_early(fault: Fault) -> bool {
        fault == Fault::AnswerGroupsEarly
    }

    fn unpack(_owner: &mut Owner, _id: PartitionId, outcome: Outcome) -> Decision<Coordinator> {
        let Outcome { records, applied, may_split, transaction, replies, then, of_leader } = outcome;
        Decision { records, applied, may_split, transaction, replies, then, of_leader }
    }

    fn encode(record: &Record) -> (Vec<u8>, Option<Vec<u8>>) {
        (record.key(), record.value())
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordFault> {
        Record::decode(key, value)
    }

    fn codec(config: &BrokerConfig) -> Codec {
        config.groups.topic_codec
    }

    fn refused(error: ErrorCode) -> (ErrorCode, ErrorCode) {
        (error, told_to_members(error))
    }

    fn response(place: u32, reply: Reply) -> OwnerResponse {
        OwnerResponse::Group(place, reply)
    }
}

impl Host<Coordinator> {
    /// Why the marker of a transaction cannot be appended to a partition of `__consumer_offsets` now: what the transaction
    /// has committed is not known yet, or was decided and is not in the log yet, so that it would come behind the marker.
    pub fn defers_marker(&self, id: PartitionId) -> Option<Deferred> {
        let hosted = self.hosted.get(id)?;
        match hosted.refuses() {
            Some(error) => Some(Deferred::Refused(error)),
            None => (!hosted.blocked.is_empty()).then_some(Deferred::NoRoom),
        }
    }

    /// A marker was appended: what its transaction has committed counts, or is forgotten.
    pub fn transaction_ended(&mut self, id: PartitionId, end: &EndTransaction) {
        if let Some(hosted) = self.hosted.get_mut(id) {
            hosted.coordinator.end_transaction(end.producer, end.marker.outcome);
        }
    }
}

impl Owner {
    /// Topics are gone, and what was committed for them goes with them.
    pub fn groups_lose_topics(&mut self, now: Now, topics: &[(Arc<str>, TopicId)], answers: &mut Answers) {
        if topics.is_empty() {
            return;
        }
        let serving = self.groups.hosted.iter().filter(|(_, hosted)| matches!(hosted.phase, Phase::Serving));
        let outcomes: Vec<_> =
            serving.map(|(id, hosted)| (id, hosted.coordinator.topics_deleted(topics))).collect();
        for (id, outcome) in outcomes {
            self.decided::<Coordinator>(now, id, outcome, answers);
        }
    }

    /// A question about a group.
    pub(in crate::engine::owner) fn ask_group(
        &mut self,
        now: Now,
        asker: Asker,
        query: GroupQuery,
        answers: &mut Answers,
    ) {
        let ticket = Ticket { asker, place: query.place };
        if let (Request::CommitInTransaction(_, transaction), Some(guard)) = (&query.request, query.guard)
            && let Err((error, _)) = self.may_begin(query.partition, *transaction, Some(guard))
        {
            return reply::<Coordinator>(ticket, Err(error), answers);
        }
        let request = match query.request {
            Request::CommitInTransaction(commit, _) if self.store.fault() == Fault::CommitOffsetsAtOnce => {
                Request::Commit(commit)
            }
            request => request,
        };
        self.ask_coordinator::<Coordinator>(now, query.partition, ticket, request, answers);
    }

    /// The groups of this shard.
    pub(in crate::engine::owner) fn list_groups(
        &self,
        states: &[String],
        kinds: &[String],
    ) -> Result<Vec<ListedGroup>, ErrorCode> {
        let mut listed = Vec::new();
        for (_, hosted) in self.groups.hosted.iter() {
            match &hosted.phase {
                Phase::Loading(_) => return Err(ErrorCode::CoordinatorLoadInProgress),
                Phase::Serving => listed.append(&mut hosted.coordinator.list(states, kinds)),
                Phase::Failed | Phase::Stopped => {}
            }
        }
        Ok(listed)
    }
}

/// Why a marker is not appended.
pub(in crate::engine::owner) enum Deferred {
    /// The coordinator of transactions tries again.
    Refused(ErrorCode),
    /// When there is room.
    NoRoom,
}

/// What members of a group are told when its records could not be appended
/// (`GroupMetadataManager.appendGroupMetadataErrorToResponseError`).
fn told_to_members(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        _ => ErrorCode::UnknownServerError,
    }
}
