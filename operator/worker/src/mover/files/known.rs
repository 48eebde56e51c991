//! What is known of the files in the target, on the target's own disk: a file that is as it was is not read again.
//!
//! A line a file, in the order of `Path`. A pass writes a new list while it reads the last one; a pass that was killed leaves the
//! beginning of a list, which then counts before the last one.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use super::walk::{Node, identity};
use crate::error::{Result, WorkerError};
use crate::evidence::items::{as_text, line};

/// The list of the last pass that came to its end.
const LAST: &str = "known.jsonl";
/// The list of the pass under way.
const UNDER_WAY: &str = "pass.jsonl";

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    #[serde(rename = "p", with = "as_text")]
    pub(super) path: PathBuf,
    /// Kind and permissions.
    #[serde(rename = "k")]
    pub(super) mode: u32,
    #[serde(rename = "n")]
    pub(super) size: u64,
    #[serde(rename = "i")]
    pub(super) inode: u64,
    #[serde(rename = "m")]
    pub(super) mtime: (i64, u64),
    #[serde(rename = "c")]
    pub(super) ctime: (i64, u64),
    /// SHA-256 of a file's content; empty for the rest.
    #[serde(rename = "d", default)]
    pub(super) digest: String,
    /// Inode, size and mtime of what stands in the target.
    #[serde(rename = "t")]
    pub(super) target: (u64, u64, (i64, u64)),
    /// Whether it may be trusted: the file neither changed while it was read nor a moment before.
    #[serde(rename = "s")]
    pub(super) settled: bool,
}

impl Known {
    /// What was put into the target for something in the source.
    pub(super) fn new(node: &Node, digest: String, target: &Stat, settled: bool) -> Self {
        let (inode, _, mtime, ctime) = identity(&node.stat);
        Self {
            path: node.path.clone(),
            mode: node.stat.st_mode,
            size: node.size(),
            inode,
            mtime,
            ctime,
            digest,
            target: seen(target),
            settled,
        }
    }

    /// Something in the source by itself.
    pub(super) fn of_source(node: &Node, digest: String) -> Self {
        Self { target: (0, 0, (0, 0)), ..Self::new(node, digest, &node.stat, true) }
    }

    /// Whether the source has it as it was.
    pub(super) fn is_source(&self, node: &Node) -> bool {
        let (inode, _, mtime, ctime) = identity(&node.stat);
        (self.mode, self.size, self.inode, self.mtime, self.ctime)
            == (node.stat.st_mode, node.size(), inode, mtime, ctime)
    }

    /// Whether the target has it as it was put there.
    pub(super) fn is_target(&self, stat: &Stat) -> bool {
        self.target == seen(stat) && self.mode & 0o170_000 == stat.st_mode & 0o170_000
    }
}

fn seen(stat: &Stat) -> (u64, u64, (i64, u64)) {
    let (inode, size, mtime, _) = identity(stat);
    (inode, size, mtime)
}

/// A list that is read in order.
pub(super) struct Reader {
    file: PathBuf,
    lines: Option<std::io::Split<BufReader<File>>>,
    next: Option<Known>,
}

impl Reader {
    pub(super) fn open(file: PathBuf) -> Result<Self> {
        let lines = match File::open(&file) {
            Ok(open) => Some(BufReader::new(open).split(b'\n')),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(WorkerError::local(file, error)),
        };
        let mut reader = Self { file, lines, next: None };
        reader.step()?;
        Ok(reader)
    }

    /// Takes the next one.
    pub(super) fn step(&mut self) -> Result<Option<Known>> {
        let mut next = None;
        if let Some(text) = self.lines.as_mut().and_then(Iterator::next) {
            let text = text.map_err(|e| WorkerError::local(&self.file, e))?;
            // A line that a killed process did not come to the end of: nothing is behind it.
            match serde_json::from_slice(&text) {
                Ok(known) => next = Some(known),
                Err(_) => self.lines = None,
            }
        }
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// The next one, which stays.
    pub(super) const fn peek(&self) -> Option<&Known> {
        self.next.as_ref()
    }

    /// What is known of a path; paths are asked for in order.
    pub(super) fn find(&mut self, path: &Path) -> Result<Option<Known>> {
        while self.next.as_ref().is_some_and(|next| next.path.as_path() < path) {
            self.step()?;
        }
        if self.next.as_ref().is_some_and(|next| next.path == path) { self.step() } else { Ok(None) }
    }
}

/// A list that is written in order.
pub(super) struct Writer {
    file: PathBuf,
    open: BufWriter<File>,
}

impl Writer {
    pub(super) fn create(file: PathBuf) -> Result<Self> {
        let open = File::create(&file).map_err(|e| WorkerError::local(&file, e))?;
        Ok(Self { file, open: BufWriter::with_capacity(1 << 16, open) })
    }

    pub(super) fn put(&mut self, known: &Known) -> Result<()> {
        let mut text = line(known)?;
        text.push(b'\n');
        self.open.write_all(&text).map_err(|e| WorkerError::local(&self.file, e))
    }

    /// Everything so far stays, whatever happens to the machine.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.open.flush().and_then(|()| self.open.get_ref().sync_data()).map_err(|e| WorkerError::local(&self.file, e))
    }
}

/// The lists in a state folder.
pub(super) struct Lists(PathBuf);

impl Lists {
    pub(super) fn new(state: &Path) -> Self {
        Self(state.to_owned())
    }

    /// What is known, for a new pass, and where that writes. What a killed one left is put before the last list first.
    pub(super) fn begin(&self) -> Result<(Reader, Writer)> {
        let (last, under_way, next) = (self.0.join(LAST), self.0.join(UNDER_WAY), self.0.join("known.next"));
        if under_way.exists() {
            let (mut first, mut rest) = (Reader::open(under_way.clone())?, Reader::open(last.clone())?);
            let mut merged = Writer::create(next.clone())?;
            let mut end = None;
            while let Some(known) = first.step()? {
                merged.put(&known)?;
                end = Some(known.path);
            }
            while let Some(known) = rest.step()? {
                if end.as_ref().is_none_or(|end| known.path > *end) {
                    merged.put(&known)?;
                }
            }
            merged.sync()?;
            rename(&next, &last)?;
        }
        Ok((self.last()?, Writer::create(under_way)?))
    }

    /// The list of the last pass.
    pub(super) fn last(&self) -> Result<Reader> {
        Reader::open(self.0.join(LAST))
    }

    /// The pass came to its end: its list is the last one.
    pub(super) fn end(&self, mut writer: Writer) -> Result<()> {
        writer.sync()?;
        rename(&writer.file, &self.0.join(LAST))
    }

    /// Items and bytes that are known; what a killed pass left counts too.
    pub(super) fn count(&self) -> Result<(u64, u64)> {
        let (mut items, mut bytes, mut end) = (0, 0, None);
        for list in [UNDER_WAY, LAST] {
            let mut reader = Reader::open(self.0.join(list))?;
            let from = end.clone();
            while let Some(known) = reader.step()? {
                if from.as_ref().is_none_or(|from| known.path > *from) {
                    (items, bytes) = (items + 1, bytes + known.size);
                    end = Some(known.path);
                }
            }
        }
        Ok((items, bytes))
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|e| WorkerError::local(from, e))
}
