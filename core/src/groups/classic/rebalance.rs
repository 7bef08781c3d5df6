//! The join phase: when it begins, how long it waits, and how it ends.

use super::{
    Act,
    group::{Initial, State},
};
use crate::{
    error::ErrorCode,
    groups::{
        alarms::Alarm,
        face::{Response, Ticket},
        records::{MemberId, Record},
    },
};
use bytes::Bytes;
use kafka_protocol::{
    messages::{JoinGroupResponse, SyncGroupResponse, join_group_response::JoinGroupResponseMember},
    protocol::StrBytes,
};
use std::sync::Arc;
use tracing::info;

impl Act<'_> {
    fn now_ms(&self) -> i64 {
        self.scene.now.unix_ms
    }

    pub(super) fn alarm_in(&mut self, alarm: Alarm, ms: u64) {
        self.alarms.set(alarm, self.scene.now.monotonic.after_ms(ms));
    }

    /// A member was heard of: its session begins anew.
    pub(super) fn heard(&mut self, id: &MemberId) {
        let Some(member) = self.group.members.get(id) else { return };
        let ms = u64::from(member.terms.session_timeout_ms.max(0).unsigned_abs());
        self.alarm_in(Alarm::Session(Arc::clone(self.id), Arc::clone(id)), ms);
    }

    /// Begins a rebalance if none is under way, else ends it if no one is waited for any more.
    pub fn rebalance(&mut self, reason: &str) {
        if self.group.state() == State::PreparingRebalance {
            self.complete_if_all_joined();
        } else {
            self.prepare(reason);
        }
    }

    /// Begins the join phase.
    pub(super) fn prepare(&mut self, reason: &str) {
        if self.group.state() == State::CompletingRebalance {
            self.group.members.values_mut().for_each(|member| member.assignment = Bytes::new());
            self.propagate(Some(ErrorCode::RebalanceInProgress));
        }
        self.group.unsynced.clear();
        self.alarms.cancel(&Alarm::Sync(Arc::clone(self.id)));
        let initial = self.group.state() == State::Empty;
        self.group.enter(State::PreparingRebalance, self.now_ms());
        info!(
            group = %self.id,
            generation = self.group.generation,
            members = self.group.members.len(),
            "preparing to rebalance: {reason}"
        );
        if initial {
            let delay_ms = self.scene.config.groups.initial_rebalance_delay_ms;
            let remaining_ms = self.group.rebalance_timeout_ms().saturating_sub(delay_ms);
            self.group.initial = Some(Initial { delay_ms, remaining_ms, more_came: false });
            self.alarm_in(Alarm::Join(Arc::clone(self.id)), delay_ms);
        } else if self.group.all_joined() {
            self.complete();
        } else {
            let ms = self.group.rebalance_timeout_ms();
            self.alarm_in(Alarm::Join(Arc::clone(self.id)), ms);
        }
    }

    /// Ends the join phase if everyone is there, unless a new group still waits for more.
    pub(super) fn complete_if_all_joined(&mut self) {
        let joining = self.group.state() == State::PreparingRebalance;
        if joining && self.group.initial.is_none() && self.group.all_joined() {
            self.complete();
        }
    }

    /// The join phase's time is over.
    pub fn join_phase_over(&mut self) {
        if self.group.state() != State::PreparingRebalance {
            return;
        }
        if let Some(initial) = self.group.initial
            && initial.more_came
            && initial.remaining_ms > 0
        {
            // Someone came: wait for others anew, up to the members' own rebalance timeout.
            let configured = self.scene.config.groups.initial_rebalance_delay_ms;
            let delay_ms = configured.min(initial.remaining_ms);
            let remaining_ms = initial.remaining_ms.saturating_sub(initial.delay_ms);
            self.group.initial = Some(Initial { delay_ms, remaining_ms, more_came: false });
            return self.alarm_in(Alarm::Join(Arc::clone(self.id)), delay_ms);
        }
        self.complete();
    }

    /// Ends the join phase with those who came: the next generation begins.
    pub(super) fn complete(&mut self) {
        self.alarms.cancel(&Alarm::Join(Arc::clone(self.id)));
        self.group.initial = None;
        self.remove_who_did_not_come();
        if !self.elect_leader_who_came() && !self.group.members.is_empty() {
            info!(group = %self.id, "no member came back in time, waiting on");
            let ms = self.group.rebalance_timeout_ms();
            return self.alarm_in(Alarm::Join(Arc::clone(self.id)), ms);
        }
        let now_ms = self.now_ms();
        let group = &mut *self.group;
        group.generation = group.generation.wrapping_add(1).max(1);
        group.unsynced.clear();
        group.protocol = group.elect_protocol();
        group.subscribed = group.subscriptions();
        if group.members.is_empty() {
            group.enter(State::Empty, now_ms);
            info!(group = %self.id, generation = group.generation, "the group is empty");
            let value = Some(group.to_value(|_| Bytes::new()));
            self.out.records.push(Record::ClassicGroup { group: Arc::clone(self.id), value });
            self.out.applied = true;
            return;
        }
        group.enter(State::CompletingRebalance, now_ms);
        info!(
            group = %self.id,
            generation = group.generation,
            members = group.members.len(),
            protocol = group.protocol.as_deref().unwrap_or_default(),
            "all members joined"
        );
        let ids: Vec<MemberId> = group.members.keys().cloned().collect();
        for id in ids {
            if let Some(ticket) = self.group.set_joining(&id, None) {
                self.tell_joined(ticket, &id, false);
            }
            self.heard(&id);
            if let Some(member) = self.group.members.get_mut(&id) {
                member.is_new = false;
            }
            self.group.unsynced.insert(id);
        }
        let ms = self.group.rebalance_timeout_ms();
        self.alarm_in(Alarm::Sync(Arc::clone(self.id)), ms);
    }

    /// Dynamic members who did not come are out. Static ones stay: they may be restarting (KIP-345).
    fn remove_who_did_not_come(&mut self) {
        let absent = |member: &&super::Member| member.joining.is_none() && member.instance.is_none();
        let absent: Vec<MemberId> =
            self.group.members.values().filter(absent).map(|member| Arc::clone(&member.id)).collect();
        for id in absent {
            info!(group = %self.id, member = %id, "removed: it did not join in time");
            self.alarms.cancel(&Alarm::Session(Arc::clone(self.id), Arc::clone(&id)));
            self.group.remove(&id);
        }
    }

    /// The leader must have joined, or it could not assign. Whether there is one who did.
    fn elect_leader_who_came(&mut self) -> bool {
        let came = |id: &MemberId| self.group.members.get(id).is_some_and(|it| it.joining.is_some());
        if self.group.leader.as_ref().is_some_and(came) {
            return true;
        }
        let next = self.group.members.values().find(|member| member.joining.is_some());
        let Some(next) = next.map(|member| Arc::clone(&member.id)) else { return false };
        info!(group = %self.id, member = %next, "leads from now on: the leader did not join in time");
        self.group.leader = Some(next);
        true
    }

    /// Tells a member of the generation it is in; the leader also of all members.
    pub(super) fn tell_joined(&mut self, ticket: Ticket, id: &MemberId, skip_assignment: bool) {
        let leads = self.group.is_leader(id);
        let members = if leads { self.members_for_the_leader() } else { Vec::new() };
        let response = JoinGroupResponse::default()
            .with_generation_id(self.group.generation)
            .with_protocol_type(self.group.protocol_type.as_deref().map(text))
            .with_protocol_name(self.group.protocol.as_deref().map(text))
            .with_leader(text(self.group.leader.as_deref().unwrap_or_default()))
            .with_skip_assignment(skip_assignment && leads)
            .with_member_id(text(id))
            .with_members(members);
        self.out.replies.push((ticket, Ok(Response::Join(Box::new(response)))));
    }

    fn members_for_the_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.group.protocol.as_deref().unwrap_or_default();
        let told = |member: &super::Member| {
            JoinGroupResponseMember::default()
                .with_member_id(text(&member.id))
                .with_group_instance_id(member.instance.as_deref().map(text))
                .with_metadata(member.terms.metadata(protocol).cloned().unwrap_or_default())
        };
        self.group.members.values().map(told).collect()
    }

    /// Answers everyone who waits for an assignment: with it, or with this error.
    pub(super) fn propagate(&mut self, error: Option<ErrorCode>) {
        let waiting: Vec<(MemberId, Ticket)> = self
            .group
            .members
            .values_mut()
            .filter_map(|member| Some((Arc::clone(&member.id), member.syncing.take()?)))
            .collect();
        for (id, ticket) in waiting {
            let reply = match error {
                Some(error) => Err(error),
                None => Ok(self.assignment_of(&id)),
            };
            self.out.replies.push((ticket, reply));
            self.heard(&id);
        }
    }

    /// What a member is told when it syncs.
    pub(super) fn assignment_of(&self, id: &MemberId) -> Response {
        let assignment = self.group.members.get(id).map(|member| member.assignment.clone());
        let response = SyncGroupResponse::default()
            .with_protocol_type(self.group.protocol_type.as_deref().map(text))
            .with_protocol_name(self.group.protocol.as_deref().map(text))
            .with_assignment(assignment.unwrap_or_default());
        Response::Sync(Box::new(response))
    }
}

/// A string for a response.
pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
