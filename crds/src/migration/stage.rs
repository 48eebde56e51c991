//! Where a migration stands, and what is done about it.

use crate::wire::wire_enum;

wire_enum! {
    /// Where a migration stands. A stage named by a participle was reached; one named by an activity is under way.
    pub enum MigrationStage {
        /// Recorded; what its workloads are is being read at the source.
        Discovered = "Discovered",
        /// Read, and nothing that was found stands in the way.
        Assessed = "Assessed",
        /// There is room for it on the cloud, a way back, and a limit to its downtime.
        Planned = "Planned",
        /// It belongs to a wave.
        Scheduled = "Scheduled",
        /// The target is being made ready and proven reachable, compatible and empty.
        Landing = "Landing",
        /// Everything is being copied for the first time.
        FullCopy = "FullCopy",
        /// What changes at the source is brought to the target; both are compared.
        Replicating = "Replicating",
        /// A cutover was tried on an isolated copy and fits the downtime.
        Rehearsed = "Rehearsed",
        /// The named people approved the cutover in one change window, and a fresh backup stands.
        ReadyForCutover = "ReadyForCutover",
        /// The source is closed, the rest is brought over, the target is opened; `status.step` says where it is.
        CuttingOver = "CuttingOver",
        /// The system runs on the cloud; its source is closed and kept.
        ParallelRun = "ParallelRun",
        /// Department, authority and cloud provider signed (迁云确认报告).
        Accepted = "Accepted",
        /// The source is closed for good. There is no way back from here.
        SourceFrozen = "SourceFrozen",
        /// What the source holds is kept until `status.retainedUntil`.
        Retained = "Retained",
        /// What the source held is erased, and there is a record of it.
        Erased = "Erased",
        /// The way back is being gone; `status.step` says where it is.
        RollingBack = "RollingBack",
        /// The source is open as it was, the target is closed. `spec.round` raised tries again.
        RolledBack = "RolledBack",
        /// It was given up; the source is open as it was.
        Cancelled = "Cancelled",
    }
}

impl MigrationStage {
    /// Whether nothing changes any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Erased | Self::Cancelled)
    }

    /// Whether it takes up one of the places that its wave has.
    pub const fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Landing
                | Self::FullCopy
                | Self::Replicating
                | Self::Rehearsed
                | Self::ReadyForCutover
                | Self::CuttingOver
                | Self::RollingBack
        )
    }

    /// Whether the system runs on the cloud, or is retired.
    pub const fn is_cut_over(self) -> bool {
        matches!(self, Self::ParallelRun) || self.is_accepted()
    }

    /// Whether it was signed for.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::SourceFrozen | Self::Retained | Self::Erased)
    }

    /// Whether the source is closed for good.
    pub const fn is_past_return(self) -> bool {
        matches!(self, Self::SourceFrozen | Self::Retained | Self::Erased)
    }
}

wire_enum! {
    /// A step of a cutover, or of the way back.
    pub enum MigrationStep {
        /// Applications lose the source, and that is proven.
        FreezeSource = "FreezeSource",
        /// The last changes are brought over.
        Finish = "Finish",
        /// The digests of both sides are judged.
        Compare = "Compare",
        /// The system's own probes are run while applications still have no access to the target.
        Probe = "Probe",
        /// Traffic is admitted; applications get the target.
        Open = "Open",
        /// Applications are pointed to the target.
        Switch = "Switch",
        /// A source that is retired is closed for good, and that is proven.
        CloseSource = "CloseSource",
        /// Applications lose the target, and that is proven.
        CloseTarget = "CloseTarget",
        /// The source is opened as it was before.
        ThawSource = "ThawSource",
        /// Applications are pointed to the source again.
        SwitchBack = "SwitchBack",
        /// What was made to copy is taken away; what was copied stays.
        Drop = "Drop",
    }
}

wire_enum! {
    /// What a mover does for a workload.
    pub enum MigrationVerb {
        /// Reads the source, and changes nothing.
        Assess = "Assess",
        /// Makes what copying needs on both sides.
        Prepare = "Prepare",
        /// Copies everything, then follows the source.
        Copy = "Copy",
        /// Compares both sides without closing either.
        Compare = "Compare",
        /// Closes the source to applications, and proves it.
        Freeze = "Freeze",
        /// Brings over what is left, and compares.
        Finish = "Finish",
        /// Gives applications the target.
        Open = "Open",
        /// Closes the target to applications, and proves it.
        Close = "Close",
        /// Proves that the target is closed, then opens the source as it was.
        Thaw = "Thaw",
        /// Takes away what the mover made.
        Drop = "Drop",
    }
}

wire_enum! {
    /// What becomes of a system.
    pub enum Strategy {
        /// It moves as it is.
        Rehost = "Rehost",
        /// It moves onto services of the cloud, such as a database that the cloud runs.
        Replatform = "Replatform",
        /// It does not move: it is closed, and its data is kept as long as it must be.
        Retire = "Retire",
    }
}

wire_enum! {
    /// How much a finding weighs.
    pub enum Severity {
        /// Nothing goes on until it is mended.
        Blocking = "Blocking",
        /// Somebody should look at it.
        Warning = "Warning",
        /// It is good to know.
        Info = "Info",
    }
}
