//! What follows for a backup from what is seen of its processes.

use zhengyun_crds::recovery::{BackupPhase, CopyState, StoredCopy};

use super::copies::{Work, is_stored};
use super::machine::{Event, Illegal, step};
use crate::recovery::run::{Fault, Order, Sighting};
use crate::seeded::{self, Bug};

/// What the decision looks at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Whether somebody asked to end it.
    pub cancel: bool,
    /// How often it was taken up.
    pub attempt: i32,
    /// The present work, by [`work`](super::work); none while there is none, and while what is left is cleared away.
    pub work: Option<&'a Work>,
    /// Its process.
    pub sighting: &'a Sighting,
    /// Copies, the first one first, as they stood when the process was looked at.
    pub copies: &'a [StoredCopy],
    /// Whether a store was waited for long enough.
    pub overdue: bool,
    /// Whether everything that should be covered is.
    pub covered: bool,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The phase.
    pub phase: BackupPhase,
    /// What is to be done about the process.
    pub order: Order,
    /// Why it cannot go on, if so.
    pub fault: Option<Fault>,
    /// Store whose copy is given up for that fault; the run goes on without it.
    pub given_up: Option<String>,
}

/// Decides.
///
/// # Errors
/// When the table of phases has no such transition, which is a defect.
pub fn follow(phase: BackupPhase, facts: &Facts<'_>) -> Result<Next, Illegal> {
    use BackupPhase as P;
    let to = |phase, order| Next { phase, order, fault: None, given_up: None };
    if matches!(phase, P::Failing | P::Cancelling) {
        return if facts.sighting.runs() {
            Ok(to(phase, if facts.sighting.hangs() { Order::Kill } else { Order::Cancel }))
        } else {
            Ok(to(step(phase, Event::Cleared)?, Order::Nothing))
        };
    }
    let Some(work) = facts.work else { return Ok(to(phase, Order::Nothing)) };
    if facts.cancel {
        return Ok(to(step(phase, Event::CancelAsked)?, Order::Cancel));
    }
    match facts.sighting {
        Sighting::Running { .. } => Ok(to(phase, if facts.sighting.hangs() { Order::Kill } else { Order::Wait })),
        Sighting::Absent => Ok(to(phase, Order::Start)),
        Sighting::Lost => Ok(to(step(phase, Event::WorkerLost)?, Order::Start)),
        Sighting::Failed(fault) => {
            let waits = fault.may_pass(facts.attempt) && !(facts.overdue && work.is_backed(facts.copies));
            let fault = Some(fault.clone());
            if waits {
                let order = fault.as_ref().map_or(Order::Start, Fault::order);
                return Ok(Next { fault, ..to(step(phase, Event::WorkerLost)?, order) });
            }
            match work {
                Work::Replicate(store) | Work::Verify(store) if work.is_spared(facts.copies) => {
                    give_up(phase, work, store, fault, facts)
                }
                _ => Ok(Next { fault, ..to(step(phase, Event::Failed)?, Order::Nothing) }),
            }
        }
        Sighting::Done(_) => {
            let mut phase = phase;
            for event in ending(phase, work, facts) {
                phase = step(phase, event)?;
            }
            Ok(to(phase, Order::Nothing))
        }
    }
}

/// A copy that cannot be made or is no good does not end the run while another one may be good: that is worth keeping.
///
/// # Errors
/// When the table of phases has no such transition, which is a defect.
fn give_up(
    phase: BackupPhase,
    work: &Work,
    store: &str,
    fault: Option<Fault>,
    facts: &Facts<'_>,
) -> Result<Next, Illegal> {
    // One that is still to be read back keeps the run going.
    let last = matches!(work, Work::Verify(_)) && !others_are_stored(store, facts.copies);
    let phase = if last { step(phase, Event::VerifiedPart)? } else { phase };
    Ok(Next { phase, order: Order::Nothing, fault, given_up: Some(store.to_owned()) })
}

fn others_are_stored(store: &str, copies: &[StoredCopy]) -> bool {
    copies.iter().any(|copy| copy.store != store && is_stored(copy))
}

/// The events that the end of a process stands for.
fn ending(phase: BackupPhase, work: &Work, facts: &Facts<'_>) -> Vec<Event> {
    use BackupPhase as P;
    let others = |store: &str, is: fn(&StoredCopy) -> bool| {
        facts.copies.iter().skip(1).any(|copy| copy.store != *store && is(copy))
    };
    match work {
        Work::Capture => {
            let captured = [Event::Quiesced, Event::Captured, Event::Resumed, Event::Sealed];
            let skip = match phase {
                P::Quiescing => 0,
                P::Capturing => 1,
                P::Resuming => 2,
                _ => 3,
            };
            let mut events: Vec<Event> = captured.into_iter().skip(skip).collect();
            if facts.copies.len() <= 1 {
                // There is no other store to wait for.
                events.push(Event::Replicated);
                if seeded::is(Bug::CompletedUnread) {
                    events.push(Event::VerifiedWhole);
                }
            }
            events
        }
        // One that was given up before keeps the run from being whole.
        Work::Replicate(store) if others(store, |copy| copy.state == CopyState::Missing) => Vec::new(),
        Work::Replicate(_) => vec![Event::Replicated],
        Work::Verify(store) if others_are_stored(store, facts.copies) => Vec::new(),
        Work::Verify(store) => {
            let good = |copy: &StoredCopy| copy.store == *store || copy.state == CopyState::Verified;
            let whole = phase == P::Verifying && facts.covered && facts.copies.iter().all(good);
            vec![if whole { Event::VerifiedWhole } else { Event::VerifiedPart }]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use zhengyun_crds::recovery::{BackupPhase as P, CopyState as C, StoredCopy};

    use super::super::copies::work;
    use super::{Facts, Next, follow};
    use crate::recovery::run::{Fault, Order, Sighting, Standing};

    fn copy(store: &str, state: C, failure: Option<&str>) -> StoredCopy {
        let failure = failure.map(str::to_owned);
        StoredCopy { store: store.to_owned(), state, snapshot: None, bytes_added: 0, verified_at: None, failure }
    }

    fn among(phase: P, copies: &[StoredCopy], sighting: &Sighting, change: impl FnOnce(&mut Facts<'_>)) -> Next {
        let work = work(phase, copies, &BTreeSet::new());
        let work = work.as_ref();
        let mut facts = Facts { cancel: false, attempt: 1, work, sighting, copies, overdue: false, covered: true };
        change(&mut facts);
        follow(phase, &facts).unwrap()
    }

    fn decide(phase: P, sighting: &Sighting, change: impl FnOnce(&mut Facts<'_>)) -> Next {
        let state = if matches!(phase, P::Replicating | P::Verifying) { C::Stored } else { C::Missing };
        among(phase, &[copy("near", state, None)], sighting, change)
    }

    fn running(silent_seconds: u64) -> Sighting {
        Sighting::Running { standing: Standing::default(), silent_seconds }
    }

    fn fault(reason: &str, transient: bool) -> Sighting {
        Sighting::Failed(Fault { reason: reason.to_owned(), transient, ..Fault::default() })
    }

    #[test]
    fn a_run_goes_through_capture_and_verification() {
        let start = decide(P::Capturing, &Sighting::Absent, |_| {});
        assert_eq!((start.phase, start.order), (P::Capturing, Order::Start));
        assert_eq!(decide(P::Capturing, &running(1), |_| {}).order, Order::Wait);
        assert_eq!(decide(P::Capturing, &Sighting::Done(json!({})), |_| {}).phase, P::Verifying);
        assert_eq!(decide(P::Verifying, &Sighting::Done(json!({})), |_| {}).phase, P::Completed);
        assert_eq!(decide(P::Verifying, &Sighting::Done(json!({})), |f| f.covered = false).phase, P::Incomplete);
    }

    #[test]
    fn every_store_gets_a_copy_and_every_copy_is_read_back() {
        let done = Sighting::Done(json!({}));
        let three = |a, b, c| [copy("a", a, None), copy("b", b, None), copy("c", c, None)];
        let phase = |at, copies: &[StoredCopy]| among(at, copies, &done, |_| {}).phase;
        assert_eq!(phase(P::Capturing, &three(C::Missing, C::Missing, C::Missing)), P::Replicating);
        assert_eq!(phase(P::Replicating, &three(C::Stored, C::Missing, C::Missing)), P::Replicating);
        assert_eq!(phase(P::Replicating, &three(C::Stored, C::Stored, C::Missing)), P::Verifying);
        assert_eq!(phase(P::Verifying, &three(C::Stored, C::Stored, C::Stored)), P::Verifying);
        assert_eq!(phase(P::Verifying, &three(C::Verified, C::Stored, C::Stored)), P::Verifying);
        assert_eq!(phase(P::Verifying, &three(C::Verified, C::Verified, C::Stored)), P::Completed);
    }

    #[test]
    fn a_further_copy_that_cannot_be_made_leaves_the_first_one_standing() {
        let two = [copy("a", C::Stored, None), copy("b", C::Missing, None)];
        // A store that is away is waited for until it is overdue.
        let away = among(P::Replicating, &two, &fault("StoreUnreachable", true), |_| {});
        assert_eq!((away.phase, away.order, away.given_up), (P::Replicating, Order::StartLater, None));
        for given_up in [
            among(P::Replicating, &two, &fault("StoreUnreachable", true), |f| f.overdue = true),
            among(P::Replicating, &two, &fault("WrongKey", false), |_| {}),
        ] {
            assert_eq!((given_up.phase, given_up.given_up.as_deref()), (P::Replicating, Some("b")));
        }
        let without = [copy("a", C::Stored, None), copy("b", C::Missing, Some("away"))];
        assert_eq!(among(P::Replicating, &without, &Sighting::Done(json!({})), |_| {}).phase, P::Incomplete);
        // The same for one that is read back and no good.
        let both = [copy("a", C::Verified, None), copy("b", C::Stored, None)];
        let damaged = among(P::Verifying, &both, &fault("NotIntact", false), |_| {});
        assert_eq!((damaged.phase, damaged.given_up.as_deref()), (P::Incomplete, Some("b")));
    }

    #[test]
    fn a_first_copy_that_is_no_good_or_gone_leaves_the_others_standing() {
        let (damaged, gone) = (fault("NotIntact", false), fault("StoreUnreachable", true));
        let next = |b: StoredCopy, seen: &Sighting, overdue: bool| {
            let next = among(P::Verifying, &[copy("a", C::Stored, None), b], seen, |f| f.overdue = overdue);
            (next.phase, next.order, next.given_up)
        };
        let given_up = Some("a".to_owned());
        let (verified, stored) = (copy("b", C::Verified, None), copy("b", C::Stored, None));
        // The other one is still to be read back.
        assert_eq!(next(stored.clone(), &damaged, false), (P::Verifying, Order::Nothing, given_up.clone()));
        // It was, and is good.
        assert_eq!(next(verified.clone(), &damaged, false), (P::Incomplete, Order::Nothing, given_up.clone()));
        assert_eq!(next(verified.clone(), &gone, true), (P::Incomplete, Order::Nothing, given_up));
        // One that is away for a moment is waited for, and one without which nothing would be proved for as long as it takes.
        assert_eq!(next(verified, &gone, false), (P::Verifying, Order::StartLater, None));
        assert_eq!(next(stored, &gone, true), (P::Verifying, Order::StartLater, None));
        // None is left that could be good.
        for b in [copy("b", C::Damaged, Some("NotIntact")), copy("b", C::Missing, Some("away"))] {
            assert_eq!(next(b, &damaged, false), (P::Failing, Order::Nothing, None));
        }
        let last = [copy("a", C::Damaged, Some("NotIntact")), copy("b", C::Stored, None)];
        assert_eq!(among(P::Verifying, &last, &damaged, |_| {}).phase, P::Failing, "whichever comes last");
        let proved = among(P::Verifying, &last, &Sighting::Done(json!({})), |_| {});
        assert_eq!((proved.phase, proved.given_up), (P::Incomplete, None));
    }

    #[test]
    fn a_lost_worker_is_followed_by_another_one_in_the_same_phase() {
        for phase in [P::Capturing, P::Verifying] {
            let next = decide(phase, &Sighting::Lost, |_| {});
            assert_eq!((next.phase, next.order), (phase, Order::Start));
        }
        assert_eq!(decide(P::Capturing, &running(10_000), |_| {}).order, Order::Kill);
    }

    #[test]
    fn faults_pass_or_end_the_run() {
        let busy = decide(P::Capturing, &fault("RepositoryBusy", true), |f| f.attempt = 100);
        assert_eq!((busy.phase, busy.order), (P::Capturing, Order::StartLater));
        let site = |attempt| decide(P::Capturing, &fault("ClusterFailed", false), |f| f.attempt = attempt).phase;
        assert_eq!((site(1), site(5)), (P::Capturing, P::Failing));
        let Sighting::Failed(unreachable) = fault("StoreUnreachable", true) else { unreachable!() };
        let rested = Sighting::Failed(Fault { seconds_ago: 60, ..unreachable });
        assert_eq!(decide(P::Capturing, &rested, |_| {}).order, Order::Start);
        let damaged = decide(P::Verifying, &fault("NotIntact", false), |_| {});
        assert_eq!((damaged.phase, damaged.fault.unwrap().reason.as_str()), (P::Failing, "NotIntact"));
        assert_eq!(decide(P::Failing, &Sighting::Lost, |_| {}).phase, P::Failed);
    }

    #[test]
    fn a_cancelled_run_ends_only_once_its_process_did() {
        let asked = decide(P::Capturing, &running(1), |f| f.cancel = true);
        assert_eq!((asked.phase, asked.order), (P::Cancelling, Order::Cancel));
        assert_eq!(decide(P::Cancelling, &running(1), |f| f.cancel = true).phase, P::Cancelling);
        assert_eq!(decide(P::Cancelling, &fault("Cancelled", true), |f| f.cancel = true).phase, P::Cancelled);
    }
}
