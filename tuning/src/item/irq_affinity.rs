//! Which CPUs the network devices interrupt.

use super::{
    Item, Outcome, cpus,
    network::{self, NO_DEVICE, counted},
};
use crate::{Change, Readings, Remedy};
use std::collections::BTreeMap;

pub(super) const ITEM: Item = Item {
    name: "irq-affinity",
    why: "Each queue of a network device interrupts one core, which then does the protocol's work for all that came in. Where \
          several queues interrupt the same core, its shard stands behind the traffic of all others, and its clients see \
          it. Spread, each core has its share. Disks' queues are not looked at: the kernel spreads them itself and lets \
          no one else. Where irqbalance runs it would move them again, so that nothing is changed there; tell it to \
          leave them alone.",
    change: "# the interrupts of DEVICE, and where each goes:\n\
             ls /sys/class/net/DEVICE/device/msi_irqs; grep . /proc/irq/*/effective_affinity_list\n\
             echo CPU > /proc/irq/NUMBER/smp_affinity_list    # another CPU for each queue\n\
             # where irqbalance runs: systemctl disable --now irqbalance, or --banirq=NUMBER for each in its options\n\
             # to keep it: a unit that runs this script at boot",
    undo: "# LIST as it was before, in the undo that `tune apply` prints\n\
           echo LIST > /proc/irq/NUMBER/smp_affinity_list\n\
           systemctl enable --now irqbalance    # if it was stopped",
    remedy: Remedy::Files(changes),
    check,
};

const WANTED: &str = "each queue on a core of its own";

/// Words in the names of interrupts that carry no traffic.
const NO_QUEUE: [&str; 7] = ["async", "config", "ctrl", "fdir", "mbx", "mgmnt", "misc"];

/// An interrupt of a device's queue.
struct Interrupt {
    number: u32,
    queue: usize,
}

/// The interrupts of a device's queues.
fn interrupts(readings: &dyn Readings, device: &str) -> Vec<Interrupt> {
    let device = format!("/sys/class/net/{device}/device");
    // A virtio device has them on the PCI device above it.
    let numbers = ["", "/.."]
        .iter()
        .map(|above| readings.names(&format!("{device}{above}/msi_irqs")))
        .find(|numbers| !numbers.is_empty())
        .unwrap_or_default();
    let interrupt = |number: &String| {
        let number: u32 = number.parse().ok()?;
        let queue = queue_of(&readings.text(&format!("/sys/kernel/irq/{number}/actions")).ok()?)?;
        Some(Interrupt { number, queue })
    };
    let mut interrupts: Vec<_> = numbers.iter().filter_map(interrupt).collect();
    interrupts.sort_by_key(|interrupt| (interrupt.queue, interrupt.number));
    interrupts
}

/// The last number in the name of an interrupt is its queue's, before an `@` and the device's address: `eth0-TxRx-3`,
/// `virtio0-input.3`, `mlx5_comp3@pci:0000:05:00.0`.
fn queue_of(action: &str) -> Option<usize> {
    let name = action.split('@').next().unwrap_or_default();
    if NO_QUEUE.iter().any(|word| name.contains(word)) {
        return None;
    }
    let name = name.trim_end_matches(|char: char| !char.is_ascii_digit());
    let digits = name.len() - name.trim_end_matches(|char: char| char.is_ascii_digit()).len();
    name[name.len() - digits..].parse().ok()
}

/// The CPU that an interrupt goes to, as far as the kernel says.
fn cpu_of(readings: &dyn Readings, number: u32) -> Option<usize> {
    ["effective_affinity_list", "smp_affinity_list"].iter().find_map(|file| {
        let text = readings.text(&format!("/proc/irq/{number}/{file}")).ok()?;
        cpus::of_list(&text)?.first().copied()
    })
}

/// How a device's queues are spread: the queues, and the CPUs that they go to.
struct Spread {
    device: String,
    queues: usize,
    cpus: usize,
}

impl Spread {
    fn is_good(&self, online: usize) -> bool {
        self.cpus >= self.queues.min(online)
    }
}

/// Of each device that has interrupts for queues, where the kernel tells them.
fn spreads(readings: &dyn Readings) -> Vec<Spread> {
    let spread = |device: String| {
        let mut cpu_by_queue = BTreeMap::new();
        for interrupt in interrupts(readings, &device) {
            if let Some(cpu) = cpu_of(readings, interrupt.number) {
                cpu_by_queue.entry(interrupt.queue).or_insert(cpu);
            }
        }
        let mut cpus: Vec<_> = cpu_by_queue.values().collect();
        cpus.sort_unstable();
        cpus.dedup();
        (!cpus.is_empty()).then_some(Spread { device, queues: cpu_by_queue.len(), cpus: cpus.len() })
    };
    network::devices(readings).into_iter().filter_map(spread).collect()
}

fn check(readings: &dyn Readings) -> Outcome {
    if network::devices(readings).is_empty() {
        return Outcome::not_here(WANTED, NO_DEVICE);
    }
    let spreads = spreads(readings);
    if spreads.is_empty() {
        return Outcome::not_here(WANTED, "the network devices here show no interrupts of their queues");
    }
    let online = match cpus::online(readings) {
        Ok(cpus) => cpus.len(),
        Err(reason) => return Outcome::cannot_tell(WANTED, reason),
    };
    let told = |spread: &Spread| {
        format!("{}: {} on {}", spread.device, counted(spread.queues, "queue"), counted(spread.cpus, "CPU"))
    };
    let mut found = spreads.iter().map(told).collect::<Vec<_>>().join(", ");
    if balancer_runs(readings) {
        found += ", irqbalance runs";
    }
    Outcome::judged(found, WANTED, spreads.iter().all(|spread| spread.is_good(online)))
}

/// Whether irqbalance runs, by the names of processes.
fn balancer_runs(readings: &dyn Readings) -> bool {
    let is_it = |name: &String| {
        name.bytes().all(|byte| byte.is_ascii_digit())
            && readings.text(&format!("/proc/{name}/comm")).is_ok_and(|name| name == "irqbalance")
    };
    readings.names("/proc").iter().any(is_it)
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    let online = cpus::online(readings)?;
    let uneven: Vec<_> =
        spreads(readings).into_iter().filter(|spread| !spread.is_good(online.len())).collect();
    let interrupts = uneven.iter().flat_map(|spread| interrupts(readings, &spread.device));
    if balancer_runs(readings) {
        let bans: Vec<_> = interrupts.map(|interrupt| format!("--banirq={}", interrupt.number)).collect();
        return Err(format!(
            "irqbalance runs and would move them again; stop it (systemctl disable --now irqbalance) and apply again, or \
             give it {} and set them yourself",
            bans.join(" ")
        ));
    }
    let mut changes = Vec::new();
    for interrupt in interrupts {
        let path = format!("/proc/irq/{}/smp_affinity_list", interrupt.number);
        let cpu = online[interrupt.queue % online.len()].to_string();
        if readings.text(&path)? != cpu {
            changes.push(Change::of(readings, path, &cpu)?);
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake, item::network::with_device};

    /// Four CPUs and a device eth0 whose queues 0, 1, ... interrupt these.
    fn machine(cpus: &[&str]) -> Fake {
        let machine = Fake::new().with("/sys/devices/system/cpu/online", "0-3");
        let machine = with_interrupt(with_device(machine, "eth0", 1, 1), 20, "eth0-config", "0");
        cpus.iter().enumerate().fold(machine, |machine, (queue, cpu)| {
            with_interrupt(machine, 21 + queue, &format!("eth0-TxRx-{queue}"), cpu)
        })
    }

    fn with_interrupt(machine: Fake, number: usize, action: &str, cpu: &str) -> Fake {
        machine
            .with(&format!("/sys/class/net/eth0/device/msi_irqs/{number}"), "msix")
            .with(&format!("/sys/kernel/irq/{number}/actions"), action)
            .with(&format!("/proc/irq/{number}/smp_affinity_list"), "0-3")
            .with(&format!("/proc/irq/{number}/effective_affinity_list"), cpu)
    }

    #[test]
    fn queues_on_cores_of_their_own_are_good() {
        let outcome = check(&machine(&["2", "0", "1"]));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("eth0: 3 queues on 3 CPUs", Verdict::Good));
        let more = check(&machine(&["0", "1", "2", "3", "0", "1"]));
        assert_eq!(more.verdict, Verdict::Good, "there are no more cores");
    }

    #[test]
    fn queues_on_one_core_could_be_better_and_are_spread() {
        let machine = machine(&["0", "0", "0"]);
        let outcome = check(&machine);
        assert_eq!(outcome.found, "eth0: 3 queues on 1 CPU");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
        let changes = changes(&machine).expect("free to change");
        let told: Vec<_> =
            changes.iter().map(|change| (change.to.path.as_str(), change.to.value.as_str())).collect();
        assert_eq!(
            told,
            [
                ("/proc/irq/21/smp_affinity_list", "0"),
                ("/proc/irq/22/smp_affinity_list", "1"),
                ("/proc/irq/23/smp_affinity_list", "2")
            ]
        );
        assert!(changes.iter().all(|change| change.undo.value == "0-3"));
    }

    #[test]
    fn where_irqbalance_runs_nothing_is_changed_and_that_is_said() {
        let machine = machine(&["0", "0"]).with("/proc/77/comm", "irqbalance");
        assert_eq!(check(&machine).found, "eth0: 2 queues on 1 CPU, irqbalance runs");
        let reason = changes(&machine).expect_err("left alone");
        assert!(reason.contains("irqbalance runs") && reason.contains("--banirq=21 --banirq=22"), "{reason}");
    }

    #[test]
    fn a_virtio_devices_interrupts_are_those_of_the_device_above_it() {
        let machine = with_device(Fake::new().with("/sys/devices/system/cpu/online", "0-1"), "eth0", 1, 1)
            .with("/sys/class/net/eth0/device/../msi_irqs/38", "msix")
            .with("/sys/kernel/irq/38/actions", "virtio2-input.0")
            .with("/proc/irq/38/smp_affinity_list", "1");
        assert_eq!(check(&machine).found, "eth0: 1 queue on 1 CPU");
        assert_eq!(check(&machine).verdict, Verdict::Good);
    }

    #[test]
    fn a_queue_is_read_from_the_names_that_drivers_use() {
        for (action, queue) in [
            ("eth0-TxRx-3", Some(3)),
            ("virtio0-input.12", Some(12)),
            ("ens5-Tx-Rx-0", Some(0)),
            ("mlx5_comp7@pci:0000:05:00.0", Some(7)),
            ("eth0-q2-tx", Some(2)),
            ("virtio0-config", None),
            ("mlx5_async0@pci:0000:05:00.0", None),
            ("iavf-0000:00:05.0:mbx", None),
            ("eth", None),
            ("", None),
        ] {
            assert_eq!(queue_of(action), queue, "{action}");
        }
    }

    #[test]
    fn a_machine_without_devices_of_its_own_has_no_interrupts() {
        assert!(matches!(check(&Fake::new()).verdict, Verdict::NotHere(_)));
        let paravirtual = with_device(Fake::new(), "eth0", 1, 1);
        assert!(matches!(check(&paravirtual).verdict, Verdict::NotHere(_)));
    }
}
