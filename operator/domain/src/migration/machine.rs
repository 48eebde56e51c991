//! The migration's stages: one enum of events, one step function, and how each stage is undone.

use zhengyun_crds::migration::{MigrationStage, MigrationStep};

/// What can happen to a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The source was read, and nothing that was found stands in the way.
    Assessed,
    /// There is room for it, a way back, and a limit to its downtime.
    Planned,
    /// A wave names it.
    Scheduled,
    /// The wave lets it begin.
    Admitted,
    /// The target is in service, reachable, compatible and empty.
    Landed,
    /// Everything was copied once.
    Copied,
    /// Both sides are equal, the target is in step, and a cutover was tried on an isolated copy.
    Rehearsed,
    /// The named people approved the cutover in one change window.
    Approved,
    /// That window is over, or no longer long enough.
    WindowMissed,
    /// The target cannot catch up any more: what follows the source was given up to save the source.
    FellBehind,
    /// The approved window is open.
    CutoverBegun,
    /// A system that is retired is closed where it is.
    RetirementBegun,
    /// The source is closed, and proven so.
    SourceClosed,
    /// The last changes were brought over.
    Finished,
    /// Both sides are equal.
    ComparedEqual,
    /// The probes passed: the target may be opened, and that is written down first.
    TrafficAdmitted,
    /// Applications have the target.
    TargetOpened,
    /// Applications are pointed to the target.
    Switched,
    /// The trial is over, and all parties signed.
    Accepted,
    /// Somebody asked to close the source for good, and it is proven closed.
    ClosedForGood,
    /// A verified backup stands at two places: the source is kept for the stated time.
    Kept,
    /// What the source held was erased, and there is a record of it.
    Erased,
    /// Something failed before traffic was admitted.
    RollbackBegun,
    /// The people concerned signed what the way back loses.
    LossSigned,
    /// The target is closed, and proven so.
    TargetClosed,
    /// The source is open as it was.
    SourceOpened,
    /// Applications are pointed to the source.
    SwitchedBack,
    /// What was made to copy is gone.
    Dropped,
    /// Somebody asked to try again.
    TriedAgain,
    /// Somebody asked to give it up.
    CancelAsked,
    /// Somebody asked to give up one that waits to be tried again: what was copied before is still there.
    CopyGivenUp,
}

impl Event {
    /// Every event, for exhaustive tests.
    pub const ALL: [Self; 31] = [
        Self::Assessed,
        Self::Planned,
        Self::Scheduled,
        Self::Admitted,
        Self::Landed,
        Self::Copied,
        Self::Rehearsed,
        Self::Approved,
        Self::WindowMissed,
        Self::FellBehind,
        Self::CutoverBegun,
        Self::RetirementBegun,
        Self::SourceClosed,
        Self::Finished,
        Self::ComparedEqual,
        Self::TrafficAdmitted,
        Self::TargetOpened,
        Self::Switched,
        Self::Accepted,
        Self::ClosedForGood,
        Self::Kept,
        Self::Erased,
        Self::RollbackBegun,
        Self::LossSigned,
        Self::TargetClosed,
        Self::SourceOpened,
        Self::SwitchedBack,
        Self::Dropped,
        Self::TriedAgain,
        Self::CancelAsked,
        Self::CopyGivenUp,
    ];

    /// Whether it is a turn: processes of before must not write any more, so the epoch is raised with it.
    pub const fn is_turn(self) -> bool {
        matches!(
            self,
            Self::Admitted
                | Self::FellBehind
                | Self::CutoverBegun
                | Self::RetirementBegun
                | Self::Accepted
                | Self::RollbackBegun
                | Self::LossSigned
                | Self::TriedAgain
                | Self::CancelAsked
                | Self::CopyGivenUp
        )
    }
}

/// Where a migration stands: its stage, and the step of a cutover or of the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Stage.
    pub stage: MigrationStage,
    /// Step; in [`MigrationStage::CuttingOver`] and [`MigrationStage::RollingBack`], and in no other stage.
    pub step: Option<MigrationStep>,
}

impl Place {
    /// A stage without steps.
    pub const fn at(stage: MigrationStage) -> Self {
        Self { stage, step: None }
    }

    /// A step of the cutover.
    pub const fn cutover(step: MigrationStep) -> Self {
        Self { stage: MigrationStage::CuttingOver, step: Some(step) }
    }

    /// A step of the way back.
    pub const fn back(step: MigrationStep) -> Self {
        Self { stage: MigrationStage::RollingBack, step: Some(step) }
    }

    /// Every place that there is.
    pub fn all() -> Vec<Self> {
        use MigrationStep as S;
        let plain = MigrationStage::ALL
            .iter()
            .copied()
            .filter(|stage| !matches!(stage, MigrationStage::CuttingOver | MigrationStage::RollingBack))
            .map(Self::at);
        let cutover = [S::FreezeSource, S::Finish, S::Compare, S::Probe, S::Open, S::Switch, S::CloseSource];
        let cutover = cutover.map(Self::cutover);
        let back = [S::CloseTarget, S::ThawSource, S::SwitchBack, S::Drop].map(Self::back);
        plain.chain(cutover).chain(back).collect()
    }

    /// Whether applications may have access to the source while a migration stands here.
    pub const fn source_may_be_open(self) -> bool {
        use {MigrationStage as M, MigrationStep as S};
        match self.stage {
            M::ParallelRun | M::Accepted | M::SourceFrozen | M::Retained | M::Erased => false,
            M::CuttingOver => matches!(self.step, Some(S::FreezeSource | S::CloseSource)),
            M::RollingBack => matches!(self.step, Some(S::ThawSource | S::SwitchBack | S::Drop)),
            _ => true,
        }
    }

    /// Whether applications may have access to the target while a migration stands here.
    pub const fn target_may_be_open(self) -> bool {
        use {MigrationStage as M, MigrationStep as S};
        match self.stage {
            M::ParallelRun | M::Accepted | M::SourceFrozen | M::Retained | M::Erased => true,
            M::CuttingOver => matches!(self.step, Some(S::Open | S::Switch)),
            M::RollingBack => matches!(self.step, Some(S::CloseTarget)),
            _ => false,
        }
    }

    /// Whether the cutover is under way and traffic was not admitted: what fails here goes back by itself.
    pub const fn goes_back_by_itself(self) -> bool {
        use MigrationStep as S;
        matches!(self.stage, MigrationStage::CuttingOver)
            && matches!(self.step, Some(S::FreezeSource | S::Finish | S::Compare | S::Probe | S::CloseSource))
    }

    /// Whether traffic was admitted and there is a way back that somebody has to sign for.
    pub const fn goes_back_signed(self) -> bool {
        use {MigrationStage as M, MigrationStep as S};
        match self.stage {
            M::CuttingOver => matches!(self.step, Some(S::Open | S::Switch)),
            M::ParallelRun | M::Accepted => self.step.is_none(),
            _ => false,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.step {
            None => self.stage.fmt(f),
            Some(step) => write!(f, "{} ({step})", self.stage),
        }
    }
}

/// A transition that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IllegalTransition: a migration at {at} has no transition for {event:?}")]
pub struct Illegal {
    /// Where it stood.
    pub at: Place,
    /// What happened.
    pub event: Event,
}

/// The place that follows.
///
/// The source is closed before the target is opened, and the other way round on the way back: the places at which one side may be open and
/// those at which the other may be are apart, and between them stands the proof that the other side is closed.
///
/// # Errors
/// When the table has no such transition.
pub const fn step(at: Place, event: Event) -> Result<Place, Illegal> {
    use {Event as E, MigrationStage as M, MigrationStep as S};
    let illegal = Err(Illegal { at, event });
    match (at.stage, at.step, event) {
        (M::Discovered, None, E::Assessed) => Ok(Place::at(M::Assessed)),
        (M::Assessed, None, E::Planned) => Ok(Place::at(M::Planned)),
        // What is tried again waits for a place in its wave like every other one.
        (M::Planned, None, E::Scheduled) | (M::RolledBack, None, E::TriedAgain) => Ok(Place::at(M::Scheduled)),
        (M::Scheduled, None, E::Admitted) => Ok(Place::at(M::Landing)),
        (M::Scheduled, None, E::RetirementBegun) => Ok(Place::cutover(S::CloseSource)),
        (M::Landing, None, E::Landed) | (M::Replicating | M::Rehearsed | M::ReadyForCutover, None, E::FellBehind) => {
            Ok(Place::at(M::FullCopy))
        }
        (M::FullCopy, None, E::Copied) => Ok(Place::at(M::Replicating)),
        (M::Replicating, None, E::Rehearsed) | (M::ReadyForCutover, None, E::WindowMissed) => {
            Ok(Place::at(M::Rehearsed))
        }
        (M::Rehearsed, None, E::Approved) => Ok(Place::at(M::ReadyForCutover)),
        (M::ReadyForCutover, None, E::CutoverBegun) => Ok(Place::cutover(S::FreezeSource)),
        (M::CuttingOver, Some(S::FreezeSource), E::SourceClosed) => Ok(Place::cutover(S::Finish)),
        (M::CuttingOver, Some(S::Finish), E::Finished) => Ok(Place::cutover(S::Compare)),
        (M::CuttingOver, Some(S::Compare), E::ComparedEqual) => Ok(Place::cutover(S::Probe)),
        (M::CuttingOver, Some(S::Probe), E::TrafficAdmitted) => Ok(Place::cutover(S::Open)),
        (M::CuttingOver, Some(S::Open), E::TargetOpened) => Ok(Place::cutover(S::Switch)),
        (M::CuttingOver, Some(S::Switch), E::Switched) => Ok(Place::at(M::ParallelRun)),
        (M::CuttingOver, Some(_), E::RollbackBegun | E::CancelAsked) if at.goes_back_by_itself() => {
            Ok(Place::back(S::CloseTarget))
        }
        (_, _, E::LossSigned) if at.goes_back_signed() => Ok(Place::back(S::CloseTarget)),
        (M::ParallelRun, None, E::Accepted) => Ok(Place::at(M::Accepted)),
        (M::Accepted, None, E::ClosedForGood) | (M::CuttingOver, Some(S::CloseSource), E::ClosedForGood) => {
            Ok(Place::at(M::SourceFrozen))
        }
        (M::SourceFrozen, None, E::Kept) => Ok(Place::at(M::Retained)),
        (M::Retained, None, E::Erased) => Ok(Place::at(M::Erased)),
        (M::RollingBack, Some(S::CloseTarget), E::TargetClosed) => Ok(Place::back(S::ThawSource)),
        (M::RollingBack, Some(S::ThawSource), E::SourceOpened) => Ok(Place::back(S::SwitchBack)),
        (M::RollingBack, Some(S::SwitchBack), E::SwitchedBack) => Ok(Place::at(M::RolledBack)),
        (M::RollingBack, Some(S::Drop), E::Dropped)
        | (M::Discovered | M::Assessed | M::Planned | M::Scheduled, None, E::CancelAsked) => {
            Ok(Place::at(M::Cancelled))
        }
        (
            M::Landing | M::FullCopy | M::Replicating | M::Rehearsed | M::ReadyForCutover | M::RolledBack,
            None,
            E::CancelAsked,
        )
        | (M::Scheduled, None, E::CopyGivenUp) => Ok(Place::back(S::Drop)),
        _ => illegal,
    }
}

/// How a stage is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// There is nothing to undo.
    Nothing,
    /// The place in the plan is given back; the grant is the department's to keep or revoke.
    ReleasePlace,
    /// What was made to copy is taken away; the copy stays unless its owner drops it.
    DropCopy,
    /// By itself: the target is closed and proven so, then the source is opened.
    ByItself,
    /// As [`Undo::ByItself`], once the people concerned signed what is lost.
    Signed,
    /// There is no way back.
    NoWayBack,
}

/// How a place is undone. From [`MigrationStage::SourceFrozen`] on it cannot be.
pub const fn undo(at: Place) -> Undo {
    use MigrationStage as M;
    match at.stage {
        M::Discovered | M::Assessed | M::Cancelled => Undo::Nothing,
        M::Planned | M::Scheduled => Undo::ReleasePlace,
        M::Landing | M::FullCopy | M::Replicating | M::Rehearsed | M::ReadyForCutover | M::RolledBack => Undo::DropCopy,
        M::CuttingOver if at.goes_back_by_itself() => Undo::ByItself,
        M::RollingBack => Undo::ByItself,
        M::CuttingOver | M::ParallelRun | M::Accepted => Undo::Signed,
        M::SourceFrozen | M::Retained | M::Erased => Undo::NoWayBack,
    }
}
