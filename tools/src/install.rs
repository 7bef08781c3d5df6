//! Kafka's names for the tools, as links to the one binary.

use crate::TOOLS;
use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Links every tool's name, with and without `.sh`, in `directory` to `binary`; makes the directory if need be. Links that
/// are there are replaced, files are not. What was linked.
///
/// # Errors
/// A text that names the file.
pub fn install(binary: &Path, directory: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let names = TOOLS.iter().flat_map(|tool| [tool.name.to_owned(), format!("{}.sh", tool.name)]);
    let mut linked = Vec::new();
    for link in names.map(|name| directory.join(name)) {
        match fs::symlink_metadata(&link) {
            Ok(found) if found.is_symlink() => {
                fs::remove_file(&link).map_err(|error| failed(&link, &error))?
            }
            Ok(_) => return Err(format!("{} is there and is no link; it is left as it is", link.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(failed(&link, &error)),
        }
        symlink(binary, &link).map_err(|error| failed(&link, &error))?;
        linked.push(link);
    }
    Ok(linked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_replaced_and_files_are_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = directory.path().join("bin");
        for binary in ["/one/corelane", "/other/corelane"] {
            let linked = install(Path::new(binary), &place).expect("linked");
            assert_eq!(linked.len(), 2 * TOOLS.len());
            assert_eq!(fs::read_link(place.join("kafka-topics.sh")).expect("a link"), Path::new(binary));
        }
        let file = place.join("kafka-topics");
        fs::remove_file(&file).expect("removed");
        fs::write(&file, "mine").expect("written");
        let error = install(Path::new("/one/corelane"), &place).expect_err("a file is in the way");
        assert!(error.contains("kafka-topics is there and is no link"), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("still there"), "mine");
    }
}
