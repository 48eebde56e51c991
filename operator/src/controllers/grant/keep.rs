//! A revocation that keeps a backup: frozen, backed up, and removed only once that is proven.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use zhengyun_crds::grant::{ResourceGrant, RevokeStep};
use zhengyun_crds::recovery::{RecoveryPlan, SystemBackup};
use zhengyun_crds::{GrantPhase, Reason};
use zhengyun_domain::grant::{self, Facts, Kept};
use zhengyun_domain::recovery::backup::run;

use super::super::Context;
use super::super::recovery::{self, reach};
use super::looked::Seen;
use super::{StepError, revoke, write};
use crate::runtime::hub::is_conflict;
use crate::runtime::written;
use crate::site::link::SiteLink;

/// How soon a backup under way is looked at again, and a person's correction.
const RUNNING: Duration = Duration::from_secs(2);
const CORRECTED: Duration = Duration::from_secs(10);

/// Waits for a proven restore point; with one, removal begins.
pub(super) async fn keep(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    link: &Arc<SiteLink>,
    seen: Seen,
    now: Timestamp,
) -> Result<Action, StepError> {
    // Without a hold nothing is frozen yet, and what still runs would go on writing behind the restore point.
    let is_frozen = held
        .status
        .as_ref()
        .is_some_and(|s| s.phase == Some(GrantPhase::Revoking) && s.step == Some(RevokeStep::Frozen));
    let held = &revoke::frozen(api, held, link, "the hold is over; network denied, workloads stopped", now).await?;
    if !is_frozen {
        return Ok(Action::requeue(Duration::ZERO));
    }
    let (reason, message, for_a_person) = match decide(context, held, now).await? {
        Kept::Proven(backup) => {
            let note = format!("backup {backup} is proven: data is released");
            context.events.normal(held, "Revoke", "BackupProven", &note);
            return revoke::remove(context, api, held, link, seen, now).await;
        }
        Kept::Start(backup) => {
            let name = backup.name_any();
            start(context, held, &backup).await?;
            (
                Reason::InProgress,
                format!("backup {name} is started; data is kept until it is completed and read back"),
                false,
            )
        }
        Kept::Waits { reason, message, for_a_person } => (reason, message, for_a_person),
    };
    write(api, held, &grant::keeping(held, reason, &message, for_a_person, now)).await?;
    Ok(Action::requeue(if for_a_person { CORRECTED } else { RUNNING }))
}

/// In the hold the backup is made already, so that it need not be waited for after it.
pub(super) async fn ahead(context: &Context, held: &ResourceGrant, now: Timestamp) -> Result<String, StepError> {
    Ok(match decide(context, held, now).await? {
        Kept::Proven(backup) => format!("backup {backup} is proven"),
        Kept::Start(backup) => {
            start(context, held, &backup).await?;
            format!("backup {} is started", backup.name_any())
        }
        Kept::Waits { message, .. } => message,
    })
}

async fn decide(context: &Context, held: &ResourceGrant, now: Timestamp) -> Result<Kept, StepError> {
    if recovery::of(context).is_none() {
        let message = format!("data is kept until a restore point is proven: {}", recovery::OFF);
        return Ok(Kept::Waits { reason: Reason::ActionNotAvailable, message, for_a_person: true });
    }
    let namespace = held.namespace().unwrap_or_default();
    let observed = reach::observed(context, &namespace);
    let within = Some(namespace.as_str());
    let plans = context.watches.plans.matching(|plan| plan.namespace().as_deref() == within);
    let seen = |plan: &RecoveryPlan| run(&plan.spec, &observed).map(drop);
    let backups = context.watches.backups.matching(|backup| backup.namespace().as_deref() == within);
    let facts = Facts {
        grant: held,
        plans: plans.iter().map(|plan| (plan.as_ref(), seen(plan.as_ref()))).collect(),
        backups: backups.iter().map(AsRef::as_ref).collect(),
    };
    let kept = grant::keep(&facts, now);
    let Kept::Proven(name) = &kept else { return Ok(kept) };
    // Asked of the hub itself, because what is removed does not come back.
    let api: Api<SystemBackup> = context.namespaced(&namespace);
    if api.get_opt(name).await?.is_some_and(|backup| grant::proves(&backup, held)) {
        return Ok(kept);
    }
    let message = format!("backup {name} is looked at again");
    Ok(Kept::Waits { reason: Reason::InProgress, message, for_a_person: false })
}

/// Creates the backup. One that is there already was created by a look whose status was lost, or by another operator.
async fn start(context: &Context, held: &ResourceGrant, backup: &SystemBackup) -> Result<(), StepError> {
    let api: Api<SystemBackup> = context.namespaced(&held.namespace().unwrap_or_default());
    match api.create(&PostParams::default(), backup).await {
        Ok(created) => {
            written::note(&created);
            let note = format!("backup {} was started: data is kept until it is proven", backup.name_any());
            context.events.normal(held, "Revoke", "BackupStarted", &note);
            Ok(())
        }
        Err(error) if is_conflict(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
