//! Paths of fields, as structural validation and as everything else writes them.

/// A field of an object; structural validation writes entries of maps so too.
pub(super) fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// An element of a list.
pub(super) fn index(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

/// An entry of a map.
pub(super) fn key(path: &str, name: &str) -> String {
    format!("{path}[{name}]")
}
