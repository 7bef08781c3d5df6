//! Kafka's protocol on a controller's listener (KIP-919): what administrators ask of controllers when no broker can answer,
//! or when there is none.
//!
//! The handlers are those of the data shards (api/), as far as [`TABLE`](crate::api::TABLE) says that controllers serve
//! them: all of these are answered out of the image, or by the active controller. A connection's requests run one after
//! the other.

use super::{
    Ask, Context, ControllerRequest, ControllerResponse, FetchSessions, FollowerSessions, Gather, GatherId,
    GonePeers, OwnerRequest, OwnerResponse, Place, ProducerIdPool, Random, Response, Start, Step,
    config_in_force, gather::GatherIds,
};
use crate::{
    api,
    config::BrokerConfig,
    error::ErrorCode,
    ids::{Map, NodeId},
    loggers::Loggers,
    metadata::Image,
    timers::{TimerId, Timers},
};
use bytes::Bytes;
use corelane_seam::{ConnectionId, ListenerId, Monotonic, Now, Part, ShardId};
use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

/// The controllers of a cluster, as one of them tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controllers {
    /// Which one is active, if that is known.
    pub active: Option<NodeId>,
    /// All of them, with host and port.
    pub endpoints: Vec<(NodeId, String, u16)>,
}

/// What shall happen.
#[derive(Debug, Default)]
pub struct FrontEffects {
    /// For the active controller; answered by [`Front::controller_answered`].
    pub asks: Vec<(GatherId, ControllerRequest)>,
    /// For data shards of this node; answered by [`Front::owner_answered`].
    pub owner_asks: Vec<(ShardId, GatherId, OwnerRequest)>,
    /// Responses; each is the answer to the oldest frame of its connection.
    pub replies: Vec<(ConnectionId, Vec<Part>)>,
    /// Connections that cannot go on, with the reason for the log.
    pub closes: Vec<(ConnectionId, String)>,
    /// As in [`Effects`](super::Effects).
    pub log_filter: Option<String>,
}

struct Caller {
    listener: ListenerId,
    peer: SocketAddr,
    /// Frames behind the one that is being answered.
    frames: VecDeque<Bytes>,
    running: Option<GatherId>,
}

struct Running {
    connection: ConnectionId,
    gather: Box<dyn Gather>,
    timer: Option<TimerId>,
}

/// See the module.
pub struct Front {
    place: Place,
    static_config: Arc<BrokerConfig>,
    /// With what was altered since; `None` until someone asks.
    config: Option<Arc<BrokerConfig>>,
    image: Image,
    controllers: Controllers,
    callers: Map<ConnectionId, Caller>,
    running: Map<GatherId, Running>,
    gather_ids: GatherIds,
    timers: Timers<GatherId>,
    /// Of a node without data shards, which keep them otherwise.
    loggers: Loggers,
    random: Random,
    // A handler's context has these; nothing that controllers serve uses them.
    sessions: FetchSessions,
    follower_sessions: FollowerSessions,
    producer_ids: ProducerIdPool,
    gone: GonePeers,
}

impl Front {
    /// Of the quorum's shard, which `place` names as both of its shards; `place.shards` is how many data shards there are.
    pub fn new(place: Place, config: Arc<BrokerConfig>, loggers: Loggers, seed: u64) -> Front {
        Front {
            place,
            static_config: config,
            config: None,
            image: Image::default(),
            controllers: Controllers::default(),
            callers: Map::default(),
            running: Map::default(),
            gather_ids: GatherIds::default(),
            timers: Timers::default(),
            loggers,
            random: Random(seed),
            sessions: FetchSessions::default(),
            follower_sessions: FollowerSessions::default(),
            gone: GonePeers::default(),
            producer_ids: ProducerIdPool::default(),
        }
    }

    /// Metadata as far as this node knows it.
    pub fn take_image(&mut self, image: Image) {
        self.image = image;
        self.config = None;
    }

    /// The configuration in force, made when it is asked for: administrators are rarer than metadata.
    fn config(&mut self) -> Arc<BrokerConfig> {
        let make = || config_in_force(&self.static_config, &self.image, self.place.node);
        Arc::clone(self.config.get_or_insert_with(make))
    }

    /// Who the controllers are.
    pub fn know(&mut self, controllers: Controllers) {
        self.controllers = controllers;
    }

    /// Someone connected.
    pub fn opened(&mut self, connection: ConnectionId, listener: ListenerId, peer: SocketAddr) {
        let caller = Caller { listener, peer, frames: VecDeque::new(), running: None };
        self.callers.insert(connection, caller);
    }

    /// A connection is gone.
    pub fn closed(&mut self, connection: ConnectionId) {
        if let Some(id) = self.callers.remove(&connection).and_then(|caller| caller.running) {
            self.end(id);
        }
    }

    /// A whole frame came, without its length.
    pub fn frame(&mut self, now: Now, connection: ConnectionId, frame: Bytes, effects: &mut FrontEffects) {
        if let Some(caller) = self.callers.get_mut(&connection) {
            caller.frames.push_back(frame);
            self.run(now, connection, effects);
        }
    }

    /// The active controller answered, or cannot be reached.
    pub fn controller_answered(
        &mut self,
        now: Now,
        gather: GatherId,
        response: ControllerResponse,
        effects: &mut FrontEffects,
    ) {
        self.step(now, gather, effects, |gather, context| gather.controller_answered(context, response));
    }

    /// A data shard answered.
    pub fn owner_answered(
        &mut self,
        now: Now,
        gather: GatherId,
        response: OwnerResponse,
        effects: &mut FrontEffects,
    ) {
        self.step(now, gather, effects, |gather, context| gather.answered(context, response));
    }

    /// Ends what has waited for long enough.
    pub fn tick(&mut self, now: Now, effects: &mut FrontEffects) {
        while let Some(id) = self.timers.pop_due(now.monotonic) {
            self.step(now, id, effects, |gather, context| gather.expired(context));
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.timers.next()
    }

    fn run(&mut self, now: Now, connection: ConnectionId, effects: &mut FrontEffects) {
        loop {
            let Some(caller) = self.callers.get_mut(&connection) else { return };
            if caller.running.is_some() {
                return;
            }
            let Some(frame) = caller.frames.pop_front() else { return };
            let started = self.with_context(now, connection, |context| api::start(context, &frame));
            match started {
                None => return,
                Some(Ok(Start::Ready(response))) => self.respond(connection, response, effects),
                Some(Ok(Start::Gather { gather, asks, deadline })) => {
                    let id = self.gather_ids.next();
                    let timer = deadline.map(|at| self.timers.set(at, id));
                    self.running.insert(id, Running { connection, gather, timer });
                    if let Some(caller) = self.callers.get_mut(&connection) {
                        caller.running = Some(id);
                    }
                    self.ask(now, id, asks, effects);
                }
                Some(Err(error)) => {
                    self.respond(connection, Response::Close(error.to_string()), effects);
                }
            }
        }
    }

    fn with_context<T>(
        &mut self,
        now: Now,
        connection: ConnectionId,
        call: impl FnOnce(&mut Context<'_>) -> T,
    ) -> Option<T> {
        let config = self.config();
        let caller = self.callers.get(&connection)?;
        Some(call(&mut Context {
            now,
            place: self.place,
            config: &config,
            image: &self.image,
            sessions: &mut self.sessions,
            follower_sessions: &mut self.follower_sessions,
            producer_ids: &mut self.producer_ids,
            random: &mut self.random,
            connection,
            listener: caller.listener,
            peer: caller.peer,
            reign_is_new: false,
            gone: &self.gone,
            controllers: Some(&self.controllers),
        }))
    }

    fn ask(&mut self, now: Now, id: GatherId, asks: Vec<Ask>, effects: &mut FrontEffects) {
        for ask in asks {
            match ask {
                Ask::Controller(request) => effects.asks.push((id, request)),
                Ask::Owner(_, OwnerRequest::Loggers(request)) if self.place.shards == 0 => {
                    let response = request.answer(&mut self.loggers, &mut effects.log_filter);
                    self.step(now, id, effects, |gather, context| gather.answered(context, response));
                }
                Ask::Owner(shard, request) => effects.owner_asks.push((shard, id, request)),
                // Nothing that a controller's listener serves asks brokers.
                Ask::Enlist(..) => self.step(now, id, effects, |gather, context| {
                    gather.enlisted(context, Err(ErrorCode::CoordinatorNotAvailable))
                }),
            }
        }
    }

    fn step(
        &mut self,
        now: Now,
        id: GatherId,
        effects: &mut FrontEffects,
        call: impl FnOnce(&mut dyn Gather, &mut Context<'_>) -> Step,
    ) {
        let Some(mut running) = self.running.remove(&id) else { return };
        let connection = running.connection;
        let step = self.with_context(now, connection, |context| call(running.gather.as_mut(), context));
        match step {
            None => {}
            Some(Step::Wait) => drop(self.running.insert(id, running)),
            Some(Step::Ask(asks)) => {
                self.running.insert(id, running);
                self.ask(now, id, asks, effects);
            }
            Some(Step::Done(response)) => {
                self.running.insert(id, running);
                self.end(id);
                if let Some(caller) = self.callers.get_mut(&connection) {
                    caller.running = None;
                }
                self.respond(connection, response, effects);
                self.run(now, connection, effects);
            }
        }
    }

    fn end(&mut self, id: GatherId) {
        if let Some(timer) = self.running.remove(&id).and_then(|running| running.timer) {
            self.timers.cancel(timer);
        }
    }

    fn respond(&mut self, connection: ConnectionId, response: Response, effects: &mut FrontEffects) {
        match response {
            Response::Send(parts) => effects.replies.push((connection, parts)),
            // Only a produce request without acknowledgements has no response.
            Response::Nothing => {}
            Response::Close(reason) => {
                effects.closes.push((connection, reason));
                self.closed(connection);
            }
        }
    }
}
