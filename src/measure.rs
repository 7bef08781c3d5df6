//! `corelane tune measure`: the disk's figures, for people and for a broker's next start.

use crate::{
    cli::TuneMeasureOptions,
    report::{Blame, Problem, fail},
};
use corelane_core::config::disk::{DISK_PROPERTIES, DiskAccess, DiskFigure, DiskFigures};
use corelane_io::{
    DirectoryLock, DriverKind, SystemDisk,
    measure::{Access, MeasureError, MeasureSettings, Measured, Measurement, measure},
    now, probe,
};
use corelane_seam::Disk as _;
use corelane_tuning::{Machine, Measurement as Known, conditions, device_identity};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// As much as caches of controllers do not hold whole, and what a slow disk still writes in some seconds.
const BYTES_MAX: u64 = 256 << 20;
/// Journals that are written at a time, at most: more do not come to more.
const SHARDS_MAX: usize = 8;

/// Runs it.
pub fn run(options: &TuneMeasureOptions) -> ExitCode {
    match measured(options) {
        Ok(file) => crate::print(&format!("\nWritten: {}\n", file.display())),
        Err(problems) => fail(Blame::Machine, &problems),
    }
}

/// Measures and writes the file; gives where it is.
fn measured(options: &TuneMeasureOptions) -> Result<PathBuf, Vec<Problem>> {
    let directory = std::path::absolute(&options.dir).unwrap_or_else(|_| options.dir.clone());
    let _lock = DirectoryLock::take(&directory).map_err(|error| vec![locked(&directory, &error)])?;
    let driver = driver(options, &directory)?;
    let machine = Machine::new(&directory, Known::Missing);
    let device = device_identity(&machine).map_err(|reason| {
        vec![Problem {
            wrong: format!("which device {} is on cannot be told: {reason}", directory.display()),
            why: "nobody would know later what was measured".into(),
            mend: "run it where /proc and /sys are mounted".into(),
        }]
    })?;
    let cpus = probe::usable_cpus().len();
    let settings = MeasureSettings {
        directory: directory.clone(),
        driver,
        time: Duration::from_secs(options.seconds.into()),
        shards: cpus.min(SHARDS_MAX) as u16,
        bytes_max: BYTES_MAX,
    };
    crate::print(&format!(
        "Measuring the disk of {} for {} s, on the {driver} driver.\n{}",
        directory.display(),
        options.seconds,
        head()
    ));
    let found = measure(&settings, |measurement| {
        crate::print(&row(&figure(measurement)));
    })
    .map_err(|error| vec![failed(&directory, &error)])?;
    let unix_s = now().unix_ms / 1000;
    let figures = DiskFigures { device, unix_s, figures: found.measurements.iter().map(figure).collect() };
    crate::print(&told(&figures, &found, cpus));
    let text = figures.render(&conditions_of(&settings, &found, &machine, unix_s));
    let file = options.out.clone().unwrap_or_else(|| directory.join(DISK_PROPERTIES));
    SystemDisk::new().replace(&file, text.as_bytes()).map_err(|error| {
        vec![Problem {
            wrong: format!("{} cannot be written: {error}", file.display()),
            why: "the broker reads the figures from it".into(),
            mend: "name another file with --out, or see who may write there (ls -ld)".into(),
        }]
    })?;
    Ok(file)
}

/// The driver that a broker would run on here.
fn driver(options: &TuneMeasureOptions, directory: &Path) -> Result<DriverKind, Vec<Problem>> {
    let wanted = probe::Wanted { shards: 1, connections: 0 };
    let readings = probe::Readings::take(Some(directory));
    let judgement = probe::judge(&readings, wanted, options.driver.asked());
    let (fatal, advice): (Vec<_>, Vec<_>) =
        judgement.findings.into_iter().partition(|finding| finding.is_fatal);
    for finding in advice {
        eprintln!("corelane tune measure: {finding}");
    }
    if fatal.is_empty() {
        return Ok(judgement.driver);
    }
    let told = fatal.into_iter().map(|finding| Problem {
        wrong: finding.what_is_wrong,
        why: finding.why_it_matters,
        mend: finding.command_that_mends,
    });
    Err(told.collect())
}

fn locked(directory: &Path, error: &std::io::Error) -> Problem {
    let shown = directory.display();
    match error.kind() {
        ErrorKind::WouldBlock => Problem {
            wrong: format!("a broker runs in {shown}, or another measurement"),
            why: "it would be slowed down, and what was measured beside it would say little of the disk"
                .into(),
            mend: format!("stop it first (fuser -v {shown}/.lock names it)"),
        },
        _ => Problem {
            wrong: format!("{shown} cannot be used: {error}"),
            why: "the disk is measured by writing to it".into(),
            mend: format!("name a directory that this user may write to with --dir (ls -ld {shown})"),
        },
    }
}

fn failed(directory: &Path, error: &MeasureError) -> Problem {
    let (why, mend) = match error {
        MeasureError::Space { .. } => (
            "a measurement is not to fill the disk",
            format!("make room there, or name another directory with --dir (df -h {})", directory.display()),
        ),
        MeasureError::Io { .. } => {
            ("what the disk does cannot be told", "see what the kernel says: dmesg | tail -n 50".to_owned())
        }
        MeasureError::Driver(_) => (
            "the disk is measured in the way in which the broker uses it",
            "try another way: --driver portable".to_owned(),
        ),
    };
    Problem { wrong: format!("{}: {error}", directory.display()), why: why.into(), mend }
}

fn figure(measurement: &Measurement) -> DiskFigure {
    let access = match measurement.access {
        Access::Write => DiskAccess::Write,
        Access::WriteFlushed => DiskAccess::WriteFlushed,
        Access::Read => DiskAccess::Read,
        Access::ReadAnywhere => DiskAccess::ReadAnywhere,
    };
    let us = |latency: Duration| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    DiskFigure {
        access,
        bytes: measurement.bytes as u64,
        depth: measurement.depth,
        per_second: measurement.per_second(),
        p50_us: us(measurement.latency.p50),
        p99_us: us(measurement.latency.p99),
        p999_us: us(measurement.latency.p999),
    }
}

fn head() -> String {
    format!(
        "\n{:<18} {:>8} {:>8} {:>9} {:>8} {:>9} {:>9} {:>9}\n",
        "", "BYTES", "AT ONCE", "PER S", "MB/S", "P50 µs", "P99 µs", "P99.9 µs"
    )
}

fn row(figure: &DiskFigure) -> String {
    let access = match figure.access {
        DiskAccess::Write => "write",
        DiskAccess::WriteFlushed => "write + fdatasync",
        DiskAccess::Read => "read",
        DiskAccess::ReadAnywhere => "read anywhere",
    };
    format!(
        "{access:<18} {:>8} {:>8} {:>9.0} {:>8.1} {:>9} {:>9} {:>9}\n",
        format!("{}K", figure.bytes / 1024),
        figure.depth,
        figure.per_second,
        figure.bytes_per_second() / 1e6,
        figure.p50_us,
        figure.p99_us,
        figure.p999_us,
    )
}

/// What a broker will make of it.
fn told(figures: &DiskFigures, found: &Measured, cpus: usize) -> String {
    let shards = u16::try_from(cpus).unwrap_or(u16::MAX);
    let mut text = String::new();
    if !found.is_direct {
        text += "\nThe file system has no direct I/O: what was not flushed is the page cache's speed, not the disk's.\n";
    }
    text += &match figures.settings(shards) {
        Ok(settings) => format!(
            "\nA broker of {shards} shards takes from this: journal groups of {} KiB, up to {} KiB waiting before a journal, \
             journals of up to {} MiB.\n",
            settings.group_bytes_max >> 10,
            settings.unsealed_bytes_max >> 10,
            settings.journal_bytes_max >> 20,
        ),
        Err(reason) => format!("\nA broker takes nothing from this: {reason}.\n"),
    };
    text
}

/// For whoever reads the file.
fn conditions_of(
    settings: &MeasureSettings,
    found: &Measured,
    machine: &Machine,
    unix_s: i64,
) -> Vec<String> {
    let date = chrono::DateTime::from_timestamp(unix_s, 0).map_or_else(String::new, |date| date.to_rfc3339());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut lines = vec![
        format!("{date}, by the system's clock; for {} s", settings.time.as_secs()),
        format!(
            "corelane {}, Linux {}, {} driver",
            env!("CARGO_PKG_VERSION"),
            kernel.trim(),
            settings.driver
        ),
        format!(
            "{} MiB of data, {}",
            found.data_bytes >> 20,
            if found.is_direct { "direct I/O" } else { "through the page cache: there is no direct I/O" }
        ),
    ];
    lines.extend(conditions(machine));
    lines
}
