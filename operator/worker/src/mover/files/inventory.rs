//! What is in a source: counted by one walk that reads no content.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{Access, AtFlags, FileType};
use rustix::io::Errno;
use serde::Serialize;

use super::attributes;
use super::walk::{Node, Step, Walk};
use crate::control::Control;
use crate::engine::Kind;
use crate::error::{Result, WorkerError};
use crate::evidence::items::path_text;
use crate::source::files::xattrs;

/// Names that are given as examples.
const EXAMPLES: usize = 5;

/// How many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counted {
    pub(super) count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) first: Vec<String>,
}

impl Counted {
    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < EXAMPLES {
            self.first.push(what());
        }
    }
}

/// The biggest or longest of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Most {
    pub(super) path: String,
    pub(super) bytes: u64,
}

impl Most {
    fn offer(&mut self, path: &Path, bytes: u64) {
        if bytes > self.bytes {
            *self = Self { path: path_text(path), bytes };
        }
    }
}

/// What is in a tree.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inventory {
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) links: u64,
    pub(super) fifos: Counted,
    pub(super) sockets: Counted,
    pub(super) devices: Counted,
    /// Bytes of all files; one with several names counts at each.
    pub(super) bytes: u64,
    /// Bytes on the disk; one with several names counts once.
    pub(super) allocated: u64,
    pub(super) biggest: Most,
    pub(super) longest_path: Most,
    pub(super) names_not_utf8: Counted,
    /// Names that differ from another in their directory in case only.
    pub(super) names_by_case: Counted,
    /// Further names of files.
    pub(super) hard_links: Counted,
    /// Files that have names outside the tree too.
    pub(super) hard_links_outside: Counted,
    /// Symbolic links that lead out of the tree.
    pub(super) links_outside: Counted,
    pub(super) sparse: u64,
    pub(super) attributes: Counted,
    pub(super) acls: Counted,
    pub(super) attributes_not_carried: Counted,
    pub(super) attributes_not_utf8: Counted,
    pub(super) set_user_id: Counted,
    pub(super) owners: Vec<u32>,
    /// Things of other owners than this user.
    pub(super) foreign: Counted,
    /// What this user may not read, with the cause.
    pub(super) unreadable: Counted,
    /// Other file systems that are mounted within.
    pub(super) mounts: Counted,
    /// The state folder of a target lies here.
    pub(super) reserved: bool,
    /// The directory that was to be looked for lies here.
    #[serde(skip)]
    pub(super) holds_other: Option<String>,
}

/// Owners that are named.
const MAX_OWNERS: usize = 100;

impl Inventory {
    /// Everything that is copied.
    pub(super) const fn items(&self) -> u64 {
        self.files + self.directories + self.links + self.fifos.count + self.devices.count + self.sockets.count
    }
}

/// Counts a tree. `other` is a directory that must not lie in it, by device and inode.
pub(super) fn count(
    side: &Path,
    root: OwnedFd,
    left_out: &[&CStr],
    other: Option<(u64, u64)>,
    control: &Control,
) -> Result<Inventory> {
    let mut counting = Counting { other, ..Counting::default() };
    for step in Walk::new(side, root, left_out) {
        control.check()?;
        match step {
            Ok(Step::Enter(node, _, names)) => {
                counting.names(&node.path, &names);
                counting.node(&node);
            }
            Ok(Step::Leaf(node)) => counting.node(&node),
            Ok(Step::Leave) => {}
            Err(WorkerError::Unreadable { what, cause, .. }) => {
                counting.found.unreadable.add(|| format!("{what}: {cause}"));
            }
            Err(other) => return Err(other),
        }
        control.count_item();
    }
    Ok(counting.end())
}

#[derive(Default)]
struct Counting {
    found: Inventory,
    other: Option<(u64, u64)>,
    /// Files with several names: how many there are, how many were met, and the first.
    linked: HashMap<(u64, u64), (u64, u64, String)>,
}

impl Counting {
    fn names(&mut self, path: &Path, names: &[std::ffi::CString]) {
        let mut folded: Vec<_> = names.iter().map(|name| name.to_string_lossy().to_lowercase()).collect();
        folded.sort_unstable();
        for pair in folded.windows(2).filter(|pair| pair.first() == pair.last()) {
            self.found.names_by_case.add(|| path_text(&path.join(pair.first().map_or("", String::as_str))));
        }
    }

    fn node(&mut self, node: &Node) {
        let (stat, found) = (&node.stat, &mut self.found);
        let named = || path_text(&node.path);
        found.longest_path.offer(&node.path, node.path.as_os_str().len() as u64);
        if node.path.file_name().is_some_and(|name| name.to_str().is_none()) {
            found.names_not_utf8.add(named);
        }
        if !found.owners.contains(&stat.st_uid) && found.owners.len() < MAX_OWNERS {
            found.owners.push(stat.st_uid);
        }
        if (stat.st_uid, stat.st_gid) != (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()) {
            found.foreign.add(named);
        }
        let mut blocks = stat.st_blocks;
        match node.file_type() {
            FileType::RegularFile => {
                found.files += 1;
                found.bytes += node.size();
                found.biggest.offer(&node.path, node.size());
                found.sparse += u64::from(u64::try_from(stat.st_blocks).unwrap_or(0) * 512 + 4096 < node.size());
                if stat.st_mode & 0o6000 != 0 {
                    found.set_user_id.add(named);
                }
                if stat.st_nlink > 1 {
                    let key = (stat.st_dev, stat.st_ino);
                    let entry = self.linked.entry(key).or_insert_with(|| (stat.st_nlink, 0, path_text(&node.path)));
                    entry.1 += 1;
                    if entry.1 > 1 {
                        found.hard_links.add(named);
                        blocks = 0;
                    }
                }
                self.readable(node);
                self.attributes(node);
            }
            FileType::Directory => {
                found.directories += 1;
                if rustix::fs::fstat(&node.parent).is_ok_and(|above| above.st_dev != stat.st_dev) {
                    found.mounts.add(named);
                }
                if self.other == Some((stat.st_dev, stat.st_ino)) {
                    found.holds_other = Some(named());
                }
                found.reserved |= node.path == Path::new(super::place::STATE.to_str().unwrap_or_default());
                self.attributes(node);
            }
            FileType::Symlink => {
                found.links += 1;
                match node.kind() {
                    Ok(Kind::Link(to)) if leads_out(&node.path, &to) => {
                        found.links_outside.add(|| format!("{} -> {}", named(), path_text(&to)));
                    }
                    Err(error) if error != Errno::NOENT => found.unreadable.add(|| format!("{}: {error}", named())),
                    _ => {}
                }
            }
            FileType::Fifo => found.fifos.add(named),
            FileType::Socket => found.sockets.add(named),
            _ => found.devices.add(named),
        }
        self.found.allocated += u64::try_from(blocks).unwrap_or(0) * 512;
    }

    fn readable(&mut self, node: &Node) {
        match rustix::fs::accessat(&node.parent, &node.name, Access::READ_OK, AtFlags::EACCESS) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => self.found.unreadable.add(|| format!("{}: {error}", path_text(&node.path))),
        }
    }

    fn attributes(&mut self, node: &Node) {
        let (found, named) = (&mut self.found, || path_text(&node.path));
        match xattrs(&node.parent, &node.name) {
            Err(Errno::ILSEQ) => found.attributes_not_utf8.add(named),
            Err(error) => found.unreadable.add(|| format!("{}: attributes: {error}", named())),
            Ok(all) => {
                let is_acl = |name: &String| attributes::ACLS.contains(&name.as_str());
                if all.iter().any(|(name, _)| is_acl(name)) {
                    found.acls.add(named);
                }
                if all.iter().any(|(name, _)| attributes::is_carried(name) && !is_acl(name)) {
                    found.attributes.add(named);
                }
                // What an administrator did not put there needs no word.
                if let Some((name, _)) =
                    all.iter().find(|(name, _)| !attributes::is_carried(name) && !name.starts_with("security."))
                {
                    found.attributes_not_carried.add(|| format!("{}: {name}", named()));
                }
            }
        }
    }

    fn end(mut self) -> Inventory {
        let mut outside: Vec<_> = self.linked.into_values().filter(|(there, met, _)| met < there).collect();
        outside.sort_by(|left, right| left.2.cmp(&right.2));
        for (_, _, path) in outside {
            self.found.hard_links_outside.add(|| path);
        }
        self.found.owners.sort_unstable();
        self.found
    }
}

/// Whether a link leads out of the tree, by its words alone.
fn leads_out(path: &Path, to: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    for part in to.components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::CurDir => {}
            Component::Normal(_) => depth += 1,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a", "b", false)]
    #[case("a/b", "../c", false)]
    #[case("a", "../c", true)]
    #[case("a/b", "../../c", true)]
    #[case("a/b", "x/../../c", false)]
    #[case("a/b", "/a/c", true)]
    fn a_link_leads_out_by_its_words(#[case] path: &str, #[case] to: &str, #[case] expected: bool) {
        assert_eq!(leads_out(Path::new(path), Path::new(to)), expected);
    }
}
