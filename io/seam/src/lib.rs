//! The seam between a shard and the kernel: plain data, spoken by both sides.
//!
//! A *driver* (corelane-io, or the simulator) owns the loop of one core. It calls its [`Shard`] with one
//! [`Completion`] at a time and takes back [`Operation`]s. The shard waits for nothing; the driver decides
//! nothing. Whatever a shard wants of the world (bytes on a socket, a write, a flush, a word with another shard,
//! to be woken later) is an [`Operation`], and whatever happens to it is a [`Completion`].
//!
//! Calling order, on every driver:
//!
//! 1. [`Shard::start`] once, before anything else;
//! 2. any number of [`Shard::complete`], each followed by taking the operations it wrote;
//! 3. [`Shard::end_of_turn`] when no completion is left for the moment (group commit, response batching);
//! 4. back to 2, until the driver is told to stop: [`Completion::Stop`], after which the shard answers
//!    [`Operation::Stopped`] when nothing it owes is outstanding.
//!
//! A buffer belongs to its operation until the completion gives it back. Completions of different operations
//! may arrive in any order, except: operations on one connection's send side complete in order, and messages
//! between two shards arrive in the order in which they were sent.

mod chunk;
mod disk;
mod file;
mod net;
mod pages;
mod shard;
mod time;

pub use chunk::{BLOCK, ChunkWriter, Slice};
pub use disk::{DirectoryEntry, Disk, Task};
pub use file::{Allocation, FileHandle, FileObject, FileOperation, FileResult, Flush, OpenHow, Space, Token};
pub use net::{CloseReason, ConnectionId, ListenerId, Part};
pub use pages::{ChunkPool, Page};
pub use shard::{Completion, Operation, Shard, ShardId};
pub use time::{Monotonic, Now};
