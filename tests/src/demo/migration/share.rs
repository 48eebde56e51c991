//! A file share in the room: a volume of its own where this machine lets one be mounted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::demo::files::{sha256, tree};

/// The file that the system would miss first: the probe looks for it.
pub(super) const INDEX: &str = "index.json";
const INDEX_TEXT: &str = "{\"generation\": 7}\n";
/// What the product keeps in a target.
const RECORD: &str = ".zhengyun-migration";

/// A share and its files.
pub(super) struct Share {
    path: PathBuf,
    /// Whether it can be made read-only, which proves that nobody writes.
    pub(super) is_volume: bool,
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.is_volume {
            // What is left mounted would outlive the demo.
            let _ = quietly("umount", &["--lazy"], &self.path);
        }
    }
}

fn quietly(program: &str, arguments: &[&str], path: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Share {
    /// Makes it, with some files in folders and with names that people give.
    pub(super) fn make(path: PathBuf, files: u64) -> Result<Self> {
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        let is_volume = quietly("mount", &["-t", "tmpfs", "-o", "size=2g", "none"], &path);
        let share = Self { path, is_volume };
        for number in 0..files {
            let folder = share.path.join(format!("{}/{:02}", 2021 + number % 5, number % 12 + 1));
            std::fs::create_dir_all(&folder)?;
            let name = match number % 50 {
                0 => format!("巡护 {number} (副本).jpg"),
                1 => format!("-{number:06}.jpg"),
                _ => format!("{number:06}.jpg"),
            };
            let length = usize::try_from(500 + number * 131 % 7_500)?;
            std::fs::write(folder.join(name), number.to_string().repeat(length).get(..length).unwrap_or_default())?;
        }
        share.write(INDEX, INDEX_TEXT)?;
        Ok(share)
    }

    /// Adds a file, as the system does while it is in use.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// What the probe wants of the index.
    pub(super) fn index_digest() -> String {
        format!("sha256:{}", sha256(INDEX_TEXT.as_bytes()))
    }

    /// Everything is at the target, by other means than the product's; how many files there are.
    pub(super) fn is_equal_to(&self, target: &Path) -> Result<usize> {
        let (room, mut cloud) = (tree(&self.path)?, tree(target)?);
        cloud.retain(|path, _| !path.starts_with(RECORD));
        for (path, what) in &room {
            ensure!(cloud.get(path) == Some(what), "{} is {what}, on the cloud {:?}", path.display(), cloud.get(path));
        }
        ensure!(room.len() == cloud.len(), "{} paths in the room, {} on the cloud", room.len(), cloud.len());
        Ok(room.values().filter(|what| what.starts_with("file ")).count())
    }
}
