//! The driver on glommio: one thread with one executor per shard.
//!
//! glommio 0.9 has no multishot accept, no wait for writability, no direct write from memory that it did not allocate
//! and no vectored send. So each shard owns a ring of its own beside glommio's three and does all its work there; the
//! executor is what parks the thread, and one read of an eventfd is all it has under way. That eventfd is signalled by
//! the ring, by other shards and by helper threads alike, and only while the shard sleeps.
//!
//! - `executor`: a shard's thread, its executor and its sleep; `guard`: glommio's lost wake-up; `silence`: why a shard
//!   answers nothing.
//! - `shard_loop`: gathers completions, calls the shard, carries out operations.
//! - `accept`, `connect`, `connections`, `send`: the network. `files`, `os_file`, `helpers`: the disk. `timer`.
//! - `mesh`, `doorbell`: other shards.

mod accept;
mod connect;
mod connections;
mod context;
mod doorbell;
mod executor;
mod files;
mod guard;
mod helpers;
mod listen;
mod mesh;
mod os_file;
mod ring;
mod send;
mod settings;
mod shard_loop;
mod shared;
mod silence;
mod timer;

pub use settings::{DriverError, DriverSettings, Faults, ShardSettings};

use corelane_seam::{ListenerId, Shard, ShardId};
use executor::{Line, Seat, run_shard};
use guard::Guard;
use helpers::HelperThreads;
use shared::{Phase, Shared};
use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

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

    /// Runs shards until they stop: `make[i]` builds shard `i` on its own thread. Returns when every executor and ring
    /// is made; from then on shards run and accept.
    ///
    /// # Errors
    /// When a thread, an executor or a ring cannot be made; nothing runs then.
    pub fn run<S, F>(self, make: Vec<F>) -> Result<Running, DriverError>
    where
        S: Shard + 'static,
        F: FnOnce() -> S + Send + 'static,
    {
        run_bound(self, make)
    }
}

fn run_bound<S, F>(bound: Bound, make: Vec<F>) -> Result<Running, DriverError>
where
    S: Shard + 'static,
    F: FnOnce() -> S + Send + 'static,
{
    let Bound { settings, addresses, sockets } = bound;
    if settings.shards.len() != make.len() || make.is_empty() || make.len() > SHARDS_MAX {
        let what = format!("{} shards are set up, {} are to be made", settings.shards.len(), make.len());
        return Err(DriverError::Settings(what));
    }
    let failed = |what| move |error| DriverError::System { what, error };
    let shared = Shared::new(make.len(), settings.recorder.clone()).map_err(failed("eventfds"))?;
    let shared = Arc::new(shared);
    let helper_threads = HelperThreads::start().map_err(failed("helper threads"))?;
    let settings = Arc::new(settings);
    let (ready, is_ready) = mpsc::channel();
    let (ended, has_ended) = mpsc::channel();
    let mut starting = Starting { gos: Vec::new(), threads: Vec::new() };
    let meshes = mesh::mesh(&shared.shards, settings.mesh_capacity.max(1));
    for (((index, make), mesh), sockets) in make.into_iter().enumerate().zip(meshes).zip(sockets) {
        let (go, goes) = mpsc::channel();
        let seat = Seat {
            id: ShardId(index as u16),
            settings: Arc::clone(&settings),
            shared: Arc::clone(&shared),
            helpers: helper_threads.helpers(),
            mesh,
            sockets,
            cpus: allowed_cpus(),
        };
        let line = Line { ready: ready.clone(), go: goes, ended: ended.clone() };
        let thread = thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || run_shard(seat, make, line))
            .map_err(failed("shard threads"))?;
        starting.gos.push(go);
        starting.threads.push(thread);
    }
    drop(ready);
    for outcome in is_ready.iter().take(starting.threads.len()) {
        outcome?;
    }
    let guard = match settings.guard_tick {
        Duration::ZERO => None,
        tick => Some(Guard::start(Arc::clone(&shared), tick).map_err(failed("guard thread"))?),
    };
    let threads = starting.go();
    Ok(Running { shared, settings, addresses, threads, has_ended, guard, _helpers: helper_threads })
}

/// A connection's id has 12 bits for its shard.
const SHARDS_MAX: usize = 1 << 12;

/// The sockets of one shard.
type Sockets = Vec<(ListenerId, OwnedFd)>;

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

fn allowed_cpus() -> libc::cpu_set_t {
    // SAFETY: `cpu_set_t` is plain data for which zero is valid; the kernel writes at most its size. When it fails the
    // set is empty, and the kernel refuses it later, which is harmless.
    unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut cpus);
        cpus
    }
}

/// Threads that wait for the word to go; without it they end.
struct Starting {
    gos: Vec<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Starting {
    fn go(mut self) -> Vec<JoinHandle<()>> {
        for go in self.gos.drain(..) {
            // A thread that is gone is noticed by `join`.
            let _ = go.send(());
        }
        std::mem::take(&mut self.threads)
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.gos.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Shards at work. Dropping it stops them without waiting for what they owe.
pub struct Running {
    shared: Arc<Shared>,
    settings: Arc<DriverSettings>,
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    has_ended: mpsc::Receiver<()>,
    guard: Option<Guard>,
    /// Last to go: shards may be waiting for what helpers do.
    _helpers: HelperThreads,
}

/// Asks shards to stop, from any thread.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// Closes the listeners, then tells every shard to finish what it owes. Returns at once; see [`Running::join`].
    pub fn stop(&self) {
        self.0.advance(Phase::Stopping);
    }
}

impl Running {
    /// Where it really listens, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// See [`Stopper::stop`].
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// For a signal handler's thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }

    /// Waits until every shard has ended. When one fails, the others are stopped: in order for as long as the settings
    /// allow, then where they stand.
    ///
    /// # Errors
    /// The first failure of a shard.
    pub fn join(mut self) -> Result<(), DriverError> {
        self.wait();
        match self.shared.first_failure() {
            Some((shard, reason)) => Err(DriverError::Shard { shard, reason }),
            None => Ok(()),
        }
    }

    fn wait(&mut self) {
        const LOOK: Duration = Duration::from_millis(50);
        let mut failed_at = None;
        let mut running = self.threads.len();
        while running > 0 {
            match self.has_ended.recv_timeout(LOOK) {
                Ok(()) => running -= 1,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if self.shared.first_failure().is_some() {
                let failed_at = *failed_at.get_or_insert_with(Instant::now);
                if failed_at.elapsed() >= self.settings.failure_grace {
                    self.shared.advance(Phase::Aborting);
                }
            }
        }
        self.guard = None;
        for (index, thread) in self.threads.drain(..).enumerate() {
            if let Err(_panic) = thread.join() {
                self.shared.fail(index as u16, "its thread panicked".to_owned());
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.shared.advance(Phase::Aborting);
            self.wait();
        }
    }
}
