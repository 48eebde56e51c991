//! What the operator says about a migration: its stage, each workload, what blocks it and what was proven.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sign::{Party, RefusedSignature, SignedPurpose};
use super::stage::{MigrationStage, MigrationStep, MigrationVerb, Severity};
use crate::condition::{Condition, conditions_schema};
use crate::duration::DurationText;
use crate::recovery::RunFailure;
use crate::wire::wire_enum;

wire_enum! {
    /// What is known of a source that was closed.
    pub enum FreezeStrength {
        /// It was proven that applications cannot write.
        Proven = "Proven",
        /// Nothing was seen to write; somebody signs that nothing can.
        Declared = "Declared",
    }
}

wire_enum! {
    /// What the way back would cost now.
    pub enum RollbackLoss {
        /// Nothing: the target was never open.
        Nothing = "Nothing",
        /// What was written since traffic was admitted.
        SinceAdmitted = "SinceAdmitted",
        /// There is no way back any more.
        NoWayBack = "NoWayBack",
    }
}

wire_enum! {
    /// What a piece of evidence shows.
    pub enum EvidenceKind {
        /// What was read of the source.
        Assessment = "Assessment",
        /// That both sides are equal.
        Comparison = "Comparison",
        /// That a cutover was tried on an isolated copy.
        Rehearsal = "Rehearsal",
        /// What is approved: the cutover in one change window.
        Cutover = "Cutover",
        /// That the source was closed.
        SourceClosed = "SourceClosed",
        /// That the last changes were brought over, and both sides are equal.
        Finished = "Finished",
        /// That the target was closed.
        TargetClosed = "TargetClosed",
        /// What is signed for after the parallel run.
        Acceptance = "Acceptance",
        /// What the way back loses.
        Rollback = "Rollback",
        /// What is to be erased, and what proves that it can be brought back.
        Erasure = "Erasure",
    }
}

/// How many bytes were done at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressSample {
    /// Seconds since 1970.
    pub second: i64,
    /// Bytes that were done.
    pub bytes: i64,
}

/// How far a copy has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CopyProgress {
    /// How much is copied, in percent: at least 1 once anything is, 100 only when everything is, and never less than before. While a copy is
    /// made anew it is what the one before had reached.
    #[serde(default)]
    pub percent: i32,
    /// How often the copy was begun anew; what is done and what is left count from then on.
    #[serde(default)]
    pub repeats: i32,
    /// Files, rows or other items that are done.
    #[serde(default)]
    pub objects_done: i64,
    /// Items in all, as far as known.
    #[serde(default)]
    pub objects_total: i64,
    /// Bytes that are done.
    #[serde(default)]
    pub bytes_done: i64,
    /// Bytes in all, as far as known.
    #[serde(default)]
    pub bytes_total: i64,
    /// Bytes a second of late.
    #[serde(default)]
    pub bytes_per_second: i64,
    /// How far the target is behind; absent before it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<DurationText>,
    /// Estimate of what is left; absent while it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_left: Option<DurationText>,
    /// The least that it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_left_low: Option<DurationText>,
    /// The most that it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_left_high: Option<DurationText>,
    /// What the estimate rests on.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub samples: Vec<ProgressSample>,
}

/// What was found of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationFinding {
    /// Workload.
    #[schemars(length(max = 30))]
    pub workload: String,
    /// What found it.
    pub found_by: MigrationVerb,
    /// Stable code.
    #[schemars(length(max = 63))]
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What it is about, such as a table or a folder.
    #[schemars(length(max = 512))]
    pub subject: String,
    /// What was seen.
    #[schemars(length(max = 1024))]
    pub evidence: String,
    /// What to do.
    #[schemars(length(max = 512))]
    pub remedy: String,
    /// Who can do it.
    pub owner: Party,
}

/// How a workload stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// Workload.
    #[schemars(length(max = 30))]
    pub name: String,
    /// What was begun last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<MigrationVerb>,
    /// Counts processes that took it up.
    #[serde(default)]
    pub attempt: i32,
    /// How far its copy is.
    #[serde(default)]
    pub progress: CopyProgress,
    /// Since when the target was not further behind than it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_step_since: Option<Time>,
    /// How the source was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_strength: Option<FreezeStrength>,
    /// Place in the source up to which everything was brought over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub position: Option<String>,
    /// Why its last process could not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
}

/// A digest that people and gates rely on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceRecord {
    /// What it shows.
    pub kind: EvidenceKind,
    /// Workload; empty for all of them.
    #[serde(default)]
    #[schemars(length(max = 30))]
    pub workload: String,
    /// SHA-256 over the canonical report or statement.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// When it was taken.
    pub at: Time,
}

/// A signature that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountedSignature {
    /// What was agreed to.
    pub purpose: SignedPurpose,
    /// On whose behalf.
    pub party: Party,
    /// Who signed.
    #[schemars(length(max = 256))]
    pub by: String,
    /// What was signed.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// When the operator first saw it.
    pub at: Time,
}

/// What a migration waits for, and who can resolve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// Stable code.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// Who can resolve it.
    pub owner: Party,
    /// What it waits for, the numbers, and what to do.
    #[schemars(length(max = 2048))]
    pub message: String,
}

/// What the operator says about a migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemMigrationStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<MigrationStage>,
    /// Step of the cutover or of the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<MigrationStep>,
    /// Raised before every turn: a process of an older one is refused by both sides.
    #[serde(default)]
    pub epoch: i64,
    /// `spec.round` that was taken up.
    #[serde(default)]
    pub round: i32,
    /// Wave that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub wave: Option<String>,
    /// How far the copy is, of all workloads together.
    #[serde(default)]
    pub progress: CopyProgress,
    /// What is left of the copy, for people: the estimate and its band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_left: Option<String>,
    /// By workload.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub workloads: Vec<WorkloadStatus>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocker: Option<Blocker>,
    /// How many findings there are.
    #[serde(default)]
    pub finding_count: i64,
    /// The first of them, the weightiest first.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub findings: Vec<MigrationFinding>,
    /// What was proven, and what is to be signed.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub evidence: Vec<EvidenceRecord>,
    /// Signatures that count.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub signatures: Vec<CountedSignature>,
    /// Signatures that do not, and why.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub refused_signatures: Vec<RefusedSignature>,
    /// Start of the change window for which the cutover is to be approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Time>,
    /// When the source was to be closed: the downtime runs from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_at: Option<Time>,
    /// When traffic was admitted to the target. Before it the way back is gone by itself; after it somebody signs what is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_admitted_at: Option<Time>,
    /// How long neither side was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime: Option<DurationText>,
    /// What the way back would cost now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackLoss>,
    /// Why the last cutover went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went_back: Option<Blocker>,
    /// Until when what the source holds is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained_until: Option<Time>,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
