//! What writes of every kind have in common: one that is only tried, one that is lost to somebody else's, what a refusal means, and where
//! the new thing is.

use std::time::Duration;

use axum::response::Response;
use http::HeaderValue;
use http::header::LOCATION;
use serde::Deserialize;
use zhengyun_domain::naming;

use crate::auth::{Caller, Right};
use crate::hub::HubError;
use crate::openapi::BASE;
use crate::problem::{About, Code, Finding, Noun, Problem, from_hub};
use crate::state::AppState;

/// Writes that are tried against others who write at the same time.
pub(super) const ATTEMPTS: usize = 6;
/// Pause after a lost write.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// How much of a write is only tried.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DryRun {
    /// All of it.
    All,
}

/// Checks the name that something new is to get.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    naming::check_label(name).map_err(|error| Problem::invalid(vec![Finding::new("/name", "Name", error.to_string())]))
}

/// Says where something new is, by the last parts of its route. All parts are labels, so the value is always valid.
pub(super) fn locate(response: &mut Response, department: &str, route: &str, name: &str) {
    if let Ok(location) = HeaderValue::from_str(&format!("{BASE}/departments/{department}/{route}/{name}")) {
        response.headers_mut().insert(LOCATION, location);
    }
}

/// What a refused write means. What the caller may not even see is not there.
pub(super) async fn refusal(
    state: &AppState,
    caller: &Caller,
    error: &HubError,
    plural: &'static str,
    about: About<'_>,
) -> Problem {
    let department = about.department;
    let problem = from_hub(error, about);
    if problem.code() != Code::Forbidden {
        return problem;
    }
    match caller.may(state, &Right::get(plural), department).await {
        Ok(true) => problem,
        Ok(false) => Problem::not_found(Noun::Department, department),
        Err(unanswered) => unanswered,
    }
}

/// What a refused read means: what the caller may not read is not there.
pub(super) fn unreadable(error: &HubError, about: About<'_>) -> Problem {
    let (noun, name) = (about.noun, about.name);
    let problem = from_hub(error, about);
    if problem.code() == Code::Forbidden { Problem::not_found(noun, name) } else { problem }
}
