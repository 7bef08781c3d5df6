//! The loop of one shard: gathers what happened, tells the shard, carries out what it asks.

use super::{
    accept::Listeners,
    connect,
    connections::Connections,
    context::{Bounded, Context},
    files::Files,
    mesh::{Envelope, Mesh, Moving},
    ring::{Finished, Tag},
    shared::{Done, Phase, ShardShared, Shared},
    timer::Timer,
};
use crate::clock;
use corelane_seam::{Completion, Monotonic, Now, Operation, Shard, ShardId};
use std::{collections::VecDeque, io, sync::Arc, sync::atomic::Ordering, time::Duration};

/// Messages taken from one queue at a time, so that one talkative shard does not shut out the others.
const MESSAGES_PER_PASS: usize = 256;

/// What a poll of the loop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The budget is used up with work left.
    Busy,
    /// Nothing is left for the moment.
    Idle,
    /// The shard has stopped.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    New,
    Running,
    /// Told to stop; listeners are closing.
    Closing,
    /// The shard knows.
    Stopping,
    /// The shard has answered; messages may still wait for room.
    Stopped,
}

pub(super) struct ShardLoop<S: Shard> {
    id: ShardId,
    shard: S,
    context: Context<S::Message>,
    shared: Arc<Shared>,
    connections: Connections,
    files: Files,
    listeners: Listeners,
    mesh: Mesh<S::Message>,
    timer: Timer,
    finished: VecDeque<Finished>,
    out: Vec<Operation<S::Message>>,
    owes_end_of_turn: bool,
    life: Life,
    stalls: Bounded,
}

/// What a loop is made of.
pub(super) struct Pieces<M> {
    pub(super) id: ShardId,
    pub(super) context: Context<M>,
    pub(super) shared: Arc<Shared>,
    pub(super) listeners: Listeners,
    pub(super) mesh: Mesh<M>,
}

impl<S: Shard> ShardLoop<S> {
    pub(super) fn new(shard: S, pieces: Pieces<S::Message>) -> ShardLoop<S> {
        let Pieces { id, context, shared, listeners, mesh } = pieces;
        let files = Files::new(Arc::clone(&shared), context.settings.faults.skip_fdatasync);
        ShardLoop {
            id,
            shard,
            context,
            shared,
            connections: Connections::new(id),
            files,
            listeners,
            mesh,
            timer: Timer::default(),
            finished: VecDeque::new(),
            out: Vec::new(),
            owes_end_of_turn: false,
            life: Life::New,
            stalls: Bounded::default(),
        }
    }

    /// Works until nothing is left or the budget is used up.
    ///
    /// # Errors
    /// When the ring fails: the shard cannot go on.
    pub(super) fn turn(&mut self) -> io::Result<Turn> {
        let begun = clock::monotonic();
        if self.life == Life::New {
            self.life = Life::Running;
            self.shard.start(clock::now(), &mut self.out);
            self.carry_out();
            self.owes_end_of_turn = true;
        }
        loop {
            self.gather()?;
            if self.is_over() {
                return Ok(Turn::Ended);
            }
            let is_idle = self.context.events.is_empty() && !self.owes_end_of_turn;
            while let Some(event) = self.context.events.pop_front() {
                if self.tell(event).since(begun) >= self.context.settings.poll_budget {
                    break;
                }
            }
            if self.context.events.is_empty() && std::mem::take(&mut self.owes_end_of_turn) {
                self.shard.end_of_turn(clock::now(), &mut self.out);
                self.carry_out();
            }
            self.mesh.flush();
            if self.context.ring.wants_enter() {
                self.context.ring.enter()?;
            } else if is_idle && !self.connections.has_ready_sends() {
                return Ok(Turn::Idle);
            }
            if clock::monotonic().since(begun) >= self.context.settings.poll_budget {
                return Ok(Turn::Busy);
            }
        }
    }

    pub(super) fn me(&self) -> &ShardShared {
        &self.context.me
    }

    fn is_over(&self) -> bool {
        self.shared.phase() == Phase::Aborting || self.life == Life::Stopped && !self.mesh.holds_back()
    }

    /// Turns what happened since the last look into events.
    fn gather(&mut self) -> io::Result<()> {
        self.context.ring.reap(&mut self.finished);
        let mut traffic = false;
        while let Some(finished) = self.finished.pop_front() {
            traffic |= !matches!(finished.tag, Tag::Timer(_) | Tag::Cancel);
            self.dispatch(finished);
        }
        let (events, connections, context) =
            (self.context.events.len(), &mut self.connections, &mut self.context);
        let mut arrived: Vec<Moving> = Vec::new();
        self.mesh.receive(MESSAGES_PER_PASS, |from, envelope| match envelope {
            Envelope::Message(message) => context.events.push_back(Completion::Message { from, message }),
            Envelope::Connection(moving) => arrived.push(moving),
        });
        arrived.into_iter().for_each(|moving| connections.add(moving, true, context));
        traffic |= context.events.len() > events;
        for done in context.me.take_mail() {
            traffic = true;
            match done {
                Done::File { token, result } => {
                    context.events.push_back(Completion::File { token, result });
                }
                Done::Connected { token, result } => connections.connected(token, result, context),
                Done::Warmed { connection, result } => connections.warmed(connection, result, context),
            }
        }
        connections.continue_sends(context);
        let now = clock::monotonic();
        if self.timer.take_due(now) {
            context.events.push_back(Completion::Timer);
        }
        self.listeners.arm(now, context);
        if traffic {
            context.me.traffic.store(true, Ordering::Relaxed);
        }
        self.follow_phase();
        Ok(())
    }

    fn dispatch(&mut self, finished: Finished) {
        match finished.tag {
            Tag::Accept(index) => {
                if let Some(moving) = self.listeners.finished(index, finished) {
                    self.connections.add(moving, false, &mut self.context);
                }
            }
            Tag::Receive(_) | Tag::Readable(_) | Tag::Writable(_) => {
                self.connections.finished(finished, &mut self.context);
            }
            Tag::File(key) => self.files.finished(key, finished, &mut self.context),
            Tag::Timer(generation) => self.timer.finished(generation),
            Tag::Cancel => {}
        }
    }

    fn follow_phase(&mut self) {
        if self.life == Life::Running && self.shared.phase() == Phase::Stopping {
            self.life = Life::Closing;
            self.listeners.close(&mut self.context);
        }
        if self.life == Life::Closing && self.listeners.is_closed() {
            self.life = Life::Stopping;
            self.context.events.push_back(Completion::Stop);
        }
    }

    /// Tells the shard one thing and carries out what it asks; returns when that was done.
    fn tell(&mut self, event: Completion<S::Message>) -> Monotonic {
        if self.life == Life::Stopped {
            return clock::monotonic();
        }
        let now = clock::now();
        self.owes_end_of_turn = true;
        self.shard.complete(now, event, &mut self.out);
        let done = clock::monotonic();
        self.watch(now, done.since(now.monotonic));
        self.carry_out();
        done
    }

    /// The stall detector.
    fn watch(&mut self, now: Now, took: Duration) {
        if took < self.context.settings.stall {
            return;
        }
        if let Some(suppressed) = self.stalls.admit(now.monotonic) {
            let (busy_with, took_ms) = (self.shard.busy_with(), took.as_millis() as u64);
            tracing::warn!(
                shard = self.id.0,
                took_ms,
                busy_with,
                suppressed,
                "a shard was kept busy for long"
            );
        }
    }

    fn carry_out(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        for operation in out.drain(..) {
            self.carry_out_one(operation);
        }
        // Keeps its memory for the next time.
        self.out = out;
    }

    fn carry_out_one(&mut self, operation: Operation<S::Message>) {
        let context = &mut self.context;
        match operation {
            Operation::Receive { connection, buffer } => {
                self.connections.receive(connection, buffer, context)
            }
            Operation::Send { connection, parts } => self.connections.send(connection, parts, context),
            Operation::Close { connection } => self.connections.close(connection, context),
            Operation::Move { connection, to } => {
                if let Some(moving) = self.connections.take(connection) {
                    self.mesh.send(to, Envelope::Connection(moving));
                }
            }
            Operation::Connect { token, host, port } => connect::start(token, host, port, context),
            Operation::File { token, operation } => self.files.start(token, operation, context),
            Operation::Message { to, message } => self.mesh.send(to, Envelope::Message(message)),
            Operation::Timer { at } => self.timer.set(at),
            Operation::Stopped => {
                self.listeners.close(context);
                self.life = Life::Stopped;
            }
        }
    }

    /// Announces the sleep to all who may have something for this shard, then looks a last time. When true, whoever has
    /// something signals the eventfd.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub(super) fn may_sleep(&mut self) -> io::Result<bool> {
        self.timer.arm(self.listeners.deadline(), &mut self.context);
        if self.context.ring.wants_enter() {
            self.context.ring.enter()?;
        }
        let me = &self.context.me;
        me.doorbell.about_to_sleep();
        let news = !self.context.ring.sleep()
            || self.mesh.has_work()
            || me.has_mail()
            || self.timer.is_due(clock::monotonic())
            || self.has_news_of_the_end();
        if news {
            self.awake();
        }
        Ok(!news)
    }

    fn has_news_of_the_end(&self) -> bool {
        match self.shared.phase() {
            Phase::Running => false,
            Phase::Stopping => matches!(self.life, Life::New | Life::Running),
            Phase::Aborting => true,
        }
    }

    /// The shard looks for itself again.
    pub(super) fn awake(&mut self) {
        self.context.me.doorbell.awake();
        self.context.ring.awake();
    }

    /// Ends everything: the kernel gives back all that it holds, then connections and files close. Blocks; the thread
    /// has nothing else to do any more.
    pub(super) fn tear_down(mut self) {
        const PATIENCE: Duration = Duration::from_secs(10);
        let (files, listeners, id) = (&mut self.files, &mut self.listeners, self.id);
        listeners.close(&mut self.context);
        let mut written = Vec::new();
        let drained = self.context.ring.drain(PATIENCE, |finished| match finished.tag {
            Tag::Accept(index) => drop(listeners.finished(index, finished)),
            Tag::File(_) => written.push(finished),
            Tag::Receive(_) | Tag::Readable(_) | Tag::Writable(_) | Tag::Timer(_) | Tag::Cancel => {}
        });
        if drained {
            for finished in written {
                let Tag::File(key) = finished.tag else { continue };
                files.finished(key, finished, &mut self.context);
            }
            listeners.is_closed();
        } else {
            tracing::error!(shard = id.0, "the kernel did not let go of a shard's buffers: they are leaked");
            std::mem::forget((self.connections, self.files, self.listeners, self.timer, self.context));
        }
    }
}
