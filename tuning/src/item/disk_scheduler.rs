//! The scheduler of the data directory's disks.

use super::{Item, Outcome, chosen, of_each_disk};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "disk-scheduler",
    why: "A scheduler holds requests back to sort and merge them, for disks that must move a head. Solid-state disks \
          need none of that: the journal's write waits behind work that gains nothing, and all cores share the \
          scheduler's lock. A disk that turns does want mq-deadline, so that writes behind it do not starve a flush; \
          bfq shares a disk fairly, not quickly.",
    change: "# DISK as `tune check` names it\n\
             echo none > /sys/block/DISK/queue/scheduler\n\
             # to keep it, in /etc/udev/rules.d/90-corelane.rules:\n\
             # ACTION==\"add|change\", KERNEL==\"DISK\", ATTR{queue/scheduler}=\"none\"",
    undo: "# SCHEDULER as `tune check` found it before; nr_requests begins anew with it\n\
           echo SCHEDULER > /sys/block/DISK/queue/scheduler\n\
           rm -f /etc/udev/rules.d/90-corelane.rules",
    remedy: Remedy::Files(changes),
    check,
};

const SOLID: &str = "none";
const TURNING: &str = "mq-deadline or none";

fn check(readings: &dyn Readings) -> Outcome {
    judge(readings).unwrap_or_else(|reason| Outcome::cannot_tell(SOLID, reason))
}

fn judge(readings: &dyn Readings) -> Result<Outcome, String> {
    let schedulers = of_each_disk(readings, "scheduler")?;
    let turning = of_each_disk(readings, "rotational")?;
    let mut found = Vec::new();
    let mut is_good = true;
    for ((disk, text), (_, turns)) in schedulers.iter().zip(&turning) {
        // A device without a choice, as zram, shows none or nothing at all.
        let scheduler = chosen(text).unwrap_or(text);
        let kind = if turns == "1" { "turning" } else { "solid state" };
        // Virtual disks often say that they turn; behind them the host schedules, and none is right again.
        is_good &= scheduler == "none" || (scheduler == "mq-deadline" && turns == "1");
        found.push(format!("{scheduler} ({disk}, {kind})"));
    }
    let wanted = if turning.iter().any(|(_, turns)| turns == "1") { TURNING } else { SOLID };
    Ok(Outcome::judged(found.join(", "), wanted, is_good))
}

pub(super) fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for (disk, text) in of_each_disk(readings, "scheduler")? {
        let turns = readings.text(&format!("/sys/block/{disk}/queue/rotational"))? == "1";
        let scheduler = chosen(&text).unwrap_or(&text);
        if scheduler != "none" && !(scheduler == "mq-deadline" && turns) {
            // Every kernel that has blk-mq offers none; mq-deadline may be a module that is not there.
            let wanted = if turns && text.contains("mq-deadline") { "mq-deadline" } else { "none" };
            changes.push(Change::of(readings, format!("/sys/block/{disk}/queue/scheduler"), wanted)?);
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn machine(disks: &[(&str, &str, &str)]) -> Fake {
        let names: Vec<_> = disks.iter().map(|(name, _, _)| *name).collect();
        disks.iter().fold(Fake::new().with_disks(&names), |machine, (name, scheduler, turns)| {
            machine
                .with(&format!("/sys/block/{name}/queue/scheduler"), scheduler)
                .with(&format!("/sys/block/{name}/queue/rotational"), turns)
        })
    }

    #[test]
    fn none_is_good() {
        let outcome = check(&machine(&[("nvme0n1", "[none] mq-deadline bfq", "0")]));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("none (nvme0n1, solid state)", Verdict::Good));
        assert_eq!(check(&machine(&[("vda", "[none] mq-deadline", "1")])).verdict, Verdict::Good);
    }

    #[test]
    fn mq_deadline_is_for_disks_that_turn() {
        assert_eq!(check(&machine(&[("sda", "none [mq-deadline]", "1")])).verdict, Verdict::Good);
        assert_eq!(check(&machine(&[("sda", "none [mq-deadline]", "0")])).verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn bfq_could_be_better_on_any_disk() {
        assert_eq!(check(&machine(&[("sda", "none [bfq]", "1")])).verdict, Verdict::CouldBeBetter);
        assert_eq!(check(&machine(&[("sda", "none [bfq]", "0")])).verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn one_disk_of_a_raid_is_enough_to_be_better() {
        let outcome = check(&machine(&[("nvme0n1", "[none] kyber", "0"), ("nvme1n1", "none [kyber]", "0")]));
        assert_eq!(outcome.found, "none (nvme0n1, solid state), kyber (nvme1n1, solid state)");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn a_disk_without_a_queue_cannot_be_told() {
        let outcome = check(&Fake::new().with_disks(&["zram0"]));
        assert!(matches!(outcome.verdict, Verdict::CannotTell(reason) if reason.contains("zram0")));
    }
}
