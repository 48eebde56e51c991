//! What all files of the source are, so that a second reading tells whether anybody wrote.

use std::path::Path;

use data_encoding::HEXLOWER;
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::each::each;
use super::known::{Known, Reader, Writer};
use super::place::Place;
use super::put::{digest, open};
use super::walk::{Node, Step, Walk, unreadable};
use crate::control::Control;
use crate::error::Result;
use crate::evidence::items::{line, path_text};

/// Things that are read in one go.
const BATCH: usize = 256;
/// Differences that are named.
const NAMED: usize = 10;

/// Everything in a tree, in one digest: names, contents, and what tells that a file was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sum {
    pub(super) digest: String,
    pub(super) items: u64,
    pub(super) bytes: u64,
}

/// A sum under way.
#[derive(Debug, Default)]
pub(super) struct Summing {
    digest: Sha256,
    items: u64,
    bytes: u64,
}

impl Summing {
    pub(super) fn add(&mut self, node: &Node, content: &str) -> Result<Known> {
        let known = Known::of_source(node, content.to_owned());
        self.digest.update(line(&known)?);
        (self.items, self.bytes) = (self.items + 1, self.bytes + known.size);
        Ok(known)
    }

    pub(super) fn end(self) -> Sum {
        Sum { digest: HEXLOWER.encode(&self.digest.finalize()), items: self.items, bytes: self.bytes }
    }
}

/// The digest of a file's content; empty for what is no file. One that is gone has none that anything else has.
pub(super) fn content(side: &Path, node: &Node, control: &Control, buffer: &mut [u8]) -> Result<String> {
    control.check()?;
    if node.file_type() != FileType::RegularFile {
        return Ok(String::new());
    }
    let told = |e: std::io::Error| unreadable(side, &node.path, e);
    match open(&node.parent, &node.name).map_err(|e| told(e.into()))? {
        None => Ok("gone".to_owned()),
        Some((mut file, _)) => {
            let (digest, size) = digest(control, &mut file, buffer, |_| true)?.map_err(told)?;
            control.count_item();
            control.count_bytes(size);
            Ok(digest)
        }
    }
}

/// Reads the whole source into a list.
pub(super) fn hash(place: &Place, list: &Path, threads: usize, control: &Control) -> Result<Sum> {
    let (mut writer, mut sum) = (Writer::create(list.to_owned())?, Summing::default());
    let mut flush = |nodes: &mut Vec<Node>| -> Result<()> {
        place.record()?;
        let contents = each(nodes, threads, |node, buffer| content(&place.sides.source, node, control, buffer))?;
        for (node, content) in nodes.drain(..).zip(contents) {
            writer.put(&sum.add(&node, &content)?)?;
        }
        Ok(())
    };
    let mut nodes = Vec::new();
    for step in Walk::new(&place.sides.source, place.source()?, &place.left_out()) {
        match step? {
            Step::Enter(node, ..) | Step::Leaf(node) => nodes.push(node),
            Step::Leave => {}
        }
        if nodes.len() >= BATCH {
            flush(&mut nodes)?;
        }
    }
    flush(&mut nodes)?;
    writer.sync()?;
    Ok(sum.end())
}

/// The first names by which two lists differ.
pub(super) fn same(first: &Path, second: &Path) -> Result<Vec<String>> {
    let (mut first, mut second) = (Reader::open(first.to_owned())?, Reader::open(second.to_owned())?);
    let (mut left, mut right) = (first.step()?, second.step()?);
    let mut different = Vec::new();
    while different.len() < NAMED {
        let order = match (&left, &right) {
            (None, None) => break,
            (Some(left), Some(right)) => left.path.cmp(&right.path),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
        };
        let named = |known: &Option<Known>| known.as_ref().map(|known| shown(&known.path)).unwrap_or_default();
        match order {
            std::cmp::Ordering::Less => different.push(named(&left)),
            std::cmp::Ordering::Greater => different.push(named(&right)),
            std::cmp::Ordering::Equal if left != right => different.push(named(&left)),
            std::cmp::Ordering::Equal => {}
        }
        if order.is_le() {
            left = first.step()?;
        }
        if order.is_ge() {
            right = second.step()?;
        }
    }
    Ok(different)
}

/// A path for people; the root has a name too.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { ".".to_owned() } else { path_text(path) }
}

/// The first things in the source that are not what the last pass copied, by their times: nothing is read.
pub(super) fn written_since(place: &Place, control: &Control) -> Result<Vec<String>> {
    let carries = place.record()?.carries;
    let mut known = super::known::Lists::new(&place.state()).last()?;
    let mut different = Vec::new();
    let missing = |known: &mut Reader, below: Option<&Path>, different: &mut Vec<String>| -> Result<Option<Known>> {
        while let Some(next) = known.peek().filter(|next| below.is_none_or(|below| next.path.as_path() <= below)) {
            if below.is_some_and(|below| next.path == below) {
                return known.step();
            }
            different.push(shown(&next.path));
            known.step()?;
        }
        Ok(None)
    };
    for step in Walk::new(&place.sides.source, place.source()?, &place.left_out()) {
        control.check()?;
        let Step::Leaf(node) = step? else { continue };
        if !carries.carry(node.file_type()) {
            continue;
        }
        match missing(&mut known, Some(&node.path), &mut different)? {
            Some(known) if known.is_source(&node) => {}
            _ => different.push(shown(&node.path)),
        }
        if different.len() >= NAMED {
            return Ok(different);
        }
    }
    missing(&mut known, None, &mut different)?;
    different.truncate(NAMED);
    Ok(different)
}
