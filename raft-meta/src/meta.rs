//! What a directory is: the file `quorum.properties`, written when the directory is formatted and never changed.
//!
//! Formatting happens in an order in which a power cut at any point leaves a directory that is either formatted anew
//! at the next start or complete: the file with `state=formatting`, the log's first segment, the file with
//! `state=ready`. From then on a missing log is a loss, not a beginning.

use crate::{
    log::{Salt, create},
    observer,
};
use corelane_core::{error::Fatal, ids::NodeId};
use corelane_seam::Disk;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// The layout of the whole directory. Another one is refused.
const VERSION: &str = "1";

/// What helps when the file says something else than this version wrote.
const RESTORE: &str = "Start the version of Corelane that wrote it, or restore the directory from a copy";

pub(crate) fn failed(path: &Path, error: &io::Error) -> Fatal {
    Fatal::new(format!("using {} failed: {error}. Check the disk, then start again", path.display()))
}

/// A directory's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Whose metadata it is.
    pub cluster_id: String,
    /// Which voter's.
    pub node_id: NodeId,
    /// Random, drawn when the directory was formatted: a wiped disk is another voter (KIP-853).
    pub directory_id: u128,
}

/// Who wants to use a directory, and what it becomes if it is new.
pub(crate) struct Claim<'a> {
    pub node_id: NodeId,
    /// Demanded by the configuration.
    pub cluster_id: Option<&'a str>,
    /// For a new directory, when the configuration demands none. `None`: it must.
    pub new_cluster_id: Option<&'a str>,
    /// For a new directory.
    pub new_directory_id: u128,
}

/// Where a voter's directory says what it is.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("quorum.properties")
}

/// Whether a directory is a voter's already, or has begun to be one.
///
/// # Errors
/// When the disk fails, or the file is damaged.
pub fn is_formatted(disk: &dyn Disk, directory: &Path) -> Result<bool, Fatal> {
    Ok(read(disk, &path(directory))?.is_some())
}

/// The state of a directory whose formatting is complete.
pub(crate) const READY: &str = "ready";

/// The file's content.
pub(crate) fn render(meta: &Meta, state: &str) -> Vec<u8> {
    let text = format!(
        "version={VERSION}\nstate={state}\ncluster.id={}\nnode.id={}\ndirectory.id={:032x}\n",
        meta.cluster_id, meta.node_id, meta.directory_id
    );
    let crc = crc32c::crc32c(text.as_bytes());
    format!("{text}crc32c={crc:08x}\n").into_bytes()
}

/// The directory's identity and whether its formatting was completed.
fn parse(bytes: &[u8]) -> Result<(Meta, bool), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
    let fields: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let field = |name: &str| fields.get(name).copied().ok_or_else(|| format!("it has no {name}"));
    // Before the checksum: another version may have another layout.
    let version = field("version")?;
    if version != VERSION {
        return Err(format!("its format has version {version}, this broker knows {VERSION}"));
    }
    let meta = Meta {
        cluster_id: field("cluster.id")?.to_owned(),
        node_id: NodeId(field("node.id")?.parse().map_err(|_| "its node.id is not a number")?),
        directory_id: u128::from_str_radix(field("directory.id")?, 16)
            .map_err(|_| "its directory.id is not a number")?,
    };
    let state = field("state")?;
    if render(&meta, state) != bytes {
        return Err("its checksum does not match".to_owned());
    }
    match state {
        READY => Ok((meta, true)),
        "formatting" => Ok((meta, false)),
        other => Err(format!("its state is {other}")),
    }
}

/// Reads a file of this layout, if it is there: the identity, and whether the formatting was completed.
///
/// # Errors
/// When it is damaged, of an unknown version, or the disk fails.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<(Meta, bool)>, Fatal> {
    let Some(bytes) = disk.read(path).map_err(|error| failed(path, &error))? else { return Ok(None) };
    let refuse =
        |reason: String| Fatal::new(format!("{} cannot be used: {reason}. {RESTORE}", path.display()));
    parse(&bytes).map(Some).map_err(refuse)
}

/// What a directory becomes that is new.
///
/// # Errors
/// When it is not told its cluster.
pub(crate) fn fresh(claim: &Claim<'_>) -> Result<Meta, Fatal> {
    let Some(cluster_id) = claim.cluster_id.or(claim.new_cluster_id).map(str::to_owned) else {
        return Err(Fatal::new(
            "controller.quorum.voters names other nodes, and all must know that they are of one cluster. Set \
             corelane.cluster.id to the same name on all of them",
        ));
    };
    if cluster_id.is_empty() || cluster_id.contains(['\n', '\r', '=']) {
        return Err(Fatal::new(format!(
            "{cluster_id:?} cannot be a cluster id. Set corelane.cluster.id to a name on one line without '='"
        )));
    }
    Ok(Meta { cluster_id, node_id: claim.node_id, directory_id: claim.new_directory_id })
}

/// Opens the directory, formatting it if it is new.
///
/// # Errors
/// When it is another node's or another cluster's, of an unknown version, damaged, or the disk fails.
pub(crate) fn open(disk: &dyn Disk, directory: &Path, claim: &Claim<'_>) -> Result<Meta, Fatal> {
    let path = path(directory);
    let failed = |error: io::Error| failed(&path, &error);
    let meta = match read(disk, &path)? {
        Some((meta, true)) => check(meta, &path, claim)?,
        Some((meta, false)) => {
            let meta = check(meta, &path, claim)?;
            format(disk, directory, &path, meta)?
        }
        None => {
            let entries = disk.list(directory).map_err(failed)?;
            if let Some(entry) = entries.iter().find(|entry| is_ours(&entry.path)) {
                return Err(Fatal::new(format!(
                    "{} holds {} but no quorum.properties: the directory is damaged. Restore it from a copy",
                    directory.display(),
                    entry.path.display()
                )));
            }
            // What it was while it had no vote.
            let meta = match observer::identity::read(disk, directory, claim)? {
                Some(meta) => meta,
                None => fresh(claim)?,
            };
            format(disk, directory, &path, meta)?
        }
    };
    // From now on only a complete directory may bear this identity.
    observer::identity::forget(disk, directory)?;
    Ok(meta)
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "snapshot" || name.ends_with(".log")
}

/// Whether a directory is who it is claimed to be.
///
/// # Errors
/// When it is another node's or another cluster's.
pub(crate) fn check(meta: Meta, path: &Path, claim: &Claim<'_>) -> Result<Meta, Fatal> {
    if meta.node_id != claim.node_id {
        return Err(Fatal::new(format!(
            "{} belongs to node.id {known}, but this broker is configured with node.id {}. Set node.id={known} or \
             choose another directory",
            path.display(),
            claim.node_id,
            known = meta.node_id,
        )));
    }
    if let Some(wanted) = claim.cluster_id
        && wanted != meta.cluster_id
    {
        return Err(Fatal::new(format!(
            "{} belongs to cluster {}, but this broker is configured for cluster {wanted}. Correct the cluster id \
             or choose another directory",
            path.display(),
            meta.cluster_id,
        )));
    }
    Ok(meta)
}

fn format(disk: &dyn Disk, directory: &Path, path: &Path, meta: Meta) -> Result<Meta, Fatal> {
    let failed = |error: io::Error| failed(path, &error);
    disk.replace(path, &render(&meta, "formatting")).map_err(failed)?;
    create(disk, directory, Salt(meta.directory_id))?;
    disk.replace(path, &render(&meta, READY)).map_err(failed)?;
    Ok(meta)
}
