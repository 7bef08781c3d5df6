//! Ten thousand idle connections.

use corelane_fault_tests::crowd;

#[test]
fn ten_thousand_idle_connections_are_held_and_a_client_beside_them_is_served() {
    let report = crowd::run(10_000).unwrap_or_else(|error| panic!("{error:#}"));
    println!("{report}");
    // An idle connection keeps a kilobyte to read into, and what engine and driver know of it.
    assert!(report.bytes_each <= 32 << 10, "{report}");
}
