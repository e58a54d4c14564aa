//! The OpenAPI document. Routes come from the handlers' own declarations, bodies from the types
//! that are sent, problems from the table of codes; nothing is written down twice.

use super::codes::{self, Own, Row};
use super::{log, peers, people, public};
use axum::http::header;
use axum::response::IntoResponse;
use escrow_core::wire::Problem;
use escrow_policy::Rule;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AnyOfBuilder, ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, Response};
use utoipa::openapi::{PathItem, RefOr, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

/// Extension of an operation that says in words what authenticates it.
pub(super) const AUTHENTICATED_BY: &str = "x-authenticated-by";

const ABOUT: &str = "One seat of a threshold escrow. TLS 1.3 with the seat's own key, which the charter pins. \
    Whoever asks is known by signatures inside the body, or, among seats, by their TLS key: `x-authenticated-by` says \
    which; there are no passwords, cookies or bearer tokens. Statements travel as DSSE envelopes. docs/protocol.md is the \
    specification; docs/problems.md lists every problem code.";

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Method.
    pub method: &'static str,
    /// Path.
    pub path: String,
    /// What authenticates it; `nobody` where it is open.
    pub authenticated_by: String,
}

/// Every route there is. A test checks that no other path leads to a share.
pub fn routes() -> Vec<Route> {
    let mut out = Vec::new();
    for (path, item) in document().paths.paths {
        for (method, operation) in operations(&item) {
            let who = operation.extensions.as_ref().and_then(|e| e.get(AUTHENTICATED_BY)).and_then(|w| w.as_str());
            out.push(Route { method, path: path.clone(), authenticated_by: who.unwrap_or_default().to_owned() });
        }
    }
    out
}

fn operations(item: &PathItem) -> Vec<(&'static str, &Operation)> {
    let all = [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("OPTIONS", &item.options),
        ("HEAD", &item.head),
        ("PATCH", &item.patch),
        ("TRACE", &item.trace),
    ];
    all.into_iter().filter_map(|(method, o)| Some((method, o.as_ref()?))).collect()
}

/// The document.
pub fn document() -> OpenApi {
    let mut info = InfoBuilder::new().title("escrow-node").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT));
    let mut license = License::new("Apache-2.0 OR MIT");
    license.identifier = Some("Apache-2.0 OR MIT".into());
    info = info.license(Some(license));
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
    let mut document = OpenApiBuilder::new().info(info).components(Some(components)).build();
    for (mut group, own, rules) in [
        (people().into_openapi(), PEOPLE, Rule::ALL),
        (peers().into_openapi(), PEERS, &[Rule::Malformed][..]),
        (log().into_openapi(), LOG, &[Rule::Malformed][..]),
        (public().into_openapi(), PUBLIC, &[][..]),
    ] {
        let rows: Vec<Row> = codes::all()
            .into_iter()
            .filter(|r| says(r, own) || rules.iter().any(|rule| rule.code() == r.code))
            .collect();
        for (path, item) in &mut group.paths.paths {
            // Witnesses answer errors as C2SP says, and declare so themselves.
            let rows = match path.as_str() {
                "/v1/peer/add-checkpoint" => only(&rows, &[Own::NotReady]),
                "/v1/releases" => rows.iter().copied().chain([Own::PeersMissing.row()]).collect(),
                "/v1/log/{number}/tile/entries/{*tile}" => rows.iter().copied().chain([Own::NotAPeer.row()]).collect(),
                _ => rows.clone(),
            };
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                add_problems(operation, &rows);
            }
        }
        // What the router calls a rest of a path is a parameter like others.
        group.paths.paths = group.paths.paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
        document.merge(group);
    }
    let schemas = document.components.as_mut().map(|c| &mut c.schemas);
    if let Some(RefOr::T(schema)) = schemas.and_then(|s| s.get_mut("QueryAnswer"))
        && let Schema::OneOf(answers) = schema
    {
        // An empty list is several of them.
        let items = std::mem::take(&mut answers.items);
        *schema = items.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).into();
    }
    document
}

/// Documentation of types becomes documentation of schemas: a link to `` [`crate::a::B`] `` is `` `B` `` there.
fn unlinked(text: &str) -> String {
    let mut out = String::new();
    for (n, part) in text.split("[`").enumerate() {
        match part.split_once("`]").filter(|_| n > 0) {
            Some((path, rest)) => {
                out.push_str(&format!("`{}`{rest}", path.rsplit("::").next().unwrap_or(path)));
            }
            None => out.push_str(part),
        }
    }
    out
}

const PEOPLE: &[Own] =
    &[Own::TooLarge, Own::RateLimited, Own::Overloaded, Own::NotReady, Own::DiskLow, Own::Timeout, Own::Internal];
const PEERS: &[Own] = &[Own::NotAPeer, Own::TooLarge, Own::NotReady, Own::Timeout, Own::Internal];
const LOG: &[Own] = &[Own::NotFound, Own::RateLimited, Own::Overloaded, Own::NotReady, Own::Timeout, Own::Internal];
const PUBLIC: &[Own] = &[Own::Timeout, Own::Internal];

fn says(row: &Row, own: &[Own]) -> bool {
    own.iter().any(|o| o.row().code == row.code)
}

fn only(rows: &[Row], own: &[Own]) -> Vec<Row> {
    rows.iter().copied().filter(|r| says(r, own)).collect()
}

/// One response for each status, which names the codes that come with it.
fn add_problems(operation: &mut Operation, rows: &[Row]) {
    let mut by_status: BTreeMap<u16, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        by_status.entry(row.status.as_u16()).or_default().push(row);
    }
    for (status, rows) in by_status {
        let response = problem(status, &rows);
        // What a handler declares itself stands.
        operation.responses.responses.entry(status.to_string()).or_insert_with(|| response.into());
    }
}

fn problem(status: u16, rows: &[&Row]) -> Response {
    let codes: Vec<String> = rows.iter().map(|r| format!("`{}`", r.code)).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response = ResponseBuilder::new()
        .description(format!("Problem: {}", codes.join(", ")))
        .content("application/problem+json", content);
    if status == 429 {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds until there is room again."));
        response = response.header("Retry-After", header.build());
    }
    response.build()
}

static TEXT: LazyLock<String> = LazyLock::new(|| unlinked(&document().to_pretty_json().unwrap_or_default()) + "\n");

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = serde_json::Value)),
    extensions(("x-authenticated-by" = json!("nobody")))
)]
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn the_document_checked_in_is_the_one_that_is_served() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/openapi.json");
        if std::env::var_os("ESCROW_BLESS").is_some() {
            std::fs::write(&path, TEXT.as_str()).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == *TEXT, "docs/openapi.json differs from the code; ESCROW_BLESS=1 rewrites it");
    }

    #[test]
    fn every_operation_says_who_is_asked_what_it_does_and_how_it_fails() {
        let document = document();
        let all = routes();
        assert!(all.len() >= 13, "{all:?}");
        for route in &all {
            assert!(!route.authenticated_by.is_empty(), "{route:?}: what authenticates it?");
            let open = route.authenticated_by == "nobody";
            assert!(!open || route.method == "GET", "{route:?}: something is changed by nobody");
        }
        let mut ids = BTreeSet::new();
        for (path, item) in &document.paths.paths {
            for (method, o) in operations(item) {
                assert!(o.summary.as_ref().is_some_and(|s| !s.is_empty()), "{method} {path}");
                assert!(ids.insert(o.operation_id.clone().unwrap()), "{method} {path}: its id stands twice");
                assert!(o.responses.responses.contains_key("200"), "{method} {path}");
                if method == "POST" {
                    assert!(o.request_body.is_some(), "{method} {path}");
                }
            }
        }
        // Every code of the table is somewhere, but for those that no operation gives.
        let nowhere = ["method-not-allowed"];
        for row in codes::all() {
            assert_eq!(TEXT.contains(&format!("`{}`", row.code)), !nowhere.contains(&row.code), "{}", row.code);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let value: serde_json::Value = serde_json::from_str(&TEXT).unwrap();
        let schemas = value["components"]["schemas"].as_object().unwrap();
        let refs: BTreeSet<&str> =
            TEXT.split("\"#/components/schemas/").skip(1).filter_map(|r| r.split('"').next()).collect();
        assert!(refs.len() > 15, "{refs:?}");
        for name in refs {
            assert!(schemas.contains_key(name), "no schema {name}");
        }
        assert!(!TEXT.contains("[`") && !TEXT.contains("crate::"), "a link of rustdoc is left");
        assert!(
            schemas["QueryAnswer"]["anyOf"].as_array().is_some_and(|a| a.len() == 12),
            "{}",
            schemas["QueryAnswer"]
        );
    }
}
