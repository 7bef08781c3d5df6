//! How deep idle CPUs sleep.

use super::{Item, Outcome};
use crate::{Change, Readings, Remedy};

pub(super) const ITEM: Item = Item {
    name: "cpu-idle",
    why: "A core with nothing to do falls into a sleep that it takes the longer to wake from the deeper it is: a microsecond \
          from the shallow ones, 100 to 200 from the deepest. A broker sleeps between any two requests and while the disk \
          flushes, so each of these waits has a wake-up on top, and on a quiet broker that is most of what its own work \
          takes. The deep states save power, and leave more of it to the cores that are busy: measure both where that \
          matters.",
    change: "# the states and what they take to leave, in microseconds:\n\
             cd /sys/devices/system/cpu/cpu0/cpuidle; grep . state*/name state*/latency\n\
             # for each that takes more than 20, of every CPU:\n\
             echo 1 | tee /sys/devices/system/cpu/cpu*/cpuidle/stateNUMBER/disable\n\
             # to keep it: the tuned profile latency-performance",
    undo: "echo 0 | tee /sys/devices/system/cpu/cpu*/cpuidle/stateNUMBER/disable",
    remedy: Remedy::Files(changes),
    check,
};

const WANTED: &str = "no state that takes over 20 µs to leave";
/// Leaves C1 and C1E, which take 1 to 10 µs; what comes next takes 40 and more. A flush of a fast disk takes about 20.
const LATENCY_US_MAX: u64 = 20;

/// A state that a CPU may fall into.
struct State {
    directory: String,
    name: String,
    latency_us: u64,
}

/// The states of all CPUs that are too deep and not switched off; `None` where there are no states at all.
fn too_deep(readings: &dyn Readings) -> Option<Vec<State>> {
    let mut has_states = false;
    let mut deep = Vec::new();
    for cpu in readings.cpus() {
        let directory = format!("/sys/devices/system/cpu/{cpu}/cpuidle");
        for state in readings.names(&directory).iter().filter(|name| name.starts_with("state")) {
            let directory = format!("{directory}/{state}");
            let Some(latency_us) = number(readings, &directory, "latency") else { continue };
            has_states = true;
            if latency_us > LATENCY_US_MAX && number(readings, &directory, "disable") == Some(0) {
                let name = readings.text(&format!("{directory}/name")).unwrap_or_else(|_| state.clone());
                deep.push(State { directory, name, latency_us });
            }
        }
    }
    has_states.then_some(deep)
}

fn number(readings: &dyn Readings, directory: &str, file: &str) -> Option<u64> {
    readings.text(&format!("{directory}/{file}")).ok()?.parse().ok()
}

fn check(readings: &dyn Readings) -> Outcome {
    let Some(deep) = too_deep(readings) else {
        return Outcome::not_here(
            WANTED,
            "this kernel chooses no idle states; under a hypervisor, its host does",
        );
    };
    let found = match deep.iter().max_by_key(|state| state.latency_us) {
        Some(deepest) => format!("down to {} ({} µs)", deepest.name, deepest.latency_us),
        None => "shallow states only".into(),
    };
    Outcome::judged(found, WANTED, deep.is_empty())
}

fn changes(readings: &dyn Readings) -> Result<Vec<Change>, String> {
    let deep = too_deep(readings).unwrap_or_default();
    deep.iter().map(|state| Change::of(readings, format!("{}/disable", state.directory), "1")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, fake::Fake};

    /// Two CPUs with the states of many an Intel server; `disabled` is what the deepest one's file says.
    fn machine(disabled: &str) -> Fake {
        let states = [("POLL", "0", "0"), ("C1E", "10", "0"), ("C6", "133", disabled)];
        let cpus = Fake::new().with_cpus(2);
        (0..2).fold(cpus, |machine, cpu| {
            states.iter().enumerate().fold(machine, |machine, (state, (name, latency, disable))| {
                let directory = format!("/sys/devices/system/cpu/cpu{cpu}/cpuidle/state{state}");
                machine
                    .with(&format!("{directory}/name"), name)
                    .with(&format!("{directory}/latency"), latency)
                    .with(&format!("{directory}/disable"), disable)
            })
        })
    }

    #[test]
    fn shallow_states_are_good() {
        let outcome = check(&machine("1"));
        assert_eq!((outcome.found.as_str(), outcome.verdict), ("shallow states only", Verdict::Good));
    }

    #[test]
    fn a_deep_state_could_be_better_and_is_switched_off_on_every_cpu() {
        let machine = machine("0");
        let outcome = check(&machine);
        assert_eq!(
            (outcome.found.as_str(), outcome.verdict),
            ("down to C6 (133 µs)", Verdict::CouldBeBetter)
        );
        let paths: Vec<_> =
            changes(&machine).expect("offered").into_iter().map(|change| change.to.path).collect();
        assert_eq!(
            paths,
            ["cpu0", "cpu1"].map(|cpu| format!("/sys/devices/system/cpu/{cpu}/cpuidle/state2/disable"))
        );
    }

    #[test]
    fn a_machine_whose_host_decides_has_no_states() {
        assert!(matches!(check(&Fake::new().with_cpus(2)).verdict, Verdict::NotHere(_)));
    }
}
