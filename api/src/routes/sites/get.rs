//! GET /sites/{name}

use axum::extract::State;

use super::{PLURAL, Site};
use crate::auth::{Caller, Right};
use crate::extract::{Named, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One site.
#[utoipa::path(get, path = "/sites/{name}", tag = "sites", operation_id = "getSite",
    params(("name" = String, Path, description = "Name of the site.")),
    responses((status = 200, description = "The site.", body = Site), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Named(name): Named,
    _: NoQuery,
) -> Result<axum::Json<Site>, Problem> {
    let missing = || Problem::not_found(Noun::Site, &name);
    if !caller.may_somewhere(&state, &Right::get(PLURAL)).await? {
        return Err(missing());
    }
    let site = state.cache.sites.get(&name).ok_or_else(missing)?;
    Ok(axum::Json(Site::from(&*site)))
}
