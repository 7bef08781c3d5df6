//! What a request costs, in instructions: builds what counts, and has it count and judge.

use crate::{
    step::{Step, target},
    succeed,
};
use clap::Args;

/// What may be asked for.
#[derive(Args)]
pub struct Options {
    /// Write what is counted as the new baselines
    #[arg(long)]
    accept: bool,
    /// Count what users run, an optimised build; the guard among the tests counts the build that the tests have
    #[arg(long)]
    release: bool,
}

/// Builds, counts, compares.
///
/// # Errors
/// When a step fails, or a hot path has grown.
pub fn run(options: &Options) -> anyhow::Result<()> {
    // As the tests are built: of the workspace as a whole. With a package alone its dependencies would have other features.
    let mut build =
        Step::cargo("build", &["test", "--quiet", "--workspace", "--test", "hot_paths", "--no-run"]);
    if options.release {
        build = build.argument("--release");
    }
    succeed(&build)?;
    let folder = if options.release { "release" } else { "debug" };
    let program = target().join(folder).join("corelane-cost");
    let word = if options.accept { "accept" } else { "check" };
    succeed(&Step::program("cost", &program).argument(word))
}
