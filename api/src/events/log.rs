//! The last changes, and those who wait for the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::Change;
use super::cursor::{Cursor, process};

/// How many changes are kept: some minutes of a busy day, in a few megabytes.
const KEPT: usize = 8192;

/// It is not kept any more, or was never a place here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// The last changes of everything that lists show.
#[derive(Debug)]
pub(crate) struct Log {
    process: u32,
    kept: Mutex<Kept>,
    /// How many changes there were.
    place: watch::Sender<u64>,
    most: usize,
}

#[derive(Debug, Default)]
struct Kept {
    /// How many were dropped: the place after which the first kept one comes.
    before: u64,
    changes: VecDeque<Arc<Change>>,
}

impl Log {
    /// Nothing changed so far.
    pub(crate) fn new() -> Self {
        Self::with_room_for(KEPT)
    }

    fn with_room_for(most: usize) -> Self {
        Self { process: process(), kept: Mutex::default(), place: watch::Sender::new(0), most }
    }

    /// Adds a change, and wakes who waits.
    pub(crate) fn add(&self, change: Change) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.changes.push_back(Arc::new(change));
        if kept.changes.len() > self.most {
            kept.changes.pop_front();
            kept.before = kept.before.saturating_add(1);
        }
        // Under the lock, so that places are told in their order.
        self.place.send_modify(|place| *place = place.saturating_add(1));
    }

    /// The place after the newest change.
    pub(crate) fn end(&self) -> Cursor {
        Cursor { process: self.process, place: *self.place.borrow() }
    }

    /// Tells when there is more.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.place.subscribe()
    }

    /// The changes after a place, at most so many, each with the place after it.
    ///
    /// # Errors
    /// When some of them are kept no more, or the place is not of this process: the lists have to be read again.
    pub(crate) fn after(&self, cursor: Cursor, most: usize) -> Result<Vec<(Cursor, Arc<Change>)>, Gone> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = cursor.place.checked_sub(kept.before).and_then(|passed| usize::try_from(passed).ok());
        let passed =
            passed.filter(|passed| cursor.process == self.process && *passed <= kept.changes.len()).ok_or(Gone)?;
        let next = (cursor.place.saturating_add(1)..).zip(kept.changes.iter().skip(passed).take(most));
        Ok(next.map(|(place, change)| (Cursor { place, ..cursor }, Arc::clone(change))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Cursor, Gone, Log};

    fn named(name: &str) -> Change {
        Change {
            noun: "backups",
            department: None,
            name: name.to_owned(),
            uid: String::new(),
            item: None,
            plural: "systembackups",
        }
    }

    fn names(log: &Log, after: Cursor, most: usize) -> Result<Vec<String>, Gone> {
        Ok(log.after(after, most)?.into_iter().map(|(_, change)| change.name.clone()).collect())
    }

    #[test]
    fn who_reads_on_misses_nothing_and_sees_nothing_twice() {
        let log = Log::with_room_for(3);
        let mut at = log.end();
        assert_eq!(names(&log, at, 9), Ok(vec![]));
        for name in ["a", "b", "c"] {
            log.add(named(name));
        }
        let first = log.after(at, 2).unwrap();
        assert_eq!(first.iter().map(|(_, change)| change.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        at = first[1].0;
        log.add(named("d"));
        assert_eq!(names(&log, at, 9), Ok(vec!["c".to_owned(), "d".to_owned()]));
        assert_eq!(names(&log, log.end(), 9), Ok(vec![]));
    }

    #[test]
    fn who_was_away_for_too_long_or_comes_from_elsewhere_is_told() {
        let log = Log::with_room_for(2);
        let start = log.end();
        log.add(named("a"));
        log.add(named("b"));
        assert_eq!(names(&log, start, 9).unwrap().len(), 2);
        log.add(named("c"));
        assert_eq!(names(&log, start, 9), Err(Gone));
        let end = log.end();
        assert_eq!(names(&log, Cursor { place: end.place + 1, ..end }, 9), Err(Gone));
        assert_eq!(names(&log, Cursor { process: end.process.wrapping_add(1), ..end }, 9), Err(Gone));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let log = Log::new();
        let mut more = log.watch();
        let mut waiting = Box::pin(more.changed());
        assert!(futures::poll!(&mut waiting).is_pending());
        log.add(named("a"));
        assert!(futures::poll!(&mut waiting).is_ready());
    }
}
