//! The followers of a partition, as its leader knows them: how far each is, who is in sync, and what of that the
//! controller was asked to change. The rules are those of Kafka's `Partition` and `Replica`.
//!
//! A fetch offset is the follower's flushed end (our followers fetch from nowhere else), so what all in-sync replicas
//! have fetched past is on all their disks.

use crate::{
    controller::{AlterPartition, AlteredPartition},
    error::ErrorCode,
    ids::{LeaderEpoch, Map, NodeId, Offset, PartitionId},
    metadata::PartitionImage,
};
use corelane_seam::Monotonic;

/// Brokers that may be in sync, neither fenced nor leaving nor full, with the epochs of their registrations.
pub(super) type ActiveBrokers = Map<NodeId, i64>;

/// Who fetches: a follower and its registration (-1: not told).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerId {
    /// The broker.
    pub node: NodeId,
    /// Its registration.
    pub epoch: i64,
}

/// What a leader sees of the present: by what followers are judged.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub now: Monotonic,
    /// Of the leader's log, flushed or not.
    pub log_end: Offset,
    /// `replica.lag.time.max.ms`.
    pub lag_ms_max: u64,
    pub active: &'a ActiveBrokers,
}

/// One follower.
#[derive(Debug)]
struct Replica {
    id: NodeId,
    /// Its flushed end; none before its first fetch in this reign.
    end: Option<Offset>,
    /// When it last had all that the leader had then.
    caught_up: Option<Monotonic>,
    last_fetch: Monotonic,
    /// The leader's end at that time.
    end_at_last_fetch: Offset,
    /// Its log start, durably; none before it said so in this reign.
    log_start: Option<Offset>,
    /// It had all of that, and nothing was appended since.
    has_all: bool,
    /// It was asked whether it follows yet, and has not fetched since: to have all there is does not speak for it.
    is_silent: bool,
    broker_epoch: i64,
}

/// A change of the ISR that is not committed.
#[derive(Debug)]
struct Pending {
    isr: Vec<NodeId>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Wanted,
    Asked,
    /// The controller knows better: newer metadata is on its way.
    AwaitsMetadata,
}

/// The followers of one partition.
#[derive(Debug)]
pub(super) struct Replicas {
    others: Vec<Replica>,
    /// As committed, the leader included.
    isr: Vec<NodeId>,
    partition_epoch: i32,
    /// Where the log ended when this reign began: who has not reached it may lack what the last leader committed.
    reign_start: Offset,
    pending: Option<Pending>,
}

impl Replicas {
    /// At the beginning of a reign.
    pub fn new(me: NodeId, image: &PartitionImage, now: Monotonic, log_end: Offset) -> Replicas {
        let mut replicas = Replicas {
            others: Vec::new(),
            isr: image.isr.clone(),
            partition_epoch: image.partition_epoch,
            reign_start: log_end,
            pending: None,
        };
        replicas.assign(me, image, now);
        replicas
    }

    fn assign(&mut self, me: NodeId, image: &PartitionImage, now: Monotonic) {
        self.others.retain(|replica| image.replicas.contains(&replica.id));
        for id in image.replicas.iter().filter(|id| **id != me) {
            if self.others.iter().all(|replica| replica.id != *id) {
                let in_sync = image.isr.contains(id);
                self.others.push(Replica {
                    id: *id,
                    end: None,
                    // Who is in sync gets the whole time to make itself known.
                    caught_up: in_sync.then_some(now),
                    last_fetch: Monotonic(0),
                    end_at_last_fetch: Offset::ZERO,
                    log_start: None,
                    has_all: false,
                    is_silent: false,
                    broker_epoch: -1,
                });
            }
        }
    }

    /// The metadata says something of the same reign.
    pub fn update(&mut self, me: NodeId, image: &PartitionImage, now: Monotonic) {
        self.assign(me, image, now);
        if image.partition_epoch > self.partition_epoch {
            (self.isr, self.partition_epoch) = (image.isr.clone(), image.partition_epoch);
            self.pending = None;
        }
    }

    /// Where the log ended when this reign began.
    pub fn reign_start(&self) -> Offset {
        self.reign_start
    }

    /// A follower names its log start.
    pub fn note_log_start(&mut self, node: NodeId, log_start: Offset) {
        if let Some(replica) = self.others.iter_mut().find(|replica| replica.id == node) {
            replica.log_start = Some(log_start);
        }
    }

    /// The least log start of the followers that live; below all offsets while one has not said. `None` without any.
    pub fn least_log_start(&self, active: &ActiveBrokers) -> Option<Offset> {
        let live = self.others.iter().filter(|replica| active.contains_key(&replica.id));
        live.map(|replica| replica.log_start.unwrap_or(Offset(-1))).min()
    }

    /// How many there are, the leader included.
    pub fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// Whether there are no other replicas at all.
    pub fn is_alone(&self) -> bool {
        self.others.is_empty()
    }

    /// How many replicas are in sync as committed, the leader included.
    pub fn in_sync(&self) -> usize {
        self.isr.len()
    }

    /// Whether a broker is one of the followers.
    pub fn has(&self, node: NodeId) -> bool {
        self.others.iter().any(|replica| replica.id == node)
    }

    /// Of the followers in sync that `may` serve and have what lies below `from`, the one that has most (KIP-392).
    pub fn furthest(&self, from: Offset, may: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let has = |replica: &&Replica| replica.end.is_some_and(|end| end >= from);
        let there = self.others.iter().filter(|replica| self.isr.contains(&replica.id) && may(replica.id));
        there
            .filter(has)
            .max_by_key(|replica| (replica.end, std::cmp::Reverse(replica.id)))
            .map(|replica| replica.id)
    }

    /// Whether a broker is in sync, as committed.
    pub fn is_in_sync(&self, node: NodeId) -> bool {
        self.isr.contains(&node)
    }

    /// Whether a broker is in sync, as committed, and not [silent](Self::note_silence).
    pub fn is_heard_in_sync(&self, node: NodeId) -> bool {
        self.is_in_sync(node) && self.others.iter().all(|replica| replica.id != node || !replica.is_silent)
    }

    /// A follower leaves a question unanswered. It has the time that a follower may lag from now on, even if nothing is
    /// appended: what waits for it would wait for ever. (In Kafka nothing waits for followers but records.)
    pub fn note_silence(&mut self, node: NodeId, now: Monotonic) {
        if let Some(replica) = self.others.iter_mut().find(|replica| replica.id == node)
            && !std::mem::replace(&mut replica.is_silent, true)
        {
            replica.caught_up = replica.caught_up.max(Some(now));
        }
    }

    /// Records were appended: a follower that had everything until now had it when it last asked for anything, at
    /// `asked`.
    pub fn appended(&mut self, node: NodeId, asked: Monotonic) {
        if let Some(replica) = self.others.iter_mut().find(|replica| replica.id == node)
            && std::mem::take(&mut replica.has_all)
        {
            replica.caught_up = replica.caught_up.max(Some(asked));
            replica.last_fetch = replica.last_fetch.max(asked);
        }
    }

    /// A follower fetches from `from`: that far it has flushed. The error is Kafka's for a registration older than one
    /// that has fetched already.
    pub fn fetched(&mut self, sight: Sight<'_>, who: FollowerId, from: Offset) -> Result<(), ErrorCode> {
        let Some(replica) = self.others.iter_mut().find(|replica| replica.id == who.node) else {
            return Err(ErrorCode::UnknownLeaderEpoch);
        };
        if who.epoch != -1 && who.epoch < replica.broker_epoch {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if from >= sight.log_end {
            replica.caught_up = replica.caught_up.max(Some(sight.now));
        } else if replica.end.is_some() && from >= replica.end_at_last_fetch {
            replica.caught_up = replica.caught_up.max(Some(replica.last_fetch));
        }
        replica.has_all = from >= sight.log_end;
        replica.is_silent = false;
        (replica.last_fetch, replica.end_at_last_fetch) = (sight.now, sight.log_end);
        (replica.end, replica.broker_epoch) = (Some(from), who.epoch);
        Ok(())
    }

    /// The least flushed end, the leader's `own` included, over who is in sync, will be, or is about to be: all of them
    /// have what lies below.
    pub fn committed_end(&self, sight: Sight<'_>, own: Offset) -> Offset {
        let mut end = own;
        for replica in &self.others {
            let known = replica.end.unwrap_or(Offset(-1));
            if known < end && (self.is_in_maximal_isr(replica.id) || replica.is_about_to_join(sight)) {
                end = known;
            }
        }
        end
    }

    /// Who is in sync, or may be by now, the leader included.
    pub fn may_be_in_sync(&self) -> impl Iterator<Item = NodeId> {
        self.isr.iter().chain(self.pending.iter().flat_map(|pending| &pending.isr)).copied()
    }

    fn is_in_maximal_isr(&self, id: NodeId) -> bool {
        self.may_be_in_sync().any(|node| node == id)
    }

    /// Asks for a follower that has caught up to be in sync, one that has also deleted what is deleted here, up to
    /// `log_start`: deletions wait for followers that live, and it may have been away. Gives whether there is something to
    /// ask. (Kafka's followers may join before they have heard of it.)
    pub fn expand(
        &mut self,
        sight: Sight<'_>,
        id: NodeId,
        high_watermark: Offset,
        log_start: Offset,
    ) -> bool {
        let Some(replica) = self.others.iter().find(|replica| replica.id == id) else { return false };
        let reached = replica.end.is_some_and(|end| end >= high_watermark && end >= self.reign_start)
            && replica.log_start.unwrap_or_default() >= log_start;
        if self.pending.is_some() || self.isr.contains(&id) || !reached || !replica.is_eligible(sight) {
            return false;
        }
        let isr = self.isr.iter().copied().chain([id]).collect();
        self.pending = Some(Pending { isr, stage: Stage::Wanted });
        true
    }

    /// Asks for followers that have not caught up for too long not to be in sync. Gives whether there is something to
    /// ask.
    pub fn shrink(&mut self, sight: Sight<'_>) -> bool {
        let lags =
            |id: &NodeId| self.others.iter().any(|replica| replica.id == *id && !replica.is_caught_up(sight));
        if self.pending.is_some() || !self.isr.iter().any(lags) {
            return false;
        }
        let isr = self.isr.iter().copied().filter(|id| !lags(id)).collect();
        self.pending = Some(Pending { isr, stage: Stage::Wanted });
        true
    }

    /// What the controller is to be asked, if that has not happened. `epoch`: of our own registration.
    pub fn ask(
        &mut self,
        id: PartitionId,
        leader_epoch: LeaderEpoch,
        me: FollowerId,
    ) -> Option<AlterPartition> {
        let pending = self.pending.as_mut().filter(|pending| pending.stage == Stage::Wanted)?;
        pending.stage = Stage::Asked;
        let others = &self.others;
        let epoch_of = |node: &NodeId| match others.iter().find(|replica| replica.id == *node) {
            _ if *node == me.node => me.epoch,
            Some(replica) => replica.broker_epoch,
            None => -1,
        };
        Some(AlterPartition {
            topic: id.topic,
            index: id.index,
            leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: pending.isr.iter().map(|node| (*node, epoch_of(node))).collect(),
        })
    }

    /// The controller has answered what was asked in `leader_epoch`. Gives whether it is to be asked again.
    pub fn answered(
        &mut self,
        leader_epoch: LeaderEpoch,
        result: Result<&AlteredPartition, ErrorCode>,
    ) -> bool {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.stage == Stage::Asked) else {
            return false;
        };
        match result {
            Ok(altered) if altered.leader_epoch != leader_epoch => pending.stage = Stage::AwaitsMetadata,
            Ok(altered) => {
                if altered.partition_epoch > self.partition_epoch {
                    (self.isr, self.partition_epoch) = (altered.isr.clone(), altered.partition_epoch);
                }
                self.pending = None;
            }
            // It was not done, and never will be.
            Err(ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica) => self.pending = None,
            Err(
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::InvalidRequest
                | ErrorCode::NewLeaderElected,
            ) => pending.stage = Stage::AwaitsMetadata,
            // Whether it was done is not known: the same is asked again.
            Err(_) => {
                pending.stage = Stage::Wanted;
                return true;
            }
        }
        false
    }
}

impl Replica {
    fn is_caught_up(&self, sight: Sight<'_>) -> bool {
        let has_all = self.end == Some(sight.log_end) && !self.is_silent;
        has_all || self.caught_up.is_some_and(|at| sight.now <= at.after_ms(sight.lag_ms_max))
    }

    fn is_eligible(&self, sight: Sight<'_>) -> bool {
        let present = sight.active.get(&self.id);
        present.is_some_and(|epoch| self.broker_epoch == -1 || self.broker_epoch == *epoch)
    }

    fn is_about_to_join(&self, sight: Sight<'_>) -> bool {
        self.end.is_some() && self.is_caught_up(sight) && self.is_eligible(sight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);

    fn image(isr: &[i32], partition_epoch: i32) -> PartitionImage {
        PartitionImage {
            replicas: vec![ME, NodeId(2), NodeId(3)],
            isr: isr.iter().map(|id| NodeId(*id)).collect(),
            removing: Vec::new(),
            adding: Vec::new(),
            leader: Some(ME),
            leader_epoch: LeaderEpoch(4),
            partition_epoch,
            elr: Vec::new(),
            last_known_elr: Vec::new(),
        }
    }

    fn who(node: i32) -> FollowerId {
        FollowerId { node: NodeId(node), epoch: 10 + i64::from(node) }
    }

    struct World {
        replicas: Replicas,
        active: ActiveBrokers,
        log_end: i64,
        ms: u64,
    }

    impl World {
        fn new(isr: &[i32]) -> World {
            let replicas = Replicas::new(ME, &image(isr, 7), Monotonic(0), Offset(100));
            let active = (1..4).map(|node| (NodeId(node), 10 + i64::from(node))).collect();
            World { replicas, active, log_end: 100, ms: 0 }
        }
        fn with<R>(&mut self, act: impl FnOnce(&mut Replicas, Sight<'_>) -> R) -> R {
            let now = Monotonic(0).after_ms(self.ms);
            let log_end = Offset(self.log_end);
            act(&mut self.replicas, Sight { now, log_end, lag_ms_max: 1000, active: &self.active })
        }
        fn fetch(&mut self, node: i32, from: i64) {
            self.with(|replicas, sight| replicas.fetched(sight, who(node), Offset(from))).expect("assigned");
        }
        fn committed(&mut self, own: i64) -> i64 {
            self.with(|replicas, sight| replicas.committed_end(sight, Offset(own))).0
        }
        fn ask(&mut self) -> Option<Vec<(NodeId, i64)>> {
            let id = PartitionId { topic: crate::ids::TopicId::ZERO, index: 0 };
            self.replicas.ask(id, LeaderEpoch(4), who(1)).map(|asked| asked.isr)
        }
    }

    #[test]
    fn what_is_committed_is_the_least_end_of_who_is_in_sync() {
        let mut world = World::new(&[1, 2]);
        assert_eq!(world.committed(100), -1, "nothing is known of broker 2");
        world.fetch(2, 90);
        assert_eq!(world.committed(100), 90);
        world.fetch(3, 10);
        world.ms = 2000;
        assert_eq!(world.committed(100), 90, "broker 3 is neither in sync nor has it ever caught up");
        assert_eq!(world.committed(80), 80, "the leader's own flush counts too");
    }

    #[test]
    fn a_follower_that_has_reached_the_end_as_it_was_at_its_last_fetch_has_caught_up_then() {
        let mut world = World::new(&[1, 2]);
        for round in 1..20 {
            world.ms = round * 400;
            world.log_end = 100 + i64::try_from(round).unwrap() * 10;
            world.fetch(2, world.log_end - 10);
            assert!(!world.with(|replicas, sight| replicas.shrink(sight)), "round {round}");
        }
        world.ms += 5000;
        assert!(world.with(|replicas, sight| replicas.shrink(sight)));
        assert_eq!(world.ask(), Some(vec![(ME, 11)]));
        assert_eq!(world.ask(), None, "it is asked once");
        world.log_end = 1000;
        assert!(world.committed(1000) < 1000, "until that is committed broker 2 counts");
    }

    #[test]
    fn who_comes_back_counts_from_the_request_on_and_a_refusal_takes_it_back() {
        let mut world = World::new(&[1]);
        world.log_end = 200;
        world.fetch(2, 150);
        world.ms = 5000;
        assert_eq!(world.committed(200), 200);
        let expands =
            |world: &mut World| world.with(|it, sight| it.expand(sight, NodeId(2), Offset(160), Offset(0)));
        assert!(!expands(&mut world), "it has not reached the watermark");
        world.fetch(2, 170);
        assert!(expands(&mut world));
        assert_eq!(world.ask(), Some(vec![(ME, 11), (NodeId(2), 12)]));
        assert_eq!(world.committed(200), 170, "it may be in sync already");
        assert!(!world.replicas.answered(LeaderEpoch(4), Err(ErrorCode::IneligibleReplica)));
        world.ms = 50_000;
        assert_eq!(world.committed(200), 200);
        assert!(expands(&mut world));
        world.ask();
        assert!(world.replicas.answered(LeaderEpoch(4), Err(ErrorCode::NotController)), "asked again");
        assert!(world.ask().is_some());
        let altered = AlteredPartition {
            leader: ME,
            leader_epoch: LeaderEpoch(4),
            isr: vec![ME, NodeId(2)],
            partition_epoch: 8,
        };
        assert!(!world.replicas.answered(LeaderEpoch(4), Ok(&altered)));
        assert_eq!(world.replicas.in_sync(), 2);
        world.replicas.update(ME, &image(&[1], 7), Monotonic(0));
        assert_eq!(world.replicas.in_sync(), 2, "older metadata changes nothing");
    }

    #[test]
    fn a_follower_joins_only_with_its_present_registration_and_past_the_reigns_start() {
        let mut world = World::new(&[1]);
        world.fetch(3, 99);
        assert!(
            !world.with(|it, sight| it.expand(sight, NodeId(3), Offset(0), Offset(0))),
            "below the reign's start"
        );
        world.fetch(3, 100);
        world.active.insert(NodeId(3), 99);
        assert!(
            !world.with(|it, sight| it.expand(sight, NodeId(3), Offset(0), Offset(0))),
            "it restarted since"
        );
        world.active.remove(&NodeId(3));
        assert!(!world.with(|it, sight| it.expand(sight, NodeId(3), Offset(0), Offset(0))), "it is fenced");
        world.active.insert(NodeId(3), 13);
        let expands =
            |world: &mut World| world.with(|it, sight| it.expand(sight, NodeId(3), Offset(0), Offset(7)));
        assert!(!expands(&mut world), "it has not deleted yet what is deleted here");
        world.replicas.note_log_start(NodeId(3), Offset(7));
        assert!(expands(&mut world));
        let old = FollowerId { node: NodeId(3), epoch: 12 };
        let refused = world.with(|it, sight| it.fetched(sight, old, Offset(100)));
        assert_eq!(refused, Err(ErrorCode::NotLeaderOrFollower));
        let stranger = FollowerId { node: NodeId(9), epoch: 1 };
        let refused = world.with(|it, sight| it.fetched(sight, stranger, Offset(100)));
        assert_eq!(refused, Err(ErrorCode::UnknownLeaderEpoch));
    }
}
