//! Reading beside a writer: who writes now, and how damage is told from what another run removes by right.

use std::collections::BTreeSet;

use super::{highest, read_or_guess};
use crate::error::{Result, WorkerError};
use crate::store::Store;

/// How often a repository is read that others write to meanwhile.
const READINGS: usize = 4;

/// Who wrote last, as far as a reader can tell: as long as it is the same and nobody holds the repository, nobody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    epoch: u64,
    /// Run that holds the repository now.
    pub holder: Option<String>,
}

impl Writer {
    /// The writer as it stands.
    pub fn of(store: &Store) -> Result<Self> {
        let epoch = match highest(store) {
            // What is damaged is told by whoever looks at the leases themselves.
            Ok(None) | Err(WorkerError::Damaged { .. }) => return Ok(Self { epoch: 0, holder: None }),
            Ok(Some(epoch)) => epoch,
            Err(other) => return Err(other),
        };
        let body = read_or_guess(store, epoch)?;
        let holder = body.filter(|body| !body.released).map(|body| body.run);
        Ok(Self { epoch, holder })
    }
}

/// Reads, and reads again if damage was met while somebody wrote: what another run's prune removes, by right and signed, looks like
/// damage to whoever has an older list. What is met twice is damage all the same.
///
/// `met` names the parts that a reading found damaged.
///
/// # Errors
/// Those of the reading; `Busy` if it met something else each time.
pub fn steady<T>(
    store: &Store,
    mut read: impl FnMut() -> Result<T>,
    met: impl Fn(&T) -> BTreeSet<String>,
) -> Result<T> {
    let mut before: Option<BTreeSet<String>> = None;
    for _ in 0..READINGS {
        let at_start = Writer::of(store)?;
        let outcome = read();
        let now = match &outcome {
            Ok(seen) => met(seen),
            Err(WorkerError::Damaged { part, .. }) => BTreeSet::from([part.clone()]),
            Err(_) => BTreeSet::new(),
        };
        let quiet = at_start.holder.is_none() && Writer::of(store)? == at_start;
        if now.is_empty() || quiet || before.is_some_and(|before| !before.is_disjoint(&now)) {
            return outcome;
        }
        before = Some(now);
    }
    let run = Writer::of(store)?.holder.unwrap_or_default();
    Err(WorkerError::Busy { holder: "others, who wrote while it was read".to_owned(), run, attempt: 0 })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use tokio::runtime::Runtime;

    use super::super::{Claim, Lease};
    use super::steady;
    use crate::error::{Result, WorkerError};
    use crate::store::Store;
    use crate::store::open::{Place, StoreArgs};

    /// Reads that meet these parts one after the other, while another run writes during each; how many there were.
    fn read(store: &Store, parts: &[&str], beside: bool) -> (Result<()>, usize) {
        let mut readings = 0;
        let once = || {
            let part = parts.get(readings).copied().unwrap_or_default();
            readings += 1;
            if beside {
                let claim = Claim::new("other".to_owned(), 1, Duration::ZERO);
                Lease::take(store, &claim, 0).unwrap().release(true).unwrap();
            }
            if part.is_empty() { Ok(()) } else { Err(WorkerError::damaged(part, "it is missing")) }
        };
        (steady(store, once, |()| BTreeSet::new()), readings)
    }

    #[test]
    fn what_another_run_removes_by_right_is_no_damage() {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
        let store = StoreArgs::directory(dir.path()).open(Place::Existing, runtime.handle()).unwrap();
        let damaged = |seen: &Result<()>| matches!(seen, Err(WorkerError::Damaged { .. }));
        let (seen, readings) = read(&store, &["a"], false);
        assert!(damaged(&seen) && readings == 1, "nobody wrote: {seen:?} {readings}");
        let (seen, readings) = read(&store, &["a", ""], true);
        assert!(seen.is_ok() && readings == 2, "{seen:?} {readings}");
        let (seen, readings) = read(&store, &["a", "b", "b"], true);
        assert!(damaged(&seen) && readings == 3, "it is missing all the same: {seen:?} {readings}");
        let (seen, _) = read(&store, &["a", "b", "c", "d", "e"], true);
        assert!(matches!(&seen, Err(busy @ WorkerError::Busy { .. }) if busy.is_transient()), "{seen:?}");
        // Whoever holds it may have begun to remove before it was looked at.
        let holder = Lease::take(&store, &Claim::new("prune".to_owned(), 1, Duration::ZERO), 0).unwrap();
        assert!(read(&store, &["a", ""], false).0.is_ok());
        assert!(damaged(&read(&store, &["a", "a"], false).0));
        holder.release(true).unwrap();
        assert!(damaged(&read(&store, &["a", ""], false).0));
    }
}
