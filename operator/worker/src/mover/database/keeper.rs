//! The rounds of a copy that follows: begun, ended, and begun again after a failure, which does not end the copy.

use std::time::{Duration, Instant};

use super::fence::Pair;
use super::known::{self, Known};
use super::marks::Marks;
use super::rounds::Rounds;
use super::stream::{Stream, tables};
use crate::control::Control;
use crate::error::Result;

/// After which it is tried again from the beginning.
const AGAIN: Duration = Duration::from_mins(1);

/// Reads and compares for as long as a copy follows; what fails here does not end the copy.
pub(super) struct Keeper<'a> {
    pair: &'a Pair,
    stream: &'a Stream,
    /// Bytes of its log that the source may keep.
    budget: u64,
    /// The copy's, for what people should know.
    control: &'a Control,
    rounds: Option<Rounds<'a>>,
    /// When to begin; never, if what it needs is not there.
    due: Option<Instant>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(pair: &'a Pair, stream: &'a Stream, budget: u64, control: &'a Control) -> Self {
        Self { pair, stream, budget, control, rounds: None, due: Some(Instant::now()) }
    }

    /// Chunks that are known.
    pub(super) fn known(&self) -> u64 {
        self.rounds.as_ref().map_or(0, Rounds::known)
    }

    /// Does a little, if it is time to.
    pub(super) fn go_on(&mut self) -> Result<()> {
        let done = match (&mut self.rounds, self.due) {
            (Some(rounds), _) => rounds.turn(),
            (None, Some(due)) if Instant::now() >= due => self.begin(),
            (None, _) => Ok(()),
        };
        let Err(error) = done else { return Ok(()) };
        // Nothing is known then, and that must be kept before anything else is said.
        self.rounds = None;
        self.pair.target.change("", |record| record.known = None)?;
        self.control.note(format!("what was compared is read again under the freeze: {error}"));
        // One that cannot be removed is removed before the next is made.
        let _ = Marks::of(self.stream, &self.pair.source.server).remove();
        self.due = Some(Instant::now() + AGAIN);
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.due = None;
        let source = &self.pair.source.server;
        let (marks, kept) = (Marks::of(self.stream, source), self.pair.target.record()?.known);
        if let Some(why) = Marks::refused(source)? {
            if kept.is_some() {
                // The server was bound when it was made.
                self.pair.target.change("", |record| record.known = None)?;
                marks.remove()?;
            }
            self.control.note(format!("{why}: everything is read under the freeze"));
            return Ok(());
        }
        let kept = match kept {
            Some(known) if marks.place()?.is_some() => known,
            _ => anew(self.pair, self.stream, &marks)?,
        };
        self.rounds = Some(Rounds::new(self.pair, self.stream, kept, self.budget, self.control)?);
        Ok(())
    }
}

/// Nothing is known, and from here on everything that is written is told.
fn anew(pair: &Pair, stream: &Stream, marks: &Marks<'_>) -> Result<Known> {
    pair.target.change(&known::emptied(), |record| record.known = None)?;
    marks.make()?;
    let source = &pair.source.server;
    let known = Known { cuts: known::cuts(source, stream, &tables(source)?)?, complete: None };
    pair.target.change("", |record| record.known = Some(known.clone()))?;
    Ok(known)
}
