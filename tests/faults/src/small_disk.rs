//! A small file system for a test of a full disk: ext4 in a file, mounted by a loop device, where this process may.

use anyhow::{Context, bail, ensure};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

/// Mounted until it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    directory: tempfile::TempDir,
    is_mounted: bool,
}

impl SmallDisk {
    /// An empty ext4 of so many bytes.
    ///
    /// # Errors
    /// When this process may not mount, or a tool is missing.
    pub fn new(bytes: u64) -> anyhow::Result<SmallDisk> {
        let directory = tempfile::tempdir()?;
        let image = directory.path().join("image");
        File::create(&image)?.set_len(bytes)?;
        let mut disk = SmallDisk { directory, is_mounted: false };
        let mount = disk.path();
        std::fs::create_dir(&mount)?;
        // No blocks for root: every user sees the same end of the disk.
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-E", "nodiscard"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount))?;
        disk.is_mounted = true;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mount")
    }

    /// Takes all of its space but a mebibyte.
    ///
    /// # Errors
    /// As `df` and `fallocate`.
    pub fn fill(&self) -> anyhow::Result<()> {
        let bytes = self.free_bytes()?.saturating_sub(1 << 20);
        run(Command::new("fallocate").args(["--length", &bytes.to_string()]).arg(self.ballast()))
    }

    /// Gives back what [`fill`](Self::fill) took.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn empty(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Free bytes.
    ///
    /// # Errors
    /// As `df`.
    pub fn free_bytes(&self) -> anyhow::Result<u64> {
        free_bytes(&self.path())
    }
}

/// Free bytes of the file system that a path is on.
///
/// # Errors
/// As `df`.
pub fn free_bytes(path: &Path) -> anyhow::Result<u64> {
    let output = Command::new("df").args(["--block-size=1", "--output=avail"]).arg(path).output()?;
    ensure!(output.status.success(), "df: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.lines().nth(1).context("df says nothing")?.trim().parse().context("df says no number")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily, should something still be open; the loop device goes with it.
            if let Err(error) = run(Command::new("umount").arg("--lazy").arg(self.path())) {
                eprintln!("{}: {error:#}", self.path().display());
            }
        }
    }
}
