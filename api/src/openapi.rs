//! The OpenAPI 3.1 document, made from the routes themselves: a route that is not in it does not exist.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, SecurityRequirement};
use utoipa::{IntoResponses, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;

use crate::problem::{MEDIA_TYPE, ProblemBody};
use crate::routes;
use crate::state::AppState;

/// Where every route begins.
pub(crate) const BASE: &str = "/api/v1";
/// Name of the security scheme in the document.
const BEARER: &str = "bearer";

const DESCRIPTION: &str = "Departments ask for cloud resources, approvers decide, the cloud delivers, and what is no longer needed goes back to zero.\n\n\
    Authentication: a bearer token of the hub; you are the same person here and in kubectl. What you may not see is 404.\n\n\
    Errors: `application/problem+json` (RFC 9457) in Chinese and English, with a stable `code`, a `remedy` and `findings`.\n\n\
    Corrections and decisions need `If-Match` with the ETag of what was read: an approver approves the order they saw.\n\n\
    Lists: `limit` up to 500; give `nextPageToken` back as `pageToken` to read on.";

const TAGS: [(&str, &str); 12] = [
    ("document", "The description of this interface."),
    ("me", "Who the caller is and what the caller may do."),
    ("departments", "The tenancy tree (部门)."),
    ("quotas", "What departments may hold (部门配额)."),
    ("sites", "Member clusters (站点)."),
    ("catalog", "Services that can be ordered (服务目录)."),
    ("systems", "Information systems that resources are for (政务信息系统)."),
    ("requests", "Change orders, from draft to result (资源申请单)."),
    ("grants", "What departments hold (资源授予)."),
    ("recovery", "Backups of information systems, and bringing them back (灾备)."),
    ("migration", "Systems on their way from the departments' machine rooms onto the cloud (系统迁移)."),
    ("events", "What changes in the lists, as it happens (变更通知)."),
];

/// Every route with its description.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(frame()).nest(BASE, routes::all())
}

/// The document as it is served and committed: pretty JSON with a line end.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        // The document is maps and strings, which always have a JSON form.
        let json = serde_json::to_string_pretty(routes().get_openapi()).unwrap_or_default();
        format!("{json}\n")
    });
    &DOCUMENT
}

fn frame() -> OpenApi {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token that the hub accepts (TokenReview)."))
        .build();
    let mut components = Components::new();
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    let mut schemas = vec![(ProblemBody::name().into_owned(), <ProblemBody as utoipa::PartialSchema>::schema())];
    ProblemBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Zhengyun (政云)")
                .version(concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR")))
                .description(Some(DESCRIPTION))
                .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
                .build(),
        )
        .components(Some(components))
        .security(Some([SecurityRequirement::new(BEARER, [] as [&str; 0])]))
        .tags(Some(TAGS.map(|(name, text)| tag(name, text))))
        .build()
}

fn tag(name: &str, text: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(text)).build()
}

/// This document.
///
/// Open to everyone: it describes the interface and holds no data.
#[utoipa::path(get, path = "/openapi.json", tag = "document", operation_id = "getOpenApi", security(()), responses(
    (status = 200, description = "The OpenAPI 3.1 document of this API.", body = serde_json::Value),
))]
pub(crate) async fn served() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")], document())
}

/// Problems that any route can answer with.
pub(crate) struct Problems;

/// Problems of routes about one thing.
pub(crate) struct Missing;

/// Problems of routes that take a query.
pub(crate) struct QueryProblems;

/// Problems of routes that write.
pub(crate) struct WriteProblems;

/// Problems of routes that take a body.
pub(crate) struct BodyProblems;

/// Problems of routes that need to know what was seen.
pub(crate) struct SeenProblems;

macro_rules! problems {
    ($($set:ty { $($status:literal: $text:literal),+ $(,)? })+) => {
        $(impl IntoResponses for $set {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(($status.to_owned(), RefOr::T(problem($status, $text)))),+].into()
            }
        })+
    };
}

problems! {
    Problems {
        "401": "No bearer token, or one that the hub does not accept.",
        "431": "The headers are larger than is allowed.",
        "500": "The API failed; the log tells more under the request id.",
        "503": "Too many requests at once, not ready yet, or the hub does not answer.",
        "504": "It took too long.",
    }
    Missing { "404": "There is no such thing, or the caller may not see it." }
    QueryProblems { "400": "A query parameter is unknown or wrong." }
    WriteProblems {
        "403": "The caller may see it but not do this.",
        "404": "There is no such thing, or the caller may not see it.",
        "409": "Its state does not admit this, or somebody else wrote at the same time.",
        "422": "The hub's rules refuse it; the findings say why.",
    }
    BodyProblems {
        "400": "The body is not valid JSON, or a query parameter is wrong.",
        "413": "The body is larger than 1 MiB.",
        "415": "The body is not application/json.",
    }
    SeenProblems {
        "412": "It changed since it was read.",
        "428": "If-Match with the ETag of what was read is missing.",
    }
}

fn problem(status: &str, text: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build();
    let mut response = ResponseBuilder::new().description(text).content(MEDIA_TYPE, content);
    if status == "401" {
        response = response
            .header("WWW-Authenticate", HeaderBuilder::new().description(Some("The challenge (RFC 6750).")).build());
    }
    response.build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::document;

    /// The committed copy; set `UPDATE=1` to write it.
    #[test]
    fn the_committed_document_is_current() {
        // At run time: a build cache that two checkouts share would keep the folder of the one that compiled.
        let path = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == document(),
            "api/openapi.json is stale; run `cargo run -p zhengyun-api --bin openapi > api/openapi.json` and commit the result"
        );
    }

    fn operations() -> Vec<(String, String, Value)> {
        let document: Value = serde_json::from_str(document()).unwrap();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations.push((method.clone(), path.clone(), operation.clone()));
            }
        }
        operations
    }

    #[test]
    fn every_operation_is_described_named_once_and_tells_its_problems() {
        let mut ids = BTreeSet::new();
        for (method, path, operation) in operations() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "operationId {id} twice");
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{method} {path} has no summary");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].as_str().is_some_and(|d| !d.is_empty()), "{method} {path} {status}");
                if status.starts_with(['4', '5']) {
                    assert!(response["content"]["application/problem+json"].is_object(), "{method} {path} {status}");
                }
            }
            if path.ends_with("/openapi.json") {
                continue;
            }
            assert!(operation["responses"]["401"].is_object(), "{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(
                    parameter["description"].as_str().is_some_and(|d| !d.is_empty()),
                    "{method} {path} {parameter}"
                );
            }
        }
    }

    #[test]
    fn every_property_is_described() {
        let document: Value = serde_json::from_str(document()).unwrap();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
                let alternatives = schema["oneOf"].as_array().into_iter().flatten();
                let described = std::iter::once(schema).chain(alternatives).any(|s| s["description"].is_string());
                assert!(described, "{name}.{property} has no description: {schema}");
            }
        }
    }

    #[test]
    fn routes_of_the_first_set_are_there() {
        let routes: BTreeSet<String> =
            operations().iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        for route in [
            "get /api/v1/me",
            "get /api/v1/departments",
            "get /api/v1/departments/{department}",
            "get /api/v1/quotas",
            "get /api/v1/quotas/{department}",
            "get /api/v1/sites",
            "get /api/v1/sites/{name}",
            "get /api/v1/catalog",
            "get /api/v1/catalog/{name}",
            "get /api/v1/systems",
            "get /api/v1/systems/{department}/{name}",
            "get /api/v1/requests",
            "post /api/v1/departments/{department}/requests",
            "get /api/v1/departments/{department}/requests/{name}",
            "put /api/v1/departments/{department}/requests/{name}",
            "post /api/v1/departments/{department}/requests/{name}/submission",
            "post /api/v1/departments/{department}/requests/{name}/decisions",
            "post /api/v1/departments/{department}/requests/{name}/withdrawal",
            "post /api/v1/departments/{department}/requests/{name}/confirmation",
            "get /api/v1/grants",
            "get /api/v1/departments/{department}/grants/{name}",
            "post /api/v1/departments/{department}/grants/{name}/revocation",
            "get /api/v1/backup-stores",
            "get /api/v1/backup-stores/{name}",
            "get /api/v1/recovery-plans",
            "post /api/v1/departments/{department}/recovery-plans",
            "get /api/v1/departments/{department}/recovery-plans/{name}",
            "put /api/v1/departments/{department}/recovery-plans/{name}",
            "delete /api/v1/departments/{department}/recovery-plans/{name}",
            "get /api/v1/backups",
            "post /api/v1/departments/{department}/backups",
            "get /api/v1/departments/{department}/backups/{name}",
            "post /api/v1/departments/{department}/backups/{name}/cancellation",
            "get /api/v1/restores",
            "post /api/v1/departments/{department}/restores",
            "get /api/v1/departments/{department}/restores/{name}",
            "post /api/v1/departments/{department}/restores/{name}/cancellation",
            "get /api/v1/drills",
            "post /api/v1/departments/{department}/drills",
            "get /api/v1/departments/{department}/drills/{name}",
            "post /api/v1/departments/{department}/drills/{name}/cancellation",
            "get /api/v1/events",
            "get /api/v1/openapi.json",
        ] {
            assert!(routes.contains(route), "{route} is missing among {routes:?}");
        }
    }
}
