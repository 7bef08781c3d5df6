//! A data shard: connections on one side, the engine in the middle, files and other shards on the other side.

use crate::{
    assemble::connection_bounds,
    connection::{Connection, FrameError},
    lines::Lines,
    load::Load,
    log_control::LogControl,
    log_limit::LogLimit,
    node::Report,
    peers::PeerSettings,
};
use corelane_core::{
    engine::{Effects, Engine, Input, ShardMessage},
    ids::{Offset, PartitionId},
    limits,
    log::ReadError,
};
use corelane_seam::{
    CloseReason, Completion, ConnectionId, ListenerId, Monotonic, Now, Operation, Part, Shard, ShardId,
};
use std::{collections::BTreeMap, net::SocketAddr, sync::mpsc::Sender, time::Duration};
use tracing::{debug, info};

type Operations = Vec<Operation<ShardMessage>>;

/// How long responses may take to leave after the clean stop began.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A leader that owes an answer for so long is taken for gone; it holds a fetch back for `replica.fetch.wait.max.ms`.
const PEER_SILENCE_MAX: Duration = Duration::from_secs(5);

/// What a data shard is told once.
#[derive(Debug)]
pub struct DataSettings {
    /// Itself.
    pub shard: ShardId,
    /// Whom to tell that this shard owes nothing any more.
    pub quorum: ShardId,
    /// `socket.request.max.bytes`.
    pub frame_bytes_max: usize,
    /// `connections.max.idle.ms`, if it bounds.
    pub idle_max: Option<Duration>,
    /// Connections of all shards.
    pub load: Load,
    /// The log of this process.
    pub log: LogControl,
    /// Where it reports.
    pub reports: Sender<Report>,
}

/// One data shard.
pub struct DataShard {
    settings: DataSettings,
    engine: Engine,
    effects: Effects,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Other brokers, of which this shard's partitions are followers.
    peers: Lines,
    /// Of frames that are not whole, over all connections.
    partial_bytes: usize,
    engine_timer: Option<Monotonic>,
    next_sweep: Option<Monotonic>,
    timer_set: Option<Monotonic>,
    log_limit: LogLimit,
    serving: bool,
    /// The driver has closed the listeners.
    stop_asked: bool,
    /// The quorum's shard says that this broker was let go.
    let_go: bool,
    stopping_since: Option<Monotonic>,
    engine_stopped: bool,
    stopped: bool,
}

impl DataShard {
    /// With its engine.
    pub fn new(settings: DataSettings, engine: Engine) -> DataShard {
        // A leader answers with one batch at least, however large; both were bounded by its own requests.
        let frame_bytes_max = settings.frame_bytes_max.saturating_mul(2);
        let peers = PeerSettings { silence_max: PEER_SILENCE_MAX, frame_bytes_max };
        DataShard {
            settings,
            engine,
            effects: Effects::default(),
            connections: BTreeMap::new(),
            peers: Lines::new(peers),
            partial_bytes: 0,
            engine_timer: None,
            next_sweep: None,
            timer_set: None,
            log_limit: LogLimit::default(),
            serving: false,
            stop_asked: false,
            let_go: false,
            stopping_since: None,
            engine_stopped: false,
            stopped: false,
        }
    }

    /// The engine, for the simulator's invariants.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Reads a replica for the simulator's invariants: [`Engine::read_replica`].
    ///
    /// # Errors
    /// As there.
    pub fn read_replica(
        &mut self,
        now: Now,
        id: PartitionId,
        from: Offset,
        out: &mut Operations,
    ) -> Result<Vec<Part>, ReadError> {
        let read = self.engine.read_replica(id, from, &mut self.effects);
        self.carry_out(now, out);
        read
    }

    fn decide(&mut self, now: Now, input: Input, out: &mut Operations) {
        self.engine.handle(now, input, &mut self.effects);
        self.carry_out(now, out);
    }

    fn carry_out(&mut self, now: Now, out: &mut Operations) {
        let mut effects = std::mem::take(&mut self.effects);
        // Whoever asked for it shall find it done when he is answered.
        if let Some(filter) = effects.log_filter.take() {
            self.settings.log.apply(&filter);
        }
        out.extend(effects.messages.drain(..).map(|(to, message)| Operation::Message { to, message }));
        out.extend(effects.files.drain(..).map(|(token, operation)| Operation::File { token, operation }));
        for (id, parts) in effects.replies.drain(..) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.respond(parts);
                connection.ask_send(id, out);
            }
        }
        for (id, pause) in effects.pauses.drain(..) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.paused = pause;
                connection.ask_receive(id, out);
            }
        }
        for (id, reason) in effects.closes.drain(..) {
            self.close(now, id, &reason, out);
        }
        if let Some(at) = effects.timer.take() {
            self.engine_timer = Some(at);
        }
        for (peer, endpoint) in effects.peer_endpoints.drain(..) {
            self.peers.locate(now, peer, endpoint.as_ref(), out);
        }
        for call in effects.calls.drain(..) {
            self.peers.call(now, call, out);
        }
        self.engine_stopped |= std::mem::take(&mut effects.stopped);
        // The vectors go back, so that they are allocated once.
        self.effects = effects;
        self.calls_ended(now, out);
        self.set_timer(out);
    }

    /// Tells the engine what became of its calls to other brokers.
    fn calls_ended(&mut self, now: Now, out: &mut Operations) {
        for input in self.peers.take_ended() {
            self.decide(now, input, out);
        }
    }

    fn set_timer(&mut self, out: &mut Operations) {
        // Responses that do not leave are given up by the clock, not when something else happens.
        let patience = self
            .stopping_since
            .filter(|_| self.engine_stopped && !self.stopped)
            .map(|since| since + STOP_PATIENCE);
        let deadlines = [self.engine_timer, self.next_sweep, self.peers.next_deadline(), patience];
        let next = deadlines.into_iter().flatten().min();
        if let Some(at) = next.filter(|_| next != self.timer_set) {
            self.timer_set = next;
            out.push(Operation::Timer { at });
        }
    }

    // ---- connections ----

    fn accepted(
        &mut self,
        now: Now,
        id: ConnectionId,
        listener: ListenerId,
        peer: SocketAddr,
        moved: bool,
        out: &mut Operations,
    ) {
        if !moved {
            match self.settings.load.place(self.settings.shard, peer.ip()) {
                Ok(place) if place == self.settings.shard => {}
                Ok(to) => {
                    out.push(Operation::Move { connection: id, to });
                    return;
                }
                Err(reason) => {
                    self.log_close(now, peer, reason);
                    out.push(Operation::Close { connection: id });
                    return;
                }
            }
        }
        let mut connection = Connection::new(peer, now.monotonic);
        connection.ask_receive(id, out);
        self.connections.insert(id, connection);
        self.decide(now, Input::Opened { connection: id, listener, peer }, out);
    }

    fn received(
        &mut self,
        now: Now,
        id: ConnectionId,
        buffer: bytes::BytesMut,
        bytes: usize,
        out: &mut Operations,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.last_active = now.monotonic;
        connection.received(buffer);
        if bytes == 0 {
            connection.half_closed = true;
            self.close_if_done(now, id, out);
            return;
        }
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            match connection.next_frame(self.settings.frame_bytes_max) {
                Ok(Some(frame)) => self.decide(now, Input::Frame { connection: id, frame }, out),
                Ok(None) => break,
                Err(error) => return self.refuse(now, id, error, out),
            }
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let partial = connection.partial_bytes();
        self.partial_bytes = self.partial_bytes - connection.partial_counted + partial;
        connection.partial_counted = partial;
        if self.partial_bytes > limits::PARTIAL_FRAME_BYTES_PER_SHARD_MAX {
            return self.close(now, id, "too many bytes of unfinished requests on this shard", out);
        }
        connection.ask_receive(id, out);
    }

    fn refuse(&mut self, now: Now, id: ConnectionId, error: FrameError, out: &mut Operations) {
        self.close(now, id, &error.to_string(), out);
    }

    fn sent(&mut self, now: Now, id: ConnectionId, out: &mut Operations) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.last_active = now.monotonic;
        connection.sent();
        connection.ask_send(id, out);
        connection.ask_receive(id, out);
        self.close_if_done(now, id, out);
    }

    /// A half-closed connection ends when its last response has left.
    fn close_if_done(&mut self, now: Now, id: ConnectionId, out: &mut Operations) {
        let Some(connection) = self.connections.get(&id) else { return };
        if connection.half_closed && connection.all_sent() && self.engine.owes_nothing(id) {
            self.end(now, id, out);
        }
    }

    fn close(&mut self, now: Now, id: ConnectionId, reason: &str, out: &mut Operations) {
        if let Some(peer) = self.connections.get(&id).map(|connection| connection.peer) {
            self.log_close(now, peer, reason);
        }
        self.end(now, id, out);
    }

    fn log_close(&mut self, now: Now, peer: SocketAddr, reason: &str) {
        if let Some(suppressed) = self.log_limit.allow(now.monotonic) {
            info!(%peer, suppressed, "connection closed: {reason}");
        }
    }

    fn end(&mut self, now: Now, id: ConnectionId, out: &mut Operations) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.closing {
            connection.closing = true;
            out.push(Operation::Close { connection: id });
            self.decide(now, Input::Closed { connection: id }, out);
        }
    }

    fn closed(&mut self, now: Now, id: ConnectionId, reason: CloseReason, out: &mut Operations) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.partial_bytes -= connection.partial_counted;
        self.settings.load.remove(self.settings.shard, connection.peer.ip());
        debug!(peer = %connection.peer, ?reason, "connection gone");
        if !connection.closing {
            self.decide(now, Input::Closed { connection: id }, out);
        }
    }

    /// Closes what was idle for too long.
    fn sweep(&mut self, now: Now, out: &mut Operations) {
        let Some(idle_max) = self.settings.idle_max else { return };
        if self.next_sweep.is_some_and(|at| at > now.monotonic) {
            return;
        }
        self.next_sweep = Some(now.monotonic + idle_max / 4);
        let idle: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(id, it)| now.monotonic - it.last_active > idle_max && self.engine.owes_nothing(**id))
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.close(now, id, "idle for longer than connections.max.idle.ms", out);
        }
    }

    // ---- stop ----

    /// Begins when nobody new comes, and when other brokers lead what was led here.
    fn begin_stop(&mut self, now: Now, out: &mut Operations) {
        if self.stop_asked && self.let_go && self.stopping_since.is_none() {
            self.stopping_since = Some(now.monotonic);
            self.decide(now, Input::Stop, out);
        }
    }

    /// Ends when the engine owes nothing and every response has left, or has had its time.
    fn stop_if_done(&mut self, now: Now, out: &mut Operations) {
        let Some(since) = self.stopping_since else { return };
        if self.stopped || !self.engine_stopped {
            return;
        }
        let late = now.monotonic - since >= STOP_PATIENCE;
        if late || self.connections.values().all(Connection::all_sent) {
            self.stopped = true;
            self.peers.close_all(now, out);
            let to = self.settings.quorum;
            out.push(Operation::Message { to, message: ShardMessage::Drained });
            out.push(Operation::Stopped);
        }
    }
}

impl Shard for DataShard {
    type Message = ShardMessage;

    fn start(&mut self, now: Now, out: &mut Operations) {
        self.next_sweep = self.settings.idle_max.map(|idle_max| now.monotonic + idle_max / 4);
        self.engine.start(now, &mut self.effects);
        self.carry_out(now, out);
    }

    fn complete(&mut self, now: Now, completion: Completion<ShardMessage>, out: &mut Operations) {
        match completion {
            Completion::Accepted { connection, listener, peer, moved } => {
                self.accepted(now, connection, listener, peer, moved, out);
            }
            Completion::Received { connection, buffer, bytes } if self.peers.holds(connection) => {
                self.peers.received(now, connection, buffer, bytes, out);
                self.calls_ended(now, out);
            }
            Completion::Sent { connection } if self.peers.holds(connection) => {
                self.peers.sent(connection, out);
            }
            Completion::Received { connection, buffer, bytes } => {
                self.received(now, connection, buffer, bytes, out)
            }
            Completion::Sent { connection } => self.sent(now, connection, out),
            Completion::Connected { token, result } => {
                self.peers.connected(now, token, result, out);
                self.calls_ended(now, out);
            }
            Completion::Closed { connection, .. } if self.peers.holds(connection) => {
                self.peers.closed(now, connection);
                self.calls_ended(now, out);
            }
            Completion::Closed { connection, reason } => self.closed(now, connection, reason, out),
            Completion::File { token, result } => self.decide(now, Input::File { token, result }, out),
            Completion::Message { message: ShardMessage::Stop, .. } => {
                self.let_go = true;
                self.begin_stop(now, out);
            }
            Completion::Message { from, message } => {
                let image = matches!(message, ShardMessage::Image(_));
                self.decide(now, Input::Message { from, message }, out);
                if image {
                    // Settings may have been altered at run time; these two are no engine's.
                    let (max, max_per_address) = connection_bounds(self.engine.config());
                    self.settings.load.bound(max, max_per_address);
                }
                if image && !self.serving {
                    self.serving = true;
                    // Whoever started the broker may have gone; nothing depends on it.
                    let _ = self.settings.reports.send(Report::Serving);
                }
            }
            Completion::Timer => {
                self.timer_set = None;
                self.engine_timer = None;
                self.peers.expire(now, out);
                self.decide(now, Input::Timer, out);
                self.sweep(now, out);
                self.set_timer(out);
            }
            Completion::Stop => {
                self.stop_asked = true;
                self.begin_stop(now, out);
            }
        }
    }

    fn end_of_turn(&mut self, now: Now, out: &mut Operations) {
        self.decide(now, Input::TurnEnded, out);
        self.stop_if_done(now, out);
    }

    fn busy_with(&self) -> String {
        self.engine.busy_with().to_owned()
    }
}
