//! The driver without io_uring, for where it is forbidden: one thread per shard that waits in epoll(7), and a few
//! threads for files.
//!
//! Everything else is as on the other driver, because it is the same code: the loop, the queues between shards, binding,
//! sending. A shard that sleeps waits for its sockets and for its doorbell, an eventfd; who works takes what many events
//! one call gave. Files are read, written and flushed by helper threads, with direct access where the file system has
//! it; an acknowledgement then costs two changes of threads.
//!
//! - `executor`: a shard's thread; `poller`: its epoll; `hands`: what the loop has done by it.
//! - `listeners`, `connections`: the network.

mod connections;
mod executor;
mod hands;
mod listeners;
mod poller;

use crate::driver::{
    DriverError, Running, context,
    launch::{Launch, failed},
    watch::Watch,
};
use corelane_seam::Shard;
use poller::Poller;
use std::sync::Arc;

/// What every part of a shard's loop works with.
type Context<M> = context::Context<M, Poller>;

/// Threads that write and flush: every shard has a journal's flush under way, and segments are written meanwhile. Beyond
/// that a disk does not get faster.
fn writers(shards: usize) -> usize {
    (shards + 1).clamp(3, 32)
}

/// Runs shards.
pub(crate) fn run<S, F>(launch: Launch<F>) -> Result<Running, DriverError>
where
    S: Shard + 'static,
    F: FnOnce() -> S + Send + 'static,
{
    let writers = writers(launch.settings.shards.len());
    launch.run(writers, executor::run_shard, |shared| {
        Watch::start(Arc::clone(shared)).map_err(failed("watching thread"))
    })
}
