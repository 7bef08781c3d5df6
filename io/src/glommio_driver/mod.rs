//! The driver on glommio: one thread with one executor per shard.
//!
//! glommio 0.9 has no multishot accept, no wait for writability, no direct write from memory that it did not allocate
//! and no vectored send. So each shard owns a ring of its own beside glommio's three and does all its work there; the
//! executor is what parks the thread, and one read of an eventfd is all it has under way. That eventfd is signalled by
//! the ring, by other shards and by helper threads alike, and only while the shard sleeps.
//!
//! - `executor`: a shard's thread, its executor and its sleep; `guard`: glommio's lost wake-up.
//! - `hands`: what the loop of a shard has done by its ring; `connections`, `timer`. The ring itself, listeners and files
//!   are in `uring`: the ring driver has the same.

mod connections;
mod executor;
mod guard;
mod hands;
mod timer;

use crate::{
    driver::{
        DriverError, DriverSettings, Running,
        launch::{Launch, failed},
        shared::Shared,
    },
    uring::Context,
};
use corelane_seam::Shard;
use guard::Guard;
use std::sync::Arc;

pub(crate) use executor::run_shard;
pub(crate) use guard::{AllWatched, Watched};

/// Runs shards.
pub(crate) fn run<S, F>(launch: Launch<F>) -> Result<Running, DriverError>
where
    S: Shard + 'static,
    F: FnOnce() -> S + Send + 'static,
{
    let watched: Arc<AllWatched> = launch.settings.shards.iter().map(|_| Some(Arc::default())).collect();
    let (seen, settings) = (Arc::clone(&watched), Arc::clone(&launch.settings));
    launch.run(
        // The ring writes and flushes.
        0,
        move |seat, make, line| {
            let watched = watched[seat.id.index()].as_ref().expect("of every shard");
            run_shard(seat, make, line, watched);
        },
        move |shared| guard(shared, seen, &settings),
    )
}

/// The guard of those shards that `watched` has an entry of, unless the settings want none.
pub(crate) fn guard(
    shared: &Arc<Shared>,
    watched: Arc<AllWatched>,
    settings: &DriverSettings,
) -> Result<Option<Guard>, DriverError> {
    let tick = settings.guard_tick;
    if tick.is_zero() || watched.iter().all(Option::is_none) {
        return Ok(None);
    }
    Guard::start(Arc::clone(shared), watched, tick).map(Some).map_err(failed("guard thread"))
}
