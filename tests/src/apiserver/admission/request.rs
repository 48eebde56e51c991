//! What a policy's expressions see of a request.

use std::cell::OnceCell;

use serde_json::{Value, json};

use super::policy::Policy;
use super::{Access, Admission, Question, Val, matching};
use crate::apiserver::cel::{Fault, Outcome, Variables};

/// Variables that every expression may use, in the order of their indices; the policy's own come after them.
pub(super) const GIVEN: &[&str] = &["object", "oldObject", "request", "params", "namespaceObject", "authorizer"];

/// The request as a JSON object, `AdmissionRequest` of the API.
pub(super) fn described(request: &Admission<'_>) -> Value {
    let mut user = json!({ "username": request.user.name });
    let mut described = json!({
        "operation": request.operation,
        "kind": { "group": request.group, "version": request.version, "kind": request.kind },
        "resource": { "group": request.group, "version": request.version, "resource": request.resource },
        "dryRun": request.dry_run,
        "options": request.options
    });
    let put = |into: &mut Value, key: &str, value: &str| {
        if let (Some(map), false) = (into.as_object_mut(), value.is_empty()) {
            map.insert(key.to_owned(), Value::from(value));
        }
    };
    put(&mut user, "uid", &request.user.uid);
    if let (Some(map), false) = (user.as_object_mut(), request.user.groups.is_empty()) {
        map.insert("groups".to_owned(), json!(request.user.groups));
    }
    // A namespace is in itself, as requests have it.
    let namespace = if matching::is_namespace(request) { request.name } else { request.namespace };
    put(&mut described, "name", request.name);
    put(&mut described, "namespace", namespace);
    put(&mut described, "subResource", request.subresource);
    if let Some(map) = described.as_object_mut() {
        map.insert("userInfo".to_owned(), user);
        map.retain(|_, value| !value.is_null());
    }
    described
}

/// The variables of one evaluation of a policy.
pub(super) struct Scene<'a> {
    pub(super) policy: &'a Policy,
    pub(super) admission: &'a Admission<'a>,
    pub(super) described: &'a Value,
    pub(super) params: Option<&'a Value>,
    /// Whether the namespace is told: match conditions do not see it.
    pub(super) with_namespace: bool,
    /// The policy's own variables, once they were asked for.
    pub(super) computed: Vec<OnceCell<Outcome<'a>>>,
}

impl<'a> Variables<'a> for Scene<'a> {
    fn get(&self, index: usize) -> Outcome<'a> {
        let or_null = |value: Option<&'a Value>| Ok(value.map_or(Val::Null, Val::plain));
        match index {
            0 => or_null(self.admission.object),
            1 => or_null(self.admission.old),
            2 => Ok(Val::plain(self.described)),
            3 => or_null(self.params),
            4 => {
                let told = self.with_namespace
                    && !matching::is_namespace(self.admission)
                    && !self.admission.namespace.is_empty();
                or_null(self.admission.namespace_object.filter(|_| told))
            }
            5 => Ok(Question::begin()),
            own => {
                let at = own.saturating_sub(GIVEN.len());
                let missing = || Fault::of("no such variable");
                let (Some(cell), Some((name, program))) = (self.computed.get(at), self.policy.variables.get(at)) else {
                    return Err(missing());
                };
                if let Some(known) = cell.get() {
                    return known.clone();
                }
                let value = program.evaluate(self).map_err(|fault| {
                    Fault::new(format!("composited variable \"{name}\" fails to evaluate: {}", fault.text()))
                });
                cell.get_or_init(|| value).clone()
            }
        }
    }

    fn authorize(&self, access: &Access) -> Result<bool, Fault> {
        Ok((self.admission.authorizer)(access))
    }
}
