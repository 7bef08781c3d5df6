//! A shard's connections and their requests: started in order, answered in order, and forgotten when a connection ends.

use super::{
    Answers, Ask, Asker, Context, Deadline, Effects, Engine, FollowerSession, Gather, GatherId,
    OwnerResponse, Phase, Response, Running, ShardMessage, Start, Step,
};
use crate::{api, limits};
use bytes::Bytes;
use corelane_seam::{ConnectionId, ListenerId, Now};
use std::net::SocketAddr;

impl Engine {
    pub(super) fn frame(&mut self, now: Now, connection: ConnectionId, frame: Bytes, effects: &mut Effects) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        self.bytes_held += frame.len();
        state.arrive(frame);
        self.run(now, connection, effects);
    }

    /// Starts what may start, sends what is ready.
    pub(super) fn run(&mut self, now: Now, connection: ConnectionId, effects: &mut Effects) {
        if self.phase == Phase::Serving {
            while let Some(frame) =
                self.connections.get_mut(&connection).and_then(|state| state.next(api::ordering))
            {
                self.start_request(now, connection, frame, effects);
                self.send_ready(connection, effects);
            }
        }
        self.send_ready(connection, effects);
        self.press_back(connection, effects);
    }

    fn send_ready(&mut self, connection: ConnectionId, effects: &mut Effects) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let before = state.bytes_held();
        while let Some(parts) = state.pop_ready() {
            if !parts.is_empty() {
                effects.replies.push((connection, parts));
            }
        }
        self.bytes_held -= before - state.bytes_held();
    }

    /// Stops reading a connection that has too much under way, goes on when it has less. A connection with nothing
    /// under way is always read, or it could never free what others wait for.
    pub(super) fn press_back(&mut self, connection: ConnectionId, effects: &mut Effects) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let crowded = state.requests_held() >= limits::REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX
            || state.bytes_held() >= limits::BYTES_IN_FLIGHT_PER_CONNECTION_MAX;
        let no_memory = self.bytes_held >= limits::BYTES_IN_FLIGHT_PER_SHARD_MAX && state.requests_held() > 0;
        let pause = crowded || no_memory;
        if pause == state.paused {
            return;
        }
        state.paused = pause;
        effects.pauses.push((connection, pause));
        if pause && no_memory {
            self.paused_for_memory.push(connection);
        }
    }

    pub(super) fn closed(&mut self, connection: ConnectionId, effects: &mut Effects) {
        let Some(state) = self.connections.remove(&connection) else { return };
        self.bytes_held -= state.bytes_held();
        for gather in state.waiting_for() {
            self.end_gather(gather, effects);
        }
        for owner in self.follower_sessions.close(connection) {
            if owner == self.place.shard {
                self.owner.end_session(FollowerSession { shard: owner, connection });
            } else {
                effects.messages.push((owner, ShardMessage::EndSession { connection }));
            }
        }
    }

    fn start_request(&mut self, now: Now, connection: ConnectionId, frame: Bytes, effects: &mut Effects) {
        let len = frame.len();
        let ordering = api::ordering(&frame);
        let Some(state) = self.connections.get(&connection) else { return };
        let (listener, peer) = (state.listener, state.peer);
        self.busy_with = api::name_of(&frame);
        let started = api::start(&mut self.context(now, connection, listener, peer), &frame);
        match started {
            Ok(Start::Ready(response)) => self.respond_now(connection, len, response, effects),
            Ok(Start::Gather { gather, asks, deadline }) => {
                let id = self.gather_ids.next();
                let timer = deadline.map(|at| self.timers.set(at, Deadline::Gather(id)));
                self.gathers.insert(id, Running { connection, gather, timer });
                if let Some(state) = self.connections.get_mut(&connection) {
                    state.wait(id, len, ordering);
                }
                self.ask_all(now, id, asks, effects);
            }
            Err(error) => self.refuse(connection, len, error.to_string(), effects),
        }
    }

    fn respond_now(
        &mut self,
        connection: ConnectionId,
        len: usize,
        response: Response,
        effects: &mut Effects,
    ) {
        let parts = match response {
            Response::Send(parts) => Some(parts),
            Response::Nothing => None,
            Response::Close(reason) => return self.refuse(connection, len, reason, effects),
        };
        if let Some(state) = self.connections.get_mut(&connection) {
            state.ready_now(parts, len);
        }
    }

    /// The protocol was broken: this connection ends, no other notices.
    fn refuse(&mut self, connection: ConnectionId, len: usize, reason: String, effects: &mut Effects) {
        if let Some(state) = self.connections.get_mut(&connection) {
            state.ready_now(None, len);
        }
        effects.closes.push((connection, reason));
        self.send_ready(connection, effects);
        self.closed(connection, effects);
    }

    fn context(
        &mut self,
        now: Now,
        connection: ConnectionId,
        listener: ListenerId,
        peer: SocketAddr,
    ) -> Context<'_> {
        Context {
            now,
            place: self.place,
            config: &self.config,
            image: &self.image,
            sessions: &mut self.sessions,
            follower_sessions: &mut self.follower_sessions,
            producer_ids: &mut self.owner.producer_ids,
            random: &mut self.random,
            connection,
            listener,
            peer,
            reign_is_new: self.reign_is_new_until.is_some_and(|until| now.monotonic < until),
            gone: &self.gone,
            controllers: None,
        }
    }

    pub(super) fn ask_all(&mut self, now: Now, id: GatherId, asks: Vec<Ask>, effects: &mut Effects) {
        let mut answers = Answers::new();
        for ask in asks {
            match ask {
                Ask::Owner(shard, request) if shard == self.place.shard => {
                    let asker = Asker { shard, gather: id };
                    self.owner.ask(now, asker, request, effects, &mut answers);
                }
                Ask::Owner(shard, request) => {
                    let seen = self.image.last_applied();
                    effects.messages.push((shard, ShardMessage::Ask { gather: id, request, seen }));
                }
                Ask::Enlist(peer, enlist) => self.peer_calls.enlistment.push(peer, (id, enlist)),
                Ask::Controller(request) => {
                    effects
                        .messages
                        .push((self.place.quorum, ShardMessage::AskController { gather: id, request }));
                }
            }
        }
        self.carry(now, answers, effects);
    }

    /// Carries owners' answers to whom they belong, here or on another shard.
    pub(super) fn carry(&mut self, now: Now, answers: Answers, effects: &mut Effects) {
        for (asker, response) in answers {
            let is_here = asker.shard == self.place.shard;
            if is_here && self.local_markers.has(asker.gather) {
                if let OwnerResponse::Append(results) = response {
                    self.marked_here(now, asker.gather, results, effects);
                }
            } else if is_here {
                self.step(now, asker.gather, effects, |gather, context| gather.answered(context, response));
            } else {
                let message = ShardMessage::Answer { gather: asker.gather, response };
                effects.messages.push((asker.shard, message));
            }
        }
    }

    /// Calls every gather, in the order in which they began.
    pub(super) fn step_all(
        &mut self,
        now: Now,
        effects: &mut Effects,
        call: impl Fn(&mut dyn Gather, &mut Context<'_>) -> Step,
    ) {
        let mut waiting: Vec<GatherId> = self.gathers.keys().copied().collect();
        waiting.sort_unstable();
        for id in waiting {
            self.step(now, id, effects, &call);
        }
    }

    pub(super) fn step(
        &mut self,
        now: Now,
        id: GatherId,
        effects: &mut Effects,
        call: impl FnOnce(&mut dyn Gather, &mut Context<'_>) -> Step,
    ) {
        let Some(mut running) = self.gathers.remove(&id) else { return };
        let Some(state) = self.connections.get(&running.connection) else { return };
        let (listener, peer) = (state.listener, state.peer);
        self.busy_with = running.gather.name();
        let connection = running.connection;
        let step = call(running.gather.as_mut(), &mut self.context(now, connection, listener, peer));
        match step {
            Step::Wait => {
                self.gathers.insert(id, running);
            }
            Step::Ask(asks) => {
                self.gathers.insert(id, running);
                self.ask_all(now, id, asks, effects);
            }
            Step::Done(response) => {
                self.end_running(id, &running, effects);
                self.respond(now, connection, id, response, effects);
            }
        }
    }

    fn respond(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: GatherId,
        response: Response,
        effects: &mut Effects,
    ) {
        let parts = match response {
            Response::Send(parts) => Some(parts),
            Response::Nothing => None,
            Response::Close(reason) => {
                effects.closes.push((connection, reason));
                self.closed(connection, effects);
                return;
            }
        };
        if let Some(state) = self.connections.get_mut(&connection) {
            state.ready(id, parts);
        }
        self.run(now, connection, effects);
    }

    pub(super) fn end_gather(&mut self, id: GatherId, effects: &mut Effects) {
        if let Some(running) = self.gathers.remove(&id) {
            self.end_running(id, &running, effects);
        }
    }

    /// A gather needs no more answers: its deadline and its waiting reads are forgotten.
    fn end_running(&mut self, id: GatherId, running: &Running, effects: &mut Effects) {
        if let Some(timer) = running.timer {
            self.timers.cancel(timer);
        }
        for shard in running.gather.watched() {
            if *shard == self.place.shard {
                self.owner.forget(Asker { shard: *shard, gather: id });
            } else {
                effects.messages.push((*shard, ShardMessage::Forget { gather: id }));
            }
        }
    }
}
