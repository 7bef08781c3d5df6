//! How much unwritten data the page cache may hold.

use super::{Item, Outcome, number, size};
use crate::{Change, Readings, Remedy, Setting};

pub(super) const ITEM: Item = Item {
    name: "dirty-pages",
    why: "The broker writes its log past the page cache, but others on the machine do not: copies, backups, log files. \
          The default lets them gather a tenth of all memory before the kernel begins to write, which then goes to the \
          disk in one long burst, and every flush of the broker's journal waits in the same queue. Small limits make \
          that a steady trickle.",
    change: "sysctl -w vm.dirty_background_bytes=268435456 vm.dirty_bytes=1073741824\n\
             # to keep it: write both as lines into /etc/sysctl.d/91-corelane.conf",
    undo: "# the kernel's defaults; setting a ratio clears the bytes\n\
           sysctl -w vm.dirty_background_ratio=10 vm.dirty_ratio=20\n\
           rm -f /etc/sysctl.d/91-corelane.conf",
    remedy: Remedy::Files(changes),
    check,
};

/// About what a disk of 500 MB/s writes in half a second, and in two.
const BACKGROUND_BYTES_MAX: u64 = 256 << 20;
const LIMIT_BYTES_MAX: u64 = 1 << 30;

fn check(readings: &dyn Readings) -> Outcome {
    let wanted = format!("at most {}, {}", size(BACKGROUND_BYTES_MAX), size(LIMIT_BYTES_MAX));
    let both = threshold(readings, "dirty_background")
        .and_then(|background| Ok((background, threshold(readings, "dirty")?)));
    match both {
        Ok((background, limit)) => {
            let is_good = background.bytes <= BACKGROUND_BYTES_MAX && limit.bytes <= LIMIT_BYTES_MAX;
            Outcome::judged(format!("{}, {}", background.told, limit.told), wanted, is_good)
        }
        Err(reason) => Outcome::cannot_tell(wanted, reason),
    }
}

struct Threshold {
    bytes: u64,
    told: String,
}

/// Bytes, or where they are 0 the ratio. The kernel takes the ratio of the memory that is free or easily freed; all of
/// the memory is the most that can be, and does not change from one check to the next.
fn threshold(readings: &dyn Readings, name: &str) -> Result<Threshold, String> {
    let bytes = number(readings, &format!("/proc/sys/vm/{name}_bytes"))?;
    if bytes > 0 {
        return Ok(Threshold { bytes, told: size(bytes) });
    }
    let percent = number(readings, &format!("/proc/sys/vm/{name}_ratio"))?;
    let bytes = memory_bytes(readings)?.saturating_mul(percent) / 100;
    Ok(Threshold { bytes, told: format!("{percent} % ({})", size(bytes)) })
}

fn memory_bytes(readings: &dyn Readings) -> Result<u64, String> {
    let text = readings.text("/proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let kib = total.and_then(|kib| kib.parse::<u64>().ok());
    Ok(kib.ok_or("/proc/meminfo tells no MemTotal")?.saturating_mul(1024))
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for (name, most) in [("dirty_background", BACKGROUND_BYTES_MAX), ("dirty", LIMIT_BYTES_MAX)] {
        if threshold(readings, name)?.bytes > most {
            let mut change = Change::of(readings, format!("/proc/sys/vm/{name}_bytes"), &most.to_string())?;
            // Bytes of 0 mean that the ratio holds; writing the ratio is what clears the bytes.
            if change.undo.value == "0" {
                let path = format!("/proc/sys/vm/{name}_ratio");
                change.undo = Setting { value: readings.text(&path)?, path };
            }
            changes.push(change);
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn machine(background: (&str, &str), limit: (&str, &str), memory_kib: u64) -> Fake {
        Fake::new()
            .with("/proc/sys/vm/dirty_background_bytes", background.0)
            .with("/proc/sys/vm/dirty_background_ratio", background.1)
            .with("/proc/sys/vm/dirty_bytes", limit.0)
            .with("/proc/sys/vm/dirty_ratio", limit.1)
            .with("/proc/meminfo", &format!("MemTotal:       {memory_kib} kB\nMemFree:  5 kB"))
    }

    const DEFAULTS: [(&str, &str); 2] = [("0", "10"), ("0", "20")];

    #[test]
    fn small_numbers_of_bytes_are_good() {
        let outcome = check(&machine(("268435456", "0"), ("1073741824", "0"), 256 << 20));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("256 MiB, 1 GiB", Verdict::Good));
    }

    #[test]
    fn ratios_of_little_memory_are_good() {
        assert_eq!(check(&machine(DEFAULTS[0], DEFAULTS[1], 2 << 20)).verdict, Verdict::Good);
    }

    #[test]
    fn ratios_of_much_memory_could_be_better() {
        let outcome = check(&machine(DEFAULTS[0], DEFAULTS[1], 256 << 20));
        assert_eq!(outcome.found, "10 % (26 GiB), 20 % (51 GiB)");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn a_large_limit_alone_could_be_better() {
        let outcome = check(&machine(("1048576", "0"), DEFAULTS[1], 256 << 20));
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn a_ratio_of_an_unknown_memory_cannot_be_told() {
        let machine = machine(DEFAULTS[0], DEFAULTS[1], 1).with("/proc/meminfo", "MemFree: 5 kB");
        assert_eq!(check(&machine).verdict, Verdict::CannotTell("/proc/meminfo tells no MemTotal".into()));
    }
}
