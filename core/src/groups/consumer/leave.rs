//! Members that leave, or are not heard of any more.

use super::{
    Act,
    heartbeat::Refusal,
    member::{Held, LEAVE_FOR_A_WHILE, Position, Progress},
};
use crate::groups::{
    alarms::Alarm,
    face::{Outcome, Then},
    records::{MemberId, Record},
};
use kafka_protocol::{
    messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse},
    protocol::StrBytes,
};
use std::{collections::BTreeMap, sync::Arc};
use tracing::info;

/// After how long something is tried again that could not be written down.
const AGAIN_MS: i32 = 500;

impl<'a> Act<'a> {
    /// A member says that it leaves, a static one perhaps only for a while: then its partitions wait for it until its
    /// session is over.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    pub fn leave(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        out: &mut Outcome,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let (id, epoch) = (request.member_id.as_str(), request.member_epoch);
        let (id, member) = match request.instance_id.as_deref() {
            None => self.group.members.get_key_value(id).ok_or_else(|| self.unknown(id))?,
            Some(instance) => self.holder(instance, id)?,
        };
        if epoch == LEAVE_FOR_A_WHILE {
            info!(group = %self.id, member = %id, "left for a while");
            out.records.push(Record::Current {
                group: Arc::clone(self.id),
                member: Arc::clone(id),
                value: Some(paused(&member.position).to_value()),
            });
        } else {
            info!(group = %self.id, member = %id, "left");
            self.fence(&[id], out);
        }
        Ok(ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(StrBytes::from_string(id.to_string())))
            .with_member_epoch(epoch))
    }

    /// A member was not heard of for its session timeout, or did not do in time what it had to; or work goes on.
    pub fn time_is_over(&mut self, alarm: &Alarm, out: &mut Outcome) {
        let (id, why) = match alarm {
            Alarm::Session(_, id) => (id, "no heartbeat within its session timeout"),
            Alarm::Revocation(_, id) => (id, "it did not give up partitions within its rebalance timeout"),
            Alarm::Rejoin(_, id) => (id, "it did not join within its rebalance timeout"),
            Alarm::Resync(_, id) => (id, "it did not sync within its rebalance timeout"),
            Alarm::Evaluation(_) => return self.evaluate_on(&mut out.records),
            Alarm::Join(_) | Alarm::Sync(_) | Alarm::Expiry => return,
        };
        let Some((id, member)) = self.group.members.get_key_value(id) else { return };
        if matches!(alarm, Alarm::Revocation(..)) && member.position.progress != Progress::Unrevoked {
            return;
        }
        info!(group = %self.id, member = %id, "removed: {why}");
        self.fence(&[id], out);
        // In case this cannot be written down. An alarm of a member that is gone rings in vain.
        self.alarm_in(alarm.clone(), AGAIN_MS);
    }

    /// Removes members; the group's next epoch begins. If only members of the classic protocol are left, the group is a
    /// classic one from now on.
    pub(super) fn fence(&mut self, members: &[&MemberId], out: &mut Outcome) {
        if members.is_empty() {
            return;
        }
        let group = self.group;
        if self.goes_back_without(members) && self.downgrade(members, None, &mut out.records) {
            out.then = Some(Then::Downgraded {
                group: Arc::clone(self.id),
                rebalance: Some("the last members of the consumer protocol have left"),
            });
            return;
        }
        members.iter().for_each(|id| self.remove(id, &mut out.records));
        let mut left = group.subscriptions.clone();
        let gone = members.iter().filter_map(|id| group.members.get(*id));
        let mut regexes: BTreeMap<&Arc<str>, ()> = BTreeMap::new();
        for member in gone {
            left.count(&member.said, false);
            regexes.extend(member.regex().map(|regex| (regex, ())));
        }
        for (regex, ()) in regexes {
            if !left.regexes.contains_key(regex) {
                left.resolve(regex, None);
                let (group, regex) = (Arc::clone(self.id), Arc::clone(regex));
                out.records.push(Record::Regex { group, regex, value: None });
            }
        }
        let hash = self.topics.hash(&left.topics, self.scene.image);
        let epoch = group.epoch + 1;
        out.records.push(Record::ConsumerGroup { group: Arc::clone(self.id), value: Some((epoch, hash)) });
        let left = group.members.len() - members.len();
        info!(group = %self.id, epoch, members = left, "a new epoch of the group: members are gone");
    }

    /// Writes down that a member is gone.
    pub(super) fn remove(&self, id: &MemberId, records: &mut Vec<Record>) {
        let group = || Arc::clone(self.id);
        let member = || Arc::clone(id);
        records.push(Record::Current { group: group(), member: member(), value: None });
        records.push(Record::Target { group: group(), member: member(), value: None });
        records.push(Record::Member { group: group(), member: member(), value: None });
    }

    /// The whole group was loaded: its members' sessions begin.
    pub fn loaded(&mut self) {
        let session_ms = super::settings::session_timeout_ms(self.scene, self.id);
        for (id, member) in &self.group.members {
            let alarm = self.session(id);
            self.alarm_in(alarm, session_ms);
            if member.position.progress == Progress::Unrevoked {
                let alarm = Alarm::Revocation(Arc::clone(self.id), Arc::clone(id));
                self.alarm_in(alarm, member.said.rebalance_timeout_ms);
            }
        }
    }
}

/// A static member that has left for a while: it reads nothing, so nothing is to be given up any more.
fn paused(position: &Position) -> Position {
    let forget =
        |partitions: &BTreeMap<i32, i32>| partitions.keys().map(|partition| (*partition, 0)).collect();
    let assigned: Held =
        position.assigned.iter().map(|(topic, partitions)| (*topic, forget(partitions))).collect();
    Position { epoch: LEAVE_FOR_A_WHILE, assigned, revoking: Held::new(), ..position.clone() }
}
