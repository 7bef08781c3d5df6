//! Waking a shard that sleeps, for one system call, and one that does not for none.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering, fence},
};

/// An eventfd and whether anyone waits for it.
///
/// Who has something for the shard makes it visible first, then [`ring`](Self::ring)s. The shard announces its sleep
/// with [`about_to_sleep`](Self::about_to_sleep), then looks once more, then sleeps. Both sides fence in between, so one
/// of the two sees the other.
pub(crate) struct Doorbell {
    eventfd: File,
    sleeping: AtomicBool,
}

impl Doorbell {
    pub(crate) fn new() -> io::Result<Doorbell> {
        // Blocking on purpose: a read of a nonblocking eventfd through io_uring fails at once instead of waiting. The
        // other drivers never read: an epoll or a poll that is triggered by edges is woken by every ring.
        // SAFETY: a plain system call that returns a descriptor or an error.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and belongs to no one else.
        let eventfd = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Doorbell { eventfd, sleeping: AtomicBool::new(false) })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    /// A second descriptor of the same eventfd, for whoever closes what it is given.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.eventfd.try_clone().map(OwnedFd::from)
    }

    /// Wakes the shard if it sleeps.
    pub(crate) fn ring(&self) {
        if self.must_wake() {
            self.ring_always();
        }
    }

    /// Whether the shard sleeps and no one else wakes it: who is told so must, by the eventfd or otherwise.
    pub(crate) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel)
    }

    /// Wakes the shard's next sleep at the latest.
    pub(crate) fn ring_always(&self) {
        // Cannot block: the counter would have to reach 2^64 - 1.
        if let Err(error) = (&self.eventfd).write_all(&1_u64.to_ne_bytes()) {
            tracing::error!(%error, "cannot wake a shard");
        }
    }

    /// Whether the shard sleeps, or is about to, and no one has rung since it said so.
    pub(crate) fn is_sleeping(&self) -> bool {
        self.sleeping.load(Ordering::Relaxed)
    }

    pub(crate) fn about_to_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
