//! Proposals and their answers: each gets exactly one, whatever becomes of the quorum.

use crate::{
    quorum::{Outbox, QuorumOutput},
    types::{EncodedBatch, Outcome, Reply, TypeConfig},
};
use corelane_core::{
    ids::NodeId,
    metadata::{BATCH_BYTES_MAX, Batch, MetadataOffset, Violated},
};
use openraft::{
    errors::{ClientWriteError, ForwardReason},
    raft::ClientWriteResult,
};
use std::{cell::RefCell, rc::Rc};

/// Proposals without an answer: past it, proposing fails at once.
pub const PROPOSALS_IN_FLIGHT_MAX: usize = 8 * 1024;

/// Bytes of proposals without an answer: past it, proposing fails at once.
pub const PROPOSED_BYTES_MAX: usize = 8 * BATCH_BYTES_MAX;

/// Why a proposal did not take effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It was committed, but a precondition did not hold or a record contradicted the image: no effect.
    #[error(transparent)]
    Violated(#[from] Violated),
    /// This node does not lead. No effect.
    #[error("not the active controller; it is {leader:?}")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The leadership went elsewhere before the batch was committed. It may take effect through the next leader.
    #[error("the leadership was lost with the batch under way")]
    LeadershipLost,
    /// This node leads, but has not heard of a majority for a lease's time: another one may lead by now. No effect.
    #[error("a majority of the metadata quorum has not been heard of lately")]
    LeaseExpired,
    /// Too large for the log. No effect.
    #[error("a batch of {bytes} bytes, beyond {BATCH_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Too much is under way. No effect; try again later.
    #[error("too many metadata proposals are under way")]
    Busy,
    /// The quorum stopped first. Whether the batch takes effect shows after a restart.
    #[error("the metadata quorum stopped")]
    Stopped,
    /// The quorum broke first, for this reason. Whether the batch takes effect shows after a restart.
    #[error("the metadata quorum broke: {0}")]
    Fatal(String),
}

#[derive(Default)]
struct InFlight {
    count: usize,
    bytes: usize,
    /// Those that were dropped without an answer, as openraft does when it ends. What they are told depends on why
    /// it ended, which shows a little later.
    abandoned: Vec<u64>,
    /// What they are told.
    end: Option<ProposeError>,
}

/// Where answers go, and how many are owed.
#[derive(Clone)]
pub(crate) struct Answers {
    outbox: Outbox,
    in_flight: Rc<RefCell<InFlight>>,
}

impl Answers {
    pub fn new(outbox: Outbox) -> Answers {
        Answers { outbox, in_flight: Rc::default() }
    }

    /// The quorum has ended: proposals without an answer get this one, now and later.
    pub fn end_with(&self, error: ProposeError) {
        self.in_flight.borrow_mut().end.get_or_insert(error);
    }

    /// Answers what was abandoned, once it is known why.
    pub fn settle(&self) {
        let mut in_flight = self.in_flight.borrow_mut();
        let Some(error) = in_flight.end.clone() else { return };
        for id in std::mem::take(&mut in_flight.abandoned) {
            self.outbox.push(QuorumOutput::Proposed { id, result: Err(error.clone()) });
        }
    }
}

/// The duty to answer a proposal. Dropped without an answer, it leaves that to the quorum's end.
pub(crate) struct Owed {
    answers: Answers,
    id: u64,
    bytes: usize,
    answered: bool,
}

impl Owed {
    fn answer(mut self, result: Result<MetadataOffset, ProposeError>) {
        self.answered = true;
        self.answers.outbox.push(QuorumOutput::Proposed { id: self.id, result });
    }

    /// A responder for openraft that answers.
    pub fn into_reply(self) -> Reply<ClientWriteResult<TypeConfig>> {
        Reply::new(move |result: ClientWriteResult<TypeConfig>| {
            let result = match result {
                Ok(written) => match written.data {
                    Outcome::Applied => Ok(MetadataOffset(written.log_id.index)),
                    Outcome::Violated(violated) => Err(ProposeError::Violated(violated)),
                },
                Err(ClientWriteError::ForwardToLeader(forward))
                    if forward.reason == ForwardReason::LeaseExpired =>
                {
                    Err(ProposeError::LeaseExpired)
                }
                Err(ClientWriteError::ForwardToLeader(forward)) => {
                    let leader = forward.leader_id.and_then(|id| i32::try_from(id).ok()).map(NodeId);
                    Err(ProposeError::NotLeader { leader })
                }
                Err(ClientWriteError::LogEntryDiscarded(_)) => Err(ProposeError::LeadershipLost),
                // Both answer requests that are never made here.
                Err(
                    error @ (ClientWriteError::ChangeMembershipError(_)
                    | ClientWriteError::PreconditionFailed(_)),
                ) => Err(ProposeError::Fatal(format!("openraft answered a plain write with: {error}"))),
            };
            self.answer(result);
        })
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        let mut in_flight = self.answers.in_flight.borrow_mut();
        in_flight.count -= 1;
        in_flight.bytes -= self.bytes;
        if !self.answered {
            in_flight.abandoned.push(self.id);
        }
    }
}

/// A batch on its way into the log.
pub(crate) struct Proposal {
    pub batch: EncodedBatch,
    pub owed: Owed,
}

impl Proposal {
    /// Encodes the batch; `None` if it was refused, and answered, at once.
    pub fn new(answers: &Answers, id: u64, batch: &Batch) -> Option<Proposal> {
        let encoded = batch.encode();
        let bytes = encoded.len();
        let refusal = {
            let mut in_flight = answers.in_flight.borrow_mut();
            in_flight.count += 1;
            in_flight.bytes += bytes;
            if bytes > BATCH_BYTES_MAX {
                Some(ProposeError::TooLarge { bytes })
            } else if in_flight.count > PROPOSALS_IN_FLIGHT_MAX || in_flight.bytes > PROPOSED_BYTES_MAX {
                Some(ProposeError::Busy)
            } else {
                None
            }
        };
        let owed = Owed { answers: answers.clone(), id, bytes, answered: false };
        match refusal {
            Some(error) => {
                owed.answer(Err(error));
                None
            }
            None => Some(Proposal { batch: EncodedBatch(encoded.into()), owed }),
        }
    }
}
