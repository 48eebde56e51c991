//! Looking at file trees by other means than the product's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 in lower-case hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

/// Everything below a folder: digest of files, target of links, mode of both kinds.
pub(super) fn tree(root: &Path) -> Result<BTreeMap<PathBuf, String>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            let meta = std::fs::symlink_metadata(&path)?;
            let mode = meta.permissions().mode() & 0o7777;
            let what = if meta.is_dir() {
                open.push(path.clone());
                format!("folder {mode:o}")
            } else if meta.is_symlink() {
                format!("link to {}", std::fs::read_link(&path)?.display())
            } else {
                let digest = sha256(&std::fs::read(&path)?);
                format!("file {mode:o} {digest}")
            };
            found.insert(path.strip_prefix(root)?.to_path_buf(), what);
        }
    }
    Ok(found)
}
