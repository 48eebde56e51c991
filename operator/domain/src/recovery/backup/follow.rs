//! What follows for a backup from what is seen of its processes.

use zhengyun_crds::recovery::BackupPhase;

use super::machine::{Event, Illegal, step};
use crate::recovery::run::{Fault, Order, Sighting};

/// What the decision looks at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Whether somebody asked to end it.
    pub cancel: bool,
    /// How often it was taken up.
    pub attempt: i32,
    /// The process of the present phase.
    pub sighting: &'a Sighting,
    /// Whether every store that should hold a copy has one.
    pub everywhere: bool,
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
}

/// Which of the two processes of a run a phase looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The one that reads the sources and writes the primary copy.
    Capture,
    /// The one that reads the copy back.
    Verify,
}

/// The process that a phase waits for.
pub const fn stage(phase: BackupPhase) -> Option<Stage> {
    use BackupPhase as P;
    match phase {
        P::Quiescing | P::Capturing | P::Resuming | P::Sealing => Some(Stage::Capture),
        P::Replicating | P::Verifying => Some(Stage::Verify),
        _ => None,
    }
}

/// Decides.
///
/// # Errors
/// When the table of phases has no such transition, which is a defect.
pub fn follow(phase: BackupPhase, facts: &Facts<'_>) -> Result<Next, Illegal> {
    use BackupPhase as P;
    let stay = |order| Ok(Next { phase, order, fault: None });
    if matches!(phase, P::Failing | P::Cancelling) {
        return if facts.sighting.runs() {
            stay(if facts.sighting.hangs() { Order::Kill } else { Order::Cancel })
        } else {
            Ok(Next { phase: step(phase, Event::Cleared)?, order: Order::Nothing, fault: None })
        };
    }
    if stage(phase).is_none() {
        return stay(Order::Nothing);
    }
    if facts.cancel {
        return Ok(Next { phase: step(phase, Event::CancelAsked)?, order: Order::Cancel, fault: None });
    }
    match facts.sighting {
        Sighting::Running { .. } => stay(if facts.sighting.hangs() { Order::Kill } else { Order::Wait }),
        Sighting::Absent => stay(Order::Start),
        Sighting::Lost => Ok(Next { phase: step(phase, Event::WorkerLost)?, order: Order::Start, fault: None }),
        Sighting::Failed(fault) if fault.may_pass(facts.attempt) => {
            let phase = step(phase, Event::WorkerLost)?;
            Ok(Next { phase, order: fault.order(), fault: Some(fault.clone()) })
        }
        Sighting::Failed(fault) => {
            Ok(Next { phase: step(phase, Event::Failed)?, order: Order::Nothing, fault: Some(fault.clone()) })
        }
        Sighting::Done(_) => {
            let mut phase = phase;
            for event in ending(phase, facts) {
                phase = step(phase, event)?;
            }
            Ok(Next { phase, order: Order::Nothing, fault: None })
        }
    }
}

/// The events that the end of a process stands for.
fn ending(phase: BackupPhase, facts: &Facts<'_>) -> Vec<Event> {
    use BackupPhase as P;
    let captured = [Event::Quiesced, Event::Captured, Event::Resumed, Event::Sealed];
    let skip = match phase {
        P::Quiescing => 0,
        P::Capturing => 1,
        P::Resuming => 2,
        P::Sealing => 3,
        _ => captured.len(),
    };
    let mut events: Vec<Event> = captured.into_iter().skip(skip).collect();
    if events.is_empty() {
        let whole = phase == P::Verifying && facts.everywhere && facts.covered;
        events.push(if whole { Event::VerifiedWhole } else { Event::VerifiedPart });
    } else if facts.everywhere {
        // There is no other store to wait for.
        events.push(Event::Replicated);
    }
    events
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zhengyun_crds::recovery::BackupPhase as P;

    use super::{Facts, Next, follow};
    use crate::recovery::run::{Fault, Order, Sighting, Standing};

    fn decide(phase: P, sighting: &Sighting, change: impl FnOnce(&mut Facts<'_>)) -> Next {
        let mut facts = Facts { cancel: false, attempt: 1, sighting, everywhere: true, covered: true };
        change(&mut facts);
        follow(phase, &facts).unwrap()
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
    }

    #[test]
    fn what_is_not_whole_is_not_completed() {
        let done = Sighting::Done(json!({}));
        assert_eq!(decide(P::Capturing, &done, |f| f.everywhere = false).phase, P::Replicating);
        assert_eq!(decide(P::Replicating, &done, |f| f.everywhere = false).phase, P::Incomplete);
        assert_eq!(decide(P::Verifying, &done, |f| f.covered = false).phase, P::Incomplete);
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
