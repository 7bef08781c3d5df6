//! The kernel's side of the seam: the drivers that call a [`Shard`](corelane_seam::Shard) and carry out what it asks,
//! the start-up probe, and the blocking disk that recovery reads. Knows nothing of Kafka. The only crate that may name
//! glommio or io_uring.

mod clock;
mod disk;
mod fs;
pub mod record;

pub use disk::SystemDisk;
