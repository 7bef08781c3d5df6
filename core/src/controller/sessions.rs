//! What the leader knows of brokers beside the metadata: who was heard of when. It is lost with the leadership; a new
//! leader gives everyone a full session.

use super::Controller;
use crate::{
    ids::NodeId,
    metadata::{Batch, Image, MetadataOffset, Record},
};
use corelane_seam::Monotonic;
use std::collections::BTreeMap;

/// How long brokers are waited for, and what is looked after without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// After how long without a heartbeat a broker is fenced (`broker.session.timeout.ms`).
    pub session_timeout_ms: u64,
    /// How often leaderships go back to the preferred replicas (`leader.imbalance.check.interval.seconds`); `None`: never
    /// (`auto.leader.rebalance.enable`).
    pub rebalance_interval_ms: Option<u64>,
    /// How often partitions without a leader are looked at that may be led by whoever is left
    /// (`unclean.leader.election.interval.ms`).
    pub unclean_interval_ms: u64,
    /// After how long a broker whose connection broke is fenced if it does not come back with a heartbeat: long enough for
    /// one that lives, and at most a session.
    pub parted_timeout_ms: u64,
}

impl Default for Lifecycle {
    /// Kafka's defaults, as far as Kafka has them.
    fn default() -> Lifecycle {
        Lifecycle {
            session_timeout_ms: 9_000,
            rebalance_interval_ms: Some(300_000),
            unclean_interval_ms: 300_000,
            parted_timeout_ms: 250,
        }
    }
}

/// What is known of a broker whose connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The connection broke: the network's doing, or the end of the broker's process.
    Broken,
    /// And nobody listens where the broker's process did: it has ended.
    Ended,
}

/// A broker as the leader hears of it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Of the registration that is meant.
    epoch: i64,
    heard: Monotonic,
    /// It was heard of by this leader, and not only given a session when that began to lead.
    is_proven: bool,
    /// Its connection broke: when it is given up unless it is heard of.
    parted: Option<Monotonic>,
    /// How far its metadata has come, as it says.
    pub applied: Option<MetadataOffset>,
    /// Since when it leads nothing that another could: when this many decisions are settled, and then, at which offset.
    pub moved: Moved,
}

/// How far a controlled shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// It has not begun, or something is left to move.
    No,
    /// Everything is moved when this many decisions are settled.
    Decided(u64),
    /// Everything is moved at this offset.
    At(MetadataOffset),
}

/// See the module.
#[derive(Default)]
pub(super) struct Sessions {
    brokers: BTreeMap<NodeId, Session>,
    /// Where registrations stand in the log that were committed under this leader.
    registered: BTreeMap<NodeId, (i64, MetadataOffset)>,
    /// Every earlier registration stands at or below it.
    led_from: Option<MetadataOffset>,
    /// When anyone last looked at the sessions.
    looked: Option<Monotonic>,
    /// When leaderships and unclean elections are due.
    pub rebalance: Option<Monotonic>,
    pub unclean: Option<Monotonic>,
}

impl Sessions {
    fn begin(now: Monotonic, image: &Image, lifecycle: Lifecycle) -> Sessions {
        let mut sessions = Sessions {
            led_from: image.last_applied(),
            looked: Some(now),
            rebalance: lifecycle.rebalance_interval_ms.map(|ms| now.after_ms(ms)),
            unclean: Some(now.after_ms(lifecycle.unclean_interval_ms)),
            ..Sessions::default()
        };
        for broker in image.brokers().filter(|broker| !broker.fenced) {
            sessions.session(now, broker.id, broker.epoch);
        }
        sessions
    }

    /// A broker was heard of.
    pub fn hear(&mut self, now: Monotonic, id: NodeId, epoch: i64) -> &mut Session {
        let session = self.session(now, id, epoch);
        session.heard = session.heard.max(now);
        session.is_proven = true;
        session.parted = None;
        session
    }

    /// The session of a registration; one that begins now, if there is none.
    fn session(&mut self, now: Monotonic, id: NodeId, epoch: i64) -> &mut Session {
        let (applied, moved) = (None, Moved::No);
        let fresh = Session { epoch, heard: now, is_proven: false, parted: None, applied, moved };
        let session = self.brokers.entry(id).or_insert_with(|| fresh.clone());
        if session.epoch != epoch {
            *session = fresh;
        }
        session
    }

    /// What is known of a registration, if it was heard of.
    pub fn get(&self, id: NodeId, epoch: i64) -> Option<&Session> {
        self.brokers.get(&id).filter(|session| session.epoch == epoch)
    }

    /// Whether a registration was heard of within the timeout, and has not parted.
    pub fn is_alive(&self, now: Monotonic, id: NodeId, epoch: i64, timeout_ms: u64) -> bool {
        self.get(id, epoch).is_some_and(|session| {
            now < session.heard.after_ms(timeout_ms) && session.parted.is_none_or(|until| now < until)
        })
    }

    /// Whether it is alive for certain: this leader has heard of it itself.
    pub fn is_known_alive(&self, now: Monotonic, id: NodeId, epoch: i64, timeout_ms: u64) -> bool {
        self.get(id, epoch).is_some_and(|session| session.is_proven)
            && self.is_alive(now, id, epoch, timeout_ms)
    }

    /// The offset that a broker must have applied to know of its own registration.
    pub fn registered_at(&self, id: NodeId, epoch: i64) -> Option<MetadataOffset> {
        match self.registered.get(&id) {
            Some((known, offset)) if *known == epoch => Some(*offset),
            Some(_) | None => self.led_from,
        }
    }

    pub fn applied(&mut self, offset: MetadataOffset, batch: &Batch) {
        for record in &batch.records {
            match record {
                Record::RegisterBroker(record) => {
                    self.registered.insert(record.id, (record.epoch, offset));
                }
                Record::UnregisterBroker { id, epoch: _ } => {
                    self.registered.remove(id);
                    self.brokers.remove(id);
                }
                _ => {}
            }
        }
    }

    /// If no one looked for a quarter of a session, this node was held up, and with it what others said: they get
    /// that time on top.
    fn look(&mut self, now: Monotonic, timeout_ms: u64) {
        let looked = self.looked.replace(now).unwrap_or(now);
        if looked.after_ms(timeout_ms / 2) < now {
            let held_up = now.since(looked);
            self.brokers.values_mut().for_each(|session| session.heard = (session.heard + held_up).min(now));
        }
    }
}

impl Controller {
    /// This node leads the quorum from now on: forgets what was in flight and begins with the metadata as committed. Every broker
    /// has a full session.
    pub fn lead(&mut self, now: Monotonic, committed: Image) {
        self.sessions = Sessions::begin(now, &committed, self.settings.lifecycle);
        self.reset(committed);
    }

    /// No connection with a broker is left. Its session is over soon, or now, unless it is heard of.
    pub fn parted(&mut self, now: Monotonic, id: NodeId, parting: Parting) {
        let Some(epoch) = self.speculative.broker(id).filter(|it| !it.fenced).map(|it| it.epoch) else {
            return;
        };
        let grace_ms = match parting {
            Parting::Broken => self.settings.lifecycle.parted_timeout_ms,
            Parting::Ended => 0,
        };
        let until = now.after_ms(grace_ms);
        let session = self.sessions.session(now, id, epoch);
        session.parted = Some(session.parted.map_or(until, |known| known.min(until)));
    }

    /// The brokers whose session is over, by what is known at `now`.
    pub(super) fn expired(&mut self, now: Monotonic) -> Vec<NodeId> {
        let timeout_ms = self.settings.lifecycle.session_timeout_ms;
        self.sessions.look(now, timeout_ms);
        let unfenced: Vec<(NodeId, i64)> = self
            .speculative
            .brokers()
            .filter(|broker| !broker.fenced)
            .map(|broker| (broker.id, broker.epoch))
            .collect();
        let mut expired = Vec::new();
        for (id, epoch) in unfenced {
            if self.sessions.get(id, epoch).is_none() {
                // Unfenced by a batch of which this controller knows nothing.
                self.sessions.session(now, id, epoch);
            } else if !self.sessions.is_alive(now, id, epoch, timeout_ms) {
                expired.push(id);
            }
        }
        expired
    }

    /// When [`tick`](Self::tick) has something to do, at the latest.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let lifecycle = self.settings.lifecycle;
        let unfenced = || self.speculative.brokers().filter(|broker| !broker.fenced);
        // A quarter of a session: so that a gap is known for what it is.
        let look = self.sessions.looked.filter(|_| unfenced().next().is_some());
        let look = look.map(|looked| looked.after_ms((lifecycle.session_timeout_ms / 4).max(1)));
        let parted = unfenced().filter_map(|broker| self.sessions.get(broker.id, broker.epoch)?.parted).min();
        [look, parted, self.sessions.rebalance, self.sessions.unclean].into_iter().flatten().min()
    }

    /// How far the slowest of the active brokers has come; `None`: one was not heard of yet.
    pub(super) fn least_applied(&self) -> Option<MetadataOffset> {
        let active = self.speculative.brokers().filter(|broker| broker.is_active());
        active
            .map(|broker| self.sessions.get(broker.id, broker.epoch).and_then(|session| session.applied))
            .try_fold(MetadataOffset(u64::MAX), |least, applied| applied.map(|applied| least.min(applied)))
    }
}
