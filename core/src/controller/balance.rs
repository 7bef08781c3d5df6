//! What the controller looks after without being asked: brokers that are not heard of, leaderships away from the
//! preferred replica, and partitions that whoever is left may lead.

use super::{
    Controller, Decision,
    partition_change::{Choice, Electorate, Target, partitions},
};
use crate::metadata::{
    LeaderChange, PartitionChangeRecord, PartitionImage, Precondition, Record, TopicImage,
};
use corelane_seam::Monotonic;

/// Elections of one round; Kafka's own bound. When there are more, the next round follows at once.
pub(super) const ELECTIONS_PER_ROUND_MAX: usize = 1000;

impl Controller {
    /// Time has passed: what is to be written of it, in order.
    pub fn tick(&mut self, now: Monotonic) -> Vec<Decision<()>> {
        let mut decisions = Vec::new();
        // One at a time, so that each election knows of the brokers that are gone already.
        for id in self.expired(now) {
            let fenced = self.fence_broker(id, ());
            decisions.push(Decision {
                before: fenced.before,
                batch: fenced.batch,
                due: fenced.due,
                reply: (),
            });
        }
        let lifecycle = self.settings.lifecycle;
        if let (Some(at), Some(interval_ms)) = (self.sessions.rebalance, lifecycle.rebalance_interval_ms)
            && at <= now
        {
            let astray = |partition: &PartitionImage| {
                partition.leader.is_some() && partition.leader != partition.replicas.first().copied()
            };
            let (decision, more) = self.elect_round(astray, |_| true, Choice::Preferred);
            decisions.extend(decision);
            self.sessions.rebalance = Some(if more { now.after_ms(1) } else { now.after_ms(interval_ms) });
        }
        if let Some(at) = self.sessions.unclean
            && at <= now
        {
            let rules = self.topic_rules();
            let (decision, more) = self.elect_round(
                |partition| partition.leader.is_none(),
                |topic| rules(topic).unclean,
                Choice::Unclean,
            );
            decisions.extend(decision);
            let pause_ms = if more { 1 } else { lifecycle.unclean_interval_ms };
            self.sessions.unclean = Some(now.after_ms(pause_ms));
        }
        decisions
    }

    /// A round of elections, and whether there may be more.
    fn elect_round(
        &mut self,
        of: impl Fn(&PartitionImage) -> bool,
        of_topic: impl Fn(&TopicImage) -> bool,
        choice: Choice,
    ) -> (Option<Decision<()>>, bool) {
        let rules = self.topic_rules();
        let electorate = Electorate::of(&self.speculative);
        let changes = partitions(&self.speculative)
            .filter(|(topic, _, partition)| of(partition) && of_topic(topic))
            .filter_map(|(topic, index, partition)| {
                let target = Target::of(partition);
                let change = electorate.change((topic.id, index), partition, rules(topic), target, choice)?;
                let elects = matches!(change.leader, LeaderChange::Leader(_));
                elects.then_some((change, partition.partition_epoch))
            });
        let changes: Vec<(PartitionChangeRecord, i32)> = changes.take(ELECTIONS_PER_ROUND_MAX).collect();
        let more = changes.len() == ELECTIONS_PER_ROUND_MAX;
        let (preconditions, records) = changes
            .into_iter()
            .map(|(change, epoch)| {
                let unchanged =
                    Precondition::PartitionEpoch { topic: change.topic, index: change.index, epoch };
                (unchanged, Record::PartitionChange(change))
            })
            .unzip();
        (self.propose(preconditions, records, ()).ok(), more)
    }
}

#[cfg(test)]
mod tests;
