//! What movers say, with the names of declarations in place of addresses and paths.
//!
//! A mover knows where it is sent: to a host and port, to a folder of the operator's machine. Whoever reads a migration knows what the room and
//! the site declare, and where that is, is the administrators' business. So texts are changed where reports become a status, and the digest
//! of a report is over what the mover said.

use zhengyun_crds::migration::{Blocker, SystemMigrationStatus};

use crate::condition::cut;

/// What stands for a path that nobody declared.
const A_PATH: &str = "(a path of the operator's machine)";
/// What stands for an address that nobody declared.
const AN_ADDRESS: &str = "(an address)";
/// Longest subject or remedy of a status, in bytes.
const SUBJECT: usize = 500;
/// Longest evidence.
const EVIDENCE: usize = 1_000;
/// Longest message.
const MESSAGE: usize = 2_000;

/// The names of what a migration reads and writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// A folder: its path and what stands for it.
    pub fn folder(&mut self, path: &str, name: &str) {
        self.put(path.trim_end_matches('/').to_owned(), name);
    }

    /// A database of a server: its address and what stands for the server.
    pub fn database(&mut self, host: &str, port: i32, database: &str, name: &str) {
        self.put(format!("{host}:{port}/{database}"), &format!("{name}/{database}"));
        self.put(format!("{host}:{port}"), name);
        self.put(format!("\"{host}\""), name);
        // A name of one word may mean something else where it stands alone.
        if host.contains(['.', ':']) {
            self.put(host.to_owned(), name);
        }
    }

    fn put(&mut self, of: String, name: &str) {
        if of.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == of) {
            // Both sides are on one host.
            Some((_, known)) if known.as_str() != name => *known = format!("{known} or {name}"),
            Some(_) => {}
            None => self.0.push((of, name.to_owned())),
        }
        // The longest first: a folder below another one is named by its own name.
        self.0.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    }

    /// A text without addresses and paths.
    pub fn told(&self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let before = told_before(text, rest);
            let (length, name) = self
                .declared(before, rest)
                .or_else(|| path(before, rest).map(|length| (length, A_PATH)))
                .or_else(|| address(before, rest).map(|length| (length, AN_ADDRESS)))
                .unwrap_or((0, ""));
            told.push_str(name);
            if length == 0 {
                told.push(first);
            }
            rest = rest.get(length.max(first.len_utf8()).min(rest.len())..).unwrap_or_default();
        }
        told
    }

    fn declared(&self, before: Option<char>, rest: &str) -> Option<(usize, &str)> {
        let stands = |(of, _): &&(String, String)| {
            rest.starts_with(of.as_str())
                && (of.starts_with('"') || !before.is_some_and(of_a_word))
                && ends(rest.get(of.len()..).unwrap_or_default(), of.ends_with('"'))
        };
        self.0.iter().find(stands).map(|(of, name)| (of.len(), name.as_str()))
    }

    /// Takes addresses and paths out of everything that a status says in words.
    pub fn keep_to(&self, status: &mut SystemMigrationStatus) {
        let change = |text: &mut String, most: usize| {
            let told = self.told(text);
            if told != *text {
                *text = cut(told, most);
            }
        };
        for finding in &mut status.findings {
            change(&mut finding.subject, SUBJECT);
            change(&mut finding.evidence, EVIDENCE);
            change(&mut finding.remedy, SUBJECT);
        }
        for failure in status.workloads.iter_mut().filter_map(|workload| workload.failure.as_mut()) {
            change(&mut failure.subject, SUBJECT);
            change(&mut failure.message, MESSAGE);
        }
        let blockers: [Option<&mut Blocker>; 2] = [status.blocker.as_mut(), status.went_back.as_mut()];
        for blocker in blockers.into_iter().flatten() {
            change(&mut blocker.message, MESSAGE);
        }
        for condition in &mut status.conditions {
            change(&mut condition.message, MESSAGE);
        }
    }
}

/// The character before what is left of a text.
fn told_before(text: &str, rest: &str) -> Option<char> {
    text.get(..text.len().saturating_sub(rest.len()))?.chars().next_back()
}

/// What a word, a host or a path goes on with.
fn of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-')
}

/// Whether a name ends before what follows it: `/srv/share` is not named in `/srv/share2` or `/srv/share.old`, but in `/srv/share/a`.
fn ends(after: &str, closed: bool) -> bool {
    let mut next = after.chars();
    match next.next() {
        _ if closed => true,
        Some('.') => !next.next().is_some_and(char::is_alphanumeric),
        Some(c) => !(c.is_alphanumeric() || matches!(c, '_' | '-')),
        None => true,
    }
}

/// The length of a path from the root of a file system; none if there is none. Pointers into a spec begin alike.
fn path(before: Option<char>, rest: &str) -> Option<usize> {
    let mut of = rest.chars();
    if of.next() != Some('/') || before.is_some_and(|c| of_a_word(c) || matches!(c, '<' | '*' | ')')) {
        return None;
    }
    if !of.next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_')) || rest.starts_with("/spec/") {
        return None;
    }
    let stops = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '(' | ')' | '[' | ']' | '`');
    let whole = rest.get(..rest.find(stops).unwrap_or(rest.len()))?;
    Some(whole.trim_end_matches([':', '.']).len())
}

/// The length of an IPv4 address with its port; none if there is none.
fn address(before: Option<char>, rest: &str) -> Option<usize> {
    if before.is_some_and(of_a_word) {
        return None;
    }
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = rest.get(..rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len()))?;
    let whole = whole.trim_end_matches('.');
    whole.parse::<std::net::Ipv4Addr>().ok()?;
    let after = rest.get(whole.len()..)?;
    if after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-')) {
        return None;
    }
    let port = after.strip_prefix(':').map(digits).filter(|port| *port > 0);
    Some(whole.len().saturating_add(port.map_or(0, |port| port.saturating_add(1))))
}
