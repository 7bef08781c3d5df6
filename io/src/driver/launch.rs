//! From settings to shards at work: threads that are made one after the other, and go when all of them are there.

use super::{
    Bound, Sockets,
    blocking::Blocking,
    helpers::{HelperThreads, Helpers},
    mesh::{Mesh, mesh},
    running::Running,
    settings::{DriverError, DriverSettings},
    shared::Shared,
};
use crate::fs::Direct;
use corelane_seam::{Shard, ShardId};
use std::{
    any::Any,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering, mpsc},
    thread::{self, JoinHandle},
};

/// A connection's id has 12 bits for its shard.
const SHARDS_MAX: usize = 1 << 12;

/// What a shard's thread starts with.
pub(crate) struct Seat<M> {
    pub(crate) id: ShardId,
    pub(crate) settings: Arc<DriverSettings>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) helpers: Helpers,
    pub(crate) mesh: Mesh<M>,
    pub(crate) sockets: Sockets,
}

impl<M> Seat<M> {
    /// How its files are worked on by helper threads; `direct`: where direct access is refused.
    pub(crate) fn blocking(&self, direct: Direct) -> Blocking {
        Blocking {
            recorder: self.shared.recorder.clone(),
            helpers: self.helpers.clone(),
            direct,
            skip_fdatasync: self.settings.faults.skip_fdatasync,
        }
    }
}

/// How the thread talks with whoever started it.
pub(crate) struct Line {
    /// Told once: whether the thread has what it needs.
    ready: mpsc::Sender<Result<(), DriverError>>,
    /// Waited for before the shard starts; closed when another shard could not be made.
    go: mpsc::Receiver<()>,
    /// Told when the shard has ended.
    ended: mpsc::Sender<()>,
}

/// All that is there before the first thread.
pub(crate) struct Launch<F> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<DriverSettings>,
    addresses: Vec<SocketAddr>,
    sockets: Vec<Sockets>,
    make: Vec<F>,
}

impl<F> Launch<F> {
    pub(super) fn new(bound: Bound, make: Vec<F>) -> Result<Launch<F>, DriverError> {
        let Bound { settings, addresses, sockets } = bound;
        if settings.shards.len() != make.len() || make.is_empty() || make.len() > SHARDS_MAX {
            let what = format!("{} shards are set up, {} are to be made", settings.shards.len(), make.len());
            return Err(DriverError::Settings(what));
        }
        let shared = Shared::new(make.len(), settings.recorder.clone()).map_err(failed("eventfds"))?;
        Ok(Launch { shared: Arc::new(shared), settings: Arc::new(settings), addresses, sockets, make })
    }

    /// Starts helper threads, `writers` of them for writes and flushes, and a thread for each shard, which runs `work`.
    /// Once all of them are ready, and `before` has come back, shards go.
    pub(crate) fn run<S, W, G>(
        self,
        writers: usize,
        work: W,
        before: impl FnOnce(&Arc<Shared>) -> Result<G, DriverError>,
    ) -> Result<Running, DriverError>
    where
        S: Shard + 'static,
        F: FnOnce() -> S + Send + 'static,
        W: Fn(Seat<S::Message>, F, Line) + Clone + Send + 'static,
        G: Send + 'static,
    {
        let Launch { shared, settings, addresses, sockets, make } = self;
        let helper_threads = HelperThreads::start(writers).map_err(failed("helper threads"))?;
        let (ready, is_ready) = mpsc::channel();
        let (ended, has_ended) = mpsc::channel();
        let mut starting = Starting { gos: Vec::new(), threads: Vec::new() };
        let meshes = mesh(&shared.shards, settings.mesh_capacity.max(1));
        for (((index, make), mesh), sockets) in make.into_iter().enumerate().zip(meshes).zip(sockets) {
            let (go, goes) = mpsc::channel();
            let seat = Seat {
                id: ShardId(index as u16),
                settings: Arc::clone(&settings),
                shared: Arc::clone(&shared),
                helpers: helper_threads.helpers(),
                mesh,
                sockets,
            };
            let line = Line { ready: ready.clone(), go: goes, ended: ended.clone() };
            let work = work.clone();
            let thread = thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || work(seat, make, line))
                .map_err(failed("shard threads"))?;
            starting.gos.push(go);
            starting.threads.push(thread);
        }
        drop(ready);
        for outcome in is_ready.iter().take(starting.threads.len()) {
            outcome?;
        }
        let guard = before(&shared)?;
        let threads = starting.go();
        Ok(Running {
            shared,
            settings,
            addresses,
            threads,
            has_ended,
            guard: Some(Box::new(guard)),
            _helpers: helper_threads,
        })
    }
}

/// Names what could not be made.
pub(crate) fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> DriverError {
    move |error| DriverError::System { what, error }
}

/// The life of a shard's thread: makes all that needs a descriptor, so that a shard that has started cannot fail for want
/// of one; says so; waits for the word to go; runs.
pub(crate) fn live<M, P>(
    seat: Seat<M>,
    line: Line,
    prepare: impl FnOnce(&Seat<M>) -> Result<P, String>,
    run: impl FnOnce(Seat<M>, P),
) {
    let Line { ready, go, ended } = line;
    let (id, shared) = (seat.id, Arc::clone(&seat.shared));
    let prepared = catch_unwind(AssertUnwindSafe(|| prepare(&seat)))
        .unwrap_or_else(|panic| Err(format!("panicked: {}", text_of(&*panic))));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => {
            // Whoever started us has gone if no one listens.
            let _ = ready.send(Err(DriverError::Start { shard: id.0, reason }));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    drop(ready);
    // SAFETY: a plain question to the kernel.
    shared.shards[id.index()].thread.store(unsafe { libc::gettid() }, Ordering::Relaxed);
    if go.recv().is_err() {
        return;
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seat, prepared))) {
        shared.fail(id.0, text_of(&*panic));
    }
    // No one need wonder any more why it does not move.
    shared.shards[id.index()].thread.store(0, Ordering::Relaxed);
    let _ = ended.send(());
}

/// What a panic said.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
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
