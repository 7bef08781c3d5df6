//! What an observer's directory is: the file `meta.properties`, for it has no log. A voter's own file counts where there
//! is one, and a voter takes over an observer's: a node whose roles change stays who it is.

use crate::meta::{self, Claim, Meta};
use corelane_core::error::Fatal;
use corelane_seam::Disk;
use std::path::{Path, PathBuf};

fn path(directory: &Path) -> PathBuf {
    directory.join("meta.properties")
}

/// What an observer's file says, if there is one.
///
/// # Errors
/// When it is another node's or another cluster's, damaged, or the disk fails.
pub(crate) fn read(disk: &dyn Disk, directory: &Path, claim: &Claim<'_>) -> Result<Option<Meta>, Fatal> {
    let known = meta::read(disk, &path(directory))?;
    known.map(|(known, _)| meta::check(known, &path(directory), claim)).transpose()
}

/// Removes an observer's file: the directory is a voter's now.
///
/// # Errors
/// When the disk fails.
pub(crate) fn forget(disk: &dyn Disk, directory: &Path) -> Result<(), Fatal> {
    let path = path(directory);
    let failed = |error| meta::failed(&path, &error);
    if disk.read(&path).map_err(failed)?.is_some() { disk.remove(&path).map_err(failed) } else { Ok(()) }
}

/// Opens an observer's directory; a new one is given an identity.
///
/// # Errors
/// As [`read`]; when a new directory is not told its cluster.
pub(crate) fn open(disk: &dyn Disk, directory: &Path, claim: &Claim<'_>) -> Result<Meta, Fatal> {
    let voters = meta::path(directory);
    if let Some((known, _)) = meta::read(disk, &voters)? {
        return meta::check(known, &voters, claim);
    }
    if let Some(known) = read(disk, directory, claim)? {
        return Ok(known);
    }
    let fresh = meta::fresh(claim)?;
    let path = path(directory);
    disk.replace(&path, &meta::render(&fresh, meta::READY)).map_err(|error| meta::failed(&path, &error))?;
    Ok(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::MemoryDisk;
    use corelane_core::ids::NodeId;

    const DIRECTORY: &str = "/quorum";

    fn claim(node: i32, cluster_id: Option<&str>, directory: u128) -> Claim<'_> {
        Claim { node_id: NodeId(node), cluster_id, new_cluster_id: None, new_directory_id: directory }
    }

    #[test]
    fn an_observers_directory_stays_what_it_was_made() {
        let (disk, directory) = (MemoryDisk::default(), Path::new(DIRECTORY));
        let homeless = open(&disk, directory, &claim(7, None, 1)).expect_err("of no cluster");
        assert!(homeless.to_string().contains("corelane.cluster.id"), "{homeless}");
        let made = open(&disk, directory, &claim(7, Some("c"), 1)).expect("made");
        assert_eq!(open(&disk, directory, &claim(7, None, 2)), Ok(made));
        for (node, cluster, text) in [(8, "c", "belongs to node.id 7"), (7, "d", "belongs to cluster c")] {
            let refused = open(&disk, directory, &claim(node, Some(cluster), 2)).expect_err("another's");
            assert!(refused.to_string().contains(text), "{refused}");
        }
        disk.tamper(&path(directory), b"version=1\n".to_vec());
        let damaged = open(&disk, directory, &claim(7, None, 2)).expect_err("damaged");
        assert!(damaged.to_string().contains("cannot be used"), "{damaged}");
    }

    #[test]
    fn a_node_whose_roles_change_keeps_its_directorys_id() {
        let (disk, directory) = (MemoryDisk::default(), Path::new(DIRECTORY));
        let observer = open(&disk, directory, &claim(7, Some("c"), 1)).expect("made");
        let voter = meta::open(&disk, directory, &claim(7, None, 2)).expect("formatted");
        assert_eq!(voter, observer);
        assert_eq!(open(&disk, directory, &claim(7, Some("c"), 3)), Ok(voter));
        assert!(!disk.names().contains(&"meta.properties".to_owned()), "a log and its identity go together");
        let refused = meta::open(&disk, directory, &claim(8, None, 2)).expect_err("another node");
        assert!(refused.to_string().contains("belongs to node.id 7"), "{refused}");
    }
}
