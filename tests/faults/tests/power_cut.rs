//! Power cuts, by images built from what the real driver wrote and flushed.

use corelane_fault_tests::power_cut::{PowerCutFault, PowerCutReport, PowerCutSettings, run};
use std::time::Duration;

fn cut(settings: PowerCutSettings) -> PowerCutReport {
    match run(settings) {
        Ok(report) => report,
        Err(error) => panic!("{error:#}"),
    }
}

const SETTINGS: PowerCutSettings = PowerCutSettings {
    seed: 1,
    images: 25,
    recoveries: 4,
    images_of_recovery: 5,
    load: Duration::from_millis(1500),
    fault: PowerCutFault::None,
};

#[test]
fn power_cuts_of_load_and_of_recovery_lose_nothing_acknowledged() {
    let report = cut(SETTINGS);
    println!("{report}");
    assert!(report.wrong.is_empty(), "{report}");
    assert!(report.demanded > 0, "nothing was demanded, so nothing is proven");
}

fn assert_found_out(fault: PowerCutFault) {
    let report = cut(PowerCutSettings { images: 8, recoveries: 0, fault, ..SETTINGS });
    println!("{report}");
    assert!(report.demanded > 0, "nothing was demanded, so nothing is proven");
    assert!(!report.wrong.is_empty(), "no loss was found where flushes were missing");
}

#[test]
fn a_driver_that_skips_fdatasync_is_found_out() {
    assert_found_out(PowerCutFault::SkipFdatasync);
}

#[test]
fn journals_that_are_not_flushed_are_found_out() {
    assert_found_out(PowerCutFault::ForgetJournalFlushes);
}
