//! The limit of open files.

use super::{Item, Outcome};
use crate::{Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "open-files",
    why: "Each connection, journal and open segment takes a descriptor. Near the limit the broker must close and reopen \
          segments, which puts opens into the way of reads; at the limit it accepts no one. The limit is that of the \
          shell or unit that starts the broker, so run the check there. Only the hard limit counts: the broker raises \
          its soft one by itself.",
    change: "# in the broker's systemd unit, then `systemctl daemon-reload` and a restart:\n\
             # [Service]\n\
             # LimitNOFILE=1048576\n\
             ulimit -Hn 1048576    # or, as root, in the shell that starts it\n\
             # in a container: --ulimit nofile=1048576:1048576",
    undo: "# remove the line from the unit, `systemctl daemon-reload`, restart; a shell's limit ends with the shell",
    remedy: Remedy::ByHand("a limit of the service that starts the broker; `explain` has the lines for it"),
    check,
};

/// What Kafka's own documentation asks for as a start.
const OPEN_FILES_MIN: u64 = 100_000;

fn check(readings: &dyn Readings) -> Outcome {
    let wanted = format!("at least {OPEN_FILES_MIN}");
    match readings.probe().open_files {
        // No process runs with none; it is how the probe says that it got no answer.
        (_, 0) => Outcome::cannot_tell(wanted, "the kernel does not say"),
        (_, hard) => Outcome::judged(told(hard), wanted, hard >= OPEN_FILES_MIN),
    }
}

fn told(limit: u64) -> String {
    if limit == libc::RLIM_INFINITY { "unlimited".into() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn outcome(open_files: (u64, u64)) -> Outcome {
        let mut machine = Fake::new();
        machine.probe.open_files = open_files;
        check(&machine)
    }

    #[test]
    fn enough_is_good_whatever_the_soft_limit() {
        assert_eq!(outcome((1024, 100_000)).verdict, Verdict::Good);
        let unlimited = outcome((libc::RLIM_INFINITY, libc::RLIM_INFINITY));
        assert_eq!((unlimited.found.as_str(), unlimited.verdict), ("unlimited", Verdict::Good));
    }

    #[test]
    fn one_too_few_could_be_better() {
        let outcome = outcome((99_999, 99_999));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("99999", Verdict::CouldBeBetter));
    }

    #[test]
    fn no_answer_cannot_be_told() {
        assert!(matches!(outcome((0, 0)).verdict, Verdict::CannotTell(_)));
    }
}
