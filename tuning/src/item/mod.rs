//! One item per file. What several of them need is here.

mod clocksource;
mod cpu_governor;
mod cpu_idle;
mod cpus;
mod dirty_pages;
mod disk_measurement;
mod disk_scheduler;
mod file_system;
mod irq_affinity;
mod memlock;
mod mount_options;
mod net_buffers;
mod network;
mod nr_requests;
mod numa;
mod numa_balancing;
mod open_files;
mod rps;
mod swappiness;
mod transparent_huge_pages;
mod write_cache;
mod xps;

use crate::{Readings, Remedy};

/// All items, in the order in which they are told: CPU, memory, disk, network, limits.
pub const ITEMS: &[Item] = &[
    cpu_governor::ITEM,
    cpu_idle::ITEM,
    clocksource::ITEM,
    numa::ITEM,
    numa_balancing::ITEM,
    transparent_huge_pages::ITEM,
    swappiness::ITEM,
    dirty_pages::ITEM,
    disk_scheduler::ITEM,
    nr_requests::ITEM,
    write_cache::ITEM,
    file_system::ITEM,
    mount_options::ITEM,
    disk_measurement::ITEM,
    irq_affinity::ITEM,
    rps::ITEM,
    xps::ITEM,
    net_buffers::ITEM,
    open_files::ITEM,
    memlock::ITEM,
];

/// One setting of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// As users call it on the command line: lower case, with hyphens. Unique.
    pub name: &'static str,
    /// Why it matters for the tail.
    pub why: &'static str,
    /// What changes it: lines of commands, and of comments that begin with `#`.
    pub change: &'static str,
    /// What takes the change back, in the same form.
    pub undo: &'static str,
    /// What `apply` does about it.
    pub remedy: Remedy,
    /// Looks and judges. Changes nothing.
    pub check: fn(&dyn Readings) -> Outcome,
}

/// What an item says of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it is set to; `-` where that could not be read.
    pub found: String,
    /// What it had better be.
    pub wanted: String,
    /// The judgement.
    pub verdict: Verdict,
}

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to be done.
    Good,
    /// The tail would gain.
    CouldBeBetter,
    /// This machine has no such thing, so there is nothing to be done; with the reason.
    NotHere(String),
    /// It could not be read, or nobody knows; with the reason.
    CannotTell(String),
}

impl Outcome {
    fn judged(found: String, wanted: impl Into<String>, is_good: bool) -> Outcome {
        let verdict = if is_good { Verdict::Good } else { Verdict::CouldBeBetter };
        Outcome { found, wanted: wanted.into(), verdict }
    }

    fn not_here(wanted: impl Into<String>, reason: impl Into<String>) -> Outcome {
        Outcome { found: "-".into(), wanted: wanted.into(), verdict: Verdict::NotHere(reason.into()) }
    }

    fn cannot_tell(wanted: impl Into<String>, reason: impl Into<String>) -> Outcome {
        Outcome { found: "-".into(), wanted: wanted.into(), verdict: Verdict::CannotTell(reason.into()) }
    }
}

/// Of a list of choices, the one in brackets: `always [madvise] never`.
pub(crate) fn chosen(choices: &str) -> Option<&str> {
    choices.split_whitespace().find_map(|choice| choice.strip_prefix('[')?.strip_suffix(']'))
}

fn number(readings: &dyn Readings, path: &str) -> Result<u64, String> {
    let text = readings.text(path)?;
    text.parse().map_err(|_| format!("{path} holds {text:?}, not a number"))
}

/// A file of each disk's queue, with the disk's name.
fn of_each_disk(readings: &dyn Readings, file: &str) -> Result<Vec<(String, String)>, String> {
    let read = |disk: String| {
        let text = readings.text(&format!("/sys/block/{disk}/queue/{file}"))?;
        Ok((disk, text))
    };
    readings.disks()?.into_iter().map(read).collect()
}

/// For people: three digits are enough.
fn size(bytes: u64) -> String {
    let scaled = |unit: u32, name: &str| {
        let value = bytes as f64 / f64::from(1u32 << unit);
        if value < 10.0 && value.fract() >= 0.05 {
            format!("{value:.1} {name}")
        } else {
            format!("{value:.0} {name}")
        }
    };
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=0xf_ffff => scaled(10, "KiB"),
        0x10_0000..=0x3fff_ffff => scaled(20, "MiB"),
        0x4000_0000.. => scaled(30, "GiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use std::collections::BTreeSet;

    #[test]
    fn the_names_are_unique_and_in_the_form_of_arguments() {
        let names: BTreeSet<_> = ITEMS.iter().map(|item| item.name).collect();
        assert_eq!(names.len(), ITEMS.len());
        let fits = |name: &&str| name.chars().all(|char| char.is_ascii_lowercase() || char == '-');
        assert!(names.iter().all(fits), "{names:?}");
    }

    #[test]
    fn every_item_says_why_how_and_how_it_is_undone() {
        for item in ITEMS {
            assert!(item.why.ends_with('.'), "{}", item.name);
            assert!(!item.change.is_empty() && !item.undo.is_empty(), "{}", item.name);
        }
    }

    #[test]
    fn no_item_calls_good_or_bad_what_it_could_not_read() {
        let nothing = Fake::new();
        // For memlock, no limit is an answer: unlimited; and that nothing was measured is known.
        let is_told_all_the_same = [memlock::ITEM.name, disk_measurement::ITEM.name];
        for item in ITEMS.iter().filter(|item| !is_told_all_the_same.contains(&item.name)) {
            let outcome = (item.check)(&nothing);
            let is_open = matches!(outcome.verdict, Verdict::CannotTell(_) | Verdict::NotHere(_));
            assert!(is_open, "{}: {outcome:?}", item.name);
            assert_eq!(outcome.found, "-", "{}", item.name);
        }
    }

    #[test]
    fn the_choice_in_brackets_is_the_one_in_force() {
        assert_eq!(chosen("none [mq-deadline] bfq"), Some("mq-deadline"));
        assert_eq!(chosen("none mq-deadline"), None);
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn a_size_is_told_in_its_own_unit() {
        let told = [0, 1023, 1024, 8 << 20, 1 << 30, (3 << 30) / 2, 51 << 30].map(size);
        assert_eq!(told, ["0 B", "1023 B", "1 KiB", "8 MiB", "1 GiB", "1.5 GiB", "51 GiB"]);
    }
}
