//! A backlog, read from files while producing goes on.

use corelane_fault_tests::backlog;

#[test]
fn a_backlog_is_read_whole_while_producing() {
    println!("{}", backlog::run(128 << 20, 512 << 20).unwrap_or_else(|error| panic!("{error:#}")));
}
