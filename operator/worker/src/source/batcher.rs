//! Cuts the entries of a source into batches.
//!
//! A batch is what is journalled: a killed run goes on after the last one. Each batch is a tree of its own, so it begins with the
//! directories that are open at that point.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{DATA_DIR, Source};
use crate::engine::{Entry, Kind, Meta};
use crate::evidence::items::SourceRecord;

/// Where a batch ends.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// After so many bytes at the next boundary of the source.
    pub bytes: u64,
    /// After so many entries at the next boundary of the source.
    pub entries: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        // What a killed run uploads again is bounded by its open packs, whatever stands here; this bounds what it reads again.
        Self { bytes: 256 << 20, entries: 20_000 }
    }
}

/// The entries of one source, in batches.
#[derive(Clone)]
pub struct Batcher {
    state: Arc<Mutex<State>>,
    bounds: Bounds,
}

struct State {
    source: Box<dyn Source>,
    /// Directories that are open.
    parents: Vec<(PathBuf, Meta)>,
    /// The first entry of the next batch.
    ahead: Option<Entry>,
    /// Up to where an earlier process of this attempt came.
    done: Option<PathBuf>,
    /// The directory of all sources, before everything else.
    top: Option<Entry>,
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Batcher")
    }
}

impl Batcher {
    /// Cuts what comes after `done`. The first source of a run brings the directory of all sources with it.
    pub fn new(source: Box<dyn Source>, bounds: Bounds, done: Option<PathBuf>, is_first: bool) -> Self {
        let meta = Meta { mode: 0o755, ..Meta::default() };
        let top = Entry { path: DATA_DIR.into(), kind: Kind::Dir, meta, open: None, repeated: !is_first };
        let state = State { source, parents: Vec::new(), ahead: None, done, top: Some(top) };
        Self { state: Arc::new(Mutex::new(state)), bounds }
    }

    /// The next batch; none when the source is at its end.
    pub fn next_batch(&self) -> Option<impl Iterator<Item = Entry> + Send + 'static> {
        let mut state = self.lock();
        if state.ahead.is_none() {
            state.ahead = state.pull();
        }
        let first = state.ahead.as_ref()?.path.clone();
        let parents: Vec<Entry> = state
            .parents
            .iter()
            .filter(|(path, _)| *path != first)
            .map(|(path, meta)| Entry {
                path: path.clone(),
                kind: Kind::Dir,
                meta: meta.clone(),
                open: None,
                repeated: true,
            })
            .collect();
        drop(state);
        let (shared, bounds) = (self.clone(), self.bounds);
        let (mut bytes, mut entries, mut ended) = (0, 0, false);
        let rest = std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let mut state = shared.lock();
            let entry = match state.ahead.take() {
                Some(entry) => entry,
                None => state.pull()?,
            };
            bytes += entry.meta.size;
            entries += 1;
            ended = (bytes >= bounds.bytes || entries >= bounds.entries) && state.source.at_boundary();
            Some(entry)
        });
        Some(parents.into_iter().chain(rest))
    }

    /// Whether nothing is left; also true of a source that failed.
    pub fn is_at_end(&self) -> bool {
        let mut state = self.lock();
        if state.ahead.is_none() {
            state.ahead = state.pull();
        }
        state.ahead.is_none()
    }

    /// What the source says of itself so far.
    pub fn record(&self) -> SourceRecord {
        self.lock().source.record()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next entry that is not done; keeps the directories that are open.
    fn pull(&mut self) -> Option<Entry> {
        loop {
            let entry = self.top.take().or_else(|| self.source.next())?;
            while self.parents.last().is_some_and(|(path, _)| !is_above(path, &entry.path)) {
                self.parents.pop();
            }
            if entry.kind == Kind::Dir {
                self.parents.push((entry.path.clone(), entry.meta.clone()));
            }
            if self.done.as_ref().is_none_or(|done| entry.path > *done) {
                return Some(entry);
            }
        }
    }
}

fn is_above(directory: &Path, path: &Path) -> bool {
    path != directory && path.starts_with(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct List(std::vec::IntoIter<&'static str>);

    impl Source for List {
        fn next(&mut self) -> Option<Entry> {
            let path = self.0.next()?;
            let kind = if path.ends_with('/') { Kind::Dir } else { Kind::File };
            let meta = Meta { size: 1, ..Meta::default() };
            Some(Entry { path: path.trim_end_matches('/').into(), kind, meta, open: None, repeated: false })
        }

        fn at_boundary(&self) -> bool {
            true
        }

        fn has_change_times(&self) -> bool {
            false
        }

        fn record(&self) -> SourceRecord {
            unreachable!("not asked here")
        }
    }

    fn batches(entries: u64, done: Option<&str>) -> Vec<String> {
        let tree = ["data/a", "data/b/", "data/b/x", "data/b/y", "data/c", "data/e/", "data/e/z"];
        let source = Box::new(List(Vec::from(tree).into_iter()));
        let batcher = Batcher::new(source, Bounds { bytes: u64::MAX, entries }, done.map(PathBuf::from), true);
        std::iter::from_fn(|| {
            let batch = batcher.next_batch()?;
            Some(
                batch
                    .map(|e| format!("{}{}", if e.repeated { "^" } else { "" }, e.path.display()))
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        })
        .collect()
    }

    #[test]
    fn each_batch_begins_with_the_directories_that_are_open() {
        assert_eq!(
            batches(3, None),
            ["data data/a data/b", "^data ^data/b data/b/x data/b/y data/c", "^data data/e data/e/z"]
        );
        assert_eq!(batches(4, None), ["data data/a data/b data/b/x", "^data ^data/b data/b/y data/c data/e data/e/z"]);
    }

    #[test]
    fn a_resumed_source_goes_on_after_what_is_done() {
        assert_eq!(batches(100, Some("data/b/x")), ["^data ^data/b data/b/y data/c data/e data/e/z"]);
        assert_eq!(batches(100, Some("data/e/z")), [""; 0]);
        assert_eq!(batches(100, Some("data/b")), ["^data ^data/b data/b/x data/b/y data/c data/e data/e/z"]);
    }
}
