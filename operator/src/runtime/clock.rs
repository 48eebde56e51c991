//! What time it is. A process reads the system's clock; a simulation has one that moves with tokio's paused time.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    anchor: Option<Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    start: Timestamp,
    since: Instant,
    /// Half seconds that it shows for every second that passes.
    halves: i32,
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self { anchor: None }
    }

    /// A clock that shows `start` now and moves with tokio's time from here on.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { anchor: Some(Anchor { start, since: Instant::now(), halves: 2 }) }
    }

    /// A clock that shows what this one does now, and then this many half seconds for every second: a broken one.
    #[must_use]
    pub fn at_pace(&self, halves: i32) -> Self {
        Self { anchor: Some(Anchor { start: self.now(), since: Instant::now(), halves }) }
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        let Some(Anchor { start, since, halves }) = self.anchor else { return Timestamp::now() };
        let passed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
        let shown = passed.checked_mul(halves).map_or(SignedDuration::MAX, |halves| halves / 2);
        start.checked_add(shown).unwrap_or(Timestamp::MAX)
    }
}
