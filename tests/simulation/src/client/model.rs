//! A client: one connection at a time, requests in order, time-outs and reconnects in virtual time.
//!
//! What a request became is told once, by [`Ended`]: answered, or lost with its connection (then nothing is known of
//! it). A client never asks again by itself: operations do, because they know what may be asked twice.

use super::{
    answer::Answer,
    history::{History, Moment},
    notes,
    request::Request,
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

/// A request that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// As it was asked.
    pub request: Request,
    /// What became of it.
    pub outcome: Outcome,
}

struct UnderWay {
    request: Request,
    version: i16,
    correlation: i32,
    asked: Moment,
    deadline_ns: u64,
}

/// One client of one process.
pub struct Client {
    number: u64,
    process: ProcessId,
    rng: Rng,
    pace: ReaderPace,
    connection: Option<ConnectionId>,
    inbound: BytesMut,
    under_way: VecDeque<UnderWay>,
    /// Asked for, not sent yet: each with the time before which it shall not be.
    waiting: VecDeque<(u64, Request)>,
    correlation: i32,
    connect_after_ns: u64,
}

impl Client {
    /// One that is not connected. `number` is the key of its wake-ups.
    pub fn new(number: u64, process: ProcessId, mut rng: Rng) -> Client {
        // The first one audits: what it waits for is the broker's doing, not its own.
        let pace = if number > 0 && rng.below(8) == 0 { ReaderPace::SLOW } else { ReaderPace::PROMPT };
        Client {
            number,
            process,
            rng,
            pace,
            connection: None,
            inbound: BytesMut::new(),
            under_way: VecDeque::new(),
            waiting: VecDeque::new(),
            correlation: 0,
            connect_after_ns: 0,
        }
    }

    /// The key of its wake-ups.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the connection is this client's.
    pub fn holds(&self, connection: ConnectionId) -> bool {
        self.connection == Some(connection)
    }

    /// Whether nothing is asked for.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.waiting.is_empty()
    }

    /// What it waits for, in words.
    pub fn waits_for(&self) -> String {
        let under_way: Vec<String> = self
            .under_way
            .iter()
            .map(|asked| format!("{:?}", asked.request).chars().take(80).collect())
            .collect();
        format!("{} under way {under_way:?}, {} to be sent", under_way.len(), self.waiting.len())
    }

    /// Asks, after `delay_ns` and when there is a connection; in the order of the calls.
    pub fn ask<S: Shard>(
        &mut self,
        world: &mut World<S>,
        history: &mut History,
        request: Request,
        delay_ns: u64,
    ) {
        self.waiting.push_back((world.now_ns() + delay_ns, request));
        if delay_ns > 0 {
            world.wake_after(delay_ns, self.number);
        } else {
            self.send_waiting(world, history);
        }
    }

    /// A wake-up: what is due is sent; what has waited for too long is given up with its connection.
    pub fn wake<S: Shard>(&mut self, world: &mut World<S>, history: &mut History) -> Vec<Ended> {
        let now_ns = world.now_ns();
        let mut ended = Vec::new();
        if self.under_way.front().is_some_and(|asked| asked.deadline_ns <= now_ns) {
            world.note(&format!("client {} waits no longer", self.number));
            ended = self.reset(world);
        }
        self.send_waiting(world, history);
        ended
    }

    /// Ends the connection without a word. What was under way is lost.
    pub fn reset<S: Shard>(&mut self, world: &mut World<S>) -> Vec<Ended> {
        if let Some(connection) = self.connection {
            world.client_reset(connection);
        }
        self.lose(world)
    }

    /// The connection was refused or has ended.
    pub fn closed<S: Shard>(&mut self, world: &mut World<S>) -> Vec<Ended> {
        self.lose(world)
    }

    fn lose<S: Shard>(&mut self, world: &mut World<S>) -> Vec<Ended> {
        self.connection = None;
        self.inbound.clear();
        let delay_ns = self.rng.between(1_000_000, RECONNECT_NS_MAX);
        self.connect_after_ns = world.now_ns() + delay_ns;
        world.wake_after(delay_ns, self.number);
        let lost = self.under_way.drain(..);
        lost.map(|asked| Ended { request: asked.request, outcome: Outcome::Lost }).collect()
    }

    fn send_waiting<S: Shard>(&mut self, world: &mut World<S>, history: &mut History) {
        let now_ns = world.now_ns();
        while self.waiting.front().is_some_and(|(after_ns, _)| *after_ns <= now_ns) {
            let connection = match self.connection {
                Some(connection) => connection,
                None if self.connect_after_ns > now_ns => return,
                None => {
                    let connection = world.connect(self.process, ListenerId(0), self.pace);
                    self.connection = Some(connection);
                    connection
                }
            };
            if let Some((_, request)) = self.waiting.pop_front() {
                self.send(world, history, connection, request);
            }
        }
    }

    fn send<S: Shard>(
        &mut self,
        world: &mut World<S>,
        history: &mut History,
        connection: ConnectionId,
        request: Request,
    ) {
        let version = *self.rng.pick(request.versions()).expect("every request has a version");
        self.correlation = self.correlation.wrapping_add(1);
        let asked = history.now();
        notes::sent(history, &request);
        world.client_send(connection, request.encode(self.correlation, version));
        if request.is_answered() {
            let deadline_ns = world.now_ns() + PATIENCE_NS;
            // Behind the deadline, for the clock of wake-ups is exact.
            world.wake_after(PATIENCE_NS, self.number);
            let correlation = self.correlation;
            self.under_way.push_back(UnderWay { request, version, correlation, asked, deadline_ns });
        }
    }

    /// Bytes came. Each whole answer ends its request.
    ///
    /// # Errors
    /// Bytes that are no answer to what was asked.
    pub fn received(&mut self, history: &mut History, bytes: &Bytes) -> Result<Vec<Ended>, String> {
        self.inbound.extend_from_slice(bytes);
        let mut ended = Vec::new();
        while let Some(frame) = self.next_frame()? {
            let asked = self.under_way.pop_front().ok_or("an answer to nothing")?;
            let answer = Answer::decode(&asked.request, asked.version, asked.correlation, &frame)
                .map_err(|text| format!("{text}; asked as version {}: {:?}", asked.version, asked.request))?;
            notes::answered(history, &asked.request, asked.asked, &answer);
            ended.push(Ended { request: asked.request, outcome: Outcome::Answered(answer) });
        }
        Ok(ended)
    }

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
