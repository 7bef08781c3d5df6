//! How far long work is, for a person who waits: on standard error, where that is a terminal and the output goes elsewhere.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(200);

/// Counts, and shows it a few times in a second. Silent where nobody would see it, or it would stand among the output.
pub struct Progress {
    what: &'static str,
    began: Instant,
    shown: Option<Instant>,
    count: u64,
    is_shown: bool,
}

impl Progress {
    /// Of things called `what`; `elsewhere`: whether the work's input or output is no terminal.
    pub fn new(what: &'static str, elsewhere: bool) -> Progress {
        let is_shown = elsewhere && std::io::stderr().is_terminal();
        Progress { what, began: Instant::now(), shown: None, count: 0, is_shown }
    }

    /// One more is done.
    pub fn step(&mut self) {
        self.count += 1;
        // Asking for the time costs more than counting.
        if self.is_shown && self.count.is_multiple_of(64) {
            self.show();
        }
    }

    fn show(&mut self) {
        let now = Instant::now();
        if self.shown.is_none_or(|shown| now - shown >= PAUSE) {
            self.shown = Some(now);
            // What cannot be shown is not missed.
            let _ = write!(std::io::stderr(), "\r{}\x1b[K", line(self.count, self.what, now - self.began));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(count: u64, what: &str, elapsed: Duration) -> String {
    let rate = count as f64 / elapsed.as_secs_f64().max(0.001);
    format!("{count} {what}, {rate:.0}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_count_and_a_rate() {
        assert_eq!(line(500, "records", Duration::from_secs(2)), "500 records, 250/s");
    }
}
