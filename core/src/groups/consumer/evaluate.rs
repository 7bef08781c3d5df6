//! When a group's regular expressions are evaluated, and what becomes of it.

use super::{
    Act,
    change::Change,
    group::{Checked, Resolved, Subscriptions},
    regex::Evaluation,
};
use crate::groups::{
    alarms::Alarm,
    records::{GroupId, Record},
};
use std::{collections::BTreeMap, sync::Arc};
use tracing::info;

/// Regular expressions are not evaluated more often than this
/// (`GroupMetadataManager.REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
const REGEX_REST_MS: i64 = 10_000;

/// Between two pieces of an evaluation other requests have the shard at least as long as the evaluation has it.
const PAUSE_MS: i32 = 3;

/// Evaluations that are not done yet. Not durable: the next heartbeat after a restart begins anew.
pub(in crate::groups) type Evaluations = BTreeMap<GroupId, Evaluation>;

impl Act<'_> {
    /// Evaluates all of a group's expressions if it is time: some were never, topics have been created, or it is long ago.
    /// Whether they stand for other topics now. What takes longer than a piece of work goes on after pauses, and members
    /// are told of it in a later heartbeat.
    pub(super) fn evaluate(&mut self, change: &mut Change<'_>, records: &mut Vec<Record>) -> bool {
        if change.subscriptions.regexes.is_empty() || !self.is_due(&change.subscriptions) {
            return false;
        }
        let expressions = change.subscriptions.regexes.keys();
        let mut evaluation = Evaluation::new(expressions, self.scene.image, self.scene.now.unix_ms);
        if !evaluation.go_on() {
            self.pause(evaluation);
            return false;
        }
        self.write_down(evaluation.finish(), change.subscriptions.to_mut(), records)
    }

    /// Goes on with an evaluation. When it is done, the group's next epoch begins if its expressions stand for other topics
    /// (`GroupMetadataManager.handleRegularExpressionsResult`).
    pub fn evaluate_on(&mut self, records: &mut Vec<Record>) {
        let Some(mut evaluation) = self.topics.evaluations.remove(self.id) else { return };
        if !evaluation.go_on() {
            return self.pause(evaluation);
        }
        let mut subscriptions = self.group.subscriptions.clone();
        let changed = self.write_down(evaluation.finish(), &mut subscriptions, records);
        if records.is_empty() {
            return;
        }
        let group = self.group;
        let hash = self.topics.hash(&subscriptions.topics, self.scene.image);
        let mut epoch = group.epoch;
        if changed || hash != group.metadata_hash {
            epoch += 1;
            records.push(Record::ConsumerGroup { group: Arc::clone(self.id), value: Some((epoch, hash)) });
            info!(group = %self.id, epoch, "a new epoch of the group: its regular expressions stand for other topics");
        }
        group.checked.set(Some(Checked { image: self.scene.image.last_applied(), epoch }));
    }

    fn pause(&mut self, evaluation: Evaluation) {
        self.topics.evaluations.insert(Arc::clone(self.id), evaluation);
        self.alarm_in(Alarm::Evaluation(Arc::clone(self.id)), PAUSE_MS);
    }

    /// Writes down what expressions stand for, unless nobody has them any more; whether it is something else than before.
    fn write_down(
        &self,
        found: Resolved,
        subscriptions: &mut Subscriptions,
        records: &mut Vec<Record>,
    ) -> bool {
        let mut changed = false;
        for (regex, value) in found {
            if !subscriptions.regexes.contains_key(&regex) {
                continue;
            }
            let before = subscriptions.resolved.get(&regex).map_or(&[][..], |before| &before.topics);
            changed |= before != value.topics;
            records.push(Record::Regex {
                group: Arc::clone(self.id),
                regex: Arc::clone(&regex),
                value: Some((*value).clone()),
            });
            subscriptions.resolve(&regex, Some(value));
        }
        info!(
            group = %self.id,
            expressions = subscriptions.regexes.len(),
            topics = self.scene.image.topic_count(),
            topics_changed = changed,
            "evaluated regular expressions"
        );
        changed
    }

    fn is_due(&mut self, subscriptions: &Subscriptions) -> bool {
        if self.topics.evaluations.contains_key(self.id) {
            return false;
        }
        let now_ms = self.scene.now.unix_ms;
        let created = self.topics.last_created(self.scene.image);
        let Some(last) = subscriptions.resolved.values().next() else { return true };
        if now_ms <= last.at_ms.saturating_add(REGEX_REST_MS) {
            return false;
        }
        let refresh_ms = self.scene.config.groups.consumer.regex_refresh_ms;
        subscriptions.regexes.keys().any(|regex| !subscriptions.resolved.contains_key(regex))
            || last.version < created
            || now_ms > last.at_ms.saturating_add(refresh_ms)
    }
}
