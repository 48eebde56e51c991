//! The folder with everything a lab writes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::proc::ProcessId;

const PREFIX: &str = "zhengyun-lab-";
/// Marks a temporary folder that was kept on purpose.
const KEPT: &str = "kept";

/// One that stays, or a temporary one.
#[derive(Debug)]
pub(super) enum Folder {
    Given(PathBuf),
    Temporary(Option<TempDir>),
}

impl Folder {
    pub(super) fn open(given: Option<&Path>) -> Result<Self> {
        let Some(dir) = given else {
            remove_orphans();
            let prefix = format!("{PREFIX}{}-", std::process::id());
            return Ok(Self::Temporary(Some(tempfile::Builder::new().prefix(&prefix).tempdir()?)));
        };
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        Ok(Self::Given(dir.canonicalize()?))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(folder) => folder.as_ref().map_or(Path::new("/nonexistent"), TempDir::path),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The logs of a failed test are what explains it.
        if let Self::Temporary(folder) = self
            && (std::thread::panicking() || std::env::var_os("ZHENGYUN_KEEP_LAB").is_some())
            && let Some(folder) = folder.take()
        {
            let path = folder.keep();
            // Without the mark it is only removed earlier.
            let _ = fs::write(path.join(KEPT), "");
            tracing::info!(path = %path.display(), "the lab's folder is kept");
            eprintln!("the lab's folder is kept: {}", path.display());
        }
    }
}

/// Removes the temporary folders of processes that were killed, or that ended with a lab in a `static`.
fn remove_orphans() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok());
        if let Some(owner) = owner
            && ProcessId::of(owner).is_none()
            && !entry.path().join(KEPT).exists()
        {
            // Another process may be removing it at this moment, or it belongs to another user.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
