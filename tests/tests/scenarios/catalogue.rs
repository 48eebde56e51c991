//! Catalogue items and approval policies that cannot work: found when they are written, or at the latest before anything is charged.

use std::sync::Arc;

use anyhow::Result;
use kube::api::DeleteParams;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::{ApprovalPolicy, CatalogItem};
use zhengyun_tests::town::Town;
use zhengyun_tests::world::apply;

use super::world::{contains, forget, order, ours, says};

/// An item with one charge and one template.
fn item(name: &str, charge: &str, kinds: &Value, template: &Value) -> DynamicObject {
    ours(
        "CatalogItem",
        name,
        None,
        &json!({
            "displayNames": { "zh-CN": { "full": "坏目录项" }, "en": { "full": "A bad item" } },
            "parameters": { "type": "object", "additionalProperties": false, "properties": { "n": { "type": "integer", "default": 1 } } },
            "charges": { "cpu": charge }, "allowedKinds": kinds, "template": template
        }),
    )
}

fn config_map(more: &Value) -> Value {
    let mut object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "${name}" } });
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

pub(crate) async fn bad_items_are_refused(town: &Arc<Town>) -> Result<()> {
    let admin = town.client_of("cloud-admin")?;
    let kinds = json!([{ "version": "v1", "kind": "ConfigMap", "plural": "configmaps" }]);
    let cluster = json!([{ "group": "rbac.authorization.k8s.io", "version": "v1", "kind": "ClusterRole", "plural": "clusterroles" }]);
    let cluster_role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "x" }, "rules": [] });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "x" } });
    let policy = ours(
        "ApprovalPolicy",
        "bad-policy",
        None,
        &json!({
            "displayNames": { "zh-CN": { "full": "坏流程" }, "en": { "full": "A bad policy" } },
            "match": "request.action ==", "priority": 1, "stages": [{ "name": "department" }]
        }),
    );
    // What can be told from the item alone is told on the item.
    let standing = [
        (item("bad-syntax", "parameters.n +", &kinds, &json!([])), "ExpressionFailed", vec!["/spec/charges/cpu"]),
        (item("bad-variable", "nobody.n", &kinds, &json!([])), "ExpressionFailed", vec!["/spec/charges/cpu", "nobody"]),
        (
            item("bad-cluster", "'1'", &cluster, &json!([cluster_role])),
            "TemplateRefused",
            vec!["/spec/template/0/kind", "ClusterRole"],
        ),
        (
            item("bad-kind", "'1'", &kinds, &json!([secret])),
            "TemplateRefused",
            vec!["/spec/template/0/kind", "Secret", "allowedKinds"],
        ),
        (policy, "ExpressionFailed", vec!["spec.match"]),
    ];
    apply(&admin, &standing.iter().map(|(object, ..)| object.clone()).collect::<Vec<_>>()).await?;
    for (object, reason, fragments) in &standing {
        contains(&object.name_any(), &says(town, object, reason).await?, fragments)?;
    }
    let policies: Api<ApprovalPolicy> = Api::all(admin.clone());
    policies.delete("bad-policy", &DeleteParams::default()).await?;

    // What shows only with an order's parameters is told on the request, and nothing is charged.
    let rendered = [
        (
            "bad-charge",
            item("bad-charge", "quantity(string(parameters.n / 0))", &kinds, &json!([])),
            "ExpressionFailed",
            vec!["/order/items/0", "cpu"],
        ),
        (
            "bad-endless",
            item("bad-endless", ENDLESS, &kinds, &json!([])),
            "ExpressionFailed",
            vec!["/order/items/0", "cpu"],
        ),
        (
            "bad-foreign",
            item(
                "bad-foreign",
                "'1'",
                &kinds,
                &json!([config_map(&json!({ "metadata": { "name": "${name}", "namespace": "kube-system" } }))]),
            ),
            "TemplateRefused",
            vec!["metadata.namespace", "kube-system"],
        ),
        (
            "bad-finalizer",
            item(
                "bad-finalizer",
                "'1'",
                &kinds,
                &json!([config_map(&json!({ "metadata": { "name": "${name}", "finalizers": ["a.example/b"] } }))]),
            ),
            "TemplateRefused",
            vec!["metadata.finalizers"],
        ),
        // One good object and one that the site's own schema refuses.
        (
            "bad-object",
            item(
                "bad-object",
                "'1'",
                &kinds,
                &json!([config_map(&json!({ "data": { "a": "b" } })), { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "${name}-2" }, "data": { "a": ["no", "text"] } }]),
            ),
            "DryRunRefused",
            vec!["ConfigMap", "line-2"],
        ),
    ];
    apply(&admin, &rendered.iter().map(|(_, object, ..)| object.clone()).collect::<Vec<_>>()).await?;
    for (name, object, reason, fragments) in &rendered {
        says(town, object, "Accepted").await?;
        town.submit("clerk-finance", "finance", name, &order(name, "line", &json!({ "n": 1 }))).await?;
        let (said, message) = town.refused("finance", name).await?;
        anyhow::ensure!(said == *reason, "{name}: {said} instead of {reason}: {message}");
        contains(name, &message, fragments)?;
        forget(town, "finance", name).await?;
    }
    let items: Api<CatalogItem> = Api::all(admin);
    for name in standing
        .iter()
        .filter(|(o, ..)| o.types.as_ref().is_some_and(|t| t.kind == "CatalogItem"))
        .map(|(o, ..)| o.name_any())
        .chain(rendered.iter().map(|r| r.0.to_owned()))
    {
        items.delete(&name, &DeleteParams::default()).await?;
    }
    Ok(())
}

/// Two million steps, if nobody counted them.
const ENDLESS: &str = "[1,2,3,4,5,6,7,8].all(a,[1,2,3,4,5,6,7,8].all(b,[1,2,3,4,5,6,7,8].all(c,[1,2,3,4,5,6,7,8].all(d,\
    [1,2,3,4,5,6,7,8].all(e,[1,2,3,4,5,6,7,8].all(f,[1,2,3,4,5,6,7,8].all(g,a+b+c+d+e+f+g>0)))))))?'1':'2'";
