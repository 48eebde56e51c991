//! Per-object backoff: kube's controller has none of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(60);
const FIRST_OF_STALE: Duration = Duration::from_millis(20);
const LONGEST_OF_STALE: Duration = Duration::from_secs(5);

/// How often each object failed in a row.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: Mutex<HashMap<String, u32>>,
}

impl Default for Backoff {
    /// For what failed: 200 ms at first, a minute at last.
    fn default() -> Self {
        Self { first: FIRST, longest: LONGEST, failures: Mutex::default() }
    }
}

impl Backoff {
    /// For what was looked at in an old state: the new one is usually there at once, unless a watch stands still.
    pub fn of_stale_views() -> Self {
        Self { first: FIRST_OF_STALE, longest: LONGEST_OF_STALE, failures: Mutex::default() }
    }

    /// Counts a failure and tells how long to wait: doubled each time up to the longest, spread by a quarter.
    pub fn next(&self, key: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.to_owned()).or_default();
        *count = count.saturating_add(1);
        let doubled =
            self.first.saturating_mul(1_u32.checked_shl((*count).saturating_sub(1).min(16)).unwrap_or(u32::MAX));
        spread(doubled.min(self.longest), key, *count)
    }

    /// Forgets the failures of an object.
    pub fn succeed(&self, key: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Spreads a period by up to a quarter, the same way for the same key and round, so that many objects do not come back at once.
pub fn spread(period: Duration, key: &str, round: u32) -> Duration {
    let hash = key
        .bytes()
        .chain(round.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let share = u32::try_from(hash % 250).unwrap_or(0);
    period.saturating_add(period.saturating_mul(share) / 1000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn it_doubles_up_to_a_minute_and_starts_again_after_success() {
        let backoff = Backoff::default();
        let first = backoff.next("a");
        assert!(first >= Duration::from_millis(200) && first <= Duration::from_millis(250));
        for _ in 0..20 {
            backoff.next("a");
        }
        let late = backoff.next("a");
        assert!(late >= Duration::from_secs(60) && late <= Duration::from_secs(75));
        backoff.succeed("a");
        assert!(backoff.next("a") <= Duration::from_millis(250));
    }
}
