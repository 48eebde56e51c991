//! Migration: from a department's machine room onto the cloud, to the room's closure.
//!
//! A [`MachineRoom`] is what is to be emptied and closed, or kept for a stated time. A [`SystemMigration`] brings one information
//! system onto the cloud, or retires it; its stage only moves along one table. A [`MigrationWave`] says which migrations go together,
//! after which others, and when.

mod room;
mod sign;
mod stage;
mod status;
mod system;
mod wave;

pub use room::{
    ClosureRecord, HostedSystem, MachineRoom, MachineRoomSpec, MachineRoomStatus, RoomDecision, RoomKept, RoomPhase,
    RoomSystemStatus, RoomWithdrawn, SignedMigration, SystemOutcome,
};
pub use sign::{Party, RefusedSignature, Signature, SignedPurpose, Signers};
pub use stage::{MigrationStage, MigrationStep, MigrationVerb, Severity, Strategy};
pub use status::{
    Blocker, CopyProgress, CountedSignature, EvidenceKind, EvidenceRecord, FreezeStrength, MigrationFinding,
    ProgressSample, RollbackLoss, SystemMigrationStatus, WorkloadStatus,
};
pub use system::{
    CopiedData, Cutover, Dependency, MigrationSource, MigrationTarget, Probe, RoomDatabase, RoomFiles, SiteDatabase,
    SystemMigration, SystemMigrationSpec, Trial, Workload,
};
pub use wave::{
    AfterWave, ChangeWindow, FreezeDays, MigrationWave, MigrationWaveSpec, MigrationWaveStatus, WaveMark, WaveMember,
    WaveMemberStatus,
};
