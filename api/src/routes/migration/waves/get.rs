//! GET /waves/{name}

use axum::extract::State;

use super::{PLURAL, Wave};
use crate::auth::{Caller, Right};
use crate::extract::{Named, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One wave, with those of its migrations that the caller may see.
#[utoipa::path(get, path = "/waves/{name}", tag = "migration", operation_id = "getWave",
    params(("name" = String, Path, description = "Name of the wave.")),
    responses((status = 200, description = "The wave.", body = Wave), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Named(name): Named,
    _: NoQuery,
) -> Result<axum::Json<Wave>, Problem> {
    let missing = || Problem::not_found(Noun::Wave, &name);
    if !caller.may_somewhere(&state, &Right::get(PLURAL)).await? {
        return Err(missing());
    }
    let wave = state.cache.waves.get(&name).ok_or_else(missing)?;
    let sight = caller.sight(&state, &Right::get(super::super::migrations::PLURAL)).await?;
    Ok(axum::Json(Wave::seen(&wave, |department| sight.reaches(department))))
}
