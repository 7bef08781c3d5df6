//! The kernel's side of the seam: the drivers that call a [`Shard`](corelane_seam::Shard) and carry out what it asks,
//! the start-up probe, and the blocking disk that recovery reads. Knows nothing of Kafka. The only crate that may name
//! glommio or io_uring.

pub mod bare_ring;
mod clock;
mod disk;
mod driver;
mod fs;
mod glommio_driver;
mod lock;
pub mod measure;
mod portable_driver;
pub mod probe;
pub mod record;
mod ring_driver;
mod uring;

pub use clock::now;
pub use disk::SystemDisk;
pub use driver::{
    Bound, DriverError, DriverKind, DriverSettings, Faults, Running, ShardSettings, Stopper, bind, run,
};
pub use lock::DirectoryLock;
