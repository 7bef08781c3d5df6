//! What happened, folded into one number and kept for the last events.

use std::{collections::VecDeque, fmt};

/// A digest of everything that happened, in order. Two runs with the same digest were the same run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleHash(u64);

impl Default for ScheduleHash {
    fn default() -> Self {
        ScheduleHash(0xcbf2_9ce4_8422_2325)
    }
}

impl ScheduleHash {
    /// Folds a number in.
    pub fn word(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    /// Folds bytes in. Every word of a lane waits for the one before it, so long ones are folded in four lanes side by side.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (rows, rest) = bytes.as_chunks::<32>();
        if !rows.is_empty() {
            let mut lanes = [*self; 4];
            for row in rows {
                let (words, _) = row.as_chunks::<8>();
                lanes.iter_mut().zip(words).for_each(|(lane, word)| lane.word(u64::from_le_bytes(*word)));
            }
            lanes.iter().for_each(|lane| self.word(lane.0));
        }
        let (words, rest) = rest.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(word));
        }
    }

    /// As a number to print and compare.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// The last events in words, for whoever reads a failure; all of them on standard error when asked.
#[derive(Debug)]
pub struct Trace {
    /// When, in nanoseconds, and what.
    last: VecDeque<(u64, String)>,
    kept: usize,
    print: bool,
}

impl Trace {
    /// Keeps the last `kept` lines, prints every line at once if `print`.
    pub fn new(kept: usize, print: bool) -> Trace {
        Trace { last: VecDeque::with_capacity(kept), kept, print }
    }

    /// Notes a line.
    pub fn note(&mut self, now_ns: u64, line: fmt::Arguments<'_>) {
        if self.print {
            eprintln!("{}", at(now_ns, &line));
        }
        if self.kept == 0 {
            return;
        }
        // Most lines are never looked at: the oldest gives its memory to the newest, and times become words at the end.
        let oldest = if self.last.len() < self.kept { None } else { self.last.pop_front() };
        let mut text = oldest.map(|(_, text)| text).unwrap_or_default();
        text.clear();
        fmt::Write::write_fmt(&mut text, line).expect("a string takes what is written");
        self.last.push_back((now_ns, text));
    }

    /// The last lines with their times, oldest first.
    pub fn last(&self) -> impl Iterator<Item = String> {
        self.last.iter().map(|(now_ns, line)| at(*now_ns, line))
    }
}

fn at(now_ns: u64, line: &dyn fmt::Display) -> String {
    format!("{:>12.3} ms  {line}", now_ns as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_order_and_on_lengths() {
        let fold = |parts: &[&[u8]]| {
            let mut hash = ScheduleHash::default();
            parts.iter().for_each(|part| hash.bytes(part));
            hash
        };
        assert_ne!(fold(&[b"a", b"b"]), fold(&[b"b", b"a"]));
        assert_ne!(fold(&[b"a", b""]), fold(&[b"", b"a"]));
        assert_ne!(fold(&[b"a"]), fold(&[b"a\0"]));
    }

    #[test]
    fn the_hash_depends_on_every_byte_of_long_ones_and_on_where_it_stands() {
        let fold = |bytes: &[u8]| {
            let mut hash = ScheduleHash::default();
            hash.bytes(bytes);
            hash.value()
        };
        let zeros = [0; 77];
        let mut seen = vec![fold(&zeros)];
        for at in 0..zeros.len() {
            let mut bytes = zeros;
            bytes[at] = 1;
            seen.push(fold(&bytes));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), zeros.len() + 1);
    }

    #[test]
    fn the_trace_keeps_only_the_last_lines() {
        let mut trace = Trace::new(2, false);
        for line in ["one", "two", "three"] {
            trace.note(0, format_args!("{line}"));
        }
        let last: Vec<String> = trace.last().collect();
        assert_eq!(last, ["       0.000 ms  two", "       0.000 ms  three"]);
    }
}
