//! How a partition changes: who is in sync, who is eligible, who leads. One rule for whatever happens to brokers and
//! partitions, with Kafka's order of choices and its eligible leader replicas (KIP-966).
//!
//! It differs from Kafka in one thing. There the last replica in sync leaves the ISR when it is gone, and is eligible; here it
//! stays in the ISR, so that the ISR is empty only where the disks are lost. Who can be elected is the same.
//!
//! Kafka takes a full disk for a failed one until the next restart. Here a broker that says that its disk is full goes on
//! serving what it has: it leads, and is in sync, only where no other in sync could store more.

use super::Controller;
use crate::{
    ids::{NodeId, TopicId},
    metadata::{
        ConfigResource, Image, LeaderChange, MIN_INSYNC_REPLICAS, PartitionChangeRecord, PartitionImage,
        TopicImage,
    },
};

const UNCLEAN_LEADER_ELECTION: &str = "unclean.leader.election.enable";

/// What a topic's configuration says of elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicRules {
    /// `min.insync.replicas`. A partition with fewer replicas needs as many as it has.
    pub insync_min: usize,
    /// `unclean.leader.election.enable`.
    pub unclean: bool,
}

impl TopicRules {
    /// Who is looked for when no one else says so.
    pub fn choice(self) -> Choice {
        if self.unclean { Choice::Unclean } else { Choice::Clean }
    }
}

/// Who may be elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Whoever leads goes on if it can; else the first that is in sync; else the first that is eligible. Of those, one whose
    /// disk is full comes after all others.
    Clean,
    /// The first of the replicas if it can; else as `Clean`.
    Preferred,
    /// As `Clean`; else whoever is left.
    Unclean,
}

/// What a partition shall become. Who is eligible and who leads follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    pub removing: Vec<NodeId>,
    pub adding: Vec<NodeId>,
}

impl Target {
    /// What it is.
    pub fn of(partition: &PartitionImage) -> Target {
        Target {
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            removing: partition.removing.clone(),
            adding: partition.adding.clone(),
        }
    }

    /// Without a replica in sync.
    pub fn without(partition: &PartitionImage, id: NodeId) -> Target {
        let mut target = Target::of(partition);
        target.isr.retain(|other| *other != id);
        target
    }

    /// Ends a reassignment when all that it adds is in sync, something that stays is, and, where there shall be fewer
    /// replicas, all that stay are (the ISR is not to become smaller than it must).
    fn complete(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let stays = |ids: &[NodeId]| -> Vec<NodeId> {
            ids.iter().copied().filter(|id| !self.removing.contains(id)).collect()
        };
        let (isr, replicas) = (stays(&self.isr), stays(&self.replicas));
        let shrinks = self.adding.len() < self.removing.len();
        let complete = !isr.is_empty()
            && self.adding.iter().all(|id| isr.contains(id))
            && (!shrinks || replicas.iter().all(|id| isr.contains(id)));
        if complete {
            *self = Target { replicas, isr, removing: Vec::new(), adding: Vec::new() };
        }
    }
}

/// Who can lead: the active brokers, and what is about to change about one of them.
#[derive(Clone, Copy)]
pub(super) struct Electorate<'a> {
    image: &'a Image,
    joins: Option<NodeId>,
    leaves: Option<NodeId>,
    lost: Option<NodeId>,
    fills: Option<(NodeId, bool)>,
}

impl<'a> Electorate<'a> {
    /// The active brokers.
    pub fn of(image: &'a Image) -> Electorate<'a> {
        Electorate { image, joins: None, leaves: None, lost: None, fills: None }
    }

    /// And this one.
    pub fn with(image: &'a Image, id: NodeId) -> Electorate<'a> {
        Electorate { joins: Some(id), ..Electorate::of(image) }
    }

    /// But this one, which has what it had.
    pub fn without(image: &'a Image, id: NodeId) -> Electorate<'a> {
        Electorate { leaves: Some(id), ..Electorate::of(image) }
    }

    /// But this one, which has nothing any more.
    pub fn bereft_of(image: &'a Image, id: NodeId) -> Electorate<'a> {
        Electorate { lost: Some(id), ..Electorate::without(image, id) }
    }

    /// With this one's disk full from now on, or no longer.
    pub fn where_full(self, id: NodeId, is_full: bool) -> Electorate<'a> {
        Electorate { fills: Some((id, is_full)), ..self }
    }

    fn has_room(&self, id: NodeId) -> bool {
        match self.fills {
            Some((which, is_full)) if which == id => !is_full,
            Some(_) | None => self.image.broker(id).is_some_and(|broker| !broker.is_full),
        }
    }

    fn can_lead(&self, id: NodeId) -> bool {
        self.leaves != Some(id)
            && (self.joins == Some(id) || self.image.broker(id).is_some_and(|broker| broker.is_active()))
    }

    /// What must be written for a partition to become the target; `None` if it is that already.
    pub fn change(
        &self,
        (topic, index): (TopicId, i32),
        partition: &PartitionImage,
        rules: TopicRules,
        mut target: Target,
        choice: Choice,
    ) -> Option<PartitionChangeRecord> {
        target.complete();
        let has_data = |id: &NodeId| self.lost != Some(*id) && target.replicas.contains(id);
        if target.isr.is_empty() {
            target.isr = partition.isr.iter().copied().filter(has_data).collect();
        }
        // Whoever has everything that was committed.
        let mut eligible: Vec<NodeId> =
            partition.isr.iter().chain(&partition.elr).copied().filter(has_data).collect();
        let leader = self.elect(partition, &target, &eligible, choice);
        let clean = leader.is_none_or(|leader| target.isr.contains(&leader) || eligible.contains(&leader));
        if let Some(leader) = leader.filter(|leader| !target.isr.contains(leader)) {
            target.isr = vec![leader];
        }
        // Where something can be stored, whoever stores nothing would hold it up. Where nothing can be, all have the same.
        if leader.is_some_and(|leader| self.has_room(leader)) {
            target.isr.retain(|id| Some(*id) == leader || self.has_room(*id));
        }
        let mut known: Vec<NodeId> = Vec::new();
        if !clean || target.isr.len() >= rules.insync_min.min(target.replicas.len()) {
            eligible.clear();
        } else {
            let all = partition.isr.iter().chain(&partition.elr).chain(&partition.last_known_elr).copied();
            eligible.retain(|id| !target.isr.contains(id));
            for id in all {
                let is_none = !target.isr.contains(&id) && !eligible.contains(&id) && !known.contains(&id);
                if is_none && target.replicas.contains(&id) {
                    known.push(id);
                }
            }
        }
        let differs = |new: Vec<NodeId>, old: &Vec<NodeId>| (new != *old).then_some(new);
        let takes_away = partition.replicas.iter().any(|id| !target.replicas.contains(id));
        let record = PartitionChangeRecord {
            topic,
            index,
            // A replica that is taken away must hear of a new epoch.
            leader: match leader {
                Some(leader) if takes_away || partition.leader != Some(leader) => {
                    LeaderChange::Leader(leader)
                }
                None if takes_away || partition.leader.is_some() => LeaderChange::Offline,
                Some(_) | None => LeaderChange::Unchanged,
            },
            replicas: differs(target.replicas, &partition.replicas),
            isr: differs(target.isr, &partition.isr),
            removing: differs(target.removing, &partition.removing),
            adding: differs(target.adding, &partition.adding),
            elr: differs(eligible, &partition.elr),
            last_known_elr: differs(known, &partition.last_known_elr),
        };
        let nothing = PartitionChangeRecord { topic, index, ..PartitionChangeRecord::default() };
        (record != nothing).then_some(record)
    }

    fn elect(
        &self,
        partition: &PartitionImage,
        target: &Target,
        eligible: &[NodeId],
        choice: Choice,
    ) -> Option<NodeId> {
        let in_sync = target.isr.iter().any(|id| self.can_lead(*id));
        let candidates: &[NodeId] = if in_sync { &target.isr } else { eligible };
        let valid = |id: &NodeId| candidates.contains(id) && self.can_lead(*id);
        let replicas = || target.replicas.iter().copied();
        let preferred = match choice {
            Choice::Preferred => target.replicas.first().copied(),
            Choice::Clean | Choice::Unclean => None,
        };
        let first = |valid: &dyn Fn(&NodeId) -> bool| {
            let known = preferred.filter(valid).or_else(|| partition.leader.filter(valid));
            known.or_else(|| replicas().find(valid))
        };
        // One whose disk is full serves what it has, but only where no other can also store more.
        let clean = first(&|id| valid(id) && self.has_room(*id)).or_else(|| first(&valid));
        clean.or_else(|| match choice {
            Choice::Unclean => {
                let left = |id: &NodeId| self.can_lead(*id);
                // Who left the eligible ones lost its disk: it has the least.
                replicas()
                    .find(|id| left(id) && !partition.last_known_elr.contains(id))
                    .or_else(|| replicas().find(left))
            }
            Choice::Clean | Choice::Preferred => None,
        })
    }
}

/// All partitions of an image.
pub(super) fn partitions(image: &Image) -> impl Iterator<Item = (&TopicImage, i32, &PartitionImage)> {
    image
        .topics()
        .flat_map(|topic| topic.partitions.iter().map(|(index, partition)| (&**topic, *index, &**partition)))
}

impl Controller {
    /// What topics' configurations say of elections, of one topic after another.
    pub(super) fn topic_rules(&self) -> impl Fn(&TopicImage) -> TopicRules + use<> {
        let cluster = self.speculative.configs(&ConfigResource::BrokerDefault);
        let resource = ConfigResource::Topic("".into());
        let default = |key: &str| {
            cluster.get(key).cloned().or_else(|| self.settings.config_rules.default_value(&resource, key))
        };
        let insync_min = default(MIN_INSYNC_REPLICAS);
        let unclean = default(UNCLEAN_LEADER_ELECTION);
        move |topic| {
            let value =
                |key: &str, default: &Option<String>| topic.configs.get(key).or(default.as_ref()).cloned();
            TopicRules {
                insync_min: value(MIN_INSYNC_REPLICAS, &insync_min)
                    .and_then(|value| value.trim().parse().ok())
                    .unwrap_or(1),
                unclean: value(UNCLEAN_LEADER_ELECTION, &unclean)
                    .is_some_and(|value| value.trim().eq_ignore_ascii_case("true")),
            }
        }
    }
}
