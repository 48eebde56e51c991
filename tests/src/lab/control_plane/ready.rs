//! When a control plane may be used: conditions that are looked at, never a time that is slept.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Result;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;

use super::{ControlPlane, flags};
use crate::lab::{client, process::Process, wait};

/// Long enough for three control planes to start at once beside a build on two cores.
const START_LIMIT: Duration = Duration::from_mins(2);

impl ControlPlane {
    pub(super) async fn wait_ready(&self) -> Result<()> {
        // The apiserver makes its certificate in its first moments, and its key after it: before that the file may hold the
        // certificate without the authority that signed it, and a client made of it would trust nobody.
        let key = self.dir.join("certs/apiserver.key");
        let what = format!("{}/kube-apiserver makes its certificate", self.name);
        self.unless_ended(&what, || async { Ok(if key.exists() { self.client_admin().ok() } else { None }) }).await?;
        let client = self.client_admin()?;
        let what = format!("{}/kube-apiserver answers /readyz", self.name);
        self.unless_ended(&what, || async {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            let answer = tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await??;
            Ok((answer == "ok").then_some(()))
        })
        .await?;
        // Ready does not yet mean that the roles are loaded, and the controller manager, an ordinary
        // user, gives up at once when it may not ask for this ConfigMap (whether it exists or not).
        let manager = self.client_with_token(self.identity.controller_manager_token())?;
        let config_maps: Api<ConfigMap> = Api::namespaced(manager, "kube-system");
        let what = format!("{}/kube-apiserver has loaded its roles", self.name);
        self.unless_ended(&what, || async {
            config_maps.get_opt("extension-apiserver-authentication").await?;
            Ok(Some(()))
        })
        .await
    }

    /// Waits for a condition, but no longer than the processes it depends on live.
    async fn unless_ended<T, F>(&self, what: &str, look: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        let manager = format!("{}/kube-controller-manager", self.name);
        // A controller manager that gave up while the apiserver was away is nothing an apiserver waits for.
        let matters = |process: &&Arc<Process>| process.name() != manager || what.starts_with(&manager);
        let ended = async {
            let mut round = tokio::time::interval(Duration::from_millis(200));
            loop {
                round.tick().await;
                if let Err(error) =
                    self.processes().iter().filter(matters).try_for_each(|process| process.fail_if_ended())
                {
                    return error;
                }
            }
        };
        tokio::select! {
            met = wait::until(what, START_LIMIT, look) => met,
            error = ended => Err(error),
        }
    }

    /// Starts the controllers and waits until each of them runs.
    ///
    /// The controller manager gives up when the apiserver forgets it for a moment, as after a restart
    /// under it. On a real cluster the kubelet starts it again; here it is done once more by hand.
    pub(super) async fn start_controllers(&self) -> Result<()> {
        self.ensure_controller_manager()?;
        let Err(error) = self.wait_controllers().await else { return Ok(()) };
        let gave_up = self.slots().controller_manager.as_ref().is_some_and(|process| !process.is_running());
        if !gave_up {
            return Err(error);
        }
        self.ensure_controller_manager()?;
        self.wait_controllers().await
    }

    async fn wait_controllers(&self) -> Result<()> {
        let what = format!("{}/kube-controller-manager runs all its controllers", self.name);
        let url = format!("https://127.0.0.1:{}", self.identity.ports.controller_manager);
        let certificate = self.dir.join("certs/kube-controller-manager.crt");
        self.unless_ended(&what, || async {
            let client = client::with_token(&url, &fs::read(&certificate)?, self.identity.controller_manager_token())?;
            let request = http::Request::get("/healthz?verbose").body(Vec::new())?;
            let answer = client.request_text(request).await?;
            let runs = |controller: &str| answer.lines().any(|line| line == format!("[+]{controller} ok"));
            Ok(flags::CONTROLLERS.iter().all(|controller| runs(controller)).then_some(()))
        })
        .await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client_admin()?, "default");
        let what = format!("{}/kube-controller-manager makes the default ServiceAccount", self.name);
        self.unless_ended(&what, || async { Ok(accounts.get_opt("default").await?.map(drop)) }).await
    }
}
