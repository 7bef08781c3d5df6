//! Which CPUs do the protocol's work for what comes in.

use super::{
    Item, Outcome, cpus,
    network::{self, NO_DEVICE, counted},
    number,
};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "rps",
    why: "Where a network device has fewer queues than there are cores, the few cores that it interrupts do the protocol's \
          work for all, and their shards' clients wait for everyone's traffic. Receive packet steering hands each flow's \
          packets on to another core, and with flow steering (RFS) to the one on which its shard reads them. With a queue \
          for each core the device does that itself.",
    change: "# MASK of all CPUs, as f for four; of each receive queue of DEVICE:\n\
             sysctl -w net.core.rps_sock_flow_entries=32768\n\
             echo MASK | tee /sys/class/net/DEVICE/queues/rx-*/rps_cpus\n\
             echo 32768 | tee /sys/class/net/DEVICE/queues/rx-*/rps_flow_cnt    # divided by the number of queues\n\
             # better, where the device can: ethtool -L DEVICE combined CPUS",
    undo: "echo 0 | tee /sys/class/net/DEVICE/queues/rx-*/rps_cpus\n\
           echo 0 | tee /sys/class/net/DEVICE/queues/rx-*/rps_flow_cnt\n\
           sysctl -w net.core.rps_sock_flow_entries=0",
    remedy: Remedy::Files(changes),
    check,
};

const WANTED: &str = "a queue for each core, or flows steered to all";
const FLOWS_PATH: &str = "/proc/sys/net/core/rps_sock_flow_entries";
/// As many as Seastar's and Redpanda's tuners set: for that many busy connections each has a place of its own.
const FLOWS: u64 = 32_768;

/// A device and what its queues lack.
struct Steering {
    device: String,
    queues: usize,
    has_enough: bool,
    changes: Vec<Change>,
}

/// Of each device that has receive queues.
fn steerings(readings: &dyn Readings) -> Result<Vec<Steering>, String> {
    let online = cpus::online(readings)?;
    let mut steerings = Vec::new();
    for device in network::devices(readings) {
        let queues = network::queues(readings, &device, "rx");
        let (mut changes, has_enough) = (Vec::new(), queues.len() >= online.len());
        // The kernel rounds up to a power of two.
        let flows = 1u64 << (FLOWS / queues.len().max(1) as u64).max(1).ilog2();
        for queue in queues.iter().filter(|_| !has_enough) {
            let path = format!("{queue}/rps_cpus");
            let mask = readings.text(&path)?;
            let steered = cpus::of_mask(&mask).unwrap_or_default();
            if !online.iter().all(|cpu| steered.contains(cpu)) {
                changes.push(Change::of(readings, path, &cpus::to_mask(&online, &mask))?);
            }
            let path = format!("{queue}/rps_flow_cnt");
            if number(readings, &path)? == 0 {
                changes.push(Change::of(readings, path, &flows.to_string())?);
            }
        }
        if !queues.is_empty() {
            steerings.push(Steering { device, queues: queues.len(), has_enough, changes });
        }
    }
    if steerings.iter().any(|steering| !steering.has_enough)
        && number(readings, FLOWS_PATH)? < FLOWS
        && let Some(first) = steerings.iter_mut().find(|steering| !steering.has_enough)
    {
        first.changes.insert(0, Change::of(readings, FLOWS_PATH.into(), &FLOWS.to_string())?);
    }
    Ok(steerings)
}

fn check(readings: &dyn Readings) -> Outcome {
    if network::devices(readings).is_empty() {
        return Outcome::not_here(WANTED, NO_DEVICE);
    }
    let steerings = match steerings(readings) {
        Ok(steerings) => steerings,
        Err(reason) => return Outcome::cannot_tell(WANTED, reason),
    };
    if steerings.is_empty() {
        return Outcome::not_here(WANTED, "the network devices here show no queues");
    }
    let told = |steering: &Steering| {
        let state = match (steering.has_enough, steering.changes.is_empty()) {
            (true, _) => "enough",
            (false, true) => "steered",
            (false, false) => "not all steered",
        };
        format!("{}: {}, {state}", steering.device, counted(steering.queues, "queue"))
    };
    let found = steerings.iter().map(told).collect::<Vec<_>>().join("; ");
    Outcome::judged(found, WANTED, steerings.iter().all(|steering| steering.changes.is_empty()))
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    Ok(steerings(readings)?.into_iter().flat_map(|steering| steering.changes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake, item::network::with_device};

    fn machine(online: &str, queues: usize) -> Fake {
        let machine = Fake::new().with("/sys/devices/system/cpu/online", online).with(FLOWS_PATH, "0");
        with_device(machine, "eth0", queues, 1)
    }

    #[test]
    fn a_queue_for_each_core_is_enough() {
        let outcome = check(&machine("0-3", 4));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("eth0: 4 queues, enough", Verdict::Good));
    }

    #[test]
    fn fewer_queues_than_cores_are_steered_to_all() {
        let machine = machine("0-3", 3);
        let outcome = check(&machine);
        assert_eq!(outcome.found, "eth0: 3 queues, not all steered");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
        let told: Vec<_> = changes(&machine)
            .expect("offered")
            .into_iter()
            .map(|change| (change.to, change.undo.value))
            .collect();
        let expected = [(FLOWS_PATH, "32768", "0")]
            .into_iter()
            .map(|(path, value, undo)| (path.to_owned(), value, undo));
        let queues = (0..3).flat_map(|queue| {
            let directory = format!("/sys/class/net/eth0/queues/rx-{queue}");
            [
                (format!("{directory}/rps_cpus"), "0f", "00"),
                (format!("{directory}/rps_flow_cnt"), "8192", "0"),
            ]
        });
        let expected: Vec<_> = expected
            .chain(queues)
            .map(|(path, value, undo)| (crate::Setting { path, value: value.into() }, undo.to_owned()))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn of_two_devices_only_the_one_with_too_few_queues_is_steered() {
        let machine = with_device(machine("0-1", 2), "eth1", 1, 1);
        assert_eq!(check(&machine).found, "eth0: 2 queues, enough; eth1: 1 queue, not all steered");
        let changes = changes(&machine).expect("offered");
        assert!(changes.iter().all(|change| !change.to.path.contains("eth0")), "{changes:?}");
    }

    #[test]
    fn a_kernel_without_steering_cannot_be_told_and_no_device_is_not_here() {
        let bare = with_device(Fake::new().with("/sys/devices/system/cpu/online", "0-1"), "eth0", 1, 1);
        assert!(matches!(check(&bare).verdict, Verdict::CannotTell(_)), "no table of flows");
        assert!(matches!(check(&Fake::new()).verdict, Verdict::NotHere(_)));
    }
}
