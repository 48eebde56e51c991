//! A tree of files: made by a seed, and compared by what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::chance::Chance;

/// Files of a tree at full size, 1 GiB together.
pub(crate) const FILES: usize = 20_000;
/// Mean size of a file.
const MEAN_BYTES: u64 = 53_687;
const SEED: u64 = 2_025;
/// A folder holds so many.
const PER_FOLDER: usize = 200;

/// Makes a tree of so many files and says how many bytes are in them. It is random content, which nothing makes smaller, but for
/// every fourth file, which is text that repeats.
pub(crate) fn make(root: &Path, files: usize) -> Result<u64> {
    let mut chance = Chance::new(SEED);
    let mut sum = 0;
    for number in 0..files {
        let folder = root.join(format!("folder-{:03}", number / PER_FOLDER));
        if number % PER_FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        let size = MEAN_BYTES / 2 + chance.below(MEAN_BYTES);
        let mut content = Vec::new();
        if number % 4 == 0 {
            while (content.len() as u64) < size {
                content.extend(format!("line {} of file {number}\n", content.len()).bytes());
            }
        } else {
            while (content.len() as u64) < size {
                content.extend(chance.below(u64::MAX).to_le_bytes());
            }
        }
        sum += content.len() as u64;
        fs::write(folder.join(format!("file-{number:05}")), content)?;
    }
    Ok(sum)
}

/// A digest of each file, by its path below the root.
pub(crate) fn digests(root: &Path) -> Result<BTreeMap<PathBuf, u64>> {
    let mut all = BTreeMap::new();
    for (path, _) in files_below(root)? {
        let mut hasher = DefaultHasher::new();
        fs::read(&path)?.hash(&mut hasher);
        all.insert(path.strip_prefix(root)?.to_path_buf(), hasher.finish());
    }
    Ok(all)
}

/// Every file below a folder with its size, by path.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                all.push((entry.path(), meta.len()));
            }
        }
    }
    all.sort();
    Ok(all)
}
