//! Which transmit queue a CPU uses.

use super::{
    Item, Outcome, cpus,
    network::{self, NO_DEVICE, counted},
};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "xps",
    why: "Without transmit packet steering a connection's queue is drawn by lot, so that cores meet at the same queue, wait \
          for its lock, and clean up what another core has sent. Each core bound to a queue of its own meets no one. Many \
          drivers do that by themselves; a device with one queue has nothing to choose.",
    change: "# of each transmit queue of DEVICE, another MASK of CPUs: 1, 2, 4, 8, ...\n\
             echo MASK > /sys/class/net/DEVICE/queues/tx-NUMBER/xps_cpus",
    undo: "echo 0 | tee /sys/class/net/DEVICE/queues/tx-*/xps_cpus",
    remedy: Remedy::Files(changes),
    check,
};

const WANTED: &str = "each queue bound to cores";

/// A device with a choice.
struct Chooser {
    device: String,
    /// The file of each queue that binds cores to it, with the mask in it.
    queues: Vec<(String, String)>,
}

impl Chooser {
    fn unbound(&self) -> usize {
        self.queues.iter().filter(|(_, mask)| is_unbound(mask)).count()
    }
}

/// The devices with more than one transmit queue.
fn choosers(readings: &dyn Readings) -> Result<Vec<Chooser>, String> {
    let mut choosers = Vec::new();
    for device in network::devices(readings) {
        let queues = network::queues(readings, &device, "tx");
        if queues.len() < 2 {
            continue;
        }
        let read = |queue: String| {
            let path = format!("{queue}/xps_cpus");
            let mask = readings.text(&path)?;
            Ok((path, mask))
        };
        let queues = queues.into_iter().map(read).collect::<Result<Vec<_>, String>>()?;
        choosers.push(Chooser { device, queues });
    }
    Ok(choosers)
}

/// A queue to which no CPU is bound.
fn is_unbound(mask: &str) -> bool {
    cpus::of_mask(mask).is_none_or(|cpus| cpus.is_empty())
}

fn check(readings: &dyn Readings) -> Outcome {
    if network::devices(readings).is_empty() {
        return Outcome::not_here(WANTED, NO_DEVICE);
    }
    let choosers = match choosers(readings) {
        Ok(choosers) => choosers,
        Err(reason) => return Outcome::cannot_tell(WANTED, reason),
    };
    if choosers.is_empty() {
        return Outcome::not_here(WANTED, "no network device here has more than one transmit queue");
    }
    let told = |chooser: &Chooser| {
        let queues = counted(chooser.queues.len(), "queue");
        format!("{}: {queues}, {} unbound", chooser.device, chooser.unbound())
    };
    let found = choosers.iter().map(told).collect::<Vec<_>>().join("; ");
    Outcome::judged(found, WANTED, choosers.iter().all(|chooser| chooser.unbound() == 0))
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    let online = cpus::online(readings)?;
    let mut changes = Vec::new();
    // A CPU that is bound to one queue never chooses an unbound one: where there is one, all are laid out anew.
    for chooser in choosers(readings)?.into_iter().filter(|chooser| chooser.unbound() > 0) {
        let count = chooser.queues.len();
        for (queue, (path, mask)) in chooser.queues.into_iter().enumerate() {
            let mut mine: Vec<usize> = online.iter().copied().skip(queue).step_by(count).collect();
            if mine.is_empty() {
                // More queues than CPUs.
                mine.push(online[queue % online.len()]);
            }
            let wanted = cpus::to_mask(&mine, &mask);
            if wanted != mask {
                changes.push(Change::of(readings, path, &wanted)?);
            }
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake, item::network::with_device};

    fn machine(queues: usize) -> Fake {
        with_device(Fake::new().with("/sys/devices/system/cpu/online", "0-3"), "eth0", 1, queues)
    }

    fn values(machine: &Fake) -> Vec<String> {
        changes(machine).expect("offered").into_iter().map(|change| change.to.value).collect()
    }

    #[test]
    fn unbound_queues_could_be_better_and_share_the_cores() {
        let outcome = check(&machine(2));
        assert_eq!(outcome.found, "eth0: 2 queues, 2 unbound");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
        assert_eq!(values(&machine(2)), ["05", "0a"]);
        assert_eq!(values(&machine(6)), ["01", "02", "04", "08", "01", "02"]);
    }

    #[test]
    fn what_the_driver_has_bound_is_good() {
        let bound = machine(2)
            .with("/sys/class/net/eth0/queues/tx-0/xps_cpus", "03")
            .with("/sys/class/net/eth0/queues/tx-1/xps_cpus", "0c");
        assert_eq!(check(&bound).verdict, Verdict::Good);
        assert_eq!(values(&bound), Vec::<String>::new());
    }

    #[test]
    fn a_device_with_one_queue_has_nothing_to_choose() {
        assert!(matches!(check(&machine(1)).verdict, Verdict::NotHere(_)));
        assert!(matches!(check(&Fake::new()).verdict, Verdict::NotHere(_)));
    }
}
