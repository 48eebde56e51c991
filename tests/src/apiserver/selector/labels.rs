//! Label selectors as they are written: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Value, json};

use crate::apiserver::schema::check_metadata;

/// What one part of a selector wants of the label of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Among(String, BTreeSet<String>),
    NotAmong(String, BTreeSet<String>),
    Has(String),
    HasNot(String),
    Above(String, i64),
    Below(String, i64),
}

impl Term {
    pub(super) fn takes(&self, labels: Option<&Value>) -> bool {
        let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        let number = |key: &str| label(key).and_then(|l| l.parse::<i64>().ok());
        match self {
            Self::Among(key, values) => label(key).is_some_and(|l| values.contains(l)),
            Self::NotAmong(key, values) => label(key).is_none_or(|l| !values.contains(l)),
            Self::Has(key) => label(key).is_some(),
            Self::HasNot(key) => label(key).is_none(),
            Self::Above(key, than) => number(key).is_some_and(|n| n > *than),
            Self::Below(key, than) => number(key).is_some_and(|n| n < *than),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

struct Parser(Peekable<IntoIter<Token>>);

/// Reads a selector.
pub(super) fn parse(text: &str) -> Result<Vec<Term>, String> {
    let mut parser = Parser(tokens(text)?.into_iter().peekable());
    let mut terms = Vec::new();
    loop {
        match parser.0.peek() {
            None => return Ok(terms),
            Some(Token::Word(_) | Token::Sign("!")) => terms.push(parser.term()?),
            Some(other) => {
                return Err(format!("found '{}', expected: !, identifier, or 'end of string'", shown(Some(other))));
            }
        }
        match parser.0.next() {
            None => return Ok(terms),
            Some(Token::Sign(",")) if matches!(parser.0.peek(), Some(Token::Word(_) | Token::Sign("!"))) => {}
            Some(Token::Sign(",")) => {
                return Err(format!("found '{}', expected: identifier after ','", shown(parser.0.peek())));
            }
            other => return Err(format!("found '{}', expected: ',' or 'end of string'", shown(other.as_ref()))),
        }
    }
}

fn shown(token: Option<&Token>) -> &str {
    match token {
        None => "",
        Some(Token::Word(word)) => word,
        Some(Token::Sign(sign)) => sign,
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const SIGNS: [&str; 8] = ["!=", "==", "=", "!", "(", ")", ",", ">"];
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let sign = SIGNS.iter().chain(&["<"]).find(|sign| rest.starts_with(**sign));
        if let Some(sign) = sign {
            found.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default().trim_start();
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || "=!(),><".contains(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end).ok_or("no text")?;
        found.push(Token::Word(word.to_owned()));
        rest = after.trim_start();
    }
    Ok(found)
}

impl Parser {
    fn term(&mut self) -> Result<Term, String> {
        let not = self.0.next_if_eq(&Token::Sign("!")).is_some();
        let key = self.word("identifier")?;
        well_formed(&json!({ key.as_str(): "" }), &key)?;
        if not {
            return Ok(Term::HasNot(key));
        }
        let unable = |told: String| format!("unable to parse requirement: {told}");
        match self.0.peek() {
            None | Some(Token::Sign(",")) => return Ok(Term::Has(key)),
            _ => {}
        }
        let values = |parser: &mut Self| parser.values(&key);
        match self.0.next() {
            Some(Token::Word(word)) if word == "in" => Ok(Term::Among(key.clone(), values(self).map_err(unable)?)),
            Some(Token::Word(word)) if word == "notin" => {
                Ok(Term::NotAmong(key.clone(), values(self).map_err(unable)?))
            }
            Some(Token::Sign("=" | "==")) => Ok(Term::Among(key.clone(), [self.value(&key)?].into())),
            Some(Token::Sign("!=")) => Ok(Term::NotAmong(key.clone(), [self.value(&key)?].into())),
            Some(Token::Sign(sign @ (">" | "<"))) => {
                let than = self.value(&key)?;
                let than = than
                    .parse()
                    .map_err(|_| format!("for 'Gt', 'Lt' operators, the value must be an integer: {than}"))?;
                Ok(if sign == ">" { Term::Above(key, than) } else { Term::Below(key, than) })
            }
            other => Err(unable(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", shown(other.as_ref())))),
        }
    }

    fn word(&mut self, wanted: &str) -> Result<String, String> {
        match self.0.next() {
            Some(Token::Word(word)) => Ok(word),
            other => Err(format!("found '{}', expected: {wanted}", shown(other.as_ref()))),
        }
    }

    /// One value, which may be empty.
    fn value(&mut self, key: &str) -> Result<String, String> {
        if matches!(self.0.peek(), None | Some(Token::Sign(","))) {
            return Ok(String::new());
        }
        let value = self.word("identifier")?;
        well_formed(&json!({ key: value.as_str() }), &value)?;
        Ok(value)
    }

    /// Values in parentheses.
    fn values(&mut self, key: &str) -> Result<BTreeSet<String>, String> {
        let mut found = BTreeSet::new();
        if self.0.next_if_eq(&Token::Sign("(")).is_none() {
            return Err(format!("found '{}', expected: '('", shown(self.0.peek())));
        }
        loop {
            match self.0.next() {
                Some(Token::Word(word)) => {
                    well_formed(&json!({ key: word.as_str() }), &word)?;
                    found.insert(word);
                    match self.0.next() {
                        Some(Token::Sign(")")) => return Ok(found),
                        Some(Token::Sign(",")) if self.0.peek() == Some(&Token::Sign(")")) => {
                            found.insert(String::new());
                        }
                        Some(Token::Sign(",")) => {}
                        other => return Err(format!("found '{}', expected: ',' or ')'", shown(other.as_ref()))),
                    }
                }
                Some(Token::Sign(",")) => {
                    found.insert(String::new());
                }
                Some(Token::Sign(")")) => {
                    // None at all is the empty one.
                    if found.is_empty() {
                        found.insert(String::new());
                    }
                    return Ok(found);
                }
                other => return Err(format!("found '{}', expected: ',', ')' or identifier", shown(other.as_ref()))),
            }
        }
    }
}

/// Keys and values are those of labels.
fn well_formed(labels: &Value, told: &str) -> Result<(), String> {
    let object = json!({ "metadata": { "name": "x", "labels": labels } });
    match check_metadata(&object, false).first() {
        None => Ok(()),
        Some(cause) => Err(format!("unable to parse requirement: {told}: {}", cause.message)),
    }
}
