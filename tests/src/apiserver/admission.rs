//! **ValidatingAdmissionPolicies**, as any set of policies and bindings that stands in the store at the moment.
//!
//! Modelled: resource rules with names, scope and sub-resources, excluded rules, namespace and object selectors of policies and
//! bindings, match conditions, variables (computed at their first use), validations with message, messageExpression and reason,
//! failurePolicy, parameters by name with parameterNotFoundAction, the authorizer. Not modelled, and an error when a policy is
//! loaded: audit annotations, parameters by selector. Not modelled, without an error: the actions Warn and Audit, which refuse
//! nothing; a policy that is in force a moment after it was written (here it is at once).

mod matching;
mod policy;
mod request;
mod selector;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use super::cel::{Access, Authorize, Question, Val};
use super::user::User;
use matching::Matching;
use policy::{Decided, Policy};

/// A request that is to be admitted.
pub struct Admission<'a> {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'a str,
    /// API group of the resource; empty for the core group.
    pub group: &'a str,
    /// API version of the resource, such as `v1`.
    pub version: &'a str,
    /// Plural of the resource.
    pub resource: &'a str,
    /// Sub-resource; empty for the object itself.
    pub subresource: &'a str,
    /// Kind of the object.
    pub kind: &'a str,
    /// Name of the object; empty while it is to be generated.
    pub name: &'a str,
    /// Namespace of the object; empty for an object of the whole cluster.
    pub namespace: &'a str,
    /// The object as it would be stored; none for a deletion.
    pub object: Option<&'a Value>,
    /// The object as it is stored; none for a creation.
    pub old: Option<&'a Value>,
    /// The namespace as it is stored; for a request about a namespace, that namespace.
    pub namespace_object: Option<&'a Value>,
    /// Who sends it.
    pub user: &'a User,
    /// Whether nothing is to be stored.
    pub dry_run: bool,
    /// `CreateOptions`, `UpdateOptions`, `PatchOptions` or `DeleteOptions`, where there are any.
    pub options: Option<&'a Value>,
    /// Finds a parameter by API version, kind, namespace and name.
    pub params: &'a dyn Fn(&str, &str, &str, &str) -> Option<Value>,
    /// Answers whether the sender has a right.
    pub authorizer: &'a Authorize<'a>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// HTTP status code.
    pub code: u16,
    /// Reason in one word, such as `Forbidden`.
    pub reason: String,
    /// `ValidatingAdmissionPolicy 'x' with binding 'y' denied request: …`. The API server puts `<resource> "<name>" is
    /// forbidden: ` before it, whatever the reason.
    pub message: String,
}

/// What no policy judges: the objects that configure policies, and questions that are stored nowhere.
const EXCLUDED: &[(&str, &str)] = &[
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
];

/// A policy's use.
#[derive(Debug)]
struct Binding {
    name: String,
    policy: String,
    matching: Option<Matching>,
    param: Option<ParamRef>,
    denies: bool,
}

#[derive(Debug)]
struct ParamRef {
    name: String,
    namespace: String,
    deny_when_missing: bool,
}

/// Policies and their bindings.
#[derive(Debug, Default)]
pub struct Policies {
    policies: Vec<Arc<Policy>>,
    bindings: Vec<Binding>,
}

impl Policies {
    /// Compiles `ValidatingAdmissionPolicy` and `ValidatingAdmissionPolicyBinding` objects. A policy that was compiled before in
    /// this process is not compiled again.
    ///
    /// # Errors
    /// An expression that does not compile, or a field that is not modelled; the error names the policy.
    pub fn of(policies: &[Value], bindings: &[Value]) -> Result<Self> {
        let mut compiled = policies.iter().map(memorised).collect::<Result<Vec<_>>>()?;
        compiled.sort_by(|a, b| a.name.cmp(&b.name));
        let mut bindings = bindings
            .iter()
            .map(|binding| Binding::read(binding).with_context(|| format!("the binding {}", name_of(binding))))
            .collect::<Result<Vec<_>>>()?;
        bindings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { policies: compiled, bindings })
    }

    /// Whether the request is let through. Of several policies that refuse it the first by name is told; a real API server tells
    /// any of them.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, request: &Admission<'_>) -> Result<(), Denied> {
        if EXCLUDED.iter().any(|(group, resource)| *group == request.group && *resource == request.resource) {
            return Ok(());
        }
        for policy in &self.policies {
            if !policy.matching.matches(request) {
                continue;
            }
            for binding in self.bindings.iter().filter(|b| b.policy == policy.name && b.denies) {
                if binding.matching.as_ref().is_some_and(|matching| !matching.matches(request)) {
                    continue;
                }
                if let Some(decided) = binding.decide(policy, request) {
                    return Err(decided.denied(&policy.name, &binding.name));
                }
            }
        }
        Ok(())
    }
}

impl Binding {
    fn read(binding: &Value) -> Result<Self> {
        let spec = binding.get("spec").and_then(Value::as_object).context("no spec")?;
        only(spec, &["policyName", "paramRef", "matchResources", "validationActions"])?;
        let text = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let param = spec.get("paramRef").and_then(Value::as_object).map(|param| -> Result<ParamRef> {
            only(param, &["name", "namespace", "parameterNotFoundAction"])?;
            Ok(ParamRef {
                name: text(param, "name").context("paramRef without a name")?,
                namespace: text(param, "namespace").unwrap_or_default(),
                deny_when_missing: text(param, "parameterNotFoundAction").as_deref() == Some("Deny"),
            })
        });
        let actions = spec.get("validationActions").and_then(Value::as_array).into_iter().flatten();
        Ok(Self {
            name: name_of(binding).to_owned(),
            policy: text(spec, "policyName").context("no policyName")?,
            matching: spec.get("matchResources").map(Matching::read).transpose()?,
            param: param.transpose()?,
            denies: actions.filter_map(Value::as_str).any(|action| action == "Deny"),
        })
    }

    fn decide(&self, policy: &Policy, request: &Admission<'_>) -> Option<Decided> {
        let (Some((version, kind)), Some(param)) = (&policy.param_kind, &self.param) else {
            return policy.decide(request, None);
        };
        let namespace = if param.namespace.is_empty() { request.namespace } else { param.namespace.as_str() };
        match (request.params)(version, kind, namespace, &param.name) {
            Some(found) => policy.decide(request, Some(&found)),
            None if param.deny_when_missing && policy.fails => Some(Decided::error(
                "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
                    .to_owned(),
            )),
            None => None,
        }
    }
}

/// Compiles a policy, or finds it compiled.
fn memorised(policy: &Value) -> Result<Arc<Policy>> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Policy>>>> = LazyLock::new(Mutex::default);
    let name = name_of(policy);
    let spec = policy.get("spec").with_context(|| format!("the policy {name} has no spec"))?;
    let key = format!("{name} {spec}");
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known().get(&key) {
        return Ok(Arc::clone(found));
    }
    let compiled = Arc::new(Policy::read(name, spec).with_context(|| format!("the policy {name}"))?);
    known().insert(key, Arc::clone(&compiled));
    Ok(compiled)
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Fields that are not modelled are an error, so that none is ignored.
fn only(map: &Map<String, Value>, known: &[&str]) -> Result<()> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => bail!("{unknown} is not modelled"),
        None => Ok(()),
    }
}
