//! Only plain, namespaced objects of allowed kinds pass, and each refusal names the field and the fix.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_domain::manifest::{AllowedKind, Manifest};

fn allowed() -> Vec<AllowedKind> {
    let kind = |group: &str, version: &str, kind: &str, plural: &str, namespaced| AllowedKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced,
    };
    vec![
        kind("", "v1", "ConfigMap", "configmaps", true),
        kind("apps", "v1", "Deployment", "deployments", true),
        kind("", "v1", "PersistentVolume", "persistentvolumes", false),
    ]
}

fn config_map(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}});
    change(&mut object);
    object
}

fn findings(object: Value) -> Vec<String> {
    match Manifest::check(object, &allowed(), "zy-a-b-c") {
        Ok(_) => Vec::new(),
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    }
}

#[rstest]
#[case::plain(config_map(|_| {}))]
#[case::own_namespace(config_map(|o| o["metadata"]["namespace"] = json!("zy-a-b-c")))]
#[case::own_labels(config_map(|o| o["metadata"]["labels"] = json!({"app": "x", "not-zhengyun.io/a": "b", "zhengyun.io.example/a": "b"})))]
#[case::grouped(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {}}))]
fn good_objects_pass(#[case] object: Value) {
    assert_eq!(findings(object), Vec::<String>::new());
}

#[rstest]
#[case(json!([1]), "/ (manifest.object): a manifest must be a map")]
#[case(json!({}), "/apiVersion (manifest.kind): apiVersion is missing or not a text")]
#[case(json!({}), "/metadata/name (manifest.name): metadata.name is missing")]
#[case(
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
    "/kind (manifest.kind): v1 Secret is not on the item's list of kinds, which has apps/v1 Deployment, v1 ConfigMap"
)]
#[case(
    json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "a"}}),
    "/kind (manifest.kind): apps/v1beta1 Deployment is not on the item's list"
)]
#[case(
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "a"}}),
    "/kind (manifest.clusterScoped): PersistentVolume is cluster-scoped"
)]
#[case(config_map(|o| o["metadata"]["name"] = json!("Settings")), "\"Settings\" is not a DNS label")]
#[case(config_map(|o| o["metadata"]["name"] = json!("a".repeat(64))), "has 64 characters: use at most 63")]
#[case(config_map(|o| o["metadata"]["name"] = json!(7)), "metadata.name is not a text")]
#[case(
    config_map(|o| o["metadata"]["namespace"] = json!("kube-system")),
    "/metadata/namespace (manifest.namespace): metadata.namespace is \"kube-system\": leave it out, the object goes to \"zy-a-b-c\""
)]
#[case(config_map(|o| o["metadata"]["namespace"] = json!(null)), "/metadata/namespace (manifest.namespace)")]
#[case(config_map(|o| o["metadata"]["finalizers"] = json!([])), "/metadata/finalizers (manifest.forbiddenMetadata)")]
#[case(config_map(|o| o["metadata"]["ownerReferences"] = json!([])), "/metadata/ownerReferences (manifest.forbiddenMetadata)")]
#[case(config_map(|o| o["metadata"]["generateName"] = json!("a-")), "names are deterministic here: set metadata.name")]
#[case(config_map(|o| o["metadata"]["uid"] = json!("1")), "/metadata/uid (manifest.forbiddenMetadata)")]
#[case(config_map(|o| o["metadata"]["resourceVersion"] = json!("1")), "/metadata/resourceVersion (manifest.forbiddenMetadata)")]
#[case(
    config_map(|o| o["metadata"]["labels"] = json!({"zhengyun.io/grant": "mine"})),
    "/metadata/labels/zhengyun.io~1grant (manifest.reservedKey): metadata.labels has \"zhengyun.io/grant\", which only Zhengyun writes"
)]
#[case(config_map(|o| o["metadata"]["annotations"] = json!({"site.ZhengYun.io/epoch": "9"})), "(manifest.reservedKey)")]
#[case(config_map(|o| o["metadata"]["labels"] = json!({"count": 1})), "with a value that is not a text: quote it")]
#[case(config_map(|o| o["metadata"]["labels"] = json!("app")), "metadata.labels is not a map")]
#[case(config_map(|o| o["metadata"] = json!("settings")), "metadata is not a map")]
#[case(config_map(|o| o["status"] = json!({})), "/status (manifest.status): status is written by the controller")]
fn bad_objects_are_refused(#[case] object: Value, #[case] expected: &str) {
    let found = findings(object);
    assert!(found.iter().any(|finding| finding.contains(expected)), "{found:#?}");
}

#[test]
fn everything_wrong_is_listed_at_once() {
    let found = findings(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "status": {},
        "metadata": {"name": "X", "namespace": "other", "finalizers": ["a"]}
    }));
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn a_bundle_names_the_object_and_refuses_the_same_one_twice() {
    let twice = vec![config_map(|_| {}), config_map(|o| o["metadata"]["name"] = json!("other")), config_map(|_| {})];
    let found = Manifest::check_all(twice, &allowed(), "ns").unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "/2/metadata/name (manifest.duplicate): ConfigMap \"settings\" is rendered twice: give every object of a kind its own name"
    );
    let found = Manifest::check_all(vec![config_map(|_| {}), json!({})], &allowed(), "ns").unwrap_err();
    assert!(found.iter().all(|finding| finding.pointer.starts_with("/1/")), "{found:#?}");
    assert!(Manifest::check_all(Vec::new(), &allowed(), "ns").unwrap().is_empty());
}

#[test]
fn decorating_adds_and_keeps() {
    let object = config_map(|o| {
        o["metadata"]["labels"] = json!({"app": "x"});
        o["data"] = json!({"a": "b"});
    });
    let manifest = Manifest::check(object, &allowed(), "zy").unwrap();
    assert_eq!((manifest.name(), manifest.kind().plural.as_str()), ("settings", "configmaps"));
    let label = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    assert_eq!(
        manifest.clone().decorate("zy", &label("zhengyun.io/grant", "g"), &label("zhengyun.io/epoch", "7")),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "settings",
                "namespace": "zy",
                "labels": {"app": "x", "zhengyun.io/grant": "g"},
                "annotations": {"zhengyun.io/epoch": "7"}
            },
            "data": {"a": "b"}
        })
    );
    let plain = manifest.decorate("zy", &BTreeMap::new(), &BTreeMap::new());
    assert_eq!(plain["metadata"]["labels"], json!({"app": "x"}));
    assert!(plain["metadata"].get("annotations").is_none());
}
