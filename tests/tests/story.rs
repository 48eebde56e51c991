//! The product's main job on real control planes: the demo's story, a crash of the operator in the middle of a life, a machine room
//! that is emptied, twenty clients racing for one quota, and an audit of the books from outside at the end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by failing")]

use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kube::api::{ListParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::json;
use zhengyun_crds::{ApprovalPolicy, ConditionType, DepartmentQuota, RequestPhase, ResourceRequest, condition};
use zhengyun_tests::demo::{self, Sizes, Stage};
use zhengyun_tests::lab::client;
use zhengyun_tests::lab::supervisor::{self, Command, UpOptions};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::world;

const DEPARTMENT: &str = "finance";
const RACERS: usize = 20;
const REQUESTS: usize = 200;
/// Cores of finance at hohhot in the demo's world: one request asks for one.
const QUOTA: usize = 64;
/// What moves here in place of a million rows.
const SMALL: Sizes = Sizes { rows: 20_000, files: 100 };

#[tokio::test(flavor = "multi_thread")]
async fn from_request_to_zero_and_never_oversold() {
    client::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_path_buf();
    let options =
        UpOptions { dir: dir.clone(), sites: vec!["hohhot".to_owned(), "ulanqab".to_owned()], supervise: Vec::new() };
    let outcome = async {
        supervisor::up(&options, |step| eprintln!("{step}")).await?;
        tell(&dir).await
    }
    .await;
    // The supervisor is detached: it ends with the test, whatever came out.
    supervisor::down(&dir).await.unwrap();
    outcome.unwrap();
}

async fn tell(dir: &Path) -> anyhow::Result<()> {
    demo::play(dir.to_path_buf(), &mut |line| eprintln!("{line}")).await?;
    let stage = Stage::open(dir)?;
    let waiting = waiting_request(&stage).await?;
    demo::approve(dir.to_path_buf(), DEPARTMENT, &waiting, &mut |line| eprintln!("{line}")).await?;
    supervisor::request(dir, &Command::KillOperator).await?;
    demo::revoke(dir.to_path_buf(), DEPARTMENT, &waiting, &mut |line| eprintln!("{line}")).await?;
    demo::migrate(dir.to_path_buf(), SMALL, &mut |line| eprintln!("{line}")).await?;
    race(&stage, dir).await?;
    audit(&stage).await
}

async fn waiting_request(stage: &Stage) -> anyhow::Result<String> {
    let api: Api<ResourceRequest> = Api::namespaced(stage.watcher("hub").await?, &format!("dept-{DEPARTMENT}"));
    let all = api.list(&ListParams::default()).await?;
    let open = all.items.into_iter().find(|r| r.status.as_ref().and_then(|s| s.phase) == Some(RequestPhase::InReview));
    Ok(open.and_then(|r| r.metadata.name).expect("the story leaves one request waiting"))
}

/// Twenty clients ask for more than there is: exactly the quota is granted, and nobody hears another error than "exceeded".
async fn race(stage: &Stage, dir: &Path) -> anyhow::Result<()> {
    let admin = stage.client_of("cloud-admin").await?;
    world::apply(&admin, &[without_stages()?]).await?;
    let clerk = stage.client_of("clerk-finance").await?;
    let policies: Api<ApprovalPolicy> = Api::all(admin.clone());
    settled("the policy without stages in force", Duration::from_secs(30), || async {
        let status = policies.get("race").await?.status.unwrap_or_default();
        let ready = condition::is_true(&status.conditions, ConditionType::Ready);
        Ok(if ready { Ok(()) } else { Err(format!("{:?}", status.conditions)) })
    })
    .await?;
    let begun = Instant::now();
    let killed = tokio::spawn({
        let dir = dir.to_path_buf();
        async move { supervisor::request(&dir, &Command::KillOperator).await.map(drop) }
    });
    let created: Vec<kube::Result<ResourceRequest>> =
        stream::iter(0..REQUESTS).map(|number| ask(clerk.clone(), number)).buffer_unordered(RACERS).collect().await;
    for one in created {
        one?;
    }
    killed.await??;
    let api: Api<ResourceRequest> = Api::namespaced(stage.watcher("hub").await?, &format!("dept-{DEPARTMENT}"));
    let (granted, refused) = settled("every racer's answer", Duration::from_mins(3), || async {
        let all = api.list(&ListParams::default().labels("race=yes")).await?;
        let statuses: Vec<_> = all.items.iter().filter_map(|r| r.status.clone()).collect();
        let granted = statuses.iter().filter(|s| s.phase == Some(RequestPhase::Applied)).count();
        let refused: Vec<String> =
            statuses.iter().filter_map(|s| s.refusal.as_ref()).map(|r| r.reason.clone()).collect();
        let open = REQUESTS - granted - refused.len();
        Ok(if open == 0 { Ok((granted, refused)) } else { Err(format!("{open} of {REQUESTS} are open")) })
    })
    .await?;
    eprintln!("{REQUESTS} decisions in {:.1} s, the operator killed once", begun.elapsed().as_secs_f64());
    assert_eq!(granted, QUOTA, "exactly what the quota admits is granted");
    assert!(refused.iter().all(|reason| reason == "QuotaExceeded"), "only \"exceeded\" is heard: {refused:?}");
    let quotas: Api<DepartmentQuota> = Api::all(stage.watcher("hub").await?);
    settled("the quota shows exactly its limit used", Duration::from_secs(30), || async {
        let usage = quotas.get(DEPARTMENT).await?.status.unwrap_or_default().usage;
        let used =
            usage.iter().find(|u| u.site == "hohhot").and_then(|u| u.granted.get("cpu")).map(ToString::to_string);
        Ok(if used.as_deref() == Some("64") { Ok(()) } else { Err(format!("{used:?}")) })
    })
    .await
}

async fn ask(clerk: Client, number: usize) -> kube::Result<ResourceRequest> {
    let api: Api<ResourceRequest> = Api::namespaced(clerk, &format!("dept-{DEPARTMENT}"));
    let body: ResourceRequest = serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceRequest",
        "metadata": { "name": format!("race-{number:03}"), "labels": { "race": "yes" } },
        "spec": {
            "order": {
                "action": "Create", "system": "finance-e-invoice", "site": "hohhot", "class": "Test", "justification": "race",
                "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "1", "memory": "1Mi" } }]
            },
            "submission": 1, "requestedBy": "clerk-finance", "editedBy": "clerk-finance"
        }
    }))
    .map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &body).await
}

fn without_stages() -> anyhow::Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "race" },
        "spec": {
            "displayNames": { "zh-CN": { "full": "测试用免审批" }, "en": { "full": "No stages, for the race" } },
            "match": "request.action == 'Create' && request.class == 'Test'", "priority": 900,
            "autoApprove": { "basis": "a test" }, "confirm": "Auto", "holdSeconds": 0
        }
    }))?)
}

/// The books as somebody else than the operator computes them.
async fn audit(stage: &Stage) -> anyhow::Result<()> {
    zhengyun_tests::audit::balanced(&stage.kubeconfig_of("cloud-admin")?).await
}
