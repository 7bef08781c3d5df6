//! The conditions of a run: without them its figures mean nothing.

use crate::clock::unix_ms;
use std::{ffi::CStr, fs, path::Path};

/// Of this machine and program.
pub fn conditions() -> Vec<(String, String)> {
    let mut found = vec![
        ("time".to_owned(), utc(unix_ms() / 1000)),
        ("kernel".to_owned(), kernel()),
        ("cpu".to_owned(), cpu()),
        ("memory".to_owned(), memory()),
        ("corelane-bench".to_owned(), version()),
    ];
    if cfg!(debug_assertions) {
        found.push(("build".to_owned(), "debug: figures of the generator are not its best".to_owned()));
    }
    found
}

/// The file system and the device that hold `path`.
pub fn disk(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(' ');
        let (device, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
        path.starts_with(at).then(|| (at.len(), format!("{kind} on {device}")))
    };
    // A later mount at the same place covers an earlier one.
    mounts
        .lines()
        .filter_map(entry)
        .max_by_key(|(length, _)| *length)
        .map_or("unknown".into(), |(_, text)| text)
}

fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("CORELANE_COMMIT") {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    }
}

fn kernel() -> String {
    // SAFETY: all-zero bytes are a valid utsname.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours for the time of the call.
    if unsafe { libc::uname(&raw mut name) } != 0 {
        return "unknown".into();
    }
    let text = |field: &[libc::c_char]| {
        // SAFETY: uname ends each of its fields with a zero byte, and `name` outlives the view.
        unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy().into_owned()
    };
    format!("{} {} {}", text(&name.sysname), text(&name.release), text(&name.machine))
}

fn cpu() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    format!("{cores} cores of {}", model.map_or("unknown model", |(_, name)| name.trim()))
}

/// All of this machine's memory.
pub fn memory_bytes() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next())?;
    Some(total.parse::<u64>().ok()? << 10)
}

fn memory() -> String {
    memory_bytes().map_or("unknown".into(), |bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)))
}

/// Seconds since 1970 as a date (proleptic Gregorian, in eras of 400 years).
pub fn utc(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
    }
}
