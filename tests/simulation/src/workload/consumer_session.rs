//! A member of a group of the new protocol (KIP-848), from its first report to its leaving or its crash: reports, takes what
//! it is given, gives up what it is told to, commits what it owns.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    group::{GroupAnswer, GroupRequest, Named, Reported},
    model::{Ended, Outcome},
    request::Request,
};
use corelane_core::{error::ErrorCode, ids::PartitionId};
use std::{collections::BTreeSet, rc::Rc};

/// One, so that clients meet.
const GROUP: &str = "group-c";

/// The longest pause between two things a member does, in ns: well within its session.
const PAUSE_NS_MAX: u64 = 1_500_000_000;

/// What a healthy broker may need before the group settles, in requests asked again.
const SETTLING_TRIES_MAX: u32 = 200;

struct Session {
    member: Rc<str>,
    epoch: i32,
    topics: Vec<Rc<str>>,
    owned: Vec<Named>,
    rounds_left: u64,
    tries_left: u32,
    leaves: bool,
    /// Nothing is wrong any more: it must get everything.
    must_settle: bool,
}

pub(super) fn make(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    let session = Session {
        rounds_left: desk.rng.between(1, 12),
        tries_left: 30,
        leaves: desk.rng.below(2) == 0,
        must_settle: false,
        ..Session::settling()
    };
    Box::new(session)
}

/// After all faults are over: a member that gets everything.
pub fn settling() -> Box<dyn Operation> {
    Box::new(Session::settling())
}

impl Session {
    fn settling() -> Session {
        Session {
            member: "".into(),
            epoch: 0,
            topics: Vec::new(),
            owned: Vec::new(),
            rounds_left: 3,
            tries_left: SETTLING_TRIES_MAX,
            leaves: true,
            must_settle: true,
        }
    }

    fn request(request: GroupRequest) -> Request {
        Request::Group { group: GROUP.into(), request }
    }

    fn again(&mut self, desk: &mut Desk<'_>, request: GroupRequest, why: &str) {
        self.tries_left = self.tries_left.saturating_sub(1);
        if self.tries_left > 0 {
            desk.ask_again(Session::request(request));
        } else if self.must_settle {
            desk.violated(format!("{GROUP} does not settle, last {why}: {request:?}"));
        }
    }

    /// The first report, also after it was fenced: it owns nothing and says what it wants.
    fn join(&self) -> GroupRequest {
        GroupRequest::Report {
            member: Rc::clone(&self.member),
            epoch: 0,
            wants: Some(self.topics.clone()),
            owned: Some(Vec::new()),
        }
    }

    fn report(&self, owned: Option<Vec<PartitionId>>) -> GroupRequest {
        GroupRequest::Report { member: Rc::clone(&self.member), epoch: self.epoch, wants: None, owned }
    }

    fn rejoin(&mut self, desk: &mut Desk<'_>, why: &str) {
        self.owned.clear();
        self.again(desk, self.join(), why);
    }

    fn reported(&mut self, desk: &mut Desk<'_>, reported: Reported) {
        self.epoch = reported.epoch;
        let Some(assignment) = reported.assignment else { return self.go_on(desk) };
        let all = desk.catalog.partitions();
        self.owned = all.into_iter().filter(|(partition, _)| assignment.contains(partition)).collect();
        // What it has given up, and what it has taken, is said at once: others may wait for it.
        desk.ask(Session::request(self.report(Some(assignment))));
    }

    /// Whether it owns every partition of what it wants.
    fn has_everything(&self, desk: &Desk<'_>) -> bool {
        let all = desk.catalog.partitions();
        let wanted = all.into_iter().filter(|(_, topic)| self.topics.contains(topic));
        let owned: BTreeSet<PartitionId> = self.owned.iter().map(|(partition, _)| *partition).collect();
        wanted.into_iter().all(|(partition, _)| owned.contains(&partition))
    }

    fn go_on(&mut self, desk: &mut Desk<'_>) {
        self.owned.retain(|(partition, _)| !desk.catalog.is_deleted(partition.topic));
        if self.must_settle && !self.has_everything(desk) {
            return self.again(desk, self.report(None), "a report");
        }
        let member = Rc::clone(&self.member);
        if self.rounds_left == 0 {
            if self.leaves {
                let leave = GroupRequest::Report { member, epoch: -1, wants: None, owned: None };
                desk.ask(Session::request(leave));
            }
            return;
        }
        self.rounds_left -= 1;
        let request = match desk.rng.below(4) {
            0 => self.report(None),
            1 if !self.owned.is_empty() => {
                GroupRequest::FetchOffsets { partitions: self.owned.clone(), stable: false }
            }
            _ if !self.owned.is_empty() => {
                let owned = self.owned.iter();
                let offsets = owned.map(|named| (named.clone(), desk.catalog.next_commit())).collect();
                GroupRequest::Commit { member, generation: self.epoch, by_epoch: true, offsets }
            }
            _ => self.report(None),
        };
        let delay_ns = desk.rng.below(PAUSE_NS_MAX);
        desk.asks.push((delay_ns, Session::request(request)));
    }

    fn answered(&mut self, desk: &mut Desk<'_>, request: GroupRequest, answer: GroupAnswer) {
        match answer {
            GroupAnswer::FindCoordinator(Ok(_)) => desk.ask(Session::request(self.join())),
            // It has left, and that is all that is asked.
            GroupAnswer::Report(_) if matches!(request, GroupRequest::Report { epoch: -1, .. }) => {}
            GroupAnswer::Report(Ok(reported)) => self.reported(desk, reported),
            GroupAnswer::Offsets(Ok(_)) => self.go_on(desk),
            GroupAnswer::Commit(errors) => {
                let deleted = |error: &ErrorCode| *error == ErrorCode::UnknownTopicOrPartition;
                match errors.into_iter().find(|error| !error.is_none() && !deleted(error)) {
                    None => self.go_on(desk),
                    Some(error) => self.refused(desk, request, error),
                }
            }
            GroupAnswer::FindCoordinator(Err(error))
            | GroupAnswer::Report(Err(error))
            | GroupAnswer::Offsets(Err(error)) => self.refused(desk, request, error),
            GroupAnswer::Join(_)
            | GroupAnswer::Sync(_)
            | GroupAnswer::Heartbeat(_)
            | GroupAnswer::Leave(_) => {
                desk.violated(format!("an answer of the other protocol to {request:?}"));
            }
        }
    }

    fn refused(&mut self, desk: &mut Desk<'_>, request: GroupRequest, error: ErrorCode) {
        match (error, request) {
            (ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound, _) => {
                self.rejoin(desk, error.name())
            }
            (ErrorCode::StaleMemberEpoch, _) => self.again(desk, self.report(None), error.name()),
            (error, request) => {
                let also = [ErrorCode::NotCoordinator, ErrorCode::CoordinatorNotAvailable];
                desk.expect(error, &also, &format!("{request:?}"));
                self.lost(desk, request, error.name());
            }
        }
    }

    /// A commit is not repeated: another offset may be due by then.
    fn lost(&mut self, desk: &mut Desk<'_>, request: GroupRequest, why: &str) {
        match request {
            GroupRequest::Report { epoch: -1, .. } => {}
            GroupRequest::Commit { .. } => self.again(desk, self.report(None), why),
            request => self.again(desk, request, why),
        }
    }
}

impl Operation for Session {
    fn name(&self) -> &'static str {
        "a member of a consumer group"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        self.member = format!("member-{}", desk.catalog.next_commit()).into();
        self.topics = desk.catalog.topics().map(|(_, topic)| Rc::clone(&topic.name)).take(3).collect();
        desk.ask(Session::request(GroupRequest::FindCoordinator));
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        let Request::Group { request, .. } = ended.request else { return };
        match ended.outcome {
            Outcome::Answered(Answer::Group(answer)) => self.answered(desk, request, answer),
            Outcome::Answered(_) => {}
            Outcome::Lost => self.lost(desk, request, "lost"),
        }
    }
}
