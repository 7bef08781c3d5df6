//! The guard: counts, reads the committed baselines of this kind of build, judges; or writes them.

use crate::{
    baselines::{Baselines, Judgement},
    count,
};
use anyhow::Context;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Counts all hot paths of this build of `corelane-cost`, and judges them by the baselines of its profile.
///
/// # Errors
/// When they cannot be counted, or the baselines cannot be read.
pub fn judge(program: &Path) -> anyhow::Result<Judgement> {
    let committed = committed(&file(program)?)?;
    Ok(committed.judge(&counted(program)?))
}

/// Counts them and writes the baselines: what is to be said of the ones before, and where they are.
///
/// # Errors
/// When they cannot be counted or written.
pub fn accept(program: &Path) -> anyhow::Result<(Judgement, PathBuf)> {
    let file = file(program)?;
    let counted = counted(program)?;
    let before = committed(&file).unwrap_or_default();
    fs::write(&file, counted.render()).with_context(|| format!("cannot write {}", file.display()))?;
    Ok((before.judge(&counted), file))
}

fn counted(program: &Path) -> anyhow::Result<Baselines> {
    let target =
        program.parent().and_then(Path::parent).context("a program of cargo's has a target folder")?;
    let directory = target.join("cost").join(count::profile(program)?);
    Ok(Baselines { conditions: count::conditions(program)?, figures: count::all(program, &directory)? })
}

/// Where the baselines of this kind of build are. Other processors have other instructions.
fn file(program: &Path) -> anyhow::Result<PathBuf> {
    let name = format!("{}-{}.txt", std::env::consts::ARCH, count::profile(program)?);
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("baselines").join(name))
}

/// None yet are an empty table: every path is then without a baseline.
fn committed(file: &Path) -> anyhow::Result<Baselines> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Baselines::default()),
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    Baselines::parse(&text).with_context(|| format!("{} is no table", file.display()))
}
