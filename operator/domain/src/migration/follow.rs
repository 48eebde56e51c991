//! The one next step of a migration: an order to a process, a place to write down, a wait, or what it waits for.
//!
//! A change of place is written down before anything is done at the new one, so that a crash at any moment goes on from what is written.

mod cutover;
mod work;

use zhengyun_crds::Reason;
use zhengyun_crds::migration::{Blocker, CopiedData, MigrationStage, MigrationStep, MigrationVerb, Party, Strategy};

use super::facts::{Asked, Facts, Work};
use super::gate::{self, Gate, blocker};
use super::machine::{Event, Illegal, Place, step};
use crate::recovery::run::{Fault, Order, Sighting};

use work::{Done, carry};

/// The word by which a mover says that everything was copied and it follows the source.
pub const FOLLOWING: &str = "following";
/// The reasons with which a mover says that it cannot catch up any more: it gave up what follows the source, or that was taken from it.
pub const FELL_BEHIND: [&str; 2] = ["SlotOverBudget", "SlotGone"];

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Look again.
    Wait,
    /// Something about a process: [`Order::Start`] and what follows from it, of a verb of a workload in an epoch.
    Run {
        /// Workload.
        workload: String,
        /// What it does.
        verb: MigrationVerb,
        /// Its epoch.
        epoch: i64,
        /// What is to be done about it.
        order: Order,
    },
    /// Run the system's own probes.
    Probe,
    /// Point applications to the target.
    Switch,
    /// Point applications to the source.
    SwitchBack,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The place.
    pub at: Place,
    /// What brought it there, if it is another one.
    pub event: Option<Event>,
    /// The epoch.
    pub epoch: i64,
    /// The round that is taken up.
    pub round: i32,
    /// What is to be done. Nothing but a wait when the place or the epoch is another one: that is written down first.
    pub act: Act,
    /// What it waits for.
    pub blocker: Option<Blocker>,
}

impl Next {
    fn stay(facts: &Facts<'_>, act: Act, blocker: Option<Blocker>) -> Self {
        Self { at: facts.at, event: None, epoch: facts.epoch, round: facts.round, act, blocker }
    }

    fn moved(facts: &Facts<'_>, event: Event) -> Result<Self, Illegal> {
        let turn = i64::from(event.is_turn());
        Ok(Self {
            at: step(facts.at, event)?,
            event: Some(event),
            epoch: facts.epoch.saturating_add(turn),
            round: facts.round,
            act: Act::Wait,
            blocker: None,
        })
    }
}

/// The verb that a mover carries out at a place, beside the one that follows the source.
pub const fn verb(at: Place) -> Option<MigrationVerb> {
    use {MigrationStage as M, MigrationStep as S, MigrationVerb as V};
    match (at.stage, at.step) {
        (M::Discovered, _) => Some(V::Assess),
        (M::Landing, _) => Some(V::Prepare),
        (M::Replicating, _) => Some(V::Compare),
        (M::CuttingOver, Some(S::FreezeSource | S::CloseSource)) | (M::Accepted, _) => Some(V::Freeze),
        (M::CuttingOver, Some(S::Finish | S::Compare)) => Some(V::Finish),
        (M::CuttingOver, Some(S::Open)) => Some(V::Open),
        (M::RollingBack, Some(S::CloseTarget)) => Some(V::Close),
        (M::RollingBack, Some(S::ThawSource)) => Some(V::Thaw),
        (M::RollingBack, Some(S::Drop)) | (M::Retained, _) => Some(V::Drop),
        _ => None,
    }
}

/// Whether a process follows the source at a place.
pub const fn follows(at: Place) -> bool {
    use MigrationStage as M;
    matches!(at.stage, M::FullCopy | M::Replicating | M::Rehearsed | M::ReadyForCutover)
}

/// Whether what was copied is deleted by what takes away what was made to copy: on the way out of a migration that is given up, by its spec
/// or by deleting it. Applications work on nothing of it there.
pub fn deletes_copy(at: Place, asked: Asked, copied: CopiedData) -> bool {
    at == Place::back(MigrationStep::Drop) && asked.cancel && copied == CopiedData::Delete
}

/// Decides.
///
/// # Errors
/// When the table of stages has no such transition, which is a defect.
pub fn follow(facts: &Facts<'_>) -> Result<Next, Illegal> {
    use MigrationStage as M;
    if facts.at.stage.is_terminal() {
        return Ok(Next::stay(facts, Act::Wait, None));
    }
    if let Some(next) = taken_up(facts)? {
        return Ok(next);
    }
    if let Some(next) = given_up(facts)? {
        return Ok(next);
    }
    if let Some(act) = work::stale(facts) {
        return Ok(Next::stay(facts, act, None));
    }
    if matches!(facts.at.stage, M::CuttingOver | M::RollingBack) {
        return cutover::follow(facts);
    }
    if facts.asked.paused {
        let message = "spec.paused is set: take it away to go on";
        return Ok(Next::stay(facts, Act::Wait, Some(blocker(Reason::Paused, Party::Department, message))));
    }
    match facts.at.stage {
        M::Discovered => worked(facts, gate::assessed, Event::Assessed),
        M::Assessed => passed(facts, gate::planned(facts), Event::Planned),
        M::Planned => passed(facts, gate::scheduled(facts), Event::Scheduled),
        M::Scheduled if facts.strategy == Strategy::Retire => {
            let gate = gate::admitted(facts).and_then(|()| gate::closed_for_good(facts));
            passed(facts, gate, Event::RetirementBegun)
        }
        M::Scheduled => passed(facts, gate::admitted(facts), Event::Admitted),
        M::Landing => match gate::landed(facts) {
            Ok(()) => worked(facts, gate::findings, Event::Landed),
            Err(shut) => Ok(Next::stay(facts, Act::Wait, Some(shut))),
        },
        M::FullCopy => copying(facts, |facts| passed(facts, Ok(()), Event::Copied)),
        M::Replicating => replicating(facts),
        M::Rehearsed => copying(facts, |facts| passed(facts, gate::approved(facts), Event::Approved)),
        M::ReadyForCutover => copying(facts, ready),
        M::ParallelRun => passed(facts, gate::accepted(facts), Event::Accepted),
        M::Accepted => match gate::closed_for_good(facts) {
            Ok(()) => closed(facts),
            Err(shut) => Ok(Next::stay(facts, Act::Wait, Some(shut))),
        },
        M::SourceFrozen => passed(facts, gate::kept(facts), Event::Kept),
        M::Retained => match gate::erased(facts) {
            // What the mover made is taken away while there still is a source to take it from.
            Ok(()) => worked(facts, gate::erasure_recorded, Event::Erased),
            Err(shut) => Ok(Next::stay(facts, Act::Wait, Some(shut))),
        },
        M::RolledBack => {
            let message = "the source is open as it was: mend what failed and raise spec.round, or set spec.cancel";
            Ok(Next::stay(facts, Act::Wait, Some(blocker(Reason::RolledBack, Party::Provider, message))))
        }
        M::CuttingOver | M::RollingBack | M::Erased | M::Cancelled => Ok(Next::stay(facts, Act::Wait, None)),
    }
}

/// A round that somebody raised: every process is begun anew, under another epoch.
fn taken_up(facts: &Facts<'_>) -> Result<Option<Next>, Illegal> {
    if facts.asked.round <= facts.round {
        return Ok(None);
    }
    let next = if facts.at.stage == MigrationStage::RolledBack && !facts.asked.cancel {
        Next::moved(facts, Event::TriedAgain)?
    } else {
        Next { epoch: facts.epoch.saturating_add(1), ..Next::stay(facts, Act::Wait, None) }
    };
    Ok(Some(Next { round: facts.asked.round, ..next }))
}

/// A migration that somebody gives up, or takes back after traffic was admitted.
fn given_up(facts: &Facts<'_>) -> Result<Option<Next>, Illegal> {
    let at = facts.at;
    if at.goes_back_signed() && facts.signed.rollback.is_ok() {
        return Next::moved(facts, Event::LossSigned).map(Some);
    }
    if !facts.asked.cancel || at.stage == MigrationStage::RollingBack {
        return Ok(None);
    }
    // One that was rolled back and is to be tried again has copied before.
    let copied = at.stage == MigrationStage::Scheduled && facts.moments.frozen.is_some();
    let event = if copied { Event::CopyGivenUp } else { Event::CancelAsked };
    if step(at, event).is_ok() {
        return Next::moved(facts, event).map(Some);
    }
    if at.stage == MigrationStage::CuttingOver {
        // It is brought to a safe end first: both sides are closed now.
        return Ok(None);
    }
    let shut = if at.goes_back_signed() {
        let missing = facts.signed.rollback.as_ref().err().cloned().unwrap_or_default();
        let message = format!(
            "spec.cancel cannot take back what was written at the target since traffic was admitted: {missing}"
        );
        blocker(Reason::LossNotSigned, Party::Department, message)
    } else {
        blocker(Reason::NotProvenClosed, Party::Department, "spec.cancel comes too late: the source is closed for good")
    };
    Ok(Some(Next::stay(facts, Act::Wait, Some(shut))))
}

/// A stage that is left when its gate is open.
fn passed(facts: &Facts<'_>, gate: Gate, event: Event) -> Result<Next, Illegal> {
    match gate {
        Ok(()) => Next::moved(facts, event),
        Err(shut) => Ok(Next::stay(facts, Act::Wait, Some(shut))),
    }
}

/// A stage that is left when a mover is done with every workload and the gate is open.
fn worked(facts: &Facts<'_>, gate: fn(&Facts<'_>) -> Gate, event: Event) -> Result<Next, Illegal> {
    match carry(facts) {
        Done::Yes(_) => passed(facts, gate(facts), event),
        Done::Not { act, blocker } => Ok(Next::stay(facts, act, blocker)),
        Done::Failed(blocker) => Ok(Next::stay(facts, Act::Wait, Some(blocker))),
    }
}

/// How the process stands that follows a source.
enum Follower {
    /// Everything was copied, and it keeps in step.
    Follows,
    /// It copies, or is about to.
    Copies(Act),
    /// It gave up, to save the source.
    FellBehind,
    /// It cannot go on without somebody mending something.
    Held(Blocker),
}

fn fell_behind(fault: &Fault) -> bool {
    FELL_BEHIND.contains(&fault.reason.as_str())
}

fn follower(facts: &Facts<'_>, work: &Work<'_>) -> Follower {
    let order = match work.follower {
        Sighting::Running { .. } if work.follower.hangs() => Order::Kill,
        Sighting::Running { standing, .. } if standing.phase == FOLLOWING => return Follower::Follows,
        Sighting::Running { .. } => return Follower::Copies(Act::Wait),
        Sighting::Failed(fault) if fell_behind(fault) && step(facts.at, Event::FellBehind).is_ok() => {
            return Follower::FellBehind;
        }
        // It stops only when it is asked to, or when its machine does.
        Sighting::Absent | Sighting::Lost | Sighting::Done(_) => Order::Start,
        Sighting::Failed(fault) if fell_behind(fault) => fault.order(),
        Sighting::Failed(fault) if fault.may_pass(work.attempt) => fault.order(),
        Sighting::Failed(fault) => return Follower::Held(work::fault(work.name, MigrationVerb::Copy, fault)),
    };
    Follower::Copies(work::run(facts, work, MigrationVerb::Copy, order))
}

/// Stages in which a process of every workload follows the source.
fn copying(facts: &Facts<'_>, then: fn(&Facts<'_>) -> Result<Next, Illegal>) -> Result<Next, Illegal> {
    let mut act = None;
    let mut held = None;
    for work in facts.works {
        match follower(facts, work) {
            Follower::Follows => {}
            Follower::FellBehind => return Next::moved(facts, Event::FellBehind),
            Follower::Held(shut) => held = held.or(Some(shut)),
            Follower::Copies(Act::Wait) => act = act.or(Some(Act::Wait)),
            Follower::Copies(order) => act = act.filter(|act| *act != Act::Wait).or(Some(order)),
        }
    }
    if act.is_some() || held.is_some() {
        return Ok(Next::stay(facts, act.unwrap_or(Act::Wait), held));
    }
    then(facts)
}

/// Both sides are compared, then the gate decides. One process at a time is at work on a workload: the one that follows stops for
/// the comparison, and goes on after it.
fn replicating(facts: &Facts<'_>) -> Result<Next, Illegal> {
    let compared = |work: &&Work<'_>| matches!(work.sighting, Sighting::Done(_));
    let in_the_way = facts.works.iter().filter(|work| !compared(work)).find(|work| work.follower.runs());
    if let Some(work) = in_the_way {
        let order = if work.follower.hangs() { Order::Kill } else { Order::Cancel };
        return Ok(Next::stay(facts, work::run(facts, work, MigrationVerb::Copy, order), None));
    }
    match carry(facts) {
        Done::Yes(reports) => match reports.iter().find(|report| !report.equal()) {
            Some(report) => {
                let shut = blocker(Reason::Differs, Party::Provider, report.unequal());
                Ok(Next::stay(facts, Act::Wait, Some(shut)))
            }
            None => copying(facts, |facts| {
                passed(facts, gate::findings(facts).and_then(|()| gate::rehearsed(facts)), Event::Rehearsed)
            }),
        },
        Done::Not { act, blocker } => Ok(Next::stay(facts, act, blocker)),
        Done::Failed(blocker) => Ok(Next::stay(facts, Act::Wait, Some(blocker))),
    }
}

/// The approval is for one window: when that is over, it is to be given again.
fn ready(facts: &Facts<'_>) -> Result<Next, Illegal> {
    let window = facts.wave.window;
    if window.is_none() || window.map(|window| window.start) != facts.wave.approved {
        return Next::moved(facts, Event::WindowMissed);
    }
    passed(facts, gate::open(facts), Event::CutoverBegun)
}

/// The source is proven closed once more, and there is no way back.
fn closed(facts: &Facts<'_>) -> Result<Next, Illegal> {
    match carry(facts) {
        Done::Yes(reports) => {
            let unproven = reports.iter().find_map(|report| report.not_frozen(&facts.signed.declared));
            match unproven {
                None => Next::moved(facts, Event::ClosedForGood),
                Some(shut) => Ok(Next::stay(facts, Act::Wait, Some(shut))),
            }
        }
        Done::Not { act, blocker } => Ok(Next::stay(facts, act, blocker)),
        Done::Failed(blocker) => Ok(Next::stay(facts, Act::Wait, Some(blocker))),
    }
}
