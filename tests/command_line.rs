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

/// Which item has which verdict, by the table; the machine decides which.
fn verdicts(table: &str) -> Vec<(&str, &str)> {
    let rows = table.lines().skip(1).take_while(|line| !line.is_empty());
    let verdict = |line: &str| {
        let known = ["good", "could be better", "not here: ", "cannot tell: "];
        known.into_iter().find(|verdict| line.contains(&format!("  {verdict}"))).expect("a verdict")
    };
    rows.map(|line| (line.split(' ').next().expect("a name"), verdict(line))).collect()
}

#[test]
fn the_machine_is_checked_and_the_exit_code_tells_whether_it_could_be_better() {
    let (code, table, said) = run(&["tune", "check"]);
    assert!(table.starts_with("ITEM ") && said.is_empty(), "{table}{said}");
    let verdicts = verdicts(&table);
    let names: Vec<_> = verdicts.iter().map(|(name, _)| *name).collect();
    let all: Vec<_> = corelane_tuning::ITEMS.iter().map(|item| item.name).collect();
    assert_eq!(names, all);
    let could_be_better = verdicts.iter().any(|(_, verdict)| *verdict == "could be better");
    assert_eq!(code, i32::from(could_be_better), "{table}");
}

#[test]
fn only_the_items_that_are_named_are_checked_and_count() {
    for item in corelane_tuning::ITEMS {
        let (code, table, _) = run(&["tune", "check", item.name]);
        let verdicts = verdicts(&table);
        assert_eq!(verdicts.len(), 1, "{table}");
        assert_eq!((verdicts[0].0, code), (item.name, i32::from(verdicts[0].1 == "could be better")));
    }
}

#[test]
fn a_data_directory_without_a_disk_cannot_be_told_and_is_no_failure() {
    let (code, table, _) = run(&["tune", "check", "disk-scheduler", "write-cache", "--data-dir", "/proc"]);
    assert_eq!(code, 0);
    assert_eq!(verdicts(&table), [("disk-scheduler", "cannot tell: "), ("write-cache", "cannot tell: ")]);
}

#[test]
fn a_check_leaves_no_data_directory_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, table, _) = outcome(
        &corelane(&["tune", "check"]).current_dir(directory.path()).output().expect("the binary runs"),
    );
    assert!(!table.is_empty());
    assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 0);
}

#[test]
fn an_explanation_tells_reason_change_and_undoing() {
    let (code, page, _) = run(&["tune", "explain", "swappiness"]);
    assert_eq!(code, 0);
    assert!(page.starts_with("swappiness\n"), "{page}");
    assert!(page.contains("  change:\n    sysctl -w vm.swappiness=1\n"), "{page}");
    assert!(page.contains("  undo:\n"), "{page}");
    assert!(!page.contains("memlock"), "{page}");
}

#[test]
fn without_a_name_every_item_is_explained() {
    let (code, page, _) = run(&["tune", "explain"]);
    assert_eq!(code, 0);
    for item in corelane_tuning::ITEMS {
        assert!(page.lines().any(|line| line == item.name), "{}", item.name);
    }
}

#[test]
fn a_script_of_changes_comes_with_its_undo_and_is_never_written_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("tune.sh");
    let option = format!("--script={}", file.display());
    let (code, _, said) = run(&["tune", "apply", &option]);
    assert_eq!((code, said.as_str()), (0, ""));
    let undo = std::fs::read_to_string(directory.path().join("tune.sh.undo")).expect("the undo");
    let script = std::fs::read_to_string(&file).expect("the script");
    assert!(script.starts_with("#!/bin/sh\n") && undo.starts_with("#!/bin/sh\n"), "{script}{undo}");
    let (code, _, said) = run(&["tune", "apply", &option]);
    assert!(code == 1 && said.contains("exists"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).expect("the script"), script);
}

#[test]
fn an_unknown_item_is_refused_with_the_known_ones() {
    for command in ["check", "explain", "apply"] {
        let (code, _, said) = run(&["tune", command, "swapiness"]);
        assert_eq!(code, 2);
        assert!(said.contains("'swapiness'") && said.contains("swappiness"), "{said}");
    }
}
