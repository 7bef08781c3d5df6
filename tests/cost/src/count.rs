//! Has callgrind count what a hot path executes in data shards.
//!
//! What would make two counts of one build differ is kept out: maps of the broker have hashers without a random state, the
//! clock is a number, there is one thread; valgrind places memory alike at each start, shows every program the same
//! processor (of the few that it knows: which one is a condition of the baselines), and gets no environment that could
//! move the stack. A thousandth is left: the quorum's shard is not counted, but shares the heap, and crates that it is made of
//! have maps with random states.

use crate::{
    baselines::Conditions,
    machine::COUNTED,
    paths::{self, HotPath},
};
use anyhow::{Context, bail, ensure};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Mutex, PoisonError},
    thread,
};

/// What `corelane-cost` must be asked to name the processor that it sees.
pub const PROCESSOR: &str = "processor";

/// Counts all hot paths of this build of `corelane-cost`: instructions per request by name. What callgrind writes is left
/// in `directory`, for callgrind_annotate and its like.
///
/// # Errors
/// When valgrind is not there, or a path fails.
pub fn all(program: &Path, directory: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let left = Mutex::new(paths::ALL.iter());
    let take = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut counted = Vec::new();
        while let Some(path) = take() {
            counted.push((path.name.to_owned(), one(program, path, directory)?));
        }
        anyhow::Ok(counted)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("no worker panics")).collect()
    });
    let mut all = BTreeMap::new();
    for counted in results {
        all.extend(counted?);
    }
    Ok(all)
}

/// Counts one hot path: instructions per request.
///
/// # Errors
/// When valgrind is not there, or the path fails.
pub fn one(program: &Path, path: &HotPath, directory: &Path) -> anyhow::Result<u64> {
    let profile = profile_of(path, directory);
    let arguments = [
        "--tool=callgrind".to_owned(),
        format!("--toggle-collect={COUNTED}"),
        format!("--callgrind-out-file={}", profile.display()),
    ];
    valgrind(&arguments, program, path.name)?;
    let text = fs::read_to_string(&profile).with_context(|| format!("no {}", profile.display()))?;
    let total = total(&text).with_context(|| format!("no total in {}", profile.display()))?;
    ensure!(total > 0, "callgrind has found nothing to count: no function is called {COUNTED}");
    Ok(total / u64::from(path.requests))
}

/// Where callgrind leaves what it counted of a path.
pub fn profile_of(path: &HotPath, directory: &Path) -> PathBuf {
    directory.join(format!("{}.callgrind", path.name))
}

/// Instructions in all, of a file that callgrind wrote.
fn total(text: &str) -> Option<u64> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    line("totals:").or_else(|| line("summary:"))?.trim().parse().ok()
}

fn valgrind(arguments: &[String], program: &Path, argument: &str) -> anyhow::Result<Output> {
    let output = Command::new("valgrind")
        .args(arguments)
        .arg(program)
        .arg(argument)
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .output()
        .context("valgrind cannot be run: tests/install-clients installs it")?;
    if !output.status.success() {
        bail!("{argument} failed under valgrind:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output)
}

/// What the figures of this build depend on besides the project's sources.
///
/// # Errors
/// When one of the programs that tell cannot be run.
pub fn conditions(program: &Path) -> anyhow::Result<Conditions> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let processor = valgrind(&["--tool=none".to_owned(), "--quiet".to_owned()], program, PROCESSOR)?;
    let processor = String::from_utf8_lossy(&processor.stdout).trim().to_owned();
    Ok(Conditions::from([
        ("profile".to_owned(), profile(program)?),
        ("rustc".to_owned(), said(&rustc, "--version")?),
        ("libc".to_owned(), said("getconf", "GNU_LIBC_VERSION")?),
        ("valgrind".to_owned(), said("valgrind", "--version")?),
        ("processor".to_owned(), processor),
    ]))
}

/// As cargo calls the folder of a build: debug, release.
///
/// # Errors
/// When the program lies in no folder.
pub fn profile(program: &Path) -> anyhow::Result<String> {
    let folder = program.parent().and_then(Path::file_name).context("a program of cargo's has a folder")?;
    Ok(folder.to_string_lossy().into_owned())
}

fn said(program: &str, argument: &str) -> anyhow::Result<String> {
    let output =
        Command::new(program).arg(argument).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} {argument} failed");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The processor that this process sees, as far as code is chosen by it at run time; and what it was compiled for.
pub fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    let has: Vec<&str> = features.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
    let compiled = if cfg!(target_feature = "avx2") { "with avx2" } else { "without avx2" };
    format!("{} {}, compiled {compiled}", env::consts::ARCH, has.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_from_what_any_version_of_callgrind_writes() {
        assert_eq!(total("events: Ir\n\nfn=(1) a\n1 20\n\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("summary: 77\nevents: Ir\n"), Some(77));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn the_profile_is_the_folder_of_the_build() {
        assert_eq!(profile(Path::new("/target/release/corelane-cost")).ok().as_deref(), Some("release"));
    }
}
