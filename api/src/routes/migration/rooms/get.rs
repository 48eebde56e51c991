//! GET /rooms/{name}

use axum::extract::State;

use super::{PLURAL, Room};
use crate::auth::{Caller, Right};
use crate::extract::{Named, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One machine room. It is shown to whoever has a role in the department that owns it.
#[utoipa::path(get, path = "/rooms/{name}", tag = "migration", operation_id = "getRoom",
    params(("name" = String, Path, description = "Name of the room.")),
    responses((status = 200, description = "The room.", body = Room), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Named(name): Named,
    _: NoQuery,
) -> Result<axum::Json<Room>, Problem> {
    let missing = || Problem::not_found(Noun::Room, &name);
    let room = state.cache.rooms.get(&name).ok_or_else(missing)?;
    let sight = caller.sight(&state, &Right::get(PLURAL)).await?;
    if !sight.reaches(&room.spec.department) {
        return Err(missing());
    }
    Ok(axum::Json(Room::seen(&room, |department| sight.reaches(department))))
}
