//! The product's own credentials: short ServiceAccount tokens, renewed while the lab runs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use data_encoding::BASE64;
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Secret, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    control_plane::{ControlPlane, kubeconfig, kubeconfig_with_token_file, write_private},
    install::SYSTEM_NAMESPACE,
};

/// The shortest lifetime the apiserver grants.
pub const SHORTEST_LIFETIME: Duration = Duration::from_mins(10);

/// The ServiceAccounts on the hub whose programs run beside the lab.
pub const HUB_COMPONENTS: [&str; 2] = ["zhengyun-operator", "zhengyun-api"];
const SITE_DRIVER: &str = "zhengyun-driver";
const SITE_RECOVERY: &str = "zhengyun-recovery";

/// How long a token lives, and the Secret of the product's namespace with which it dies earlier.
#[derive(Clone, Copy, Debug)]
pub struct Life<'a> {
    /// Lifetime; [`SHORTEST_LIFETIME`] at least.
    pub lifetime: Duration,
    /// Name of the Secret, if the token is to be invalid once that is deleted.
    pub bound_to: Option<&'a str>,
}

impl From<Duration> for Life<'_> {
    fn from(lifetime: Duration) -> Self {
        Self { lifetime, bound_to: None }
    }
}

/// Asks for a token of a ServiceAccount in the product's namespace.
pub async fn issue_token(client: &Client, account: &str, life: impl Into<Life<'_>>) -> Result<String> {
    let life = life.into();
    let bound = match life.bound_to {
        Some(name) => Some(anchor(client, name).await?),
        None => None,
    };
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(i64::try_from(life.lifetime.as_secs())?),
            bound_object_ref: bound,
            ..Default::default()
        },
        ..Default::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await.with_context(|| {
        format!("a token of ServiceAccount {SYSTEM_NAMESPACE}/{account} (do the product's manifests create it?)")
    })?;
    Ok(answer.status.context("the apiserver answered without a token")?.token)
}

/// The Secret that tokens are bound to; made where it is missing.
async fn anchor(client: &Client, name: &str) -> Result<BoundObjectReference> {
    let body: Value = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name } });
    let secret = Api::<Secret>::namespaced(client.clone(), SYSTEM_NAMESPACE)
        .patch(name, &PatchParams::apply("zhengyun-lab"), &Patch::Apply(&body))
        .await
        .with_context(|| format!("make Secret {SYSTEM_NAMESPACE}/{name}"))?;
    Ok(BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        name: Some(name.to_owned()),
        uid: secret.metadata.uid,
    })
}

/// The token file of a component.
pub fn token_file(dir: &Path, component: &str) -> PathBuf {
    dir.join(format!("{component}.token"))
}

/// The kubeconfig of a component: it names a token file that is renewed beside it.
pub fn component_kubeconfig(dir: &Path, component: &str) -> PathBuf {
    dir.join(format!("{component}.kubeconfig"))
}

/// Renews a component's token in place, and writes its kubeconfig.
pub async fn renew_component(hub: &ControlPlane, dir: &Path, component: &str, life: Life<'_>) -> Result<()> {
    let token = issue_token(&hub.client_admin()?, component, life).await?;
    let token_file = token_file(dir, component);
    write_private(&token_file, token.as_bytes())?;
    let text = kubeconfig_with_token_file(hub.name(), &hub.url(), &hub.ca_pem()?, component, &token_file)?;
    write_private(&component_kubeconfig(dir, component), text.as_bytes())
}

/// Renews the tokens of the site's driver and of its recovery account: kubeconfigs with everything in them, in the hub's Secret
/// `site-<site>`.
pub async fn renew_site(hub: &ControlPlane, site: &ControlPlane, life: Life<'_>) -> Result<()> {
    let client = site.client_admin()?;
    let mut texts = Vec::new();
    for account in [SITE_DRIVER, SITE_RECOVERY] {
        let token = issue_token(&client, account, life).await?;
        let text = kubeconfig(site.name(), &site.url(), &site.ca_pem()?, account, &token)?;
        texts.push(BASE64.encode(text.as_bytes()));
    }
    let name = format!("site-{}", site.name());
    let secret: Value = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": name, "labels": { "zhengyun.io/site": site.name() } },
        "data": { "kubeconfig": texts.first(), "recoveryKubeconfig": texts.get(1) },
    });
    Api::<Secret>::namespaced(hub.client_admin()?, SYSTEM_NAMESPACE)
        .patch(&name, &PatchParams::apply("zhengyun-lab").force(), &Patch::Apply(&secret))
        .await
        .with_context(|| format!("write Secret {SYSTEM_NAMESPACE}/{name} on the hub"))?;
    Ok(())
}
