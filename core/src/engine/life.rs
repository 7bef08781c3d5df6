//! A broker's life in its cluster, as Kafka's `BrokerLifecycleManager` has it: it registers with the active controller,
//! sends heartbeats, and asks to be let go before it stops.
//!
//! One request is under way at a time. Who carries it out says what became of it; a request whose answer was lost is
//! made again, which registrations and heartbeats allow.

use crate::{
    controller::{ApiError, RegisterBrokerRequest},
    error::ErrorCode,
    metadata::{Image, MetadataOffset},
};
use corelane_seam::{Monotonic, ShardId};
use std::collections::BTreeSet;

/// How soon a request is made again that found no controller, in ms.
const RETRY_MS: u64 = 50;

/// How soon a broker that is not let in yet asks again, in ms: it waits for its own metadata.
const FENCED_MS: u64 = 20;

/// A stop does not wait longer for a controller that does not answer, in ms: an election takes less, so there is none.
const FORSAKEN_MS: u64 = 3_000;

/// The least time between two requests, in ms, however often something changes.
const HURRY_MS: u64 = 10;

/// For how long a disk must have had room before that is told, in ms: where there is no reserve, whether there is room is
/// known only when something is written.
const ROOM_MS: u64 = 5_000;

/// What the controller is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeRequest {
    /// Let me in.
    Register(Box<RegisterBrokerRequest>),
    /// I am here.
    Heartbeat {
        /// Of the registration.
        epoch: i64,
        /// How far this broker knows the metadata.
        applied: Option<MetadataOffset>,
        /// It wants to stop: lead nothing here any more.
        want_shut_down: bool,
        /// Its disk is full, or was until a moment ago: nothing more is stored here.
        is_full: bool,
    },
}

/// What the controller thinks of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It must not lead.
    pub fenced: bool,
    /// Nothing is led by it any more.
    pub should_shut_down: bool,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeAnswer {
    /// The registration's epoch.
    Registered(Result<i64, ApiError>),
    /// Of a heartbeat.
    Heartbeat(Result<Standing, ApiError>),
    /// No controller answered.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// Asked for, and not to be waited for beyond `until`, or beyond `forsaken`, if no controller has answered by then.
    Asked {
        until: Monotonic,
        forsaken: Monotonic,
    },
    Granted,
}

/// How a life is led.
#[derive(Clone, Copy, Debug)]
pub struct LifeSettings {
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_ms: u64,
    /// How long a stop waits for the leaderships to move away.
    pub stop_patience_ms: u64,
}

/// See the module.
#[derive(Debug)]
pub struct BrokerLife {
    settings: LifeSettings,
    registration: RegisterBrokerRequest,
    epoch: Option<i64>,
    under_way: bool,
    /// When the last request left.
    asked: Option<Monotonic>,
    next: Monotonic,
    stop: Stop,
    /// Data shards whose disk is full.
    full: BTreeSet<ShardId>,
    /// Until then it counts as full, though it has room.
    full_until: Monotonic,
}

impl BrokerLife {
    /// Of a broker that introduces itself so.
    pub fn new(registration: RegisterBrokerRequest, settings: LifeSettings) -> BrokerLife {
        BrokerLife {
            settings,
            registration,
            epoch: None,
            under_way: false,
            asked: None,
            next: Monotonic(0),
            stop: Stop::No,
            full: BTreeSet::new(),
            full_until: Monotonic(0),
        }
    }

    /// The next request, if one is due.
    pub fn poll(&mut self, now: Monotonic, applied: Option<MetadataOffset>) -> Option<LifeRequest> {
        if let Stop::Asked { until, forsaken } = self.stop
            && (until.min(forsaken) <= now || self.epoch.is_none())
        {
            self.stop = Stop::Granted;
        }
        if self.under_way || now < self.next {
            return None;
        }
        self.under_way = true;
        self.asked = Some(now);
        let want_shut_down = self.stop != Stop::No;
        let is_full = self.is_full(now);
        Some(match self.epoch {
            Some(epoch) => LifeRequest::Heartbeat { epoch, applied, want_shut_down, is_full },
            None => LifeRequest::Register(Box::new(self.registration.clone())),
        })
    }

    /// When [`poll`](Self::poll) may have something to say.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let request = (!self.under_way).then_some(self.next);
        let stop = match self.stop {
            Stop::Asked { until, forsaken } => Some(until.min(forsaken)),
            Stop::No | Stop::Granted => None,
        };
        [request, stop].into_iter().flatten().min()
    }

    /// What became of the request under way.
    ///
    /// # Errors
    /// Why this broker cannot be of the cluster; asking again would not help.
    pub fn answered(&mut self, now: Monotonic, answer: LifeAnswer) -> Result<(), ApiError> {
        self.under_way = false;
        if let Stop::Asked { forsaken, .. } = &mut self.stop
            && answer != LifeAnswer::Lost
        {
            *forsaken = now.after_ms(FORSAKEN_MS);
        }
        let wait_ms = match answer {
            LifeAnswer::Registered(Ok(epoch)) => {
                self.epoch = Some(epoch);
                0
            }
            // Another incarnation of this id was alive a moment ago: its session ends, or it is somebody else's.
            LifeAnswer::Registered(Err(error)) if is_passing(error.code) => {
                self.settings.heartbeat_ms.min(500)
            }
            LifeAnswer::Registered(Err(error)) => return Err(error),
            LifeAnswer::Heartbeat(Ok(standing)) => self.stands(standing),
            LifeAnswer::Heartbeat(Err(error)) => match error.code {
                ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered => {
                    self.epoch = None;
                    0
                }
                _ => RETRY_MS,
            },
            LifeAnswer::Lost => RETRY_MS,
        };
        self.next = now.after_ms(wait_ms);
        Ok(())
    }

    fn stands(&mut self, standing: Standing) -> u64 {
        match self.stop {
            Stop::Asked { .. } if standing.should_shut_down => {
                self.stop = Stop::Granted;
                self.settings.heartbeat_ms
            }
            Stop::Asked { .. } => FENCED_MS,
            Stop::No if standing.fenced => FENCED_MS,
            Stop::No | Stop::Granted => self.settings.heartbeat_ms,
        }
    }

    /// The next heartbeat goes out at once, or soon after the last: something changed that the controller waits for, or the
    /// connection with it is gone, or it is another.
    pub fn hurry(&mut self, now: Monotonic) {
        let soon = self.asked.map_or(now, |asked| now.max(asked.after_ms(HURRY_MS)));
        self.next = self.next.min(soon);
    }

    /// The disk of a data shard is full from now on, or has room again. That it is full the controller hears at once, that
    /// there is room with a heartbeat, when it has lasted.
    pub fn disk(&mut self, now: Monotonic, shard: ShardId, is_full: bool) {
        let was_full = self.is_full(now);
        if is_full {
            self.full.insert(shard);
        } else if self.full.remove(&shard) && self.full.is_empty() {
            self.full_until = now.after_ms(ROOM_MS);
        }
        if !was_full && is_full {
            self.hurry(now);
        }
    }

    fn is_full(&self, now: Monotonic) -> bool {
        !self.full.is_empty() || now < self.full_until
    }

    /// The broker is to stop: first it asks to be let go.
    pub fn stop(&mut self, now: Monotonic) {
        if self.stop == Stop::No {
            self.stop = Stop::Asked {
                until: now.after_ms(self.settings.stop_patience_ms),
                forsaken: now.after_ms(FORSAKEN_MS),
            };
            self.hurry(now);
        }
    }

    /// Whether the broker may stop: nothing is led by it any more, or that took too long.
    pub fn may_stop(&self) -> bool {
        self.stop == Stop::Granted
    }

    /// Whether an image shows this broker as it registered in this life, and unfenced. Before that it says nothing of what
    /// this broker may do: an image of an earlier life would have it lead under an epoch that was used up.
    pub fn is_let_in_by(&self, image: &Image) -> bool {
        let known = image.broker(self.registration.id);
        known.is_some_and(|broker| Some(broker.epoch) == self.epoch && !broker.fenced)
    }
}

/// Refusals of a registration that time may mend.
fn is_passing(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::DuplicateBrokerRegistration | ErrorCode::NotController)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    const SETTINGS: LifeSettings = LifeSettings { heartbeat_ms: 2_000, stop_patience_ms: 5_000 };
    const UP: Standing = Standing { fenced: false, should_shut_down: false };

    fn at(ms: u64) -> Monotonic {
        Monotonic(0).after_ms(ms)
    }

    fn new() -> BrokerLife {
        let registration = RegisterBrokerRequest {
            id: NodeId(1),
            cluster_id: "c".to_owned(),
            incarnation: uuid::Uuid::from_u128(1),
            endpoints: Vec::new(),
            rack: None,
            directories: Vec::new(),
        };
        BrokerLife::new(registration, SETTINGS)
    }

    fn heartbeat(epoch: i64, want_shut_down: bool) -> Option<LifeRequest> {
        Some(LifeRequest::Heartbeat { epoch, applied: None, want_shut_down, is_full: false })
    }

    fn serving() -> BrokerLife {
        let mut life = new();
        assert!(matches!(life.poll(at(0), None), Some(LifeRequest::Register(_))));
        life.answered(at(1), LifeAnswer::Registered(Ok(7))).expect("let in");
        assert_eq!(life.poll(at(1), None), heartbeat(7, false));
        life.answered(at(2), LifeAnswer::Heartbeat(Ok(UP))).expect("no refusal");
        life
    }

    #[test]
    fn a_broker_registers_and_then_sends_a_heartbeat_every_interval() {
        let mut life = serving();
        assert_eq!(life.poll(at(2_001), None), None);
        assert_eq!(life.next_deadline(), Some(at(2_002)));
        assert_eq!(life.poll(at(2_002), None), heartbeat(7, false));
        assert_eq!(life.poll(at(9_000), None), None, "one at a time");
    }

    #[test]
    fn a_broker_that_is_fenced_asks_again_soon() {
        let mut life = serving();
        life.hurry(at(3));
        assert_eq!(life.poll(at(3), None), None, "not in a tight loop");
        assert_eq!(life.next_deadline(), Some(at(1 + HURRY_MS)));
        assert_eq!(life.poll(at(1 + HURRY_MS), None), heartbeat(7, false));
        let fenced = Standing { fenced: true, ..UP };
        life.answered(at(12), LifeAnswer::Heartbeat(Ok(fenced))).expect("no refusal");
        assert_eq!(life.next_deadline(), Some(at(12 + FENCED_MS)));
    }

    #[test]
    fn lost_answers_are_asked_for_again_and_a_forgotten_broker_registers_anew() {
        let mut life = serving();
        life.hurry(at(13));
        assert!(life.poll(at(13), None).is_some());
        life.answered(at(14), LifeAnswer::Lost).expect("no refusal");
        assert_eq!(life.poll(at(14 + RETRY_MS), None), heartbeat(7, false));
        let stale = ApiError::new(ErrorCode::StaleBrokerEpoch, "");
        life.answered(at(100), LifeAnswer::Heartbeat(Err(stale))).expect("no refusal");
        assert!(matches!(life.poll(at(100), None), Some(LifeRequest::Register(_))));
    }

    #[test]
    fn a_full_disk_is_told_at_once_and_room_when_it_has_lasted() {
        let mut life = serving();
        let is_full = |request: Option<LifeRequest>| {
            matches!(request, Some(LifeRequest::Heartbeat { is_full: true, .. }))
        };
        let beat = |life: &mut BrokerLife, ms| {
            let request = life.poll(at(ms), None);
            assert!(request.is_some(), "a heartbeat is due");
            life.answered(at(ms), LifeAnswer::Heartbeat(Ok(UP))).expect("no refusal");
            is_full(request)
        };
        life.disk(at(100), ShardId(0), true);
        assert!(beat(&mut life, 100), "at once");
        life.disk(at(101), ShardId(1), true);
        assert_eq!(life.next_deadline(), Some(at(2_100)), "the second shard says nothing new");
        life.disk(at(1_000), ShardId(0), false);
        assert!(beat(&mut life, 2_100), "the other one is full still");
        life.disk(at(3_000), ShardId(1), false);
        assert!(beat(&mut life, 4_100), "not for long");
        life.disk(at(7_000), ShardId(1), true);
        life.disk(at(7_001), ShardId(1), false);
        assert!(beat(&mut life, 7_100 + ROOM_MS - 200), "it was full again meanwhile");
        assert!(!beat(&mut life, 14_000 + ROOM_MS));
        life.disk(at(30_000), ShardId(1), false);
        assert!(!beat(&mut life, 40_000), "room that was never missing is no news");
    }

    #[test]
    fn a_refused_registration_ends_the_broker_and_a_duplicate_one_waits() {
        let mut life = new();
        assert!(life.poll(at(0), None).is_some());
        let duplicate = ApiError::new(ErrorCode::DuplicateBrokerRegistration, "");
        life.answered(at(0), LifeAnswer::Registered(Err(duplicate))).expect("time may mend it");
        assert_eq!(life.poll(at(499), None), None);
        assert!(life.poll(at(500), None).is_some());
        let other = ApiError::new(ErrorCode::InconsistentClusterId, "");
        let refused = life.answered(at(500), LifeAnswer::Registered(Err(other.clone())));
        assert_eq!(refused, Err(other));
    }

    #[test]
    fn a_stop_waits_for_the_leaderships_to_move_away_but_not_for_ever() {
        let mut life = serving();
        life.stop(at(20));
        assert_eq!(life.poll(at(20), None), heartbeat(7, true));
        assert!(!life.may_stop());
        life.answered(at(21), LifeAnswer::Heartbeat(Ok(UP))).expect("no refusal");
        assert_eq!(life.poll(at(21 + FENCED_MS), None), heartbeat(7, true));
        let free = Standing { should_shut_down: true, ..UP };
        life.answered(at(40), LifeAnswer::Heartbeat(Ok(free))).expect("no refusal");
        assert!(life.may_stop());

        let mut kept = serving();
        kept.stop(at(20));
        for ms in 0..250 {
            let now = at(20 + FENCED_MS * ms);
            assert_eq!(kept.poll(now, None), heartbeat(7, true));
            kept.answered(now, LifeAnswer::Heartbeat(Ok(UP))).expect("no refusal");
        }
        assert_eq!(kept.next_deadline(), Some(at(5_020)), "there is always more to move");
        kept.poll(at(5_020), None);
        assert!(kept.may_stop());

        let mut stranger = new();
        stranger.stop(at(0));
        stranger.poll(at(0), None);
        assert!(stranger.may_stop(), "who was never let in leads nothing");
    }

    #[test]
    fn a_stop_gives_up_soon_where_no_controller_answers() {
        let mut forsaken = serving();
        forsaken.stop(at(2_000));
        assert!(forsaken.poll(at(2_000), None).is_some());
        assert_eq!(forsaken.next_deadline(), Some(at(2_000 + FORSAKEN_MS)));
        forsaken.answered(at(2_500), LifeAnswer::Lost).expect("no refusal");
        assert!(forsaken.poll(at(2_550), None).is_some() && !forsaken.may_stop());
        forsaken.answered(at(2_600), LifeAnswer::Heartbeat(Ok(UP))).expect("no refusal");
        assert!(forsaken.poll(at(2_600 + FORSAKEN_MS - 1), None).is_some() && !forsaken.may_stop());
        assert_eq!(forsaken.next_deadline(), Some(at(2_600 + FORSAKEN_MS)), "counted from the last answer");
        forsaken.poll(at(2_600 + FORSAKEN_MS), None);
        assert!(forsaken.may_stop());
    }
}
