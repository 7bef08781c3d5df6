//! The comparison works from the command to the page. What it measures is not looked at: the programs are not
//! optimised, and the machine is busy with other tests.

use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

const FIELDS: [&str; 9] = [
    "format",
    "conditions",
    "programs",
    "limits",
    "measurements",
    "watched",
    "processes",
    "failures",
    "targets",
];

/// Runs `cargo xtask compare --quick` of a few short workloads into a directory, with the programs that the tests' build
/// made.
fn compare(out: &Path) -> Value {
    let arguments =
        ["compare", "--built", "--quick", "--rounds", "1", "--seconds", "0.2", "--only", "limits,a,j"];
    let xtask = Path::new(env!("CARGO_BIN_EXE_xtask"));
    for program in ["corelane", "corelane-bench"] {
        let path = xtask.with_file_name(program);
        assert!(path.exists(), "{} is missing: cargo test --workspace builds it", path.display());
    }
    let output = Command::new(xtask).args(arguments).arg("--out").arg(out).output().expect("xtask runs");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&fs::read(out.join("report.json")).expect("a report")).expect("JSON")
}

/// The texts of a field in each of an array's values.
fn texts<'a>(array: &'a Value, field: &str) -> BTreeSet<&'a str> {
    let values = array.as_array().expect("an array").iter();
    values.map(|value| value[field].as_str().expect("a text")).collect()
}

fn check_report(report: &Value) {
    for field in FIELDS {
        assert!(!report[field].is_null(), "the report is without {field}");
    }
    let conditions: BTreeSet<&str> = report["conditions"]
        .as_array()
        .expect("pairs")
        .iter()
        .map(|pair| pair[0].as_str().expect("a name"))
        .collect();
    for name in
        ["kernel", "cpu", "memory", "disk", "commit", "pinning", "Kafka's heap", "load average at the end"]
    {
        assert!(conditions.contains(name), "no condition {name} among {conditions:?}");
    }
    assert_eq!(report["programs"]["kafka"]["version"], "4.3.1");
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(0));
    let measurements = &report["measurements"];
    assert_eq!(texts(measurements, "system"), BTreeSet::from(["corelane", "kafka", "kafka-flushing"]));
    assert_eq!(texts(measurements, "workload"), BTreeSet::from(["a", "j"]));
    for one in measurements.as_array().expect("an array").iter().filter(|one| one["workload"] == "a") {
        // Figures that stand whatever came of the load: what is divided by it may be missing.
        for figure in ["records_per_s", "cpu_cores", "written_mb_per_s", "rss_max_mib"] {
            assert!(one["figures"][figure].is_f64(), "{one} is without {figure}");
        }
    }
    let limits = report["limits"].as_object().expect("by name");
    for name in
        ["write_1m_mb_per_s", "write_4k_flushed_per_s", "sendfile_gb_per_cpu_s", "ring_round_trips_per_s"]
    {
        assert!(limits.contains_key(name), "no limit {name}");
    }
    // The table of targets is whole, also where something was not measured.
    assert_eq!(report["targets"].as_array().map(Vec::len), Some(20));
}

#[test]
fn a_comparison_ends_with_a_whole_report_a_page_with_plots_and_no_process_left() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let report = compare(directory.path());
    check_report(&report);

    let page = fs::read_to_string(directory.path().join("report.html")).expect("a page");
    for plot in ["latency-half-load", "throughput-by-load", "cpu-by-load", "memory-over-time"] {
        let svg = fs::read_to_string(directory.path().join(format!("{plot}.svg"))).expect("a plot");
        assert!(svg.contains("<path d=\"M") && svg.contains("Corelane"), "{plot} shows nothing");
        assert!(page.contains(&svg), "the page is without {plot}");
    }
    for target in report["targets"].as_array().expect("an array") {
        let (figure, value) = (target["figure"].as_str().expect("a text"), &target["value"]);
        assert!(page.contains(figure), "the page is without {figure}");
        assert_eq!(target["met"].is_null(), value.is_null(), "{target}");
    }

    let processes = report["processes"].as_array().expect("ids");
    assert!(processes.len() >= 3, "a calibration and two brokers: {processes:?}");
    for id in processes {
        // Another process may have the number by now: it is no broker of a directory below this one.
        let command = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        assert!(
            !command.contains(&*directory.path().to_string_lossy()),
            "process {id} still runs: {command}"
        );
    }
    let left: Vec<_> = fs::read_dir(directory.path()).expect("readable").flatten().collect();
    assert!(left.iter().all(|entry| entry.path().is_file()), "data of brokers is left: {left:?}");
}
