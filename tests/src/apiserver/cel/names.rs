//! How names of fields stand in expressions on custom resources: not every name of a field is an identifier.
//!
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#escaping>

use std::borrow::Cow;

/// Words that are no identifiers.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Escapes, longest first where one begins with another.
const ESCAPES: &[(&str, &str)] = &[("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// The identifier for a name; `None` for a name that has none, such as `1st` or `größe`.
pub(super) fn escape(name: &str) -> Option<Cow<'_, str>> {
    let first = name.chars().next()?;
    if first.is_ascii_digit() {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(Cow::Owned(format!("__{name}__")));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')) {
        return None;
    }
    if !ESCAPES.iter().any(|(plain, _)| name.contains(plain)) {
        return Some(Cow::Borrowed(name));
    }
    let mut escaped = String::with_capacity(name.len().saturating_add(16));
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some((plain, escape)) = ESCAPES.iter().find(|(plain, _)| rest.starts_with(plain)) {
            escaped.push_str(escape);
            rest = rest.strip_prefix(plain).unwrap_or_default();
        } else {
            escaped.push(c);
            rest = rest.strip_prefix(c).unwrap_or_default();
        }
    }
    Some(Cow::Owned(escaped))
}

/// The name that an identifier stands for; `None` for an identifier that stands for none.
pub(super) fn unescape(identifier: &str) -> Option<Cow<'_, str>> {
    if !identifier.contains("__") {
        return Some(Cow::Borrowed(identifier));
    }
    let mut name = String::with_capacity(identifier.len());
    let mut rest = identifier;
    while let Some((before, after)) = rest.split_once("__") {
        let Some((word, after)) = after.split_once("__").filter(|(word, _)| !word.is_empty() && !word.contains('_'))
        else {
            // Underscores that begin no escape stand for themselves.
            name.push_str(before);
            name.push('_');
            rest = rest.get(before.len().saturating_add(1)..).unwrap_or_default();
            continue;
        };
        name.push_str(before);
        match ESCAPES.iter().find(|(_, escape)| escape.trim_matches('_') == word) {
            Some((plain, _)) => name.push_str(plain),
            None if RESERVED.contains(&word) && before.is_empty() && after.is_empty() && name.is_empty() => {
                name.push_str(word);
            }
            None => return None,
        }
        rest = after;
    }
    name.push_str(rest);
    Some(Cow::Owned(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_their_identifiers() {
        for (name, identifier) in [
            ("namespace", "__namespace__"),
            ("zh-CN", "zh__dash__CN"),
            ("a.b/c", "a__dot__b__slash__c"),
            ("a__b", "a__underscores__b"),
            ("plain_name", "plain_name"),
            ("in", "__in__"),
            ("_x", "_x"),
        ] {
            assert_eq!(escape(name).as_deref(), Some(identifier));
            assert_eq!(unescape(identifier).as_deref(), Some(name));
        }
        assert_eq!(escape("1st"), None);
        assert_eq!(escape("größe"), None);
        assert_eq!(unescape("__nothing__"), None);
    }
}
