//! Paths, queries, methods and headers, right and wrong.

use std::fmt::Write as _;

use axum::body::Body;
use http::{Method, Request};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Operation, PEOPLE, header, tags};

/// A request without a body of interest.
#[derive(Clone, Debug)]
pub(super) struct Knock {
    method: Method,
    uri: String,
    headers: Vec<(&'static str, String)>,
}

impl Knock {
    /// The request, if it is one that HTTP can carry.
    pub(super) fn request(&self) -> Option<Request<Body>> {
        let mut builder = Request::builder().method(self.method.clone()).uri(&self.uri);
        for (name, value) in &self.headers {
            builder = builder.header(*name, header(value)?);
        }
        builder.body(Body::from("{}")).ok()
    }
}

/// Bytes as they stand in a path or query, each by its number.
fn numbers(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A text can be written to without end.
        write!(text, "%{byte:02x}").ok();
        text
    })
}

/// A text as it stands in a path or query: what is unreserved as it is, the rest by its bytes.
fn escaped(text: &str) -> String {
    let unreserved = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
    text.split_inclusive(|letter| !unreserved(letter))
        .map(|piece| match piece.chars().next_back().filter(|last| !unreserved(*last)) {
            Some(last) => format!("{}{}", piece.trim_end_matches(last), numbers(last.to_string().as_bytes())),
            None => piece.to_owned(),
        })
        .collect()
}

/// A part of a path or a value of a query.
fn part() -> impl Strategy<Value = String> {
    let known = select(vec![
        "finance",
        "health",
        "region",
        "draft",
        "reviewed",
        "applied",
        "held",
        "hohhot",
        "space",
        "portal",
        "standard",
        "Draft",
        "InReview",
        "Create",
        "name",
        "-created",
        "1",
        "0",
        "500",
        "501",
        "-1",
        "99999999999999999999",
        "true",
        "all",
        "Region",
        "Organ",
        "technical",
    ]);
    prop_oneof![
        6 => known.prop_map(str::to_owned),
        1 => "\\PC{0,12}".prop_map(|text| escaped(&text)),
        1 => proptest::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| numbers(&bytes)),
        1 => select(vec!["", ".", "..", "%2e%2e", "..%2Fx", "%2F", "%00", "%", "%z", "%ff", "a%20b", "+", "*", "A", "-a", "a-", "a.b", ";", "@",
            "dept-finance", "%E8%B4%A2", "a?b", "a&b=c", "[", "{name}"]).prop_map(str::to_owned),
        1 => (1_usize..400).prop_map(|n| "a".repeat(n)),
    ]
}

/// A token for the next page: one of ours by shape, with anything in it.
fn page_token() -> impl Strategy<Value = String> {
    let place = proptest::collection::vec("\\PC{0,8}", 0..4);
    prop_oneof![
        ("[A-Za-z0-9_-]{0,8}", place)
            .prop_map(|(f, p)| data_encoding::BASE64URL_NOPAD
                .encode(serde_json::json!({"f": f, "p": p}).to_string().as_bytes())),
        "[A-Za-z0-9_=-]{0,40}",
        Just("e30".to_owned()),
        (1_usize..3_000).prop_map(|n| "e30".repeat(n)),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => select(vec!["department", "phase", "site", "system", "action", "awaiting", "sort", "limit", "pageToken", "parent", "level", "type", "dryRun"])
            .prop_map(str::to_owned),
        1 => part(),
    ];
    let pair = prop_oneof![
        6 => (name, part()).prop_map(|(name, value)| format!("{name}={value}")),
        1 => page_token().prop_map(|token| format!("pageToken={token}")),
        1 => part(),
    ];
    prop_oneof![2 => Just(String::new()), 5 => proptest::collection::vec(pair, 0..4).prop_map(|pairs| format!("?{}", pairs.join("&")))]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let authorization = prop_oneof![
        10 => select(PEOPLE).prop_map(|name| format!("Bearer token-{name}")),
        1 => select(vec!["Bearer", "Bearer ", "bearer stolen", "Basic eDp5", "Bearer a b", "Bearer \u{e9}", "Bearer token-", ""]).prop_map(str::to_owned),
        1 => "[ -~]{0,40}",
    ];
    let language = prop_oneof![
        select(vec![
            "en",
            "zh",
            "en-GB,zh;q=0.1",
            "*",
            "mn",
            "en;q=",
            "en;q=9",
            ";;,,",
            "zh;q=0.000, en;q=0.001",
            "\u{e9}"
        ])
        .prop_map(str::to_owned),
        "[a-z*;=,.q0-9 -]{0,60}",
    ];
    let tag = prop_oneof![
        select(vec!["*", "\"\"", "W/\"a\"", "\"a\", \"b\"", "\"", ",,"]).prop_map(str::to_owned),
        select(tags().into_values().collect::<Vec<_>>()),
        "[ -~]{0,40}"
    ];
    let other = prop_oneof![
        2 => language.prop_map(|value| ("accept-language", value)),
        2 => tag.prop_map(|value| ("if-match", value)),
        1 => "[ -~]{0,80}".prop_map(|value| ("x-request-id", value)),
        1 => select(vec!["application/json", "text/plain", ""]).prop_map(|value| ("content-type", value.to_owned())),
        1 => "[ -~]{0,40}".prop_map(|value| ("accept", value)),
        1 => (0_usize..20_000).prop_map(|n| ("x-padding", "p".repeat(n))),
        1 => Just(("authorization", "Bearer token-zhang".to_owned())),
    ];
    (proptest::option::weighted(0.95, authorization), proptest::collection::vec(other, 0..4)).prop_map(
        |(authorization, mut others)| {
            others.extend(authorization.map(|value| ("authorization", value)));
            others
        },
    )
}

/// Any knock at any door, there or not.
pub(super) fn knock(operations: Vec<Operation>) -> impl Strategy<Value = Knock> {
    let known = (select(operations), proptest::collection::vec(part(), 2)).prop_map(|(operation, parts)| {
        let path = operation.path.replace("{department}", &parts[0]).replace("{name}", &parts[1]);
        (operation.method, path)
    });
    let foreign =
        proptest::collection::vec(part(), 0..6).prop_map(|parts| (Method::GET, format!("/{}", parts.join("/"))));
    let method = select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"]);
    let way = prop_oneof![8 => known, 1 => foreign];
    (way, proptest::option::weighted(0.15, method), query(), headers()).prop_map(
        |((usual, path), method, query, headers)| Knock {
            method: method.map_or(usual, |method| method.parse().unwrap()),
            uri: format!("{path}{query}"),
            headers,
        },
    )
}
