//! The guard against glommio 0.9.0's lost wake-up.
//!
//! An executor whose preemption check fires before any task has run concludes that nothing is runnable and parks,
//! although tasks are (fixed upstream by glommio pull request 53, in no release). Any completion on its latency ring in
//! a window of a few instructions does it, so no setting avoids it; what ends such a park is the next event. The guard
//! is that event: a plain thread that wakes the first task of every executor whose loop has not moved since the last
//! tick, though something is queued for it. A shard that moves by itself costs nothing but a load, and one that has
//! gone to sleep with nothing to do costs a glance at its ring: it is not woken.

use crate::driver::{
    shared::{ShardShared, Shared, lock},
    silence::Vigil,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    future::poll_fn,
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

/// How long a shard is watched closely after its last traffic.
const WATCH: Duration = Duration::from_secs(1);
/// Tick for shards without traffic.
const IDLE_TICK: Duration = Duration::from_millis(100);
/// How often a shard that sleeps with nothing to do is asked all the same.
const PROBE: Duration = Duration::from_secs(10);
/// An undelivered wake holds one of the task's 32,767 references (an i16 in glommio 0.9.0).
const WAKES_MAX: u64 = 10_000;

/// Means "urgent data" to whoever asked for it, and no one here does.
const INTERRUPT: libc::c_int = libc::SIGURG;

/// Lets the signal end system calls, which one that is ignored does not.
fn catch_interrupts() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: `sigaction` is plain data for which zero is valid (no flags, so calls are not restarted; an empty mask); the
    // handler does nothing, which is safe in a signal.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(INTERRUPT, &raw const action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the guard knows of an executor.
#[derive(Default)]
pub(crate) struct Watched {
    waker: Mutex<Option<Waker>>,
    /// The executor has run its first task, and so has left a waker.
    has_begun: AtomicBool,
    /// The ring on which the shard's work completes.
    ring: Mutex<Option<OwnedFd>>,
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Watched {
    /// The first task of an executor: answers ticks, never ends by itself.
    pub(crate) async fn answer(&self) {
        self.has_begun.store(true, Ordering::Release);
        poll_fn(|context| {
            lock(&self.waker).get_or_insert_with(|| context.waker().clone());
            self.answered.store(self.sent.load(Ordering::Relaxed), Ordering::Relaxed);
            Poll::<()>::Pending
        })
        .await;
    }

    /// Told before the executor runs, where the kernel puts what it has done for the shard.
    pub(crate) fn watch_ring(&self, ring: OwnedFd) {
        *lock(&self.ring) = Some(ring);
    }

    /// Called on the executor's thread before it ends: no wake may reach an executor that is gone, and no one may keep
    /// its ring.
    pub(crate) fn retire(&self) {
        self.has_begun.store(true, Ordering::Release);
        lock(&self.waker).take();
        lock(&self.ring).take();
    }

    /// Whether the kernel has something for the shard: completions, or work that will become some when the shard asks.
    /// It stays so until the shard has looked, so a wake-up that was lost is seen for as long as it matters. True where
    /// that cannot be told.
    fn ring_has_news(&self) -> bool {
        let ring = lock(&self.ring);
        let Some(ring) = &*ring else { return true };
        let mut asked = [PollFd::new(ring, PollFlags::IN)];
        match poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(ready) => ready > 0,
            Err(_) => true,
        }
    }

    /// An executor that lost its very first wake-up has left no waker. It is interrupted instead: glommio looks again
    /// after a system call that a signal ended.
    fn wake(&self, thread: i32) {
        if thread != 0 && !self.has_begun.load(Ordering::Acquire) {
            // SAFETY: a plain system call; a thread that has gone makes it fail, which is as well.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, INTERRUPT) };
        }
        if let Some(waker) = &*lock(&self.waker) {
            waker.wake_by_ref();
        }
    }
}

/// Of each shard of the process, none for those that need no guard.
pub(crate) type AllWatched = [Option<Arc<Watched>>];

/// The guard's thread; ends when dropped.
pub(crate) struct Guard {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    /// Guards the shards that `watched` has an entry of.
    pub(crate) fn start(shared: Arc<Shared>, watched: Arc<AllWatched>, tick: Duration) -> io::Result<Guard> {
        catch_interrupts()?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::Builder::new().name("corelane-guard".into()).spawn(move || {
            let mut watches: Vec<Watch> = watched.iter().map(|_| Watch::default()).collect();
            while !seen.load(Ordering::Acquire) {
                let closely = watches.iter().any(|watch| watch.closely > 0);
                // A shard that gets its first traffic in between is seen at the end of this pause.
                let pause = if closely { tick } else { IDLE_TICK };
                thread::park_timeout(pause);
                for (index, watch) in watches.iter_mut().enumerate() {
                    if let Some(watched) = &watched[index] {
                        watch.tick((&shared.shards[index], watched), index, pause, tick);
                    }
                }
            }
        })?;
        Ok(Guard { stop, thread: Some(thread) })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        Thread::unpark(thread.thread());
        if thread.join().is_err() {
            tracing::error!("the guard against lost wake-ups panicked");
        }
    }
}

#[derive(Default)]
struct Watch {
    turns: u64,
    missed: u64,
    /// Since it was last looked at, and since it was last asked.
    idle: Duration,
    unasked: Duration,
    /// Ticks for which the shard is still watched closely.
    closely: u64,
    vigil: Vigil,
}

impl Watch {
    fn tick(
        &mut self,
        (shard, watched): (&ShardShared, &Watched),
        index: usize,
        pause: Duration,
        tick: Duration,
    ) {
        if shard.traffic.swap(false, Ordering::Relaxed) {
            self.closely = (WATCH.as_nanos() / tick.as_nanos().max(1)) as u64;
        } else {
            self.closely = self.closely.saturating_sub(1);
        }
        self.idle += pause;
        self.unasked += pause;
        let turns = shard.turns.load(Ordering::Relaxed);
        if turns != self.turns {
            // It moved by itself; whether it has lost a wake-up since is for the next tick to see.
            let Watch { idle, unasked, closely, .. } = *self;
            *self = Watch { turns, idle, unasked, closely, ..Watch::default() };
            return;
        }
        let sent = watched.sent.load(Ordering::Relaxed);
        if watched.answered.load(Ordering::Relaxed) == sent {
            (self.missed, self.vigil) = (0, Vigil::default());
            if self.closely == 0 && self.idle < IDLE_TICK {
                return;
            }
            self.idle = Duration::ZERO;
            // Asleep by its own decision, no one has rung since, and the kernel has nothing for it.
            let is_parked = || shard.doorbell.is_sleeping() && !watched.ring_has_news();
            if self.unasked < PROBE && is_parked() {
                return;
            }
            self.unasked = Duration::ZERO;
            watched.sent.store(sent + 1, Ordering::Relaxed);
        } else {
            self.missed += 1;
            self.vigil.goes_on(index, shard, pause);
        }
        if self.missed < WAKES_MAX || self.missed.is_multiple_of(100) && self.missed < 100 * WAKES_MAX {
            watched.wake(shard.thread.load(Ordering::Relaxed));
        }
    }
}
