//! Which boot counts.

use super::{super::paths, failed};
use crate::{error::Fatal, log::Boot};
use corelane_seam::Disk;
use std::path::Path;

const FORMAT: &str = "corelane-log 1";

/// The manifest: a few lines of text, so that a human can read it, with a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub boot: Boot,
    pub shards: u16,
}

impl Manifest {
    fn encode(&self) -> String {
        let Manifest { boot, shards } = self;
        let text =
            format!("{FORMAT}\ngeneration {}\nshards {shards}\nsalt {:016x}\n", boot.generation, boot.salt);
        let crc = crc32c::crc32c(text.as_bytes());
        format!("{text}crc {crc:08x}\n")
    }

    fn decode(text: &str) -> Result<Manifest, &'static str> {
        if text.lines().next() != Some(FORMAT) {
            return Err("it is of a format that this version does not know");
        }
        let damaged = "it is damaged";
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.ok_or(damaged)
        };
        let boot = Boot {
            generation: value("generation")?.parse().map_err(|_| damaged)?,
            salt: u64::from_str_radix(value("salt")?, 16).map_err(|_| damaged)?,
        };
        let manifest = Manifest { boot, shards: value("shards")?.parse().map_err(|_| damaged)? };
        if manifest.encode() == text { Ok(manifest) } else { Err(damaged) }
    }

    pub fn read(disk: &dyn Disk, data: &Path) -> Result<Option<Manifest>, Fatal> {
        let path = paths::manifest(data);
        let Some(bytes) = disk.read(&path).map_err(|error| failed("reading", &path, &error))? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is damaged");
        let manifest = text.and_then(Manifest::decode).map_err(|why| {
            Fatal::new(format!(
                "{}: {why}. Use the version of Corelane that wrote it, or restore it from a copy.",
                path.display()
            ))
        })?;
        Ok(Some(manifest))
    }

    pub fn write(&self, disk: &dyn Disk, data: &Path) -> Result<(), Fatal> {
        let path = paths::manifest(data);
        disk.replace(&path, self.encode().as_bytes()).map_err(|error| failed("replacing", &path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_back_and_damage_or_another_version_is_refused() {
        let manifest = Manifest { boot: Boot { generation: 9, salt: u64::MAX - 1 }, shards: 3 };
        let text = manifest.encode();
        assert_eq!(Manifest::decode(&text), Ok(manifest));
        assert!(Manifest::decode(&text.replace("shards 3", "shards 4")).is_err());
        assert!(Manifest::decode(&text.replace("log 1", "log 2")).unwrap_err().contains("format"));
        assert!(Manifest::decode(&text[..text.len() - 3]).is_err());
    }
}
