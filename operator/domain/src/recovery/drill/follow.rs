//! What follows for a drill from what is seen of its scratch and of its process.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{Coverage, DrillPhase, RunFailure};

use super::is_complete;
use super::machine::{Event, Illegal, step};
use super::scratch::{self, Scratch};
use crate::condition::cut;
use crate::recovery::duration;
use crate::recovery::run::{Fault, Order, Sighting};
use crate::seeded::{self, Bug};

/// What the decision looks at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Whether somebody asked to end it.
    pub cancel: bool,
    /// How often a process took it up.
    pub attempt: i32,
    /// How long it holds its room.
    pub held: SignedDuration,
    /// How long it may.
    pub lease: SignedDuration,
    /// Its scratch.
    pub scratch: &'a Scratch,
    /// How many parts of the backup come after the one that is at work.
    pub left: usize,
    /// The process of that part.
    pub sighting: &'a Sighting,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The phase.
    pub phase: DrillPhase,
    /// What is to be done about the process.
    pub order: Order,
    /// Whether the scratch is to be ended.
    pub remove: bool,
    /// Whether the part that was at work was restored and is equal.
    pub equal: bool,
    /// Why it cannot go on, if so.
    pub fault: Option<Fault>,
}

impl Next {
    /// A phase and what is to be done about the process, and nothing else.
    const fn of(phase: DrillPhase, order: Order) -> Self {
        Self { phase, order, remove: false, equal: false, fault: None }
    }
}

/// What a process that came to its end reports of a drill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether everything that was to be restored stands.
    #[serde(default)]
    pub equal: Option<bool>,
    /// How much was compared.
    #[serde(default)]
    pub coverage: Coverage,
    /// What is not as the manifest says: the first ones.
    #[serde(default)]
    pub failures: Vec<RunFailure>,
}

impl Report {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none, in words.
    pub fn read(report: &Value) -> Result<Self, String> {
        serde_json::from_value(report.clone()).map_err(|e| format!("the report of the restorer cannot be read: {e}"))
    }

    /// How many things differ; what was not compared is not known to be equal.
    pub const fn differences(&self) -> i64 {
        let missing = self.coverage.objects_total.saturating_sub(self.coverage.objects_compared);
        if missing < 0 { 0 } else { missing }
    }

    /// Why it is not a pass; none if it is.
    pub fn problem(&self) -> Option<String> {
        if (self.equal == Some(true) && is_complete(&self.coverage)) || seeded::is(Bug::DrillUncompared) {
            return None;
        }
        if self.equal == Some(true) && self.coverage.objects_total == 0 {
            return Some("the backup holds nothing that a restore would bring back: it proves nothing".to_owned());
        }
        let first = self.failures.first().map(|f| format!("; the first: {}: {}", f.subject, f.message));
        Some(format!(
            "{} of {} objects are not as the manifest says{}",
            self.differences(),
            self.coverage.objects_total,
            first.unwrap_or_default()
        ))
    }
}

/// Decides.
///
/// # Errors
/// When the table of phases has no such transition, which is a defect.
pub fn follow(phase: DrillPhase, facts: &Facts<'_>) -> Result<Next, Illegal> {
    use DrillPhase as P;
    let next = |phase, order| Ok(Next::of(phase, order));
    match phase {
        P::Removing | P::Abandoning | P::Cancelling => return removal(phase, facts),
        P::Preparing | P::Restoring | P::Comparing => {}
        _ => return next(phase, Order::Nothing),
    }
    if facts.cancel {
        return next(step(phase, Event::CancelAsked)?, Order::Wait);
    }
    if facts.held > facts.lease {
        let message = format!(
            "it holds its room for longer than its lease of {}: look at what it waited for, and hold another drill",
            duration::print(facts.lease)
        );
        return failed(phase, Reason::RunFailed, message);
    }
    match (phase, facts.scratch) {
        (P::Preparing, Scratch::Coming(_)) => next(phase, Order::Wait),
        (P::Preparing, Scratch::Ready) => next(step(phase, Event::Prepared)?, Order::Wait),
        (_, Scratch::Ready) => at_work(phase, facts),
        (_, Scratch::Coming(said)) => {
            failed(phase, Reason::GrantNotLive, format!("the scratch is not in service any more: {said}"))
        }
        (_, Scratch::Absent | Scratch::Ending(_) | Scratch::Gone) => failed(
            phase,
            Reason::GrantNotLive,
            "somebody ended the scratch under the drill: hold another one".to_owned(),
        ),
    }
}

fn failed(phase: DrillPhase, reason: Reason, message: String) -> Result<Next, Illegal> {
    let fault = Fault { reason: reason.as_str().to_owned(), message: cut(message, 1900), ..Fault::default() };
    Ok(Next { fault: Some(fault), ..Next::of(step(phase, Event::Failed)?, Order::Wait) })
}

/// Restoring and comparing: the process decides.
fn at_work(phase: DrillPhase, facts: &Facts<'_>) -> Result<Next, Illegal> {
    use DrillPhase as P;
    let next = |phase, order| Ok(Next::of(phase, order));
    match facts.sighting {
        Sighting::Absent => next(phase, Order::Start),
        Sighting::Lost => next(step(phase, Event::WorkerLost)?, Order::Start),
        Sighting::Running { standing, .. } => {
            let order = if facts.sighting.hangs() { Order::Kill } else { Order::Wait };
            let compares = phase == P::Restoring && standing.phase == "comparing";
            next(if compares { step(phase, Event::Restored)? } else { phase }, order)
        }
        Sighting::Failed(fault) if fault.may_pass(facts.attempt) => {
            let again = Next::of(step(phase, Event::WorkerLost)?, fault.order());
            Ok(Next { fault: Some(fault.clone()), ..again })
        }
        Sighting::Failed(fault) => {
            let over = Next::of(step(phase, Event::Failed)?, Order::Wait);
            Ok(Next { fault: Some(fault.clone()), ..over })
        }
        Sighting::Done(report) => {
            let report = match Report::read(report) {
                Ok(report) => report,
                Err(message) => return failed(phase, Reason::RunFailed, message),
            };
            let at = if phase == P::Restoring { step(phase, Event::Restored)? } else { phase };
            match report.problem() {
                None => {
                    let event = if facts.left > 0 { Event::PartEqual } else { Event::ComparedEqual };
                    Ok(Next { equal: true, ..Next::of(step(at, event)?, Order::Wait) })
                }
                Some(message) => {
                    let reason = Reason::Differs.as_str().to_owned();
                    let fault = Fault { reason, message: cut(message, 1900), ..Fault::default() };
                    Ok(Next { fault: Some(fault), ..Next::of(step(at, Event::ComparedUnequal)?, Order::Wait) })
                }
            }
        }
    }
}

/// The scratch goes once nothing writes to it any more, and the drill ends once it is gone.
fn removal(phase: DrillPhase, facts: &Facts<'_>) -> Result<Next, Illegal> {
    let stay = |order, remove| Ok(Next { remove, ..Next::of(phase, order) });
    if facts.sighting.runs() {
        return stay(if facts.sighting.hangs() { Order::Kill } else { Order::Cancel }, false);
    }
    match facts.scratch {
        Scratch::Ending(_) if seeded::is(Bug::ScratchForgotten) => {
            Ok(Next::of(step(phase, Event::ZeroProven)?, Order::Nothing))
        }
        Scratch::Absent | Scratch::Gone => Ok(Next::of(step(phase, Event::ZeroProven)?, Order::Nothing)),
        Scratch::Ending(_) => stay(Order::Wait, false),
        Scratch::Coming(_) | Scratch::Ready => stay(Order::Wait, true),
    }
}

/// How long a drill may hold its room: a day, or twice the objective where that is longer.
pub fn lease(rto: Option<SignedDuration>) -> SignedDuration {
    let twice = rto.and_then(|rto| rto.checked_mul(2)).unwrap_or(SignedDuration::ZERO);
    twice.max(scratch::LEASE)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use zhengyun_crds::recovery::DrillPhase as P;

    use super::super::Scratch;
    use super::{Facts, Next, follow, lease};
    use crate::recovery::run::{Fault, Order, Sighting, Standing};
    use jiff::SignedDuration;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn decide(phase: P, scratch: &Scratch, sighting: &Sighting) -> Next {
        let facts = Facts { cancel: false, attempt: 1, held: HOUR, lease: HOUR, scratch, left: 0, sighting };
        follow(phase, &facts).unwrap()
    }

    fn running(word: &str, silent_seconds: u64) -> Sighting {
        Sighting::Running { standing: Standing { phase: word.to_owned(), ..Standing::default() }, silent_seconds }
    }

    fn report(equal: bool, compared: i64, total: i64) -> Value {
        json!({
            "digest": "d", "planned": {}, "equal": equal,
            "coverage": { "objectsCompared": compared, "objectsTotal": total, "bytesCompared": compared, "bytesTotal": total },
            "failures": [{ "reason": "Missing", "subject": "ConfigMap a", "message": "it is not at the target" }]
        })
    }

    #[test]
    fn only_a_whole_and_equal_comparison_leads_to_a_pass() {
        for (found, expected) in [
            (report(true, 3, 3), P::Removing),
            (report(true, 2, 3), P::Abandoning),
            (report(false, 2, 3), P::Abandoning),
            // Nothing was tried.
            (report(true, 0, 0), P::Abandoning),
            // Without a word about coverage nothing is known of it.
            (json!({ "equal": true }), P::Abandoning),
            (json!({ "coverage": 1 }), P::Abandoning),
            (json!({}), P::Abandoning),
        ] {
            for phase in [P::Restoring, P::Comparing] {
                let next = decide(phase, &Scratch::Ready, &Sighting::Done(found.clone()));
                assert_eq!(next.phase, expected, "{phase} {found}");
                assert_eq!(next.fault.is_none(), expected == P::Removing, "{found}");
            }
        }
        let unequal = decide(P::Comparing, &Scratch::Ready, &Sighting::Done(report(false, 2, 3))).fault.unwrap();
        assert_eq!(unequal.reason, "Differs");
        assert!(unequal.message.contains("1 of 3") && unequal.message.contains("ConfigMap a"), "{}", unequal.message);
    }

    #[test]
    fn a_backup_of_several_parts_passes_only_when_the_last_one_is_equal() {
        let (scratch, equal) = (Scratch::Ready, Sighting::Done(report(true, 3, 3)));
        for phase in [P::Restoring, P::Comparing] {
            for (left, expected) in [(2, P::Restoring), (1, P::Restoring), (0, P::Removing)] {
                let facts = Facts {
                    cancel: false,
                    attempt: 1,
                    held: HOUR,
                    lease: HOUR,
                    scratch: &scratch,
                    left,
                    sighting: &equal,
                };
                let next = follow(phase, &facts).unwrap();
                assert_eq!((next.phase, next.equal, next.fault), (expected, true, None), "{phase} {left}");
                let unequal = Sighting::Done(report(false, 2, 3));
                let next = follow(phase, &Facts { sighting: &unequal, ..facts }).unwrap();
                assert_eq!((next.phase, next.equal), (P::Abandoning, false), "{phase} {left}");
            }
        }
    }

    #[test]
    fn a_process_is_started_only_into_a_scratch_that_stands_and_taken_up_when_it_is_lost() {
        let coming = Scratch::Coming("waits".to_owned());
        assert_eq!(decide(P::Preparing, &coming, &Sighting::Absent).order, Order::Wait);
        let prepared = decide(P::Preparing, &Scratch::Ready, &Sighting::Absent);
        assert_eq!((prepared.phase, prepared.order), (P::Restoring, Order::Wait));
        assert_eq!(decide(P::Restoring, &Scratch::Ready, &Sighting::Absent).order, Order::Start);
        for phase in [P::Restoring, P::Comparing] {
            let lost = decide(phase, &Scratch::Ready, &Sighting::Lost);
            assert_eq!((lost.phase, lost.order), (phase, Order::Start));
        }
        assert_eq!(decide(P::Restoring, &Scratch::Ready, &running("comparing", 0)).phase, P::Comparing);
        // One that was taken up begins at the front; the phase does not.
        assert_eq!(decide(P::Comparing, &Scratch::Ready, &running("restoring", 0)).phase, P::Comparing);
        assert_eq!(decide(P::Restoring, &Scratch::Ready, &running("restoring", 301)).order, Order::Kill);
    }

    #[test]
    fn what_may_pass_is_waited_for_and_damage_is_not() {
        let fault = |reason: &str, transient| {
            Sighting::Failed(Fault { reason: reason.to_owned(), transient, seconds_ago: 60, ..Fault::default() })
        };
        let busy = decide(P::Restoring, &Scratch::Ready, &fault("StoreDown", true));
        assert_eq!((busy.phase, busy.order), (P::Restoring, Order::Start));
        let damaged = decide(P::Restoring, &Scratch::Ready, &fault("NotIntact", false));
        assert_eq!((damaged.phase, damaged.fault.unwrap().reason.as_str()), (P::Abandoning, "NotIntact"));
    }

    #[test]
    fn a_scratch_that_goes_away_fails_the_drill_and_so_does_the_end_of_the_lease() {
        for scratch in [Scratch::Absent, Scratch::Gone, Scratch::Ending(String::new())] {
            for phase in [P::Preparing, P::Restoring, P::Comparing] {
                assert_eq!(decide(phase, &scratch, &Sighting::Absent).phase, P::Abandoning, "{phase} {scratch:?}");
            }
        }
        for phase in [P::Preparing, P::Restoring, P::Comparing] {
            let (scratch, sighting) = (Scratch::Ready, running("restoring", 0));
            let facts = Facts {
                cancel: false,
                attempt: 1,
                held: SignedDuration::from_mins(61),
                lease: HOUR,
                scratch: &scratch,
                left: 0,
                sighting: &sighting,
            };
            let over = follow(phase, &facts).unwrap();
            assert!(over.phase == P::Abandoning && over.fault.unwrap().message.contains("lease of 1h"), "{phase}");
            let cancelled = follow(phase, &Facts { cancel: true, ..facts }).unwrap();
            assert_eq!((cancelled.phase, cancelled.fault), (P::Cancelling, None));
        }
        assert_eq!(lease(None), SignedDuration::from_hours(24));
        assert_eq!(lease(Some(SignedDuration::from_hours(4))), SignedDuration::from_hours(24));
        assert_eq!(lease(Some(SignedDuration::from_hours(48))), SignedDuration::from_hours(96));
    }

    /// In this order: nothing writes any more, the scratch is ended, it is gone, the drill ends.
    #[test]
    fn nothing_ends_before_the_process_and_the_scratch_are_gone() {
        let ending = Scratch::Ending("being removed".to_owned());
        for (phase, end) in [(P::Removing, P::Passed), (P::Abandoning, P::Failed), (P::Cancelling, P::Cancelled)] {
            for scratch in [Scratch::Ready, Scratch::Gone, ending.clone()] {
                let busy = decide(phase, &scratch, &running("restoring", 0));
                assert_eq!((busy.phase, busy.order, busy.remove), (phase, Order::Cancel, false));
                assert_eq!(decide(phase, &scratch, &running("restoring", 301)).order, Order::Kill);
            }
            for sighting in [Sighting::Absent, Sighting::Lost, Sighting::Done(Value::Null)] {
                for standing in [Scratch::Ready, Scratch::Coming(String::new())] {
                    let next = decide(phase, &standing, &sighting);
                    assert_eq!((next.phase, next.remove), (phase, true));
                }
                let next = decide(phase, &ending, &sighting);
                assert_eq!((next.phase, next.remove), (phase, false));
                for gone in [Scratch::Absent, Scratch::Gone] {
                    assert_eq!(decide(phase, &gone, &sighting).phase, end);
                }
            }
        }
    }

    #[test]
    fn what_ended_or_has_not_begun_is_left_alone() {
        for phase in P::ALL.iter().copied().filter(|p| p.is_terminal() || matches!(p, P::Pending | P::Reserving)) {
            let next = decide(phase, &Scratch::Ready, &running("restoring", 0));
            assert_eq!(next, Next { phase, order: Order::Nothing, remove: false, equal: false, fault: None });
        }
    }
}
