//! EndTxn: a producer commits its transaction, or aborts it.

use super::{
    Ticket,
    coordinator::{Change, Coordinator, Refusal, fresh_id, is_exhausted, layout, next_epoch},
    face::{EndTransaction, Memory, Outcome, Producer, ProducerIdUse, Request, Response, Scene},
    records::{Layout, Transaction},
    state::State,
};
use crate::{error::ErrorCode, ids::ProducerEpoch};

/// The last epoch that a producer is given.
const LAST_EPOCH: ProducerEpoch = ProducerEpoch(i16::MAX - 1);

/// What becomes of an EndTxn.
enum Ending {
    /// It was done before: the answer may have been lost.
    Done(Response),
    Begins(Change, Response),
}

impl Coordinator {
    pub(super) fn end(&mut self, scene: Scene<'_>, ticket: Ticket, request: EndTransaction) -> Outcome {
        match self.decide_end(scene, &request) {
            Ok(Ending::Done(response)) => Outcome::reply(ticket, Ok(response)),
            Ok(Ending::Begins(change, response)) => {
                self.decided(&request.id, change, Some((ticket, Ok(response))))
            }
            Err(Refusal::Because(error)) => Outcome::reply(ticket, Err(error)),
            Err(Refusal::WantsId) => Outcome {
                producer_id: ProducerIdUse::Wanted(Some(Box::new((ticket, Request::End(request))))),
                ..Outcome::default()
            },
        }
    }

    fn decide_end(&self, scene: Scene<'_>, request: &EndTransaction) -> Result<Ending, Refusal> {
        let current = self.transactions.get(&request.id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        // The plain layout cannot hold what version 2 needs. No client asks for it then, or Kafka fails to write it.
        if request.version > 4 && layout(scene) == Layout::Flexible {
            self.decide_end_v2(scene, request, current)
        } else {
            self.decide_end_v1(scene, request, current)
        }
    }

    /// Transactions follow each other under one epoch.
    fn decide_end_v1(
        &self,
        scene: Scene<'_>,
        request: &EndTransaction,
        current: &Transaction,
    ) -> Result<Ending, Refusal> {
        if request.producer.id != current.producer_id {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        }
        if request.producer.epoch != current.epoch {
            return Err(ErrorCode::ProducerFenced.into());
        }
        if self.is_busy(&request.id) {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        match (current.state, request.commit) {
            (State::Ongoing, _) => {}
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => {
                return Ok(Ending::Done(Response::Ended(None)));
            }
            _ => return Err(ErrorCode::InvalidTxnState.into()),
        }
        let next = Transaction {
            previous_id: Some(current.producer_id),
            next_id: None,
            state: prepared(request.commit),
            updated_ms: scene.now.unix_ms,
            client_version: 0,
            ..current.clone()
        };
        let memory = Memory { previous_id: Some(current.producer_id), ..self.memory(&request.id, current) };
        let change = Change { next: next.laid_out(layout(scene)), memory, took_id: false };
        Ok(Ending::Begins(change, Response::Ended(None)))
    }

    /// Each transaction has an epoch of its own (KIP-890), so that one that is answered twice is told from the next one.
    /// A client that does not know how far it got may abort what never began.
    fn decide_end_v2(
        &self,
        scene: Scene<'_>,
        request: &EndTransaction,
        current: &Transaction,
    ) -> Result<Ending, Refusal> {
        // First, because the producer may have been given an id that is still on its way.
        if self.is_busy(&request.id) {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        let memory = self.memory(&request.id, current);
        let producer = request.producer;
        let got_next_id = memory.previous_id == Some(producer.id)
            && producer.epoch == LAST_EPOCH
            && current.epoch == ProducerEpoch(0);
        if producer.id != current.producer_id && !got_next_id {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        }
        let got_next_epoch = producer.epoch.0.checked_add(1) == Some(current.epoch.0);
        // Stricter than Kafka, where a producer of version 2 passes for its successor of version 1.
        let complete =
            current.is_v2() && matches!(current.state, State::CompleteCommit | State::CompleteAbort);
        let repeats = complete && (got_next_epoch || got_next_id);
        if producer.epoch != current.epoch && !repeats {
            return Err(ErrorCode::ProducerFenced.into());
        }
        match (current.state, request.commit) {
            (State::Ongoing, _) => {}
            (State::CompleteCommit, true) | (State::CompleteAbort, false) if repeats => {
                return Ok(Ending::Done(Response::Ended(Some(current.producer()))));
            }
            (State::Empty, false) => {}
            (State::CompleteCommit | State::CompleteAbort, false) if !repeats => {}
            _ => return Err(ErrorCode::InvalidTxnState.into()),
        }
        let next_id = is_exhausted(current.epoch).then(|| fresh_id(scene)).transpose()?;
        let now_ms = scene.now.unix_ms;
        let next = Transaction {
            epoch: next_epoch(current.epoch),
            previous_id: Some(current.producer_id),
            next_id,
            state: prepared(request.commit),
            updated_ms: now_ms,
            started_ms: if current.state == State::Ongoing { current.started_ms } else { now_ms },
            client_version: 2,
            ..current.clone()
        };
        let goes_on_as = match next_id {
            Some(id) => Producer { id, epoch: ProducerEpoch(0) },
            None => next.producer(),
        };
        let memory = Memory { last_epoch: Some(current.epoch), previous_id: Some(current.producer_id) };
        let change = Change { next: next.laid_out(layout(scene)), memory, took_id: next_id.is_some() };
        Ok(Ending::Begins(change, Response::Ended(Some(goes_on_as))))
    }
}

fn prepared(commit: bool) -> State {
    if commit { State::PrepareCommit } else { State::PrepareAbort }
}
