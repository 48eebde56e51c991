//! Both sides, read and held against each other.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use data_encoding::HEXLOWER;
use rustix::fs::FileType;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::attributes::ACLS;
use super::carry::Carries;
use super::each::each;
use super::known::{Known, Lists, Reader};
use super::place::Place;
use super::quiet::{Sum, Summing, content, shown};
use super::walk::{Node, Step, Walk, identity, unreadable};
use crate::control::Control;
use crate::engine::Kind;
use crate::error::Result;
use crate::evidence::items::{MAX_NAMED, path_text};

/// Pairs that are read in one go.
const BATCH: usize = 256;
/// Parts that are told apart.
const MAX_PARTS: usize = 1000;

/// What a comparison came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "notCompared is what readers of the report look for")]
pub(super) struct Compared {
    pub(super) equal: bool,
    pub(super) items: u64,
    pub(super) bytes: u64,
    pub(super) source_digest: String,
    pub(super) target_digest: String,
    /// What lies directly in the root, and each directory there.
    parts: Vec<Part>,
    /// The first ones.
    pub(super) differences: Vec<Difference>,
    pub(super) different: u64,
    /// What was written on the source since it was copied, the first ones.
    pub(super) changed: Vec<String>,
    pub(super) changed_total: u64,
    not_compared: Vec<&'static str>,
    #[serde(skip)]
    pub(super) sum: Sum,
}

/// Where both sides differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) path: String,
    pub(super) what: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    name: String,
    items: u64,
    bytes: u64,
    source: String,
    target: String,
    equal: bool,
}

/// What is compared of one thing, by name.
type Facts = Vec<(&'static str, String)>;

struct Pair {
    source: Option<Node>,
    target: Option<Node>,
}

/// A thing as it was read.
struct Seen {
    facts: Facts,
    content: String,
}

/// Compares both sides.
pub(super) fn compare(place: &Place, threads: usize, control: &Control) -> Result<Compared> {
    let record = place.record()?;
    let mut comparing = Comparing {
        place,
        control,
        threads,
        carries: record.carries,
        since: record.last_began,
        known: Lists::new(&place.state()).last()?,
        sum: Summing::default(),
        whole: Digests::default(),
        parts: BTreeMap::new(),
        linked: (HashMap::new(), HashMap::new()),
        differences: Vec::new(),
        different: 0,
        changed: Vec::new(),
        changed_total: 0,
    };
    let left_out = place.left_out();
    let mut source = Nodes::new(Walk::new(&place.sides.source, place.source()?, &left_out))?;
    let mut target = Nodes::new(Walk::new(&place.sides.target, place.target()?, &left_out))?;
    let mut pairs = Vec::new();
    loop {
        let order = match (&source.next, &target.next) {
            (None, None) => break,
            (Some(left), Some(right)) => left.path.cmp(&right.path),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
        };
        let left = if order.is_le() { source.step()? } else { None };
        let right = if order.is_ge() { target.step()? } else { None };
        pairs.push(Pair { source: left, target: right });
        if pairs.len() >= BATCH {
            comparing.flush(&mut pairs)?;
        }
    }
    comparing.flush(&mut pairs)?;
    Ok(comparing.end())
}

/// The nodes of a walk, one ahead.
struct Nodes {
    walk: Walk,
    next: Option<Node>,
}

impl Nodes {
    fn new(walk: Walk) -> Result<Self> {
        let mut nodes = Self { walk, next: None };
        nodes.step()?;
        Ok(nodes)
    }

    fn step(&mut self) -> Result<Option<Node>> {
        let next = loop {
            match self.walk.next().transpose()? {
                None => break None,
                Some(Step::Leave) => {}
                Some(Step::Enter(node, ..) | Step::Leaf(node)) => break Some(node),
            }
        };
        Ok(std::mem::replace(&mut self.next, next))
    }
}

#[derive(Default)]
struct Digests {
    items: u64,
    bytes: u64,
    source: Sha256,
    target: Sha256,
}

impl Digests {
    fn add(&mut self, bytes: u64, source: Option<&str>, target: Option<&str>) {
        (self.items, self.bytes) = (self.items + 1, self.bytes + bytes);
        for (digest, text) in [(&mut self.source, source), (&mut self.target, target)] {
            if let Some(text) = text {
                digest.update(text);
            }
        }
    }
}

type Inodes = HashMap<(u64, u64), (u64, u64)>;

struct Comparing<'a> {
    place: &'a Place,
    control: &'a Control,
    threads: usize,
    carries: Carries,
    /// When the last pass began.
    since: i64,
    known: Reader,
    sum: Summing,
    whole: Digests,
    parts: BTreeMap<String, Digests>,
    /// Which file of the other side one with several names is.
    linked: (Inodes, Inodes),
    differences: Vec<Difference>,
    different: u64,
    changed: Vec<String>,
    changed_total: u64,
}

impl Comparing<'_> {
    fn flush(&mut self, pairs: &mut Vec<Pair>) -> Result<()> {
        self.place.record()?;
        let sides = (&self.place.sides.source, &self.place.sides.target);
        let seen = each(pairs, self.threads, |pair, buffer| {
            let source = pair.source.as_ref().map(|node| self.see(sides.0, node, buffer)).transpose()?;
            let target = pair.target.as_ref().map(|node| self.see(sides.1, node, buffer)).transpose()?;
            Ok((source, target))
        })?;
        for (pair, (source, target)) in pairs.drain(..).zip(seen) {
            self.judge(&pair, source.as_ref(), target.as_ref())?;
        }
        Ok(())
    }

    /// Everything about one thing that the target carries.
    fn see(&self, side: &Path, node: &Node, buffer: &mut [u8]) -> Result<Seen> {
        let content = content(side, node, self.control, buffer)?;
        let read = |e: rustix::io::Errno| unreadable(side, &node.path, e);
        let meta = match node.meta() {
            // It went away or became something else: the other side will differ.
            Err(rustix::io::Errno::NOENT) => return Ok(Seen { facts: vec![("kind", "gone".to_owned())], content }),
            other => other.map_err(read)?,
        };
        let kind = match node.kind() {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => "gone".to_owned(),
            other => match other.map_err(read)? {
                Kind::File => "file".to_owned(),
                Kind::Dir => "directory".to_owned(),
                Kind::Link(to) => format!("link to {}", path_text(&to)),
                Kind::Block(device) => format!("block device {device:x}"),
                Kind::Char(device) => format!("character device {device:x}"),
                Kind::Fifo => "FIFO".to_owned(),
                Kind::Socket => "socket".to_owned(),
            },
        };
        let mut facts = vec![("kind", kind)];
        if node.file_type() == FileType::RegularFile {
            facts.push(("size", node.size().to_string()));
            facts.push(("content", content.clone()));
        }
        // A link has no mode of its own.
        if node.file_type() != FileType::Symlink {
            let mode = if self.carries.owners { meta.mode } else { meta.mode & 0o1777 };
            facts.push(("mode", format!("{mode:o}")));
        }
        if self.carries.owners {
            facts.push(("owner", format!("{}:{}", node.stat.st_uid, node.stat.st_gid)));
        }
        let fraction = if self.carries.nanoseconds { node.stat.st_mtime_nsec } else { 0 };
        facts.push(("mtime", format!("{}.{fraction:09}", node.stat.st_mtime)));
        let mut attributes = Sha256::new();
        let is_acl = |name: &str| ACLS.contains(&name);
        for (name, value) in &meta.xattrs {
            if if is_acl(name) { self.carries.acls } else { self.carries.attributes } {
                attributes.update(format!("{name} {} ", value.len()));
                attributes.update(value);
            }
        }
        facts.push(("attributes", HEXLOWER.encode(&attributes.finalize())));
        Ok(Seen { facts, content })
    }

    fn judge(&mut self, pair: &Pair, source: Option<&Seen>, target: Option<&Seen>) -> Result<()> {
        if let (Some(node), Some(seen)) = (&pair.source, source) {
            self.sum.add(node, &seen.content)?;
        }
        let Some(node) = pair.source.as_ref().or(pair.target.as_ref()) else { return Ok(()) };
        let path = node.path.clone();
        let known = self.known.find(&path)?;
        // The root of the target gets what it shall have when it is opened; what is not carried is in the findings.
        let left_out = |node: &Node| !self.carries.carry(node.file_type());
        if path.as_os_str().is_empty() || pair.source.as_ref().is_some_and(left_out) && pair.target.is_none() {
            return Ok(());
        }
        let mut what = match (source, target) {
            (Some(source), Some(target)) => differing(&source.facts, &target.facts),
            (Some(_), None) => vec!["it is missing in the target".to_owned()],
            (None, _) => vec!["it is in the target only".to_owned()],
        };
        if let (Some(left), Some(right)) = (&pair.source, &pair.target)
            && !self.same_names(left, right)
        {
            what.push("it is not a name of the same file".to_owned());
        }
        if let (Some(node), Some(seen), Some(known)) = (&pair.source, source, &known)
            && known.settled
            && known.is_source(node)
            && !known.digest.is_empty()
            && known.digest != seen.content
        {
            what.push("the source has another content than when it was copied, and its times do not tell".to_owned());
        }
        let told = |seen: &Seen| {
            format!(
                "{} {:?}
",
                path_text(&path),
                seen.facts
            )
        };
        let (left, right) = (source.map(told), target.map(told));
        let bytes = node.size();
        self.whole.add(bytes, left.as_deref(), right.as_deref());
        let part = self.part(&path, node.file_type() == FileType::Directory);
        self.parts.entry(part).or_default().add(bytes, left.as_deref(), right.as_deref());
        if what.is_empty() {
            return Ok(());
        }
        if self.is_of_late(pair, known.as_ref()) {
            self.changed_total += 1;
            if self.changed.len() < MAX_NAMED {
                self.changed.push(shown(&path));
            }
        } else {
            self.different += 1;
            if self.differences.len() < MAX_NAMED {
                self.differences.push(Difference { path: shown(&path), what });
            }
        }
        Ok(())
    }

    /// Whether the source was written after the last pass saw it.
    fn is_of_late(&self, pair: &Pair, known: Option<&Known>) -> bool {
        match (&pair.source, known) {
            (Some(node), Some(known)) => !known.is_source(node),
            (Some(node), None) => identity(&node.stat).3.0 >= self.since,
            // It was copied, and is gone from the source.
            (None, known) => known.is_some(),
        }
    }

    /// Whether names of one file on one side are names of one file on the other.
    fn same_names(&mut self, left: &Node, right: &Node) -> bool {
        let several = |node: &Node| node.file_type() == FileType::RegularFile && node.stat.st_nlink > 1;
        if !self.carries.hard_links || !(several(left) || several(right)) {
            return true;
        }
        let (left, right) = ((left.stat.st_dev, left.stat.st_ino), (right.stat.st_dev, right.stat.st_ino));
        *self.linked.0.entry(left).or_insert(right) == right && *self.linked.1.entry(right).or_insert(left) == left
    }

    /// The part that a path belongs to.
    fn part(&self, path: &Path, is_dir: bool) -> String {
        let mut components = path.components();
        let first = components.next().map(|first| path_text(first.as_os_str().as_ref())).unwrap_or_default();
        let name = if components.next().is_none() && !is_dir { ".".to_owned() } else { first };
        let known = self.parts.contains_key(&name) || self.parts.len() < MAX_PARTS;
        if known { name } else { "(others)".to_owned() }
    }

    fn end(self) -> Compared {
        let hex = |digest: Sha256| HEXLOWER.encode(&digest.finalize());
        let parts = self.parts.into_iter().map(|(name, digests)| {
            let (source, target) = (hex(digests.source), hex(digests.target));
            let equal = source == target;
            Part { name, items: digests.items, bytes: digests.bytes, source, target, equal }
        });
        Compared {
            equal: self.different == 0 && self.changed_total == 0,
            items: self.whole.items,
            bytes: self.whole.bytes,
            source_digest: hex(self.whole.source),
            target_digest: hex(self.whole.target),
            parts: parts.collect(),
            differences: self.differences,
            different: self.different,
            changed: self.changed,
            changed_total: self.changed_total,
            not_compared: self.carries.not_compared(),
            sum: self.sum.end(),
        }
    }
}

/// What differs, with both sides.
fn differing(left: &Facts, right: &Facts) -> Vec<String> {
    let of = |facts: &Facts, name: &str| facts.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
    let mut names: Vec<_> = left.iter().chain(right).map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let differs = names.into_iter().filter(|name| of(left, name) != of(right, name));
    differs
        .map(|name| {
            let [left, right] = [left, right].map(|facts| of(facts, name).unwrap_or_else(|| "nothing".to_owned()));
            format!("{name}: {left} in the source, {right} in the target")
        })
        .collect()
}
