//! Threads for what would block a shard: opening, replacing and removing files, warming the page cache, closing.
//!
//! Two lanes, so that zeroing a journal does not delay a cold read. Their queues hold what shards have asked for and
//! are waiting for; a shard that bounds what it asks for bounds them.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Lane {
    queue: Mutex<Queue>,
    more: Condvar,
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Jobs run outside the lock, so a panic cannot leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the job back when the lane is closed.
    fn push(&self, job: Job) -> Result<(), Job> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(job);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.more.notify_one();
        Ok(())
    }

    fn work(&self) {
        loop {
            let mut queue = self.lock();
            let job = loop {
                match queue.jobs.pop_front() {
                    Some(job) => break job,
                    None if queue.closed => return,
                    None => queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(queue);
            job();
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }
}

/// Hands jobs to the helper threads.
#[derive(Clone)]
pub(super) struct Helpers {
    changes: Arc<Lane>,
    reads: Arc<Lane>,
}

impl Helpers {
    /// Something that changes names or lengths of files.
    pub(super) fn change(&self, job: impl FnOnce() + Send + 'static) {
        Self::push(&self.changes, Box::new(job));
    }

    /// Something short that someone's read waits for, or that no one waits for.
    pub(super) fn read(&self, job: impl FnOnce() + Send + 'static) {
        Self::push(&self.reads, Box::new(job));
    }

    fn push(lane: &Lane, job: Job) {
        // Closed only when every shard has ended: no one is left whom the job could block.
        if let Err(job) = lane.push(job) {
            job();
        }
    }
}

/// The threads themselves.
pub(super) struct HelperThreads {
    helpers: Helpers,
    threads: Vec<JoinHandle<()>>,
}

/// Threads per lane: enough to keep a disk's queue from standing still behind one slow operation.
const THREADS_PER_LANE: usize = 2;

impl HelperThreads {
    pub(super) fn start() -> io::Result<HelperThreads> {
        let helpers = Helpers { changes: Arc::default(), reads: Arc::default() };
        let mut threads = Vec::new();
        for (name, lane) in [("corelane-files", &helpers.changes), ("corelane-reads", &helpers.reads)] {
            for _ in 0..THREADS_PER_LANE {
                let lane = Arc::clone(lane);
                threads.push(thread::Builder::new().name(name.into()).spawn(move || lane.work())?);
            }
        }
        Ok(HelperThreads { helpers, threads })
    }

    pub(super) fn helpers(&self) -> Helpers {
        self.helpers.clone()
    }
}

impl Drop for HelperThreads {
    /// Finishes what is queued, then ends the threads.
    fn drop(&mut self) {
        self.helpers.changes.close();
        self.helpers.reads.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a helper thread panicked");
            }
        }
    }
}
