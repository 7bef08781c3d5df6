//! What the drivers on io_uring share: the ring of a shard, and the listeners and files that are asked through it.

pub(crate) mod accept;
pub(crate) mod files;
pub(crate) mod ring;

use crate::driver::{context, slots::Name};
use accept::Listeners;
use files::Files;
use io_uring::{opcode, types};
use ring::Tag;
use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

/// What every part of a shard's loop works with.
pub(crate) type Context<M> = context::Context<M, ring::Ring>;

/// Has the ring tell when a connection's socket takes more.
pub(crate) fn watch_writable<M>(socket: &OwnedFd, name: Name, context: &mut Context<M>) {
    let entry = opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), libc::POLLOUT as u32).build();
    // SAFETY: the entry points to nothing; the socket stays open while the kernel holds it.
    unsafe { context.port.push(entry, Tag::Writable(name)) };
}

/// At a shard's end: takes back everything from the kernel, and notes what became of files. False when the kernel still
/// holds something after a while: its memory must then never be freed.
pub(crate) fn take_back<M>(listeners: &mut Listeners, files: &mut Files, context: &mut Context<M>) -> bool {
    const PATIENCE: Duration = Duration::from_secs(10);
    listeners.close(context);
    let mut written = Vec::new();
    let drained = context.port.drain(PATIENCE, |finished| match finished.tag {
        Tag::Accept(index) => drop(listeners.finished(index, finished)),
        Tag::File(key) => written.push((key, finished)),
        _ => {}
    });
    if drained {
        for (key, finished) in written {
            files.finished(key, finished, context);
        }
        listeners.is_closed();
    }
    drained
}
