//! What a lab has beyond bare clusters: the product, its credentials, the simulated provisioner.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;

use super::{Assets, ControlPlane, Lab, LabOptions, credentials, install, project_root, provisioner};

impl Lab {
    pub(super) async fn install(&self, assets: &Assets, tell: &impl Fn(&str)) -> Result<()> {
        let (options, begun) = (&self.options, Instant::now());
        let hub = async { if options.product { install_hub(&self.hub).await } else { Ok(()) } };
        let sites = try_join_all(self.sites.values().map(|site| install_site(site, assets, options)));
        tokio::try_join!(hub, sites)?;
        let seconds = begun.elapsed().as_secs_f32();
        if options.product {
            tell(&format!("product installed on hub and sites ({seconds:.1} s)"));
        }
        if let Some(provisioner) = options.provisioner {
            tell("sites have the schemas of CloudNativePG and COSI, and a simulated provisioner");
            for site in self.sites.values() {
                let site = site.clone();
                self.background.spawn(async move {
                    // Made here: a client belongs to the runtime that made it.
                    match site.client_admin() {
                        Ok(client) => provisioner::run(client, provisioner).await,
                        Err(error) => tracing::error!(error = format!("{error:#}"), "no simulated provisioner"),
                    }
                });
            }
        }
        if self.options.product {
            self.renew_credentials().await?;
            self.keep_credentials_fresh();
            tell("operator, API and site drivers have tokens of their own ServiceAccounts");
        }
        Ok(())
    }

    /// One task per credential: a site that is down delays nobody else's token.
    fn keep_credentials_fresh(&self) {
        let lifetime = self.options.token_lifetime;
        for component in credentials::HUB_COMPONENTS {
            let (hub, dir) = (self.hub.clone(), self.credentials_dir());
            self.background.spawn(async move {
                let renew = || credentials::renew_component(&hub, &dir, component, lifetime.into());
                keep_fresh(component, lifetime, renew).await;
            });
        }
        for site in self.sites.values() {
            let (hub, site) = (self.hub.clone(), site.clone());
            self.background.spawn(async move {
                let renew = || credentials::renew_site(&hub, &site, lifetime.into());
                keep_fresh(site.name(), lifetime, renew).await;
            });
        }
    }
}

async fn install_hub(hub: &ControlPlane) -> Result<()> {
    let root = project_root();
    let mut objects = install::read_folder(&root.join("crds/yaml"))?;
    objects.extend(install::read_folder(&root.join("deploy/hub"))?);
    let client = hub.client_admin()?;
    install::ensure_namespace(&client, install::SYSTEM_NAMESPACE).await?;
    install::apply(&client, objects).await.context("install the product on the hub")
}

async fn install_site(site: &ControlPlane, assets: &Assets, options: &LabOptions) -> Result<()> {
    let client = site.client_admin()?;
    let what = || format!("install at site {}", site.name());
    if options.provisioner.is_some() {
        provisioner::install_schemas(&client, &assets.schemas).await.with_context(what)?;
        provisioner::install_classes(&client).await.with_context(what)?;
        site.restart_controller_manager().await.with_context(what)?;
    }
    if options.product {
        let objects = install::read_folder(&project_root().join("deploy/site"))?;
        install::ensure_namespace(&client, install::SYSTEM_NAMESPACE).await?;
        install::apply(&client, objects).await.with_context(what)?;
    }
    Ok(())
}

/// Renews at half of the lifetime, and tries again soon when that fails.
async fn keep_fresh<F>(whose: &str, lifetime: Duration, renew: impl Fn() -> F)
where
    F: Future<Output = Result<()>>,
{
    const RETRY: Duration = Duration::from_secs(5);
    let mut pause = lifetime / 2;
    loop {
        tokio::time::sleep(pause).await;
        pause = match renew().await {
            Ok(()) => lifetime / 2,
            Err(error) => {
                tracing::warn!(whose, error = format!("{error:#}"), "token not renewed; trying again");
                RETRY
            }
        };
    }
}
