//! How many requests a disk's scheduler holds.

use super::{Item, Outcome, chosen, disk_scheduler, of_each_disk};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "nr-requests",
    why: "Past this many requests whoever asks next sleeps until one is done: a shard that writes its journal then waits for \
          the writes of others, before its own has even begun. Too many do harm as well where a disk turns: what the page \
          cache writes fills the queue, and a flush comes after all of it, at a hundred requests a second. With the \
          scheduler none the number is the disk's own, and there is nothing to choose.",
    change: "# DISK as `tune check` names it\n\
             echo 128 > /sys/block/DISK/queue/nr_requests\n\
             # to keep it, in /etc/udev/rules.d/90-corelane.rules:\n\
             # ACTION==\"add|change\", KERNEL==\"DISK\", ATTR{queue/nr_requests}=\"128\"",
    undo: "# NUMBER as `tune check` found it before\n\
           echo NUMBER > /sys/block/DISK/queue/nr_requests\n\
           rm -f /etc/udev/rules.d/90-corelane.rules",
    remedy: Remedy::Files(changes),
    check,
};

/// A dozen shards, each with a group in its journal and some segments behind it.
const LEAST: u64 = 64;
/// Of a disk that turns: a second or two of its work.
const TURNING_MOST: u64 = 256;
/// The kernel's own default.
const SET: u64 = 128;

struct Queue {
    disk: String,
    requests: u64,
    is_scheduled: bool,
    turns: bool,
}

impl Queue {
    fn is_good(&self) -> bool {
        let most = if self.turns { TURNING_MOST } else { u64::MAX };
        !self.is_scheduled || (LEAST..=most).contains(&self.requests)
    }
}

fn queues(readings: &dyn Readings) -> Result<Vec<Queue>, String> {
    let requests = of_each_disk(readings, "nr_requests")?;
    let schedulers = of_each_disk(readings, "scheduler")?;
    let turning = of_each_disk(readings, "rotational")?;
    let queue = |(((disk, requests), (_, scheduler)), (_, turns)): (((String, String), _), _)| {
        let (scheduler, turns): (String, String) = (scheduler, turns);
        Ok(Queue {
            requests: requests
                .parse()
                .map_err(|_| format!("{disk} has {requests:?} requests, not a number"))?,
            disk,
            is_scheduled: !["none", ""].contains(&chosen(&scheduler).unwrap_or(&scheduler)),
            turns: turns == "1",
        })
    };
    requests.into_iter().zip(schedulers).zip(turning).map(queue).collect()
}

fn check(readings: &dyn Readings) -> Outcome {
    let wanted = format!("{LEAST} or more, where a disk turns up to {TURNING_MOST}");
    match queues(readings) {
        Ok(queues) => {
            let told = |queue: &Queue| {
                let own = if queue.is_scheduled { "" } else { ", its own" };
                format!("{} ({}{own})", queue.requests, queue.disk)
            };
            let found = queues.iter().map(told).collect::<Vec<_>>().join(", ");
            Outcome::judged(found, wanted, queues.iter().all(Queue::is_good))
        }
        Err(reason) => Outcome::cannot_tell(wanted, reason),
    }
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    // Another scheduler begins with a number of its own.
    let rescheduled: Vec<String> =
        disk_scheduler::changes(readings)?.into_iter().map(|change| change.to.path).collect();
    let mut changes = Vec::new();
    for Queue { disk, .. } in queues(readings)?.iter().filter(|queue| !queue.is_good()) {
        let directory = format!("/sys/block/{disk}/queue");
        if rescheduled.contains(&format!("{directory}/scheduler")) {
            return Err(format!(
                "the scheduler of {disk} is to be changed (disk-scheduler), which sets it anew"
            ));
        }
        changes.push(Change::of(readings, format!("{directory}/nr_requests"), &SET.to_string())?);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn machine(requests: &str, scheduler: &str, turns: &str) -> Fake {
        Fake::new()
            .with_disks(&["sda"])
            .with("/sys/block/sda/queue/nr_requests", requests)
            .with("/sys/block/sda/queue/scheduler", scheduler)
            .with("/sys/block/sda/queue/rotational", turns)
    }

    #[test]
    fn a_schedulers_queue_is_to_hold_enough_and_where_the_disk_turns_not_too_much() {
        let verdict =
            |requests: &str, turns: &str| check(&machine(requests, "none [mq-deadline]", turns)).verdict;
        assert_eq!(verdict("63", "0"), Verdict::CouldBeBetter);
        assert_eq!(verdict("64", "0"), Verdict::Good);
        assert_eq!(verdict("2048", "0"), Verdict::Good);
        assert_eq!(verdict("256", "1"), Verdict::Good);
        assert_eq!(verdict("257", "1"), Verdict::CouldBeBetter);
    }

    #[test]
    fn a_disks_own_number_is_no_matter_of_choice() {
        let outcome = check(&machine("32", "[none] mq-deadline", "1"));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("32 (sda, its own)", Verdict::Good));
        assert_eq!(check(&machine("32", "none", "0")).verdict, Verdict::Good);
    }

    #[test]
    fn it_is_left_alone_where_the_scheduler_is_to_be_another() {
        let changed = changes(&machine("1024", "none [mq-deadline]", "1")).expect("offered");
        assert_eq!((changed[0].to.value.as_str(), changed[0].undo.value.as_str()), ("128", "1024"));
        let reason = changes(&machine("32", "none [bfq]", "0")).expect_err("left alone");
        assert!(reason.contains("scheduler of sda"), "{reason}");
    }

    #[test]
    fn what_is_not_a_number_cannot_be_told() {
        assert!(matches!(check(&machine("many", "[bfq]", "0")).verdict, Verdict::CannotTell(_)));
    }
}
