//! Determinism across processes: nothing depends on an address, on a random hash state or on the thread.

use std::process::Command;

fn told(seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_corelane-sim"))
        .args(["--seed", &seed.to_string()])
        .output()
        .expect("the simulator runs");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    // The last but one line says how long it took.
    text.lines().filter(|line| line.starts_with("seed")).collect()
}

#[test]
fn the_same_seed_is_the_same_run_in_another_process() {
    // Of one broker, and of three.
    for seed in [0, 1] {
        let first = told(seed);
        assert!(first.contains("hash"), "{first}");
        assert_eq!(first, told(seed));
    }
}
