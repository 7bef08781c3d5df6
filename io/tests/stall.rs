//! The stall detector's log line.

use corelane_io::{DriverKind, DriverSettings, ShardSettings, run};
use corelane_seam::{Completion, Now, Operation, Shard};
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

struct Slow;

impl Shard for Slow {
    type Message = ();
    fn start(&mut self, now: Now, out: &mut Vec<Operation<()>>) {
        out.push(Operation::Timer { at: now.monotonic });
    }
    fn complete(&mut self, _now: Now, completion: Completion<()>, out: &mut Vec<Operation<()>>) {
        if matches!(completion, Completion::Timer) {
            std::thread::sleep(Duration::from_millis(20));
            out.push(Operation::Stopped);
        }
    }
    fn end_of_turn(&mut self, _now: Now, _out: &mut Vec<Operation<()>>) {}
    fn busy_with(&self) -> String {
        "a slow request".to_owned()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

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
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    for driver in [DriverKind::Glommio, DriverKind::Portable] {
        let settings = DriverSettings::new(vec![ShardSettings::default()], vec![]);
        let running = run(DriverSettings { driver, ..settings }, vec![|| Slow]).expect("it runs");
        running.join().expect("a clean end");
        let text = String::from_utf8(std::mem::take(&mut *lines.0.lock().expect("no panic"))).expect("text");
        assert!(text.contains("kept busy") && text.contains("a slow request"), "{driver:?}: {text}");
    }
}
