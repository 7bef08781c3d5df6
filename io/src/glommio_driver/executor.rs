//! A shard's thread: a glommio executor with two tasks, the one that the guard wakes and the one that runs the loop.

use super::{
    accept::Listeners,
    context::Context,
    helpers::Helpers,
    mesh::Mesh,
    ring::Ring,
    settings::{DriverError, DriverSettings},
    shard_loop::{Pieces, ShardLoop, Turn},
    shared::Shared,
};
use corelane_seam::{ListenerId, Shard, ShardId};
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, io::BufferedFile};
use std::{
    any::Any,
    collections::VecDeque,
    io,
    os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering, mpsc},
};

/// Entries of each of glommio's three rings. It has one read under way and a timer: ours is the ring that works.
const GLOMMIO_RING_DEPTH: usize = 16;
/// glommio registers this for direct I/O of its own, which nobody does here.
const GLOMMIO_MEMORY: usize = 64 << 10;
/// An eventfd's counter.
const COUNTER_BYTES: usize = 8;

/// What a shard's thread starts with.
pub(super) struct Seat<M> {
    pub(super) id: ShardId,
    pub(super) settings: Arc<DriverSettings>,
    pub(super) shared: Arc<Shared>,
    pub(super) helpers: Helpers,
    pub(super) mesh: Mesh<M>,
    pub(super) sockets: Vec<(ListenerId, OwnedFd)>,
    /// Where the kernel's workers may run, though the shard is pinned.
    pub(super) cpus: libc::cpu_set_t,
}

/// How the thread talks with whoever started it.
pub(super) struct Line {
    /// Told once: whether executor and ring could be made.
    pub(super) ready: mpsc::Sender<Result<(), DriverError>>,
    /// Waited for before the shard starts; closed when another shard could not be made.
    pub(super) go: mpsc::Receiver<()>,
    /// Told when the shard has ended.
    pub(super) ended: mpsc::Sender<()>,
}

/// The thread's whole life.
pub(super) fn run_shard<S: Shard>(seat: Seat<S::Message>, make: impl FnOnce() -> S, line: Line) {
    let Line { ready, go, ended } = line;
    let (id, shared) = (seat.id, Arc::clone(&seat.shared));
    let prepared = catch_unwind(AssertUnwindSafe(|| prepare(&seat)))
        .unwrap_or_else(|panic| Err(format!("glommio: {}", text_of(&*panic))));
    let Prepared { executor, ring, bell } = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => {
            // Whoever started us has gone if no one listens.
            let _ = ready.send(Err(DriverError::Start { shard: id.0, reason }));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    drop(ready);
    if go.recv().is_err() {
        return;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seat, make, &executor, ring, bell)));
    shared.shards[id.index()].watched.retire();
    if let Err(panic) = outcome {
        shared.fail(id.0, text_of(&*panic));
    }
    drop(executor);
    let _ = ended.send(());
}

struct Prepared {
    executor: LocalExecutor,
    ring: Ring,
    /// The doorbell's eventfd, for glommio to wait for.
    bell: OwnedFd,
}

/// Makes all that needs a descriptor, so that a shard that has started cannot fail for want of one.
fn prepare<M>(seat: &Seat<M>) -> Result<Prepared, String> {
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
    if let Err(error) = ring.spread_workers(&seat.cpus) {
        tracing::debug!(%error, shard = seat.id.0, "the kernel's workers stay on the shard's CPU");
    }
    me.watched.watch_ring(ring.duplicate().map_err(|error| format!("its io_uring: {error}"))?);
    let bell = me.doorbell.duplicate().map_err(|error| format!("its eventfd: {error}"))?;
    Ok(Prepared { executor, ring, bell })
}

fn run<S: Shard>(
    seat: Seat<S::Message>,
    make: impl FnOnce() -> S,
    executor: &LocalExecutor,
    ring: Ring,
    bell: OwnedFd,
) {
    let Seat { id, settings, shared, helpers, mesh, sockets, .. } = seat;
    let me = Arc::clone(&shared.shards[id.index()]);
    let context = Context {
        ring,
        events: VecDeque::new(),
        me: Arc::clone(&me),
        helpers,
        settings: Arc::clone(&settings),
    };
    let pieces =
        Pieces { id, context, shared: Arc::clone(&shared), listeners: Listeners::new(sockets), mesh };
    let mut shard_loop = ShardLoop::new(make(), pieces);
    let result = executor.run(async {
        if !settings.guard_tick.is_zero() {
            let me = Arc::clone(&me);
            glommio::spawn_local(async move { me.watched.answer().await }).detach();
        }
        let result = drive(&mut shard_loop, bell).await;
        me.watched.retire();
        result
    });
    if let Err(reason) = result {
        shared.fail(id.0, reason);
    }
    shard_loop.tear_down();
}

/// Runs the loop and sleeps in between.
async fn drive<S: Shard>(shard_loop: &mut ShardLoop<S>, bell: OwnedFd) -> Result<(), String> {
    // SAFETY: the descriptor is ours, and from here on the file's, which closes it.
    let bell = unsafe { BufferedFile::from_raw_fd(bell.into_raw_fd()) };
    let result = loop {
        shard_loop.count_turn();
        // A panic of the shard ends it, not the executor: the kernel still holds buffers that must come back.
        match catch_unwind(AssertUnwindSafe(|| shard_loop.turn())) {
            Ok(Ok(Turn::Busy)) => glommio::executor().yield_now().await,
            Ok(Ok(Turn::Idle)) => match shard_loop.may_sleep() {
                Ok(false) => {}
                Ok(true) => {
                    let slept = bell.read_at(0, COUNTER_BYTES).await;
                    shard_loop.awake();
                    if let Err(error) = slept {
                        break Err(format!("waiting for events: {error}"));
                    }
                }
                Err(error) => break Err(ring_failure(&error)),
            },
            Ok(Ok(Turn::Ended)) => break Ok(()),
            Ok(Err(error)) => break Err(ring_failure(&error)),
            Err(panic) => break Err(format!("panicked: {}", text_of(&*panic))),
        }
    };
    if let Err(error) = bell.close().await {
        tracing::debug!(%error, "closing a shard's eventfd");
    }
    result
}

fn ring_failure(error: &io::Error) -> String {
    format!("its io_uring failed: {error}")
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

impl<S: Shard> ShardLoop<S> {
    /// For the guard: this shard moves.
    fn count_turn(&self) {
        self.me().turns.fetch_add(1, Ordering::Relaxed);
    }
}
