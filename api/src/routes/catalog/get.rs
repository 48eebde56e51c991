//! GET /catalog/{name}

use axum::extract::State;

use super::{CatalogItem, PLURAL};
use crate::auth::{Caller, Right};
use crate::extract::{Named, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One service with its parameters and charges.
#[utoipa::path(get, path = "/catalog/{name}", tag = "catalog", operation_id = "getCatalogItem",
    params(("name" = String, Path, description = "Name of the service.")),
    responses((status = 200, description = "The service.", body = CatalogItem), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Named(name): Named,
    _: NoQuery,
) -> Result<axum::Json<CatalogItem>, Problem> {
    let missing = || Problem::not_found(Noun::CatalogItem, &name);
    if !caller.may_somewhere(&state, &Right::get(PLURAL)).await? {
        return Err(missing());
    }
    let item = state.cache.items.get(&name).ok_or_else(missing)?;
    Ok(axum::Json(CatalogItem::from(&*item)))
}
