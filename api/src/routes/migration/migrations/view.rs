//! A migration as it stands in answers.

mod people;
mod work;

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::migration as crd;
use zhengyun_crds::migration::SystemMigration as Resource;

use self::people::{Evidence, RefusedSignature, Signature, Signers};
use self::work::{CopyProgress, Finding, Workload};
use super::stage;
use crate::names::department_of;
use crate::shapes::{self, Condition, Readiness};
use crate::words::{CopiedDataWord, MigrationStageWord, MigrationStepWord, PartyWord, RollbackLossWord, StrategyWord};

/// A migration in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrationSummary {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// Information system.
    system: String,
    /// Machine room that it leaves.
    room: String,
    /// Wave that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<String>,
    /// Where it stands.
    #[schema(value_type = MigrationStageWord)]
    stage: String,
    /// Step of the cutover or of the way back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MigrationStepWord>)]
    step: Option<String>,
    /// How much is copied, in percent.
    percent: i32,
    /// How far the target is behind; absent before it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<String>,
    /// What is left of the copy: the estimate and its band.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left: Option<String>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocker: Option<Blocker>,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
}

/// What a migration waits for, and who can resolve it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blocker {
    /// Stable code.
    reason: String,
    /// Who can resolve it.
    #[schema(value_type = PartyWord)]
    owner: String,
    /// What it waits for, the numbers, and what to do.
    message: String,
}

/// One information system on its way from its room onto the cloud, or out of use (系统迁移).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Migration {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// Information system.
    system: String,
    /// Machine room that it leaves.
    room: String,
    /// Wave that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<String>,
    /// Where it stands.
    #[schema(value_type = MigrationStageWord)]
    stage: String,
    /// Step of the cutover or of the way back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MigrationStepWord>)]
    step: Option<String>,
    /// How much is copied, in percent.
    percent: i32,
    /// How far the target is behind; absent before it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<String>,
    /// What is left of the copy: the estimate and its band.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left: Option<String>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocker: Option<Blocker>,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
    /// Its UID.
    uid: String,
    /// What becomes of the system.
    #[schema(value_type = StrategyWord)]
    strategy: String,
    /// Grant that it lands on.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// Recovery plan whose backups prove that the source can be brought back.
    recovery_plan: String,
    /// What it needs that is not part of it.
    dependencies: Vec<Dependency>,
    /// What its cutover keeps to.
    #[serde(skip_serializing_if = "Option::is_none")]
    cutover: Option<Cutover>,
    /// Length of the parallel run.
    trial_length: String,
    /// How long what the source holds is kept once it is closed for good.
    retention: String,
    /// Who may sign.
    signers: Signers,
    /// Whether nothing further begins.
    paused: bool,
    /// Whether it is to be given up.
    cancel: bool,
    /// What becomes of what was copied then.
    #[schema(value_type = CopiedDataWord)]
    copied_data: String,
    /// Whether its source is to be closed for good.
    close_source: bool,
    /// How far its copy is, of all workloads together.
    progress: CopyProgress,
    /// What moves.
    workloads: Vec<Workload>,
    /// How many findings there are.
    finding_count: i64,
    /// The first of them, the weightiest first.
    findings: Vec<Finding>,
    /// What was proven, and what is to be signed.
    evidence: Vec<Evidence>,
    /// Signatures that count.
    signatures: Vec<Signature>,
    /// Signatures that do not, and why.
    refused_signatures: Vec<RefusedSignature>,
    /// Start of the change window for which the cutover is to be approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    window: Option<String>,
    /// When the source was to be closed: the downtime runs from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    frozen_at: Option<String>,
    /// When applications got the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    traffic_admitted_at: Option<String>,
    /// How long neither side was open, as measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    downtime: Option<String>,
    /// What the way back would cost now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RollbackLossWord>)]
    rollback: Option<String>,
    /// Why the last cutover went back.
    #[serde(skip_serializing_if = "Option::is_none")]
    went_back: Option<Blocker>,
    /// Until when what the source holds is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    retained_until: Option<String>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
}

/// Something that the system needs and that is not part of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dependency {
    /// Name for people.
    name: String,
    /// Person or office that answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

/// What a cutover keeps to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cutover {
    /// Longest time for which neither side is open.
    downtime_budget: String,
    /// People who may approve it.
    approvers: Vec<String>,
    /// How many of them must.
    approvals: i32,
    /// How far the target may be behind.
    max_lag: String,
    /// How old the last verified backup may be.
    backup_age: String,
    /// What is done to go back, and by whom.
    rollback_plan: String,
}

impl From<&crd::Blocker> for Blocker {
    fn from(blocker: &crd::Blocker) -> Self {
        Self { reason: blocker.reason.clone(), owner: blocker.owner.to_string(), message: blocker.message.clone() }
    }
}

impl From<&crd::Cutover> for Cutover {
    fn from(cutover: &crd::Cutover) -> Self {
        Self {
            downtime_budget: cutover.downtime_budget.to_string(),
            approvers: cutover.approvers.clone(),
            approvals: cutover.approvals,
            max_lag: cutover.max_lag.to_string(),
            backup_age: cutover.backup_age.to_string(),
            rollback_plan: cutover.rollback_plan.clone(),
        }
    }
}

impl From<&Resource> for MigrationSummary {
    fn from(migration: &Resource) -> Self {
        let (spec, status) = (&migration.spec, migration.status.as_ref());
        let progress = status.map(|s| &s.progress);
        Self {
            department: migration.metadata.namespace.as_deref().and_then(department_of).unwrap_or_default().to_owned(),
            name: shapes::name(&migration.metadata),
            system: spec.system.clone(),
            room: spec.room.clone(),
            wave: status.and_then(|s| s.wave.clone()),
            stage: stage(migration).to_string(),
            step: status.and_then(|s| s.step).map(|step| step.to_string()),
            percent: progress.map(|p| p.percent).unwrap_or_default(),
            lag: progress.and_then(|p| p.lag.as_ref()).map(ToString::to_string),
            time_left: status.and_then(|s| s.time_left.clone()),
            blocker: status.and_then(|s| s.blocker.as_ref()).map(Into::into),
            ready: shapes::readiness(status.map(|s| &s.conditions)),
            created_at: shapes::created(&migration.metadata),
        }
    }
}

impl From<&Resource> for Migration {
    fn from(migration: &Resource) -> Self {
        let spec = &migration.spec;
        let status = migration.status.clone().unwrap_or_default();
        let dependency = |d: &crd::Dependency| Dependency { name: d.name.clone(), owner: d.owner.clone() };
        let short = MigrationSummary::from(migration);
        Self {
            department: short.department,
            name: short.name,
            system: short.system,
            room: short.room,
            wave: short.wave,
            stage: short.stage,
            step: short.step,
            percent: short.percent,
            lag: short.lag,
            time_left: short.time_left,
            blocker: short.blocker,
            ready: short.ready,
            created_at: short.created_at,
            uid: migration.metadata.uid.clone().unwrap_or_default(),
            strategy: spec.strategy.to_string(),
            grant: spec.grant.clone(),
            recovery_plan: spec.recovery_plan.clone(),
            dependencies: spec.dependencies.iter().map(dependency).collect(),
            cutover: spec.cutover.as_ref().map(Into::into),
            trial_length: spec.trial.length.to_string(),
            retention: spec.trial.retention.to_string(),
            signers: (&spec.signers).into(),
            paused: spec.paused,
            cancel: spec.cancel,
            copied_data: spec.copied_data.to_string(),
            close_source: spec.close_source,
            progress: (&status.progress).into(),
            workloads: spec.workloads.iter().map(|w| Workload::new(w, &status.workloads)).collect(),
            finding_count: status.finding_count,
            findings: status.findings.iter().map(Into::into).collect(),
            evidence: status.evidence.iter().map(Into::into).collect(),
            signatures: status.signatures.iter().map(Into::into).collect(),
            refused_signatures: status.refused_signatures.iter().map(Into::into).collect(),
            window: status.window.as_ref().map(shapes::moment),
            frozen_at: status.frozen_at.as_ref().map(shapes::moment),
            traffic_admitted_at: status.traffic_admitted_at.as_ref().map(shapes::moment),
            downtime: status.downtime.as_ref().map(ToString::to_string),
            rollback: status.rollback.map(|loss| loss.to_string()),
            went_back: status.went_back.as_ref().map(Into::into),
            retained_until: status.retained_until.as_ref().map(shapes::moment),
            conditions: shapes::conditions(Some(&status.conditions)),
        }
    }
}
