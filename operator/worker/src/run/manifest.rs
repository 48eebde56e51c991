//! The manifest of a backup: written at its end, read and proved before anything is done with it.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::engine::adapter::link_digest;
use crate::engine::rustic::{MANIFEST_DIR, MANIFEST_NAME};
use crate::engine::{Engine, Kind, Snapshot, Stored};
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{BackupStatement, Chain};
use crate::evidence::items::{FORMAT, Head, Item, ItemKind, line, parse, path_text};
use crate::evidence::merkle::Merkle;
use crate::journal::Journal;

/// What the manifest amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Merkle root, in hexadecimal.
    pub root: String,
    /// Items, the head not counted.
    pub items: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Writes the manifest of a run from its journal.
pub fn write(journal: &Journal, head: &Head, file: &Path) -> Result<Sum> {
    let broken = |e: std::io::Error| WorkerError::local(file, e);
    let salt = salt(head)?;
    let mut writer = BufWriter::new(File::create(file).map_err(broken)?);
    let (mut tree, mut bytes) = (Merkle::new(&salt), 0_u64);
    let first = line(head)?;
    tree.add(&first);
    writer.write_all(&first).and_then(|()| writer.write_all(b"\n")).map_err(broken)?;
    journal.items(|text, item| {
        bytes += item.size;
        tree.add(text);
        writer.write_all(text).and_then(|()| writer.write_all(b"\n")).map_err(broken)
    })?;
    writer.flush().map_err(broken)?;
    Ok(Sum { root: HEXLOWER.encode(&tree.root()), items: tree.leaves().saturating_sub(1), bytes })
}

fn salt(head: &Head) -> Result<Vec<u8>> {
    HEXLOWER
        .decode(head.salt.as_bytes())
        .map_err(|_| WorkerError::damaged("the manifest", "its salt is not hexadecimal"))
}

/// A manifest whose root is the one that was signed, on the local disk.
#[derive(Debug)]
pub struct Proved {
    /// Its first line.
    pub head: Head,
    file: PathBuf,
}

/// Reads the manifest of a backup into a file and proves it against the chain.
pub fn fetch(
    engine: &dyn Engine,
    snapshot: &Snapshot,
    statement: &BackupStatement,
    chain: &Chain,
    file: &Path,
) -> Result<Proved> {
    let disproved = |problem: String| WorkerError::Evidence {
        part: format!("the manifest of backup {}", statement.snapshot),
        problem,
        fix: "restore another backup, or from another copy".to_owned(),
    };
    if snapshot.tree != statement.tree {
        return Err(disproved(format!("the snapshot's tree is {}, signed was {}", snapshot.tree, statement.tree)));
    }
    let path = Path::new(MANIFEST_DIR).join(MANIFEST_NAME);
    let stored = engine.find(snapshot, &path)?.ok_or_else(|| disproved("it is not in the snapshot".to_owned()))?;
    let broken = |e: std::io::Error| WorkerError::local(file, e);
    let mut writer = BufWriter::new(File::create(file).map_err(broken)?);
    engine.read(&stored, &mut writer)?;
    writer.flush().map_err(broken)?;
    let mut lines = BufReader::new(File::open(file).map_err(broken)?).split(b'\n');
    let first = lines.next().transpose().map_err(broken)?.unwrap_or_default();
    let head: Head = parse(&first)?;
    if head.format != FORMAT || head.digest != "sha256" {
        return Err(disproved(format!("format \"{}\" with digest \"{}\" is not known", head.format, head.digest)));
    }
    if head.signer != chain.signer.text() {
        return Err(disproved(format!("it was made for the signer \"{}\"", head.signer)));
    }
    let (mut tree, mut items, mut bytes) = (Merkle::new(&salt(&head)?), 0, 0);
    tree.add(&first);
    for text in lines {
        let text = text.map_err(broken)?;
        items += 1;
        bytes += parse::<Item>(&text)?.size;
        tree.add(&text);
    }
    let root = HEXLOWER.encode(&tree.root());
    if root != statement.root || items != statement.items || bytes != statement.bytes {
        return Err(disproved(format!("its root is {root}, signed was {}", statement.root)));
    }
    Ok(Proved { head, file: file.to_owned() })
}

impl Proved {
    /// Its items, in order.
    pub fn items(&self) -> Result<Items> {
        Items::open(&self.file)
    }

    /// Goes through the snapshot and the manifest side by side. They must name the same things in the same order.
    pub fn compare(
        &self,
        engine: &dyn Engine,
        snapshot: &Snapshot,
        mut each: impl FnMut(Stored, Item) -> Result<()>,
    ) -> Result<()> {
        let mut items = self.items()?;
        compare(engine, snapshot, &mut items, &mut each)
    }
}

/// The same for items from anywhere.
pub fn compare(
    engine: &dyn Engine,
    snapshot: &Snapshot,
    items: &mut dyn Iterator<Item = Result<Item>>,
    each: &mut dyn FnMut(Stored, Item) -> Result<()>,
) -> Result<()> {
    let differs = |problem: String| WorkerError::damaged(format!("the tree of snapshot {}", snapshot.id), problem);
    engine.visit(snapshot, &mut |stored| {
        if stored.path.starts_with(MANIFEST_DIR) {
            return Ok(());
        }
        let shown = path_text(&stored.path);
        let item = items.next().transpose()?.ok_or_else(|| differs(format!("{shown} is not in the manifest")))?;
        if item.path != stored.path {
            return Err(differs(format!("{shown} stands where the manifest has {}", path_text(&item.path))));
        }
        let matches = match (&stored.kind, item.kind) {
            (Kind::Link(target), ItemKind::Link) => link_digest(target) == item.digest,
            (Kind::File, ItemKind::File)
            | (Kind::Dir, ItemKind::Dir)
            | (Kind::Block(_) | Kind::Char(_) | Kind::Fifo | Kind::Socket, ItemKind::Special) => true,
            _ => false,
        };
        if !matches {
            return Err(differs(format!("{shown} is not what the manifest says")));
        }
        each(stored, item)
    })?;
    match items.next().transpose()? {
        None => Ok(()),
        Some(item) => Err(differs(format!("{} of the manifest is missing", path_text(&item.path)))),
    }
}

/// Items of a manifest file, from the first.
pub struct Items(std::io::Split<BufReader<File>>);

impl std::fmt::Debug for Items {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Items")
    }
}

impl Items {
    /// Of a file that was proved or that this process wrote.
    pub fn open(file: &Path) -> Result<Self> {
        let open = File::open(file).map_err(|e| WorkerError::local(file, e))?;
        let mut lines = BufReader::new(open).split(b'\n');
        // The head.
        lines.next();
        Ok(Self(lines))
    }
}

impl Iterator for Items {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.next()?.map_err(|e| WorkerError::local("the manifest", e));
        Some(text.and_then(|text| parse(&text)))
    }
}
