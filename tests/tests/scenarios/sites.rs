//! Sites whose credential or cluster is not what it should be: nothing is delivered, and the condition says what to write instead.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::{ConditionType, Site, condition};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town, said};
use zhengyun_tests::world::apply;

use super::world::{contains, ours, says};

const SYSTEM: &str = "zhengyun-system";

fn site(name: &str) -> DynamicObject {
    ours(
        "Site",
        name,
        None,
        &json!({
            "displayNames": { "zh-CN": { "full": "坏站点" }, "en": { "full": "A bad site" } },
            "location": { "address": "nowhere", "latitude": "40.8", "longitude": "111.7" },
            "failureDomains": { "building": "a", "power": "b", "carrier": "c" },
            "architectures": ["amd64"], "protectionLevel": 2, "zones": ["GovernmentExtranet"], "capacity": { "cpu": "10" },
            "delivery": { "direct": { "secretName": format!("site-{name}") } }
        }),
    )
}

/// Changes the kubeconfig that works, as text.
async fn kubeconfig(town: &Town, change: impl Fn(&mut Value)) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(town.admin()?, SYSTEM);
    let secret = secrets.get("site-hohhot").await?;
    let bytes = secret.data.and_then(|d| d.get("kubeconfig").cloned()).context("the site's Secret has a kubeconfig")?;
    let mut config: Value = serde_saphyr::from_str(&String::from_utf8(bytes.0)?)?;
    change(&mut config);
    // JSON is YAML.
    Ok(config.to_string())
}

async fn put(town: &Town, name: &str, text: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(town.client_of("cloud-admin")?, SYSTEM);
    let body: Secret = serde_json::from_value(json!({
        "metadata": { "name": format!("site-{name}") }, "stringData": { "kubeconfig": text }
    }))?;
    secrets.create(&kube::api::PostParams::default(), &body).await?;
    Ok(())
}

pub(crate) async fn bad_credentials_are_refused(town: &Arc<Town>) -> Result<()> {
    const SECRET: &str = "hunter2-is-a-secret";
    let cases = [
        ("site-exec", kubeconfig(town, |c| {
            c["users"][0]["user"] = json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", SECRET] } });
        }).await?, "KubeconfigRefused", vec!["exec"]),
        ("site-path", kubeconfig(town, |c| {
            c["clusters"][0]["cluster"]["certificate-authority"] = json!("/etc/passwd");
        }).await?, "KubeconfigRefused", vec!["certificate-authority"]),
        ("site-insecure", kubeconfig(town, |c| {
            c["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = json!(true);
        }).await?, "KubeconfigRefused", vec!["insecure-skip-tls-verify"]),
        ("site-token-file", kubeconfig(town, |c| {
            c["users"][0]["user"] = json!({ "tokenFile": "/var/run/secret" });
        }).await?, "KubeconfigRefused", vec!["tokenFile"]),
        ("site-no-yaml", format!("token: [{SECRET}"), "KubeconfigRefused", vec!["kubeconfig"]),
        // Port 9 of this machine: nobody listens there.
        ("site-nowhere", kubeconfig(town, |c| {
            c["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:9");
        }).await?, "SiteUnreachable", vec!["does not answer"]),
        ("site-no-token", kubeconfig(town, |c| {
            c["users"][0]["user"]["token"] = json!(SECRET);
        }).await?, "SiteUnreachable", vec!["credential"]),
        // The very cluster that is registered as hohhot.
        ("site-twin", kubeconfig(town, |_| {}).await?, "DuplicateSite", vec!["hohhot", "delete one of the two"]),
    ];
    for (name, text, ..) in &cases {
        put(town, name, text).await?;
    }
    let admin = town.client_of("cloud-admin")?;
    let objects: Vec<_> = cases.iter().map(|(name, ..)| site(name)).chain([site("site-no-secret")]).collect();
    apply(&admin, &objects).await?;
    let mut wrong = Vec::new();
    for (name, _, reason, fragments) in &cases {
        match says(town, &site(name), reason).await {
            Ok(message) => {
                if let Err(error) = contains(name, &message, fragments) {
                    wrong.push(error.to_string());
                }
                if message.contains(SECRET) {
                    wrong.push(format!("{name}: the message repeats what is secret: {message}"));
                }
            }
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    let missing = says(town, &site("site-no-secret"), "KubeconfigRefused").await?;
    contains("no Secret", &missing, &["spec.delivery.direct.secretName", "site-site-no-secret", "kubeconfig"])?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let log = std::fs::read_to_string(town.operator().log())?;
    ensure!(!log.contains(SECRET), "the operator's log repeats what is secret");
    another_cluster(town).await?;

    let (sites, secrets): (Api<Site>, Api<Secret>) = (Api::all(admin.clone()), Api::namespaced(town.admin()?, SYSTEM));
    for object in &objects {
        sites.delete(&object.name_any(), &DeleteParams::default()).await?;
    }
    for (name, ..) in &cases {
        secrets.delete(&format!("site-{name}"), &DeleteParams::default()).await?;
    }
    settled("the bad sites gone", SOON, || async {
        for object in &objects {
            if let Some(site) = sites.get_opt(&object.name_any()).await? {
                return Ok(Err(said(&site.status.unwrap_or_default().conditions)));
            }
        }
        Ok(Ok(()))
    })
    .await
}

/// The Secret of a site that was joined suddenly leads to another cluster; then another cluster is expected than the one there.
async fn another_cluster(town: &Town) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(town.admin()?, SYSTEM);
    let (own, other) = (secrets.get("site-ulanqab").await?, secrets.get("site-hohhot").await?);
    let data = |secret: &Secret| json!({ "data": secret.data });
    let sites: Api<Site> = Api::all(town.admin()?);
    let pinned =
        sites.get("ulanqab").await?.status.and_then(|s| s.identity).context("a joined site has an identity")?;
    secrets.patch("site-ulanqab", &PatchParams::default(), &Patch::Merge(&data(&other))).await?;
    // The Secret is read when the site is looked at; writing on the site object makes the operator look.
    nudge(&sites, "wrong cluster").await?;
    let message = says(town, &site("ulanqab"), "DuplicateSite").await?;
    contains("another cluster", &message, &["hohhot"])?;
    secrets.patch("site-ulanqab", &PatchParams::default(), &Patch::Merge(&data(&own))).await?;
    nudge(&sites, "right again").await?;
    ready_again(&sites, &pinned).await?;
    let expect = |identity: Option<&str>| json!({ "spec": { "expectedIdentity": identity } });
    let other = expect(Some("00000000-0000-4000-8000-000000000000"));
    sites.patch("ulanqab", &PatchParams::default(), &Patch::Merge(&other)).await?;
    let message = says(town, &site("ulanqab"), "IdentityChanged").await?;
    let cluster = pinned.split('/').next().unwrap_or_default();
    contains(
        "an expected cluster",
        &message,
        &["spec.expectedIdentity", cluster, "00000000-0000-4000-8000-000000000000"],
    )?;
    sites.patch("ulanqab", &PatchParams::default(), &Patch::Merge(&expect(None))).await?;
    ready_again(&sites, &pinned).await
}

async fn ready_again(sites: &Api<Site>, pinned: &str) -> Result<()> {
    settled("site ulanqab Ready again", SOON, || async {
        let status = sites.get("ulanqab").await?.status.unwrap_or_default();
        let ready = condition::is_true(&status.conditions, ConditionType::Ready);
        Ok(if ready && status.identity.as_deref() == Some(pinned) { Ok(()) } else { Err(said(&status.conditions)) })
    })
    .await
}

async fn nudge(sites: &Api<Site>, why: &str) -> Result<()> {
    let note = json!({ "metadata": { "annotations": { "test.example/note": why } } });
    sites.patch("ulanqab", &PatchParams::default(), &Patch::Merge(&note)).await?;
    Ok(())
}
