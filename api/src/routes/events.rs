//! Events: what changes in the lists, told as it happens, so that nobody has to ask again and again.

mod follow;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::cache::Caches;
use crate::events::Cursor;
use crate::extract::Query;
use crate::openapi::{Problems, QueryProblems};
use crate::problem::{Finding, Problem};
use crate::state::AppState;
use follow::{Follower, Start, Wanted};

/// Where a client says how far it has read (HTML Living Standard, section 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Heeded by nginx and those like it.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(watch))
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WatchQuery {
    /// Only those of these lists, by the last part of their routes, with commas between them; all unless stated.
    #[param(example = "backups,drills")]
    nouns: Option<String>,
    /// Only those of this department.
    department: Option<String>,
}

/// Changes in the lists, as server-sent events.
///
/// `ready` comes first: whoever reads the lists after it misses nothing. Then `changed` and `deleted`, whose data is JSON with `noun`,
/// `department`, `name`, `uid` and, for what is there, `item` as its list shows it. `resync`: read the lists again; some
/// changes are not kept any more, or there is more to be seen than before. `end`: the token or the hub does not let it go
/// on. A comment comes every 15 s. To read on after a break, send the last `id` as `Last-Event-ID`.
#[utoipa::path(get, path = "/events", tag = "events", operation_id = "watchEvents",
    params(WatchQuery, ("Last-Event-ID" = Option<String>, Header, description = "`id` of the last event that was read.")),
    responses(
        (status = 200, description = "Events without end.", body = String, content_type = "text/event-stream"),
        Problems, QueryProblems,
    ))]
pub(crate) async fn watch(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<WatchQuery>,
) -> Result<Response, Problem> {
    let wanted = Wanted { nouns: nouns(query.nouns.as_deref())?, department: query.department };
    let start = match headers.get(LAST_EVENT_ID) {
        None => Start::Now,
        Some(last) => {
            let cursor = last.to_str().ok().and_then(|text| text.parse::<Cursor>().ok());
            cursor.map_or(Start::Unreadable, Start::After)
        }
    };
    let place = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| Problem::overloaded())?;
    let follower = Follower::begin(state, caller, wanted, start, place).await?;
    // What one person may see is not for a shared cache, and an ingress must not hold it back until a buffer is full.
    let headers = [(BUFFERING, "no"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Sse::new(events(follower))).into_response())
}

fn events(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(follower, async |mut follower| Some((Ok(follower.next().await?), follower)))
}

/// The lists that are asked for.
fn nouns(asked: Option<&str>) -> Result<BTreeSet<&'static str>, Problem> {
    let known = Caches::told().into_iter().map(|(noun, _)| noun);
    let Some(asked) = asked else { return Ok(known.collect()) };
    let known: BTreeSet<&'static str> = known.collect();
    let one = |name: &str| {
        known.get(name).copied().ok_or_else(|| {
            let names = known.iter().copied().collect::<Vec<_>>().join(", ");
            Problem::invalid_query(vec![Finding::new("nouns", "Query", format!("{name:?} is none of {names}"))])
        })
    };
    asked.split(',').map(one).collect()
}
