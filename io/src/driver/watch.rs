//! A thread that reports a shard that should move and does not. It mends nothing: no wake-up is lost here.

use super::{shared::Shared, silence::Vigil};
use std::{
    io,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const LOOK: Duration = Duration::from_millis(250);

/// The thread; ends when dropped.
pub(crate) struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Watch> {
        let (stop, stops) = mpsc::channel();
        let thread = thread::Builder::new().name("corelane-watch".into()).spawn(move || {
            let mut vigils: Vec<(u64, Vigil)> = shared.shards.iter().map(|_| Default::default()).collect();
            while stops.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                for ((index, shard), (seen, vigil)) in shared.shards.iter().enumerate().zip(&mut vigils) {
                    let turns = shard.turns.load(Ordering::Relaxed);
                    // One that sleeps has nothing to do: who has something for it wakes it first.
                    if turns != *seen || shard.doorbell.is_sleeping() {
                        (*seen, *vigil) = (turns, Vigil::default());
                    } else {
                        vigil.goes_on(index, shard, LOOK);
                    }
                }
            }
        })?;
        Ok(Watch { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches shards panicked");
        }
    }
}
