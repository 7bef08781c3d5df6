//! What the image's files promise, as far as it can be told without a container engine.

use std::{fs, path::Path};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_seccomp_profile_allows_io_uring_and_refuses_by_default() {
    let profile: serde_json::Value = serde_json::from_str(&file("seccomp.json")).expect("valid JSON");
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let allowed = profile["syscalls"][0]["names"].as_array().expect("a list of names");
    for name in
        ["io_uring_setup", "io_uring_enter", "io_uring_register", "sendfile", "cachestat", "fallocate"]
    {
        assert!(allowed.iter().any(|allowed| allowed == name), "{name} is missing");
    }
    // What a container's engine calls between loading the profile and starting the image.
    for name in
        ["capget", "capset", "prctl", "setgroups", "setresgid", "setresuid", "chdir", "execve", "fstatfs"]
    {
        assert!(allowed.iter().any(|allowed| allowed == name), "{name} is missing: no container would start");
    }
    for name in ["ptrace", "mount", "bpf", "kexec_load", "init_module", "setns", "unshare"] {
        assert!(!allowed.iter().any(|allowed| allowed == name), "{name} is no business of a broker");
    }
}

#[test]
fn the_image_runs_as_an_ordinary_user_and_takes_its_base_as_an_argument() {
    let dockerfile = file("Dockerfile");
    assert!(dockerfile.contains("ARG BASE=") && dockerfile.contains("FROM ${BASE}"));
    assert!(dockerfile.lines().any(|line| line.starts_with("USER ") && !line.contains("root")));
}

#[test]
fn the_compose_file_publishes_on_loopback_and_uses_the_profile() {
    let compose = file("compose.yml");
    assert!(compose.contains("\"127.0.0.1:9092:9092\""));
    assert!(compose.contains("seccomp=./seccomp.json"));
}
