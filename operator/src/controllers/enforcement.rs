//! Whether the admission policies are in force as shipped: the operator trusts the API server's guards, but checks that they stand.

use std::sync::OnceLock;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::ResourceExt;

use super::{Context, Watches};

/// The policies as shipped. Every default is written out there, so a live spec equals the shipped one or was changed.
const SHIPPED: &str = include_str!("../../../deploy/hub/policies.yaml");
const FIX: &str = "apply the chart again (helm upgrade) or deploy/hub/policies.yaml";

/// The shipped policies and their bindings.
#[derive(Debug, Default)]
struct Shipped {
    policies: Vec<ValidatingAdmissionPolicy>,
    bindings: Vec<ValidatingAdmissionPolicyBinding>,
}

/// Why decisions may not be acted on; `None` when every shipped policy and binding stands as shipped.
pub fn not_enforced(context: &Context) -> Option<String> {
    static SHIPPED_ONCE: OnceLock<Shipped> = OnceLock::new();
    missing(&context.watches, SHIPPED_ONCE.get_or_init(shipped))
}

fn shipped() -> Shipped {
    let mut all = Shipped::default();
    for document in SHIPPED.split("\n---") {
        let value: Option<serde_json::Value> = serde_saphyr::from_str(document).ok();
        let kind = value.as_ref().and_then(|v| v.get("kind")).and_then(serde_json::Value::as_str).unwrap_or_default();
        match kind {
            "ValidatingAdmissionPolicy" => all.policies.extend(serde_saphyr::from_str(document).ok()),
            "ValidatingAdmissionPolicyBinding" => all.bindings.extend(serde_saphyr::from_str(document).ok()),
            _ => {}
        }
    }
    all
}

fn missing(watches: &Watches, shipped: &Shipped) -> Option<String> {
    if shipped.policies.is_empty() || shipped.bindings.is_empty() {
        return Some("this operator was built without its admission policies; install a proper build".to_owned());
    }
    let policies = shipped.policies.iter().map(|policy| {
        let name = policy.name_any();
        let same = watches.admission.get(&name).map(|live| live.spec == policy.spec);
        ("ValidatingAdmissionPolicy", name, same)
    });
    let bindings = shipped.bindings.iter().map(|binding| {
        let name = binding.name_any();
        let same = watches.bindings.get(&name).map(|live| live.spec == binding.spec);
        ("ValidatingAdmissionPolicyBinding", name, same)
    });
    policies.chain(bindings).find_map(|(kind, name, same)| fault(kind, &name, same))
}

/// What is wrong with a policy or binding, by whether what is there is the same as shipped.
fn fault(kind: &str, name: &str, same: Option<bool>) -> Option<String> {
    match same {
        Some(true) => None,
        None => Some(format!("{kind} {name} is missing, so nobody may decide until it is back; {FIX}")),
        Some(false) => Some(format!(
            "{kind} {name} differs from the shipped one, so nobody may decide until it is restored; {FIX}"
        )),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_shipped_document_is_read() {
        let all = super::shipped();
        let written = super::SHIPPED.matches("\nkind: ValidatingAdmissionPolicy\n").count();
        assert!(written > 0);
        assert_eq!(all.policies.len(), written);
        assert_eq!(all.bindings.len(), super::SHIPPED.matches("\nkind: ValidatingAdmissionPolicyBinding\n").count());
    }
}
