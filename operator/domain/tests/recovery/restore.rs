use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use zhengyun_crds::recovery::ExistingPolicy;
use zhengyun_domain::quantity::Quantity;
use zhengyun_domain::recovery::restore::{
    Action, Backed, Event, Existing, Journal, ObjectKey, Outcome, RestorePlan, SourceObject, TargetFacts, agree,
    content_digest, layers, plan, strip,
};

fn key(kind: &str, name: &str) -> ObjectKey {
    let group = match kind {
        "Deployment" => "apps",
        "Ingress" => "networking.k8s.io",
        "Widget" => "example.org",
        _ => "",
    };
    ObjectKey { group: group.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

fn object(kind: &str, name: &str) -> SourceObject {
    SourceObject {
        key: key(kind, name),
        version: "v1".to_owned(),
        digest: format!("sha256:{kind}-{name}"),
        owner: None,
        takes: BTreeMap::new(),
        delivered: false,
    }
}

fn backed(objects: Vec<SourceObject>) -> Backed {
    Backed {
        backup: "pay-20261126t020000-abcdef".to_owned(),
        department: "finance".to_owned(),
        manifest_root: "sha256:root".to_owned(),
        store: "far".to_owned(),
        verified: true,
        objects,
    }
}

fn target() -> TargetFacts {
    let kinds = ["Secret", "ConfigMap", "Deployment", "Ingress", "Widget", "PersistentVolumeClaim", "Service"];
    TargetFacts {
        department: "finance".to_owned(),
        site: "ulanqab".to_owned(),
        grant: "pay-abcdef".to_owned(),
        grant_uid: "u".to_owned(),
        live: true,
        serves: kinds
            .into_iter()
            .map(|kind| ((key(kind, "").group, kind.to_owned()), BTreeSet::from(["v1".to_owned()])))
            .collect(),
        existing: BTreeMap::new(),
        quota: BTreeMap::new(),
    }
}

fn existing(digest: &str, ours: bool) -> Existing {
    Existing { digest: digest.to_owned(), ours }
}

fn order(plan: &RestorePlan) -> Vec<&str> {
    plan.objects.iter().map(|object| object.key.kind.as_str()).collect()
}

#[test]
fn objects_come_in_layers() {
    let mixed = ["Ingress", "Deployment", "Widget", "PersistentVolumeClaim", "Secret"];
    let objects = mixed.iter().map(|kind| object(kind, "a")).collect();
    let plan = plan(&backed(objects), &target(), ExistingPolicy::Fail).unwrap();
    assert_eq!(order(&plan), ["Secret", "PersistentVolumeClaim", "Widget", "Deployment", "Ingress"]);
    assert!(plan.objects.iter().all(|object| object.action == Action::Create));
    assert!(plan.blockers.is_empty());
}

#[test]
fn what_is_owned_comes_after_its_owner() {
    let mut secret = object("Secret", "token");
    secret.owner = Some(key("Deployment", "web"));
    let mut orphan = object("Secret", "orphan");
    orphan.owner = Some(key("Widget", "gone"));
    let plan =
        plan(&backed(vec![secret, orphan, object("Deployment", "web")]), &target(), ExistingPolicy::Fail).unwrap();
    let names: Vec<&str> = plan.objects.iter().map(|object| object.key.name.as_str()).collect();
    assert_eq!(names, ["orphan", "web", "token"]);
}

#[test]
fn a_circle_of_owners_and_a_long_chain_end() {
    let mut circle = [object("Widget", "a"), object("Widget", "b")];
    circle[0].owner = Some(key("Widget", "b"));
    circle[1].owner = Some(key("Widget", "a"));
    assert_eq!(layers(&circle).len(), 2);
    let chain: Vec<SourceObject> = (0..2_000)
        .map(|n| {
            let mut object = object("Widget", &n.to_string());
            object.owner = (n > 0).then(|| key("Widget", &(n - 1).to_string()));
            object
        })
        .collect();
    assert_eq!(layers(&chain)[&key("Widget", "1999")], 4 + 1_999);
}

#[rstest]
#[case(ExistingPolicy::Fail, None, Some("TargetConflict"))]
#[case(ExistingPolicy::Skip, Some(Action::Skip), None)]
#[case(ExistingPolicy::Replace, Some(Action::Replace), None)]
fn what_is_there_and_differs(
    #[case] policy: ExistingPolicy,
    #[case] action: Option<Action>,
    #[case] blocked: Option<&str>,
) {
    let mut target = target();
    target.existing.insert(key("Secret", "a"), existing("sha256:other", false));
    let plan = plan(&backed(vec![object("Secret", "a")]), &target, policy).unwrap();
    assert_eq!(plan.objects.first().map(|object| object.action), action);
    assert_eq!(plan.blockers.first().map(|blocker| blocker.finding().rule), blocked.map(str::to_owned));
}

#[test]
fn what_is_equal_is_left_alone_and_what_is_ours_is_never_replaced() {
    let mut target = target();
    target.existing.insert(key("Secret", "a"), existing("sha256:Secret-a", false));
    target.existing.insert(key("Secret", "b"), existing("sha256:other", true));
    let objects = vec![object("Secret", "a"), object("Secret", "b")];
    let replaced = plan(&backed(objects.clone()), &target, ExistingPolicy::Replace).unwrap();
    assert_eq!(replaced.objects[0].action, Action::Leave);
    assert!(replaced.blockers[0].finding().message.contains("kept by Zhengyun"));
    let skipped = plan(&backed(objects), &target, ExistingPolicy::Skip).unwrap();
    assert_eq!(skipped.objects[1].action, Action::Skip);
}

/// The frame of another grant differs by its very nature: it must neither block nor be written, whatever the policy.
#[rstest]
#[case(ExistingPolicy::Fail)]
#[case(ExistingPolicy::Skip)]
#[case(ExistingPolicy::Replace)]
fn what_was_delivered_is_not_restored(#[case] policy: ExistingPolicy) {
    let mut frame = object("Service", "zhengyun-quota");
    frame.delivered = true;
    let mut target = target();
    for present in [None, Some(existing("sha256:another", true))] {
        target.existing.extend(present.map(|present| (frame.key.clone(), present)));
        let plan = plan(&backed(vec![frame.clone()]), &target, policy).unwrap();
        assert!(plan.blockers.is_empty(), "{:?}", plan.blockers);
        assert_eq!(plan.objects[0].action, Action::Delivered);
        assert_eq!(Journal::default().counts(&plan).delivered, 1);
        assert_eq!(Journal::default().compared(&plan), Event::ComparedEqual);
    }
}

#[test]
fn what_is_used_of_a_quota_does_not_change_the_plan_and_what_is_missing_does() {
    let mut one = object("Secret", "a");
    one.takes.insert("secrets".to_owned(), Quantity::try_from(1_i64).unwrap());
    let with = |used: i64| {
        let mut target = target();
        let amount = |n: i64| Quantity::try_from(n).unwrap();
        target.quota.insert("secrets".to_owned(), (amount(10), amount(used)));
        plan(&backed(vec![one.clone()]), &target, ExistingPolicy::Fail).unwrap()
    };
    assert_eq!(with(1).digest(), with(2).digest());
    assert_ne!(with(1).digest(), with(10).digest());
    assert_eq!(with(10).blockers.len(), 1);
}

#[test]
fn kinds_and_versions_that_are_not_served_block() {
    let mut newer = object("Widget", "a");
    newer.version = "v2".to_owned();
    let mut unknown = object("Gadget", "b");
    unknown.key.group = "example.org".to_owned();
    let plan = plan(&backed(vec![newer, unknown]), &target(), ExistingPolicy::Fail).unwrap();
    let messages: Vec<String> = plan.blockers.iter().map(|blocker| blocker.finding().message).collect();
    assert!(messages[1].contains("captured as v2, the site serves v1"), "{messages:?}");
    assert!(messages[0].contains("does not serve this kind"), "{messages:?}");
}

#[test]
fn quota_counts_what_is_made_anew() {
    let gib = |n: i64| Quantity::try_from(n << 30).unwrap();
    let mut target = target();
    target.quota.insert("requests.storage".to_owned(), (gib(10), gib(4)));
    target.existing.insert(key("PersistentVolumeClaim", "b"), existing("sha256:PersistentVolumeClaim-b", false));
    let mut objects = vec![object("PersistentVolumeClaim", "a"), object("PersistentVolumeClaim", "b")];
    for object in &mut objects {
        object.takes.insert("requests.storage".to_owned(), gib(5));
    }
    let fits = plan(&backed(objects.clone()), &target, ExistingPolicy::Fail).unwrap();
    assert!(fits.blockers.is_empty());
    assert_eq!(fits.quota[0].adds, gib(5));
    target.existing.clear();
    let short = plan(&backed(objects), &target, ExistingPolicy::Fail).unwrap();
    let finding = short.blockers[0].finding();
    assert_eq!(finding.rule, "QuotaExceeded");
    assert_eq!(short.quota[0].short_by, gib(4));
}

#[test]
fn what_rules_a_restore_out() {
    let refused = |backed: &Backed, target: &TargetFacts| -> Vec<String> {
        plan(backed, target, ExistingPolicy::Replace).unwrap_err().into_iter().map(|finding| finding.rule).collect()
    };
    let other = TargetFacts { department: "emergency".to_owned(), ..target() };
    assert_eq!(refused(&backed(Vec::new()), &other), ["CrossDepartment"]);
    assert_eq!(refused(&backed(Vec::new()), &TargetFacts { live: false, ..target() }), ["GrantNotLive"]);
    assert_eq!(refused(&Backed { verified: false, ..backed(Vec::new()) }, &target()), ["BackupNotVerified"]);
}

#[test]
fn an_execution_is_exactly_the_agreed_plan() {
    let objects = vec![object("Secret", "a")];
    let agreed = plan(&backed(objects.clone()), &target(), ExistingPolicy::Fail).unwrap();
    assert!(agree(&agreed, &agreed.digest()).is_ok());
    // The same, whatever the order in which it was found.
    let mut target = target();
    target.existing.insert(key("Secret", "a"), existing("sha256:other", false));
    let now = plan(&backed(objects), &target, ExistingPolicy::Replace).unwrap();
    let findings = agree(&now, &agreed.digest()).unwrap_err();
    assert_eq!(findings[0].rule, "PlanChanged");
    let blocked = plan(&backed(vec![object("Secret", "a")]), &target, ExistingPolicy::Fail).unwrap();
    assert_eq!(agree(&blocked, &blocked.digest()).unwrap_err()[0].rule, "TargetConflict");
}

#[rstest]
#[case(|b: &mut Backed, _: &mut TargetFacts| b.manifest_root = "sha256:x".to_owned())]
#[case(|b: &mut Backed, _: &mut TargetFacts| b.store = "near".to_owned())]
#[case(|b: &mut Backed, _: &mut TargetFacts| b.objects[0].digest = "sha256:x".to_owned())]
#[case(|b: &mut Backed, _: &mut TargetFacts| b.objects.push(object("Secret", "c")))]
#[case(|_: &mut Backed, t: &mut TargetFacts| t.grant_uid = "v".to_owned())]
#[case(|_: &mut Backed, t: &mut TargetFacts| t.site = "hohhot".to_owned())]
fn whatever_changes_changes_the_digest(#[case] change: fn(&mut Backed, &mut TargetFacts)) {
    let (mut from, mut to) = (backed(vec![object("Secret", "a"), object("Secret", "b")]), target());
    let before = plan(&from, &to, ExistingPolicy::Fail).unwrap().digest();
    from.objects.reverse();
    assert_eq!(plan(&from, &to, ExistingPolicy::Fail).unwrap().digest(), before, "order is not part of it");
    from.objects.reverse();
    change(&mut from, &mut to);
    assert_ne!(plan(&from, &to, ExistingPolicy::Fail).unwrap().digest(), before);
}

#[test]
fn the_servers_own_fields_do_not_count() {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "web", "namespace": "a", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{}],
            "labels": { "app": "web", "zhengyun.io/grant": "g" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" }
        },
        "spec": { "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{ "port": 80, "nodePort": 30001 }], "selector": { "app": "web" } },
        "status": { "loadBalancer": {} }
    });
    let stripped = strip(service.clone());
    assert_eq!(
        stripped,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web", "namespace": "a", "labels": { "app": "web" } },
            "spec": { "ports": [{ "port": 80 }], "selector": { "app": "web" } }
        })
    );
    let mut elsewhere = stripped.clone();
    elsewhere["metadata"]["namespace"] = json!("b");
    assert_eq!(content_digest(service), content_digest(elsewhere));
    let mut changed = stripped;
    changed["spec"]["ports"][0]["port"] = json!(81);
    assert_ne!(content_digest(changed.clone()), content_digest(strip(json!({ "kind": "Service" }))));
    let headless = strip(
        json!({ "apiVersion": "v1", "kind": "Service", "spec": { "clusterIP": "None", "clusterIPs": ["None"] } }),
    );
    assert_eq!(headless["spec"]["clusterIP"], "None");
}

#[test]
fn a_job_and_a_claim_lose_what_binds_them_to_the_old_cluster() {
    let job = strip(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j", "labels": { "job-name": "j", "a": "b" } },
        "spec": {
            "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": "u" } },
            "template": { "metadata": { "labels": { "batch.kubernetes.io/controller-uid": "u", "app": "j" } } }
        }
    }));
    assert_eq!(job["spec"], json!({ "template": { "metadata": { "labels": { "app": "j" } } } }));
    assert_eq!(job["metadata"]["labels"], json!({ "a": "b" }));
    let manual = json!({ "apiVersion": "batch/v1", "kind": "Job", "spec": { "manualSelector": true, "selector": { "matchLabels": { "a": "b" } } } });
    assert_eq!(strip(manual.clone()), manual);
    let claim = strip(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
        "spec": { "volumeName": "pv-1", "storageClassName": "fast" }
    }));
    assert_eq!(claim["spec"], json!({ "storageClassName": "fast" }));
    assert_eq!(claim["metadata"], json!({}));
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Created),
        1 => Just(Outcome::Replaced),
        1 => Just(Outcome::Unchanged),
        1 => Just(Outcome::Skipped),
        2 => Just(Outcome::Failed("no".to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Interrupted anywhere and taken up again: every object is written once, in the order of layers.
    #[test]
    fn a_killed_restore_resumes(count in 1_usize..60, kills in prop::collection::vec(0_usize..20, 0..8)) {
        let kinds = ["Secret", "Deployment", "Ingress"];
        let objects = (0..count).map(|n| object(kinds[n % 3], &format!("o{n}"))).collect();
        let plan = plan(&backed(objects), &target(), ExistingPolicy::Fail).unwrap();
        let mut journal = Journal::default();
        let mut written: Vec<(u32, ObjectKey)> = Vec::new();
        for steps in kills.into_iter().chain([usize::MAX]) {
            let batch: Vec<_> = journal.remaining(&plan).take(steps).map(|o| (o.layer, o.key.clone())).collect();
            for (layer, key) in batch {
                journal.record(&key, Outcome::Created);
                written.push((layer, key));
            }
        }
        prop_assert_eq!(written.len(), count);
        prop_assert!(written.iter().map(|(layer, _)| *layer).is_sorted());
        prop_assert_eq!(written.iter().map(|(_, key)| key).collect::<BTreeSet<_>>().len(), count);
        prop_assert_eq!(journal.compared(&plan), Event::ComparedEqual);
        prop_assert_eq!(journal.counts(&plan).created, i64::try_from(count).unwrap());
    }

    /// It completes if and only if everything that the plan writes stands.
    #[test]
    fn nothing_is_complete_on_a_part(results in prop::collection::vec(prop::option::of(outcomes()), 1..20)) {
        let objects = (0..results.len()).map(|n| object("Secret", &format!("o{n}"))).collect();
        let plan = plan(&backed(objects), &target(), ExistingPolicy::Fail).unwrap();
        let mut journal = Journal::default();
        for (n, result) in results.iter().enumerate() {
            if let Some(result) = result {
                journal.record(&key("Secret", &format!("o{n}")), result.clone());
            }
        }
        let stands = |o: &Option<Outcome>| matches!(o, Some(Outcome::Created | Outcome::Replaced | Outcome::Unchanged));
        prop_assert_eq!(journal.compared(&plan) == Event::ComparedEqual, results.iter().all(stands));
        let failed_or_open = results.iter().filter(|r| matches!(r, None | Some(Outcome::Failed(_)))).count();
        prop_assert_eq!(journal.remaining(&plan).count(), failed_or_open);
    }
}
