//! Whether the kernel moves memory between nodes by itself.

use super::{Item, Outcome};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "numa-balancing",
    why: "To find out which memory is used from where, the kernel takes pages away from a program and sees who faults on \
          them; then it moves them. Each fault stops a shard for some microseconds, thousands of them at a time, for \
          memory that a bound shard already has where it wants it.",
    change: "sysctl -w kernel.numa_balancing=0\n\
             # to keep it: echo kernel.numa_balancing=0 > /etc/sysctl.d/92-corelane.conf",
    undo: "sysctl -w kernel.numa_balancing=1\n\
           rm -f /etc/sysctl.d/92-corelane.conf",
    remedy: Remedy::Files(changes),
    check,
};

const PATH: &str = "/proc/sys/kernel/numa_balancing";
const WANTED: &str = "0";

fn check(readings: &dyn Readings) -> Outcome {
    match readings.text(PATH) {
        Ok(mode) => Outcome::judged(mode.clone(), WANTED, mode == WANTED),
        Err(_) => Outcome::not_here(WANTED, "this kernel moves no memory by itself"),
    }
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    Ok(vec![Change::of(readings, PATH.into(), WANTED)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    #[test]
    fn only_off_is_good() {
        assert_eq!(check(&Fake::new().with(PATH, "0")).verdict, Verdict::Good);
        assert_eq!(check(&Fake::new().with(PATH, "1")).verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn a_kernel_that_cannot_has_none() {
        assert!(matches!(check(&Fake::new()).verdict, Verdict::NotHere(_)));
    }
}
