//! What other threads may touch of a shard, and what all shards of a process share.

use super::{doorbell::Doorbell, guard::Watched};
use crate::record::Recorder;
use corelane_seam::{FileResult, Token};
use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

/// What a helper thread has finished for a shard.
pub(super) enum Done {
    /// A file operation.
    File { token: Token, result: FileResult },
    /// A peer was connected to, or could not be.
    Connected { token: Token, result: io::Result<(OwnedFd, SocketAddr)> },
    /// A range of a file was read into the page cache for this connection.
    Warmed { connection: u64, result: io::Result<()> },
}

/// One shard, as others see it.
pub(super) struct ShardShared {
    pub(super) doorbell: Doorbell,
    inbox: Mutex<Vec<Done>>,
    has_mail: AtomicBool,
    /// Polls of the shard's loop so far: whoever sees it move knows that the shard is alive.
    pub(super) turns: AtomicU64,
    /// Set by the shard with every completion that is not a mere timer, taken by the guard.
    pub(super) traffic: AtomicBool,
    pub(super) watched: Watched,
}

impl ShardShared {
    pub(super) fn new() -> io::Result<ShardShared> {
        Ok(ShardShared {
            doorbell: Doorbell::new()?,
            inbox: Mutex::default(),
            has_mail: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            traffic: AtomicBool::new(false),
            watched: Watched::default(),
        })
    }

    /// Called by helper threads.
    pub(super) fn post(&self, done: Done) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        self.has_mail.store(true, Ordering::Release);
        self.doorbell.ring();
    }

    pub(super) fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Acquire)
    }

    /// What helper threads have finished since the last call.
    pub(super) fn take_mail(&self) -> Vec<Done> {
        if !self.has_mail.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How far the end of the process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    Running = 0,
    /// Listeners close, shards finish what they owe.
    Stopping = 1,
    /// Shards end where they stand.
    Aborting = 2,
}

/// All shards.
pub(super) struct Shared {
    pub(super) shards: Vec<Arc<ShardShared>>,
    phase: AtomicU8,
    failures: Mutex<Vec<(u16, String)>>,
    pub(super) recorder: Option<Arc<Recorder>>,
}

impl Shared {
    pub(super) fn new(count: usize, recorder: Option<Arc<Recorder>>) -> io::Result<Shared> {
        let shards = (0..count).map(|_| ShardShared::new().map(Arc::new)).collect::<io::Result<_>>()?;
        Ok(Shared { shards, phase: AtomicU8::new(0), failures: Mutex::default(), recorder })
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            _ => Phase::Aborting,
        }
    }

    /// Moves on (never back) and wakes everyone.
    pub(super) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        for shard in &self.shards {
            shard.doorbell.ring();
        }
    }

    /// A shard has panicked or lost its ring: the process must not go on half-dead.
    pub(super) fn fail(&self, shard: u16, reason: String) {
        tracing::error!(shard, reason, "a shard failed; all shards stop");
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push((shard, reason));
        self.advance(Phase::Stopping);
    }

    pub(super) fn first_failure(&self) -> Option<(u16, String)> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }
}
