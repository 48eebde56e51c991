//! Bodies: good ones in which something was changed, and bytes that are no JSON.

use std::fmt;

use axum::body::Body;
use http::{Method, Request};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::{Operation, PEOPLE, tags};
use crate::testing::{a_request, request};

/// A body on its way to an operation that takes one.
#[derive(Clone)]
pub(super) struct Sent {
    operation: Operation,
    token: String,
    path: String,
    content_type: String,
    if_match: Option<String>,
    pub(super) bytes: Vec<u8>,
    /// Whether two readers could read two things in it.
    pub(super) is_ambiguous: bool,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, token, path, content_type, if_match, bytes, is_ambiguous } = self;
        write!(f, "{} {path} by {token:?}, {content_type:?}, If-Match {if_match:?}, ", operation.method)?;
        write!(f, "ambiguous: {is_ambiguous}, {:?}", String::from_utf8_lossy(bytes))
    }
}

impl Sent {
    pub(super) fn request(&self) -> Option<Request<Body>> {
        let mut builder = request(self.operation.method.clone(), &self.token, &self.path);
        if !self.content_type.is_empty() {
            builder = builder.header("content-type", super::header(&self.content_type)?);
        }
        if let Some(tag) = &self.if_match {
            builder = builder.header("if-match", super::header(tag)?);
        }
        builder.body(Body::from(self.bytes.clone())).ok()
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.path.contains("dryRun=all")
    }
}

/// What an operation is usually sent.
fn good(operation: &Operation) -> Value {
    let mut order = serde_json::to_value(a_request("finance", "x").spec.order).unwrap();
    order["leaseEnd"] = json!("2027-01-01");
    let materials =
        json!([{"kind": "申请公函", "title": "a letter", "sha256": "0".repeat(64), "reference": "https://files/1"}]);
    match operation.id.as_str() {
        "createRequest" => json!({"name": "n1", "order": order, "materials": materials}),
        "correctRequest" => json!({"order": order, "materials": materials}),
        "decideRequest" => json!({"verdict": "Approve", "reason": "fine", "stage": "department"}),
        "revokeGrant" => json!({"name": "r1", "justification": "over", "disposition": "Delete", "materials": materials,
            "authorityOrder": {"reason": "x", "legalBasis": "y"}}),
        _ => json!({}),
    }
}

/// A value that is put where another stood.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "\\PC{0,20}",
        select(vec![
            "",
            "Create",
            "Revoke",
            "Change",
            "Renew",
            "Reject",
            "Return",
            "draft",
            "../x",
            "a b",
            "A",
            "\u{0}",
            "\u{202e}",
            "1e999",
            "2027-02-30",
            "-1",
            "unlimited",
            "hohhot",
            "space",
            "technical",
            "department",
            "held",
            "n1",
            "null"
        ])
        .prop_map(str::to_owned),
        (1_usize..20_000).prop_map(|n| "长".repeat(n)),
    ];
    let leaf = prop_oneof![
        4 => text.prop_map(Value::from),
        1 => select(vec![json!(null), json!(true), json!(false), json!(0), json!(-1), json!(1.5), json!(101), json!(i64::MIN), json!(u64::MAX),
            json!(1e308), json!([]), json!({})]),
        1 => any::<i64>().prop_map(Value::from),
        1 => proptest::num::f64::NORMAL.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let field = prop_oneof![
            "[a-zA-Z]{0,8}",
            select(vec!["cpu", "name", "item", "order", "$ref", "__proto__", "a/b", "~0", ""]).prop_map(str::to_owned)
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(field, inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// JSON, or nearly, that no [`Value`] holds; `true` when it says one thing twice or is nested beyond all reason.
fn raw() -> impl Strategy<Value = (String, bool)> {
    let nested = (select(vec![("[", "]"), ("{\"a\":", "}")]), 1_usize..2_000)
        .prop_map(|((open, close), n)| (format!("{}1{}", open.repeat(n), close.repeat(n)), n > 100));
    let unclosed =
        (select(vec!["[", "{\"a\":", "[{\"b\":["]), 1_usize..5_000).prop_map(|(open, n)| (open.repeat(n), true));
    let plain = select(vec![
        "1e999",
        "-1e999",
        "1e-999",
        "1E+2",
        "123456789012345678901234567890",
        "-0",
        "-0.0",
        "0.1e1",
        "1.0",
        "4294967296",
        "9223372036854775808",
        "\"\\u0000\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        " \t\n 1",
    ])
    .prop_map(|text| (text.to_owned(), false));
    let twice = select(vec![
        "{\"cpu\": \"1\", \"cpu\": \"2\"}",
        "{\"a\": {\"b\": 1, \"b\": 1}}",
        "[{\"x\": 0, \"y\": 1, \"x\": 0}]",
        "{\"a\": 1, \"\\u0061\": 2}",
    ])
    .prop_map(|text| (text.to_owned(), true));
    let broken = select(vec![
        "NaN",
        "Infinity",
        "'a'",
        "01",
        "1.",
        ".5",
        "+1",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"\t\"",
        "{a: 1}",
        "[1,]",
        "{,}",
        "//",
        "nul",
        "\u{feff}1",
        "\"",
    ])
    .prop_map(|text| (text.to_owned(), true));
    prop_oneof![2 => nested, 1 => unclosed, 3 => plain, 3 => twice, 2 => broken]
}

/// What is done to a good body.
#[derive(Clone, Debug)]
enum Change {
    Set(Value),
    Remove,
    Add(String, Value),
    /// Put in when the text is written.
    Raw(String, bool),
    /// A field that is there is said again.
    Again(Value),
}

fn change() -> impl Strategy<Value = Change> {
    let name = prop_oneof![
        "[a-zA-Z]{1,10}",
        select(vec!["submission", "requestedBy", "status", "metadata", "approver", "editedBy"]).prop_map(str::to_owned)
    ];
    prop_oneof![
        6 => value().prop_map(Change::Set),
        2 => Just(Change::Remove),
        1 => (name, value()).prop_map(|(name, value)| Change::Add(name, value)),
        3 => raw().prop_map(|(text, ambiguous)| Change::Raw(text, ambiguous)),
        1 => value().prop_map(Change::Again),
    ]
}

fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let mut below = |token: &str, inner: &Value| {
        let pointer = format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"));
        found.push(pointer.clone());
        places(inner, &pointer, found);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| below(name, inner)),
        Value::Array(elements) => elements.iter().enumerate().for_each(|(at, inner)| below(&at.to_string(), inner)),
        _ => {}
    }
}

/// Stands for raw text until the body is written.
const MARK: &str = "the raw text";

/// The text of a body with changes in it, and whether it can be read in two ways.
fn written(mut body: Value, changes: Vec<(Index, Change)>) -> (String, bool) {
    let mut raws: Vec<String> = Vec::new();
    let mut ambiguous = false;
    for (at, change) in changes {
        let mut found = Vec::new();
        places(&body, "", &mut found);
        if found.is_empty() {
            break;
        }
        let pointer = &found[at.index(found.len())];
        let (parent, token) = pointer.rsplit_once('/').unwrap();
        let token = token.replace("~1", "/").replace("~0", "~");
        match change {
            Change::Set(value) => *body.pointer_mut(pointer).unwrap() = value,
            Change::Raw(text, twice) => {
                *body.pointer_mut(pointer).unwrap() = json!(format!("{MARK} {}", raws.len()));
                raws.push(text);
                ambiguous |= twice;
            }
            Change::Remove => match body.pointer_mut(parent) {
                Some(Value::Object(fields)) => drop(fields.remove(&token)),
                Some(Value::Array(elements)) => drop(elements.remove(token.parse().unwrap())),
                _ => {}
            },
            Change::Add(name, value) => {
                if let Some(Value::Object(fields)) = body.pointer_mut(parent) {
                    fields.insert(name, value);
                }
            }
            Change::Again(value) => {
                if body.pointer(parent).is_some_and(Value::is_object) {
                    let stood = body.pointer(pointer).unwrap().to_string();
                    *body.pointer_mut(pointer).unwrap() = json!(format!("{MARK} {}", raws.len()));
                    raws.push(format!("{stood}, {}: {value}", json!(token)));
                    ambiguous = true;
                }
            }
        }
    }
    let mut text = body.to_string();
    // From the last one: an earlier one may stand inside of what a later one said again.
    for (number, raw) in raws.iter().enumerate().rev() {
        let mark = json!(format!("{MARK} {number}")).to_string();
        // A later change may have taken it out again.
        ambiguous &= raws.len() > 1 || text.contains(&mark);
        text = text.replace(&mark, raw);
    }
    (text, ambiguous && raws.len() == 1)
}

/// Bytes that are cut, doubled, overwritten or foreign.
fn spoilt(text: String, spoils: Vec<(Index, usize, Vec<u8>)>) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    for (at, cut, with) in spoils {
        let from = at.index(bytes.len() + 1);
        let to = bytes.len().min(from + cut);
        bytes.splice(from..to, with);
    }
    bytes
}

/// Any body for any operation that takes one.
pub(super) fn body(operations: Vec<Operation>) -> impl Strategy<Value = Sent> {
    let writing: Vec<Operation> =
        operations.into_iter().filter(|o| o.method == Method::POST || o.method == Method::PUT).collect();
    let changes = proptest::collection::vec((any::<Index>(), change()), 0..4);
    let junk = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..6),
        select(vec![
            vec![0xff],
            vec![0xc3, 0x28],
            vec![0xed, 0xa0, 0x80],
            vec![0xf8, 0x88, 0x80, 0x80, 0x80],
            vec![0],
            b"}".to_vec(),
            b",".to_vec(),
            b"\"".to_vec()
        ]),
    ];
    let spoils =
        prop_oneof![5 => Just(Vec::new()), 1 => proptest::collection::vec((any::<Index>(), 0_usize..20, junk), 1..4)];
    let kind = prop_oneof![
        12 => Just("application/json".to_owned()),
        1 => select(vec!["", "text/plain", "application/json; charset=utf-8", "application/JSON", "application/x+json", "application/", "json", "a/b;c=d;;"]).prop_map(str::to_owned),
        1 => "[ -~]{0,20}",
    ];
    let token = prop_oneof![12 => select(PEOPLE).prop_map(|name| format!("token-{name}")), 1 => Just("stolen".to_owned()), 1 => Just(String::new())];
    let tag = prop_oneof![3 => Just(None), 3 => any::<bool>().prop_map(|_| Some("right".to_owned())), 1 => "[ -~]{0,20}".prop_map(Some)];
    let name = prop_oneof![8 => select(tags().into_keys().collect::<Vec<_>>()), 2 => Just("held".to_owned()), 1 => Just("gone".to_owned())];
    let tags = tags();
    let dry = select(vec!["", "", "", "?dryRun=all", "?dryRun=none"]);
    (select(writing), (changes, spoils), kind, token, tag, name, dry).prop_map(
        move |(operation, (changes, spoils), content_type, token, tag, name, dry)| {
            // Whoever changes what is to be decided may not decide it, and is waited for before somebody else may.
            let name = match (operation.id.as_str(), name.as_str()) {
                ("decideRequest", "reviewed") => "undecided",
                ("decideRequest", name) => name,
                (_, "undecided") => "reviewed",
                (_, name) => name,
            };
            let right = tags.get(name).cloned().unwrap_or_default();
            let (text, ambiguous) = written(good(&operation), changes);
            let takes_a_body = good(&operation) != json!({});
            let is_ambiguous = ambiguous && spoils.is_empty() && takes_a_body;
            let path =
                operation.path.trim_start_matches("/api/v1").replace("{department}", "finance").replace("{name}", name);
            Sent {
                path: format!("{path}{dry}"),
                token,
                content_type,
                if_match: tag.map(|tag| if tag == "right" { right.clone() } else { tag }),
                bytes: spoilt(text, spoils),
                is_ambiguous,
                operation,
            }
        },
    )
}
