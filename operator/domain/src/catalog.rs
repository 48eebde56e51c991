//! The catalogue: what an item is, and what a line of an order becomes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use zhengyun_crds::Reason;
use zhengyun_crds::catalog::{AllowedKind, CatalogItem, CatalogItemSpec};
use zhengyun_crds::grant::Bundle;
use zhengyun_crds::request::{Finding, ItemRevision, OrderItem};

use crate::amounts::Amounts;
use crate::digest;
use crate::expression::{Bindings, Ceilings, Charges, CostLimits};
use crate::manifest::{self, Manifest};
use crate::parameters::ParameterSchema;
use crate::readiness::ReadinessRule;
use crate::request::{finding, item_is_ready};
use crate::template::{Template, TemplateLimits};

/// What a template's expressions may look at.
pub const TEMPLATE_VARIABLES: [&str; 7] = ["parameters", "name", "count", "index", "grant", "department", "system"];

/// Kinds that live outside namespaces although a careless item might list them.
const CLUSTER_SCOPED: [&str; 12] = [
    "Namespace",
    "Node",
    "PersistentVolume",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "StorageClass",
    "PriorityClass",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "APIService",
];

/// Kinds that the driver keeps for itself: an item that rendered one could undo the namespace's own rules.
const RESERVED: [&str; 6] = ["NetworkPolicy", "ResourceQuota", "LimitRange", "Role", "RoleBinding", "ServiceAccount"];

/// A line of an order with its place.
#[derive(Clone, Copy, Debug)]
pub struct LineContext<'a> {
    /// Department that orders.
    pub department: &'a str,
    /// Information system.
    pub system: &'a str,
    /// Grant that it would belong to.
    pub grant: &'a str,
    /// The line.
    pub line: &'a OrderItem,
    /// JSON pointer to the line.
    pub pointer: &'a str,
}

/// What a line becomes.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// What it is charged.
    pub charge: Amounts,
    /// What is delivered for it.
    pub bundle: Bundle,
}

/// The revision of an item that a review pins.
pub fn revision(item: &CatalogItem) -> ItemRevision {
    ItemRevision {
        item: item.metadata.name.clone().unwrap_or_default(),
        generation: item.metadata.generation.unwrap_or_default(),
        digest: digest::of(&item.spec),
    }
}

/// What is wrong with an item, field by field; empty when it can be ordered.
pub fn review(spec: &CatalogItemSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(faults) = ParameterSchema::compile(&Value::Object(spec.parameters.clone())) {
        findings.extend(faults.into_iter().map(|f| placed("/spec/parameters", f)));
    }
    let limits = CostLimits::default();
    if let Err(error) = Charges::compile(&spec.charges, &limits) {
        findings.push(finding(
            &format!("/spec/charges/{}", error.resource),
            Reason::ExpressionFailed,
            error.to_string(),
        ));
    }
    if let Err(error) = Ceilings::compile(&spec.ceilings, &limits) {
        findings.push(finding(
            &format!("/spec/ceilings/{}", error.resource),
            Reason::ExpressionFailed,
            error.to_string(),
        ));
    }
    for (at, rule) in spec.readiness.iter().enumerate() {
        if let Err(error) = ReadinessRule::compile(&rule.expression, &limits) {
            findings.push(finding(
                &format!("/spec/readiness/{at}/expression"),
                Reason::ExpressionFailed,
                error.to_string(),
            ));
        }
    }
    for (at, object) in spec.template.iter().enumerate() {
        let pointer = format!("/spec/template/{at}");
        if let Err(error) =
            Template::compile(&Value::Object(object.clone()), &TEMPLATE_VARIABLES, &TemplateLimits::default())
        {
            findings.push(finding(&pointer, Reason::ExpressionFailed, error.to_string()));
        }
        findings.extend(kind_faults(object, &spec.allowed_kinds, &pointer));
    }
    findings
}

fn kind_faults(object: &Map<String, Value>, allowed: &[AllowedKind], pointer: &str) -> Vec<Finding> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let mut findings = Vec::new();
    if CLUSTER_SCOPED.contains(&kind) {
        let message = format!("{kind} lives outside namespaces; a template may hold only namespaced kinds");
        findings.push(finding(&format!("{pointer}/kind"), Reason::TemplateRefused, message));
    } else if RESERVED.contains(&kind) {
        let message =
            format!("{kind} is kept by Zhengyun itself in every grant's namespace; leave it out of the template");
        findings.push(finding(&format!("{pointer}/kind"), Reason::TemplateRefused, message));
    } else if !allowed.iter().any(|a| a.kind == kind && api_version_of(a) == api_version) {
        let message = format!("{api_version} {kind} is not in allowedKinds; add it there, or correct the template");
        findings.push(finding(&format!("{pointer}/kind"), Reason::TemplateRefused, message));
    }
    findings
}

fn api_version_of(kind: &AllowedKind) -> String {
    if kind.group.is_empty() { kind.version.clone() } else { format!("{}/{}", kind.group, kind.version) }
}

/// Renders a line of an order: validates its parameters, computes its charge, renders its objects.
///
/// # Errors
/// Everything that is wrong with it, with pointers into the order.
pub fn render(item: &CatalogItem, context: &LineContext<'_>) -> Result<Rendered, Vec<Finding>> {
    let pointer = context.pointer;
    if !item_is_ready(item) {
        let message = format!(
            "catalogue item {} cannot be ordered at present; see its conditions with `kubectl get catalogitem {} -o wide`",
            context.line.item, context.line.item
        );
        return Err(vec![finding(&format!("{pointer}/item"), Reason::ItemNotReady, message)]);
    }
    let schema = ParameterSchema::compile(&Value::Object(item.spec.parameters.clone()))
        .map_err(|faults| faults.into_iter().map(|f| placed(pointer, f)).collect::<Vec<_>>())?;
    let parameters = schema.resolve(&Value::Object(context.line.parameters.clone())).map_err(|faults| {
        faults.into_iter().map(|f| placed(&format!("{pointer}/parameters"), f)).collect::<Vec<_>>()
    })?;
    let charge = charge(&item.spec, &parameters, context)?;
    let bundle = bundle(&item.spec, &parameters, context)?;
    Ok(Rendered { charge, bundle })
}

fn charge(spec: &CatalogItemSpec, parameters: &Value, context: &LineContext<'_>) -> Result<Amounts, Vec<Finding>> {
    let failed =
        |error: &dyn std::fmt::Display| vec![finding(context.pointer, Reason::ExpressionFailed, error.to_string())];
    let charges = Charges::compile(&spec.charges, &CostLimits::default()).map_err(|e| failed(&e))?;
    charges.evaluate(parameters, i64::from(context.line.count)).map_err(|e| failed(&e))
}

fn bundle(spec: &CatalogItemSpec, parameters: &Value, context: &LineContext<'_>) -> Result<Bundle, Vec<Finding>> {
    let pointer = context.pointer;
    let failed = |error: String| vec![finding(pointer, Reason::ExpressionFailed, error)];
    let count = i64::from(context.line.count);
    let ceilings = Ceilings::compile(&spec.ceilings, &CostLimits::default())
        .and_then(|c| c.evaluate(parameters, count))
        .map_err(|e| failed(e.to_string()))?;
    let mut bundle = Bundle {
        ceilings: ceilings.into_iter().map(|(key, amount)| (key, amount.to_string().into())).collect(),
        kinds: spec.allowed_kinds.clone(),
        readiness: spec.readiness.clone(),
        residue: spec.residue.clone(),
        network: spec.network.clone(),
        ..Bundle::default()
    };
    let allowed: Vec<manifest::AllowedKind> = spec.allowed_kinds.iter().map(allowed_kind).collect();
    for template in &spec.template {
        let compiled =
            Template::compile(&Value::Object(template.clone()), &TEMPLATE_VARIABLES, &TemplateLimits::default())
                .map_err(|e| failed(e.to_string()))?;
        for index in 0..count {
            let bindings = bindings(parameters, context, index).map_err(|e| failed(e.to_string()))?;
            let object = compiled.render(&bindings).map_err(|e| failed(e.to_string()))?;
            Manifest::check(object.clone(), &allowed, "")
                .map_err(|faults| faults.into_iter().map(|f| refused(pointer, &f)).collect::<Vec<_>>())?;
            if let Value::Object(object) = object {
                bundle.objects.push(object);
            }
        }
    }
    Ok(bundle)
}

fn bindings(
    parameters: &Value,
    context: &LineContext<'_>,
    index: i64,
) -> Result<Bindings, crate::expression::ExpressionError> {
    Bindings::new()
        .with("parameters", parameters)?
        .with("name", &json!(context.line.name))?
        .with("count", &json!(context.line.count))?
        .with("index", &json!(index))?
        .with("grant", &json!(context.grant))?
        .with("department", &json!(context.department))?
        .with("system", &json!(context.system))
}

fn allowed_kind(kind: &AllowedKind) -> manifest::AllowedKind {
    manifest::AllowedKind {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
        namespaced: !CLUSTER_SCOPED.contains(&kind.kind.as_str()),
    }
}

fn placed(pointer: &str, fault: crate::finding::Finding) -> Finding {
    finding(&format!("{pointer}{}", fault.pointer), Reason::ParametersInvalid, fault.message)
}

fn refused(pointer: &str, fault: &crate::finding::Finding) -> Finding {
    finding(
        pointer,
        Reason::TemplateRefused,
        format!("the rendered object is not allowed at {}: {}", fault.pointer, fault.message),
    )
}

/// Adds a line's bundle to a grant's. Ceilings add up; two objects of one kind and name are refused.
///
/// # Errors
/// A sentence that names both.
pub fn merge(into: &mut Bundle, line: Bundle) -> Result<(), String> {
    for object in line.objects {
        let identity = identity(&object);
        if into.objects.iter().any(|o| self::identity(o) == identity) {
            return Err(format!("two lines render the same object {identity}; give the lines different names"));
        }
        into.objects.push(object);
    }
    let mut sums: BTreeMap<String, crate::quantity::Quantity> = BTreeMap::new();
    for (key, text) in into.ceilings.iter().chain(&line.ceilings) {
        let amount: crate::quantity::Quantity =
            text.as_str().parse().map_err(|e: crate::quantity::QuantityError| e.to_string())?;
        let sum = sums.entry(key.clone()).or_default();
        *sum = sum.checked_add(&amount).map_err(|e| format!("ceiling {key}: {e}"))?;
    }
    into.ceilings = sums.into_iter().map(|(key, sum)| (key, sum.to_string().into())).collect();
    extend_unique(&mut into.kinds, line.kinds);
    extend_unique(&mut into.readiness, line.readiness);
    extend_unique(&mut into.residue, line.residue);
    extend_unique(&mut into.network, line.network);
    Ok(())
}

fn identity(object: &Map<String, Value>) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text(object.get("metadata").and_then(|m| m.get("name")));
    format!("{} {} {name}", text(object.get("apiVersion")), text(object.get("kind")))
}

fn extend_unique<T: PartialEq>(into: &mut Vec<T>, more: Vec<T>) {
    for item in more {
        if !into.contains(&item) {
            into.push(item);
        }
    }
}
