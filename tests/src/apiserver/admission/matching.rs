//! Which requests a policy or a binding is about.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::selector::Selector;
use super::{Admission, only};

/// `matchConstraints` of a policy, or `matchResources` of a binding.
#[derive(Debug)]
pub(super) struct Matching {
    namespaces: Selector,
    objects: Selector,
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
    names: Vec<String>,
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Cluster,
    Namespaced,
}

impl Matching {
    pub(super) fn read(matching: &Value) -> Result<Self> {
        let map = matching.as_object().context("no object")?;
        // With one version of each kind, `Equivalent` and `Exact` are the same.
        only(map, &["matchPolicy", "namespaceSelector", "objectSelector", "resourceRules", "excludeResourceRules"])?;
        let selector = |key: &str| map.get(key).map_or_else(|| Ok(Selector::default()), Selector::read);
        let rules = |key: &str| -> Result<Vec<Rule>> {
            map.get(key).and_then(Value::as_array).into_iter().flatten().map(Rule::read).collect()
        };
        Ok(Self {
            namespaces: selector("namespaceSelector")?,
            objects: selector("objectSelector")?,
            rules: rules("resourceRules")?,
            excluded: rules("excludeResourceRules")?,
        })
    }

    pub(super) fn matches(&self, request: &Admission<'_>) -> bool {
        let any = |rules: &[Rule]| rules.iter().any(|rule| rule.matches(request));
        (self.rules.is_empty() || any(&self.rules))
            && !any(&self.excluded)
            && self.takes_namespace(request)
            && (self.objects.is_empty() || self.objects.takes(request.object) || self.objects.takes(request.old))
    }

    fn takes_namespace(&self, request: &Admission<'_>) -> bool {
        let of_namespaces = is_namespace(request);
        if self.namespaces.is_empty() || (request.namespace.is_empty() && !of_namespaces) {
            return true;
        }
        let written = of_namespaces && request.subresource.is_empty() && request.operation != "DELETE";
        let namespace = if written { request.object } else { request.namespace_object };
        self.namespaces.takes(namespace.or(if of_namespaces { request.old } else { None }))
    }
}

/// Whether the request is about a namespace itself.
pub(super) fn is_namespace(request: &Admission<'_>) -> bool {
    request.group.is_empty() && request.resource == "namespaces"
}

impl Rule {
    fn read(rule: &Value) -> Result<Self> {
        let map = rule.as_object().context("a rule is an object")?;
        only(map, &["apiGroups", "apiVersions", "resources", "operations", "resourceNames", "scope"])?;
        let texts = |key: &str| -> Vec<String> {
            let list = map.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Ok(Self {
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            operations: texts("operations"),
            names: texts("resourceNames"),
            scope: match map.get("scope").and_then(Value::as_str) {
                None | Some("*") => Scope::All,
                Some("Cluster") => Scope::Cluster,
                Some("Namespaced") => Scope::Namespaced,
                Some(other) => bail!("the scope {other:?} is not modelled"),
            },
        })
    }

    fn matches(&self, request: &Admission<'_>) -> bool {
        let one = |list: &[String], value: &str| list.iter().any(|known| known == "*" || known == value);
        let resource = |known: &String| {
            let (resource, part) = known.split_once('/').unwrap_or((known, ""));
            (resource == "*" || resource == request.resource) && (part == "*" || part == request.subresource)
        };
        let cluster = is_namespace(request) || request.namespace.is_empty();
        one(&self.groups, request.group)
            && one(&self.versions, request.version)
            && one(&self.operations, request.operation)
            && self.resources.iter().any(resource)
            && (self.names.is_empty() || self.names.iter().any(|name| name == request.name))
            && (self.scope == Scope::All || (self.scope == Scope::Cluster) == cluster)
    }
}
