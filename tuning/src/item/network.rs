//! The network devices that clients and other brokers come by.

use crate::Readings;

/// What there is to say where there is none.
pub(super) const NO_DEVICE: &str =
    "no network device of its own is up here; of a container, look at the host";

/// Devices with hardware, or a hypervisor, behind them that are up: no loopback, no bridge, no virtual pair. A bond's
/// members are devices of their own.
pub(super) fn devices(readings: &dyn Readings) -> Vec<String> {
    let is_own = |name: &String| {
        let state = readings.text(&format!("/sys/class/net/{name}/operstate"));
        // Some drivers do not know.
        let is_up = state.is_ok_and(|state| state == "up" || state == "unknown");
        is_up && !readings.names(&format!("/sys/class/net/{name}/device")).is_empty()
    };
    readings.names("/sys/class/net").into_iter().filter(is_own).collect()
}

/// The directories of a device's queues, `kind` being `rx` or `tx`, in the order of their numbers.
pub(super) fn queues(readings: &dyn Readings, device: &str, kind: &str) -> Vec<String> {
    let directory = format!("/sys/class/net/{device}/queues");
    let number = |name: &String| name.strip_prefix(kind)?.strip_prefix('-')?.parse::<u32>().ok();
    let mut queues: Vec<_> =
        readings.names(&directory).iter().filter_map(|name| Some((number(name)?, name.clone()))).collect();
    queues.sort_unstable();
    queues.into_iter().map(|(_, name)| format!("{directory}/{name}")).collect()
}

/// `1 queue`, `4 queues`.
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A machine with these devices, each up and with so many queues of either kind, for tests.
#[cfg(test)]
pub(super) fn with_device(
    machine: crate::fake::Fake,
    device: &str,
    rx: usize,
    tx: usize,
) -> crate::fake::Fake {
    let directory = format!("/sys/class/net/{device}");
    let mut machine = machine
        .with(&format!("{directory}/operstate"), "up")
        .with(&format!("{directory}/device/vendor"), "x");
    for queue in 0..rx {
        machine = machine
            .with(&format!("{directory}/queues/rx-{queue}/rps_cpus"), "00")
            .with(&format!("{directory}/queues/rx-{queue}/rps_flow_cnt"), "0");
    }
    for queue in 0..tx {
        machine = machine.with(&format!("{directory}/queues/tx-{queue}/xps_cpus"), "00");
    }
    machine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn only_devices_of_its_own_that_are_up_count() {
        let machine = Fake::new()
            .with("/sys/class/net/lo/operstate", "unknown")
            .with("/sys/class/net/docker0/operstate", "up")
            .with("/sys/class/net/eth1/operstate", "down")
            .with("/sys/class/net/eth1/device/vendor", "x");
        assert_eq!(devices(&machine), Vec::<String>::new());
        let machine = with_device(with_device(machine, "eth0", 1, 1), "ens5", 1, 1);
        assert_eq!(devices(&machine), ["ens5", "eth0"]);
    }

    #[test]
    fn queues_stand_in_the_order_of_their_numbers() {
        let machine = with_device(Fake::new(), "eth0", 11, 1);
        let queues = queues(&machine, "eth0", "rx");
        assert_eq!(queues.len(), 11);
        assert!(queues[2].ends_with("/rx-2") && queues[10].ends_with("/rx-10"), "{queues:?}");
    }
}
