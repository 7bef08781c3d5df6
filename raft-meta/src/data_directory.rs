//! What a directory of logs is: the file `data.properties` in it, written before the first log and never changed. A
//! broker registers with the directory's id, so a data disk that was wiped, or is another one, is found out though the
//! metadata's disk is as it was (KIP-858).
//!
//! Two steps, because logs are recovered before the metadata says which cluster this is: [`begin`] gives a directory
//! without data its id, [`open`] holds it against node and cluster.

use crate::meta::{self, Claim, Meta, READY};
use corelane_core::{error::Fatal, ids::NodeId};
use corelane_seam::Disk;
use std::path::{Path, PathBuf};

/// Of a directory whose cluster is not known yet.
const BEGUN: &str = "formatting";

fn path(directory: &Path) -> PathBuf {
    directory.join("data.properties")
}

fn write(disk: &dyn Disk, directory: &Path, meta: &Meta, state: &str) -> Result<(), Fatal> {
    let path = path(directory);
    disk.replace(&path, &meta::render(meta, state)).map_err(|error| meta::failed(&path, &error))
}

/// Before recovery, of a directory that holds no data: where it has no identity it is given this id.
///
/// # Errors
/// When its file is damaged, of an unknown version, or the disk fails.
pub fn begin(disk: &dyn Disk, directory: &Path, node_id: NodeId, new_id: u128) -> Result<(), Fatal> {
    if meta::read(disk, &path(directory))?.is_some() {
        return Ok(());
    }
    let meta = Meta { cluster_id: String::new(), node_id, directory_id: new_id };
    write(disk, directory, &meta, BEGUN)
}

/// The directory's id. One with data and without a file, as versions before this one left it, has the id that its broker
/// was registered with then, `metadata_id`.
///
/// # Errors
/// When it is another node's or another cluster's, damaged, of an unknown version, or the disk fails.
pub fn open(
    disk: &dyn Disk,
    directory: &Path,
    (node_id, cluster_id): (NodeId, &str),
    metadata_id: u128,
) -> Result<u128, Fatal> {
    let path = path(directory);
    let claim =
        Claim { node_id, cluster_id: Some(cluster_id), new_cluster_id: None, new_directory_id: metadata_id };
    let (known, is_complete) = match meta::read(disk, &path)? {
        Some((known, true)) => (known, true),
        Some((begun, false)) => (Meta { cluster_id: cluster_id.to_owned(), ..begun }, false),
        None => (meta::fresh(&claim)?, false),
    };
    let meta = meta::check(known, &path, &claim)?;
    if !is_complete {
        write(disk, directory, &meta, READY)?;
    }
    Ok(meta.directory_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::MemoryDisk;

    const DATA: &str = "/data";
    const ME: (NodeId, &str) = (NodeId(1), "c");

    #[test]
    fn a_data_directory_keeps_its_id_and_an_empty_one_gets_another() {
        let (disk, directory) = (MemoryDisk::default(), Path::new(DATA));
        begin(&disk, directory, ME.0, 500).expect("begun");
        begin(&disk, directory, ME.0, 501).expect("begun after a power cut, too");
        assert_eq!(open(&disk, directory, ME, 7).expect("opened"), 500);
        begin(&disk, directory, ME.0, 502).expect("at the next start");
        assert_eq!(open(&disk, directory, ME, 7).expect("opened"), 500);
        let wiped = MemoryDisk::default();
        begin(&wiped, directory, ME.0, 503).expect("begun");
        assert_eq!(open(&wiped, directory, ME, 7).expect("opened"), 503);
    }

    #[test]
    fn data_of_a_version_without_the_file_keeps_the_id_that_its_broker_had() {
        let (disk, directory) = (MemoryDisk::default(), Path::new(DATA));
        assert_eq!(open(&disk, directory, ME, 7).expect("opened"), 7);
        assert_eq!(open(&disk, directory, ME, 8).expect("opened"), 7);
    }

    #[test]
    fn data_of_another_cluster_or_node_is_refused() {
        let (disk, directory) = (MemoryDisk::default(), Path::new(DATA));
        begin(&disk, directory, ME.0, 500).expect("begun");
        let other = open(&disk, directory, (NodeId(2), "c"), 7).expect_err("another node's");
        assert!(other.to_string().contains("belongs to node.id 1"), "{other}");
        open(&disk, directory, ME, 7).expect("opened");
        let other = open(&disk, directory, (NodeId(1), "d"), 7).expect_err("another cluster's");
        assert!(other.to_string().contains("belongs to cluster c"), "{other}");
    }
}
