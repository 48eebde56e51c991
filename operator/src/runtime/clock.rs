//! What time it is. A process reads the system's clock; a simulation has one that moves with tokio's paused time.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    anchor: Option<(Timestamp, Instant)>,
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self { anchor: None }
    }

    /// A clock that shows `start` now and moves with tokio's time from here on.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { anchor: Some((start, Instant::now())) }
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        let Some((start, since)) = self.anchor else { return Timestamp::now() };
        let passed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
        start.checked_add(passed).unwrap_or(Timestamp::MAX)
    }
}
