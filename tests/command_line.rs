//! The binary as its users call it: what it says, and its exit code.

use std::{
    io::Write,
    process::{Command, Output},
};

fn corelane(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.args(arguments).env_clear();
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    outcome(&corelane(arguments).output().expect("the binary runs"))
}

fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code().expect("no signal"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_unknown_override_is_refused_with_the_nearest_name() {
    let (code, _, said) = run(&["start", "--override", "num.partition=3"]);
    assert_eq!(code, 2);
    assert!(
        said.contains("--override: unknown setting num.partition (the nearest known one is num.partitions)")
    );
    assert!(said.contains("  why: ") && said.contains("  fix: write num.partitions"), "{said}");
}

#[test]
fn every_problem_of_a_file_is_told_with_its_line() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(b"# comment\nlog.segment.bytes=5\nssl.keystore.location=/k\n").expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let (code, _, said) = run(&["start", "--config", path]);
    assert_eq!(code, 2);
    assert!(said.contains(&format!("{path}:2: Invalid value 5")), "{said}");
    assert!(
        said.contains(&format!("{path}:3: ssl.keystore.location is set, but TLS is not built yet")),
        "{said}"
    );
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let (code, _, said) = run(&["start", "--config", "no/such.properties"]);
    assert_eq!(code, 2);
    assert!(said.contains("no/such.properties cannot be read"), "{said}");
}

#[test]
fn a_bad_value_in_the_environment_names_the_variable() {
    let output = corelane(&[]).env("KAFKA_NODE_ID", "x").output().expect("the binary runs");
    let (code, _, said) = outcome(&output);
    assert_eq!(code, 2);
    assert!(said.contains("environment variable KAFKA_NODE_ID: Invalid value x"), "{said}");
}

#[test]
fn the_manual_is_printed() {
    let (code, page, _) = run(&["config-docs"]);
    assert_eq!(code, 0);
    assert!(page.contains("| `log.retention.ms` | long |"));
}

#[test]
fn the_version_is_printed() {
    let (code, said, _) = run(&["--version"]);
    assert_eq!((code, said.trim()), (0, concat!("corelane ", env!("CARGO_PKG_VERSION"))));
}
