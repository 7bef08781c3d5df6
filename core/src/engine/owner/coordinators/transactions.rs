//! Transactions, in `__transaction_state`. What their coordinators send leaves through the engine, which brings the
//! answers back.

use super::{Coordination, Decision, Host, Input, Phase, Stage, reply};
use crate::{
    config::BrokerConfig,
    engine::{
        message::{Asker, OwnerResponse, TransactionQuery},
        owner::{Answers, Owner},
    },
    error::ErrorCode,
    groups::Ticket,
    ids::{LeaderEpoch, Offset, PartitionId, ProducerId},
    message_format::RecordFault,
    records::{Codec, Outcome as Ending},
    transactions::{
        Coordinator, ListFilter, ListedTransaction, Markers, Outcome, PartitionErrors, ProducerIdUse, Reply,
        Request, Response, Scene, TRANSACTIONS_TOPIC, Then, records::Record, refused,
    },
};
use corelane_seam::{Monotonic, Now};
use std::{collections::VecDeque, ops::Range};

/// Markers to be sent, for the coordinator of this partition.
pub type MarkersOf = (PartitionId, Markers);

/// What became of markers: each partition's error, or why there is no answer.
pub(super) type Marked = (Markers, Result<PartitionErrors, ErrorCode>);

/// What the coordinators want of the engine.
#[derive(Debug, Default)]
pub(in crate::engine::owner) struct Wishes {
    /// To be sent.
    markers: Vec<MarkersOf>,
    /// A block of producer ids is to be asked for.
    wants_ids: bool,
    /// Requests that are asked again when there is one.
    for_ids: VecDeque<(PartitionId, Ticket, Request)>,
}

impl<'a> Stage<'a> {
    fn transactions(self) -> Scene<'a> {
        Scene { now: self.now, image: self.image, config: self.config, fresh_id: self.fresh_id }
    }
}

impl Coordination for Coordinator {
    const TOPIC: &'static str = TRANSACTIONS_TOPIC;
    // A decision to commit that could still be lost must not be carried out.
    const ACTS_ON_COMMITTED: bool = true;

    type Request = Request;
    type Response = Response;
    type Notice = Marked;
    type Record = Record;
    type Then = Then;
    type Outcome = Outcome;

    fn new(epoch: LeaderEpoch) -> Coordinator {
        Coordinator::new(epoch)
    }

    fn host(owner: &mut Owner) -> &mut Host<Coordinator> {
        &mut owner.transactions
    }

    fn handle(&mut self, stage: Stage<'_>, ticket: Ticket, request: Request) -> Outcome {
        self.handle(stage.transactions(), ticket, request)
    }

    fn noticed(&mut self, stage: Stage<'_>, (markers, result): Marked) -> Outcome {
        self.marked(stage.transactions(), &markers, result)
    }

    fn stored(&mut self, stage: Stage<'_>, then: Then, result: Result<(), ErrorCode>) -> Outcome {
        self.stored(stage.transactions(), then, result)
    }

    fn alarm(&mut self, stage: Stage<'_>) -> Option<Outcome> {
        self.alarm(stage.transactions())
    }

    fn next_alarm(&self) -> Option<Monotonic> {
        self.next_alarm()
    }

    fn loaded(&mut self, stage: Stage<'_>) {
        self.loaded(stage.transactions());
    }

    fn replay(&mut self, record: Record, _offset: Offset, _whose: Option<ProducerId>) {
        self.replay(record);
    }

    fn transaction_ended(&mut self, _producer: ProducerId, _ending: Ending) {}

    fn take_waiting(&mut self) -> Vec<Ticket> {
        self.take_waiting()
    }

    fn check(&self) {
        self.check();
    }

    fn summary(&self) -> String {
        let (ids, open) = self.size();
        format!("{ids} transactional ids, {open} of them with a transaction that is not completed")
    }

    fn unpack(owner: &mut Owner, id: PartitionId, outcome: Outcome) -> Decision<Coordinator> {
        let Outcome { records, may_split, replies, then, markers, producer_id } = outcome;
        let wishes = &mut owner.wishes;
        wishes.markers.extend(markers.into_iter().map(|markers| (id, markers)));
        match producer_id {
            ProducerIdUse::Unused => {}
            ProducerIdUse::Taken => {
                owner.producer_ids.take();
            }
            ProducerIdUse::Wanted(request) => {
                wishes.wants_ids = true;
                wishes.for_ids.extend(request.map(|request| (id, request.0, request.1)));
            }
        }
        Decision { records, applied: false, may_split, transaction: None, replies, then, of_leader: false }
    }

    fn encode(record: &Record) -> (Vec<u8>, Option<Vec<u8>>) {
        (record.key(), record.value())
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordFault> {
        Record::decode(key, value)
    }

    fn codec(_config: &BrokerConfig) -> Codec {
        Codec::None
    }

    fn refused(error: ErrorCode) -> (ErrorCode, ErrorCode) {
        (refused(error), refused(error))
    }

    fn response(place: u32, reply: Reply) -> OwnerResponse {
        OwnerResponse::Transaction(place, reply)
    }
}

impl Owner {
    /// A question about a transactional id.
    pub(in crate::engine::owner) fn ask_transaction(
        &mut self,
        now: Now,
        asker: Asker,
        query: TransactionQuery,
        answers: &mut Answers,
    ) {
        let ticket = Ticket { asker, place: query.place };
        self.ask_coordinator::<Coordinator>(now, query.partition, ticket, query.request, answers);
    }

    /// The transactional ids of this shard.
    pub(in crate::engine::owner) fn list_transactions(
        &self,
        now: Now,
        filter: &ListFilter,
    ) -> Result<Vec<ListedTransaction>, ErrorCode> {
        let host = &self.transactions;
        let scene = Scene { now, image: &host.image, config: &host.config, fresh_id: None };
        let mut listed = Vec::new();
        for (_, hosted) in host.hosted.iter() {
            match &hosted.phase {
                Phase::Loading(_) => return Err(ErrorCode::CoordinatorLoadInProgress),
                Phase::Serving => listed.append(&mut hosted.coordinator.list(scene, filter)),
                Phase::Failed | Phase::Stopped => {}
            }
        }
        Ok(listed)
    }

    /// Whether markers are to be sent.
    pub fn has_markers(&self) -> bool {
        !self.wishes.markers.is_empty()
    }

    /// Markers that are to be sent.
    pub fn take_markers(&mut self) -> Vec<MarkersOf> {
        std::mem::take(&mut self.wishes.markers)
    }

    /// What became of markers, for the coordinator that had them sent.
    pub fn marked(
        &mut self,
        now: Now,
        (id, markers): MarkersOf,
        result: Result<PartitionErrors, ErrorCode>,
        answers: &mut Answers,
    ) {
        let serves =
            self.transactions.hosted.get(id).is_some_and(|hosted| matches!(hosted.phase, Phase::Serving));
        if serves {
            self.give(now, id, Input::<Coordinator>::Notice((markers, result)), answers);
        }
    }

    /// Whether a block of producer ids is to be asked for now. Whoever does says what came of it:
    /// [`producer_ids_came`](Self::producer_ids_came).
    pub fn take_wish_for_ids(&mut self) -> bool {
        std::mem::take(&mut self.wishes.wants_ids)
    }

    /// A block of producer ids came, or cannot be had: requests that waited are asked again, or refused.
    pub fn producer_ids_came(
        &mut self,
        now: Now,
        block: Result<Range<i64>, ErrorCode>,
        answers: &mut Answers,
    ) {
        let waiting = std::mem::take(&mut self.wishes.for_ids);
        match block {
            Ok(block) => {
                self.producer_ids.add(block);
                for (id, ticket, request) in waiting {
                    self.ask_coordinator::<Coordinator>(now, id, ticket, request, answers);
                }
            }
            Err(error) => {
                waiting.into_iter().for_each(|(_, ticket, _)| {
                    reply::<Coordinator>(ticket, Err(error), answers);
                });
            }
        }
    }

    /// Nobody here coordinates this partition's transactions any more.
    pub(super) fn forget_wanted_ids(&mut self, id: PartitionId, answers: &mut Answers) {
        self.wishes.for_ids.retain(|(of, ticket, _)| {
            let stays = *of != id;
            if !stays {
                reply::<Coordinator>(*ticket, Err(ErrorCode::NotCoordinator), answers);
            }
            stays
        });
    }
}
