//! When each grant was last looked at whole, so that nothing is looked at twice for one change.
//!
//! A delivery comes back several times: as the status that was written at the hub, and as every object that was made at the site.
//! A removal does so as well, object by object, while only the end of the namespace matters.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often what was delivered is looked at although nothing was seen to change: watches show what changes, and after each gap in
/// one everything is looked at anyway.
pub(super) const LOOK_AGAIN: Duration = Duration::from_hours(2);
/// The same where the site refuses a watch.
pub(super) const LOOK_BLINDLY: Duration = Duration::from_secs(300);
/// What changes at a site within so long after a look is looked at once, at the end of it.
const GATHER: Duration = Duration::from_secs(2);
/// A namespace that goes longer is looked at: something in it may not go, and that is told.
pub(super) const LONG_END: Duration = Duration::from_secs(30);

/// How much was seen to change at the site; to be read before a look begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Changes.
    touches: u64,
    /// Ends of the namespace, and gaps in which it may have ended.
    ends: u64,
}

#[derive(Debug, Default)]
struct Record {
    seen: Seen,
    look: Option<Look>,
}

#[derive(Debug)]
struct Look {
    /// resourceVersion of the grant that the look left.
    version: String,
    /// Before it began.
    seen: Seen,
    at: Instant,
}

/// Looks by namespace and name of the grant.
#[derive(Debug, Default)]
pub struct Looked {
    grants: Mutex<HashMap<String, Record>>,
}

impl Looked {
    /// Something changed at the site; `ended` if the grant's namespace may have gone.
    pub(super) fn touch(&self, grant: String, ended: bool) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = &mut grants.entry(grant).or_default().seen;
        seen.touches = seen.touches.saturating_add(1);
        seen.ends = seen.ends.saturating_add(u64::from(ended));
    }

    /// What was seen so far.
    pub(super) fn seen(&self, grant: &str) -> Seen {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).get(grant).map_or_else(Seen::default, |r| r.seen)
    }

    /// A look left the grant in this version, with everything in its place or with only its namespace to wait for. Without a
    /// version there is more to do.
    pub(super) fn done(&self, grant: &str, version: Option<String>, seen: Seen) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let record = grants.entry(grant.to_owned()).or_default();
        record.look = version.map(|version| Look { version, seen, at: Instant::now() });
    }

    /// Forgets a grant that ended.
    pub(super) fn forget(&self, grant: &str) {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).remove(grant);
    }

    /// How long a grant in this version, with everything in its place, needs no look; none when it needs one now.
    pub(super) fn rests(&self, grant: &str, version: Option<&str>, longest: Duration) -> Option<Duration> {
        self.left(grant, version, |now, then| if now.touches == then.touches { longest } else { GATHER })
    }

    /// How long a grant in this version, with only its namespace to wait for, needs no look.
    pub(super) fn ends(&self, grant: &str, version: Option<&str>) -> Option<Duration> {
        self.left(grant, version, |now, then| if now.ends == then.ends { LONG_END } else { Duration::ZERO })
    }

    fn left(&self, grant: &str, version: Option<&str>, wait: impl Fn(Seen, Seen) -> Duration) -> Option<Duration> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let record = grants.get(grant)?;
        let look = record.look.as_ref().filter(|l| Some(l.version.as_str()) == version)?;
        Some(wait(record.seen, look.seen).saturating_sub(look.at.elapsed())).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{GATHER, LONG_END, LOOK_AGAIN, Looked, Seen};

    #[tokio::test(start_paused = true)]
    async fn a_look_counts_until_something_changes() {
        let looked = Looked::default();
        assert_eq!(looked.rests("d/g", Some("7"), LOOK_AGAIN), None, "never looked at");
        looked.touch("d/g".to_owned(), false);
        looked.done("d/g", Some("7".to_owned()), looked.seen("d/g"));
        assert_eq!(looked.rests("d/g", Some("7"), LOOK_AGAIN), Some(LOOK_AGAIN));
        assert_eq!(looked.rests("d/g", Some("8"), LOOK_AGAIN), None, "the grant was written to");
        tokio::time::advance(LOOK_AGAIN).await;
        assert_eq!(looked.rests("d/g", Some("7"), LOOK_AGAIN), None);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_soon_after_a_look_are_looked_at_once_and_later_ones_at_once() {
        let looked = Looked::default();
        let before = looked.seen("d/g");
        // It changed while it was looked at: the look may have been too early to see it.
        looked.touch("d/g".to_owned(), false);
        looked.done("d/g", Some("7".to_owned()), before);
        assert_eq!(looked.rests("d/g", Some("7"), LOOK_AGAIN), Some(GATHER));
        tokio::time::advance(GATHER + Duration::from_millis(1)).await;
        assert_eq!(looked.rests("d/g", Some("7"), LOOK_AGAIN), None);
        looked.forget("d/g");
        assert_eq!(looked.seen("d/g"), Seen::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_removal_waits_for_the_end_of_the_namespace_and_for_nothing_else_in_it() {
        let looked = Looked::default();
        looked.done("d/g", Some("7".to_owned()), looked.seen("d/g"));
        looked.touch("d/g".to_owned(), false);
        assert_eq!(looked.ends("d/g", Some("7")), Some(LONG_END));
        looked.touch("d/g".to_owned(), true);
        assert_eq!(looked.ends("d/g", Some("7")), None);
        let before = looked.seen("d/g");
        looked.touch("d/g".to_owned(), true);
        looked.done("d/g", Some("7".to_owned()), before);
        assert_eq!(looked.ends("d/g", Some("7")), None, "it ended while it was looked at");
        looked.done("d/g", Some("7".to_owned()), looked.seen("d/g"));
        tokio::time::advance(LONG_END).await;
        assert_eq!(looked.ends("d/g", Some("7")), None, "it goes for too long");
    }
}
