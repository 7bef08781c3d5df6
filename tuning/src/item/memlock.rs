//! The limit of locked memory.

use super::{Item, Outcome, size};
use crate::{Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "memlock",
    why: "The buffers that a shard registers with its rings are locked in memory, so that the kernel need not map them \
          for each operation. Where the limit is too small the broker does not start. The limit, and the right to \
          exceed it, are those of the user and the unit that start the broker, so run the check there.",
    change: "# in the broker's systemd unit, then `systemctl daemon-reload` and a restart:\n\
             # [Service]\n\
             # LimitMEMLOCK=infinity\n\
             ulimit -l unlimited    # or, as root, in the shell that starts it\n\
             # in a container: --ulimit memlock=-1:-1",
    undo: "# remove the line from the unit, `systemctl daemon-reload`, restart; a shell's limit ends with the shell",
    remedy: Remedy::ByHand("a limit of the service that starts the broker; `explain` has the lines for it"),
    check,
};

const WANTED: &str = "unlimited, or 8 MiB";

/// Always tells: the probe reads the limit by a system call that cannot fail.
fn check(readings: &dyn Readings) -> Outcome {
    let probe = readings.probe();
    match (probe.memlock, probe.may_lock_all) {
        (None, _) => Outcome::judged("unlimited".into(), WANTED, true),
        // The probe's own rule: CAP_IPC_LOCK, or enough on a kernel that charges rings elsewhere.
        (Some(limit), true) => Outcome::judged(format!("{}, enough", size(limit)), WANTED, true),
        (Some(limit), false) => Outcome::judged(size(limit), WANTED, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn outcome(memlock: Option<u64>, may_lock_all: bool) -> Outcome {
        let mut machine = Fake::new();
        machine.probe.memlock = memlock;
        machine.probe.may_lock_all = may_lock_all;
        check(&machine)
    }

    #[test]
    fn no_limit_is_good() {
        let outcome = outcome(None, false);
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("unlimited", Verdict::Good));
    }

    #[test]
    fn a_limit_that_does_not_bind_is_good() {
        assert_eq!(outcome(Some(64 << 10), true).verdict, Verdict::Good);
    }

    #[test]
    fn a_limit_that_binds_could_be_better() {
        let outcome = outcome(Some(64 << 10), false);
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("64 KiB", Verdict::CouldBeBetter));
    }
}
