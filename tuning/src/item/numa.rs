//! On which of several memories the broker runs.

use super::{Item, Outcome, cpus, network};
use crate::{Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "numa",
    why: "A machine with several sockets has as many memories, and a core reaches another socket's at half the speed; the \
          disk and the network card are on one of them, too. A shard that the kernel moves to another socket leaves its \
          buffers behind and reads them across from then on. Keep the broker on the node of its disk, or, to use all \
          cores, bind each shard to its own (corelane.cpu.pin=true): memory then stays where it was first used.",
    change: "# NODE as `tune check` names it for the disk\n\
             numactl --cpunodebind=NODE --membind=NODE corelane start\n\
             # in a systemd unit: CPUAffinity=numa, NUMAPolicy=bind, NUMAMask=NODE",
    undo: "# start it without numactl, or remove the lines from the unit, `systemctl daemon-reload`, restart",
    remedy: Remedy::Told(told),
    check,
};

const WANTED: &str = "one node";

fn check(readings: &dyn Readings) -> Outcome {
    judge(readings).unwrap_or_else(|reason| Outcome::cannot_tell(WANTED, reason))
}

fn judge(readings: &dyn Readings) -> Result<Outcome, String> {
    let Ok(nodes) = nodes(readings) else {
        return Ok(Outcome::not_here(WANTED, "this kernel knows of one memory only"));
    };
    if nodes.len() < 2 {
        return Ok(Outcome::judged("one node".into(), WANTED, true));
    }
    let status = readings.text("/proc/self/status")?;
    let allowed = status
        .lines()
        .find_map(|line| cpus::of_list(line.strip_prefix("Cpus_allowed_list:")?))
        .ok_or("/proc/self/status tells no Cpus_allowed_list")?;
    let mut used = Vec::new();
    for node in &nodes {
        let of_node = readings.text(&format!("/sys/devices/system/node/node{node}/cpulist"))?;
        let of_node = cpus::of_list(&of_node).unwrap_or_default();
        if allowed.iter().any(|cpu| of_node.contains(cpu)) {
            used.push(node.to_string());
        }
    }
    let found = format!("on node {} of {}{}", used.join(", "), nodes.len(), told_devices(readings));
    Ok(Outcome::judged(found, WANTED, used.len() <= 1))
}

fn nodes(readings: &dyn Readings) -> Result<Vec<usize>, String> {
    let text = readings.text("/sys/devices/system/node/online")?;
    cpus::of_list(&text).ok_or_else(|| format!("{text:?} are no nodes"))
}

/// Disks, then network devices, with the node of each that says it.
fn devices(readings: &dyn Readings) -> Vec<(String, usize)> {
    let node = |directories: [String; 2]| {
        let texts = directories.iter().map(|directory| readings.text(&format!("{directory}/numa_node")));
        // -1 stands for "not known".
        texts.flatten().find_map(|text| text.parse::<usize>().ok())
    };
    let disks = readings.disks().unwrap_or_default().into_iter().filter_map(|disk| {
        let device = format!("/sys/block/{disk}/device");
        let node = node([device.clone(), format!("{device}/device")])?;
        Some((disk, node))
    });
    let network = network::devices(readings).into_iter().filter_map(|name| {
        let device = format!("/sys/class/net/{name}/device");
        let node = node([device.clone(), format!("{device}/..")])?;
        Some((name, node))
    });
    disks.chain(network).collect()
}

fn told_devices(readings: &dyn Readings) -> String {
    devices(readings).iter().map(|(name, node)| format!(", {name} on {node}")).collect()
}

fn told(readings: &dyn Readings) -> String {
    let node = devices(readings).first().map_or(0, |(_, node)| *node);
    format!(
        "a matter of how the broker is started: numactl --cpunodebind={node} --membind={node} corelane start, or \
         corelane.cpu.pin=true to use all cores"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn machine(allowed: &str) -> Fake {
        Fake::new()
            .with("/sys/devices/system/node/online", "0-1")
            .with("/sys/devices/system/node/node0/cpulist", "0-3")
            .with("/sys/devices/system/node/node1/cpulist", "4-7")
            .with("/proc/self/status", &format!("Name:\tcorelane\nCpus_allowed_list:\t{allowed}\n"))
            .with_disks(&["nvme0n1"])
            .with("/sys/block/nvme0n1/device/device/numa_node", "1")
    }

    #[test]
    fn one_node_is_good_however_many_there_are() {
        let single = Fake::new().with("/sys/devices/system/node/online", "0");
        assert_eq!(check(&single).verdict, Verdict::Good);
        let outcome = check(&machine("4-7"));
        assert_eq!(
            (outcome.found.as_str(), outcome.verdict),
            ("on node 1 of 2, nvme0n1 on 1", Verdict::Good)
        );
    }

    #[test]
    fn both_nodes_could_be_better_and_the_command_names_the_disks() {
        let machine = machine("0-7");
        let outcome = check(&machine);
        assert_eq!(outcome.found, "on node 0, 1 of 2, nvme0n1 on 1");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
        assert!(told(&machine).contains("--cpunodebind=1 --membind=1"), "{}", told(&machine));
    }

    #[test]
    fn a_kernel_without_nodes_has_none() {
        assert!(matches!(check(&Fake::new()).verdict, Verdict::NotHere(_)));
    }
}
