//! What `corelane tune measure` found of a disk, as it is kept in a file, and what a broker makes of it.
//!
//! Three things follow from the figures: how large a journal's group is, how much may wait before the journal, and how large
//! a journal may become. What else a disk could bear on is left as it is; ARCHITECTURE.md says why.

use super::properties;
use crate::limits::{
    MEASURED_GROUP_BYTES_LEAST, MEASURED_GROUP_BYTES_MOST, MEASURED_JOURNAL_BYTES_LEAST, UNSEALED_BYTES_MAX,
};
use std::fmt::Write as _;

/// The file's name, in the directory whose disk was measured.
pub const DISK_PROPERTIES: &str = "disk.properties";

/// What is longer is no such file.
pub const DISK_PROPERTIES_BYTES_MAX: u64 = 64 * 1024;

/// How much of what the disk can do a group must reach. A group that moves bytes for twice as long as its flush takes reaches
/// two thirds; four fifths take nearly twice that time, which whoever came just too late waits for.
const SHARE_OF_BEST: f64 = 2.0 / 3.0;
/// What waits before the journal is written in so many seconds: on a slow disk less may wait than elsewhere.
const UNSEALED_S: f64 = 0.1;
/// All shards' journals are read, when a broker starts after a crash, in so many seconds.
const RECOVERY_S: f64 = 10.0;
/// `corelane.journal.bytes.max` where nothing is known of the disk: a faster one has no use for more.
const JOURNAL_BYTES_MOST: u64 = 1 << 30;

/// What was done with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskAccess {
    /// Writes one after the other, several at a time, flushed at their end.
    Write,
    /// Writes of which each is flushed before its file's next one.
    WriteFlushed,
    /// Reads one after the other, several at a time.
    Read,
    /// Reads from anywhere.
    ReadAnywhere,
}

impl DiskAccess {
    const ALL: [DiskAccess; 4] =
        [DiskAccess::Write, DiskAccess::WriteFlushed, DiskAccess::Read, DiskAccess::ReadAnywhere];

    fn name(self) -> &'static str {
        match self {
            DiskAccess::Write => "write",
            DiskAccess::WriteFlushed => "write.flushed",
            DiskAccess::Read => "read",
            DiskAccess::ReadAnywhere => "read.anywhere",
        }
    }
}

/// How fast one kind of access was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskFigure {
    /// Which kind.
    pub access: DiskAccess,
    /// Of each operation.
    pub bytes: u64,
    /// Operations at a time.
    pub depth: u16,
    /// Operations in a second.
    pub per_second: f64,
    /// The median of their times, in microseconds.
    pub p50_us: u64,
    /// Of a hundred, the last but one.
    pub p99_us: u64,
    /// Of a thousand, the last but one.
    pub p999_us: u64,
}

impl DiskFigure {
    /// Bytes in a second.
    pub fn bytes_per_second(&self) -> f64 {
        self.per_second * self.bytes as f64
    }
}

/// A measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskFigures {
    /// Of which device: a text that is the same as long as the device is.
    pub device: String,
    /// When, in seconds since 1970.
    pub unix_s: i64,
    /// How fast what was.
    pub figures: Vec<DiskFigure>,
}

/// What a broker is told of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// Bytes of one group of a shard's journal.
    pub group_bytes_max: usize,
    /// Bytes that wait before a shard's journal, past which appends wait.
    pub unsealed_bytes_max: u64,
    /// Bytes to which a shard's journal may grow.
    pub journal_bytes_max: u64,
}

impl DiskFigures {
    /// The file's content. `conditions` are lines for people: of the device, the file system, the versions.
    pub fn render(&self, conditions: &[String]) -> String {
        let mut text = "# What this directory's disk does, measured by `corelane tune measure` and read by a broker that \
                        starts here.\n"
            .to_owned();
        for condition in conditions {
            // A line break would end the comment.
            add(&mut text, format_args!("# {}", condition.replace(['\n', '\r'], " ")));
        }
        add(&mut text, format_args!("version=1"));
        add(&mut text, format_args!("measured.unix.seconds={}", self.unix_s));
        add(&mut text, format_args!("device={}", escaped(&self.device)));
        add(
            &mut text,
            format_args!("# ACCESS.BYTES.AT_A_TIME=operations per second, µs of one: p50 p99 p99.9"),
        );
        for figure in &self.figures {
            let DiskFigure { access, bytes, depth, per_second, p50_us, p99_us, p999_us } = figure;
            let name = access.name();
            add(
                &mut text,
                format_args!("{name}.{bytes}.{depth}={per_second:.1} {p50_us} {p99_us} {p999_us}"),
            );
        }
        text
    }

    /// Reads the file. Keys that are not known are passed over.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<DiskFigures, String> {
        let entries = properties::parse(text).map_err(|errors| errors[0].to_string())?;
        let field = |name: &str| {
            let entry = entries.iter().find(|entry| entry.key == name);
            entry.map(|entry| entry.value.trim()).ok_or_else(|| format!("it has no {name}"))
        };
        match field("version")? {
            "1" => {}
            other => return Err(format!("its layout has version {other}, this is 1")),
        }
        let unix_s = field("measured.unix.seconds")?;
        let unix_s = unix_s.parse().map_err(|_| format!("measured.unix.seconds is {unix_s:?}, no time"))?;
        let device = field("device")?.to_owned();
        let mut figures = Vec::new();
        for entry in &entries {
            if let Some((access, bytes, depth)) = accessed(&entry.key) {
                let wrong = || format!("{} is {:?}, not four numbers", entry.key, entry.value);
                figures.push(figure(access, (bytes, depth), &entry.value).ok_or_else(wrong)?);
            }
        }
        Ok(DiskFigures { device, unix_s, figures })
    }

    /// What follows for each of so many shards, which share the disk.
    ///
    /// # Errors
    /// A kind of access that it takes and that was not measured.
    pub fn settings(&self, shards: u16) -> Result<DiskSettings, String> {
        let of = |access| self.figures.iter().filter(move |figure| figure.access == access);
        let flushed = || of(DiskAccess::WriteFlushed);
        // What was measured with as many journals as there are, or nearly.
        let fitting = flushed().map(|figure| figure.depth).filter(|depth| *depth <= shards.max(1)).max();
        let depth = fitting.or_else(|| flushed().map(|figure| figure.depth).min());
        let depth = depth.ok_or("it tells nothing of flushed writes")?;
        let mut groups: Vec<&DiskFigure> = flushed().filter(|figure| figure.depth == depth).collect();
        groups.sort_by_key(|figure| figure.bytes);
        let best = groups.iter().map(|figure| figure.bytes_per_second()).fold(0.0, f64::max);
        let (least, most) = (MEASURED_GROUP_BYTES_LEAST as u64, MEASURED_GROUP_BYTES_MOST as u64);
        let group = groups
            .iter()
            .find(|figure| figure.bytes >= least && figure.bytes_per_second() >= SHARE_OF_BEST * best)
            .or(groups.last())
            .ok_or("it tells nothing of flushed writes")?;
        let group_bytes = group.bytes.clamp(least, most);
        let share = |bytes_per_second: f64, seconds: f64| {
            // Saturates, as `as` does.
            (bytes_per_second * seconds / f64::from(shards.max(1))) as u64
        };
        let unsealed = share(group.bytes_per_second(), UNSEALED_S);
        let read = of(DiskAccess::Read).map(DiskFigure::bytes_per_second).fold(0.0, f64::max);
        if read <= 0.0 {
            return Err("it tells nothing of reads".into());
        }
        let mib = |bytes: u64| bytes & !((1 << 20) - 1);
        Ok(DiskSettings {
            group_bytes_max: usize::try_from(group_bytes).expect("between two that are"),
            unsealed_bytes_max: mib(unsealed).clamp(2 * group_bytes, UNSEALED_BYTES_MAX as u64),
            journal_bytes_max: mib(share(read, RECOVERY_S))
                .clamp(MEASURED_JOURNAL_BYTES_LEAST, JOURNAL_BYTES_MOST),
        })
    }

    /// For a line of the log: one small write with its flush, and what the disk writes and reads at most.
    pub fn summary(&self) -> String {
        let flushed = self.figures.iter().filter(|figure| figure.access == DiskAccess::WriteFlushed);
        let small = flushed.min_by_key(|figure| (figure.bytes, figure.depth));
        let mut told = match small {
            Some(small) => format!(
                "{} KiB written and flushed in {} µs (p99 {} µs)",
                small.bytes / 1024,
                small.p50_us,
                small.p99_us
            ),
            None => "no flushed writes".to_owned(),
        };
        for (access, name) in [(DiskAccess::WriteFlushed, "flushed writes"), (DiskAccess::Read, "reads")] {
            let figures = self.figures.iter().filter(|figure| figure.access == access);
            let most = figures.map(DiskFigure::bytes_per_second).fold(0.0, f64::max);
            write!(told, ", {name} up to {:.0} MB/s", most / 1e6).expect("a String takes everything");
        }
        told
    }
}

fn add(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

/// A backslash, a line break, and leading blanks mean something else in a properties file.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(['\n', '\r'], " ").trim_start().to_owned()
}

/// `ACCESS.BYTES.DEPTH`.
fn accessed(key: &str) -> Option<(DiskAccess, u64, u16)> {
    let (key, depth) = key.rsplit_once('.')?;
    let (name, bytes) = key.rsplit_once('.')?;
    let access = DiskAccess::ALL.into_iter().find(|access| access.name() == name)?;
    Some((access, bytes.parse().ok()?, depth.parse().ok()?))
}

/// Of the numbers behind a key; none of them may be such that what follows from it makes no sense.
fn figure(access: DiskAccess, (bytes, depth): (u64, u16), value: &str) -> Option<DiskFigure> {
    let mut numbers = value.split_whitespace();
    let per_second = numbers.next()?.parse::<f64>().ok().filter(|rate| (0.0..=1e9).contains(rate))?;
    let mut micros = || numbers.next()?.parse::<u64>().ok();
    let (p50_us, p99_us, p999_us) = (micros()?, micros()?, micros()?);
    let is_whole = numbers.next().is_none() && bytes > 0 && bytes <= 1 << 30 && depth > 0;
    is_whole.then_some(DiskFigure { access, bytes, depth, per_second, p50_us, p99_us, p999_us })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, ReadOptions, Source};

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    /// A disk on which a write takes `flush_us` and as long as its bytes at `write` bytes in a second, whatever else is under
    /// way; and reads at `read`.
    fn disk(flush_us: f64, write: f64, read: f64, depths: &[u16]) -> DiskFigures {
        let mut figures = Vec::new();
        for depth in depths {
            for bytes in [4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB] {
                let seconds = flush_us / 1e6 + bytes as f64 / write;
                let per_second = (f64::from(*depth) / seconds).min(write / bytes as f64);
                let us = (seconds * 1e6) as u64;
                let (p50_us, p99_us, p999_us) = (us, 2 * us, 3 * us);
                let access = DiskAccess::WriteFlushed;
                figures.push(DiskFigure {
                    access,
                    bytes,
                    depth: *depth,
                    per_second,
                    p50_us,
                    p99_us,
                    p999_us,
                });
            }
        }
        let per_second = read / MIB as f64;
        let (p50_us, p99_us, p999_us) = (1, 2, 3);
        let access = DiskAccess::Read;
        figures.push(DiskFigure { access, bytes: MIB, depth: 4, per_second, p50_us, p99_us, p999_us });
        DiskFigures { device: "a disk of 8 sectors".into(), unix_s: 1_764_000_000, figures }
    }

    fn settings(figures: &DiskFigures, shards: u16) -> DiskSettings {
        figures.settings(shards).expect("all was measured")
    }

    #[test]
    fn a_disk_with_fast_flushes_has_small_groups() {
        // 20 µs, as with power-loss protection: a quarter of a megabyte reaches 87 % of 2 GB/s.
        let found = settings(&disk(20.0, 2e9, 3e9, &[1]), 1);
        assert_eq!(found.group_bytes_max as u64, 256 * KIB);
        assert_eq!(found.unsealed_bytes_max, 8 * MIB, "the most");
        assert_eq!(found.journal_bytes_max, 1024 * MIB, "the most");
    }

    #[test]
    fn a_disk_with_slow_flushes_has_large_groups_and_journals_that_are_read_in_time() {
        let turning = disk(10_000.0, 150e6, 150e6, &[1]);
        let found = settings(&turning, 1);
        assert_eq!(found.group_bytes_max as u64, 4 * MIB);
        assert_eq!(found.unsealed_bytes_max, 8 * MIB, "two groups");
        assert_eq!(found.journal_bytes_max, 1024 * MIB, "the most");
        assert_eq!(
            settings(&turning, 4).journal_bytes_max,
            357 * MIB,
            "four of them are read in ten seconds"
        );
    }

    #[test]
    fn a_disk_that_writes_slowly_has_a_short_queue() {
        let slow = disk(100.0, 60e6, 60e6, &[1]);
        let found = settings(&slow, 1);
        assert_eq!(found.group_bytes_max as u64, 256 * KIB);
        assert_eq!(found.unsealed_bytes_max, 5 * MIB, "what 59 MB/s write in a tenth of a second");
        assert_eq!(settings(&slow, 4).unsealed_bytes_max, MIB, "a share of it");
        assert_eq!(settings(&slow, 64).unsealed_bytes_max, 512 * KIB, "two groups at least");
        assert_eq!(settings(&slow, 64).journal_bytes_max, 64 * MIB, "the least");
    }

    #[test]
    fn a_disk_between_has_the_group_that_reaches_most_of_its_speed() {
        // A quarter of a megabyte takes 0.4 + 0.5 ms: 59 % of what four megabytes reach; a whole one 88 %.
        let found = settings(&disk(400.0, 500e6, 500e6, &[1]), 1);
        assert_eq!(found.group_bytes_max as u64, MIB);
    }

    #[test]
    fn what_was_measured_with_as_many_journals_as_there_are_shards_counts() {
        // Four journals at a time fill this disk with smaller groups than one does.
        let figures = disk(400.0, 500e6, 500e6, &[1, 4]);
        assert_eq!(settings(&figures, 3).group_bytes_max as u64, MIB);
        assert_eq!(settings(&figures, 4).group_bytes_max as u64, 256 * KIB);
        assert_eq!(settings(&figures, 64).group_bytes_max as u64, 256 * KIB);
        assert_eq!(settings(&disk(400.0, 500e6, 500e6, &[8]), 2).group_bytes_max as u64, 256 * KIB);
    }

    #[test]
    fn whatever_a_file_says_settings_stay_within_their_bounds() {
        for per_second in ["0", "0.0001", "1e9"] {
            for bytes in [1, 4096, 1 << 30] {
                let text = format!(
                    "version=1\nmeasured.unix.seconds=1\ndevice=d\nwrite.flushed.{bytes}.65535={per_second} 0 0 0\n\
                     read.1073741824.1=1e9 0 0 0\n"
                );
                let figures = DiskFigures::parse(&text).expect("a file");
                for shards in [0, 1, u16::MAX] {
                    let found = settings(&figures, shards);
                    let group = found.group_bytes_max;
                    assert!((MEASURED_GROUP_BYTES_LEAST..=MEASURED_GROUP_BYTES_MOST).contains(&group));
                    assert!(found.unsealed_bytes_max >= 2 * group as u64);
                    assert!(found.unsealed_bytes_max <= UNSEALED_BYTES_MAX as u64);
                    assert!(
                        (MEASURED_JOURNAL_BYTES_LEAST..=JOURNAL_BYTES_MOST)
                            .contains(&found.journal_bytes_max)
                    );
                }
            }
        }
    }

    #[test]
    fn a_file_is_read_back_as_it_was_written() {
        let mut figures = disk(200.0, 500e6, 500e6, &[1, 2]);
        figures.device = "C:\\disk = 1".into();
        for figure in &mut figures.figures {
            figure.per_second = (figure.per_second * 10.0).round() / 10.0;
        }
        let text = figures.render(&["ext4 at /".into(), "two\nlines".into()]);
        assert!(text.contains("\n# ext4 at /\n# two lines\nversion=1\n"), "{text}");
        assert_eq!(DiskFigures::parse(&text), Ok(figures));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_told_apart() {
        let text = disk(200.0, 500e6, 500e6, &[1]).render(&[]);
        for (from, to, wrong) in [
            ("version=1", "version=2", "version 2"),
            ("version=1\n", "", "no version"),
            ("device=", "devil=", "no device"),
            ("measured.unix.seconds=1", "measured.unix.seconds=x", "no time"),
            ("write.flushed.4096.1=", "write.flushed.4096.1=x", "not four numbers"),
            ("write.flushed.4096.1=", "write.flushed.4096.1=1 ", "not four numbers"),
            ("write.flushed.4096.1=", "write.flushed.0.1=", "not four numbers"),
            ("write.flushed.4096.1=", "write.flushed.4096.1=-", "not four numbers"),
        ] {
            assert!(text.contains(from), "{text}");
            let told = DiskFigures::parse(&text.replace(from, to)).expect_err("damaged");
            assert!(told.contains(wrong), "{told}");
        }
        assert!(DiskFigures::parse("disks:\n  - mountpoint: /data\n").is_err(), "another tool's");
        let bare = "version=1\nmeasured.unix.seconds=1\ndevice=d\n";
        let told = DiskFigures::parse(bare).expect("a file").settings(1).expect_err("no figures");
        assert!(told.contains("flushed writes"), "{told}");
        let unread = format!("{bare}write.flushed.4096.1=1 1 1 1\n");
        let told = DiskFigures::parse(&unread).expect("a file").settings(1).expect_err("no reads");
        assert!(told.contains("reads"), "{told}");
    }

    #[test]
    fn a_configuration_takes_from_the_disk_what_the_user_has_not_set() {
        let disk = DiskSettings {
            group_bytes_max: 1 << 18,
            unsealed_bytes_max: 5 << 20,
            journal_bytes_max: 100 << 20,
        };
        let taken = BrokerConfig::default().with_disk(disk);
        assert_eq!((taken.journal_group_bytes_max, taken.unsealed_bytes_max), (1 << 18, 5 << 20));
        assert_eq!(taken.journal_bytes_max, 100 << 20);
        let given = (Source::Override, "corelane.journal.bytes.max".to_owned(), "33554432".to_owned());
        let (config, _) = BrokerConfig::from_entries(&[given], &ReadOptions::default()).expect("read");
        let kept = config.with_disk(disk);
        assert_eq!((kept.journal_group_bytes_max, kept.journal_bytes_max), (1 << 18, 32 << 20));
    }

    #[test]
    fn the_summary_names_the_figures_that_count() {
        let told = disk(200.0, 500e6, 600e6, &[1]).summary();
        assert_eq!(
            told,
            "4 KiB written and flushed in 208 µs (p99 416 µs), flushed writes up to 488 MB/s, reads up to 600 MB/s"
        );
    }
}
