//! This node's requests for the active controller, of its shards, of its clients and of its own life: where they are decided, and
//! where the answers go.

use super::{
    Operations, QuorumShard,
    control::{Next, Origin},
};
use crate::node::Report;
use corelane_core::{
    controller::BrokerHeartbeatRequest,
    engine::{
        ControllerRequest, ControllerResponse, DeskEffects, FrontEffects, LifeAnswer, LifeRequest, ReplyTo,
        ShardMessage, Standing,
    },
    error::{ErrorCode, Fatal},
};
use corelane_seam::{Now, Operation};
use tracing::{error, info, warn};

impl QuorumShard {
    /// Whoever leads hears of this broker soon.
    pub(super) fn hurry(&mut self, now: Now) {
        self.life.iter_mut().for_each(|life| life.hurry(now.monotonic));
    }

    /// What this broker's own life asks.
    pub(super) fn live(&mut self, now: Now) {
        let applied = self.image.last_applied();
        let request = self.life.as_mut().and_then(|life| life.poll(now.monotonic, applied));
        let Some(request) = request else { return };
        let request = match request {
            LifeRequest::Register(registration) => ControllerRequest::RegisterBroker(*registration),
            LifeRequest::Heartbeat { epoch, applied, want_shut_down, is_full } => {
                match (std::mem::replace(&mut self.said_full, is_full), is_full) {
                    (false, true) => {
                        warn!("the disk is full: nothing more is stored here until there is room")
                    }
                    (true, false) => info!("the disk has room again"),
                    (true, true) | (false, false) => {}
                }
                let is_out = self.directory_offline && !self.is_alone();
                let offline_directories = if is_out { self.data_directories.clone() } else { Vec::new() };
                ControllerRequest::Heartbeat(BrokerHeartbeatRequest {
                    id: self.node,
                    epoch,
                    applied,
                    // A leader that acknowledges nothing stands in the way of those who could.
                    want_fence: is_out,
                    want_shut_down,
                    is_full,
                    offline_directories,
                })
            }
        };
        self.control.ask(now, Origin::Life, request);
    }

    /// What this node says of itself as a voter.
    pub(super) fn announce(&mut self, now: Now) {
        let request = self.announcer.as_mut().and_then(|it| it.poll(now, &self.quorum));
        if let Some(request) = request {
            self.control.ask(now, Origin::Announcer, request);
        }
    }

    /// Takes on what waits for the controller.
    pub(super) fn pursue(&mut self, now: Now, effects: &mut DeskEffects, out: &mut Operations) {
        loop {
            let next_correlation = &mut self.next_correlation;
            let mut correlation = || {
                *next_correlation = next_correlation.wrapping_add(1);
                *next_correlation
            };
            match self.control.next(now, self.leader, &mut correlation) {
                Some(Next::Decide(origin, request)) => {
                    let to = match origin {
                        Origin::Shard(shard, gather) => ReplyTo::Gather(shard, gather),
                        Origin::Front(gather) => ReplyTo::Front(gather),
                        Origin::Life => ReplyTo::Itself,
                        Origin::Announcer => ReplyTo::Announcer,
                    };
                    self.decide(now, to, request, effects);
                }
                Some(Next::Call(to, frame)) => self.peers.call(now, to, frame, out, &mut self.ended),
                Some(Next::Fail(origin)) => {
                    let lost = ControllerResponse::Unavailable(ErrorCode::NotController);
                    self.deliver(now, origin, lost, out);
                }
                None => return,
            }
        }
    }

    pub(super) fn decide(
        &mut self,
        now: Now,
        to: ReplyTo,
        request: ControllerRequest,
        effects: &mut DeskEffects,
    ) {
        let random = &mut self.random;
        self.desk.stand(self.quorum.standing(now));
        self.desk.ask(now.monotonic, to, request, &mut || random.uuid(), effects);
    }

    pub(super) fn deliver(
        &mut self,
        now: Now,
        origin: Origin,
        response: ControllerResponse,
        out: &mut Operations,
    ) {
        match origin {
            Origin::Shard(to, gather) => {
                let message = ShardMessage::ControllerAnswer { gather, response };
                out.push(Operation::Message { to, message });
            }
            Origin::Front(gather) => {
                let mut effects = FrontEffects::default();
                self.front.controller_answered(now, gather, response, &mut effects);
                self.answer_clients(now, effects, out);
            }
            Origin::Life => self.life_answered(now, response),
            Origin::Announcer => self.announced(now, &response),
        }
    }

    pub(super) fn announced(&mut self, now: Now, response: &ControllerResponse) {
        let QuorumShard { announcer, quorum, .. } = self;
        announcer.iter_mut().for_each(|it| it.answered(now, quorum, response));
    }

    pub(super) fn life_answered(&mut self, now: Now, response: ControllerResponse) {
        let answer = match response {
            ControllerResponse::RegisterBroker(result) => LifeAnswer::Registered(result),
            ControllerResponse::Heartbeat(result) => LifeAnswer::Heartbeat(
                result
                    .map(|reply| Standing { fenced: reply.fenced, should_shut_down: reply.should_shut_down }),
            ),
            _ => LifeAnswer::Lost,
        };
        let answered = self.life.as_mut().map_or(Ok(()), |life| life.answered(now.monotonic, answer));
        if let Err(refused) = answered {
            self.refused(&refused.to_string());
        }
    }

    pub(super) fn refused(&self, refused: &str) {
        let text = format!("this broker cannot join its cluster: {refused}");
        error!("{text}");
        // Whoever started the broker may have gone; nothing depends on it.
        let _ = self.reports.send(Report::Fatal(Fatal::new(text)));
    }
}
