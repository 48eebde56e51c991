//! **The schema of a CustomResourceDefinition** at work: pruning, defaults, structural validation, list types, CEL rules.
//!
//! Compiled once from the definition, then applied to every object as the extension API server of Kubernetes 1.36 does it:
//! unknown fields are pruned, nulls dropped or replaced, defaults set ([`Schema::prepare`]); then the object is checked
//! ([`Schema::validate`]), with what did not change since the old object forgiven (ratcheting). What a definition holds beyond
//! what is modelled here is an error of [`Schema::of`], not a rule that silently never applies.

mod causes;
mod check;
mod correlate;
mod embedded;
mod fields;
mod formats;
mod lists;
mod metadata;
mod node;
mod numbers;
mod parse;
mod prepare;
mod rules;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::Value;

pub use causes::Cause;
pub(crate) use formats::Format;
pub use metadata::check as check_metadata;
pub(crate) use node::{Kind, ListType, Node};

use causes::BLOCKING;
use correlate::Correlated;

/// Schemas that were compiled: simulations define the same kinds again and again.
static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Compiled>>>> = LazyLock::new(Mutex::default);

/// A compiled schema. Copies share what is compiled.
#[derive(Clone, Debug)]
pub struct Schema(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    root: Node,
    api_version: String,
    kind: String,
}

impl Schema {
    /// Compiles the schema of a version of a CustomResourceDefinition. One that was compiled before in this process is not
    /// compiled again.
    ///
    /// # Errors
    /// No such version, or a construct, pattern or expression that is not modelled; the error says where.
    pub fn of(crd: &Value, version: &str) -> Result<Self> {
        let text = |pointer: &str| {
            let found = crd.pointer(pointer).and_then(Value::as_str);
            found.with_context(|| format!("the definition has no {pointer}"))
        };
        let (group, kind) = (text("/spec/group")?, text("/spec/names/kind")?);
        let versions =
            crd.pointer("/spec/versions").and_then(Value::as_array).context("the definition has no versions")?;
        let served = versions.iter().find(|v| v.get("name").and_then(Value::as_str) == Some(version));
        let served = served.with_context(|| format!("{kind} has no version {version}"))?;
        let schema = served.pointer("/schema/openAPIV3Schema").context("the version has no schema")?;
        let api_version = format!("{group}/{version}");
        let key = format!("{api_version} {kind} {schema}");
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&key) {
            return Ok(Self(Arc::clone(found)));
        }
        let root = parse::root(schema).with_context(|| format!("{kind} of {api_version}"))?;
        let compiled = Arc::new(Compiled { root, api_version, kind: kind.to_owned() });
        known().insert(key, Arc::clone(&compiled));
        Ok(Self(compiled))
    }

    /// Brings an object into the form that is validated and stored: unknown fields pruned, nulls that are not allowed dropped,
    /// metadata reduced to what there is, defaults set.
    pub fn prepare(&self, object: &mut Value) {
        prepare::prepare(object, &self.0.root);
    }

    /// Sets defaults, and nothing else.
    pub(crate) fn set_defaults(&self, object: &mut Value) {
        prepare::set_defaults(object, &self.0.root);
    }

    /// Takes away what the schema does not know, and nothing else.
    pub(crate) fn prune(&self, object: &mut Value) {
        prepare::prune(object, Some(&self.0.root));
    }

    /// What is wrong with an object: on its own at its creation, or as the successor of another.
    ///
    /// The causes are in the order in which the API server finds them, but for fields of one object, which it visits in no fixed
    /// order. Metadata is checked by [`check_metadata`], whose causes belong before these.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        self.validate_with(object, old, Vec::new())
    }

    /// Like [`Schema::validate`], with what is wrong with the metadata, which may keep rules from being checked.
    pub(crate) fn validate_with(&self, object: &Value, old: Option<&Value>, metadata: Vec<Cause>) -> Vec<Cause> {
        let correlated = old.map(|old| Correlated::root(object, old, &self.0.root));
        self.checked(object, old, |causes| {
            causes.extend(metadata);
            check::check(&self.0.root, object, "", correlated.as_ref(), causes);
        })
    }

    /// What is wrong with an object whose status alone is written.
    pub fn validate_status(&self, object: &Value, old: &Value) -> Vec<Cause> {
        let correlated = Correlated::root(object, old, &self.0.root);
        self.checked(object, Some(old), |causes| {
            let (Some(node), Some(status)) = (self.0.root.field("status"), object.get("status")) else { return };
            let from = causes.len();
            check::check(node, status, "", correlated.field("status").as_ref(), causes);
            causes.iter_mut().skip(from).for_each(|cause| cause.put_under("status"));
        })
    }

    fn checked(&self, object: &Value, old: Option<&Value>, structural: impl FnOnce(&mut Vec<Cause>)) -> Vec<Cause> {
        let mut causes = self.check_type(object);
        if !causes.is_empty() {
            return causes;
        }
        structural(&mut causes);
        embedded::check(&self.0.root, object, "", &mut causes);
        let mut duplicates = Vec::new();
        lists::check(&self.0.root, object, "", &mut duplicates);
        // Lists that held duplicates before may hold some still.
        let forgiven = !duplicates.is_empty()
            && old.is_some_and(|old| {
                let mut before = Vec::new();
                lists::check(&self.0.root, old, "", &mut before);
                !before.is_empty()
            });
        if !forgiven {
            causes.extend(duplicates);
        }
        if self.0.root.has_rules {
            if causes.iter().any(|cause| BLOCKING.contains(&cause.reason.as_str())) {
                causes.push(Cause::not_checked());
            } else {
                rules::check(&self.0.root, object, old, &mut causes);
            }
        }
        causes
    }

    fn check_type(&self, object: &Value) -> Vec<Cause> {
        let told = |field: &str, wanted: &str| {
            let is = object.get(field).and_then(Value::as_str).unwrap_or_default();
            (is != wanted).then(|| Cause::invalid(field, &Value::from(is), &format!("must be {wanted}")))
        };
        [told("kind", &self.0.kind), told("apiVersion", &self.0.api_version)].into_iter().flatten().collect()
    }
}
