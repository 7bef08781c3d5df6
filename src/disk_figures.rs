//! What was measured of a directory's disk: where it is kept, and what a start makes of it.

use corelane_core::config::{
    BrokerConfig,
    disk::{DISK_PROPERTIES, DISK_PROPERTIES_BYTES_MAX, DiskFigures},
};
use corelane_tuning::{Machine, Measurement, device_identity};
use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    path::Path,
};

/// Reads the directory's file; none where there is none.
///
/// # Errors
/// Why it cannot be used.
fn read(directory: &Path) -> Result<Option<DiskFigures>, String> {
    let file = match File::open(directory.join(DISK_PROPERTIES)) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    let mut bytes = Vec::new();
    file.take(DISK_PROPERTIES_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > DISK_PROPERTIES_BYTES_MAX {
        return Err(format!("it is longer than {DISK_PROPERTIES_BYTES_MAX} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not text")?;
    DiskFigures::parse(&text).map(Some)
}

/// For `tune check`.
pub fn known(directory: &Path) -> Measurement {
    match read(directory) {
        Ok(None) => Measurement::Missing,
        Ok(Some(figures)) => Measurement::Taken { device: figures.device, unix_s: figures.unix_s },
        Err(reason) => Measurement::Damaged(reason),
    }
}

/// The configuration with what the disk of its journals asks for, if that was measured. Says so in the log; and says what
/// keeps a file from being used, which never keeps a broker from starting.
pub fn adopted(config: BrokerConfig, cpus: usize) -> BrokerConfig {
    if !config.roles.broker {
        return config;
    }
    let directory = config.journal_dir.clone();
    let shards = config.shards.unwrap_or_else(|| u16::try_from(cpus).unwrap_or(u16::MAX));
    let figures = match read(&directory) {
        Ok(None) => return config,
        Ok(Some(figures)) => figures,
        Err(reason) => return passed_over(config, &reason),
    };
    match device_identity(&Machine::new(&directory, Measurement::Missing)) {
        Ok(device) if device == figures.device => {}
        Ok(device) => {
            return passed_over(config, &format!("it is of {}, and this is {device}", figures.device));
        }
        Err(reason) => return passed_over(config, &format!("which device this is cannot be told: {reason}")),
    }
    match figures.settings(shards) {
        Ok(settings) => {
            let config = config.with_disk(settings);
            let whose =
                if config.journal_bytes_max == settings.journal_bytes_max { "" } else { " as configured" };
            tracing::info!(
                "the disk was measured ({}): {}; hence journal groups of {} KiB, up to {} KiB waiting before a journal, and \
                 journals of up to {} MiB{whose}",
                directory.join(DISK_PROPERTIES).display(),
                figures.summary(),
                config.journal_group_bytes_max >> 10,
                config.unsealed_bytes_max >> 10,
                config.journal_bytes_max >> 20,
            );
            config
        }
        Err(reason) => passed_over(config, &reason),
    }
}

fn passed_over(config: BrokerConfig, reason: &str) -> BrokerConfig {
    let directory = config.journal_dir.display();
    tracing::warn!(
        "{directory}/{DISK_PROPERTIES} is not used: {reason}; defaults hold, which fit most disks; to mend it: stop the broker \
         and run corelane tune measure --dir {directory}, or remove the file"
    );
    config
}
