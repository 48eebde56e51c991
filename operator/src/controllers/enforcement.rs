//! Whether the admission policies are in force as shipped: the operator trusts the API server's guards, but checks that they stand.

use serde_json::Value;

use super::{Context, Watches};
use zhengyun_domain::delivery::covers;

/// The policies as shipped.
const SHIPPED: &str = include_str!("../../../deploy/hub/policies.yaml");

/// Why decisions may not be acted on; `None` when every shipped policy and binding stands as shipped.
pub fn not_enforced(context: &Context) -> Option<String> {
    missing(&context.watches, &shipped())
}

/// The shipped policies and bindings as objects.
fn shipped() -> Vec<Value> {
    SHIPPED
        .split("\n---")
        .filter_map(|document| serde_saphyr::from_str::<Value>(document).ok())
        .filter(|value| {
            value.get("kind").and_then(Value::as_str).is_some_and(|k| k.starts_with("ValidatingAdmissionPolicy"))
        })
        .collect()
}

fn missing(watches: &Watches, shipped: &[Value]) -> Option<String> {
    for object in shipped {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let live = if kind == "ValidatingAdmissionPolicy" {
            watches.admission.get(name).and_then(|p| serde_json::to_value(&p.spec).ok())
        } else {
            watches.bindings.get(name).and_then(|b| serde_json::to_value(&b.spec).ok())
        };
        let fix = "apply the chart again (helm upgrade) or deploy/hub/policies.yaml";
        match (live, object.get("spec")) {
            (None, _) => {
                return Some(format!("{kind} {name} is missing, so nobody may decide until it is back; {fix}"));
            }
            (Some(live), Some(spec)) if !covers(&live, spec) => {
                return Some(format!(
                    "{kind} {name} differs from the shipped one, so nobody may decide until it is restored; {fix}"
                ));
            }
            _ => {}
        }
    }
    None
}
