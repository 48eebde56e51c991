//! A revocation that keeps a backup: data is released only after a proven restore point.
//!
//! Only a backup counts that was made for this revocation and names the grant: what a plan calls a source may be another grant by the time
//! somebody looks, and what was captured earlier lacks what was written since.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use zhengyun_crds::grant::ResourceGrant;
use zhengyun_crds::recovery::{
    BackupPhase, BackupTrigger, CopyState, RecoveryPlan, RetentionFate, SourceOrigin, SystemBackup, SystemBackupSpec,
};
use zhengyun_crds::{ConditionType, Reason, condition};

use crate::condition::cut;
use crate::finding::Finding;
use crate::naming::run_name;

/// In whose name backups for a revocation are asked for.
pub const REVOCATION: &str = "zhengyun:revocation";
/// How long a backup that failed is left to a person before another one is tried.
const TRY_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// What the decision looks at.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The grant that is being ended.
    pub grant: &'a ResourceGrant,
    /// Plans of its department, each with what keeps a run of it from starting.
    pub plans: Vec<(&'a RecoveryPlan, Result<(), Vec<Finding>>)>,
    /// Backups of its department.
    pub backups: Vec<&'a SystemBackup>,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// A restore point is proven: this backup.
    Proven(String),
    /// This backup is to be made.
    Start(Box<SystemBackup>),
    /// Nothing is removed until something happens.
    Waits {
        /// Stable code.
        reason: Reason,
        /// What is waited for, and which field to correct where it is a person.
        message: String,
        /// Whether a person has to do something.
        for_a_person: bool,
    },
}

/// Decides.
pub fn keep(facts: &Facts<'_>, now: Timestamp) -> Kept {
    let grant = facts.grant.name_any();
    let mut plans: Vec<_> = facts.plans.iter().filter(|(plan, _)| protects(plan, &grant)).collect();
    // One that starts runs is asked before one that does not.
    plans.sort_by_key(|(plan, seen)| (plan.spec.paused, seen.is_err(), plan.name_any()));
    let own: Vec<&SystemBackup> = facts.backups.iter().copied().filter(|b| is_for(b, facts.grant)).collect();
    let of_plan = |backup: &SystemBackup, plan: &RecoveryPlan| {
        plan.uid().as_deref() == Some(backup.spec.plan_uid.as_str()) && plan.name_any() == backup.spec.plan
    };
    // Without its plan nobody knows the key of a backup, so one whose plan is gone is worth nothing here.
    let planned = |backup: &&&SystemBackup| plans.iter().any(|(plan, _)| of_plan(backup, plan));
    if let Some(proven) = own.iter().filter(planned).find(|backup| proves(backup, facts.grant)) {
        return Kept::Proven(proven.name_any());
    }
    let Some((plan, seen)) = plans.first() else {
        return waits(
            Reason::BackupNotFound,
            &format!(
                "no recovery plan of department {} protects grant {grant}: write a RecoveryPlan with spec.sources [{{name: space, origin: {{namespace: {{grant: {grant}}}}}}}]; 没有灾备方案保护该资源授予，请编写方案",
                facts.grant.spec.department
            ),
            true,
        );
    };
    let name = plan.name_any();
    let running = |backup: &&&SystemBackup| !phase(backup).is_terminal();
    if let Some(backup) = own.iter().filter(planned).find(running) {
        let message = format!(
            "backup {} of plan {name} is {}; it must be completed and read back in every store",
            backup.name_any(),
            phase(backup)
        );
        return waits(Reason::InProgress, &message, false);
    }
    if let Err(findings) = seen {
        let told: Vec<String> = findings.iter().map(|f| format!("{}: {}", f.pointer, f.message)).collect();
        let rule = findings.first().map(|finding| finding.rule.as_str());
        let reason = Reason::ALL.iter().copied().find(|reason| Some(reason.as_str()) == rule);
        let message = format!("plan {name} cannot run: {}", told.join("; "));
        return waits(reason.unwrap_or(Reason::Invalid), &message, true);
    }
    if plan.spec.paused {
        let message = format!("/spec/paused of plan {name} is set, so no backup is started: take it away");
        return waits(Reason::Paused, &message, true);
    }
    if let Some(other) = facts.backups.iter().find(|backup| of_plan(backup, plan) && !phase(backup).is_terminal()) {
        let message = format!("backup {} of plan {name} runs, and one at a time is made", other.name_any());
        return waits(Reason::InProgress, &message, false);
    }
    let ended =
        own.iter().filter(|b| of_plan(b, plan)).filter_map(|b| Some((b.status.as_ref()?.finished_at.as_ref()?.0, *b)));
    let last = ended.max_by_key(|(at, _)| *at);
    if let Some((at, backup)) = last {
        let again = at.checked_add(TRY_AGAIN).unwrap_or(at);
        if now < again {
            let message = format!(
                "backup {} of plan {name} is {}: {}; another one is tried at {again}",
                backup.name_any(),
                phase(backup),
                said(backup)
            );
            return waits(Reason::BackupNotVerified, &message, true);
        }
    }
    // The same run has the same name however often it is started.
    let since = last.map_or_else(|| ordered_at(facts.grant), |(at, _)| Some(at)).unwrap_or(now);
    Kept::Start(Box::new(made(plan, facts.grant, since)))
}

/// Whether a backup is a proven restore point of a grant, made after its end was ordered: completed, signed, read back, and kept.
pub fn proves(backup: &SystemBackup, grant: &ResourceGrant) -> bool {
    let Some(status) = &backup.status else { return false };
    let captured = status.captured_at.as_ref().map(|at| at.0);
    let after = captured.zip(ordered_at(grant)).is_some_and(|(captured, ordered)| captured >= ordered);
    let kept = status.retention.as_ref().is_none_or(|record| record.fate == RetentionFate::Keep);
    is_for(backup, grant)
        && after
        && kept
        && status.phase == Some(BackupPhase::Completed)
        && status.manifest.as_ref().is_some_and(|manifest| !manifest.root.is_empty())
        && !status.copies.is_empty()
        && status.copies.iter().all(|copy| copy.state == CopyState::Verified && copy.snapshot.is_some())
}

/// Whether a backup was asked for because this grant is being ended, and not for an order that was undone since.
fn is_for(backup: &SystemBackup, grant: &ResourceGrant) -> bool {
    let created = backup.metadata.creation_timestamp.as_ref().map(|at| at.0.as_second());
    // The API server keeps whole seconds.
    let since = ordered_at(grant).map(Timestamp::as_second);
    backup.spec.trigger == BackupTrigger::Revocation
        && backup.spec.grant.as_deref() == Some(grant.name_any().as_str())
        && backup.metadata.namespace == grant.metadata.namespace
        && created.zip(since).is_some_and(|(created, since)| created >= since)
}

/// When the end was ordered. An order that does not say so is taken for one of when its hold ended.
fn ordered_at(grant: &ResourceGrant) -> Option<Timestamp> {
    let revocation = grant.spec.revocation.as_ref()?;
    Some(revocation.ordered_at.as_ref().unwrap_or(&revocation.hold_until).0)
}

fn protects(plan: &RecoveryPlan, grant: &str) -> bool {
    let is_source = |origin: &SourceOrigin| matches!(origin, SourceOrigin::Namespace(from) if from.grant == grant);
    plan.metadata.deletion_timestamp.is_none() && plan.spec.sources.iter().any(|source| is_source(&source.origin))
}

fn phase(backup: &SystemBackup) -> BackupPhase {
    backup.status.as_ref().and_then(|s| s.phase).unwrap_or(BackupPhase::Pending)
}

/// What a backup says of itself.
fn said(backup: &SystemBackup) -> String {
    let conditions = backup.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    condition::find(&conditions, ConditionType::Ready).map_or_else(String::new, |ready| ready.message.clone())
}

fn made(plan: &RecoveryPlan, grant: &ResourceGrant, since: Timestamp) -> SystemBackup {
    let uid = plan.uid().unwrap_or_default();
    let name = run_name("SystemBackup", &plan.name_any(), &uid, &grant.uid().unwrap_or_default(), since);
    let spec = SystemBackupSpec {
        plan: plan.name_any(),
        plan_uid: uid,
        trigger: BackupTrigger::Revocation,
        due: None,
        grant: Some(grant.name_any()),
        requested_by: REVOCATION.to_owned(),
        cancel: false,
    };
    let mut backup = SystemBackup::new(&name, spec);
    backup.metadata.namespace.clone_from(&grant.metadata.namespace);
    backup
}

fn waits(reason: Reason, message: &str, for_a_person: bool) -> Kept {
    let message = cut(
        format!(
            "data is kept, stopped and charged, until a restore point is proven that was made after the end was ordered: {message}"
        ),
        2_000,
    );
    Kept::Waits { reason, message, for_a_person }
}
