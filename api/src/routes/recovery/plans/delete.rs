//! DELETE /departments/{department}/recovery-plans/{name}

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::HeaderMap;
use kube::ResourceExt as _;
use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::recovery::{
    BackupPhase, CopyState, DrillPhase, RecoveryPlan as Resource, RestorePhase, SystemBackup,
};

use super::{TryQuery, is_conflict, read, refusal};
use crate::auth::Caller;
use crate::etag::Tag;
use crate::extract::{InDepartment, Query};
use crate::openapi::{Problems, QueryProblems, SeenProblems, WriteProblems};
use crate::problem::{Bilingual, Problem, Text};
use crate::shapes;
use crate::state::AppState;

/// Deletions that are tried against the operator, which measures at the same time.
const ATTEMPTS: usize = 6;
/// Pause after a lost one.
const PAUSE: Duration = Duration::from_millis(100);

/// A recovery plan that is ended, and what stays of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeletedPlan {
    /// Department.
    department: String,
    /// The name that it had.
    name: String,
    /// The UID that it had.
    uid: String,
    /// Whether its deletion was ordered; false where it was only tried.
    deleted: bool,
    /// Backups whose data stays, by name; oldest first.
    backups: Vec<String>,
    /// Where their data stays.
    copies: Vec<KeptCopy>,
    /// What becomes of them, in both languages.
    outcome: Bilingual,
}

/// Data that stays in a store.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptCopy {
    /// Store.
    store: String,
    /// How many of the backups it holds.
    backups: i64,
    /// Bytes that they take up there.
    bytes: i64,
}

/// Delete a recovery plan.
///
/// It starts nothing more and drops nothing more, and goes once nothing is charged to it: another plan of the department takes over what
/// stands. Its backups stay, in every store, with their records; the answer names them. A plan
/// with runs under way is not deleted. With `dryRun=all` nothing is deleted and the answer says what would stay.
#[utoipa::path(delete, path = "/departments/{department}/recovery-plans/{name}", tag = "recovery", operation_id = "deleteRecoveryPlan",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the recovery plan."),
        ("If-Match" = Option<String>, Header, description = "ETag of the recovery plan that was read; without it, the plan is deleted as it is."),
        TryQuery,
    ),
    responses(
        (status = 200, description = "What stays of it.", body = DeletedPlan),
        Problems, WriteProblems, QueryProblems, SeenProblems,
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    headers: HeaderMap,
    Query(query): Query<TryQuery>,
) -> Result<axum::Json<DeletedPlan>, Problem> {
    let hub = caller.hub(&state);
    for _ in 0..ATTEMPTS {
        let plan = read(&state, &caller, &at).await?;
        Tag::of_plan(&plan).respect(&headers)?;
        // The hub tries it first: whoever may not delete it is told that, and not what runs.
        let attempt = match hub.delete(&at.namespace, &plan, true).await {
            Ok(()) => {
                let runs = under_way(&state, &plan);
                if !runs.is_empty() {
                    return Err(Problem::plan_in_use(&at.name, &runs));
                }
                match query.dry_run {
                    Some(_) => return Ok(axum::Json(kept(&state, &at, &plan, false))),
                    None => hub.delete(&at.namespace, &plan, false).await,
                }
            }
            refused => refused,
        };
        match attempt {
            Ok(()) => return Ok(axum::Json(kept(&state, &at, &plan, true))),
            Err(error) if is_conflict(&error) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(refusal(&state, &caller, &error, &at.department, &at.name).await),
        }
    }
    Err(Problem::conflict())
}

/// Backups of a plan; those of an older plan of the same name are others.
fn backups(state: &AppState, plan: &Resource) -> Vec<Arc<SystemBackup>> {
    let (name, uid) = (plan.name_any(), plan.uid().unwrap_or_default());
    state.cache.backups.filter(|backup| {
        backup.namespace() == plan.namespace() && backup.spec.plan == name && backup.spec.plan_uid == uid
    })
}

/// Runs that need the plan to come to their end, as the last parts of their routes.
fn under_way(state: &AppState, plan: &Resource) -> Vec<String> {
    let (uid, namespace) = (plan.uid().unwrap_or_default(), plan.namespace());
    let backups = backups(state, plan);
    let is_running = |backup: &SystemBackup| {
        !backup.status.as_ref().and_then(|status| status.phase).is_some_and(BackupPhase::is_terminal)
    };
    let running =
        backups.iter().filter(|backup| is_running(backup)).map(|backup| format!("backups/{}", backup.name_any()));
    let restores = state.cache.restores.filter(|restore| {
        let ended = restore.status.as_ref().and_then(|status| status.phase).is_some_and(RestorePhase::is_terminal);
        let is_of = |backup: &Arc<SystemBackup>| backup.name_any() == restore.spec.backup;
        restore.namespace() == namespace && !ended && backups.iter().any(is_of)
    });
    let drills = state.cache.drills.filter(|drill| {
        let ended = drill.status.as_ref().and_then(|status| status.phase).is_some_and(DrillPhase::is_terminal);
        drill.namespace() == namespace && !ended && drill.spec.plan_uid == uid
    });
    let mut runs: Vec<String> = running
        .chain(restores.iter().map(|restore| format!("restores/{}", restore.name_any())))
        .chain(drills.iter().map(|drill| format!("drills/{}", drill.name_any())))
        .collect();
    runs.sort();
    runs
}

/// What stays of a plan.
fn kept(state: &AppState, at: &InDepartment, plan: &Resource, deleted: bool) -> DeletedPlan {
    let mut copies: BTreeMap<String, KeptCopy> = BTreeMap::new();
    let mut names: Vec<(String, String)> = Vec::new();
    for backup in backups(state, plan) {
        let of_backup = backup.status.iter().flat_map(|status| &status.copies);
        let mut stands = false;
        for copy in of_backup.filter(|copy| matches!(copy.state, CopyState::Stored | CopyState::Verified)) {
            stands = true;
            let kept = copies.entry(copy.store.clone()).or_insert_with(|| KeptCopy {
                store: copy.store.clone(),
                backups: 0,
                bytes: 0,
            });
            kept.backups = kept.backups.saturating_add(1);
            kept.bytes = kept.bytes.saturating_add(copy.bytes_added);
        }
        if stands {
            names.push((shapes::created(&backup.metadata), backup.name_any()));
        }
    }
    names.sort();
    DeletedPlan {
        department: at.department.clone(),
        name: at.name.clone(),
        uid: plan.uid().unwrap_or_default(),
        deleted,
        outcome: (&outcome(names.len(), &at.name, &plan.spec.encryption.secret_name)).into(),
        backups: names.into_iter().map(|(_, name)| name).collect(),
        copies: copies.into_values().collect(),
    }
}

fn outcome(backups: usize, name: &str, key: &str) -> Text {
    if backups == 0 {
        return Text::new(
            "该方案没有留有数据的备份。不会再自动备份或演练；没有存量计在其名下后，方案即消失。",
            "No backup of this plan holds data. Nothing is backed up or drilled by itself any more; the plan goes once nothing is charged to it.",
        );
    }
    Text::new(
        format!(
            "{backups} 个备份的数据和记录全部保留，不再自动清理，也不再自动备份或演练。存量由本部门另一方案承接后，本方案即消失；没有其他方案时，本方案保留并注明原因（DeletionBlocked）。消失后如需经本云恢复，请先以原名 {name} 和原密钥 {key} 重建方案；重建的方案不会清理这些备份。未重建时，可用 zhengyun-worker 和托管密码恢复。"
        ),
        format!(
            "Data and records of {backups} backups stay. Nothing drops them any more, and nothing is backed up or drilled by itself. The plan goes once another plan of the department is charged for what stands; without one it stays and says so (DeletionBlocked). To restore a backup through this cloud when it is gone, first write a plan of the same name, {name}, with the same key, {key}, again; that plan drops none of them. Without it, zhengyun-worker restores with the escrow password."
        ),
    )
}
