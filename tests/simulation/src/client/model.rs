//! A client: one connection at a time to each broker, requests in order, time-outs and reconnects in virtual time.
//!
//! What a request became is told once, by [`Ended`]: answered, or lost with its connection (then nothing is known of
//! it). A client never asks again by itself: operations do, because they know what may be asked twice.

use super::{
    answer::{Answer, Produced},
    history::{History, Moment},
    notes,
    request::Request,
    routes::Routes,
};
use crate::{
    rng::Rng,
    world::{ProcessId, ReaderPace, World},
};
use bytes::{Buf, Bytes, BytesMut};
use corelane_seam::{ConnectionId, ListenerId, Shard};
use std::collections::VecDeque;

/// How long a client waits for an answer, in ns: longer than a broker may take.
pub const PATIENCE_NS: u64 = 40_000_000_000;

/// The longest pause before a client connects again, in ns.
const RECONNECT_NS_MAX: u64 = 400_000_000;

/// The largest answer that is believed.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What a request became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker's word.
    Answered(Answer),
    /// The connection ended first: it may have happened or not.
    Lost,
}

impl Outcome {
    /// Of each of so many batches of a Produce; `None` where nothing is known of it.
    pub fn of_batches(self, count: usize) -> Vec<Option<Produced>> {
        match self {
            Outcome::Answered(Answer::Produce(outcomes)) => outcomes.into_iter().map(Some).collect(),
            Outcome::Answered(_) | Outcome::Lost => vec![None; count],
        }
    }
}

/// A request that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// As it was asked.
    pub request: Request,
    /// What became of it.
    pub outcome: Outcome,
    /// Asked by the client itself, to know who leads what.
    pub aside: bool,
}

struct UnderWay {
    request: Request,
    version: i16,
    correlation: i32,
    asked: Moment,
    deadline_ns: u64,
    aside: bool,
}

/// Whom a client may ask: a broker's node id, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownBroker {
    /// As Metadata names it.
    pub node: i32,
    /// Its process.
    pub process: ProcessId,
}

/// What a client has to do with one broker: at most one connection.
struct Link {
    broker: KnownBroker,
    connection: Option<ConnectionId>,
    inbound: BytesMut,
    under_way: VecDeque<UnderWay>,
    connect_after_ns: u64,
}

struct Waiting {
    /// Before this time it shall not be sent.
    after_ns: u64,
    request: Request,
    aside: bool,
}

/// One client of one or many brokers.
pub struct Client {
    number: u64,
    rng: Rng,
    pace: ReaderPace,
    links: Vec<Link>,
    /// Asked for, not sent yet.
    waiting: VecDeque<Waiting>,
    correlation: i32,
}

impl Client {
    /// One that is not connected. `number` is the key of its wake-ups.
    ///
    /// # Panics
    /// When there is no broker.
    pub fn new(number: u64, brokers: &[KnownBroker], mut rng: Rng) -> Client {
        assert!(!brokers.is_empty(), "a client of no broker");
        // The first one audits: what it waits for is the broker's doing, not its own.
        let pace = if number > 0 && rng.below(8) == 0 { ReaderPace::SLOW } else { ReaderPace::PROMPT };
        let link = |broker: &KnownBroker| Link {
            broker: *broker,
            connection: None,
            inbound: BytesMut::new(),
            under_way: VecDeque::new(),
            connect_after_ns: 0,
        };
        let links = brokers.iter().map(link).collect();
        Client { number, rng, pace, links, waiting: VecDeque::new(), correlation: 0 }
    }

    /// The key of its wake-ups.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the connection is this client's.
    pub fn holds(&self, connection: ConnectionId) -> bool {
        self.link_of(connection).is_some()
    }

    fn link_of(&self, connection: ConnectionId) -> Option<usize> {
        self.links.iter().position(|link| link.connection == Some(connection))
    }

    /// Whether nothing is asked for.
    pub fn is_idle(&self) -> bool {
        self.links.iter().all(|link| link.under_way.is_empty()) && self.waiting.is_empty()
    }

    /// What it waits for, in words.
    pub fn waits_for(&self) -> String {
        let all = self.links.iter().flat_map(|link| &link.under_way);
        let under_way: Vec<String> =
            all.map(|asked| format!("{:?}", asked.request).chars().take(80).collect()).collect();
        format!("{} under way {under_way:?}, {} to be sent", under_way.len(), self.waiting.len())
    }

    /// Asks, after `delay_ns` and when there is a connection; in the order of the calls.
    pub fn ask<S: Shard>(
        &mut self,
        world: &mut World<S>,
        history: &mut History,
        routes: &Routes,
        request: Request,
        delay_ns: u64,
    ) {
        let after_ns = world.now_ns() + delay_ns;
        self.waiting.push_back(Waiting { after_ns, request, aside: false });
        if delay_ns > 0 {
            world.wake_after(delay_ns, self.number);
        } else {
            self.send_waiting(world, history, routes);
        }
    }

    /// Asks at once, before what waits, for the client's own sake: the end is marked so. Only a client of many brokers
    /// needs to know which is which.
    pub fn refresh<S: Shard>(&mut self, world: &mut World<S>, history: &mut History, routes: &mut Routes) {
        if self.links.len() == 1 {
            return;
        }
        for request in routes.refresh() {
            self.waiting.push_front(Waiting { after_ns: world.now_ns(), request, aside: true });
        }
        self.send_waiting(world, history, routes);
    }

    /// A wake-up: what is due is sent; what has waited for too long is given up with its connection.
    pub fn wake<S: Shard>(
        &mut self,
        world: &mut World<S>,
        history: &mut History,
        routes: &Routes,
    ) -> Vec<Ended> {
        let now_ns = world.now_ns();
        let mut ended = Vec::new();
        for index in 0..self.links.len() {
            if self.links[index].under_way.front().is_some_and(|asked| asked.deadline_ns <= now_ns) {
                world.note(&format!("client {} waits no longer", self.number));
                if let Some(connection) = self.links[index].connection {
                    world.client_reset(connection);
                }
                ended.extend(self.lose(world, index));
            }
        }
        self.send_waiting(world, history, routes);
        ended
    }

    /// The connection was refused or has ended.
    pub fn closed<S: Shard>(&mut self, world: &mut World<S>, connection: ConnectionId) -> Vec<Ended> {
        self.link_of(connection).map_or_else(Vec::new, |index| self.lose(world, index))
    }

    fn lose<S: Shard>(&mut self, world: &mut World<S>, index: usize) -> Vec<Ended> {
        let delay_ns = self.rng.between(1_000_000, RECONNECT_NS_MAX);
        let link = &mut self.links[index];
        link.connection = None;
        link.inbound.clear();
        link.connect_after_ns = world.now_ns() + delay_ns;
        world.wake_after(delay_ns, self.number);
        let lost = link.under_way.drain(..);
        lost.map(|asked| Ended { request: asked.request, outcome: Outcome::Lost, aside: asked.aside })
            .collect()
    }

    /// Whom to ask: the one whose business it is, or, if nobody knows, one to which the client may speak.
    fn choose(&mut self, now_ns: u64, routes: &Routes, request: &Request) -> usize {
        if self.links.len() == 1 {
            return 0;
        }
        let node = routes.broker_for(request);
        if let Some(known) = self.links.iter().position(|link| Some(link.broker.node) == node) {
            return known;
        }
        let is_free = |link: &Link| link.connection.is_some() || link.connect_after_ns <= now_ns;
        let may = |link: &Link| is_free(link) && !routes.is_avoided(link.broker.node);
        let open: Vec<usize> = (0..self.links.len()).filter(|index| may(&self.links[*index])).collect();
        self.rng.pick(&open).copied().unwrap_or(0)
    }

    fn send_waiting<S: Shard>(&mut self, world: &mut World<S>, history: &mut History, routes: &Routes) {
        let now_ns = world.now_ns();
        while let Some(next) = self.waiting.pop_front_if(|next| next.after_ns <= now_ns) {
            let index = self.choose(now_ns, routes, &next.request);
            let link = &mut self.links[index];
            let connection = match link.connection {
                Some(connection) => connection,
                None if link.connect_after_ns > now_ns => return self.waiting.push_front(next),
                None => {
                    let connection = world.connect(link.broker.process, ListenerId(0), self.pace);
                    link.connection = Some(connection);
                    connection
                }
            };
            self.send(world, history, index, connection, next);
        }
    }

    fn send<S: Shard>(
        &mut self,
        world: &mut World<S>,
        history: &mut History,
        index: usize,
        connection: ConnectionId,
        next: Waiting,
    ) {
        let Waiting { request, aside, .. } = next;
        let version = *self.rng.pick(request.versions()).expect("every request has a version");
        self.correlation = self.correlation.wrapping_add(1);
        let asked = history.now();
        notes::sent(history, &request);
        let broker = self.links[index].broker.node;
        world.detail(|| {
            format!("client {} asks broker {broker} ({}): {request:?}", self.number, self.correlation)
        });
        world.client_send(connection, request.encode(self.correlation, version));
        if request.is_answered() {
            let deadline_ns = world.now_ns() + PATIENCE_NS;
            // Behind the deadline, for the clock of wake-ups is exact.
            world.wake_after(PATIENCE_NS, self.number);
            let correlation = self.correlation;
            let asked = UnderWay { request, version, correlation, asked, deadline_ns, aside };
            self.links[index].under_way.push_back(asked);
        }
    }

    /// Bytes came. Each whole answer ends its request.
    ///
    /// # Errors
    /// Bytes that are no answer to what was asked.
    pub fn received(
        &mut self,
        history: &mut History,
        connection: ConnectionId,
        bytes: &Bytes,
    ) -> Result<Vec<Ended>, String> {
        let Some(index) = self.link_of(connection) else { return Ok(Vec::new()) };
        let link = &mut self.links[index];
        link.inbound.extend_from_slice(bytes);
        let mut ended = Vec::new();
        while let Some(frame) = link.next_frame()? {
            let asked = link.under_way.pop_front().ok_or("an answer to nothing")?;
            let answer = Answer::decode(&asked.request, asked.version, asked.correlation, &frame)
                .map_err(|text| format!("{text}; asked as version {}: {:?}", asked.version, asked.request))?;
            notes::answered(history, &asked.request, asked.asked, &answer);
            let outcome = Outcome::Answered(answer);
            ended.push(Ended { request: asked.request, outcome, aside: asked.aside });
        }
        Ok(ended)
    }
}

impl Link {
    fn next_frame(&mut self) -> Result<Option<Bytes>, String> {
        let Some(prefix) = self.inbound.first_chunk().copied() else { return Ok(None) };
        let len = usize::try_from(i32::from_be_bytes(prefix)).map_err(|_| "an answer of negative length")?;
        if len > ANSWER_BYTES_MAX {
            return Err(format!("an answer of {len} bytes"));
        }
        if self.inbound.len() < 4 + len {
            return Ok(None);
        }
        self.inbound.advance(4);
        Ok(Some(self.inbound.split_to(len).freeze()))
    }
}

#[cfg(test)]
mod tests;
