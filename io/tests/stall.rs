//! What is logged of a shard that takes too long, and of one that does not come back.

use corelane_io::{DriverKind, DriverSettings, ShardSettings, run};
use corelane_seam::{Completion, Now, Operation, Shard};
use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// Does it once, by the timer, and ends.
struct Once<F> {
    work: F,
    name: String,
}

impl<F: FnMut()> Shard for Once<F> {
    type Message = ();
    fn start(&mut self, now: Now, out: &mut Vec<Operation<()>>) {
        out.push(Operation::Timer { at: now.monotonic });
    }
    fn complete(&mut self, _now: Now, completion: Completion<()>, out: &mut Vec<Operation<()>>) {
        if matches!(completion, Completion::Timer) {
            (self.work)();
            out.push(Operation::Stopped);
        }
    }
    fn end_of_turn(&mut self, _now: Now, _out: &mut Vec<Operation<()>>) {}
    fn busy_with(&self) -> String {
        self.name.clone()
    }
}

fn run_once(driver: DriverKind, name: String, work: impl FnMut() + Send + 'static) {
    let settings = DriverSettings::new(vec![ShardSettings::default()], vec![]);
    let settings = DriverSettings { driver, ..settings };
    run(settings, vec![move || Once { work, name }]).expect("it runs").join().expect("a clean end");
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Of all tests of this process.
    fn all() -> &'static Lines {
        static LINES: OnceLock<Lines> = OnceLock::new();
        LINES.get_or_init(|| {
            let lines = Lines::default();
            let writer = lines.clone();
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
            lines
        })
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_shard_that_is_kept_busy_too_long_is_logged_with_what_it_did() {
    for driver in DriverKind::ALL {
        let lines = Lines::all();
        run_once(driver, format!("a slow request of {driver}"), || thread::sleep(Duration::from_millis(20)));
        let wanted = format!("busy_with=\"a slow request of {driver}\"");
        let text = lines.text();
        assert!(text.lines().any(|line| line.contains("kept busy") && line.contains(&wanted)), "{text}");
    }
}

/// How often a shard was reported that answers nothing.
fn alarms(lines: &Lines) -> usize {
    lines.text().lines().filter(|line| line.contains("silent_ms")).count()
}

#[test]
fn a_shard_that_does_not_come_back_is_reported_while_it_is_silent() {
    for driver in DriverKind::ALL {
        let lines = Lines::all();
        let before = alarms(lines);
        run_once(driver, format!("silence of {driver}"), move || {
            let patience = Instant::now() + Duration::from_secs(60);
            while alarms(lines) == before {
                assert!(Instant::now() < patience, "{}", lines.text());
                thread::sleep(Duration::from_millis(10));
            }
        });
    }
}
