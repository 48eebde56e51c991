//! The cutover and the way back: at no moment are both sides open, and until traffic is admitted every fault leads back by itself.

use zhengyun_crds::Reason;
use zhengyun_crds::migration::{Blocker, MigrationStep, Party, Strategy};

use super::work::{Done, carry, insist};
use super::{Act, Next};
use crate::migration::facts::{Facts, Told};
use crate::migration::gate::blocker;
use crate::migration::machine::{Event, Illegal};
use crate::recovery::duration;

/// Decides.
pub(super) fn follow(facts: &Facts<'_>) -> Result<Next, Illegal> {
    use MigrationStep as S;
    if let Some(late) = over_budget(facts) {
        return back(facts, late);
    }
    match facts.at.step {
        Some(S::FreezeSource) => freeze(facts, Event::SourceClosed),
        Some(S::CloseSource) => freeze(facts, Event::ClosedForGood),
        Some(S::Finish) => match carry(facts) {
            Done::Yes(_) => Next::moved(facts, Event::Finished),
            other => tried(facts, other),
        },
        Some(S::Compare) => compare(facts),
        Some(S::Probe) => match &facts.outside.probe {
            Told::Done => Next::moved(facts, Event::TrafficAdmitted),
            Told::Nothing => Ok(Next::stay(facts, Act::Probe, None)),
            Told::Running => Ok(Next::stay(facts, Act::Wait, None)),
            Told::Failed(why) => {
                let message = format!("a probe did not pass before traffic was admitted: {why}");
                back(facts, blocker(Reason::RunFailed, Party::Provider, message))
            }
        },
        Some(S::Open) => insisted(facts, Event::TargetOpened),
        Some(S::Switch) => pointed(facts, &facts.outside.switch, Act::Switch, Event::Switched),
        // A system that is retired has no target: there is nothing to close.
        Some(S::CloseTarget) if facts.strategy == Strategy::Retire => Next::moved(facts, Event::TargetClosed),
        Some(S::CloseTarget) => close(facts),
        Some(S::ThawSource) => insisted(facts, Event::SourceOpened),
        Some(S::SwitchBack) => pointed(facts, &facts.outside.switch_back, Act::SwitchBack, Event::SwitchedBack),
        Some(S::Drop) => insisted(facts, Event::Dropped),
        None => Ok(Next::stay(facts, Act::Wait, None)),
    }
}

/// What takes longer than the downtime may goes back, as long as it does so by itself.
fn over_budget(facts: &Facts<'_>) -> Option<Blocker> {
    let (budget, frozen) = (facts.limits.downtime?, facts.moments.frozen?);
    let passed = facts.now.duration_since(frozen);
    (facts.at.goes_back_by_itself() && passed > budget).then(|| {
        let message = format!(
            "the cutover took {} before traffic was admitted, the downtime may be {}: the source is opened again",
            duration::print(passed),
            duration::print(budget)
        );
        blocker(Reason::DowntimeTooLong, Party::Provider, message)
    })
}

fn back(facts: &Facts<'_>, why: Blocker) -> Result<Next, Illegal> {
    Ok(Next { blocker: Some(why), ..Next::moved(facts, Event::RollbackBegun)? })
}

/// What could not be done before traffic was admitted goes back.
fn tried(facts: &Facts<'_>, done: Done<'_>) -> Result<Next, Illegal> {
    match done {
        Done::Failed(why) => back(facts, why),
        Done::Not { act, blocker } => Ok(Next::stay(facts, act, blocker)),
        Done::Yes(_) => Ok(Next::stay(facts, Act::Wait, None)),
    }
}

fn freeze(facts: &Facts<'_>, event: Event) -> Result<Next, Illegal> {
    match carry(facts) {
        Done::Yes(reports) => match reports.iter().find_map(|report| report.not_frozen(&facts.signed.declared)) {
            None => Next::moved(facts, event),
            Some(why) => back(facts, why),
        },
        other => tried(facts, other),
    }
}

/// Judges what the movers found when they brought over the last changes.
fn compare(facts: &Facts<'_>) -> Result<Next, Illegal> {
    match carry(facts) {
        Done::Yes(reports) => match reports.iter().find(|report| !report.equal()) {
            None => Next::moved(facts, Event::ComparedEqual),
            Some(report) => back(facts, blocker(Reason::Differs, Party::Provider, report.unequal())),
        },
        other => tried(facts, other),
    }
}

/// What has to come to its end because neither side is open, or nothing is left but to go on.
fn insisted(facts: &Facts<'_>, event: Event) -> Result<Next, Illegal> {
    match insist(facts) {
        Done::Yes(_) => Next::moved(facts, event),
        Done::Not { act, blocker } => Ok(Next::stay(facts, act, blocker)),
        Done::Failed(why) => Ok(Next::stay(facts, Act::Wait, Some(why))),
    }
}

/// No proof that the target is closed means that the source is not opened.
fn close(facts: &Facts<'_>) -> Result<Next, Illegal> {
    // Once applications had the target, who signs for the way back says that they are stopped; nobody said so of it before.
    let declared = if facts.moments.admitted.is_some() { &facts.signed.rollback } else { &facts.signed.declared };
    match insist(facts) {
        Done::Yes(reports) => match reports.iter().find_map(|report| report.not_closed(declared)) {
            None => Next::moved(facts, Event::TargetClosed),
            Some(why) => Ok(Next::stay(facts, Act::Wait, Some(why))),
        },
        Done::Not { act, blocker } => Ok(Next::stay(facts, act, blocker)),
        Done::Failed(why) => Ok(Next::stay(facts, Act::Wait, Some(why))),
    }
}

/// Applications are pointed elsewhere; the side that they had is closed already, so it is tried until it is done.
fn pointed(facts: &Facts<'_>, told: &Told, act: Act, event: Event) -> Result<Next, Illegal> {
    match told {
        Told::Done => Next::moved(facts, event),
        Told::Nothing => Ok(Next::stay(facts, act, None)),
        Told::Running => Ok(Next::stay(facts, Act::Wait, None)),
        Told::Failed(why) => {
            let message = format!("applications could not be pointed to the open side: {why}");
            Ok(Next::stay(facts, act, Some(blocker(Reason::RunFailed, Party::Provider, message))))
        }
    }
}
