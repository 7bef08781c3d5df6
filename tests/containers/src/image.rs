//! What `docker/Dockerfile` says of the image, for a stand-in that builds none.

use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The image's own settings.
#[derive(Debug, Default)]
pub struct Image {
    /// What a container starts.
    pub entrypoint: Vec<String>,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// Programs that were run when it was made, without a shell.
    pub made_by: Vec<Vec<String>>,
    /// Where the binary is in it.
    pub binary: PathBuf,
    /// Who starts it; root if nobody is named.
    pub user: Option<String>,
}

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads the project's Dockerfile.
///
/// # Errors
/// What cannot be read.
pub fn read() -> anyhow::Result<Image> {
    let text = fs::read_to_string(root().join("docker/Dockerfile"))?.replace("\\\n", " ");
    let mut image = Image::default();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (word, rest) = line.split_once(' ').with_context(|| line.to_owned())?;
        match word {
            "ENTRYPOINT" => image.entrypoint = list(rest)?,
            "RUN" if rest.starts_with('[') => image.made_by.push(list(rest)?),
            "COPY" => image.binary = rest.rsplit(' ').next().context("a place")?.into(),
            "USER" => image.user = Some(rest.into()),
            "ENV" => {
                let (name, value) = rest.split_once('=').with_context(|| line.to_owned())?;
                image.environment.insert(name.into(), value.into());
            }
            // The user's name and the folder of the volume: the stand-in knows numbers, and makes what is mounted.
            "RUN" | "ARG" | "FROM" | "VOLUME" | "EXPOSE" | "STOPSIGNAL" => (),
            other => bail!("what does {other} mean for a stand-in?"),
        }
    }
    Ok(image)
}

fn list(text: &str) -> anyhow::Result<Vec<String>> {
    serde_saphyr::from_str(text).map_err(|error| anyhow::anyhow!("{text:?}: {error}"))
}

/// The binary that goes into it: `CORELANE_BIN`, or the build beside the test's executable.
///
/// # Errors
/// When there is none.
pub fn binary() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("CORELANE_BIN").map(PathBuf::from);
    let beside = || Some(std::env::current_exe().ok()?.ancestors().nth(2)?.join("corelane"));
    let binary = named.or_else(beside).context("this test has no folder")?;
    binary.canonicalize().with_context(|| format!("{}: cargo build -p corelane", binary.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_image_starts_as_root_and_makes_its_tools() {
        let image = super::read().expect("the Dockerfile");
        assert_eq!(image.entrypoint, ["/usr/local/bin/corelane", "container"]);
        assert_eq!(image.made_by, [["/usr/local/bin/corelane", "tools", "install", "/usr/local/bin"]]);
        assert_eq!(image.binary.to_str(), Some("/usr/local/bin/corelane"));
        assert_eq!(image.environment["KAFKA_LOG_DIRS"], "/var/lib/kafka/data");
        assert_eq!(image.user, None, "it could mend no folder otherwise");
    }
}
