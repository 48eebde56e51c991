//! Regular expressions of Go (RE2), which schemas and `matches` use, on the `regex` crate.
//!
//! The two agree but for this: `\d`, `\s`, `\w` and `\b` of Go know ASCII only, and within brackets Go knows no set operations, so
//! that `[`, `&&` and `~~` stand for themselves.

use std::iter::Peekable;
use std::str::Chars;

use anyhow::{Context as _, Result};
use regex::Regex;

/// Compiles a Go pattern.
///
/// # Errors
/// A pattern that is wrong, or that this crate cannot express.
pub(crate) fn compile(pattern: &str) -> Result<Regex> {
    Regex::new(&translate(pattern)).with_context(|| format!("the pattern {pattern:?}"))
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, class, &mut out),
            '[' if class => bracket(&mut chars, &mut out),
            '[' => {
                class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A bracket that comes first stands for itself.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// `[` within brackets: a named class such as `[:alpha:]`, or itself.
fn bracket(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push_str(if chars.peek() == Some(&':') { "[" } else { r"\[" });
    if chars.next_if_eq(&':').is_some() {
        out.push(':');
        for c in chars.by_ref() {
            out.push(c);
            if c == ']' {
                break;
            }
        }
    }
}

fn escape(chars: &mut Peekable<Chars<'_>>, class: bool, out: &mut String) {
    let Some(c) = chars.next() else {
        out.push('\\');
        return;
    };
    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' | 'B' if !class => out.push_str(if c == 'b' { r"(?-u:\b)" } else { r"(?-u:\B)" }),
        _ => out.extend(['\\', c]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_know_ascii_only() {
        assert!(compile(r"^\d+$").unwrap().is_match("42"));
        assert!(!compile(r"^\d+$").unwrap().is_match("٤٢"));
        assert!(!compile(r"^[\w]+$").unwrap().is_match("é"));
        assert!(compile(r"^[\w-]+$").unwrap().is_match("a-b_c"));
        assert!(compile(r"^.$").unwrap().is_match("政"));
    }

    #[test]
    fn brackets_know_no_set_operations() {
        assert!(compile(r"^[a[]+$").unwrap().is_match("a[a"));
        assert!(compile(r"^[a&&b]+$").unwrap().is_match("a&b"));
        assert!(compile(r"^[]a]+$").unwrap().is_match("a]"));
        assert!(compile(r"^[[:alpha:]]+$").unwrap().is_match("abc"));
        assert!(compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").unwrap().is_match("a-b"));
        assert!(compile("[").is_err());
    }
}
