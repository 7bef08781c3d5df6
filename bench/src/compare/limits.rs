//! The limits of the machine, measured before anything else runs: what a broker's figures are parts of.

use super::plan::Plan;
use crate::limits::{disk::TestFile, loopback};
use anyhow::{Context, Result};
use corelane_io::bare_ring;
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Figures by name, and what to know about them.
pub type Found = (BTreeMap<String, f64>, Vec<(String, String)>);

/// Measures each limit, with files in `directory` that are removed.
///
/// # Errors
/// When the directory cannot be written, or its file system has no O_DIRECT.
pub fn measure(directory: &Path, plan: &Plan) -> Result<Found> {
    let each = Duration::from_secs_f64(plan.seconds.min(5.0));
    let mut found = BTreeMap::new();
    let mut put = |name: &str, value: f64| found.insert(name.to_owned(), value);
    let file = TestFile::create(directory)?;
    let small = file.write_and_flush(4096, each)?;
    put("write_4k_flushed_per_s", small.writes_per_s);
    for (name, percent) in [("write_4k_flushed_p50_ms", 50.0), ("write_4k_flushed_p99_9_ms", 99.9)] {
        put(name, small.latencies.percentile_ms(percent).context("no write within the time")?);
    }
    put("write_1m_flushed_mb_per_s", file.write_and_flush(1 << 20, each)?.mb_per_s());
    put("write_1m_mb_per_s", file.write(1 << 20, each)?.mb_per_s());
    let (send, sendfile) = (loopback::send_from_memory(each)?, loopback::send_file(file.path(), each)?);
    put("send_gb_per_s", send.gb_per_s);
    put("send_gb_per_cpu_s", send.gb_per_cpu_s);
    put("sendfile_gb_per_s", sendfile.gb_per_s);
    put("sendfile_gb_per_cpu_s", sendfile.gb_per_cpu_s);
    let mut notes = Vec::new();
    match bare_ring::round_trips(each) {
        Ok(found) => {
            put("ring_round_trips_per_s", found.per_s);
            put("ring_round_trip_cpu_us", found.cpu.as_secs_f64() * 1e6);
        }
        Err(error) => notes.push(("bare ring".to_owned(), format!("not measured: {error}"))),
    }
    for (name, arguments) in FIO {
        match fio(file.path(), arguments, each)? {
            Some(bytes_per_s) => {
                put(name, bytes_per_s / 1e6);
            }
            None => {
                notes.push((
                    "fio".to_owned(),
                    "not installed; the disk's limits are our own measurement".to_owned(),
                ));
                break;
            }
        }
    }
    Ok((found, notes))
}

const FIO: [(&str, &[&str]); 2] =
    [("fio_write_1m_mb_per_s", &[]), ("fio_write_1m_flushed_mb_per_s", &["--fdatasync=1"])];

/// What fio says of sequential direct writes of 1 MiB into a file, in bytes per second; none if there is no fio.
fn fio(file: &Path, arguments: &[&str], time: Duration) -> Result<Option<f64>> {
    let mut command = Command::new("fio");
    command.args(["--name=limit", "--rw=write", "--bs=1M", "--direct=1", "--ioengine=psync", "--time_based"]);
    command.args(["--output-format=json", "--overwrite=1"]).args(arguments);
    command
        .arg(format!("--filename={}", file.display()))
        .arg(format!("--size={}", crate::limits::disk::FILE_BYTES));
    // It takes whole seconds.
    command.arg(format!("--runtime={}", time.as_secs().max(1))).stdin(Stdio::null());
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        output => output.context("cannot run fio")?,
    };
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).context("fio wrote no JSON")?;
    let rate = said["jobs"][0]["write"]["bw_bytes"].as_f64();
    Ok(Some(rate.context("fio's JSON is without jobs[0].write.bw_bytes")?))
}
