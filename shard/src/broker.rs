//! A broker of this process: probes, recovers, runs its shards on a driver, and stops them.

use crate::{
    assemble::{BrokerSettings, NodeSeed, assemble},
    log_control::LogControl,
    node::{Node, Report},
};
use corelane_core::{
    config::{BrokerConfig, CpuPin, Listener},
    error::Fatal,
    log::{Fault, RecoveryReport},
};
use corelane_io::{
    DirectoryLock, DriverError, DriverKind, DriverSettings, Running, ShardSettings, Stopper, SystemDisk, bind,
};
use corelane_seam::ListenerId;
use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Instant,
};
use tracing::info;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is not ours alone, or cannot be made.
    #[error("cannot use {directory}: {reason}")]
    Directory {
        /// As configured.
        directory: String,
        /// Why.
        reason: String,
    },
    /// The data directory cannot be served.
    #[error("{0}")]
    Fatal(#[from] Fatal),
    /// A listener's host does not resolve.
    #[error("cannot listen on {host}:{port}: {reason}")]
    Resolve {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// Why.
        reason: String,
    },
    /// The driver did not start, or ended badly.
    #[error("{0}")]
    Driver(#[from] DriverError),
    /// It stopped before it served.
    #[error("the broker stopped before it served")]
    Stopped,
}

/// A broker at work.
pub struct RunningBroker {
    running: Running,
    reports: Receiver<Report>,
    shards: u16,
    driver: DriverKind,
    began: Instant,
    addresses: Vec<SocketAddr>,
    recovery: RecoveryReport,
    /// Held as long as the broker lives.
    _locks: Vec<DirectoryLock>,
}

/// How a broker runs on this machine.
#[derive(Clone, Debug)]
pub struct MachineSettings {
    /// CPUs that data shards may use, and whether they are this process's alone.
    pub cpus: Vec<usize>,
    /// Whether pinning pays: the CPUs are not shared with others.
    pub exclusive: bool,
    /// How shards reach the kernel.
    pub driver: DriverKind,
    /// Random.
    pub seed: u64,
    /// The log of this process.
    pub log: LogControl,
    /// Where changes of the disk are recorded, for tests of power cuts.
    pub recorder: Option<Arc<corelane_io::record::Recorder>>,
    /// Report flushes as done without flushing; only to prove that the power-cut test can fail.
    pub skip_fdatasync: bool,
}

/// Starts a broker: recovery first, then its shards. Returns when they run; [`RunningBroker::wait_until_serving`] says
/// when they serve.
///
/// # Errors
/// Whatever keeps it from serving; nothing runs then.
pub fn start(
    config: BrokerConfig,
    machine: &MachineSettings,
    began: Instant,
) -> Result<RunningBroker, StartError> {
    let config = Arc::new(config);
    let allowed = u16::try_from(machine.cpus.len()).unwrap_or(u16::MAX).max(1);
    let shards = if config.roles.broker { config.shards.unwrap_or(allowed) } else { 0 };
    let listeners = config.listeners.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
    let locks = lock(&config)?;
    let (reports, received) = channel();
    let disk = match &machine.recorder {
        Some(recorder) => SystemDisk::recorded(Arc::clone(recorder)),
        None => SystemDisk::new(),
    };
    let mut driver = DriverSettings::new(shard_settings(&config, machine, shards), listeners);
    driver.driver = machine.driver;
    driver.recorder.clone_from(&machine.recorder);
    driver.faults.skip_fdatasync = machine.skip_fdatasync;
    let bound = bind(driver)?;
    let settings = BrokerSettings {
        config: Arc::clone(&config),
        shards,
        ports: bound.addresses().iter().map(SocketAddr::port).collect(),
        seed: machine.seed,
        fault: Fault::None,
        log: machine.log.clone(),
        reports,
    };
    let assembled = assemble(&settings, Arc::new(disk), corelane_io::now())?;
    let make: Vec<_> = assembled.seeds.into_iter().map(|seed| move || grow(seed)).collect();
    let running = bound.run(make)?;
    let named = config.listeners.iter().zip(running.addresses());
    let addresses = named
        .filter(|(listener, _)| listener.controller != config.roles.broker)
        .map(|(_, address)| *address)
        .collect();
    Ok(RunningBroker {
        running,
        reports: received,
        shards,
        driver: machine.driver,
        began,
        addresses,
        recovery: assembled.report,
        _locks: locks,
    })
}

/// Takes the directories for this process alone.
fn lock(config: &BrokerConfig) -> Result<Vec<DirectoryLock>, StartError> {
    let mut directories = config.directories();
    directories.sort();
    directories.dedup();
    let take = |directory: &PathBuf| {
        DirectoryLock::take(directory).map_err(|error| StartError::Directory {
            directory: directory.display().to_string(),
            reason: match error.kind() {
                std::io::ErrorKind::WouldBlock => "another broker runs on it".to_owned(),
                _ => error.to_string(),
            },
        })
    };
    directories.into_iter().map(take).collect()
}

fn grow(seed: NodeSeed) -> Node {
    seed.grow(corelane_io::now())
}

/// The first address of a listener's host; every interface for an empty one.
fn resolve(listener: &Listener) -> Result<SocketAddr, StartError> {
    let host = if listener.host.is_empty() { "0.0.0.0" } else { &listener.host };
    let failed = |reason: String| StartError::Resolve { host: host.to_owned(), port: listener.port, reason };
    let mut found = (host, listener.port).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    found.next().ok_or_else(|| failed("the name has no address".to_owned()))
}

/// Data shards on cores of their own where that pays; the quorum's thread is never pinned, and where data shards are on
/// the ring driver it is on glommio. Clients come to data shards,
/// controllers and brokers that want the controller to the quorum's.
fn shard_settings(config: &BrokerConfig, machine: &MachineSettings, shards: u16) -> Vec<ShardSettings> {
    let enough = machine.cpus.len() >= usize::from(shards);
    let pin = match config.cpu_pin {
        CpuPin::Always => true,
        CpuPin::Never => false,
        CpuPin::Auto => machine.exclusive && enough,
    };
    let listens = |controller: bool| -> Vec<ListenerId> {
        let ids = (0..).map(ListenerId).zip(&config.listeners);
        ids.filter(|(_, listener)| listener.controller == controller).map(|(id, _)| id).collect()
    };
    let data = (0..usize::from(shards)).map(|index| ShardSettings {
        cpu: if pin { machine.cpus.get(index % machine.cpus.len().max(1)).copied() } else { None },
        listens: listens(false),
        on_glommio: false,
    });
    data.chain([ShardSettings { cpu: None, listens: listens(true), on_glommio: true }]).collect()
}

impl RunningBroker {
    /// Waits until every data shard serves, or, of a node that is only a controller, until the quorum has a leader; and
    /// says so in one log line.
    ///
    /// # Errors
    /// The first thing that keeps it from serving.
    pub fn wait_until_serving(&self) -> Result<(), StartError> {
        let mut serving = 0;
        while serving < self.shards.max(1) {
            match self.reports.recv() {
                Ok(Report::Serving) => serving += 1,
                Ok(Report::Fatal(fatal)) => return Err(fatal.into()),
                Err(_) => return Err(StartError::Stopped),
            }
        }
        let addresses: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        info!(
            shards = self.shards,
            driver = %self.driver,
            clean = self.recovery.clean,
            replayed = self.recovery.entries,
            "serving on {} after {} ms",
            addresses.join(", "),
            self.began.elapsed().as_millis(),
        );
        Ok(())
    }

    /// Where it listens for clients; of a node that is only a controller, for other nodes.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Asks it to stop, from any thread.
    pub fn stopper(&self) -> Stopper {
        self.running.stopper()
    }

    /// Waits for the end: of the clean stop, or of a broker that cannot go on, which is stopped then.
    ///
    /// # Errors
    /// Why it could not go on.
    pub fn wait(self) -> Result<(), StartError> {
        let mut broken = None;
        // The channel closes when the last shard has gone.
        while let Ok(report) = self.reports.recv() {
            if let Report::Fatal(fatal) = report {
                broken.get_or_insert(fatal);
                self.running.stop();
            }
        }
        self.running.join()?;
        broken.map_or(Ok(()), |fatal| Err(fatal.into()))
    }
}
