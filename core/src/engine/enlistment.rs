//! Partitions that requests here want in transactions which other brokers coordinate, or want to know in them. What comes
//! while a broker owes answers goes together in the next request to it, as in Kafka's `AddPartitionsToTxnManager`.

use super::{
    Effects, Engine, GatherId, PeerLost,
    peers::{Caller, TOGETHER_MAX},
};
use crate::{
    api::transactions::{answer_about_partitions, question_about_partitions},
    error::ErrorCode,
    transactions::{AddPartitions, Response, TransactionalId},
};
use bytes::Bytes;
use corelane_seam::Now;
use std::{collections::BTreeSet, sync::Arc};

/// What a request asks of a transaction's coordinator.
#[derive(Clone, Debug)]
pub struct Enlist {
    /// Which partitions, of which transaction.
    pub request: AddPartitions,
    /// Only whether they are in it: none is added.
    pub verifies: bool,
}

impl Engine {
    /// Asks the brokers that do not owe too many answers.
    pub(super) fn enlist(&mut self, now: Now, effects: &mut Effects) {
        if self.peer_calls.enlistment.is_empty() {
            return;
        }
        for (broker, wished) in self.peer_calls.enlistment.take(TOGETHER_MAX) {
            let wished = wished.into_iter().filter(|(gather, _)| self.gathers.contains_key(gather));
            // The answer tells transactions apart by their ids.
            let mut ids = BTreeSet::new();
            let (together, later): (Vec<_>, Vec<_>) =
                wished.partition(|(_, enlist)| ids.insert(Arc::clone(&enlist.request.id)));
            for enlist in later {
                self.peer_calls.enlistment.push(broker, enlist);
            }
            if together.is_empty() {
                continue;
            }
            let asked = together.iter().map(|(gather, it)| (*gather, Arc::clone(&it.request.id))).collect();
            match question_about_partitions(together.iter().map(|(_, enlist)| enlist)) {
                Ok(frame) => {
                    effects.calls.push(self.peer_calls.call(broker, &frame, Caller::Enlistment(asked)));
                }
                Err(error) => {
                    tracing::error!(
                        "partitions of transactions cannot be encoded for broker {broker}: {error}"
                    );
                    self.enlisted(now, asked, Err(PeerLost), effects);
                }
            }
        }
    }

    /// A broker has answered about partitions, or could not.
    pub(super) fn enlisted(
        &mut self,
        now: Now,
        asked: Vec<(GatherId, TransactionalId)>,
        answer: Result<Bytes, PeerLost>,
        effects: &mut Effects,
    ) {
        let mut told = match answer {
            Ok(frame) => answer_about_partitions(&frame),
            Err(PeerLost) => Err(ErrorCode::NetworkException),
        };
        for (gather, id) in asked {
            let reply = match &mut told {
                Ok(told) => told.remove(&id).map(Response::Partitions).ok_or(ErrorCode::UnknownServerError),
                Err(error) => Err(*error),
            };
            self.step(now, gather, effects, |gather, context| gather.enlisted(context, reply));
        }
    }
}

#[cfg(test)]
impl Enlist {
    /// A partition of topic `t`, for a producer of some transaction.
    pub fn for_test(id: &str) -> Enlist {
        use crate::{
            ids::{ProducerEpoch, ProducerId},
            transactions::Producer,
        };
        let producer = Producer { id: ProducerId(1), epoch: ProducerEpoch(0) };
        let partitions = [(Arc::from("t"), 0)].into_iter().collect();
        let request = AddPartitions { id: id.into(), producer, partitions, version: 5 };
        Enlist { request, verifies: false }
    }
}
