//! The end of a shard's sleep, as a timeout of its ring.

use super::Context;
use crate::uring::ring::Tag;
use corelane_seam::Monotonic;
use io_uring::{opcode, types};

#[derive(Default)]
pub(super) struct Timer {
    armed: Option<Monotonic>,
    generation: u64,
    /// What the kernel reads when the entry is submitted.
    at: Box<types::Timespec>,
}

impl Timer {
    /// Before a sleep: lets the kernel wake us at this time. A timeout that is armed for an earlier time stays: waking
    /// once too often is cheaper than moving it with every request.
    pub(super) fn arm<M>(&mut self, at: Option<Monotonic>, context: &mut Context<M>) {
        let Some(at) = at else { return };
        if self.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        if self.armed.is_some() {
            context.port.cancel(Tag::Timer(self.generation));
        }
        self.generation = (self.generation + 1) & u64::from(u32::MAX);
        self.armed = Some(at);
        *self.at = types::Timespec::new().sec(at.0 / 1_000_000_000).nsec((at.0 % 1_000_000_000) as u32);
        let entry = opcode::Timeout::new(&raw const *self.at).flags(types::TimeoutFlags::ABS).build();
        // SAFETY: the kernel reads `at` when the entry is submitted, before the sleep for which it is armed; it lives on
        // the heap as long as the timer, which outlives the ring's last entry.
        unsafe { context.port.push(entry, Tag::Timer(self.generation)) };
    }

    /// The kernel's timeout came back, fired or cancelled.
    pub(super) fn finished(&mut self, generation: u64) {
        if generation == self.generation {
            self.armed = None;
        }
    }
}
