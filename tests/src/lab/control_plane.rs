//! One real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager.

mod flags;
mod identity;
mod ready;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use kube::Client;
use rustix::process::Signal;

pub use identity::{Ports, free_port, kubeconfig, kubeconfig_with_token_file, write_private};

use identity::Identity;

use super::{
    assets::Assets,
    client,
    people::Person,
    process::{Launch, Process},
};

/// The apiserver drains open watches when asked to end. It keeps no state, so a lab does not wait for that.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The store ends in its own time: its files may be copied next.
const ETCD_STOP_GRACE: Duration = Duration::from_secs(20);

/// How a control plane of the lab differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct ControlPlaneOptions {
    /// Users beside the administrator, each with a random token.
    pub people: Vec<Person>,
    /// etcd skips fsync: faster, and safe as long as the machine itself does not stop.
    pub unsafe_no_fsync: bool,
    /// Writes who asked for what to `audit.log` (one JSON line per finished request, no bodies).
    pub audit: bool,
    /// Further flags of the apiserver, such as `--v=4`.
    pub apiserver_flags: Vec<String>,
}

/// A running control plane; dropping it ends its processes and keeps its folder.
#[derive(Debug)]
pub struct ControlPlane {
    name: String,
    dir: PathBuf,
    assets: Assets,
    options: ControlPlaneOptions,
    identity: Identity,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    etcd: Option<Arc<Process>>,
    apiserver: Option<Arc<Process>>,
    controller_manager: Option<Arc<Process>>,
}

impl ControlPlane {
    /// Starts a control plane in `dir`, or takes up the one whose data are there, and waits until it serves.
    pub async fn start(name: &str, dir: &Path, assets: &Assets, options: ControlPlaneOptions) -> Result<Self> {
        client::install_crypto_provider();
        fs::create_dir_all(dir.join("kubeconfigs")).with_context(|| format!("make {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let identity = Identity::open(&dir, &options.people)?;
        identity::ensure_service_account_keys(&dir)?;
        if options.audit {
            fs::write(dir.join("audit-policy.yaml"), AUDIT_POLICY)?;
        }
        let plane =
            Self { name: name.to_owned(), dir, assets: assets.clone(), options, identity, slots: Mutex::default() };
        plane.start_again().await?;
        Ok(plane)
    }

    /// The name given at the start, such as `hub`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder with its data, certificates, logs and kubeconfigs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The loopback ports it listens on.
    pub fn ports(&self) -> Ports {
        self.identity.ports
    }

    /// The address of the apiserver.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.identity.ports.apiserver)
    }

    /// The certificate that clients verify the apiserver with, in PEM.
    pub fn ca_pem(&self) -> Result<Vec<u8>> {
        // Made by the apiserver at its first start: its own certificate and the authority that signed it.
        let path = self.dir.join("certs/apiserver.crt");
        fs::read(&path).with_context(|| format!("read {}", path.display()))
    }

    /// The administrator's kubeconfig (mode 0600).
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// One person's kubeconfig (mode 0600).
    pub fn person_kubeconfig(&self, username: &str) -> PathBuf {
        self.dir.join("kubeconfigs").join(format!("{username}.kubeconfig"))
    }

    /// One person's bearer token.
    pub fn person_token(&self, username: &str) -> Result<String> {
        self.identity.person_token(username).map(str::to_owned)
    }

    /// A client with all rights. Each call makes a new one: a client belongs to the runtime that made it.
    pub fn client_admin(&self) -> Result<Client> {
        self.client_with_token(&self.identity.admin_token)
    }

    /// A client that is this person.
    pub fn client_for(&self, username: &str) -> Result<Client> {
        self.client_with_token(self.identity.person_token(username)?)
    }

    /// A client with any bearer token, such as a ServiceAccount's.
    pub fn client_with_token(&self, token: &str) -> Result<Client> {
        client::with_token(&self.url(), &self.ca_pem()?, token)
    }

    /// Starts whatever is not running, on the same ports and data, and waits until it serves.
    pub async fn start_again(&self) -> Result<()> {
        self.ensure_etcd()?;
        self.ensure_apiserver()?;
        self.wait_ready().await?;
        self.write_kubeconfigs()?;
        self.start_controllers().await
    }

    /// Ends all three processes in order; data and ports stay.
    pub async fn stop(&self) -> Result<()> {
        let Slots { etcd, apiserver, controller_manager } = std::mem::take(&mut *self.slots());
        for process in [controller_manager, apiserver, etcd].into_iter().flatten() {
            // One that a test has paused cannot hear that it should end.
            process.signal(Signal::CONT)?;
            process.terminate(if process.name().ends_with("/etcd") { ETCD_STOP_GRACE } else { STOP_GRACE }).await?;
        }
        Ok(())
    }

    /// Ends all three processes at once, without waiting for anything they may have in hand.
    pub fn kill_now(&self) {
        let Slots { etcd, apiserver, controller_manager } = std::mem::take(&mut *self.slots());
        for process in [controller_manager, apiserver, etcd].into_iter().flatten() {
            process.kill_now();
        }
    }

    /// Whether all three processes run.
    pub fn is_running(&self) -> bool {
        let processes = self.processes();
        processes.len() == 3 && processes.iter().all(|process| process.is_running())
    }

    /// Kills the apiserver like a power cut; etcd and the controllers stay.
    pub async fn kill9_apiserver(&self) -> Result<()> {
        let apiserver = self.slots().apiserver.take();
        match apiserver {
            Some(process) => process.kill9().await,
            None => Ok(()),
        }
    }

    /// Ends the apiserver if it runs, and starts it again.
    pub async fn restart_apiserver(&self) -> Result<()> {
        self.kill9_apiserver().await?;
        self.start_again().await
    }

    /// Starts the controllers afresh, which makes them discover kinds that were added since they started: by themselves the
    /// quota controller takes up to five minutes to count a new kind.
    pub async fn restart_controller_manager(&self) -> Result<()> {
        let manager = self.slots().controller_manager.take();
        if let Some(manager) = manager {
            manager.kill9().await?;
        }
        self.start_again().await
    }

    /// Stops the apiserver from answering while its port stays open: the site that hangs, not the one that refuses.
    pub fn pause_apiserver(&self) -> Result<()> {
        self.signal_apiserver(Signal::STOP)
    }

    /// Lets a paused apiserver go on.
    pub fn resume_apiserver(&self) -> Result<()> {
        self.signal_apiserver(Signal::CONT)
    }

    /// Copies the store's data to `path` (a backup taken cold), and starts again.
    pub async fn save_data_to(&self, path: &Path) -> Result<()> {
        self.stop().await?;
        copy_folder(&self.dir.join("etcd"), path)?;
        self.start_again().await
    }

    /// Puts back data saved before (a restore to the past), and starts again.
    pub async fn restore_data_from(&self, path: &Path) -> Result<()> {
        if !path.join("member").is_dir() {
            bail!("{} holds no data saved by save_data_to", path.display());
        }
        self.stop().await?;
        copy_folder(path, &self.dir.join("etcd"))?;
        self.start_again().await
    }

    /// Starts what ended by itself; what was stopped on purpose stays stopped. Says what it started.
    pub async fn heal(&self) -> Result<Vec<String>> {
        let ended: Vec<String> = self
            .processes()
            .iter()
            .filter(|process| !process.is_running())
            .map(|process| process.name().to_owned())
            .collect();
        if !ended.is_empty() {
            self.start_again().await?;
        }
        Ok(ended)
    }

    /// The processes of this control plane that were started and not stopped on purpose.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        let slots = self.slots();
        [&slots.etcd, &slots.apiserver, &slots.controller_manager].into_iter().flatten().cloned().collect()
    }

    /// The apiserver's own metrics, in Prometheus text.
    pub async fn metrics(&self) -> Result<String> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        Ok(self.client_admin()?.request_text(request).await?)
    }

    fn ensure_etcd(&self) -> Result<()> {
        let args = flags::etcd(&self.name, &self.dir, self.identity.ports, &self.options);
        ensure(&mut self.slots().etcd, || self.launch("etcd", &self.assets.etcd, args))
    }

    fn ensure_apiserver(&self) -> Result<()> {
        let args = flags::kube_apiserver(&self.dir, self.identity.ports, &self.options);
        ensure(&mut self.slots().apiserver, || self.launch("kube-apiserver", &self.assets.kube_apiserver, args))
    }

    fn ensure_controller_manager(&self) -> Result<()> {
        let args = flags::kube_controller_manager(&self.dir, self.identity.ports);
        ensure(&mut self.slots().controller_manager, || {
            self.launch("kube-controller-manager", &self.assets.kube_controller_manager, args)
        })
    }

    fn launch(&self, tool: &str, program: &Path, args: Vec<std::ffi::OsString>) -> Result<Arc<Process>> {
        let launch = Launch {
            name: format!("{}/{tool}", self.name),
            program: program.to_owned(),
            args,
            env: Vec::new(),
            log: self.dir.join(format!("{tool}.log")),
        };
        Process::start(launch).map(Arc::new)
    }

    fn signal_apiserver(&self, signal: Signal) -> Result<()> {
        match self.slots().apiserver.clone() {
            Some(process) => process.signal(signal),
            None => bail!("{}: kube-apiserver is stopped", self.name),
        }
    }

    fn write_kubeconfigs(&self) -> Result<()> {
        let (url, ca) = (self.url(), self.ca_pem()?);
        let admin = kubeconfig(&self.name, &url, &ca, "lab-admin", &self.identity.admin_token)?;
        write_private(&self.admin_kubeconfig(), admin.as_bytes())?;
        let token = self.identity.controller_manager_token();
        let manager = kubeconfig(&self.name, &url, &ca, "system:kube-controller-manager", token)?;
        write_private(&self.dir.join("controller-manager.kubeconfig"), manager.as_bytes())?;
        for Person { username, .. } in &self.options.people {
            let token = self.identity.person_token(username)?;
            let text = kubeconfig(&self.name, &url, &ca, username, token)?;
            write_private(&self.person_kubeconfig(username), text.as_bytes())?;
        }
        Ok(())
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a process unless one runs in its place.
fn ensure(slot: &mut Option<Arc<Process>>, start: impl FnOnce() -> Result<Arc<Process>>) -> Result<()> {
    if !slot.as_ref().is_some_and(|process| process.is_running()) {
        *slot = Some(start()?);
    }
    Ok(())
}

/// Replaces `to` with a copy of `from`.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("remove {}", to.display()))?;
    }
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().context("run cp")?;
    if !status.success() {
        bail!("cp -a {} {}: {status}", from.display(), to.display());
    }
    Ok(())
}

/// Who did what, without bodies: what is needed to compare rights given with rights used.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";
