//! Who may depend on whom, who may name what, and how long a file may be: the design as a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// For each crate of the workspace, the other crates of the workspace it may depend on. `None`: any.
const ALLOWED: &[(&str, Option<&[&str]>)] = &[
    ("corelane-seam", Some(&[])),
    ("corelane-core", Some(&["corelane-seam"])),
    ("corelane-io", Some(&["corelane-seam"])),
    ("corelane-raft-meta", Some(&["corelane-core", "corelane-seam"])),
    ("corelane-shard", Some(&["corelane-core", "corelane-seam", "corelane-io", "corelane-raft-meta"])),
    // io for the bare ring, one of the limits that its reports name; of brokers it knows nothing but the protocol.
    ("corelane-bench", Some(&["corelane-core", "corelane-io"])),
    ("corelane-tools", Some(&["corelane-core"])),
    ("corelane-tuning", Some(&["corelane-io"])),
    ("xtask", Some(&[])),
    ("corelane", None),
    ("corelane-fault-tests", Some(&["corelane-core", "corelane-io", "corelane-shard"])),
    ("corelane-client-tests", Some(&["corelane-fault-tests"])),
    ("corelane-container-tests", Some(&[])),
    (
        "corelane-cost-tests",
        Some(&["corelane-core", "corelane-seam", "corelane-shard", "corelane-simulation"]),
    ),
    ("corelane-simulation", None),
];

/// Third-party crates that only one crate may name, with that crate and its folder.
const RESERVED: &[(&str, &str, &str)] = &[
    ("glommio", "corelane-io", "io/src"),
    ("io-uring", "corelane-io", "io/src"),
    ("openraft", "corelane-raft-meta", "raft-meta/src"),
    ("openraft-rt", "corelane-raft-meta", "raft-meta/src"),
];

const LINES_MAX: usize = 1000;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Each crate of the workspace with all it depends on, for building and for testing.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let name = |value: &serde_json::Value| value["name"].as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let needed = package["dependencies"].as_array().expect("dependencies");
            (name(package), needed.iter().map(name).collect())
        })
        .collect()
}

/// Every Rust file of the project, with its path from the root.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("a source file is UTF-8");
                found.push((path.strip_prefix(root()).expect("below the root").to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The lines of code: comments may speak of anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split_once("//").map_or(line, |(code, _)| code)))
}

#[test]
fn crates_depend_only_on_whom_they_may() {
    let dependencies = dependencies();
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    let workspace: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(workspace, known, "a crate is missing in ALLOWED, or is gone");
    for (name, allowed) in ALLOWED {
        let Some(allowed) = allowed else { continue };
        for needed in &dependencies[*name] {
            let is_ours = known.contains(needed.as_str());
            assert!(!is_ours || allowed.contains(&needed.as_str()), "{name} must not depend on {needed}");
        }
    }
}

#[test]
fn runtimes_are_named_by_one_crate_each() {
    let dependencies = dependencies();
    let sources = sources();
    for (reserved, owner, folder) in RESERVED {
        for (name, needed) in &dependencies {
            assert!(name == owner || !needed.contains(*reserved), "{name} must not depend on {reserved}");
        }
        let used = format!("{}::", reserved.replace('-', "_"));
        for (path, text) in &sources {
            let crate_folder = Path::new(folder).parent().expect("a folder in a crate");
            if path.starts_with(crate_folder) || path == Path::new("tests/layering.rs") {
                continue;
            }
            for (number, line) in code(text) {
                assert!(!line.contains(&used), "{}:{number} names {reserved}", path.display());
            }
        }
    }
}

#[test]
fn core_waits_for_nothing_and_reads_no_clock() {
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("core/src")) {
        for (number, line) in code(text) {
            for word in ["async fn", "async move", "async {", ".await", "Instant::now", "SystemTime::now"] {
                assert!(!has_word(line, word), "{}:{number} has `{word}`", path.display());
            }
        }
    }
}

/// Whether a line has these words, not as the beginning of a longer one (`.awaits_flush()`).
fn has_word(line: &str, word: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    line.match_indices(word).any(|(at, _)| !goes_on(&line[at + word.len()..]))
}

#[test]
fn a_word_is_found_only_whole() {
    assert!(has_word("future.await;", ".await") && has_word("x.await", ".await"));
    assert!(!has_word("journal.awaits_flush()", ".await"));
}

#[test]
fn core_keeps_its_bans() {
    let bans = fs::read_to_string(root().join("core/clippy.toml")).expect("core/clippy.toml");
    for banned in [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "std::thread::spawn",
        "std::fs::File",
        "std::net::TcpStream",
        "std::collections::HashMap",
        "std::collections::HashSet",
        "uuid::Uuid::new_v4",
    ] {
        assert!(bans.contains(&format!("\"{banned}\"")), "core/clippy.toml no longer bans {banned}");
    }
}

#[test]
fn no_file_is_too_long_to_review() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines, more than {LINES_MAX}", path.display());
    }
}
