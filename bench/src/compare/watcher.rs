//! Looks at the brokers' processes throughout their lives: memory over time.

use crate::process::glance;
use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_millis(500);

/// Seconds since the start, resident MiB, cores busy.
type Samples = Vec<(f64, f64, f64)>;
type Phases = Vec<(f64, String)>;

/// A thread that looks.
pub struct Watcher {
    started: Instant,
    phases: Arc<Mutex<Phases>>,
    stop: Sender<()>,
    thread: JoinHandle<Samples>,
}

impl Watcher {
    /// At these processes, from now on.
    pub fn start(pids: Vec<u32>) -> Watcher {
        let started = Instant::now();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut samples = Samples::new();
            let mut before: Option<(f64, Duration)> = None;
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let Ok((cpu, rss)) = glance(&pids) else { break };
                let at = started.elapsed().as_secs_f64();
                let cores =
                    before.map_or(0.0, |(then, spent)| cpu.saturating_sub(spent).as_secs_f64() / (at - then));
                samples.push((at, rss as f64 / f64::from(1 << 20), cores));
                before = Some((at, cpu));
            }
            samples
        });
        Watcher { started, phases: Arc::default(), stop, thread }
    }

    /// Notes what begins now.
    pub fn phase(&self, name: &str) {
        if let Ok(mut phases) = self.phases.lock() {
            phases.push((self.started.elapsed().as_secs_f64(), name.to_owned()));
        }
    }

    /// What was seen.
    pub fn finish(self) -> (Samples, Phases) {
        let Watcher { phases, stop, thread, .. } = self;
        // It has ended already when the processes have.
        let _ = stop.send(());
        let samples = thread.join().unwrap_or_default();
        let phases = phases.lock().map(|phases| phases.clone()).unwrap_or_default();
        (samples, phases)
    }
}
