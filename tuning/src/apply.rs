//! From advice to changes, each with what takes it back.

use crate::{Item, Outcome, Readings, Verdict, item::chosen};
use std::fmt::Write as _;

/// How an item is changed.
#[derive(Clone, Copy, Debug)]
pub enum Remedy {
    /// By writing to files of `/proc` or `/sys`; asked only where the item could be better. An error is a reason in
    /// words why this machine does not let it be changed.
    Files(fn(&dyn Readings) -> Result<Vec<Change>, String>),
    /// Not by this program, for this reason.
    ByHand(&'static str),
    /// Not by this program, but by the command that these words name for this machine; asked only where the item could be
    /// better.
    Told(fn(&dyn Readings) -> String),
}

/// A value for a file of `/proc` or `/sys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Absolute, without characters that a shell reads otherwise.
    pub path: String,
    /// What is written.
    pub value: String,
}

/// One thing that is changed. Lasts until the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is written.
    pub to: Setting,
    /// What brings back that which was before. Another file where the kernel keeps one value under two names.
    pub undo: Setting,
}

impl Change {
    /// The file is set to `value`; it is undone by what the file holds now.
    pub(crate) fn of(readings: &dyn Readings, path: String, value: &str) -> Result<Change, String> {
        let text = readings.text(&path)?;
        let found = in_force(&text).split_whitespace().collect::<Vec<_>>().join(" ");
        let undo = Setting { path: path.clone(), value: found };
        Ok(Change { to: Setting { path, value: value.to_owned() }, undo })
    }
}

/// A machine that can be changed.
pub trait Writes: Readings {
    /// Writes to a file of `/proc` or `/sys` that is there. An error is a reason in words.
    fn write(&mut self, setting: &Setting) -> Result<(), String>;
}

/// What is to be done about an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is good as it is.
    Nothing,
    /// The machine has no such thing, for this reason.
    NotHere(String),
    /// These, in this order.
    Changes(Vec<Change>),
    /// It cannot be changed from here, for this reason.
    Cannot(String),
}

/// Looks at the items and says what would be done. Changes nothing.
pub fn plan(items: &[Item], readings: &dyn Readings) -> Vec<(Item, Outcome, Step)> {
    let step = |item: &Item| {
        let outcome = (item.check)(readings);
        let step = match (&outcome.verdict, item.remedy) {
            (Verdict::Good, _) => Step::Nothing,
            (Verdict::NotHere(reason), _) => Step::NotHere(reason.clone()),
            (Verdict::CannotTell(reason), _) => Step::Cannot(reason.clone()),
            (Verdict::CouldBeBetter, Remedy::ByHand(reason)) => Step::Cannot(reason.into()),
            (Verdict::CouldBeBetter, Remedy::Told(told)) => Step::Cannot(told(readings)),
            (Verdict::CouldBeBetter, Remedy::Files(changes)) => {
                changes(readings).map_or_else(Step::Cannot, Step::Changes)
            }
        };
        (*item, outcome, step)
    };
    items.iter().map(step).collect()
}

/// Carries a plan out. What was done is told with its undo; so is what the kernel refused, after which the next change
/// is tried. The second value says whether every change was made.
pub fn apply(plan: &[(Item, Outcome, Step)], machine: &mut dyn Writes) -> (String, bool) {
    let mut page = String::new();
    let mut is_all_made = true;
    for (item, outcome, step) in plan {
        match step {
            Step::Nothing => line(&mut page, format_args!("{}: good ({})", item.name, outcome.found)),
            Step::NotHere(reason) => line(&mut page, format_args!("{}: not here: {reason}", item.name)),
            Step::Cannot(reason) => line(&mut page, format_args!("{}: left alone: {reason}", item.name)),
            Step::Changes(changes) => {
                line(&mut page, format_args!("{}: was {}", item.name, outcome.found));
                for change in changes {
                    match make(change, machine) {
                        Ok(()) => {
                            line(&mut page, format_args!("  done  {}", command(&change.to)));
                            line(&mut page, format_args!("  undo  {}", command(&change.undo)));
                        }
                        Err(reason) => {
                            is_all_made = false;
                            line(&mut page, format_args!("  refused  {}: {reason}", command(&change.to)));
                        }
                    }
                }
            }
        }
    }
    (page, is_all_made)
}

/// Writes, and looks whether it holds: some files take a value and keep another.
fn make(change: &Change, machine: &mut dyn Writes) -> Result<(), String> {
    machine.write(&change.to)?;
    let text = machine.text(&change.to.path)?;
    // The kernel writes several numbers with tabs between them, whatever was between those that it was given.
    match in_force(&text).split_whitespace().eq(change.to.value.split_whitespace()) {
        true => Ok(()),
        false => Err(format!("the kernel kept {text:?}")),
    }
}

/// Shell scripts that carry a plan out and that take it back, the last change first. As [`apply`] does, they go on where the
/// kernel refuses a change, and their exit codes tell it.
pub fn scripts(plan: &[(Item, Outcome, Step)]) -> (String, String) {
    let mut change =
        "#!/bin/sh\n# Settings for a short tail, until the next boot. Run as root.\nfailed=0\n".to_owned();
    let mut undo =
        "#!/bin/sh\n# Takes the settings for a short tail back. Run as root.\nfailed=0\n".to_owned();
    for (item, outcome, step) in plan {
        match step {
            Step::Nothing | Step::NotHere(_) => {}
            Step::Cannot(reason) => {
                line(&mut change, format_args!("\n# {}: left alone: {reason}", item.name))
            }
            Step::Changes(changes) => {
                line(&mut change, format_args!("\n# {}: was {}", item.name, outcome.found));
                for one in changes {
                    line(&mut change, format_args!("{} || failed=1", command(&one.to)));
                }
            }
        }
    }
    for (item, _, step) in plan.iter().rev() {
        if let Step::Changes(changes) = step {
            line(&mut undo, format_args!("\n# {}", item.name));
            for one in changes.iter().rev() {
                line(&mut undo, format_args!("{} || failed=1", command(&one.undo)));
            }
        }
    }
    for script in [&mut change, &mut undo] {
        line(script, format_args!("\nexit $failed"));
    }
    (change, undo)
}

fn command(setting: &Setting) -> String {
    format!("echo {} > {}", setting.value, setting.path)
}

/// Of a list of choices the one in brackets, else the whole text.
fn in_force(text: &str) -> &str {
    chosen(text).unwrap_or(text)
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ITEMS, fake::Fake};

    const THP: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// A machine on which all that can be changed had better be.
    fn machine() -> Fake {
        let fake = Fake::new()
            .with(THP, "[always] madvise never")
            .with("/proc/swaps", "Filename\n/dev/sda2 partition 8 0 -2")
            .with("/proc/sys/vm/swappiness", "60")
            .with("/proc/sys/vm/dirty_background_bytes", "0")
            .with("/proc/sys/vm/dirty_background_ratio", "10")
            .with("/proc/sys/vm/dirty_bytes", "0")
            .with("/proc/sys/vm/dirty_ratio", "20")
            .with("/proc/meminfo", "MemTotal: 268435456 kB")
            .with("/sys/block/sda/queue/scheduler", "none [bfq]")
            .with("/sys/block/sda/queue/rotational", "0")
            .with("/sys/block/sda/queue/nr_requests", "256")
            .with("/sys/block/sdb/queue/scheduler", "none [mq-deadline]")
            .with("/sys/block/sdb/queue/rotational", "1")
            .with("/sys/block/sdb/queue/nr_requests", "1024")
            .with("/sys/devices/system/cpu/cpu0/cpuidle/state3/latency", "133")
            .with("/sys/devices/system/cpu/cpu0/cpuidle/state3/disable", "0")
            .with("/proc/sys/kernel/numa_balancing", "1")
            .with("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
            .with(
                "/sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors",
                "performance powersave",
            );
        networked(fake).with_cpus(1).with_disks(&["sda", "sdb"])
    }

    /// Adds two CPUs and a device with one receive queue and two transmit queues, whose interrupts all go to one CPU.
    fn networked(fake: Fake) -> Fake {
        let fake = fake
            .with("/sys/devices/system/cpu/online", "0-1")
            .with("/proc/sys/net/core/rps_sock_flow_entries", "0")
            .with("/proc/sys/net/core/rmem_max", "212992")
            .with("/proc/sys/net/core/wmem_max", "4194304")
            .with("/proc/sys/net/ipv4/tcp_rmem", "4096\t87380\t1048576")
            .with("/proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304")
            .with("/sys/class/net/eth0/operstate", "up")
            .with("/sys/class/net/eth0/queues/rx-0/rps_cpus", "0")
            .with("/sys/class/net/eth0/queues/rx-0/rps_flow_cnt", "0")
            .with("/sys/class/net/eth0/queues/tx-0/xps_cpus", "0")
            .with("/sys/class/net/eth0/queues/tx-1/xps_cpus", "0");
        [("21", "eth0-tx-0"), ("22", "eth0-tx-1")].iter().fold(fake, |fake, (number, action)| {
            fake.with(&format!("/sys/class/net/eth0/device/msi_irqs/{number}"), "msix")
                .with(&format!("/sys/kernel/irq/{number}/actions"), action)
                .with(&format!("/proc/irq/{number}/smp_affinity_list"), "0")
        })
    }

    fn files(plan: &[(Item, Outcome, Step)]) -> Vec<Change> {
        let changes =
            |step: &Step| if let Step::Changes(changes) = step { changes.clone() } else { Vec::new() };
        plan.iter().flat_map(|(_, _, step)| changes(step)).collect()
    }

    #[test]
    fn after_apply_nothing_that_it_can_change_could_be_better() {
        let mut machine = machine();
        let before = plan(ITEMS, &machine);
        assert_eq!(files(&before).len(), 17);
        let (page, is_all_made) = apply(&before, &mut machine);
        assert!(is_all_made, "{page}");
        assert_eq!(files(&plan(ITEMS, &machine)), []);
    }

    #[test]
    fn the_undo_brings_back_what_was_found() {
        let mut machine = machine();
        let before = plan(ITEMS, &machine);
        apply(&before, &mut machine);
        for change in files(&before).iter().rev() {
            machine.write(&change.undo).expect("written");
        }
        let told = |plan: Vec<(Item, Outcome, Step)>| -> Vec<_> {
            plan.into_iter().map(|(_, outcome, step)| (outcome, step)).collect()
        };
        assert_eq!(told(plan(ITEMS, &machine)), told(before));
    }

    #[test]
    fn what_the_kernel_refuses_is_told_and_the_rest_is_done() {
        let mut machine = machine().refusing(THP);
        let (page, is_all_made) = apply(&plan(ITEMS, &machine), &mut machine);
        assert!(!is_all_made);
        assert!(page.contains(&format!("  refused  echo madvise > {THP}: read-only")), "{page}");
        assert!(page.contains("  done  echo 1 > /proc/sys/vm/swappiness\n  undo  echo 60 >"), "{page}");
    }

    #[test]
    fn a_governor_that_the_cpu_does_not_offer_is_left_alone() {
        let path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors";
        let plan = plan(ITEMS, &machine().with(path, "powersave"));
        let (_, _, step) = plan.iter().find(|(item, ..)| item.name == "cpu-governor").expect("the item");
        assert!(matches!(step, Step::Cannot(reason) if reason.contains("not offered")), "{step:?}");
    }

    #[test]
    fn the_scripts_hold_each_change_and_in_reverse_each_undo() {
        let plan = plan(ITEMS, &machine());
        let (change, undo) = scripts(&plan);
        let commands = |script: &str| -> Vec<String> {
            script.lines().filter_map(|line| line.strip_suffix(" || failed=1")).map(str::to_owned).collect()
        };
        let changes = files(&plan);
        assert_eq!(commands(&change), changes.iter().map(|one| command(&one.to)).collect::<Vec<_>>());
        assert_eq!(commands(&undo), changes.iter().rev().map(|one| command(&one.undo)).collect::<Vec<_>>());
    }

    #[test]
    fn what_only_a_command_by_hand_changes_is_told_with_it_and_never_done() {
        let mounted = "27 1 8:0 / /var rw,relatime - ext4 /dev/sda rw";
        let mut machine = machine().with("/proc/self/mountinfo", mounted);
        let plan = plan(ITEMS, &machine);
        assert_eq!(files(&plan).len(), 17);
        let told = "mount-options: left alone: a remount is yours to do: mount -o remount,noatime /var";
        let (script, _) = scripts(&plan);
        assert!(script.contains(&format!("\n# {told}\n")), "{script}");
        let (page, _) = apply(&plan, &mut machine);
        assert!(page.contains(&format!("{told}\n")), "{page}");
    }

    #[test]
    fn on_a_machine_where_nothing_is_there_nothing_is_done_and_no_error_comes_of_it() {
        let mut machine = Fake::new();
        let plan = plan(ITEMS, &machine);
        assert_eq!(files(&plan), []);
        let (page, is_all_made) = apply(&plan, &mut machine);
        assert!(is_all_made && page.contains("irq-affinity: not here: "), "{page}");
        let (script, undo) = scripts(&plan);
        assert!(!script.contains("echo") && !undo.contains("echo"), "{script}{undo}");
    }

    #[test]
    fn a_script_goes_on_where_a_change_is_refused_and_its_exit_code_tells_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| format!("{}/{name}", directory.path().display());
        let change = |name: &str| Change {
            to: Setting { path: path(name), value: "4096 131072 1".into() },
            undo: Setting { path: path(name), value: "2".into() },
        };
        let run = |names: &[&str]| {
            let step = Step::Changes(names.iter().map(|name| change(name)).collect());
            let outcome = (ITEMS[0].check)(&Fake::new());
            let (script, undo) = scripts(&[(ITEMS[0], outcome, step)]);
            [script, undo].map(|script| {
                let status =
                    std::process::Command::new("sh").arg("-c").arg(script).output().expect("runs").status;
                let read = std::fs::read_to_string(path("there")).expect("written");
                (status.code(), read.trim().to_owned())
            })
        };
        let done = |code: i32| [(Some(code), "4096 131072 1".to_owned()), (Some(code), "2".to_owned())];
        assert_eq!(run(&["there"]), done(0));
        assert_eq!(run(&["no/such/folder", "there"]), done(1));
    }
}
