//! `x-kubernetes-validations`: rules in CEL.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::causes::Cause;
use super::correlate::{Correlated, keyed};
use super::fields::{child, index, key};
use super::node::{Additional, Kind, Node};
use crate::apiserver::cel::{Fault, Outcome, Program, Val, Variables};

/// Longest message that an expression may make, in bytes.
const MAX_MESSAGE: usize = 5 * 1024;

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    program: Program,
    message: Option<String>,
    message_program: Option<Program>,
    field_path: Option<String>,
    reason: Reason,
    /// It compares with the old value, so it is asked only where there is one.
    transition: bool,
    /// `optionalOldSelf`: it is asked in any case, and the old value is optional.
    optional_old: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Invalid,
    Forbidden,
    Required,
    Duplicate,
}

const OLD_SELF: usize = 1;
const KNOWN: &[&str] = &["rule", "message", "messageExpression", "fieldPath", "reason", "optionalOldSelf"];

impl Rule {
    pub(super) fn read(rule: &Value) -> Result<Self> {
        let map = rule.as_object().context("a rule is an object")?;
        if let Some(unknown) = map.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            bail!("{unknown} of a rule is not modelled");
        }
        let text = |name: &str| map.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let variables = ["self", "oldSelf"].map(str::to_owned);
        let program = Program::compile(text("rule").context("a rule without an expression")?, &variables)?;
        let reason = match text("reason") {
            None | Some("FieldValueInvalid") => Reason::Invalid,
            Some("FieldValueForbidden") => Reason::Forbidden,
            Some("FieldValueRequired") => Reason::Required,
            Some("FieldValueDuplicate") => Reason::Duplicate,
            Some(other) => bail!("the reason {other} is not modelled"),
        };
        Ok(Self {
            transition: program.uses(OLD_SELF),
            program,
            message: text("message").map(|m| m.trim().to_owned()),
            message_program: text("messageExpression").map(|e| Program::compile(e, &variables)).transpose()?,
            field_path: text("fieldPath").map(plain_path).transpose()?,
            reason,
            optional_old: map.get("optionalOldSelf") == Some(&Value::Bool(true)),
        })
    }

    /// What the rule is called in errors.
    fn name(&self) -> &str {
        self.message.as_deref().unwrap_or_else(|| self.program.source().trim())
    }

    fn told(&self, selves: &Selves<'_>) -> String {
        let made = self.message_program.as_ref().and_then(|program| match program.evaluate(selves) {
            Ok(Val::Text(text)) => Some(text.trim().to_owned()),
            _ => None,
        });
        let usable = made.filter(|text| !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n'));
        let said = || self.message.clone().unwrap_or_else(|| format!("failed rule: {}", self.name()));
        usable.unwrap_or_else(said)
    }
}

/// `.a['b']` as the path of a field. Entries of maps are not told from fields.
fn plain_path(path: &str) -> Result<String> {
    let mut plain = String::new();
    let mut rest = path;
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix("['") {
            (name, rest) = after.split_once("']").with_context(|| format!("the fieldPath {path:?}"))?;
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            (name, rest) = after.split_at_checked(end).with_context(|| format!("the fieldPath {path:?}"))?;
        } else {
            bail!("the fieldPath {path:?} begins with neither a dot nor a bracket");
        }
        plain = child(&plain, name);
    }
    Ok(plain)
}

/// `self` and `oldSelf`.
struct Selves<'a> {
    new: Outcome<'a>,
    old: Option<Outcome<'a>>,
    optional_old: bool,
}

impl<'a> Variables<'a> for Selves<'a> {
    fn get(&self, index: usize) -> Outcome<'a> {
        if index != OLD_SELF {
            return self.new.clone();
        }
        match (&self.old, self.optional_old) {
            (Some(old), false) => old.clone(),
            (Some(old), true) => Ok(Val::some(old.clone()?)),
            (None, true) => Ok(Val::Optional(None)),
            (None, false) => Err(Fault::of("no such attribute(s): oldSelf")),
        }
    }
}

/// What may be forgiven: a place that has an old value, or else the nearest place above that has.
#[derive(Clone, Copy)]
struct Ratchet<'c, 'a> {
    current: Option<&'c Correlated<'a>>,
    nearest: Option<&'c Correlated<'a>>,
}

impl Ratchet<'_, '_> {
    fn forgives(self) -> bool {
        self.current.or(self.nearest).is_some_and(Correlated::unchanged)
    }
}

/// Asks every rule of an object.
pub(super) fn check(root: &Node, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let correlated = old.map(|old| Correlated::root(object, old, root));
    let ratchet = Ratchet { current: correlated.as_ref(), nearest: None };
    visit(root, object, old, "", ratchet, causes);
}

fn visit(
    node: &Node,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    ratchet: Ratchet<'_, '_>,
    causes: &mut Vec<Cause>,
) {
    if !node.has_rules || value.is_null() {
        return;
    }
    let old = old.filter(|old| !old.is_null());
    ask(node, value, old, path, ratchet, causes);
    match value {
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            let old = old.and_then(Value::as_array);
            for (at, element) in list.iter().enumerate() {
                let before = old.and_then(|old| keyed(node, old, element));
                let below = ratchet.current.and_then(|c| c.index(at));
                visit(items, element, before, &index(path, at), step(ratchet, below.as_ref()), causes);
            }
        }
        Value::Object(map) => {
            let old = old.and_then(Value::as_object);
            for (name, value) in map {
                let (below, path) = match (node.properties.get(name), &node.additional) {
                    (Some(property), _) => (property, child(path, name)),
                    (None, Additional::Each(each)) => (each.as_ref(), key(path, name)),
                    _ => continue,
                };
                if !below.has_rules {
                    continue;
                }
                let type_meta = ratchet.nearest.is_none() && matches!(name.as_str(), "apiVersion" | "kind");
                let correlated = ratchet.current.and_then(|c| c.field(name));
                let next = if type_meta && ratchet.current.is_some() {
                    Ratchet { current: None, nearest: None }
                } else {
                    step(ratchet, correlated.as_ref())
                };
                visit(below, value, old.and_then(|old| old.get(name)), &path, next, causes);
            }
        }
        _ => {}
    }
}

const fn step<'c, 'a>(from: Ratchet<'c, 'a>, to: Option<&'c Correlated<'a>>) -> Ratchet<'c, 'a> {
    match from.current {
        None => from,
        current => Ratchet { current: to, nearest: current },
    }
}

fn ask(node: &Node, value: &Value, old: Option<&Value>, path: &str, ratchet: Ratchet<'_, '_>, causes: &mut Vec<Cause>) {
    if node.rules.is_empty() {
        return;
    }
    let mut selves =
        Selves { new: Val::typed(value, node), old: old.map(|old| Val::typed(old, node)), optional_old: false };
    let type_name = Value::from(node.kind.to_string());
    for rule in &node.rules {
        if rule.transition && old.is_none() && !rule.optional_old {
            continue;
        }
        selves.optional_old = rule.optional_old;
        match rule.program.evaluate(&selves) {
            Ok(Val::Bool(true)) => {}
            Err(fault) if fault.text().starts_with("no such overload") => {
                let detail = format!(
                    "'{}': call arguments did not match a supported operator, function or macro signature for rule: {}",
                    fault.text(),
                    rule.name()
                );
                causes.push(Cause::invalid(path, &type_name, &detail));
            }
            Err(fault) => {
                let detail = format!("{} evaluating rule: {}", fault.text(), rule.name());
                causes.push(Cause::invalid(path, &type_name, &detail));
            }
            Ok(_) if !rule.transition && ratchet.forgives() => {}
            Ok(_) => causes.push(failed(rule, &selves, node, value, path)),
        }
    }
}

fn failed(rule: &Rule, selves: &Selves<'_>, node: &Node, value: &Value, path: &str) -> Cause {
    let detail = rule.told(selves);
    let field = rule.field_path.as_ref().map_or_else(|| path.to_owned(), |below| child(path, below));
    let shown = !matches!(node.kind, Kind::Object | Kind::Array);
    match rule.reason {
        Reason::Invalid if shown => Cause::invalid(&field, value, &detail),
        Reason::Invalid => Cause::invalid_whole(&field, &detail),
        Reason::Forbidden => Cause::forbidden(&field, &detail),
        Reason::Required => Cause::required(&field, &detail),
        Reason::Duplicate => Cause::duplicate(&field, shown.then_some(value)),
    }
}
