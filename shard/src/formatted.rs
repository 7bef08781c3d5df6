//! What `kafka-storage format` left in the metadata directory, and what a start leaves there for Kafka's tools.

use corelane_core::{
    config::{
        BrokerConfig,
        formatted::{BOOTSTRAP_PROPERTIES, Beginning, InitialQuorum, META_PROPERTIES, MetaProperties},
    },
    controller::KRAFT_VERSION,
    error::Fatal,
};
use corelane_seam::Disk;
use std::{collections::BTreeMap, io, path::Path};

/// What was read; nothing of a directory that was never formatted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Formatted {
    meta: Option<MetaProperties>,
    beginning: Option<Beginning>,
}

fn failed(path: &Path, error: &io::Error) -> Fatal {
    Fatal::new(format!("using {} failed: {error}. Check the disk, then start again", path.display()))
}

fn parsed<T>(
    disk: &dyn Disk,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Fatal> {
    let Some(bytes) = disk.read(path).map_err(|error| failed(path, &error))? else { return Ok(None) };
    let text = str::from_utf8(&bytes).map_err(|_| "it is not text".to_owned());
    text.and_then(parse).map(Some).map_err(|wrong| {
        let path = path.display();
        Fatal::new(format!(
            "{path} cannot be used: {wrong}. Restore it from a copy, or format another directory with kafka-storage"
        ))
    })
}

/// Reads the directory.
///
/// # Errors
/// When it is another node's or another cluster's, damaged, or the disk fails.
pub(crate) fn read(disk: &dyn Disk, config: &BrokerConfig) -> Result<Formatted, Fatal> {
    let path = config.metadata_dir.join(META_PROPERTIES);
    let meta = parsed(disk, &path, MetaProperties::parse)?;
    if let Some(meta) = &meta {
        let at = path.display();
        if meta.node_id != config.node_id {
            return Err(Fatal::new(format!(
                "{at} belongs to node.id {}, but this node is configured with node.id {}. Correct node.id, or choose \
                 another directory",
                meta.node_id, config.node_id
            )));
        }
        if let Some(cluster) = config.cluster_id.as_ref().filter(|cluster| **cluster != meta.cluster_id) {
            return Err(Fatal::new(format!(
                "{at} belongs to cluster {}, but this node is configured for cluster {cluster}. Correct the cluster id, \
                 or choose another directory",
                meta.cluster_id
            )));
        }
    }
    let beginning = parsed(disk, &config.metadata_dir.join(BOOTSTRAP_PROPERTIES), Beginning::parse)?;
    Ok(Formatted { meta, beginning })
}

/// The id that a directory of logs was formatted with, if it is another than that of the metadata.
///
/// # Errors
/// When what it says cannot be read.
pub(crate) fn data_directory(disk: &dyn Disk, config: &BrokerConfig) -> Result<Option<u128>, Fatal> {
    if config.data_dir == config.metadata_dir {
        return Ok(None);
    }
    let meta = parsed(disk, &config.data_dir.join(META_PROPERTIES), MetaProperties::parse)?;
    Ok(meta.and_then(|meta| meta.directory_id))
}

impl Formatted {
    /// The directory's id, if it has one.
    pub fn directory_id(&self) -> Option<u128> {
        self.meta.as_ref()?.directory_id
    }

    /// Who votes at first. What is configured is what counts.
    pub fn initial_quorum(&self, config: &BrokerConfig) -> InitialQuorum {
        let formatted = self.beginning.as_ref().filter(|_| config.voters.is_empty());
        formatted.map_or(InitialQuorum::Configured, |beginning| beginning.quorum.clone())
    }

    /// The levels of a new cluster: those that were asked for, and whether its voters may change.
    pub fn levels(&self, config: &BrokerConfig) -> BTreeMap<String, i16> {
        let mut levels = self.beginning.as_ref().map(|it| it.levels.clone()).unwrap_or_default();
        levels.insert(KRAFT_VERSION.to_owned(), i16::from(config.voters.is_empty()));
        levels
    }
}

/// Says in the directory who it is, in Kafka's layout, if it does not say so yet.
///
/// # Errors
/// When the disk fails.
pub(crate) fn name(
    disk: &dyn Disk,
    config: &BrokerConfig,
    (cluster_id, directory): (&str, u128),
) -> Result<(), Fatal> {
    let path = config.metadata_dir.join(META_PROPERTIES);
    let meta = MetaProperties {
        cluster_id: cluster_id.to_owned(),
        node_id: config.node_id,
        directory_id: Some(directory),
    };
    if parsed(disk, &path, MetaProperties::parse)? == Some(meta.clone()) {
        return Ok(());
    }
    disk.replace(&path, meta.render().as_bytes()).map_err(|error| failed(&path, &error))
}
