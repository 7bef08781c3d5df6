//! What the drivers on io_uring share: the ring of a shard, and the listeners and files that are asked through it.

pub(crate) mod accept;
pub(crate) mod files;
pub(crate) mod ring;

use crate::driver::context;

/// What every part of a shard's loop works with.
pub(crate) type Context<M> = context::Context<M, ring::Ring>;
