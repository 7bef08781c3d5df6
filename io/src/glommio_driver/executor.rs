//! A shard's thread: a glommio executor with two tasks, the one that the guard wakes and the one that runs the loop.

use super::{guard::Watched, hands::GlommioHands};
use crate::{
    driver::{
        cpu,
        launch::{Line, Seat, live},
        shard_loop::{ShardLoop, Turn},
    },
    uring::ring::Ring,
};
use corelane_seam::Shard;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, io::BufferedFile};
use std::{
    mem::ManuallyDrop,
    os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd},
    sync::Arc,
};

/// Entries of each of glommio's three rings. It has one read under way and a timer: ours is the ring that works.
const GLOMMIO_RING_DEPTH: usize = 16;
/// glommio registers this for direct I/O of its own, which nobody does here.
const GLOMMIO_MEMORY: usize = 64 << 10;
/// An eventfd's counter.
const COUNTER_BYTES: usize = 8;

/// The thread's whole life.
pub(crate) fn run_shard<S: Shard>(
    seat: Seat<S::Message>,
    make: impl FnOnce() -> S,
    line: Line,
    watched: &Arc<Watched>,
) {
    live(
        seat,
        line,
        |seat| prepare(seat, watched),
        |seat, Prepared { executor, ring, bell }| {
            // Goes before the executor does.
            let _retiring = Retiring(watched);
            run(seat, make, &executor, ring, bell, watched);
        },
    );
}

struct Retiring<'a>(&'a Watched);

impl Drop for Retiring<'_> {
    fn drop(&mut self) {
        self.0.retire();
    }
}

struct Prepared {
    executor: LocalExecutor,
    ring: Ring,
    /// The doorbell's eventfd, for glommio to wait for.
    bell: OwnedFd,
}

/// Makes executor and ring.
fn prepare<M>(seat: &Seat<M>, watched: &Watched) -> Result<Prepared, String> {
    // Where the kernel's workers may run, though the shard is pinned.
    let cpus = cpu::allowed();
    let placement = match seat.settings.shards[seat.id.index()].cpu {
        Some(cpu) => Placement::Fixed(cpu),
        None => Placement::Unbound,
    };
    let executor = LocalExecutorBuilder::new(placement)
        .name(&format!("shard-{}", seat.id.0))
        .ring_depth(GLOMMIO_RING_DEPTH)
        .io_memory(GLOMMIO_MEMORY)
        .preempt_timer(seat.settings.preempt_timer)
        .make()
        .map_err(|error| format!("glommio's executor: {error}"))?;
    let me = &seat.shared.shards[seat.id.index()];
    let ring = Ring::new(me.doorbell.fd()).map_err(|error| format!("its io_uring: {error}"))?;
    if let Err(error) = ring.spread_workers(&cpus) {
        tracing::debug!(%error, shard = seat.id.0, "the kernel's workers stay on the shard's CPU");
    }
    watched.watch_ring(ring.duplicate().map_err(|error| format!("its io_uring: {error}"))?);
    let bell = me.doorbell.duplicate().map_err(|error| format!("its eventfd: {error}"))?;
    Ok(Prepared { executor, ring, bell })
}

fn run<S: Shard>(
    mut seat: Seat<S::Message>,
    make: impl FnOnce() -> S,
    executor: &LocalExecutor,
    ring: Ring,
    bell: OwnedFd,
    watched: &Arc<Watched>,
) {
    let (id, shared, is_guarded) = (seat.id, Arc::clone(&seat.shared), !seat.settings.guard_tick.is_zero());
    let hands = GlommioHands::new(&mut seat);
    // Leaked, should anything panic: the kernel may still hold what it owns.
    let mut shard_loop = ManuallyDrop::new(ShardLoop::new(make(), seat, hands, ring));
    let result = executor.run(async {
        if is_guarded {
            let watched = Arc::clone(watched);
            glommio::spawn_local(async move { watched.answer().await }).detach();
        }
        let result = drive(&mut shard_loop, bell).await;
        watched.retire();
        result
    });
    if let Err(reason) = result {
        shared.fail(id.0, reason);
    }
    ManuallyDrop::into_inner(shard_loop).tear_down();
}

/// Runs the loop and sleeps in between.
async fn drive<S: Shard>(shard_loop: &mut ShardLoop<S, GlommioHands>, bell: OwnedFd) -> Result<(), String> {
    // SAFETY: the descriptor is ours, and from here on the file's, which closes it.
    let bell = unsafe { BufferedFile::from_raw_fd(bell.into_raw_fd()) };
    let result = loop {
        match shard_loop.watched_turn() {
            Ok(Turn::Busy) => glommio::executor().yield_now().await,
            Ok(Turn::Idle) => match shard_loop.may_sleep() {
                Ok(false) => {}
                Ok(true) => {
                    let slept = bell.read_at(0, COUNTER_BYTES).await;
                    shard_loop.awake();
                    if let Err(error) = slept {
                        break Err(format!("waiting for events: {error}"));
                    }
                }
                Err(reason) => break Err(reason),
            },
            Ok(Turn::Ended) => break Ok(()),
            Err(reason) => break Err(reason),
        }
    };
    if let Err(error) = bell.close().await {
        tracing::debug!(%error, "closing a shard's eventfd");
    }
    result
}
