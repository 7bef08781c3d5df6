//! A machine that lacks something: three lines and an exit code, never a panic.

use corelane_fault_tests::{Broker, BrokerOptions, Limit, binary};
use corelane_io::DriverKind;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Whom a test of root becomes, because root is denied nothing: the overflow user, which is nobody everywhere.
const NOBODY: u32 = 65_534;

/// A directory with the binary in it, which anyone may run, and an empty data directory of whoever runs it.
struct Place {
    _directory: tempfile::TempDir,
    program: PathBuf,
    data: PathBuf,
    user: Option<u32>,
}

fn place() -> Place {
    let directory = tempfile::tempdir().expect("a directory");
    open_to_all(directory.path());
    let program = directory.path().join("corelane");
    // Another process copies: what this one has open for writing, a broker that another test starts meanwhile inherits until it is
    // executed, and a file that somebody may write cannot be executed ("text file busy").
    let copied =
        Command::new("cp").arg(binary().expect("it builds")).arg(&program).status().expect("cp runs");
    assert!(copied.success(), "{copied}");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    // SAFETY: geteuid has no preconditions.
    let user = (unsafe { libc::geteuid() } == 0).then_some(NOBODY);
    if let Some(user) = user {
        std::os::unix::fs::chown(&data, Some(user), Some(user)).expect("root may");
    }
    Place { _directory: directory, program, data, user }
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
}

impl Place {
    fn options(&self) -> BrokerOptions {
        let mut options = BrokerOptions::new(&self.data, 2);
        options.program = Some(self.program.clone());
        options.user = self.user;
        options
    }
}

/// It ends with an error of three lines that says each of these; all that it said.
fn refused(options: &BrokerOptions, words: &[&str]) {
    let mut broker = Broker::spawn(options).expect("it runs");
    let status = broker.wait(Duration::from_secs(20)).expect("it ends");
    let said = broker.said();
    println!("{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(status.code(), Some(1), "{said}");
    for part in ["error: ", "  why: ", "  fix: "] {
        assert!(said.lines().any(|line| line.starts_with(part)), "no {part:?} in:\n{said}");
    }
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
}

#[test]
fn no_lockable_memory_is_told() {
    let place = place();
    let mut options = place.options();
    options.driver = Some(DriverKind::Glommio);
    options.limits.push(Limit { resource: libc::RLIMIT_MEMLOCK, value: 0 });
    refused(&options, &["locked in memory", "ulimit -l"]);
}

#[test]
fn without_lockable_memory_the_portable_driver_serves_unless_another_was_asked_for() {
    let place = place();
    let mut options = place.options();
    options.driver = None;
    options.limits.push(Limit { resource: libc::RLIMIT_MEMLOCK, value: 0 });
    let mut broker = Broker::start(&options).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(broker.terminate(Duration::from_secs(10)).expect("it stops").success());
    let said = broker.said();
    assert!(said.contains("driver=portable") && said.contains("--ulimit memlock=-1"), "{said}");
}

#[test]
fn few_open_files_are_told() {
    for value in [16, 64, 256, 1000] {
        let place = place();
        let mut options = place.options();
        options.limits.push(Limit { resource: libc::RLIMIT_NOFILE, value });
        refused(&options, &["ulimit -n"]);
    }
}

#[test]
fn a_data_directory_that_may_not_be_written_is_told() {
    let place = place();
    let owner = place.user.map(|_| 0);
    std::os::unix::fs::chown(&place.data, owner, owner).expect("ours");
    fs::set_permissions(&place.data, fs::Permissions::from_mode(0o555)).expect("ours");
    refused(&place.options(), &[&place.data.display().to_string()]);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_told() {
    let place = place();
    let mut options = place.options();
    options.data_dir = place.program.join("below-a-file");
    refused(&options, &[&options.data_dir.display().to_string()]);
}

#[test]
fn an_ordinary_user_with_default_limits_is_served() {
    let place = place();
    let mut options = place.options();
    // What distributions give: 8 MiB of lockable memory, 1,024 soft descriptors would be too few for the default.
    options.limits.push(Limit { resource: libc::RLIMIT_MEMLOCK, value: 8 << 20 });
    let mut broker = Broker::start(&options).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(broker.terminate(Duration::from_secs(10)).expect("it stops").success());
}
