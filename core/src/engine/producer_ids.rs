//! Producer ids that this shard may give out, in blocks that the controller made durable (KIP-730's shape).

use super::{Answers, ControllerRequest, ControllerResponse, Effects, Engine};
use crate::{controller::AllocateProducerIdsRequest, error::ErrorCode, ids::ProducerId};
use corelane_seam::Now;
use std::{collections::VecDeque, ops::Range};

/// Blocks of ids, used up in order.
#[derive(Debug, Default)]
pub struct ProducerIdPool {
    blocks: VecDeque<Range<i64>>,
}

impl ProducerIdPool {
    /// An id that was never given out before, if there is one here.
    pub fn take(&mut self) -> Option<ProducerId> {
        loop {
            let block = self.blocks.front_mut()?;
            if let Some(id) = block.next() {
                return Some(ProducerId(id));
            }
            self.blocks.pop_front();
        }
    }

    /// The id that [`take`](Self::take) would give.
    pub fn peek(&self) -> Option<ProducerId> {
        self.blocks.iter().find(|block| !block.is_empty()).map(|block| ProducerId(block.start))
    }

    /// The controller gave us these.
    pub fn add(&mut self, block: Range<i64>) {
        self.blocks.push_back(block);
    }
}

/// What the controller's answer brings.
///
/// # Errors
/// None: what whoever waits for ids is told, which every client tries again upon, whatever the controller said
/// (`RPCProducerIdManager`).
pub fn block(response: ControllerResponse) -> Result<Range<i64>, ErrorCode> {
    match response {
        ControllerResponse::AllocateProducerIds(Ok(block)) => Ok(block.ids()),
        _ => Err(ErrorCode::CoordinatorLoadInProgress),
    }
}

impl Engine {
    /// Asks for a block of producer ids, if transactions want one.
    pub(super) fn ask_for_ids(&mut self, now: Now, effects: &mut Effects) {
        if self.wished_ids.is_some() || !self.owner.take_wish_for_ids() {
            return;
        }
        let Some(broker) = self.image.broker(self.place.node) else {
            let mut answers = Answers::new();
            let none = Err(ErrorCode::CoordinatorLoadInProgress);
            self.owner.producer_ids_came(now, none, &mut answers);
            return self.carry(now, answers, effects);
        };
        let request = AllocateProducerIdsRequest { broker: broker.id, broker_epoch: broker.epoch };
        let request = ControllerRequest::AllocateProducerIds(request);
        self.wished_ids = Some(self.ask_controller(request, effects));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::ApiError;

    #[test]
    fn a_broker_whose_registration_is_not_the_last_one_lets_producers_ask_again() {
        let stale = ApiError::new(ErrorCode::StaleBrokerEpoch, "registered again meanwhile");
        let told = block(ControllerResponse::AllocateProducerIds(Err(stale)));
        assert_eq!(told, Err(ErrorCode::CoordinatorLoadInProgress));
    }

    #[test]
    fn ids_of_all_blocks_are_given_out_once() {
        let mut pool = ProducerIdPool::default();
        assert_eq!(pool.take(), None);
        pool.add(1000..1002);
        pool.add(5000..5001);
        assert_eq!(pool.peek(), Some(ProducerId(1000)));
        let taken: Vec<i64> = std::iter::from_fn(|| pool.take()).map(|id| id.0).collect();
        assert_eq!(pool.peek(), None);
        assert_eq!(taken, [1000, 1001, 5000]);
    }
}
