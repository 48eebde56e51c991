//! How the product behaves: I8, deletions name what they hit; I9, what is sent twice has one effect; I11, it writes only where it has business; I13, no secret is told.

use super::{View, on_hub};
use crate::apiserver::Verb;
use crate::sim::people;

/// Stands in every token of the simulated world.
pub(crate) const CANARY: &str = "simulated-token-of-";

fn is_product(view: &View<'_>) -> bool {
    let user = &view.commit.user;
    *user == people::operator().name || *user == people::driver().name
}

pub(super) fn deletes_are_guarded(view: &View<'_>) -> Vec<String> {
    let marked = view.commit.after.pointer("/metadata/deletionTimestamp").is_some()
        && view.commit.before.as_ref().is_some_and(|b| b.pointer("/metadata/deletionTimestamp").is_none());
    // What a finalizer's end lets go was asked for by somebody before.
    let at_once = view.commit.verb == Verb::Delete
        && view.commit.before.as_ref().is_some_and(|b| b.pointer("/metadata/deletionTimestamp").is_none());
    if is_product(view) && (marked || at_once) && !view.commit.guarded {
        return vec!["it is deleted without a UID".to_owned()];
    }
    Vec::new()
}

/// What a person sends through the API again, because no answer came, makes nothing twice.
pub(super) fn one_effect(view: &View<'_>) -> Vec<String> {
    if view.commit.verb != Verb::Create || !view.commit.agent.starts_with("api-") || view.commit.key.plural == "events"
    {
        return Vec::new();
    }
    let key = &view.commit.key;
    let twins = on_hub(view.before, &key.plural).filter(|(other, object)| {
        other.namespace == key.namespace && object.get("spec") == view.commit.after.get("spec")
    });
    twins.map(|(other, _)| format!("{} says the same already", other.name)).collect()
}

pub(super) fn stays_in_place(view: &View<'_>) -> Vec<String> {
    if !is_product(view) {
        return Vec::new();
    }
    let key = &view.commit.key;
    let space = if key.plural == "namespaces" { key.name.as_str() } else { key.namespace.as_str() };
    let good = if view.commit.cluster == "hub" {
        space.is_empty() || space.starts_with("dept-") || matches!(space, "zhengyun-system" | "default")
    } else {
        space.starts_with("zy-") || (space == "zhengyun-system" && key.name == "zhengyun-fence")
    };
    if good { Vec::new() } else { vec!["it has no business there".to_owned()] }
}

pub(super) fn no_secret_told(view: &View<'_>) -> Vec<String> {
    if view.commit.key.plural == "secrets" || !is_product(view) {
        return Vec::new();
    }
    let told = view.commit.after.to_string().contains(CANARY);
    if told { vec!["it tells a token".to_owned()] } else { Vec::new() }
}
