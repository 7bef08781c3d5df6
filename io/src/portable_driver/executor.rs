//! A shard's thread.

use super::{hands::EpollHands, listeners::Listeners, poller::Poller};
use crate::driver::{
    Sockets, cpu,
    launch::{Line, Seat, live},
    shard_loop::{ShardLoop, Turn},
};
use corelane_seam::Shard;
use std::sync::Arc;

/// The thread's whole life.
pub(super) fn run_shard<S: Shard>(mut seat: Seat<S::Message>, make: impl FnOnce() -> S, line: Line) {
    let sockets = std::mem::take(&mut seat.sockets);
    live(
        seat,
        line,
        |seat| prepare(seat, sockets),
        |seat, (poller, listeners)| run(seat, make, poller, listeners),
    );
}

/// Makes the epoll, and pins the thread where that was asked for.
fn prepare<M>(seat: &Seat<M>, sockets: Sockets) -> Result<(Poller, Listeners), String> {
    if let Some(cpu) = seat.settings.shards[seat.id.index()].cpu {
        cpu::pin(cpu)?;
    }
    let poller = Poller::new().map_err(|error| format!("its epoll: {error}"))?;
    let bell = &seat.shared.shards[seat.id.index()].doorbell;
    poller.watch_bell(bell).map_err(|error| format!("its eventfd: {error}"))?;
    let listeners = Listeners::new(sockets).map_err(|error| format!("its listeners: {error}"))?;
    Ok((poller, listeners))
}

fn run<S: Shard>(seat: Seat<S::Message>, make: impl FnOnce() -> S, poller: Poller, listeners: Listeners) {
    let (id, shared) = (seat.id, Arc::clone(&seat.shared));
    let hands = EpollHands::new(&seat, listeners);
    let mut shard_loop = ShardLoop::new(make(), seat, hands, poller);
    if let Err(reason) = drive(&mut shard_loop) {
        shared.fail(id.0, reason);
    }
    shard_loop.tear_down();
}

/// Runs the loop and sleeps in between.
fn drive<S: Shard>(shard_loop: &mut ShardLoop<S, EpollHands>) -> Result<(), String> {
    loop {
        match shard_loop.watched_turn()? {
            Turn::Busy => {}
            Turn::Idle => shard_loop.rest(Poller::wait)?,
            Turn::Ended => return Ok(()),
        }
    }
}
