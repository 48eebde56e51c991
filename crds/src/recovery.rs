//! Disaster recovery: where backups are kept, what a department has protected, and single runs of backup, restore and drill.
//!
//! A [`BackupStore`] is a repository at a site. A [`RecoveryPlan`] says what of an information system is protected, how often,
//! where and for how long, and what was measured of it. A [`SystemBackup`], [`SystemRestore`] and [`RecoveryDrill`] are one run
//! each: what was asked for does not change any more, and the phase only moves forward.

mod backup;
mod drill;
mod plan;
mod restore;
mod schedule;
mod store;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DurationText;
use crate::wire::wire_enum;

pub use backup::{
    BackupPhase, BackupTrigger, CapturedSource, Consistency, CopyState, ManifestRecord, RetentionFate, RetentionRecord,
    StoredCopy, SystemBackup, SystemBackupSpec, SystemBackupStatus,
};
pub use drill::{
    Coverage, Difference, DrillPart, DrillPartKind, DrillPhase, DrillRecord, DrillTrigger, RecoveryDrill,
    RecoveryDrillSpec, RecoveryDrillStatus, Scratch,
};
pub use plan::{
    Attestation, Attested, Basis, CopyStatus, DatabaseSource, DrillPolicy, Edition, Element, ElementStatus, Encryption,
    Escrow, FileSource, GrantItemSource, GrantSource, Hold, Objectives, PlanCopy, PlanSource, RecoveryPlan,
    RecoveryPlanSpec, RecoveryPlanStatus, Retention, SourceOrigin, Topology, UnmetClause,
};
pub use restore::{
    ExistingPolicy, OutcomeCounts, RestoreMode, RestorePhase, RestoreRedirect, SystemRestore, SystemRestoreSpec,
    SystemRestoreStatus,
};
pub use schedule::{MissedRuns, Schedule};
pub use store::{
    BackupStore, BackupStoreSpec, BackupStoreStatus, CheckOutcome, CheckPolicy, FilesystemBackend, IntegrityCheck,
    ObjectLock, ObjectLockMode, RepositoryCheck, RunningCheck, S3Backend, StoreBackend,
};

/// How far a run has come; written at most once a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Objects and files that are done.
    #[serde(default)]
    pub objects_done: i64,
    /// Objects and files in all, as far as known.
    #[serde(default)]
    pub objects_total: i64,
    /// Bytes that are done.
    #[serde(default)]
    pub bytes_done: i64,
    /// Bytes in all, as far as known.
    #[serde(default)]
    pub bytes_total: i64,
    /// Bytes a second over the last minute.
    #[serde(default)]
    pub bytes_per_second: i64,
    /// Estimate of what is left; absent while it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_left: Option<DurationText>,
    /// When the worker said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// Why a run ended other than as intended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunFailure {
    /// Stable code.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// Source, object or store that it is about; empty for the run as a whole.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub subject: String,
    /// What happened, the numbers, and what the reader can do next.
    #[schemars(length(max = 2048))]
    pub message: String,
}

wire_enum! {
    /// How a signature, digest and wrapped key were made. An algorithm that is not listed is refused.
    pub enum SignatureAlgorithm {
        /// Ed25519 over SHA-256.
        Ed25519Sha256 = "ed25519-sha256",
    }
}
