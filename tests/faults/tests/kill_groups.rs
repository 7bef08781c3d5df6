//! `kill -9` while groups commit.

use corelane_fault_tests::kill_groups::{KillGroupsSettings, run};

#[test]
fn three_kills_while_groups_commit_lose_no_acknowledged_commit_and_no_member() {
    let report = run(KillGroupsSettings { rounds: 3, seed: 1 }).unwrap_or_else(|error| panic!("{error:#}"));
    println!("{report}");
    assert!(report.acknowledged > 0 && report.epochs > 0, "{report}");
}
