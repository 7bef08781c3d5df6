//! What a member says, and what becomes of its group by it: a new epoch, if that changes what is read.

use super::{
    Act,
    group::{Checked, ConsumerGroup, Subscriptions},
    heartbeat::Refusal,
    member::{Member, Position, Progress, regex},
    reconcile::{Reads, Step},
    regex::compile,
    target::Target,
};
use crate::{
    error::ErrorCode,
    groups::{
        alarms::Alarm,
        records::{MemberId, MemberSubscription, Record, TopicPartitions},
    },
};
use std::{borrow::Cow, sync::Arc};
use tracing::info;

/// A member as it will be.
pub(super) struct Change<'a> {
    pub id: MemberId,
    /// The name that a static member had before it came back under this one.
    pub replaces: Option<MemberId>,
    /// How it was; a static member that is back: how it was under its old name.
    pub before: Cow<'a, Member>,
    /// What the group counts it for so far.
    pub known: Option<&'a Arc<MemberSubscription>>,
    /// What it says now.
    pub said: Arc<MemberSubscription>,
    /// What all members read, afterwards.
    pub subscriptions: Cow<'a, Subscriptions>,
    /// How many members there are, afterwards.
    pub members: usize,
}

/// What a member's word leads to.
pub(super) struct Consequence {
    /// The group's epoch, afterwards.
    pub epoch: i32,
    /// The member reads something else than before, or may.
    pub subscription_changed: bool,
}

/// What becomes of regular expressions.
#[derive(Clone, Copy, Default)]
struct Regexes {
    /// The member has another one.
    member_changed: bool,
    /// They stand for other topics, all together.
    topics_changed: bool,
}

impl<'a> Change<'a> {
    /// A member of this group, or one that joins it, says this.
    pub fn new(
        group: &'a ConsumerGroup,
        id: MemberId,
        replaces: Option<MemberId>,
        before: Cow<'a, Member>,
        said: Arc<MemberSubscription>,
    ) -> Change<'a> {
        let known = group.members.get(replaces.as_ref().unwrap_or(&id)).map(|member| &member.said);
        let mut subscriptions = Cow::Borrowed(&group.subscriptions);
        // What is shared is not compared field by field.
        if known != Some(&said) {
            let after = subscriptions.to_mut();
            if let Some(known) = known {
                after.count(known, false);
            }
            after.count(&said, true);
            if let Some(old) = known.and_then(|known| regex(known))
                && !after.regexes.contains_key(old)
            {
                after.resolve(old, None);
            }
        }
        let members = group.members.len() + usize::from(known.is_none());
        Change { id, replaces, before, known, said, subscriptions, members }
    }
}

impl<'a> Act<'a> {
    /// Writes down what a member says, and begins an epoch if the group reads something else now, or if its topics have
    /// changed since they were looked at last.
    ///
    /// # Errors
    /// INVALID_REGULAR_EXPRESSION.
    pub(super) fn subscribe(
        &mut self,
        change: &mut Change<'a>,
        records: &mut Vec<Record>,
    ) -> Result<Consequence, Refusal> {
        let group = self.group;
        let says_more = change.before.said != change.said;
        let names_changed = says_more && change.before.said.topics != change.said.topics;
        if says_more {
            records.push(Record::Member {
                group: Arc::clone(self.id),
                member: Arc::clone(&change.id),
                value: Some((*change.said).clone()),
            });
        }
        let regexes = self.update_regexes(change, records)?;
        let mut epoch = group.epoch;
        let image = self.scene.image.last_applied();
        let checked = group.checked.get();
        let is_checked =
            checked.is_some_and(|checked| checked.image == image && group.epoch >= checked.epoch);
        // No member is told epoch 0, with which it would seem to join for ever.
        let rises = names_changed || regexes.topics_changed || group.epoch == 0;
        if rises || regexes.member_changed || !is_checked {
            let hash = self.topics.hash(&change.subscriptions.topics, self.scene.image);
            if rises || hash != group.metadata_hash {
                epoch += 1;
                records
                    .push(Record::ConsumerGroup { group: Arc::clone(self.id), value: Some((epoch, hash)) });
                let reason = match (rises, change.known) {
                    (true, None) => "it joined",
                    (true, Some(_)) => "what it reads has changed",
                    (false, _) => "it found that the topics have changed",
                };
                info!(group = %self.id, epoch, member = %change.id, "a new epoch of the group: {reason}");
            }
            group.checked.set(Some(Checked { image, epoch }));
            if group.has_old_metadata {
                records.push(Record::SubscribedTopics { group: Arc::clone(self.id), present: false });
            }
        }
        let subscription_changed = names_changed || regexes.member_changed;
        Ok(Consequence { epoch, subscription_changed })
    }

    /// Follows a member's change of its regular expression, and evaluates all of the group's if it is time.
    fn update_regexes(
        &mut self,
        change: &mut Change<'_>,
        records: &mut Vec<Record>,
    ) -> Result<Regexes, Refusal> {
        let group = self.group;
        let (old, new) = (change.before.regex().cloned(), regex(&change.said).cloned());
        let mut done = Regexes { member_changed: old != new, topics_changed: false };
        if done.member_changed {
            let others_have = |regex: &Arc<str>| change.subscriptions.regexes.contains_key(regex);
            if let Some(old) = old.as_ref().filter(|old| !others_have(old)) {
                let regex = Arc::clone(old);
                records.push(Record::Regex { group: Arc::clone(self.id), regex, value: None });
            }
            match &new {
                Some(new) if !group.subscriptions.regexes.contains_key(new) => {
                    compile(new).map_err(|wrong| Refusal::invalid_regex(new, &wrong))?;
                }
                Some(new) => done.topics_changed = group.subscriptions.resolved.contains_key(new),
                None => done.topics_changed = true,
            }
        }
        done.topics_changed |= self.evaluate(change, records);
        Ok(done)
    }

    /// The member's next step to its target; `None` when it stays where it is.
    ///
    /// # Errors
    /// FENCED_MEMBER_EPOCH.
    pub(super) fn step(
        &mut self,
        change: &Change<'_>,
        target: &Target<'_>,
        subscription_changed: bool,
        owned: Option<&[TopicPartitions]>,
        records: &mut Vec<Record>,
    ) -> Result<Option<Position>, Refusal> {
        let step = Step {
            group: self.group,
            position: &change.before.position,
            reads: Reads::new(&change.said, &change.subscriptions.resolved, self.scene.image),
            target_epoch: target.epoch,
            target: &target.partitions,
            subscription_changed,
            owned,
        };
        let Some(next) = step.take()? else { return Ok(None) };
        records.push(Record::Current {
            group: Arc::clone(self.id),
            member: Arc::clone(&change.id),
            value: Some(next.to_value()),
        });
        if change.said.classic.is_none() {
            let alarm = Alarm::Revocation(Arc::clone(self.id), Arc::clone(&change.id));
            if next.progress == Progress::Unrevoked {
                self.alarm_in(alarm, change.said.rebalance_timeout_ms);
            } else {
                self.alarms.cancel(&alarm);
            }
        }
        Ok(Some(next))
    }
}

impl Refusal {
    fn invalid_regex(regex: &str, wrong: &str) -> Refusal {
        let text = format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {wrong}.");
        Refusal::new(ErrorCode::InvalidRegularExpression, text)
    }
}
