//! How readily the kernel swaps.

use super::{Item, Outcome, number};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "swappiness",
    why: "The kernel makes room for the page cache by swapping out memory that was not used for a while, and the buffers \
          and tables of a quiet partition are such memory. The next request for it then waits for the disk, once for \
          each page, on the thread that serves all other connections of its shard.",
    change: "sysctl -w vm.swappiness=1\n\
             # to keep it: echo vm.swappiness=1 > /etc/sysctl.d/90-corelane.conf\n\
             # or have no swap at all: swapoff -a",
    undo: "# NUMBER as `tune check` found it before\n\
           sysctl -w vm.swappiness=NUMBER\n\
           rm -f /etc/sysctl.d/90-corelane.conf; swapon -a",
    remedy: Remedy::Files(changes),
    check,
};

const WANTED: &str = "at most 1, or no swap";
const SWAPPINESS_MAX: u64 = 1;

fn check(readings: &dyn Readings) -> Outcome {
    judge(readings).unwrap_or_else(|reason| Outcome::cannot_tell(WANTED, reason))
}

fn judge(readings: &dyn Readings) -> Result<Outcome, String> {
    // One line of headings, then a line for each swap space.
    if readings.text("/proc/swaps")?.lines().count() < 2 {
        return Ok(Outcome::judged("no swap".into(), WANTED, true));
    }
    let swappiness = number(readings, "/proc/sys/vm/swappiness")?;
    Ok(Outcome::judged(swappiness.to_string(), WANTED, swappiness <= SWAPPINESS_MAX))
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    Ok(vec![Change::of(readings, "/proc/sys/vm/swappiness".into(), "1")?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    const HEADINGS: &str = "Filename\tType\tSize\tUsed\tPriority";

    fn with_swap(swappiness: &str) -> Outcome {
        let swaps = format!("{HEADINGS}\n/dev/sda2 partition 8388604 0 -2");
        check(&Fake::new().with("/proc/swaps", &swaps).with("/proc/sys/vm/swappiness", swappiness))
    }

    #[test]
    fn one_and_less_is_good() {
        assert_eq!(with_swap("0").verdict, Verdict::Good);
        assert_eq!(with_swap("1").verdict, Verdict::Good);
    }

    #[test]
    fn the_usual_sixty_could_be_better() {
        let outcome = with_swap("60");
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("60", Verdict::CouldBeBetter));
    }

    #[test]
    fn without_swap_any_number_is_good() {
        let machine = Fake::new().with("/proc/swaps", HEADINGS).with("/proc/sys/vm/swappiness", "60");
        assert_eq!(check(&machine).verdict, Verdict::Good);
    }

    #[test]
    fn what_is_not_a_number_cannot_be_told() {
        assert!(matches!(with_swap("much").verdict, Verdict::CannotTell(_)));
    }
}
