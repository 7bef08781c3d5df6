//! `corelane tune measure`, and a broker that starts on what it left.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
};

const FILE: &str = "disk.properties";

fn corelane(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.args(arguments).env_clear();
    command
}

/// A directory on a disk, where the machine has one: what lies in memory has no direct I/O.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// Measures for a second, whatever else uses the disk; what is printed.
fn measure(directory: &Path) -> String {
    let output = corelane(&["tune", "measure", "--seconds", "1", "--dir"])
        .arg(directory)
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(directory).expect("readable").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Ends with the test, however it ends.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a broker logs of its disk when it starts with these overrides: the first line that names the file, or the one that
/// says that it serves.
fn said_at_start(directory: &Path, overrides: &[&str]) -> String {
    let mut command = corelane(&["start", "--override"]);
    command.arg(format!("log.dirs={}", directory.display()));
    for setting in ["listeners=PLAINTEXT://127.0.0.1:0", "corelane.shards=1"].iter().chain(overrides) {
        command.args(["--override", setting]);
    }
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut broker = Broker(child);
    let log = BufReader::new(broker.0.stderr.take().expect("piped"));
    let lines = log.lines().map(|line| line.expect("UTF-8"));
    let mut all = Vec::new();
    for line in lines {
        if line.contains(FILE) || line.contains("serving") {
            return line;
        }
        all.push(line);
    }
    panic!("it ended: {}", all.join("\n"));
}

#[test]
fn a_measurement_is_found_by_the_check_and_taken_by_the_broker() {
    let directory = directory();
    let page = measure(directory.path());
    assert!(page.contains("\nwrite + fdatasync "), "{page}");
    assert!(page.contains("A broker of ") && page.contains("journal groups of "), "{page}");
    assert_eq!(names(directory.path()), [".lock", FILE]);

    let check = corelane(&["tune", "check", "disk-measurement", "--data-dir"])
        .arg(directory.path())
        .output()
        .expect("the binary runs");
    let table = String::from_utf8(check.stdout).expect("UTF-8");
    assert!(check.status.success() && table.contains("0 hours old, of this device"), "{table}");

    let said = said_at_start(directory.path(), &["corelane.journal.bytes.max=33554432"]);
    assert!(said.contains("the disk was measured"), "{said}");
    assert!(
        said.contains("4 KiB written and flushed in ") && said.contains("hence journal groups of "),
        "{said}"
    );
    assert!(said.ends_with("journals of up to 32 MiB as configured"), "{said}");
}

#[test]
fn a_file_that_is_damaged_or_of_another_device_is_passed_over_with_a_warning_and_the_broker_starts() {
    let directory = directory();
    let file = directory.path().join(FILE);
    fs::write(&file, "disks:\n  - mountpoint: /data\n").expect("written");
    let said = said_at_start(directory.path(), &[]);
    assert!(said.contains("WARN") && said.contains("is not used: it has no version"), "{said}");
    let figures = "write.flushed.4096.1=1 1 1 1\nread.1048576.4=1 1 1 1\n";
    let other = format!("version=1\nmeasured.unix.seconds=1\ndevice=a disk of old\n{figures}");
    fs::write(&file, other).expect("written");
    let said = said_at_start(directory.path(), &[]);
    assert!(said.contains("is not used: it is of a disk of old, and this is "), "{said}");
    fs::write(&file, vec![b'#'; 1 << 20]).expect("written");
    let said = said_at_start(directory.path(), &[]);
    assert!(said.contains("longer than 65536 bytes"), "{said}");
    fs::remove_file(&file).expect("removed");
    let said = said_at_start(directory.path(), &[]);
    assert!(said.contains("serving"), "{said}");
}

#[test]
fn a_measurement_that_is_interrupted_leaves_nothing_behind() {
    let directory = directory();
    let child = corelane(&["tune", "measure", "--seconds", "20", "--dir"])
        .arg(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut measuring = Broker(child);
    // The first row says that there are files, and that they were written to.
    let output = BufReader::new(measuring.0.stdout.take().expect("piped"));
    let row = output.lines().map(|line| line.expect("UTF-8")).find(|line| line.starts_with("write "));
    assert!(row.is_some());
    let pid = measuring.0.id().to_string();
    // Not SIGINT: a shell has it ignored by what it runs in the background.
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("runs").success());
    let status = measuring.0.wait().expect("it ends");
    assert!(!status.success());
    assert_eq!(names(directory.path()), [".lock"]);
}

#[test]
fn beside_a_running_broker_nothing_is_measured() {
    let directory = directory();
    let mut command = corelane(&["start", "--override"]);
    command.arg(format!("log.dirs={}", directory.path().display()));
    command.args(["--override", "listeners=PLAINTEXT://127.0.0.1:0", "--override", "corelane.shards=1"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut broker = Broker(child);
    let log = BufReader::new(broker.0.stderr.take().expect("piped"));
    assert!(log.lines().any(|line| line.expect("UTF-8").contains("serving")), "it serves");
    let mut measuring = corelane(&["tune", "measure", "--seconds", "1", "--dir"])
        .arg(directory.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut said = String::new();
    measuring.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
    assert_eq!(measuring.wait().expect("it ends").code(), Some(1));
    assert!(said.contains("a broker runs in"), "{said}");
    assert!(!directory.path().join(FILE).exists());
}
