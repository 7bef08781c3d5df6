//! The driver on io_uring alone: one thread per shard, which waits in the shard's ring.
//!
//! A thread tells its ring what it wants done when it goes to sleep, or when it has more to do meanwhile: one
//! system call submits, waits and lets the kernel do its part of the work. Connections are accepted and received from by
//! entries that stay armed, into memory that the kernel takes when bytes are there. Shards wake each other by their
//! rings, helper threads wake them by the doorbell's eventfd. Sending is as on the other drivers; listeners and files are
//! those of the glommio driver (`uring`).
//!
//! A shard may run on glommio all the same ([`ShardSettings::on_glommio`](crate::ShardSettings::on_glommio)).
//!
//! - `executor`: a shard's thread; `hands`: what its loop has done by the ring.
//! - `connections`, `buffers`: the network.

mod buffers;
mod connections;
mod executor;
mod hands;

use crate::{
    driver::{
        DriverError, Running,
        launch::{Launch, failed},
        watch::Watch,
    },
    glommio_driver::{self, AllWatched, Watched},
};
use corelane_seam::Shard;
use std::sync::Arc;

/// Runs shards.
pub(crate) fn run<S, F>(launch: Launch<F>) -> Result<Running, DriverError>
where
    S: Shard + 'static,
    F: FnOnce() -> S + Send + 'static,
{
    let settings = Arc::clone(&launch.settings);
    let watched: Arc<AllWatched> =
        settings.shards.iter().map(|shard| shard.on_glommio.then(Arc::<Watched>::default)).collect();
    let guarded = Arc::clone(&watched);
    launch.run(
        // The rings write and flush.
        0,
        move |seat, make, line| match &watched[seat.id.index()] {
            None => executor::run_shard(seat, make, line),
            Some(watched) => glommio_driver::run_shard(seat, make, line, watched),
        },
        move |shared| {
            let guard = glommio_driver::guard(shared, guarded, &settings)?;
            let watch = Watch::start(Arc::clone(shared)).map_err(failed("watching thread"))?;
            Ok((guard, watch))
        },
    )
}
