//! The list of a backup's items: one JSON object a line, in the order of the tree: parents before children, siblings by the bytes of
//! their names, which is the order of `Path`.
//!
//! The list is stored inside the snapshot, encrypted like everything else. Its first line is the head.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, WorkerError};

/// The format that is written; another is refused.
pub const FORMAT: &str = "zhengyun-manifest-1";

/// What kind of thing a source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// A directory tree.
    FileTree,
    /// The objects of a Kubernetes namespace.
    Namespace,
    /// A PostgreSQL database, as a dump.
    Database,
}

/// What the backup says of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseRecord {
    /// Version of the server.
    pub server_version: String,
    /// Version of `pg_dump`: an older `pg_restore` cannot read the dump.
    pub dump_version: String,
    /// Place in the write-ahead log up to which the dump holds everything.
    pub lsn: String,
    /// Character encoding.
    pub encoding: String,
    /// Extensions that it uses.
    pub extensions: Vec<String>,
}

/// What the backup says of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceRecord {
    /// Its name, which is also its directory in the snapshot.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// The root directory, the namespace, or host, port and name of the database.
    pub origin: String,
    /// When its capture began: measured RPO counts from here.
    pub captured_at: String,
    /// How its items fit together.
    pub consistency: Consistency,
    /// Items that changed or vanished during capture; at most a thousand are named.
    pub changed: Vec<String>,
    /// How many there were.
    pub changed_total: u64,
    /// What was left out on purpose, with the reason.
    pub left_out: Vec<String>,
    /// PersistentVolumeClaims whose data no source covers.
    pub volumes_not_covered: Vec<String>,
    /// What there is to say of a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseRecord>,
}

/// How many changed items of a source are named.
pub const MAX_NAMED: usize = 1000;

impl SourceRecord {
    /// Takes over what an earlier process of the same attempt recorded.
    pub fn continue_from(&mut self, earlier: Option<&Self>) {
        let Some(earlier) = earlier else { return };
        self.captured_at.clone_from(&earlier.captured_at);
        // A source that was opened again knows nothing of the time before; one that was not says everything itself.
        let unknown = |name: &&String| !self.changed.contains(name);
        let more: Vec<String> = earlier.changed.iter().filter(unknown).cloned().collect();
        self.changed_total = self.changed_total.saturating_add(more.len() as u64).max(earlier.changed_total);
        self.changed.extend(more);
        self.changed.truncate(MAX_NAMED);
        for (ours, theirs) in
            [(&mut self.left_out, &earlier.left_out), (&mut self.volumes_not_covered, &earlier.volumes_not_covered)]
        {
            ours.extend(theirs.iter().cloned());
            ours.sort();
            ours.dedup();
        }
    }

    /// Adds files that changed while they were read.
    pub fn note_changed(&mut self, paths: &[PathBuf]) {
        for path in paths {
            let text = path_text(path);
            if !self.changed.contains(&text) {
                self.changed_total += 1;
                if self.changed.len() < MAX_NAMED {
                    self.changed.push(text);
                }
            }
        }
    }
}

/// How the items of a source fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Consistency {
    /// Each file as it was when it was read.
    PerFile,
    /// Each kind at one resource version; what changed meanwhile is named.
    PerKind,
    /// All of it at one moment.
    PointInTime,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// The format.
    pub format: String,
    /// Digest of content.
    pub digest: String,
    /// Salt of the Merkle tree, in hexadecimal.
    pub salt: String,
    /// The key that signs the chain. It stands here, encrypted, so that an exchanged chain shows.
    pub signer: String,
    /// The run.
    pub run: String,
    /// Its attempt.
    pub attempt: u32,
    /// The sources.
    pub sources: Vec<SourceRecord>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemKind {
    /// A regular file, or a Kubernetes object.
    #[serde(rename = "f")]
    File,
    /// A directory.
    #[serde(rename = "d")]
    Dir,
    /// A symbolic link.
    #[serde(rename = "l")]
    Link,
    /// A device, FIFO or socket.
    #[serde(rename = "s")]
    Special,
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its path in the snapshot; bytes that are no UTF-8, control characters and `%` as `%XX`.
    #[serde(rename = "p", with = "as_text")]
    pub path: PathBuf,
    /// What it is.
    #[serde(rename = "t")]
    pub kind: ItemKind,
    /// Bytes of content.
    #[serde(rename = "n", default)]
    pub size: u64,
    /// SHA-256 of a file's content or of a link's target; empty for the rest.
    #[serde(rename = "d", default)]
    pub digest: String,
}

/// A path as text, reversible.
pub fn path_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() {
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer).bytes().for_each(|b| push(&mut text, b));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| push(&mut text, *b));
    }
    text
}

fn push(text: &mut String, byte: u8) {
    use std::fmt::Write as _;
    // Writing into a string cannot fail.
    let _ = write!(text, "%{byte:02X}");
}

/// The path of a text; none if the text is no path of ours.
pub fn path_of(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

pub(crate) mod as_text {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::path_text(path))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::path_of(&text).ok_or_else(|| de::Error::custom("a path with a broken escape"))
    }
}

/// A line of the list, without its end.
pub fn line<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| WorkerError::engine("writing the manifest", e))
}

/// Reads a line.
pub fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T> {
    serde_json::from_slice(line)
        .map_err(|e| WorkerError::damaged("the manifest", format!("a line is not readable: {e}")))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::{Item, ItemKind, line, parse, path_of, path_text};

    #[test]
    fn every_name_survives_as_text() {
        let all: Vec<u8> = (1..=255).filter(|b| *b != b'/').collect();
        for bytes in [&all[..], b"a\nb", b"100%", "政云".as_bytes(), b"\xff\xfe", b"%41"] {
            let path = Path::new(OsStr::from_bytes(bytes));
            let text = path_text(path);
            assert!(!text.chars().any(char::is_control));
            assert_eq!(path_of(&text).unwrap(), path);
        }
        assert_eq!(path_of("%4"), None);
        assert_eq!(path_of("%zz"), None);
    }

    #[test]
    fn an_item_is_a_line() {
        let item = Item { path: "data/a\nb".into(), kind: ItemKind::File, size: 3, digest: "00".to_owned() };
        let text = line(&item).unwrap();
        assert!(!text.contains(&b'\n'));
        assert_eq!(parse::<Item>(&text).unwrap(), item);
    }

    #[test]
    fn a_directory_is_whole_before_its_sibling_with_a_longer_name() {
        assert!(Path::new("a/z") < Path::new("a.b"));
        assert!(Path::new("a") < Path::new("a/z"));
    }
}
