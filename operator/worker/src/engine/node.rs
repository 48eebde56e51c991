//! Between our words for files and those of restic's format.

use std::path::{Path, PathBuf};

use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{DataId, Id};

use super::{Kind, Meta, Stored};
use crate::error::{Result, WorkerError};

// restic stores modes as Go's os.FileMode, whose upper bits are not those of POSIX.
const GO_DIR: u32 = 1 << 31;
const GO_LINK: u32 = 1 << 27;
const GO_DEVICE: u32 = 1 << 26;
const GO_FIFO: u32 = 1 << 25;
const GO_SOCKET: u32 = 1 << 24;
const GO_SETUID: u32 = 1 << 23;
const GO_SETGID: u32 = 1 << 22;
const GO_CHAR: u32 = 1 << 21;
const GO_STICKY: u32 = 1 << 20;
const PERMISSIONS: u32 = 0o777;
const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const SPECIAL_BITS: [(u32, u32); 3] = [(SETUID, GO_SETUID), (SETGID, GO_SETGID), (STICKY, GO_STICKY)];

fn go_mode(mode: u32, kind: &Kind) -> u32 {
    let kind_bits = match kind {
        Kind::File => 0,
        Kind::Dir => GO_DIR,
        Kind::Link(_) => GO_LINK,
        Kind::Block(_) => GO_DEVICE,
        Kind::Char(_) => GO_DEVICE | GO_CHAR,
        Kind::Fifo => GO_FIFO,
        Kind::Socket => GO_SOCKET,
    };
    SPECIAL_BITS.iter().filter(|(ours, _)| mode & ours != 0).fold(mode & PERMISSIONS | kind_bits, |m, (_, go)| m | go)
}

fn mode(go: u32) -> u32 {
    SPECIAL_BITS.iter().filter(|(_, theirs)| go & theirs != 0).fold(go & PERMISSIONS, |m, (ours, _)| m | ours)
}

/// A node of the format.
pub fn to_node(path: &Path, kind: &Kind, meta: &Meta) -> Result<Node> {
    let name = path
        .file_name()
        .ok_or_else(|| WorkerError::engine("storing an entry", format!("{} has no name", path.display())))?;
    let node_type = match kind {
        Kind::File => NodeType::File,
        Kind::Dir => NodeType::Dir,
        Kind::Link(target) => NodeType::from_link(target),
        Kind::Block(device) => NodeType::Dev { device: *device },
        Kind::Char(device) => NodeType::Chardev { device: *device },
        Kind::Fifo => NodeType::Fifo,
        Kind::Socket => NodeType::Socket,
    };
    let metadata = Metadata {
        mode: Some(go_mode(meta.mode, kind)),
        mtime: meta.mtime,
        // The time of the last reading changes by our own reading; restic puts mtime here unless told otherwise.
        atime: meta.mtime,
        ctime: meta.ctime,
        uid: meta.uid,
        gid: meta.gid,
        user: None,
        group: None,
        inode: meta.inode,
        device_id: meta.device,
        size: meta.size,
        links: meta.links,
        extended_attributes: meta.xattrs.iter().map(|(name, value)| attribute(name, value)).collect::<Result<_>>()?,
    };
    Ok(Node::new_node(name, node_type, metadata))
}

/// The library's type for an attribute has no public path, so it is made through its JSON.
fn attribute<T: serde::de::DeserializeOwned>(name: &str, value: &[u8]) -> Result<T> {
    let json = serde_json::json!({ "name": name, "value": data_encoding::BASE64.encode(value) });
    serde_json::from_value(json).map_err(|e| WorkerError::engine("storing an extended attribute", e))
}

/// Our words for a node below a directory. A name that would lead elsewhere is refused.
pub fn from_node(parent: &Path, node: &Node) -> Result<Stored> {
    let name = node.name();
    if name.is_empty() || Path::new(&*name).file_name() != Some(&*name) || Path::new(&*name).components().count() != 1 {
        let part = format!("the tree of {}", parent.display());
        return Err(WorkerError::damaged(part, format!("it holds the name {:?}, which is none", node.name)));
    }
    let kind = match &node.node_type {
        NodeType::File => Kind::File,
        NodeType::Dir => Kind::Dir,
        NodeType::Symlink { .. } => Kind::Link(PathBuf::from(node.node_type.to_link())),
        NodeType::Dev { device } => Kind::Block(*device),
        NodeType::Chardev { device } => Kind::Char(*device),
        NodeType::Fifo => Kind::Fifo,
        NodeType::Socket => Kind::Socket,
    };
    let meta = Meta {
        mode: mode(node.meta.mode.unwrap_or_default()),
        uid: node.meta.uid,
        gid: node.meta.gid,
        mtime: node.meta.mtime,
        ctime: node.meta.ctime,
        inode: node.meta.inode,
        device: node.meta.device_id,
        links: node.meta.links,
        size: node.meta.size,
        xattrs: node
            .meta
            .extended_attributes
            .iter()
            .map(|a| (a.name.clone(), a.value.clone().unwrap_or_default()))
            .collect(),
    };
    Ok(Stored {
        path: parent.join(&*name),
        kind,
        meta,
        pieces: node.content.iter().flatten().map(|id| bytes(id)).collect(),
        subtree: node.subtree.map(|id| bytes(&id)),
    })
}

/// The bytes of an identity.
pub fn bytes(id: &Id) -> [u8; 32] {
    let mut bytes = [0; 32];
    // An identity always prints as 64 hexadecimal digits.
    let _ = data_encoding::HEXLOWER.decode_mut(id.to_hex().as_bytes(), &mut bytes);
    bytes
}

/// The identity of a piece of content.
pub fn data_id(piece: &[u8; 32]) -> DataId {
    DataId::from(Id::new(*piece))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use rstest::rstest;

    use super::{from_node, to_node};
    use crate::engine::{Kind, Meta};

    #[rstest]
    #[case::file(Kind::File)]
    #[case::dir(Kind::Dir)]
    #[case::link(Kind::Link("../x".into()))]
    #[case::odd_link(Kind::Link(Path::new(OsStr::from_bytes(b"a\xff\nb")).into()))]
    #[case::block(Kind::Block(2049))]
    #[case::char(Kind::Char(259))]
    #[case::fifo(Kind::Fifo)]
    #[case::socket(Kind::Socket)]
    fn a_node_says_what_went_in(#[case] kind: Kind) {
        let meta = Meta {
            mode: 0o6755,
            uid: Some(7),
            gid: Some(8),
            mtime: Some("2026-01-02T03:04:05.678901234Z".parse().unwrap()),
            ctime: Some("2026-01-02T03:04:06Z".parse().unwrap()),
            inode: 11,
            device: 12,
            links: 2,
            size: 13,
            xattrs: vec![("user.a".to_owned(), b"\0\xff".to_vec())],
        };
        for name in [&b"plain"[..], b"a\nb\t\"\\", b"\xff\xfe\x80", "政云".as_bytes(), b"\x01\x7f'`%"] {
            let path = Path::new("data").join(OsStr::from_bytes(name));
            let stored = from_node(Path::new("data"), &to_node(&path, &kind, &meta).unwrap()).unwrap();
            assert_eq!((stored.path, stored.kind, stored.meta), (path, kind.clone(), meta.clone()));
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["..", ".", "", "a/b", "/etc", "a/", "\\x2e\\x2e", "..\\x2fx"] {
            let mut node = to_node(Path::new("data/x"), &Kind::File, &Meta::default()).unwrap();
            node.name = name.to_owned();
            assert!(from_node(Path::new("data"), &node).is_err(), "{name:?}");
        }
    }
}
