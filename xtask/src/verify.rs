//! Everything that must hold of every commit. All steps run, whatever the earlier ones say; the first that failed
//! is named at the end.

use crate::{Driver, step::Step, tally::Tally};
use anyhow::bail;
use std::process::{Command, Stdio};

/// Runs all steps. The last line printed is the sum of all test runners' results.
pub fn run(seeds: u64) -> anyhow::Result<()> {
    let mut total = Tally::default();
    let mut first_failure = None;
    let mut report = Vec::new();
    for (step, counted) in steps(seeds)? {
        println!("== {}", step.name());
        if step.name() == "licences, bans, sources" && !is_cargo_deny_there() {
            println!("cargo-deny is not installed; `cargo install --locked cargo-deny` installs it");
            total.skipped += 1;
            report.push(format!("{:<28} skipped", step.name()));
            continue;
        }
        let outcome = step.run()?;
        if counted {
            total += outcome.tally;
        }
        let verdict = if outcome.succeeded { "ok" } else { "FAILED" };
        report.push(format!("{:<28} {verdict:<8} {:>7.1} s", step.name(), outcome.took.as_secs_f64()));
        if !outcome.succeeded && first_failure.is_none() {
            first_failure = Some(step.name());
        }
    }
    println!();
    report.iter().for_each(|line| println!("{line}"));
    if let Some(name) = first_failure {
        println!("first failure: {name}");
    }
    println!("{total}");
    match first_failure {
        Some(name) => bail!("verify failed at: {name}"),
        None => Ok(()),
    }
}

/// Cheapest first, each with whether its tests are counted (layering runs again with all the others). All build the
/// workspace as a whole: with a package alone its dependencies would have other features and be built again.
fn steps(seeds: u64) -> anyhow::Result<Vec<(Step, bool)>> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    Ok(vec![
        (Step::cargo("format", &["fmt", "--all", "--check"]), true),
        (Step::cargo("licences, bans, sources", &["deny", "check", "licenses", "bans", "sources"]), true),
        (Step::cargo("clippy", &clippy), true),
        (Step::cargo("layering", &["test", "--quiet", "--workspace", "--test", "layering"]), false),
        (Step::cargo("tests", &["test", "--workspace", "--no-fail-fast"]), true),
        (
            Driver::Portable.of(on_other_driver("portable driver").argument("--test").argument("power_cut")),
            true,
        ),
        // Without power cuts: it writes and flushes by the code of the ring driver.
        (Driver::Glommio.of(on_other_driver("glommio driver")), true),
        (
            Step::built("simulation", "corelane-sim")?.argument("--seeds").argument(&format!("0..{seeds}")),
            true,
        ),
    ])
}

fn on_other_driver(name: &'static str) -> Step {
    Step::cargo(name, &ON_OTHER_DRIVERS)
}

/// What brokers on the drivers that are not chosen by themselves are put through with every commit; `cargo xtask
/// on-driver` is the rest.
const ON_OTHER_DRIVERS: [&str; 11] = [
    "test",
    "--workspace",
    "--no-fail-fast",
    "--test",
    "restart",
    "--test",
    "kill",
    "--test",
    "kill_groups",
    "--test",
    "kcat",
];

fn is_cargo_deny_there() -> bool {
    Command::new("cargo-deny")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
