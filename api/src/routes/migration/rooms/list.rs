//! GET /rooms

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use zhengyun_crds::migration::RoomPhase;

use super::{PLURAL, Room, phase};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::shapes;
use crate::state::AppState;
use crate::words::RoomPhaseWord;

/// Which rooms.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
    /// Only those in this phase.
    #[param(value_type = Option<RoomPhaseWord>)]
    phase: Option<RoomPhase>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `nextPageToken` of the page before.
    page_token: Option<String>,
}

/// Machine rooms of departments that the caller may see, by name.
#[utoipa::path(get, path = "/rooms", tag = "migration", operation_id = "listRooms", params(ListQuery), responses(
    (status = 200, description = "A page of rooms.", body = Page<Room>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Room>>, Problem> {
    let ListQuery { department, phase: wanted, .. } = &query;
    let paging = Paging::new(query.limit, query.page_token.as_deref(), false, &(PLURAL, department, wanted))?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let seen = state.cache.rooms.filter(|room| {
        department.as_deref().is_none_or(|department| department == room.spec.department)
            && wanted.is_none_or(|wanted| phase(room) == wanted)
            && sight.reaches(&room.spec.department)
    });
    let page = paging.cut(seen, |room| [shapes::name(&room.metadata), String::new(), String::new()]);
    Ok(axum::Json(page.map(|room| Room::seen(&room, |department| sight.reaches(department)))))
}
