//! Threads for what would block a shard: opening, replacing and removing files, warming the page cache, closing; on the
//! portable driver also reading, writing and flushing.
//!
//! Lanes of their own, so that zeroing a journal does not delay a cold read, nor either a flush. Their queues hold what
//! shards have asked for and are waiting for; a shard that bounds what it asks for bounds them.

use super::{
    blocking::{FileJob, WarmJob, read_ahead},
    send::FileRange,
    shared::lock,
};
use std::{
    collections::VecDeque,
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

/// What a helper does. No allocation of its own.
pub(crate) enum Job {
    File(FileJob),
    Warm(WarmJob),
    /// What a send will need soon.
    Ahead(Vec<FileRange>),
    /// Closing may write and free blocks.
    Close(File),
}

impl Job {
    fn run(self) {
        match self {
            Job::File(job) => job.run(),
            Job::Warm(job) => job.run(),
            Job::Ahead(ranges) => read_ahead(ranges),
            Job::Close(file) => drop(file),
        }
    }
}

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
    fn push(&self, job: Job) {
        let mut queue = lock(&self.queue);
        if queue.closed {
            drop(queue);
            // Closed only when every shard has ended: no one is left whom the job could block.
            return job.run();
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.more.notify_one();
    }

    fn work(&self) {
        loop {
            let mut queue = lock(&self.queue);
            let job = loop {
                match queue.jobs.pop_front() {
                    Some(job) => break job,
                    None if queue.closed => return,
                    None => queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(queue);
            // Outside the lock, so a panic cannot leave the queue half changed.
            job.run();
        }
    }

    fn close(&self) {
        lock(&self.queue).closed = true;
        self.more.notify_all();
    }
}

/// Hands jobs to the helper threads.
#[derive(Clone)]
pub(crate) struct Helpers {
    changes: Arc<Lane>,
    reads: Arc<Lane>,
    writes: Arc<Lane>,
}

impl Helpers {
    /// Something that changes names or lengths of files.
    pub(crate) fn change(&self, job: Job) {
        self.changes.push(job);
    }

    /// Something short that someone's read waits for, or that no one waits for.
    pub(crate) fn read(&self, job: Job) {
        self.reads.push(job);
    }

    /// A write or a flush. Only where the driver has threads for them.
    pub(crate) fn write(&self, job: Job) {
        self.writes.push(job);
    }
}

/// The threads themselves.
pub(crate) struct HelperThreads {
    helpers: Helpers,
    threads: Vec<JoinHandle<()>>,
}

/// Threads for changes, and for reads: enough to keep a disk's queue from standing still behind one slow operation.
const THREADS_PER_LANE: usize = 2;

impl HelperThreads {
    /// With so many threads for writes.
    pub(crate) fn start(writers: usize) -> io::Result<HelperThreads> {
        let helpers = Helpers { changes: Arc::default(), reads: Arc::default(), writes: Arc::default() };
        // Dropped on failure, and then ends those that were started.
        let mut started = HelperThreads { helpers: helpers.clone(), threads: Vec::new() };
        for (name, lane, count) in [
            ("corelane-files", &helpers.changes, THREADS_PER_LANE),
            ("corelane-reads", &helpers.reads, THREADS_PER_LANE),
            ("corelane-writes", &helpers.writes, writers),
        ] {
            for _ in 0..count {
                let lane = Arc::clone(lane);
                started.threads.push(thread::Builder::new().name(name.into()).spawn(move || lane.work())?);
            }
        }
        Ok(started)
    }

    pub(crate) fn helpers(&self) -> Helpers {
        self.helpers.clone()
    }
}

impl Drop for HelperThreads {
    /// Finishes what is queued, then ends the threads.
    fn drop(&mut self) {
        for lane in [&self.helpers.changes, &self.helpers.reads, &self.helpers.writes] {
            lane.close();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a helper thread panicked");
            }
        }
    }
}
