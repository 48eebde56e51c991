//! One pass over the source: after it the target is what the source was meanwhile.
//!
//! What is gone from a directory is removed when the directory is entered. Files come in batches, several at once; the further names
//! of a file come after it, and a directory's own times after everything in it. What a batch brought is on the disk before the list
//! says so, so a killed pass repeats one batch at most: it is the list that says what need not be read again, and `syncfs` of the target
//! stands between the two. Files are not synced one by one.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::attributes;
use super::carry::Carries;
use super::each::each;
use super::known::{Known, Lists, Reader, Writer};
use super::place::Place;
use super::put::{Outcome, Putting, open_own, remove};
use super::walk::{Node, Step, Walk, unreadable};
use crate::control::Control;
use crate::engine::Meta;
use crate::error::{Result, WorkerError};
use crate::evidence::items::{MAX_NAMED, path_text};
use crate::source::files::{names, xattrs};

/// How much a batch may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) threads: usize,
    pub(super) bytes: u64,
    pub(super) items: usize,
}

/// Directories that a batch may keep open.
const MAX_CLOSING: usize = 128;

/// What a pass came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Everything that the pass met, with its bytes.
    pub(super) items: u64,
    pub(super) bytes: u64,
    /// What was put in place, and the bytes written for it.
    pub(super) copied: u64,
    pub(super) written: u64,
    /// What was removed.
    pub(super) removed: u64,
    /// What stayed as it was.
    pub(super) unchanged: u64,
    /// Files that changed while they were read.
    pub(super) changed: Vec<String>,
    pub(super) changed_total: u64,
    /// What was gone when its turn came.
    pub(super) vanished: u64,
    /// What has not all of its owner, mode, times and attributes.
    pub(super) incomplete: u64,
    /// Sockets, and what the target does not carry.
    pub(super) left_out: u64,
    pub(super) took: Duration,
    /// Of several passes, what the last one had to do.
    pub(super) lag: Option<(u64, u64, Duration)>,
}

struct Level {
    path: PathBuf,
    from: Arc<OwnedFd>,
    into: Arc<OwnedFd>,
}

enum Slot {
    /// As it was.
    Kept(Known),
    /// To be copied.
    File(Node, Arc<OwnedFd>, Option<Known>),
    Special(Node, Arc<OwnedFd>),
    /// A further name of a file.
    Link(Node, Arc<OwnedFd>, PathBuf),
}

struct Pass<'a> {
    place: &'a Place,
    putting: Putting<'a>,
    limits: Limits,
    hard_links: bool,
    known: Reader,
    list: Writer,
    open: Vec<Level>,
    slots: Vec<Slot>,
    waiting: u64,
    closing: Vec<Level>,
    linked: HashMap<(u64, u64), PathBuf>,
    tally: Tally,
}

/// Does one pass.
pub(super) fn pass(place: &Place, limits: Limits, control: &Control) -> Result<Tally> {
    let record = place.not_open()?;
    super::gate::still_shut(place)?;
    let begun = Instant::now();
    let lists = Lists::new(&place.state());
    let (known, list) = lists.begin()?;
    let putting = Putting {
        control,
        source: &place.sides.source,
        target: &place.sides.target,
        counts: record.passes == 0,
        staged: format!(".zhengyun-move-{}", data_encoding::HEXLOWER.encode(&crate::secret::random::<8>()?)),
        number: AtomicU64::new(0),
    };
    let mut pass = Pass {
        place,
        putting,
        limits,
        hard_links: record.carries.hard_links,
        known,
        list,
        open: Vec::new(),
        slots: Vec::new(),
        waiting: 0,
        closing: Vec::new(),
        linked: HashMap::new(),
        tally: Tally::default(),
    };
    let left_out = place.left_out();
    let mut walk = Walk::new(&place.sides.source, place.source()?, &left_out);
    for step in walk.by_ref() {
        control.check()?;
        match step? {
            Step::Enter(node, from, names) => pass.enter(&node, from, &names, &left_out)?,
            Step::Leaf(node) => pass.leaf(node, record.carries)?,
            Step::Leave => pass.leave(),
        }
        if pass.is_full() {
            pass.flush()?;
        }
    }
    pass.flush()?;
    pass.tally.vanished += walk.vanished;
    lists.end(pass.list)?;
    pass.tally.took = begun.elapsed();
    Ok(pass.tally)
}

impl Pass<'_> {
    fn failed(&self, path: &Path, cause: Errno) -> WorkerError {
        match cause {
            Errno::XDEV => WorkerError::moving(
                "MountInTarget",
                path_text(&self.place.sides.target.join(path)),
                "another file system is mounted there, and the source has nothing like it",
                "unmount it: nothing on it was touched",
            ),
            other => self.putting.failed(path, other.into()),
        }
    }

    fn count(&mut self, bytes: u64) {
        self.tally.items += 1;
        self.tally.bytes += bytes;
        if self.putting.counts {
            self.putting.control.count_item();
        }
    }

    /// Into a directory: it is made, and what the source does not have any more is removed from it.
    fn enter(&mut self, node: &Node, from: Arc<OwnedFd>, listed: &[CString], left_out: &[&CStr]) -> Result<()> {
        self.count(0);
        let into = if node.path.as_os_str().is_empty() {
            self.place.target()?
        } else {
            let above = self.above()?;
            directory(node, &above).map_err(|e| self.failed(&node.path, e))?
        };
        for name in names(&into).map_err(|e| self.failed(&node.path, e))? {
            let is_root = self.open.is_empty();
            if listed.binary_search(&name).is_err() && !(is_root && left_out.contains(&name.as_c_str())) {
                self.tally.removed += remove(&into, &name).map_err(|e| self.failed(&node.path, e))?;
            }
        }
        self.open.push(Level { path: node.path.clone(), from, into: Arc::new(into) });
        Ok(())
    }

    fn above(&self) -> Result<Arc<OwnedFd>> {
        let level = self.open.last().ok_or_else(|| WorkerError::engine("copying", "no directory is open"))?;
        Ok(Arc::clone(&level.into))
    }

    fn leaf(&mut self, node: Node, carries: Carries) -> Result<()> {
        self.count(node.size());
        let into = self.above()?;
        if !carries.carry(node.file_type()) {
            self.tally.left_out += 1;
            // Something else may have had its name.
            self.tally.removed += remove(&into, &node.name).map_err(|e| self.failed(&node.path, e))?;
            return Ok(());
        }
        let is_file = node.file_type() == FileType::RegularFile;
        if self.hard_links && is_file && node.stat.st_nlink > 1 {
            let key = (node.stat.st_dev, node.stat.st_ino);
            if let Some(first) = self.linked.get(&key) {
                let first = first.clone();
                self.slots.push(Slot::Link(node, into, first));
                return Ok(());
            }
            self.linked.insert(key, node.path.clone());
        }
        let earlier = self.known.find(&node.path)?;
        let there = rustix::fs::statat(&into, &node.name, AtFlags::SYMLINK_NOFOLLOW);
        let slot = match earlier {
            Some(known)
                if known.settled && known.is_source(&node) && there.is_ok_and(|there| known.is_target(&there)) =>
            {
                Slot::Kept(known)
            }
            earlier if is_file => {
                self.waiting += node.size();
                Slot::File(node, into, earlier)
            }
            _ => Slot::Special(node, into),
        };
        self.slots.push(slot);
        Ok(())
    }

    fn leave(&mut self) {
        self.closing.extend(self.open.pop());
    }

    fn is_full(&self) -> bool {
        self.slots.len() >= self.limits.items || self.waiting >= self.limits.bytes || self.closing.len() >= MAX_CLOSING
    }

    /// Carries out a batch.
    fn flush(&mut self) -> Result<()> {
        // Somebody may have taken the migration over.
        self.place.record()?;
        let (slots, closing) = (std::mem::take(&mut self.slots), std::mem::take(&mut self.closing));
        self.waiting = 0;
        let outcomes = each(&slots, self.limits.threads, |slot, buffer| self.one(slot, buffer))?;
        let (mut placed, mut worked) = (Vec::new(), false);
        for (slot, outcome) in slots.into_iter().zip(outcomes) {
            let outcome = match (slot, outcome) {
                (Slot::Kept(known), _) => {
                    self.tally.unchanged += 1;
                    if self.putting.counts {
                        self.putting.control.count_bytes(known.size);
                    }
                    placed.push(known);
                    continue;
                }
                // After the files, so that what they are names of is there.
                (Slot::Link(node, into, first), _) => self.further_name(&node, &into, &first)?,
                (_, Some(outcome)) => outcome,
                (_, None) => continue,
            };
            worked |= matches!(outcome, Outcome::Placed { .. });
            placed.extend(self.enter_outcome(outcome));
        }
        for level in closing {
            // The root is closed to applications; it gets what it shall have when it is opened.
            if !level.path.as_os_str().is_empty() {
                worked |= self.close(&level)?;
            }
        }
        if worked {
            rustix::fs::syncfs(self.place.target_root()).map_err(|e| self.failed(Path::new(""), e))?;
        }
        for known in &placed {
            self.list.put(known)?;
        }
        if worked { self.list.sync() } else { Ok(()) }
    }

    fn one(&self, slot: &Slot, buffer: &mut [u8]) -> Result<Option<Outcome>> {
        match slot {
            Slot::File(node, into, earlier) => self.putting.file(node, into, earlier.as_ref(), buffer).map(Some),
            Slot::Special(node, into) => self.putting.special(node, into).map(Some),
            Slot::Kept(_) | Slot::Link(..) => Ok(None),
        }
    }

    fn further_name(&self, node: &Node, into: &OwnedFd, first: &Path) -> Result<Outcome> {
        let parent = first.parent().unwrap_or(Path::new(""));
        let from = super::open_below(self.place.target_root(), parent).map_err(|e| self.failed(parent, e))?;
        let linked = self.putting.link(node, (&from, first.file_name().unwrap_or_default()), into)?;
        // The first name was gone when its turn came; this one may still be there.
        match linked {
            Some(outcome) => Ok(outcome),
            None => self.putting.file(node, into, None, &mut vec![0; 1 << 16]),
        }
    }

    fn enter_outcome(&mut self, outcome: Outcome) -> Option<Known> {
        match outcome {
            Outcome::Vanished => {
                self.tally.vanished += 1;
                None
            }
            Outcome::Same(known) => {
                self.tally.unchanged += 1;
                Some(known)
            }
            Outcome::Placed { known, written, changed, complete } => {
                self.tally.copied += 1;
                self.tally.written += written;
                self.tally.incomplete += u64::from(!complete);
                if changed {
                    self.tally.changed_total += 1;
                    if self.tally.changed.len() < MAX_NAMED {
                        self.tally.changed.push(path_text(&known.path));
                    }
                }
                Some(known)
            }
        }
    }

    /// Gives a directory what it shall have once everything is in it; true if it had not.
    fn close(&mut self, level: &Level) -> Result<bool> {
        let unread = |e: Errno| unreadable(&self.place.sides.source, &level.path, e);
        let wanted = of_directory(&level.from).map_err(unread)?;
        let there = of_directory(&level.into).map_err(|e| self.failed(&level.path, e))?;
        let told = |meta: &Meta| (meta.mode, meta.uid, meta.gid, meta.mtime, meta.xattrs.clone());
        if told(&wanted) == told(&there) {
            return Ok(false);
        }
        self.tally.incomplete += u64::from(!attributes::settle(&level.into, &wanted));
        Ok(true)
    }
}

/// Makes a directory in the target, or opens the one that is there.
fn directory(node: &Node, above: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let stat = match rustix::fs::statat(above, &node.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => stat,
        found => {
            if found.is_ok() {
                remove(above, &node.name)?;
            }
            rustix::fs::mkdirat(above, &node.name, Mode::RWXU)?;
            rustix::fs::statat(above, &node.name, AtFlags::SYMLINK_NOFOLLOW)?
        }
    };
    open_own(above, &node.name, &stat)
}

/// What an open directory has.
pub(super) fn of_directory(directory: &OwnedFd) -> rustix::io::Result<Meta> {
    let stat = rustix::fs::fstat(directory)?;
    let mut all = xattrs(directory, c".")?;
    all.retain(|(name, _)| attributes::is_carried(name));
    Ok(crate::source::files::meta(&stat, all))
}
