//! What a driver is told, and how it fails.

use crate::record::Recorder;
use corelane_seam::ListenerId;
use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

/// How the driver runs. Start from [`DriverSettings::new`]; every field may be changed before the run.
#[derive(Clone, Debug)]
pub struct DriverSettings {
    /// Which driver.
    pub driver: DriverKind,
    /// One entry per shard, in the order of their ids: data shards first, the quorum's last.
    pub shards: Vec<ShardSettings>,
    /// Addresses to listen on, in the order of the configuration. Port 0 takes a free one.
    pub listeners: Vec<SocketAddr>,
    /// Messages that one shard may have under way to another; more wait in the sending driver.
    pub mesh_capacity: usize,
    /// Bytes that one connection may send before others get their turn.
    pub send_turn_bytes: usize,
    /// Work per poll of the loop; then the driver gets to look at what is its own.
    pub poll_budget: Duration,
    /// A call of a shard that takes longer is logged with what the shard was busy with.
    pub stall: Duration,
    /// How long a listener that is being closed elsewhere (a restart) is waited for.
    pub bind_patience: Duration,
    /// How long other shards may take to stop after one panicked.
    pub failure_grace: Duration,
    /// Of the glommio driver: how often the guard against lost wake-ups looks at a shard with traffic. Zero: no guard (only to show that it
    /// is needed).
    pub guard_tick: Duration,
    /// Of the glommio driver: its preempt timer.
    pub preempt_timer: Duration,
    /// Where every change of the disk is recorded, for tests of power cuts.
    pub recorder: Option<Arc<Recorder>>,
    /// What is deliberately broken, for tests that prove that a test can fail.
    pub faults: Faults,
}

impl DriverSettings {
    /// The settings a broker runs with, for these shards and listeners.
    pub fn new(shards: Vec<ShardSettings>, listeners: Vec<SocketAddr>) -> DriverSettings {
        DriverSettings {
            driver: DriverKind::Glommio,
            shards,
            listeners,
            mesh_capacity: 1024,
            send_turn_bytes: 512 << 10,
            poll_budget: Duration::from_micros(300),
            stall: Duration::from_millis(5),
            bind_patience: Duration::from_secs(1),
            failure_grace: Duration::from_secs(5),
            guard_tick: Duration::from_millis(1),
            preempt_timer: Duration::from_millis(1),
            recorder: None,
            faults: Faults::default(),
        }
    }
}

/// How shards reach the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverKind {
    /// io_uring, and glommio to park the threads.
    #[default]
    Glommio,
    /// io_uring alone: threads wait in their rings. Needs Linux 6.1.
    Ring,
    /// epoll, and threads for files: for where io_uring is forbidden. Direct access to files where the file system has
    /// it, else buffered; flushed by fdatasync either way.
    Portable,
}

impl DriverKind {
    /// All there are.
    pub const ALL: [DriverKind; 3] = [DriverKind::Glommio, DriverKind::Ring, DriverKind::Portable];
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DriverKind::Glommio => "glommio",
            DriverKind::Ring => "ring",
            DriverKind::Portable => "portable",
        })
    }
}

/// One shard's thread.
#[derive(Clone, Debug, Default)]
pub struct ShardSettings {
    /// Pinned to this CPU; sensible only where no one else uses it.
    pub cpu: Option<usize>,
    /// At which of the addresses it accepts connections.
    pub listens: Vec<ListenerId>,
    /// Of the ring driver: this shard runs on glommio all the same.
    pub on_glommio: bool,
}

/// Deliberate faults. Only for tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Report flushes as done without flushing: the fault that a power-cut test must find.
    pub skip_fdatasync: bool,
}

/// Why a driver did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Something already listens there.
    #[error("cannot listen on {address}: another process (a second broker?) listens there already")]
    AddressInUse {
        /// The address as configured.
        address: SocketAddr,
    },
    /// Binding failed otherwise.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The settings contradict themselves.
    #[error("driver settings: {0}")]
    Settings(String),
    /// What a shard's thread needs of the kernel could not be made.
    #[error("shard {shard} cannot start: {reason}")]
    Start {
        /// Its id.
        shard: u16,
        /// Why.
        reason: String,
    },
    /// A shard panicked; all others were stopped.
    #[error("shard {shard} failed: {reason}")]
    Shard {
        /// Its id.
        shard: u16,
        /// What the panic said.
        reason: String,
    },
    /// A helper of the driver (thread, eventfd) could not be made.
    #[error("cannot make the driver's {what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
}
