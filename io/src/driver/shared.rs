//! What other threads may touch of a shard, and what all shards of a process share.

use super::doorbell::Doorbell;
use crate::record::Recorder;
use corelane_seam::{FileResult, Token};
use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering},
    },
};

/// Locks what is whole whatever panicked while it was locked: a list that is only pushed to, a value that is replaced.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a helper thread has finished for a shard.
pub(crate) enum Done {
    /// A file operation.
    File { token: Token, result: FileResult },
    /// A peer was connected to, or could not be.
    Connected { token: Token, result: io::Result<(OwnedFd, SocketAddr)> },
    /// A range of a file was read into the page cache for this connection.
    Warmed { connection: u64, result: io::Result<()> },
}

/// One shard, as others see it.
pub(crate) struct ShardShared {
    pub(crate) doorbell: Doorbell,
    inbox: Mutex<Vec<Done>>,
    has_mail: AtomicBool,
    /// Polls of the shard's loop so far: whoever sees it move knows that the shard is alive.
    pub(crate) turns: AtomicU64,
    /// The kernel's number of the shard's thread; 0 before it runs, and when it has ended.
    pub(crate) thread: AtomicI32,
    /// Of the ring driver: a descriptor of the shard's ring, by which rings of other shards wake it. Here it lives on when
    /// the shard has ended, until all shards have.
    pub(crate) ring: OnceLock<OwnedFd>,
    /// Set by the shard with every completion that is not a mere timer, taken by the guard.
    pub(crate) traffic: AtomicBool,
}

impl ShardShared {
    pub(crate) fn new() -> io::Result<ShardShared> {
        Ok(ShardShared {
            doorbell: Doorbell::new()?,
            inbox: Mutex::default(),
            has_mail: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            thread: AtomicI32::new(0),
            ring: OnceLock::new(),
            traffic: AtomicBool::new(false),
        })
    }

    /// Called by helper threads.
    pub(crate) fn post(&self, done: Done) {
        lock(&self.inbox).push(done);
        self.has_mail.store(true, Ordering::Release);
        self.doorbell.ring();
    }

    pub(crate) fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Acquire)
    }

    /// What helper threads have finished since the last call.
    pub(crate) fn take_mail(&self) -> Vec<Done> {
        if !self.has_mail.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut lock(&self.inbox))
    }
}

/// How far the end of the process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Running = 0,
    /// Listeners close, shards finish what they owe.
    Stopping = 1,
    /// Shards end where they stand.
    Aborting = 2,
}

/// All shards.
pub(crate) struct Shared {
    pub(crate) shards: Vec<Arc<ShardShared>>,
    phase: AtomicU8,
    failures: Mutex<Vec<(u16, String)>>,
    pub(crate) recorder: Option<Arc<Recorder>>,
}

impl Shared {
    pub(crate) fn new(count: usize, recorder: Option<Arc<Recorder>>) -> io::Result<Shared> {
        let shards = (0..count).map(|_| ShardShared::new().map(Arc::new)).collect::<io::Result<_>>()?;
        Ok(Shared { shards, phase: AtomicU8::new(0), failures: Mutex::default(), recorder })
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            _ => Phase::Aborting,
        }
    }

    /// Moves on (never back) and wakes everyone: a shard that fails may have taken it on itself to wake another.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.wake_all();
    }

    /// Signals all, whether they sleep or not.
    pub(crate) fn wake_all(&self) {
        for shard in &self.shards {
            shard.doorbell.ring_always();
        }
    }

    /// A shard has panicked or lost the kernel: the process must not go on half-dead.
    pub(crate) fn fail(&self, shard: u16, reason: String) {
        tracing::error!(shard, reason, "a shard failed; all shards stop");
        lock(&self.failures).push((shard, reason));
        self.advance(Phase::Stopping);
    }

    pub(crate) fn first_failure(&self) -> Option<(u16, String)> {
        lock(&self.failures).first().cloned()
    }
}
