//! SyncGroup, Heartbeat, LeaveGroup, and members that are not heard of.

use super::{Act, group::State, join::Join};
use crate::{
    error::ErrorCode,
    groups::{
        alarms::Alarm,
        face::{Response, Then, Ticket},
        records::{MemberId, Record},
    },
};
use bytes::Bytes;
use kafka_protocol::messages::{
    HeartbeatRequest, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
    leave_group_response::MemberResponse,
};
use std::{collections::BTreeMap, sync::Arc};
use tracing::info;

impl Act<'_> {
    /// A member asks for its assignment; the leader brings everyone's.
    pub fn sync(&mut self, ticket: Ticket, request: &SyncGroupRequest) {
        match self.validate_sync(request) {
            Err(error) => self.out.replies.push((ticket, Err(error))),
            Ok(id) => match self.group.state() {
                State::Empty => self.out.replies.push((ticket, Err(ErrorCode::UnknownMemberId))),
                State::PreparingRebalance => {
                    self.out.replies.push((ticket, Err(ErrorCode::RebalanceInProgress)));
                }
                State::CompletingRebalance => {
                    self.synced(&id);
                    if let Some(member) = self.group.members.get_mut(&id)
                        && let Some(earlier) = member.syncing.replace(ticket)
                    {
                        self.out.replies.push((earlier, Err(ErrorCode::RebalanceInProgress)));
                    }
                    if self.group.is_leader(&id) {
                        self.assign(request);
                    }
                }
                State::Stable => {
                    self.synced(&id);
                    let assignment = self.assignment_of(&id);
                    self.out.replies.push((ticket, Ok(assignment)));
                }
            },
        }
    }

    fn validate_sync(&self, request: &SyncGroupRequest) -> Result<MemberId, ErrorCode> {
        self.group.validate(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |told: Option<&str>, known: Option<&str>| matches!((told, known), (Some(told), Some(known)) if told != known);
        if differs(request.protocol_type.as_deref(), self.group.protocol_type.as_deref())
            || differs(request.protocol_name.as_deref(), self.group.protocol.as_deref())
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(Arc::from(request.member_id.as_str()))
    }

    fn synced(&mut self, id: &MemberId) {
        self.group.unsynced.remove(id);
        if self.group.unsynced.is_empty() {
            self.alarms.cancel(&Alarm::Sync(Arc::clone(self.id)));
        }
    }

    fn assign(&mut self, request: &SyncGroupRequest) {
        let mut assignment: BTreeMap<MemberId, Bytes> = BTreeMap::new();
        for given in &request.assignments {
            if self.group.members.contains_key(given.member_id.as_str()) {
                let bytes = Bytes::copy_from_slice(&given.assignment);
                assignment.insert(Arc::from(given.member_id.as_str()), bytes);
            }
        }
        info!(
            group = %self.id,
            generation = self.group.generation,
            members = self.group.members.len(),
            statics = self.group.static_members(),
            "the leader has assigned"
        );
        let given = |member: &super::Member| assignment.get(&member.id).cloned().unwrap_or_default();
        let value = Some(self.group.to_value(given));
        self.out.records.push(Record::ClassicGroup { group: Arc::clone(self.id), value });
        self.out.applied = true;
        self.out.then = Some(Then::Assigned {
            group: Arc::clone(self.id),
            generation: self.group.generation,
            assignment,
        });
    }

    /// The assignment of a generation is committed, or is not.
    pub fn assigned(
        &mut self,
        generation: i32,
        assignment: &BTreeMap<MemberId, Bytes>,
        stored: Result<(), ErrorCode>,
    ) {
        if self.group.state() != State::CompletingRebalance || self.group.generation != generation {
            // The next rebalance has begun meanwhile.
            return;
        }
        match stored {
            Ok(()) => {
                for member in self.group.members.values_mut() {
                    member.assignment = assignment.get(&member.id).cloned().unwrap_or_default();
                }
                self.propagate(None);
                self.group.enter(State::Stable, self.scene.now.unix_ms);
            }
            Err(error) => {
                self.group.members.values_mut().for_each(|member| member.assignment = Bytes::new());
                self.propagate(Some(error));
                self.rebalance(&format!("the assignment could not be stored: {error}"));
            }
        }
    }

    /// A member says that it is there.
    pub fn heartbeat(&mut self, ticket: Ticket, request: &HeartbeatRequest) {
        let valid = self.group.validate(&request.member_id, request.group_instance_id.as_deref());
        let reply = valid.and_then(|()| {
            if request.generation_id != self.group.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
            self.heard(&Arc::from(request.member_id.as_str()));
            match self.group.state() {
                State::Empty => Err(ErrorCode::UnknownMemberId),
                State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
                State::CompletingRebalance | State::Stable => Ok(Response::Heartbeat),
            }
        });
        self.out.replies.push((ticket, reply));
    }

    /// Members leave, each for itself.
    pub fn leave(&mut self, ticket: Ticket, request: &LeaveGroupRequest) {
        let mut members = Vec::with_capacity(request.members.len());
        let mut left = Vec::new();
        for member in &request.members {
            let instance = member.group_instance_id.as_deref();
            let result = self.leave_one(&member.member_id, instance);
            let mut told = MemberResponse::default()
                .with_member_id(member.member_id.clone())
                .with_group_instance_id(member.group_instance_id.clone());
            match result {
                Ok(()) => {
                    let reason = member.reason.as_deref().filter(|reason| !reason.is_empty());
                    info!(
                        group = %self.id,
                        member = %member.member_id.as_str(),
                        "left; client reason: {}",
                        reason.unwrap_or("not provided")
                    );
                    left.push(member.member_id.as_str());
                }
                Err(error) => told.error_code = error.code(),
            }
            members.push(told);
        }
        self.out
            .replies
            .push((ticket, Ok(Response::Leave(LeaveGroupResponse::default().with_members(members)))));
        if left.is_empty() {
            return;
        }
        match self.group.state() {
            State::Stable | State::CompletingRebalance => {
                self.rebalance(&format!("members left: {}", left.join(", ")));
            }
            State::PreparingRebalance => self.complete_if_all_joined(),
            State::Empty => {}
        }
    }

    fn leave_one(&mut self, id: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        let id: MemberId = match instance {
            // An administrator removes a static member by its static name alone.
            Some(instance) if id.is_empty() => {
                self.group.static_member(instance).cloned().ok_or(ErrorCode::UnknownMemberId)?
            }
            _ => Arc::from(id),
        };
        if self.group.pending.contains(&id) && instance.is_none() {
            self.alarms.cancel(&Alarm::Session(Arc::clone(self.id), Arc::clone(&id)));
            self.group.remove(&id);
            return Ok(());
        }
        self.group.validate(&id, instance)?;
        self.take_out(&id);
        Ok(())
    }

    /// Removes a member; if it waits for anything, it is told that it is not known.
    fn take_out(&mut self, id: &MemberId) {
        self.alarms.cancel(&Alarm::Session(Arc::clone(self.id), Arc::clone(id)));
        if let Some(member) = self.group.remove(id) {
            if let Some(ticket) = member.joining {
                self.out.replies.push((ticket, Join::refusal(ErrorCode::UnknownMemberId, "")));
            }
            if let Some(ticket) = member.syncing {
                self.out.replies.push((ticket, Err(ErrorCode::UnknownMemberId)));
            }
        }
    }

    /// A member was not heard of for its session timeout.
    pub fn session_over(&mut self, id: &MemberId) {
        if self.group.pending.contains(id) {
            self.group.remove(id);
            return self.complete_if_all_joined();
        }
        let Some(member) = self.group.members.get(id) else { return };
        if member.is_waiting() {
            // It is heard of by what it waits for; its session begins anew when it is answered.
            return;
        }
        info!(group = %self.id, member = %id, "removed: no heartbeat within its session timeout");
        self.take_out(id);
        match self.group.state() {
            State::Stable | State::CompletingRebalance => {
                self.rebalance(&format!("no heartbeat of member {id}"));
            }
            State::PreparingRebalance => self.complete_if_all_joined(),
            State::Empty => {}
        }
    }

    /// Members had long enough to ask for their assignment.
    pub fn sync_phase_over(&mut self) {
        if !matches!(self.group.state(), State::CompletingRebalance | State::Stable) {
            return;
        }
        let late = std::mem::take(&mut self.group.unsynced);
        if late.is_empty() {
            return;
        }
        late.iter().for_each(|id| self.take_out(id));
        let names: Vec<&str> = late.iter().map(AsRef::as_ref).collect();
        self.prepare(&format!("members did not sync in time: {}", names.join(", ")));
    }
}
