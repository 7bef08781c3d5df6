//! Power cuts, by images built from what the real driver wrote and flushed.

use corelane_fault_tests::power_cut::{PowerCutReport, PowerCutSettings, run};
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
    skip_fdatasync: false,
};

#[test]
fn power_cuts_of_load_and_of_recovery_lose_nothing_acknowledged() {
    let report = cut(SETTINGS);
    println!("{report}");
    assert!(report.wrong.is_empty(), "{report}");
    assert!(report.demanded > 0, "nothing was demanded, so nothing is proven");
}

#[test]
fn a_driver_that_skips_fdatasync_is_found_out() {
    let report = cut(PowerCutSettings { images: 8, recoveries: 0, skip_fdatasync: true, ..SETTINGS });
    println!("{report}");
    assert!(report.demanded > 0, "nothing was demanded, so nothing is proven");
    assert!(!report.wrong.is_empty(), "no loss was found where nothing was flushed");
}
