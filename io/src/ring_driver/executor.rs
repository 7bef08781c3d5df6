//! A shard's thread.

use super::{buffers::Buffers, hands::RingHands};
use crate::{
    driver::{
        cpu,
        launch::{Line, Seat, live},
        shard_loop::{ShardLoop, Turn, kernel_failure},
    },
    uring::ring::Ring,
};
use corelane_seam::Shard;
use std::{mem::ManuallyDrop, sync::Arc};

/// The thread's whole life.
pub(super) fn run_shard<S: Shard>(seat: Seat<S::Message>, make: impl FnOnce() -> S, line: Line) {
    live(seat, line, prepare, |seat, (ring, buffers)| run(seat, make, ring, buffers));
}

/// Makes the ring and its buffers, and pins the thread where that was asked for.
fn prepare<M>(seat: &Seat<M>) -> Result<(Ring, Buffers), String> {
    // Where the kernel's workers may run, though the shard is pinned.
    let cpus = cpu::allowed();
    if let Some(cpu) = seat.settings.shards[seat.id.index()].cpu {
        cpu::pin(cpu)?;
    }
    let ring = Ring::to_wait_in().map_err(|error| format!("its io_uring: {error}"))?;
    if let Err(error) = ring.spread_workers(&cpus) {
        tracing::debug!(%error, shard = seat.id.0, "the kernel's workers stay on the shard's CPU");
    }
    let buffers = Buffers::register(&ring).map_err(|error| format!("its buffers: {error}"))?;
    let others = ring.duplicate().map_err(|error| format!("its io_uring: {error}"))?;
    // Set once: a shard's thread is made once.
    let _ = seat.shared.shards[seat.id.index()].ring.set(others);
    Ok((ring, buffers))
}

fn run<S: Shard>(mut seat: Seat<S::Message>, make: impl FnOnce() -> S, ring: Ring, buffers: Buffers) {
    let (id, shared) = (seat.id, Arc::clone(&seat.shared));
    let hands = RingHands::new(&mut seat, buffers);
    // Leaked, should anything panic: the kernel may still hold what it owns.
    let mut shard_loop = ManuallyDrop::new(ShardLoop::new(make(), seat, hands, ring));
    if let Err(reason) = drive(&mut shard_loop) {
        shared.fail(id.0, reason);
    }
    ManuallyDrop::into_inner(shard_loop).tear_down();
}

/// Runs the loop and sleeps in between.
fn drive<S: Shard>(shard_loop: &mut ShardLoop<S, RingHands>) -> Result<(), String> {
    loop {
        match shard_loop.watched_turn()? {
            Turn::Busy => shard_loop.port().enter().map_err(|error| kernel_failure(&error))?,
            Turn::Idle => shard_loop.rest(Ring::wait)?,
            Turn::Ended => return Ok(()),
        }
    }
}
