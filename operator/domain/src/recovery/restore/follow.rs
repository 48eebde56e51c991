//! What follows for a restore from what is seen of its process.

use zhengyun_crds::recovery::{RestoreMode, RestorePhase};

use super::machine::{Event, Illegal, step};
use crate::recovery::run::{Fault, Order, Sighting};

/// What the decision looks at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What it does.
    pub mode: RestoreMode,
    /// Whether somebody asked to end it.
    pub cancel: bool,
    /// How often it was taken up.
    pub attempt: i32,
    /// Its process.
    pub sighting: &'a Sighting,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The phase.
    pub phase: RestorePhase,
    /// What is to be done about the process.
    pub order: Order,
    /// Why it cannot go on, if so.
    pub fault: Option<Fault>,
}

/// Decides.
///
/// # Errors
/// When the table of phases has no such transition, which is a defect.
pub fn follow(phase: RestorePhase, facts: &Facts<'_>) -> Result<Next, Illegal> {
    use RestorePhase as P;
    let next = |phase, order| Ok(Next { phase, order, fault: None });
    if phase == P::Cancelling {
        return if facts.sighting.runs() {
            next(phase, if facts.sighting.hangs() { Order::Kill } else { Order::Cancel })
        } else {
            next(step(phase, Event::Stopped)?, Order::Nothing)
        };
    }
    if !matches!(phase, P::Planning | P::Checking | P::Restoring | P::Comparing) {
        return next(phase, Order::Nothing);
    }
    if facts.cancel {
        return next(step(phase, Event::CancelAsked)?, Order::Cancel);
    }
    match facts.sighting {
        Sighting::Absent => next(phase, Order::Start),
        Sighting::Lost => next(step(phase, Event::WorkerLost)?, Order::Start),
        Sighting::Running { standing, .. } => {
            let order = if facts.sighting.hangs() { Order::Kill } else { Order::Wait };
            next(forward(phase, named(facts.mode, &standing.phase))?, order)
        }
        Sighting::Failed(fault) if fault.may_pass(facts.attempt) => {
            let phase = step(phase, Event::WorkerLost)?;
            Ok(Next { phase, order: fault.order(), fault: Some(fault.clone()) })
        }
        Sighting::Failed(fault) => {
            // What the process says counts: it may have written since the last look.
            let wrote = fault.wrote && facts.mode == RestoreMode::Execute;
            let at = forward(phase, if wrote { P::Restoring } else { phase })?;
            let event = if matches!(at, P::Restoring | P::Comparing) { Event::BrokeOff } else { Event::Refused };
            Ok(Next { phase: step(at, event)?, order: Order::Nothing, fault: Some(fault.clone()) })
        }
        Sighting::Done(_) if facts.mode == RestoreMode::Plan => next(step(phase, Event::Planned)?, Order::Nothing),
        Sighting::Done(report) => {
            let equal = report.get("equal").and_then(serde_json::Value::as_bool) == Some(true);
            let at = forward(phase, P::Comparing)?;
            next(step(at, if equal { Event::ComparedEqual } else { Event::ComparedUnequal })?, Order::Nothing)
        }
    }
}

/// The phase that a process names; one that was taken up begins at the front again.
fn named(mode: RestoreMode, word: &str) -> RestorePhase {
    match (mode, word) {
        (RestoreMode::Execute, "opening" | "verifying") => RestorePhase::Checking,
        (RestoreMode::Execute, "restoring") => RestorePhase::Restoring,
        (RestoreMode::Execute, "comparing") => RestorePhase::Comparing,
        _ => RestorePhase::Planning,
    }
}

/// Goes on to a phase, past those in between, and never back.
fn forward(mut phase: RestorePhase, to: RestorePhase) -> Result<RestorePhase, Illegal> {
    use RestorePhase as P;
    const ORDER: [(P, Event); 3] =
        [(P::Planning, Event::Agreed), (P::Checking, Event::Checked), (P::Restoring, Event::Restored)];
    let rank = |phase: P| ORDER.iter().position(|(at, _)| *at == phase).unwrap_or(ORDER.len());
    while rank(phase) < rank(to) {
        let Some((_, event)) = ORDER.iter().find(|(at, _)| *at == phase) else { break };
        phase = step(phase, *event)?;
    }
    Ok(phase)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zhengyun_crds::recovery::{RestoreMode as M, RestorePhase as P};

    use super::{Facts, Next, follow};
    use crate::recovery::run::{Fault, Order, Sighting, Standing};

    fn decide(mode: M, phase: P, sighting: &Sighting) -> Next {
        follow(phase, &Facts { mode, cancel: false, attempt: 1, sighting }).unwrap()
    }

    fn running(word: &str) -> Sighting {
        Sighting::Running { standing: Standing { phase: word.to_owned(), ..Standing::default() }, silent_seconds: 0 }
    }

    fn fault(reason: &str, wrote: bool) -> Sighting {
        Sighting::Failed(Fault { reason: reason.to_owned(), wrote, ..Fault::default() })
    }

    #[test]
    fn a_plan_ends_planned_and_never_writes() {
        assert_eq!(decide(M::Plan, P::Planning, &running("planning")).phase, P::Planning);
        assert_eq!(decide(M::Plan, P::Planning, &Sighting::Done(json!({ "digest": "d" }))).phase, P::Planned);
        assert_eq!(decide(M::Plan, P::Planning, &fault("NotIntact", false)).phase, P::Refused);
    }

    #[test]
    fn an_execution_moves_with_its_process_and_never_back() {
        let mut phase = P::Planning;
        for (word, expected) in [
            ("verifying", P::Checking),
            ("restoring", P::Restoring),
            ("planning", P::Restoring),
            ("comparing", P::Comparing),
        ] {
            phase = decide(M::Execute, phase, &running(word)).phase;
            assert_eq!(phase, expected, "{word}");
        }
        assert_eq!(decide(M::Execute, P::Planning, &Sighting::Done(json!({ "equal": true }))).phase, P::Completed);
        assert_eq!(decide(M::Execute, P::Restoring, &Sighting::Done(json!({ "equal": false }))).phase, P::Incomplete);
        assert_eq!(decide(M::Execute, P::Restoring, &Sighting::Done(json!({}))).phase, P::Incomplete);
    }

    #[test]
    fn refused_means_that_nothing_was_written() {
        for phase in [P::Planning, P::Checking] {
            assert_eq!(decide(M::Execute, phase, &fault("NotIntact", false)).phase, P::Refused);
            assert_eq!(decide(M::Execute, phase, &fault("LocalFailure", true)).phase, P::Failed);
        }
        assert_eq!(decide(M::Execute, P::Restoring, &fault("PlanChanged", false)).phase, P::Failed);
        assert_eq!(decide(M::Plan, P::Planning, &fault("WorkerRefused", true)).phase, P::Refused);
    }

    #[test]
    fn a_lost_process_is_followed_by_another_one() {
        let next = decide(M::Execute, P::Restoring, &Sighting::Lost);
        assert_eq!((next.phase, next.order), (P::Restoring, Order::Start));
    }
}
