//! Credentials of ten minutes are renewed three times while everything else happens, and each former one is made invalid.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::{Api, Client};
use tokio::task::JoinHandle;
use zhengyun_crds::{ConditionType, Site, condition};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town, said};

const ROTATIONS: usize = 3;
/// A program reads its token file again within a minute (kube's client), and the operator a site's Secret within half of one.
const TAKEN_UP: Duration = Duration::from_secs(70);

/// The renewal that goes on beside the scenes.
pub(crate) struct Rotation {
    task: JoinHandle<Result<()>>,
}

impl Rotation {
    pub(crate) fn start(town: &Arc<Town>) -> Self {
        let own = Arc::clone(town);
        Self { task: tokio::spawn(async move { rotate(&own).await }) }
    }

    /// Waits for the last rotation; operator and API must have lived through all of them on one process each.
    pub(crate) async fn end(self, town: &Town) -> Result<()> {
        self.task.await??;
        for component in [town.operator(), town.api()] {
            ensure!(component.is_running() && component.restarts() == 0, "{} ended on the way", component.name());
        }
        let sites: Api<Site> = Api::all(town.admin()?);
        settled("both sites answer the last credential", SOON, || async {
            for name in ["hohhot", "ulanqab"] {
                let status = sites.get(name).await?.status.unwrap_or_default();
                if !condition::is_true(&status.conditions, ConditionType::Ready) {
                    return Ok(Err(said(&status.conditions)));
                }
            }
            Ok(Ok(()))
        })
        .await?;
        // The API asks the hub with its own token who a caller is: it must have a valid one.
        town.door("clerk-finance")?.get("/api/v1/me").await.map(drop)
    }
}

async fn rotate(town: &Town) -> Result<()> {
    let lab = town.lab();
    let mut former: Option<(String, String)> = None;
    for number in 0..=ROTATIONS {
        let secret = format!("rotation-{number}");
        lab.renew_credentials_bound(&secret).await.context("renew every credential")?;
        let token = std::fs::read_to_string(lab.component_token("zhengyun-operator"))?;
        tokio::time::sleep(TAKEN_UP).await;
        if let Some((secret, token)) = former.replace((secret, token)) {
            lab.revoke_credentials(&secret).await.context("revoke the former credentials")?;
            let stale = lab.hub().client_with_token(&token)?;
            settled("the former token is refused", SOON, || async { Ok(refused(&stale).await) }).await?;
        }
    }
    Ok(())
}

async fn refused(client: &Client) -> Result<(), String> {
    match client.apiserver_version().await {
        Err(kube::Error::Api(status)) if status.code == 401 => Ok(()),
        other => Err(format!("{other:?}")),
    }
}
