//! The loop of one shard: gathers what happened, tells the shard, carries out what it asks.

use super::{
    connect,
    context::{Bounded, Context},
    hands::Hands,
    launch::{Seat, text_of},
    mesh::{Envelope, Mesh, Moving},
    shared::{Done, Phase, ShardShared, Shared},
};
use crate::clock;
use corelane_seam::{Completion, Monotonic, Now, Operation, Shard, ShardId};
use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Messages taken from one queue at a time, so that one talkative shard does not shut out the others.
const MESSAGES_PER_PASS: usize = 256;

/// What a poll of the loop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
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

pub(crate) struct ShardLoop<S: Shard, H: Hands<S::Message>> {
    id: ShardId,
    shard: S,
    context: Context<S::Message, H::Port>,
    hands: H,
    shared: Arc<Shared>,
    mesh: Mesh<S::Message>,
    /// The shard's timer.
    wanted: Option<Monotonic>,
    out: Vec<Operation<S::Message>>,
    owes_end_of_turn: bool,
    life: Life,
    stalls: Bounded,
}

impl<S: Shard, H: Hands<S::Message>> ShardLoop<S, H> {
    pub(crate) fn new(shard: S, seat: Seat<S::Message>, hands: H, port: H::Port) -> ShardLoop<S, H> {
        let Seat { id, settings, shared, helpers, mesh, .. } = seat;
        let me = Arc::clone(&shared.shards[id.index()]);
        ShardLoop {
            id,
            shard,
            context: Context { port, events: VecDeque::new(), me, helpers, settings },
            hands,
            shared,
            mesh,
            wanted: None,
            out: Vec::new(),
            owes_end_of_turn: false,
            life: Life::New,
            stalls: Bounded::default(),
        }
    }

    /// As [`turn`](Self::turn), where a panic of the shard is an error: the kernel may still hold buffers that must
    /// come back before the thread ends.
    pub(crate) fn watched_turn(&mut self) -> Result<Turn, String> {
        self.me().turns.fetch_add(1, Ordering::Relaxed);
        match catch_unwind(AssertUnwindSafe(|| self.turn())) {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(error)) => Err(kernel_failure(&error)),
            Err(panic) => Err(format!("panicked: {}", text_of(&*panic))),
        }
    }

    /// Works until nothing is left or the budget is used up.
    ///
    /// # Errors
    /// When the kernel can no longer be asked: the shard cannot go on.
    fn turn(&mut self) -> io::Result<Turn> {
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
            self.flush_mesh();
            let goes_on = self.has_news();
            if !self.hands.submit(goes_on, &mut self.context)? && is_idle && !self.hands.has_ready() {
                return Ok(Turn::Idle);
            }
            if clock::monotonic().since(begun) >= self.context.settings.poll_budget {
                return Ok(Turn::Busy);
            }
        }
    }

    /// Whether other threads have something for the shard.
    fn has_news(&self) -> bool {
        self.mesh.has_work() || self.context.me.has_mail()
    }

    fn flush_mesh(&mut self) {
        let (hands, context, shards) = (&mut self.hands, &mut self.context, &self.shared.shards);
        self.mesh.flush(|to| hands.wake(to, &shards[to.index()], context));
    }

    fn me(&self) -> &ShardShared {
        &self.context.me
    }

    fn is_over(&self) -> bool {
        self.shared.phase() == Phase::Aborting || self.life == Life::Stopped && !self.mesh.holds_back()
    }

    /// Turns what happened since the last look into events.
    fn gather(&mut self) -> io::Result<()> {
        let (hands, context) = (&mut self.hands, &mut self.context);
        let mut traffic = hands.gather(context)?;
        let events = context.events.len();
        let mut arrived: Vec<Moving> = Vec::new();
        self.mesh.receive(MESSAGES_PER_PASS, |from, envelope| match envelope {
            Envelope::Message(message) => context.events.push_back(Completion::Message { from, message }),
            Envelope::Connection(moving) => arrived.push(moving),
        });
        arrived.into_iter().for_each(|moving| hands.adopt(moving, true, context));
        traffic |= context.events.len() > events;
        for done in context.me.take_mail() {
            traffic = true;
            match done {
                Done::File { token, result } => {
                    context.events.push_back(Completion::File { token, result });
                }
                Done::Connected { token, result } => hands.connected(token, result, context),
                Done::Warmed { connection, result } => hands.warmed(connection, result, context),
            }
        }
        let now = clock::monotonic();
        hands.go_on(now, context);
        if self.wanted.is_some_and(|at| at <= now) {
            self.wanted = None;
            context.events.push_back(Completion::Timer);
        }
        if traffic {
            context.me.traffic.store(true, Ordering::Relaxed);
        }
        self.follow_phase();
        Ok(())
    }

    fn follow_phase(&mut self) {
        if self.life == Life::Running && self.shared.phase() == Phase::Stopping {
            self.life = Life::Closing;
            self.hands.close_listeners(&mut self.context);
        }
        if self.life == Life::Closing && self.hands.are_listeners_closed() {
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
        let (hands, context) = (&mut self.hands, &mut self.context);
        match operation {
            Operation::Receive { connection, buffer } => hands.receive(connection, buffer, context),
            Operation::Send { connection, parts } => hands.send(connection, parts, context),
            Operation::Close { connection } => hands.close(connection, context),
            Operation::Move { connection, to } => {
                if let Some(moving) = hands.give_up(connection, context) {
                    self.mesh.send(to, Envelope::Connection(moving));
                }
            }
            Operation::Connect { token, host, port } => connect::start(token, host, port, context),
            Operation::File { token, operation } => hands.file(token, operation, context),
            Operation::Message { to, message } => self.mesh.send(to, Envelope::Message(message)),
            Operation::Timer { at } => self.wanted = Some(at),
            Operation::Stopped => {
                hands.close_listeners(context);
                self.life = Life::Stopped;
            }
        }
    }

    /// Announces the sleep to all who may have something for this shard, then looks a last time. When true, whoever has
    /// something signals the eventfd.
    ///
    /// # Errors
    /// As [`watched_turn`](Self::watched_turn).
    pub(crate) fn may_sleep(&mut self) -> Result<bool, String> {
        let until = self.deadline();
        self.hands.prepare_sleep(until, &mut self.context).map_err(|error| kernel_failure(&error))?;
        self.context.me.doorbell.about_to_sleep();
        let news = !self.hands.may_sleep(&mut self.context)
            || self.has_news()
            || self.wanted.is_some_and(|at| at <= clock::monotonic())
            || self.has_news_of_the_end();
        if news {
            self.awake();
        }
        Ok(!news)
    }

    /// When the shard must be awake again.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.wanted.into_iter().chain(self.hands.deadline()).min()
    }

    /// Waits in `wait` until there is news or something is due, if there is none yet.
    ///
    /// # Errors
    /// As [`watched_turn`](Self::watched_turn).
    pub(crate) fn rest(
        &mut self,
        wait: impl FnOnce(&mut H::Port, Option<Monotonic>) -> io::Result<()>,
    ) -> Result<(), String> {
        if !self.may_sleep()? {
            return Ok(());
        }
        let until = self.deadline();
        let slept = wait(&mut self.context.port, until);
        self.awake();
        slept.map_err(|error| kernel_failure(&error))
    }

    /// How the thread reaches the kernel.
    pub(crate) fn port(&mut self) -> &mut H::Port {
        &mut self.context.port
    }

    fn has_news_of_the_end(&self) -> bool {
        match self.shared.phase() {
            Phase::Running => false,
            Phase::Stopping => matches!(self.life, Life::New | Life::Running),
            Phase::Aborting => true,
        }
    }

    /// The shard looks for itself again.
    pub(crate) fn awake(&mut self) {
        self.context.me.doorbell.awake();
        self.hands.awake(&mut self.context);
    }

    /// See [`Hands::tear_down`].
    pub(crate) fn tear_down(self) {
        self.hands.tear_down(self.id, self.context);
    }
}

/// Why a shard cannot go on.
pub(crate) fn kernel_failure(error: &io::Error) -> String {
    format!("the kernel cannot be asked any more: {error}")
}
