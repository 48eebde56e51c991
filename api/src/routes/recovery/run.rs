//! What backups, restores and drills have in common: they are asked for once, run, can be cancelled, and end.

use std::fmt::Debug;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use zhengyun_crds::recovery as crd;
use zhengyun_domain::naming;

use crate::auth::Caller;
use crate::cache::{Cached, Written};
use crate::extract::{InDepartment, OfDepartment};
use crate::hub::HubError;
use crate::problem::{About, Code, Finding, Noun, Problem, from_hub};
use crate::routes::writing::{self, locate};
use crate::shapes;
use crate::state::AppState;

/// How far a run has come.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    /// Objects and files that are done.
    objects_done: i64,
    /// Objects and files in all, as far as known.
    objects_total: i64,
    /// Bytes that are done.
    bytes_done: i64,
    /// Bytes in all, as far as known.
    bytes_total: i64,
    /// Bytes a second over the last minute.
    bytes_per_second: i64,
    /// Estimate of what is left, such as `4m30s`; absent while it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left: Option<String>,
    /// When the worker said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    at: Option<String>,
}

impl From<&crd::Progress> for Progress {
    fn from(progress: &crd::Progress) -> Self {
        Self {
            objects_done: progress.objects_done,
            objects_total: progress.objects_total,
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
            bytes_per_second: progress.bytes_per_second,
            time_left: progress.time_left.as_ref().map(ToString::to_string),
            at: progress.at.as_ref().map(shapes::moment),
        }
    }
}

/// Why a run ended other than as intended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    /// Stable code.
    reason: String,
    /// Source, object or store that it is about; empty for the run as a whole.
    subject: String,
    /// What happened, the numbers, and what to do next.
    message: String,
}

impl From<&crd::RunFailure> for Failure {
    fn from(failure: &crd::RunFailure) -> Self {
        Self { reason: failure.reason.clone(), subject: failure.subject.clone(), message: failure.message.clone() }
    }
}

/// A kind of run as this API reads and writes it.
pub(super) trait Run: Cached + Written + Serialize + DeserializeOwned + Debug {
    /// What it is called in sentences.
    const NOUN: Noun;
    /// The last part of its routes.
    const ROUTE: &'static str;

    /// Whether both ask for the same.
    fn asks_the_same(&self, other: &Self) -> bool;
    /// How it ended, once it did.
    fn ended(&self) -> Option<&'static str>;
    /// Whether somebody asked to end it early.
    fn is_cancelled(&self) -> bool;
}

/// The plan that a run is to be of, as it stands now: read as the caller and not from the cache.
pub(super) async fn plan(
    state: &AppState,
    caller: &Caller,
    at: &OfDepartment,
    name: &str,
) -> Result<crd::RecoveryPlan, Problem> {
    if !naming::is_label(name) {
        return Err(no_such_plan(name));
    }
    let found: Result<crd::RecoveryPlan, _> = caller.hub(state).get(&at.namespace, name).await;
    found.map_err(|error| {
        let problem = from_hub(&error, About { noun: Noun::RecoveryPlan, department: &at.department, name });
        match problem.code() {
            Code::Forbidden => Problem::not_found(Noun::Department, &at.department),
            Code::NotFound => no_such_plan(name),
            _ => problem,
        }
    })
}

fn no_such_plan(plan: &str) -> Problem {
    let message = format!("there is no recovery plan named {plan} in this department: GET /recovery-plans lists them");
    Problem::invalid(vec![Finding::new("/plan", "NotFound", message)])
}

/// Creates a run as the caller. One that exists already and asks for the same is the same run, as after a lost answer.
pub(super) async fn start<K: Run, V: Serialize + for<'a> From<&'a K>>(
    state: &AppState,
    caller: &Caller,
    at: &OfDepartment,
    run: &K,
) -> Result<Response, Problem> {
    let name = run.meta().name.as_deref().unwrap_or_default();
    let hub = caller.hub(state);
    let error = match hub.create(&at.namespace, run, false).await {
        Ok(created) => {
            let mut response = (StatusCode::CREATED, axum::Json(V::from(&created))).into_response();
            locate(&mut response, &at.department, K::ROUTE, name);
            return Ok(response);
        }
        Err(error) => error,
    };
    if error.is_already_exists() {
        let existing: Result<K, _> = hub.get(&at.namespace, name).await;
        if let Ok(existing) = existing.map_err(|e| tracing::debug!("the existing run cannot be read: {e}"))
            && existing.meta().deletion_timestamp.is_none()
            && existing.asks_the_same(run)
        {
            // Whoever repeats a call did not hear that the first one was seen.
            existing.shown(&state.cache).await;
            return Ok((StatusCode::OK, axum::Json(V::from(&existing))).into_response());
        }
        return Err(Problem::already_exists(K::NOUN, name));
    }
    Err(refusal::<K>(state, caller, &error, &at.department, name).await)
}

/// Asks, as the caller, to end a run early. Repeating it changes nothing.
pub(super) async fn cancel<K: Run>(state: &AppState, caller: &Caller, at: &InDepartment) -> Result<K, Problem> {
    let hub = caller.hub(state);
    let current: K = hub
        .get(&at.namespace, &at.name)
        .await
        .map_err(|error| writing::unreadable(&error, about::<K>(&at.department, &at.name)))?;
    if current.is_cancelled() {
        current.shown(&state.cache).await;
        return Ok(current);
    }
    if let Some(phase) = current.ended() {
        return Err(Problem::run_ended(K::NOUN, &at.name, phase));
    }
    // The UID alone guards it: progress is written every second, and what is asked for does not depend on it.
    let patch = json!({ "metadata": { "uid": current.meta().uid }, "spec": { "cancel": true } });
    match hub.patch(&at.namespace, &at.name, &patch, false).await {
        Ok(written) => Ok(written),
        Err(error) => Err(refusal::<K>(state, caller, &error, &at.department, &at.name).await),
    }
}

fn about<'a, K: Run>(department: &'a str, name: &'a str) -> About<'a> {
    About { noun: K::NOUN, department, name }
}

/// What a refused write of a run means.
async fn refusal<K: Run>(state: &AppState, caller: &Caller, error: &HubError, department: &str, name: &str) -> Problem {
    writing::refusal(state, caller, error, K::PLURAL, about::<K>(department, name)).await
}
