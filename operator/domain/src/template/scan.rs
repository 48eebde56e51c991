//! Finding `${...}` in a string.

use std::iter::Peekable;
use std::str::CharIndices;

/// A part of a string.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text as it will stand.
    Text(String),
    /// The source of an expression.
    Code(&'a str),
}

/// The parts of a string, or `None` if a `${` is not closed.
pub(super) fn split(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut fixed = String::new();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix("$${") {
            fixed.push_str("${");
            rest = after;
        } else if let Some(code) = rest.strip_prefix("${") {
            if !fixed.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut fixed)));
            }
            let (source, after) = code.split_at_checked(closing_brace(code)?)?;
            pieces.push(Piece::Code(source));
            rest = after.strip_prefix('}')?;
        } else {
            let mut characters = rest.chars();
            match characters.next() {
                Some(character) => fixed.push(character),
                None => break,
            }
            rest = characters.as_str();
        }
    }
    if !fixed.is_empty() {
        pieces.push(Piece::Text(fixed));
    }
    Some(pieces)
}

/// The position of the brace that closes an expression: braces of map literals, and braces inside the strings and
/// comments of the expression do not count.
fn closing_brace(code: &str) -> Option<usize> {
    let mut characters = code.char_indices().peekable();
    let mut open: usize = 0;
    let mut before = ' ';
    while let Some((position, character)) = characters.next() {
        match character {
            '}' if open == 0 => return Some(position),
            '}' => open = open.saturating_sub(1),
            '{' => open = open.saturating_add(1),
            '"' | '\'' => skip_string(code, position, character, matches!(before, 'r' | 'R'), &mut characters)?,
            '/' if characters.peek().is_some_and(|(_, next)| *next == '/') => {
                characters.find(|(_, next)| *next == '\n')?;
            }
            _ => {}
        }
        before = character;
    }
    None
}

/// Moves past the end of the string literal that opens at `start`.
fn skip_string(
    code: &str,
    start: usize,
    quote: char,
    raw: bool,
    characters: &mut Peekable<CharIndices<'_>>,
) -> Option<()> {
    let triple = String::from_iter([quote; 3]);
    let is_triple = code.get(start..)?.starts_with(&triple);
    if is_triple {
        characters.next()?;
        characters.next()?;
    }
    while let Some((position, character)) = characters.next() {
        if character == '\\' && !raw {
            characters.next()?;
        } else if character == quote && !is_triple {
            return Some(());
        } else if is_triple && code.get(position..)?.starts_with(&triple) {
            characters.next()?;
            characters.next()?;
            return Some(());
        }
    }
    None
}
