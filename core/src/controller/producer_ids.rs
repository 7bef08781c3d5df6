//! Blocks of producer ids (KIP-730). A block is durable before its first id is used, so no id is ever given twice.

use super::{ApiError, Controller, Decision, limits::PRODUCER_ID_BLOCK};
use crate::{
    error::ErrorCode,
    ids::{NodeId, ProducerId},
    metadata::{Precondition, Record},
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A broker wants producer ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocateProducerIdsRequest {
    /// The broker.
    pub broker: NodeId,
    /// Its registration.
    pub broker_epoch: i64,
}

/// Producer ids that are a broker's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerIdBlock {
    /// The first.
    pub first: ProducerId,
    /// How many.
    pub count: i32,
}

impl ProducerIdBlock {
    /// All of them.
    pub fn ids(&self) -> Range<i64> {
        self.first.0..self.first.0 + i64::from(self.count)
    }
}

impl Controller {
    /// Decides on a block of producer ids.
    pub fn allocate_producer_ids(
        &mut self,
        request: AllocateProducerIdsRequest,
    ) -> Decision<Result<ProducerIdBlock, ApiError>> {
        if let Err(error) = self.check_broker_epoch(request.broker, request.broker_epoch) {
            return self.unchanged(Err(error));
        }
        let first = self.speculative.next_producer_id();
        let Some(next) = first.checked_add(PRODUCER_ID_BLOCK) else {
            return self.unchanged(Err(ApiError::new(
                ErrorCode::UnknownServerError,
                format!(
                    "Exhausted all producerIds as the next block's end producerId is greater than {}",
                    i64::MAX
                ),
            )));
        };
        let count = i32::try_from(PRODUCER_ID_BLOCK).expect("a constant of thousands");
        let preconditions = vec![
            Precondition::BrokerEpoch { id: request.broker, epoch: Some(request.broker_epoch) },
            Precondition::ProducerIdsNext(first),
        ];
        let records = vec![Record::ProducerIds { broker: request.broker, next }];
        self.propose(preconditions, records, Ok(ProducerIdBlock { first: ProducerId(first), count }))
            .unwrap_or_else(|error| self.unchanged(Err(error)))
    }

    /// Whether a request comes from the present registration of a broker.
    pub(super) fn check_broker_epoch(&self, id: NodeId, epoch: i64) -> Result<(), ApiError> {
        let text = match self.speculative.broker(id) {
            Some(broker) if broker.epoch == epoch => return Ok(()),
            Some(broker) => format!("Expected broker epoch {}, but got broker epoch {epoch}", broker.epoch),
            None => format!("No broker registration found for broker id {id}"),
        };
        Err(ApiError::new(ErrorCode::StaleBrokerEpoch, text))
    }
}

#[cfg(test)]
mod tests;
