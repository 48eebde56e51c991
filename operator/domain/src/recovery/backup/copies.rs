//! Copies in further stores: what a run does next about them, and how long it waits for a store that is away.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{BackupPhase, CopyState, RecoveryPlan, RecoveryPlanSpec, StoredCopy};

use super::plan::Observed;
use crate::finding::Finding;
use crate::recovery::duration;
use crate::recovery::schedule::Schedule;

/// What a process of a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// It reads the sources and writes the first copy.
    Capture,
    /// It copies that to this store.
    Replicate(String),
    /// It reads the copy in this store back.
    Verify(String),
}

impl Work {
    /// Whether the run goes on without it if it cannot be done: one that makes a further copy, and one that reads back a copy beside
    /// which another one is good or can still turn out to be. The first copy is no better than the others then.
    pub fn is_spared(&self, copies: &[StoredCopy]) -> bool {
        match self {
            Self::Capture => false,
            Self::Replicate(_) => true,
            Self::Verify(store) => {
                copies.iter().any(|copy| copy.store != *store && (is_stored(copy) || copy.state == CopyState::Verified))
            }
        }
    }

    /// Whether it need not be waited for once it is overdue: what cannot be reached is not given up for nothing.
    pub(super) fn is_backed(&self, copies: &[StoredCopy]) -> bool {
        match self {
            Self::Capture => false,
            Self::Replicate(_) => true,
            Self::Verify(store) => copies.iter().any(|copy| copy.store != *store && copy.state == CopyState::Verified),
        }
    }
}

/// Whether a copy is still to be made: one that was given up is not.
pub(super) fn is_wanted(copy: &StoredCopy) -> bool {
    copy.state == CopyState::Missing && copy.failure.is_none()
}

/// Whether a copy is to be read back.
pub(super) fn is_stored(copy: &StoredCopy) -> bool {
    copy.state == CopyState::Stored && copy.failure.is_none()
}

/// Stores with a copy that is to be read back.
pub fn stored(copies: &[StoredCopy]) -> Vec<&str> {
    copies.iter().filter(|copy| is_stored(copy)).map(|copy| copy.store.as_str()).collect()
}

/// The process that a phase waits for: copies are made one after the other, then read back one after the other, those in stores that
/// are `away` last.
///
/// A run whose copies could not all be made stays in `Replicating` while it reads back those that stand.
pub fn work(phase: BackupPhase, copies: &[StoredCopy], away: &BTreeSet<String>) -> Option<Work> {
    use BackupPhase as P;
    let verify = || {
        let stored = stored(copies);
        let first = stored.iter().find(|store| !away.contains(**store)).or_else(|| stored.first());
        first.map(|store| Work::Verify((*store).to_owned()))
    };
    match phase {
        P::Quiescing | P::Capturing | P::Resuming | P::Sealing => Some(Work::Capture),
        P::Replicating => {
            let wanted = copies.iter().skip(1).find(|copy| is_wanted(copy));
            wanted.map(|copy| Work::Replicate(copy.store.clone())).or_else(verify)
        }
        P::Verifying => verify(),
        _ => None,
    }
}

/// Further stores that cannot be used for the moment: the first copy does not wait for them.
pub(super) fn away(spec: &RecoveryPlanSpec, observed: &Observed) -> Vec<Finding> {
    let why = |store: &str| observed.stores.get(store).and_then(|facts| facts.unusable.as_ref());
    let further = spec.copies.iter().enumerate().skip(1);
    further.filter_map(|(at, copy)| why(&copy.store).map(|why| unusable(at, &copy.store, why))).collect()
}

/// Copies in a store in which the checks found the department's repository damaged.
pub(super) fn damaged(spec: &RecoveryPlanSpec, observed: &Observed) -> Vec<Finding> {
    let what = |store: &str| observed.stores.get(store)?.damaged.get(&observed.department);
    let found = spec.copies.iter().enumerate().filter_map(|(at, copy)| {
        let message = format!(
            "the repository of department {} in store {} is damaged: {}; the cloud administrator mends it, and the copies in other stores are restored from meanwhile",
            observed.department,
            copy.store,
            what(&copy.store)?
        );
        Some(Finding::new(format!("/spec/copies/{at}/store"), Reason::RepositoryDamaged.as_str(), message))
    });
    found.collect()
}

pub(super) fn unusable(at: usize, store: &str, why: &str) -> Finding {
    let message = format!("store {store} cannot be used: {why}");
    Finding::new(format!("/spec/copies/{at}/store"), Reason::StoreNotReady.as_str(), message)
}

/// Until when a run waits for a further store: no longer than the plan allows to lose, and not when the next run is due.
pub fn patience(plan: &RecoveryPlan, captured_at: Timestamp, now: Timestamp) -> Timestamp {
    let rpo = duration::parse("rpo", &plan.spec.objectives.rpo).unwrap_or(SignedDuration::ZERO);
    let until = captured_at.checked_add(rpo).unwrap_or(Timestamp::MAX);
    if plan.spec.paused {
        // It holds no other run up.
        return until;
    }
    let created = plan.metadata.creation_timestamp.as_ref().map_or(now, |at| at.0);
    let next = Schedule::read("/spec/schedule", &plan.spec.schedule, created).ok().and_then(|s| s.after(captured_at));
    next.map_or(until, |next| until.min(next))
}

#[cfg(test)]
mod tests {
    use zhengyun_crds::recovery::{BackupPhase as P, CopyState as C, StoredCopy};

    use std::collections::BTreeSet;

    use super::{Work, work as chosen};

    fn work(phase: P, copies: &[StoredCopy]) -> Option<Work> {
        chosen(phase, copies, &BTreeSet::new())
    }

    fn copy(store: &str, state: C, failure: Option<&str>) -> StoredCopy {
        StoredCopy {
            store: store.to_owned(),
            state,
            snapshot: None,
            bytes_added: 0,
            verified_at: None,
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn copies_are_made_and_read_back_one_after_the_other() {
        let mut copies = vec![copy("a", C::Stored, None), copy("b", C::Missing, None), copy("c", C::Missing, None)];
        assert_eq!(work(P::Sealing, &copies), Some(Work::Capture));
        assert_eq!(work(P::Replicating, &copies), Some(Work::Replicate("b".to_owned())));
        copies[1].failure = Some("away".to_owned());
        assert_eq!(work(P::Replicating, &copies), Some(Work::Replicate("c".to_owned())));
        copies[2].state = C::Stored;
        assert_eq!(work(P::Replicating, &copies), Some(Work::Verify("a".to_owned())));
        copies[0].state = C::Verified;
        assert_eq!(work(P::Replicating, &copies), Some(Work::Verify("c".to_owned())));
        assert_eq!(work(P::Completed, &copies), None);
    }

    #[test]
    fn a_copy_in_a_store_that_is_away_is_read_back_last() {
        let away = |stores: &[&str]| stores.iter().map(|store| (*store).to_owned()).collect::<BTreeSet<_>>();
        let mut copies = vec![copy("a", C::Stored, None), copy("b", C::Stored, None)];
        let verify = |store: &str| Some(Work::Verify(store.to_owned()));
        assert_eq!(chosen(P::Verifying, &copies, &away(&["a"])), verify("b"));
        assert_eq!(chosen(P::Verifying, &copies, &away(&["a", "b"])), verify("a"));
        copies[1].state = C::Verified;
        assert_eq!(chosen(P::Verifying, &copies, &away(&["a"])), verify("a"), "it is the last one");
    }

    #[test]
    fn a_copy_is_spared_while_another_is_or_may_be_good() {
        let a = Work::Verify("a".to_owned());
        for (other, failure, spared, backed) in [
            (C::Verified, None, true, true),
            (C::Stored, None, true, false),
            (C::Stored, Some("unreachable"), false, false),
            (C::Damaged, Some("NotIntact"), false, false),
            (C::Missing, Some("away"), false, false),
        ] {
            let copies = [copy("a", C::Stored, None), copy("b", other, failure)];
            assert_eq!((a.is_spared(&copies), a.is_backed(&copies)), (spared, backed), "{other:?} {failure:?}");
        }
        assert!(Work::Replicate("b".to_owned()).is_spared(&[]) && !Work::Capture.is_spared(&[]));
    }
}
