//! A member of a group, from its first question to its leaving or its crash: joins, leads if it must, commits what it
//! owns, joins again whenever it is told to.

use super::{Desk, Operation, is_passing};
use crate::client::{
    answer::Answer,
    group::{GroupAnswer, GroupRequest, Joined, Named},
    model::{Ended, Outcome},
    request::Request,
};
use corelane_core::{error::ErrorCode, ids::PartitionId};
use std::rc::Rc;

/// Few, so that clients meet.
const GROUPS: &[&str] = &["group-a", "group-b"];

/// The longest pause between two things a member does, in ns: well within its session.
const PAUSE_NS_MAX: u64 = 1_500_000_000;

/// What a healthy broker may need before a group settles, in requests asked again.
const SETTLING_TRIES_MAX: u32 = 200;

struct Session {
    group: Rc<str>,
    /// Empty until it has a name.
    member: Rc<str>,
    generation: i32,
    owned: Vec<Named>,
    /// What it does before it goes.
    rounds_left: u64,
    tries_left: u32,
    leaves: bool,
    /// Nothing is wrong any more: that it never gets its assignment is a violation.
    must_settle: bool,
}

pub(super) fn make(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    let group = GROUPS[desk.rng.index(GROUPS.len())];
    Box::new(Session {
        rounds_left: desk.rng.between(1, 12),
        tries_left: 30,
        leaves: desk.rng.below(2) == 0,
        ..Session::of(group)
    })
}

/// After all faults are over: every group gets a member that gets everything.
pub fn settling() -> impl Iterator<Item = Box<dyn Operation>> {
    GROUPS.iter().map(|group| -> Box<dyn Operation> {
        Box::new(Session { must_settle: true, leaves: true, ..Session::of(group) })
    })
}

impl Session {
    fn of(group: &str) -> Session {
        Session {
            group: group.into(),
            member: "".into(),
            generation: -1,
            owned: Vec::new(),
            rounds_left: 3,
            tries_left: SETTLING_TRIES_MAX,
            leaves: true,
            must_settle: false,
        }
    }

    fn ask(&self, desk: &mut Desk<'_>, request: GroupRequest) {
        desk.ask(Request::Group { group: Rc::clone(&self.group), request });
    }

    fn again(&mut self, desk: &mut Desk<'_>, request: GroupRequest, why: &str) {
        self.tries_left = self.tries_left.saturating_sub(1);
        if self.tries_left > 0 {
            desk.ask_again(Request::Group { group: Rc::clone(&self.group), request });
        } else if self.must_settle {
            desk.violated(format!("{} does not settle, last {why}: {request:?}", self.group));
        }
    }

    fn join(&mut self, desk: &mut Desk<'_>, why: &str) {
        self.owned.clear();
        self.again(desk, GroupRequest::Join { member: Rc::clone(&self.member) }, why);
    }

    fn join_as_new(&mut self, desk: &mut Desk<'_>, why: &str) {
        self.member = "".into();
        self.join(desk, why);
    }

    /// What an error of the group's makes a member do; whether it was one.
    fn turned_away(&mut self, desk: &mut Desk<'_>, error: ErrorCode) -> bool {
        match error {
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => self.join(desk, error.name()),
            ErrorCode::UnknownMemberId => self.join_as_new(desk, error.name()),
            _ => return false,
        }
        true
    }

    fn joined(&mut self, desk: &mut Desk<'_>, joined: Joined) {
        (self.generation, self.member) = (joined.generation, joined.member);
        let members = joined.members;
        let mut assignments: Vec<(Rc<str>, Vec<PartitionId>)> =
            members.into_iter().map(|member| (member, Vec::new())).collect();
        if !assignments.is_empty() {
            let all = desk.catalog.partitions();
            for (index, (partition, _)) in all.into_iter().take(8).enumerate() {
                let to = index % assignments.len();
                assignments[to].1.push(partition);
            }
        }
        let member = Rc::clone(&self.member);
        self.ask(desk, GroupRequest::Sync { member, generation: self.generation, assignments });
    }

    fn assigned(&mut self, desk: &mut Desk<'_>, partitions: &[PartitionId]) {
        let all = desk.catalog.partitions();
        self.owned = all.into_iter().filter(|(partition, _)| partitions.contains(partition)).collect();
        if self.owned.is_empty() {
            self.go_on(desk);
        } else {
            // It goes on where whoever had them before it stopped.
            self.ask(desk, GroupRequest::FetchOffsets { partitions: self.owned.clone(), stable: false });
        }
    }

    fn go_on(&mut self, desk: &mut Desk<'_>) {
        let member = Rc::clone(&self.member);
        self.owned.retain(|(partition, _)| !desk.catalog.is_deleted(partition.topic));
        if self.rounds_left == 0 {
            if self.leaves {
                self.ask(desk, GroupRequest::Leave { member });
            }
            return;
        }
        self.rounds_left -= 1;
        let generation = self.generation;
        let request = match desk.rng.below(4) {
            0 => GroupRequest::Heartbeat { member, generation },
            1 if !self.owned.is_empty() => {
                GroupRequest::FetchOffsets { partitions: self.owned.clone(), stable: false }
            }
            _ if !self.owned.is_empty() => {
                let owned = self.owned.iter();
                let offsets = owned.map(|named| (named.clone(), desk.catalog.next_commit())).collect();
                GroupRequest::Commit { member, generation, by_epoch: false, offsets }
            }
            _ => GroupRequest::Heartbeat { member, generation },
        };
        let delay_ns = desk.rng.below(PAUSE_NS_MAX);
        desk.asks.push((delay_ns, Request::Group { group: Rc::clone(&self.group), request }));
    }

    fn answered(&mut self, desk: &mut Desk<'_>, request: GroupRequest, answer: GroupAnswer) {
        match answer {
            GroupAnswer::FindCoordinator(Ok(_)) => self.join(desk, "the first time"),
            GroupAnswer::Join(Ok(joined)) => self.joined(desk, joined),
            GroupAnswer::Join(Err((ErrorCode::MemberIdRequired, member))) => {
                self.member = member;
                self.join(desk, "with its name");
            }
            GroupAnswer::Sync(Ok(partitions)) => self.assigned(desk, &partitions),
            GroupAnswer::Heartbeat(ErrorCode::None) => self.go_on(desk),
            GroupAnswer::Commit(errors) => {
                let error = errors.into_iter().find(|error| !error.is_none() && !is_of_deletion(*error));
                match error {
                    None => self.go_on(desk),
                    Some(error) => self.refused(desk, request, error),
                }
            }
            GroupAnswer::Offsets(Ok(_)) => self.go_on(desk),
            GroupAnswer::Leave(error) => {
                // It may have been given up meanwhile.
                // What cannot be written for want of replicas in sync is not available, as in Kafka.
                let also = [
                    ErrorCode::UnknownMemberId,
                    ErrorCode::NotCoordinator,
                    ErrorCode::CoordinatorNotAvailable,
                ];
                desk.expect(error, &also, "LeaveGroup");
            }
            GroupAnswer::FindCoordinator(Err(error))
            | GroupAnswer::Join(Err((error, _)))
            | GroupAnswer::Sync(Err(error))
            | GroupAnswer::Heartbeat(error)
            | GroupAnswer::Offsets(Err(error)) => self.refused(desk, request, error),
            GroupAnswer::Report(_) => {
                desk.violated(format!("an answer of the other protocol to {request:?}"));
            }
        }
    }

    fn refused(&mut self, desk: &mut Desk<'_>, request: GroupRequest, error: ErrorCode) {
        if self.turned_away(desk, error) {
            return;
        }
        let also = [ErrorCode::NotCoordinator, ErrorCode::CoordinatorNotAvailable];
        desk.expect(error, &also, &format!("{request:?}"));
        // A commit is not repeated: another offset may be due by then.
        match request {
            GroupRequest::Commit { member, generation, .. } => {
                self.again(desk, GroupRequest::Heartbeat { member, generation }, error.name());
            }
            request => self.again(desk, request, error.name()),
        }
    }
}

/// Whether the deletion of a topic explains it.
fn is_of_deletion(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::UnknownTopicOrPartition) && is_passing(error)
}

impl Operation for Session {
    fn name(&self) -> &'static str {
        "a member of a group"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        self.ask(desk, GroupRequest::FindCoordinator);
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        let Request::Group { request, .. } = ended.request else { return };
        match ended.outcome {
            Outcome::Answered(Answer::Group(answer)) => self.answered(desk, request, answer),
            Outcome::Answered(_) => {}
            Outcome::Lost => match request {
                GroupRequest::Leave { .. } => {}
                GroupRequest::Commit { member, generation, .. } => {
                    self.again(desk, GroupRequest::Heartbeat { member, generation }, "lost");
                }
                request => self.again(desk, request, "lost"),
            },
        }
    }
}
