//! Shards at work, and their end.

use super::{
    helpers::HelperThreads,
    settings::{DriverError, DriverSettings},
    shared::{Phase, Shared},
};
use std::{
    any::Any,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Shards at work. Dropping it stops them without waiting for what they owe.
pub struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Arc<DriverSettings>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) has_ended: mpsc::Receiver<()>,
    /// What a driver keeps beside its shards, until all of them have ended.
    pub(super) guard: Option<Box<dyn Any + Send>>,
    /// Last to go: shards may be waiting for what helpers do.
    pub(super) _helpers: HelperThreads,
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
