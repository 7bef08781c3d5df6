//! The kernel's clock source.

use super::{Item, Outcome};
use crate::{Change, Readings, Remedy, Verdict};

pub(super) const ITEM: Item = Item {
    name: "clocksource",
    why: "Every request reads the clock several times. With a clock source that the vDSO can read, that takes tens of \
          nanoseconds and no system call; with the others it is a system call, and for hpet and acpi_pm also a read \
          from a device that takes a microsecond and that all cores queue for. The kernel leaves tsc by itself when it \
          thinks it unstable, so a machine can fall back while it runs.",
    change: "cat /sys/devices/system/clocksource/clocksource0/available_clocksource\n\
             echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource\n\
             # where tsc is not offered, `dmesg | grep -i -e tsc -e clocksource` says why; trust that, do not force it",
    undo: "# SOURCE as `tune check` found it before\n\
           echo SOURCE > /sys/devices/system/clocksource/clocksource0/current_clocksource",
    remedy: Remedy::Files(changes),
    check,
};

/// Read by the vDSO: x86, ARM, RISC-V, KVM, Hyper-V.
const FAST: [&str; 5] =
    ["tsc", "arch_sys_counter", "riscv_clocksource", "kvm-clock", "hyperv_clocksource_tsc_page"];
/// Read by a system call. On Xen the vDSO is not used unless the host vouches for its TSC, and then tsc can be chosen.
const SLOW: [&str; 6] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies", "xen", "hyperv_clocksource_msr"];

#[cfg(target_arch = "x86_64")]
const WANTED: &str = "tsc";
#[cfg(not(target_arch = "x86_64"))]
const WANTED: &str = "one of the vDSO";

fn check(readings: &dyn Readings) -> Outcome {
    let Some(source) = readings.probe().clock.source.clone() else {
        return Outcome::cannot_tell(WANTED, "the kernel does not say which clock source it uses");
    };
    if FAST.contains(&source.as_str()) {
        // What a hypervisor offers for this purpose is as good as the tsc it is computed from.
        return Outcome::judged(source.clone(), source, true);
    }
    if SLOW.contains(&source.as_str()) {
        return Outcome::judged(source, WANTED, false);
    }
    Outcome {
        verdict: Verdict::CannotTell(format!("whether {source} takes a system call is not known here")),
        found: source,
        wanted: WANTED.into(),
    }
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    let directory = "/sys/devices/system/clocksource/clocksource0";
    let offered = readings.text(&format!("{directory}/available_clocksource"))?;
    let Some(fast) = FAST.iter().find(|fast| offered.split_whitespace().any(|source| source == **fast))
    else {
        return Err(format!("the kernel trusts no faster clock source, it offers {offered}"));
    };
    Ok(vec![Change::of(readings, format!("{directory}/current_clocksource"), fast)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn verdict(source: &str) -> Verdict {
        let mut machine = Fake::new();
        machine.probe.clock.source = Some(source.into());
        check(&machine).verdict
    }

    #[test]
    fn clocks_that_the_vdso_reads_are_good() {
        assert!(FAST.iter().all(|source| verdict(source) == Verdict::Good));
    }

    #[test]
    fn clocks_behind_a_system_call_could_be_better() {
        assert!(SLOW.iter().all(|source| verdict(source) == Verdict::CouldBeBetter));
    }

    #[test]
    fn a_clock_nobody_knows_cannot_be_told() {
        assert!(matches!(verdict("sundial"), Verdict::CannotTell(_)));
    }

    #[test]
    fn a_clock_that_is_not_named_cannot_be_told() {
        assert!(matches!(check(&Fake::new()).verdict, Verdict::CannotTell(_)));
    }
}
