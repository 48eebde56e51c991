//! Weather: what is wrong with all ways to sites for a while.

use std::time::Duration;

use tokio::time::Instant;

use crate::sim::plan::Cut;

/// How long it lasts: longer than every deadline and every look at a site.
const LASTS: Duration = Duration::from_secs(90);
/// How often a flapping way comes and goes.
const FLAP: u128 = 3;

/// What is wrong, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather(Option<(Cut, Instant)>);

impl Weather {
    /// It begins now.
    pub(super) fn begin(&mut self, cut: Cut) {
        self.0 = Some((cut, Instant::now()));
    }

    fn now(self) -> Option<(Cut, Duration)> {
        self.0.map(|(cut, since)| (cut, since.elapsed())).filter(|(_, passed)| *passed < LASTS)
    }

    /// Nothing gets through.
    pub(super) fn cuts(self) -> bool {
        match self.now() {
            Some((Cut::Both, _)) => true,
            Some((Cut::Flapping, passed)) => (u128::from(passed.as_secs()) / FLAP).is_multiple_of(2),
            _ => false,
        }
    }

    /// Requests get through, answers do not.
    pub(super) fn swallows_answers(self) -> bool {
        matches!(self.now(), Some((Cut::Answers, _)))
    }

    /// How long a request is on its way beyond what it usually is.
    pub(super) fn delay(self) -> Duration {
        if matches!(self.now(), Some((Cut::Slow, _))) { Duration::from_secs(8) } else { Duration::ZERO }
    }
}
