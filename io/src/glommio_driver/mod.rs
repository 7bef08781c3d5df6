//! The driver on glommio: one thread with one executor per shard.
//!
//! glommio 0.9 has no multishot accept, no wait for writability, no direct write from memory that it did not allocate
//! and no vectored send. So each shard owns a ring of its own beside glommio's three and does all its work there; the
//! executor is what parks the thread, and one read of an eventfd is all it has under way. That eventfd is signalled by
//! the ring, by other shards and by helper threads alike, and only while the shard sleeps.
//!
//! - `executor`: a shard's thread, its executor and its sleep; `guard`: glommio's lost wake-up.
//! - `ring`, `hands`: what the loop of a shard has done by the ring; `accept`, `connections`, `files`, `timer`.

mod accept;
mod connections;
mod executor;
mod files;
mod guard;
mod hands;
mod ring;
mod timer;

use crate::driver::{
    DriverError, Running, context,
    launch::{Launch, failed},
};
use corelane_seam::Shard;
use guard::{Guard, Watched};
use std::{sync::Arc, time::Duration};

/// What every part of a shard's loop works with.
type Context<M> = context::Context<M, ring::Ring>;

/// Runs shards.
pub(crate) fn run<S, F>(launch: Launch<F>) -> Result<Running, DriverError>
where
    S: Shard + 'static,
    F: FnOnce() -> S + Send + 'static,
{
    let watched: Arc<Vec<Watched>> =
        Arc::new(launch.settings.shards.iter().map(|_| Watched::default()).collect());
    let tick = launch.settings.guard_tick;
    let seen = Arc::clone(&watched);
    launch.run(
        // The ring writes and flushes.
        0,
        move |seat, make, line| executor::run_shard(seat, make, line, &watched),
        move |shared| match tick {
            Duration::ZERO => Ok(None),
            tick => Guard::start(Arc::clone(shared), seen, tick).map(Some).map_err(failed("guard thread")),
        },
    )
}
