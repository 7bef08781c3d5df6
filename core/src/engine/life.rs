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
use corelane_seam::Monotonic;

/// How soon a request is made again that found no controller, in ms.
const RETRY_MS: u64 = 50;

/// How soon a broker that is not let in yet asks again, in ms: it waits for its own metadata.
const FENCED_MS: u64 = 20;

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
    /// Asked for, and not to be waited for beyond this time.
    Asked {
        until: Monotonic,
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
    next: Monotonic,
    stop: Stop,
}

impl BrokerLife {
    /// Of a broker that introduces itself so.
    pub fn new(registration: RegisterBrokerRequest, settings: LifeSettings) -> BrokerLife {
        BrokerLife {
            settings,
            registration,
            epoch: None,
            under_way: false,
            next: Monotonic(0),
            stop: Stop::No,
        }
    }

    /// The next request, if one is due.
    pub fn poll(&mut self, now: Monotonic, applied: Option<MetadataOffset>) -> Option<LifeRequest> {
        if let Stop::Asked { until } = self.stop
            && (until <= now || self.epoch.is_none())
        {
            self.stop = Stop::Granted;
        }
        if self.under_way || now < self.next {
            return None;
        }
        self.under_way = true;
        let want_shut_down = self.stop != Stop::No;
        Some(match self.epoch {
            Some(epoch) => LifeRequest::Heartbeat { epoch, applied, want_shut_down },
            None => LifeRequest::Register(Box::new(self.registration.clone())),
        })
    }

    /// When [`poll`](Self::poll) may have something to say.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let request = (!self.under_way).then_some(self.next);
        let stop = match self.stop {
            Stop::Asked { until } => Some(until),
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

    /// The next heartbeat goes out at once: something changed that the controller waits for.
    pub fn hurry(&mut self, now: Monotonic) {
        self.next = self.next.min(now);
    }

    /// The broker is to stop: first it asks to be let go.
    pub fn stop(&mut self, now: Monotonic) {
        if self.stop == Stop::No {
            self.stop = Stop::Asked { until: now.after_ms(self.settings.stop_patience_ms) };
            self.hurry(now);
        }
    }

    /// Whether the broker may stop: nothing is led by it any more, or that took too long.
    pub fn may_stop(&self) -> bool {
        self.stop == Stop::Granted
    }

    /// The epoch of this broker's registration.
    pub fn epoch(&self) -> Option<i64> {
        self.epoch
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
        Some(LifeRequest::Heartbeat { epoch, applied: None, want_shut_down })
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
        assert_eq!(life.poll(at(3), None), heartbeat(7, false));
        let fenced = Standing { fenced: true, ..UP };
        life.answered(at(4), LifeAnswer::Heartbeat(Ok(fenced))).expect("no refusal");
        assert_eq!(life.next_deadline(), Some(at(4 + FENCED_MS)));
    }

    #[test]
    fn lost_answers_are_asked_for_again_and_a_forgotten_broker_registers_anew() {
        let mut life = serving();
        life.hurry(at(3));
        assert!(life.poll(at(3), None).is_some());
        life.answered(at(4), LifeAnswer::Lost).expect("no refusal");
        assert_eq!(life.poll(at(4 + RETRY_MS), None), heartbeat(7, false));
        let stale = ApiError::new(ErrorCode::StaleBrokerEpoch, "");
        life.answered(at(100), LifeAnswer::Heartbeat(Err(stale))).expect("no refusal");
        assert!(matches!(life.poll(at(100), None), Some(LifeRequest::Register(_))));
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
        life.stop(at(10));
        assert_eq!(life.poll(at(10), None), heartbeat(7, true));
        assert!(!life.may_stop());
        life.answered(at(11), LifeAnswer::Heartbeat(Ok(UP))).expect("no refusal");
        assert_eq!(life.poll(at(11 + FENCED_MS), None), heartbeat(7, true));
        let free = Standing { should_shut_down: true, ..UP };
        life.answered(at(40), LifeAnswer::Heartbeat(Ok(free))).expect("no refusal");
        assert!(life.may_stop());

        let mut alone = serving();
        alone.stop(at(10));
        assert!(alone.poll(at(10), None).is_some());
        assert_eq!(alone.next_deadline(), Some(at(5_010)), "no controller answers");
        assert_eq!(alone.poll(at(5_010), None), None);
        assert!(alone.may_stop());

        let mut stranger = new();
        stranger.stop(at(0));
        stranger.poll(at(0), None);
        assert!(stranger.may_stop(), "who was never let in leads nothing");
    }
}
