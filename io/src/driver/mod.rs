//! What the drivers share: settings, sockets, queues between shards, the loop of a shard, files on helper threads, the
//! start and the end of all threads. Where the kernel is asked in two ways, the loop calls [`Hands`](hands::Hands), and
//! each driver has its own.
//!
//! - `settings`, `launch`, `cpu`, `running`: a driver from its settings to its end.
//! - `shard_loop`, `hands`, `context`: gathers completions, calls the shard, carries out operations.
//! - `listen`, `accept`, `connect`, `slots`, `receive`, `send`: the network.
//! - `blocking`, `helpers`, `os_file`: the disk.
//! - `mesh`, `doorbell`, `shared`: other shards. `watch`, `silence`: who notices a shard that answers nothing, and why
//!   it does not.

pub(crate) mod accept;
pub(crate) mod blocking;
mod connect;
pub(crate) mod context;
pub(crate) mod cpu;
pub(crate) mod doorbell;
pub(crate) mod hands;
pub(crate) mod helpers;
pub(crate) mod launch;
mod listen;
pub(crate) mod mesh;
pub(crate) mod os_file;
pub(crate) mod outgoing;
pub(crate) mod receive;
mod running;
pub(crate) mod send;
pub(crate) mod settings;
pub(crate) mod shard_loop;
pub(crate) mod shared;
pub(crate) mod silence;
pub(crate) mod slots;
pub(crate) mod watch;

pub use running::{Running, Stopper};
pub use settings::{DriverError, DriverKind, DriverSettings, Faults, ShardSettings};

use crate::{glommio_driver, portable_driver, ring_driver};
use corelane_seam::{ListenerId, Shard};
use launch::Launch;
use std::{net::SocketAddr, os::fd::OwnedFd};

/// Binds, then runs; see [`Bound::run`].
///
/// # Errors
/// As [`bind`] and [`Bound::run`].
pub fn run<S, F>(settings: DriverSettings, make: Vec<F>) -> Result<Running, DriverError>
where
    S: Shard + 'static,
    F: FnOnce() -> S + Send + 'static,
{
    bind(settings)?.run(make)
}

/// Takes every address of the settings. Clients may connect from now on; they are accepted when shards run.
///
/// # Errors
/// When an address is taken by another process, or cannot be bound.
pub fn bind(settings: DriverSettings) -> Result<Bound, DriverError> {
    let (addresses, sockets) = bind_all(&settings)?;
    Ok(Bound { settings, addresses, sockets })
}

/// Addresses that are taken, and shards still to be made: what they say of themselves may depend on the ports.
pub struct Bound {
    settings: DriverSettings,
    addresses: Vec<SocketAddr>,
    /// One entry per shard.
    sockets: Vec<Sockets>,
}

impl Bound {
    /// Where it really listens, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Runs shards until they stop: `make[i]` builds shard `i` on its own thread. Returns when every thread has what it
    /// needs of the kernel; from then on shards run and accept.
    ///
    /// # Errors
    /// When a thread, or what it needs, cannot be made; nothing runs then.
    pub fn run<S, F>(self, make: Vec<F>) -> Result<Running, DriverError>
    where
        S: Shard + 'static,
        F: FnOnce() -> S + Send + 'static,
    {
        let kind = self.settings.driver;
        let launch = Launch::new(self, make)?;
        match kind {
            DriverKind::Glommio => glommio_driver::run(launch),
            DriverKind::Ring => ring_driver::run(launch),
            DriverKind::Portable => portable_driver::run(launch),
        }
    }
}

/// The sockets of one shard.
pub(crate) type Sockets = Vec<(ListenerId, OwnedFd)>;

/// Binds; gives back the addresses and the sockets of each shard.
fn bind_all(settings: &DriverSettings) -> Result<(Vec<SocketAddr>, Vec<Sockets>), DriverError> {
    let mut sockets: Vec<Sockets> = settings.shards.iter().map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for (id, bound) in (0..).map(ListenerId).zip(listen::bind_all(settings)?) {
        addresses.push(bound.address);
        let accepting =
            settings.shards.iter().zip(&mut sockets).filter(|(shard, _)| shard.listens.contains(&id));
        for ((_, shard), socket) in accepting.zip(bound.sockets) {
            shard.push((id, socket));
        }
    }
    Ok((addresses, sockets))
}
