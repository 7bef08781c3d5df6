//! The CPU frequency governor.

use super::{Item, Outcome};
use crate::{Change, Readings, Remedy};
use std::collections::BTreeMap;

pub(super) const ITEM: Item = Item {
    name: "cpu-governor",
    why: "A governor that saves power lowers the clock while a core waits, and a broker waits between any two requests. \
          The first requests after a pause then run at a fraction of the speed until the clock has risen again: \
          milliseconds of it, just where the tail is measured.",
    change: "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor\n\
             # lasts until the next boot; to keep it: a unit or the tuned profile latency-performance",
    undo: "# GOVERNOR as `tune check` found it before\n\
           echo GOVERNOR | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    remedy: Remedy::Files(changes),
    check,
};

const WANTED: &str = "performance";

fn check(readings: &dyn Readings) -> Outcome {
    let mut cpus_by_governor = BTreeMap::<String, usize>::new();
    for cpu in readings.cpus() {
        // An offline CPU has none; one whose frequency is not scaled has none either.
        if let Ok(governor) =
            readings.text(&format!("/sys/devices/system/cpu/{cpu}/cpufreq/scaling_governor"))
        {
            *cpus_by_governor.entry(governor).or_default() += 1;
        }
    }
    if cpus_by_governor.is_empty() {
        return Outcome::not_here(
            WANTED,
            "this kernel scales no frequencies; under a hypervisor, its host may",
        );
    }
    let is_good = cpus_by_governor.keys().all(|governor| governor == WANTED);
    let found = match cpus_by_governor.len() {
        1 => cpus_by_governor.into_keys().collect(),
        _ => {
            let each = cpus_by_governor.iter().map(|(governor, cpus)| format!("{governor} on {cpus} CPUs"));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    Outcome::judged(found, WANTED, is_good)
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for cpu in readings.cpus() {
        let directory = format!("/sys/devices/system/cpu/{cpu}/cpufreq");
        let path = format!("{directory}/scaling_governor");
        match readings.text(&path) {
            Ok(governor) if governor != WANTED => {}
            Ok(_) | Err(_) => continue,
        }
        let offered = readings.text(&format!("{directory}/scaling_available_governors"))?;
        if !offered.split_whitespace().any(|governor| governor == WANTED) {
            return Err(format!("{WANTED} is not offered for {cpu}, only {offered}"));
        }
        changes.push(Change::of(readings, path, WANTED)?);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    fn machine(governors: &[&str]) -> Fake {
        let cpus = Fake::new().with_cpus(governors.len());
        governors.iter().enumerate().fold(cpus, |machine, (cpu, governor)| {
            machine.with(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"), governor)
        })
    }

    #[test]
    fn performance_on_all_cpus_is_good() {
        let outcome = check(&machine(&["performance", "performance"]));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("performance", Verdict::Good));
    }

    #[test]
    fn one_cpu_that_saves_power_could_be_better() {
        let outcome = check(&machine(&["performance", "powersave", "performance"]));
        assert_eq!(outcome.found, "performance on 2 CPUs, powersave on 1 CPUs");
        assert_eq!(outcome.verdict, Verdict::CouldBeBetter);
    }

    #[test]
    fn a_machine_that_scales_nothing_has_no_governor() {
        let outcome = check(&Fake::new().with_cpus(2));
        assert!(matches!(outcome.verdict, Verdict::NotHere(_)));
    }
}
