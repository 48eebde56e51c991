//! The product's own credentials: short ServiceAccount tokens, renewed while the lab runs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use data_encoding::BASE64;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
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

/// Asks for a token of a ServiceAccount in the product's namespace.
pub async fn issue_token(client: &Client, account: &str, lifetime: Duration) -> Result<String> {
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(i64::try_from(lifetime.as_secs())?), ..Default::default() },
        ..Default::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await.with_context(|| {
        format!("a token of ServiceAccount {SYSTEM_NAMESPACE}/{account} (do the product's manifests create it?)")
    })?;
    Ok(answer.status.context("the apiserver answered without a token")?.token)
}

/// The kubeconfig of a component: it names a token file that is renewed beside it.
pub fn component_kubeconfig(dir: &Path, component: &str) -> PathBuf {
    dir.join(format!("{component}.kubeconfig"))
}

/// Renews a component's token in place, and writes its kubeconfig.
pub async fn renew_component(hub: &ControlPlane, dir: &Path, component: &str, lifetime: Duration) -> Result<()> {
    let token = issue_token(&hub.client_admin()?, component, lifetime).await?;
    let token_file = dir.join(format!("{component}.token"));
    write_private(&token_file, token.as_bytes())?;
    let text = kubeconfig_with_token_file(hub.name(), &hub.url(), &hub.ca_pem()?, component, &token_file)?;
    write_private(&component_kubeconfig(dir, component), text.as_bytes())
}

/// Renews the site driver's token: a kubeconfig with everything in it, in the hub's Secret `site-<site>`.
pub async fn renew_site(hub: &ControlPlane, site: &ControlPlane, lifetime: Duration) -> Result<()> {
    let token = issue_token(&site.client_admin()?, SITE_DRIVER, lifetime).await?;
    let text = kubeconfig(site.name(), &site.url(), &site.ca_pem()?, SITE_DRIVER, &token)?;
    let name = format!("site-{}", site.name());
    let secret: Value = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": name, "labels": { "zhengyun.io/site": site.name() } },
        "data": { "kubeconfig": BASE64.encode(text.as_bytes()) },
    });
    Api::<Secret>::namespaced(hub.client_admin()?, SYSTEM_NAMESPACE)
        .patch(&name, &PatchParams::apply("zhengyun-lab").force(), &Patch::Apply(&secret))
        .await
        .with_context(|| format!("write Secret {SYSTEM_NAMESPACE}/{name} on the hub"))?;
    Ok(())
}
