//! AddRaftVoter and RemoveRaftVoter by a simulated administrator, who looks first at who votes: a controller that does not
//! is added, one that does is removed if enough remain. A few times, each when the one before is over.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    quorum::{QuorumAnswer, QuorumRequest, Voter},
    request::Request,
};
use corelane_core::error::ErrorCode;
use std::collections::BTreeSet;

/// Looks that one operation takes at most.
const LOOKS_MAX: u64 = 4;

struct ChangeVoters {
    left: u64,
}

pub(super) fn make(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(ChangeVoters { left: desk.rng.between(1, LOOKS_MAX) })
}

/// The next change, if there is one to make.
fn choose(told: &BTreeSet<Voter>, desk: &mut Desk<'_>) -> Option<QuorumRequest> {
    let quorum = &desk.catalog.quorum;
    let chosen = desk.rng.pick(&quorum.controllers)?;
    if !told.contains(&chosen.voter) {
        Some(QuorumRequest::Add(chosen.clone()))
    } else {
        quorum.may_remove(chosen.voter, told).then_some(QuorumRequest::Remove(chosen.voter))
    }
}

impl Operation for ChangeVoters {
    fn name(&self) -> &'static str {
        "a change of voters"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        self.left -= 1;
        desk.ask(Request::Quorum(QuorumRequest::Describe));
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        match ended.outcome {
            Outcome::Answered(Answer::Quorum(QuorumAnswer::Voters(Ok(told)))) => {
                if let Some(change) = choose(&told, desk) {
                    return desk.ask(Request::Quorum(change));
                }
            }
            Outcome::Answered(Answer::Quorum(QuorumAnswer::Voters(Err(error)))) => {
                desk.expect(error, &[], "DescribeQuorum");
            }
            Outcome::Answered(Answer::Quorum(QuorumAnswer::Changed(error))) => {
                // Who votes may have changed since it was looked at.
                let also = [ErrorCode::DuplicateVoter, ErrorCode::VoterNotFound];
                desk.expect(error, &also, "a change of voters");
            }
            Outcome::Answered(_) | Outcome::Lost => {}
        }
        if self.left > 0 {
            self.left -= 1;
            desk.ask_again(Request::Quorum(QuorumRequest::Describe));
        }
    }
}
