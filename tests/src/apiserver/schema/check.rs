//! Structural validation, as the validator of kube-openapi does it, with its oddities: they show in which causes come.

use serde_json::{Map, Value};

use super::causes::Cause;
use super::correlate::Correlated;
use super::fields::{child, index};
use super::node::{Additional, Kind, Node};
use super::numbers;

/// Checks a value and what is in it. Returns how many checks were made, by which the validator picks the branch to report of
/// several that fail.
pub(super) fn check(
    node: &Node,
    value: &Value,
    path: &str,
    correlated: Option<&Correlated<'_>>,
    causes: &mut Vec<Cause>,
) -> usize {
    let from = causes.len();
    let made = visit(node, value, path, correlated, causes);
    if causes.len() > from && correlated.is_some_and(Correlated::unchanged) {
        causes.truncate(from);
    }
    made
}

fn visit(
    node: &Node,
    value: &Value,
    path: &str,
    correlated: Option<&Correlated<'_>>,
    causes: &mut Vec<Cause>,
) -> usize {
    let typed = node.kind != Kind::Any || node.format.is_some();
    let wrong = if typed { wrong_type(node, value) } else { None };
    let mut made = usize::from(typed && wrong.is_none());
    if let Some((wanted, got)) = wrong {
        let detail = format!("{path} in body must be of type {wanted}: \"{got}\"");
        add(causes, Cause::type_invalid(path, &Value::from(got), &detail));
    }
    if value.is_null() {
        choices(node, value, path, causes);
        return made;
    }
    made += usize::from(typed) + 2;
    made += branches(node, value, path, correlated, causes);
    match value {
        Value::String(text) => {
            made += 1;
            string(node, text, path, causes);
            if let Some(format) = node.format.filter(|f| f.of_strings()) {
                made += 1;
                if !format.fits(text) {
                    let wanted = format.name();
                    let detail = format!("{path} in body must be of type {wanted}: {}", super::causes::quoted(text));
                    add(causes, Cause::type_invalid(path, value, &detail));
                }
            }
        }
        Value::Number(number) => {
            made += 2;
            numbers::check(node, number, path, causes);
        }
        Value::Array(list) => made += 2 + array(node, list, path, correlated, causes),
        Value::Object(map) => made += 1 + object(node, map, path, correlated, causes),
        Value::Null | Value::Bool(_) => {}
    }
    choices(node, value, path, causes);
    made + 1
}

/// What is reported already is not reported again.
pub(super) fn add(causes: &mut Vec<Cause>, cause: Cause) {
    if !causes.contains(&cause) {
        causes.push(cause);
    }
}

/// The type that is wanted and the one that came, if the value has the wrong one.
fn wrong_type(node: &Node, value: &Value) -> Option<(String, &'static str)> {
    if value.is_null() {
        return (node.kind != Kind::Any && !node.nullable).then(|| (node.kind.to_string(), "null"));
    }
    let (got, format) = match value {
        Value::Bool(_) | Value::Null => ("boolean", ""),
        Value::String(_) => ("string", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    };
    let whole = value.as_f64().is_some_and(|v| v.fract() == 0.0 && v.abs() < 9_007_199_254_740_992.0);
    let of_integers = matches!(node.kind, Kind::Integer | Kind::IntOrString);
    let fits = match node.kind {
        Kind::Any => false,
        Kind::Object => got == "object",
        Kind::Array => got == "array",
        Kind::String => got == "string",
        Kind::Boolean => got == "boolean",
        Kind::Number => matches!(got, "number" | "integer"),
        Kind::Integer => got == "integer" || (got == "number" && whole),
        Kind::IntOrString => matches!(got, "integer" | "string") || (got == "number" && whole),
    };
    if fits {
        return None;
    }
    let textual = matches!(value, Value::String(_) | Value::Array(_));
    match node.format {
        Some(wanted) if !textual => Some((wanted.name().to_owned(), format)),
        // Whatever is a text with a format is left to the format.
        Some(_) if !of_integers && node.kind != Kind::Number => None,
        _ => Some((node.kind.to_string(), got)),
    }
}

fn choices(node: &Node, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !node.choices.is_empty() && !node.choices.contains(value) {
        add(causes, Cause::not_supported(path, value, &node.choices));
    }
}

fn string(node: &Node, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    let invalid = |detail: String| Cause::invalid(path, &Value::from(text), &format!("{path} in body {detail}"));
    // The first thing that is wrong hides the others.
    if let Some(max) = node.max_length.filter(|max| length > *max) {
        add(causes, Cause::too_long(path, max));
    } else if let Some(min) = node.min_length.filter(|min| length < *min) {
        add(causes, invalid(format!("should be at least {min} chars long")));
    } else if let Some((pattern, _)) = node.pattern.as_ref().filter(|(_, regex)| !regex.is_match(text)) {
        add(causes, invalid(format!("should match '{pattern}'")));
    }
}

fn array(
    node: &Node,
    list: &[Value],
    path: &str,
    correlated: Option<&Correlated<'_>>,
    causes: &mut Vec<Cause>,
) -> usize {
    let mut made = 0;
    if let Some(items) = &node.items {
        for (at, element) in list.iter().enumerate() {
            let old = correlated.and_then(|c| c.index(at));
            made += check(items, element, &index(path, at), old.as_ref(), causes);
        }
    }
    let size = list.len() as u64;
    let invalid = |detail: String| Cause::invalid(path, &Value::from(size), &format!("{path} in body {detail}"));
    if let Some(min) = node.min_items.filter(|min| size < *min) {
        add(causes, invalid(format!("should have at least {min} items")));
    }
    if let Some(max) = node.max_items.filter(|max| size > *max) {
        add(causes, Cause::too_many(path, list.len(), max));
    }
    let repeated = || list.iter().enumerate().any(|(at, element)| list.iter().take(at).any(|before| before == element));
    if node.unique_items && repeated() {
        let detail = format!("{path} in body shouldn't contain duplicates");
        add(causes, Cause::invalid(path, &Value::from(""), &detail));
    }
    made
}

fn object(
    node: &Node,
    map: &Map<String, Value>,
    path: &str,
    correlated: Option<&Correlated<'_>>,
    causes: &mut Vec<Cause>,
) -> usize {
    let size = map.len() as u64;
    if let Some(min) = node.min_properties.filter(|min| size < *min) {
        let detail = format!("{path} in body should have at least {min} properties");
        add(causes, Cause::invalid(path, &Value::from(size), &detail));
    }
    if let Some(max) = node.max_properties.filter(|max| size > *max) {
        add(causes, Cause::too_many(path, map.len(), max));
    }
    let mut made = 0;
    for (name, value) in map.iter().filter(|(name, _)| !node.properties.contains_key(*name)) {
        let below = format!("{path}.{name}");
        match &node.additional {
            Additional::Each(each) => {
                let old = correlated.and_then(|c| c.field(name));
                made += check(each, value, &below, old.as_ref(), causes);
            }
            Additional::Allowed(false) => {
                let detail = format!("{below} in body is a forbidden property");
                add(causes, Cause::invalid(path, &Value::from(name.as_str()), &detail));
            }
            Additional::Allowed(true) | Additional::Unsaid => {}
        }
    }
    for (name, property) in &node.properties {
        if let Some(value) = map.get(name) {
            // The version may differ between old and new, so these two are never forgiven.
            let type_meta = path.is_empty() && matches!(name.as_str(), "kind" | "apiVersion");
            let old = if type_meta { None } else { correlated.and_then(|c| c.field(name)) };
            made += check(property, value, &child(path, name), old.as_ref(), causes);
        }
    }
    for name in node.required.iter().filter(|name| !map.contains_key(*name)) {
        add(causes, Cause::required(&format!("{path}.{name}"), ""));
    }
    made
}

/// `anyOf`, `oneOf`, `allOf` and `not`. What is wrong with a branch is said at the field, that the branches do not fit is not.
fn branches(
    node: &Node,
    value: &Value,
    path: &str,
    correlated: Option<&Correlated<'_>>,
    causes: &mut Vec<Cause>,
) -> usize {
    let mut made = 1;
    let tried = |branch: &Node| {
        let mut found = Vec::new();
        let made = visit(branch, value, path, correlated, &mut found);
        (made, found)
    };
    let whole = |text: String| Cause::invalid("", &Value::from(""), &format!("\"{path}\" {text}"));
    if !node.any_of.is_empty() {
        let (best, fitting) = pick(&mut node.any_of.iter().map(tried), true);
        if fitting == 0 {
            add(causes, whole("must validate at least one schema (anyOf)".to_owned()));
        }
        made += merge(best, causes);
    }
    if !node.one_of.is_empty() {
        let (best, fitting) = pick(&mut node.one_of.iter().map(tried), false);
        if fitting != 1 {
            let found = if fitting == 0 {
                "Found none valid".to_owned()
            } else {
                format!("Found {fitting} valid alternatives")
            };
            add(causes, whole(format!("must validate one and only one schema (oneOf). {found}")));
        }
        made += merge(best.filter(|(_, found)| fitting < 2 || !found.is_empty()), causes);
    }
    let mut fitting = 0_usize;
    for branch in &node.all_of {
        let (checks, found) = tried(branch);
        fitting += usize::from(found.is_empty());
        made += merge(Some((checks, found)), causes);
    }
    if fitting != node.all_of.len() {
        let none = if fitting == 0 { ". None validated" } else { "" };
        add(causes, whole(format!("must validate all the schemas (allOf){none}")));
    }
    if let Some(not) = &node.not
        && tried(not).1.is_empty()
    {
        add(causes, whole("must not validate the schema (not)".to_owned()));
    }
    made
}

/// What a branch came to: how many checks were made, and what was wrong.
type Tried = (usize, Vec<Cause>);

/// The first branch that fits, or else the one with the most checks; and how many fit.
fn pick(tried: &mut dyn Iterator<Item = Tried>, stop_at_first: bool) -> (Option<Tried>, usize) {
    let (mut best, mut fits): (Option<Tried>, Option<Tried>) = (None, None);
    let mut fitting = 0_usize;
    for (made, found) in tried {
        if found.is_empty() {
            fitting += 1;
            fits.get_or_insert((made, found));
            if stop_at_first {
                break;
            }
        } else if best.as_ref().is_none_or(|(most, _)| made > *most) {
            best = Some((made, found));
        }
    }
    (fits.or(best), fitting)
}

fn merge(tried: Option<Tried>, causes: &mut Vec<Cause>) -> usize {
    let Some((made, found)) = tried else { return 0 };
    for cause in found {
        add(causes, cause);
    }
    made
}
