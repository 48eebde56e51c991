//! The checker: what must be true after every single write, told from the record alone.
//!
//! It knows nothing of the operator's code: it reads objects as they were stored, in the order in which they were stored, with
//! arithmetic of its own. Each invariant is one function that sees the world just before and just after a write.

mod amount;
mod books;
mod chain;
mod conduct;
mod recovery;
mod restored;
mod sites;
mod state;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::run::Standing;
use crate::apiserver::{Commit, Key, Verb};

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// After which write, counted from the run's first; none for the end.
    pub after: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl Violation {
    /// It does not come to its end.
    pub fn liveness(what: String) -> Self {
        Self { invariant: "Liveness", after: None, what }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.invariant)?;
        if let Some(after) = self.after {
            write!(f, " after write {after}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What an invariant says of one write: a line for everything that is wrong.
type Rule = fn(&View<'_>) -> Vec<String>;

/// Invariants that are checked after every write: name, and what it says of one.
const RULES: &[(&str, Rule)] = &[
    ("I1", books::no_oversell),
    ("I1", books::totals_are_sums),
    ("I1", books::counts_only_rise),
    ("I1", stored::what_stands_is_charged),
    ("I1", stored::runs_hold_their_ceiling),
    ("I2", chain::one_grant),
    ("I3", chain::approved),
    ("I3", chain::reserved_as_reviewed),
    ("I4", sites::zero_before_release),
    ("I4", sites::nothing_after_the_end),
    ("I5", sites::no_orphan),
    ("I5", sites::nobody_elses),
    ("I6", state::legal),
    ("I6", state::legal_runs),
    ("I7", state::observed),
    ("I7", state::in_service),
    ("I8", conduct::deletes_are_guarded),
    ("I9", conduct::one_effect),
    ("I11", conduct::stays_in_place),
    ("I12", sites::no_older_epoch),
    ("I13", conduct::no_secret_told),
    ("I14", recovery::good_is_proven),
    ("I14", recovery::plans_tell_the_truth),
    ("I14", recovery::last_good_stays),
    ("I14", recovery::known_heads_rise),
    ("I14", restored::written_from_proof),
    ("I14", restored::opened_for_a_run),
    ("I14", restored::drills_tell_the_truth),
    ("I14", restored::only_scratch_databases_are_written),
];

/// Names of all invariants, for tables.
pub const INVARIANTS: [&str; 15] =
    ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "I14", "Liveness"];

/// The world around one write.
struct View<'a> {
    /// Everything just before it.
    before: &'a Standing,
    /// Everything just after it.
    after: &'a Standing,
    /// The write.
    commit: &'a Commit,
}

impl View<'_> {
    /// Whether the write is to a kind of ours on the hub.
    fn is_hub(&self, plural: &str) -> bool {
        self.commit.cluster == "hub" && self.commit.key.group == "zhengyun.io" && self.commit.key.plural == plural
    }

    /// What the written object says at a pointer, before and after.
    fn change(&self, pointer: &str) -> (Option<&Value>, Option<&Value>) {
        let before = self.commit.before.as_ref().and_then(|b| b.pointer(pointer));
        let after = (self.commit.verb != Verb::Delete).then(|| self.commit.after.pointer(pointer)).flatten();
        (before, after)
    }
}

/// Objects of a kind on the hub.
fn on_hub<'a>(standing: &'a Standing, plural: &str) -> impl Iterator<Item = (&'a Key, &'a Value)> {
    let from = (
        "hub".to_owned(),
        Key {
            group: "zhengyun.io".to_owned(),
            plural: plural.to_owned(),
            namespace: String::new(),
            name: String::new(),
        },
    );
    let plural = plural.to_owned();
    standing
        .range(from..)
        .take_while(move |((cluster, key), _)| cluster == "hub" && key.group == "zhengyun.io" && key.plural == plural)
        .map(|((_, key), object)| (key, object.as_ref()))
}

/// Text at a pointer; empty if there is none.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number at a pointer; 0 if there is none.
fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// A label; empty if there is none.
fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object.pointer("/metadata/labels").and_then(|l| l.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// Writes of an endless run that are looked at.
const ENOUGH: usize = 4_000;

/// Checks a record that begins at a standing world, and if it came to rest, how it stands then.
pub(super) fn check(begin: &Standing, journal: &[Arc<Commit>], came_to_rest: bool) -> Vec<Violation> {
    let journal = if came_to_rest { journal } else { journal.get(..ENOUGH).unwrap_or(journal) };
    let mut found = Vec::new();
    let mut before = begin.clone();
    let mut after = begin.clone();
    for (index, commit) in journal.iter().enumerate() {
        put(&mut after, commit);
        let view = View { before: &before, after: &after, commit };
        for (invariant, rule) in RULES {
            found.extend(rule(&view).into_iter().map(|what| Violation {
                invariant,
                after: Some(index),
                what: format!(
                    "{what} (write by {} of {:?} {} at {})",
                    commit.agent, commit.verb, commit.key, commit.cluster
                ),
            }));
        }
        put(&mut before, commit);
    }
    let at_rest =
        |invariant, said: Vec<String>| said.into_iter().map(move |what| Violation { invariant, after: None, what });
    found.extend(at_rest("I2", chain::at_the_end(&before)));
    if came_to_rest {
        found.extend(at_rest("I7", state::at_rest(&before)));
    }
    found
}

fn put(standing: &mut Standing, commit: &Arc<Commit>) {
    let key = (commit.cluster.clone(), commit.key.clone());
    match commit.verb {
        Verb::Delete => standing.remove(&key),
        Verb::Create | Verb::Update => standing.insert(key, Arc::clone(&commit.after)),
    };
}

/// A map of amounts as exact numbers.
type Sums = BTreeMap<String, i128>;
