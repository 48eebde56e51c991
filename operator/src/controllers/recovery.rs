//! What the controllers of disaster recovery share: where runs are carried out, keys, the way into a site.

pub mod charge;
pub mod database;
pub mod folders;
pub mod home;
pub mod keys;
pub mod order;
pub mod reach;

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use zhengyun_domain::recovery::run::Sighting;

use self::folders::Folders;
use super::Context;
use crate::executor::process::ProcessExecutor;
use crate::executor::{Executor, ExecutorError, RunId, Task};
use crate::runtime::args::RecoveryArgs;
use crate::runtime::controller::ReconcileError;
use crate::runtime::hub;

/// What an operator without a place for runs says.
pub const OFF: &str = "this operator carries out no backups and restores: the cloud administrator starts it with --recovery-dir DIR (a folder of its own for runs) and --backup-root DIR (the folder below which stores may lie); 本控制器未启用灾备，请云管理员以 --recovery-dir 与 --backup-root 参数启动";

/// Program that reads, stores and verifies.
pub const WORKER: &str = "zhengyun-worker";
/// Program that plans and restores.
pub const RESTORER: &str = "zhengyun-restorer";

/// What an operator carries runs out with.
#[derive(Debug)]
pub struct Recovery {
    executor: Arc<dyn Executor>,
    roots: Vec<PathBuf>,
    folders: Folders,
    databases: DatabasePolicy,
    http: bool,
}

/// Where databases may be.
#[derive(Clone, Debug, Default)]
pub struct DatabasePolicy {
    /// For laboratories: on this machine too, and without TLS.
    pub lab_local: bool,
    /// Where none may be: the hub's addresses.
    pub refused: Vec<IpAddr>,
}

impl Recovery {
    /// From the command line; none without a folder for runs.
    ///
    /// # Errors
    /// When a folder cannot be used.
    pub fn from_args(args: &RecoveryArgs) -> anyhow::Result<Option<Self>> {
        let Some(dir) = &args.recovery_dir else { return Ok(None) };
        let own = std::env::current_exe()?;
        let beside = own.parent().map(Path::to_path_buf).unwrap_or_default();
        let programs = args.worker_dir.clone().unwrap_or(beside);
        let executor = ProcessExecutor::new(&dir.join("runs"), programs, own)?;
        let mut roots = Vec::new();
        for root in &args.backup_root {
            let real = std::fs::canonicalize(root)
                .map_err(|e| anyhow::anyhow!("--backup-root {}: {e}; name a folder that exists", root.display()))?;
            anyhow::ensure!(real.is_dir(), "--backup-root {}: it is no folder", root.display());
            roots.push(real);
        }
        let kept: Vec<PathBuf> = std::fs::canonicalize(dir).into_iter().chain(roots.iter().cloned()).collect();
        let folders = Folders::from_args(args, &kept)?;
        let databases = DatabasePolicy { lab_local: args.lab_local_databases, refused: Vec::new() };
        if databases.lab_local {
            tracing::warn!(
                "laboratory: databases on this machine, and without TLS, are allowed (--lab-local-databases)"
            );
        }
        if args.lab_http_stores {
            tracing::warn!("laboratory: buckets without TLS are allowed (--lab-http-stores)");
        }
        Ok(Some(Self { executor: Arc::new(executor), roots, folders, databases, http: args.lab_http_stores }))
    }

    /// With another executor than processes on this machine, and without folders that stores may lie in.
    pub fn with(executor: Arc<dyn Executor>) -> Self {
        Self {
            executor,
            roots: Vec::new(),
            folders: Folders::default(),
            databases: DatabasePolicy::default(),
            http: false,
        }
    }

    /// From the command line, for the hub of a kubeconfig: no database may have its addresses.
    ///
    /// # Errors
    /// When a folder or the kubeconfig cannot be used.
    pub async fn of_hub(args: &RecoveryArgs, kubeconfig: Option<&Path>) -> anyhow::Result<Option<Arc<Self>>> {
        let Some(mut recovery) = Self::from_args(args)? else { return Ok(None) };
        recovery.databases.refused = hub::addresses(kubeconfig).await?;
        Ok(Some(Arc::new(recovery)))
    }

    /// Whether buckets without TLS are allowed.
    pub const fn allows_http(&self) -> bool {
        self.http
    }

    /// Folders with file trees.
    pub const fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Where databases may be.
    pub const fn databases(&self) -> &DatabasePolicy {
        &self.databases
    }

    /// The folder that a store may use, or why it may not.
    ///
    /// What stands in a custom resource decides nothing about where this process writes: the folder must lie below one that the
    /// administrator named on the command line, also after every link on the way was followed.
    pub fn place(&self, path: &str) -> Result<PathBuf, String> {
        let wanted = Path::new(path);
        let plain = wanted.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        let refused = || {
            let roots: Vec<String> = self.roots.iter().map(|root| root.display().to_string()).collect();
            let roots = if roots.is_empty() { "none is named".to_owned() } else { roots.join(", ") };
            format!(
                "spec.backend.filesystem.path: {path} does not lie below a folder that the operator may use for stores ({roots}): choose one below, or start the operator with --backup-root"
            )
        };
        if !wanted.is_absolute() || !plain {
            return Err(refused());
        }
        let mut known = wanted;
        let real = loop {
            match std::fs::canonicalize(known) {
                Ok(real) => break real,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => match known.parent() {
                    Some(parent) => known = parent,
                    None => return Err(refused()),
                },
                Err(error) => return Err(format!("spec.backend.filesystem.path: {path} cannot be opened: {error}")),
            }
        };
        let full = wanted.strip_prefix(known).map_or_else(|_| real.clone(), |rest| real.join(rest));
        let below = self.roots.iter().any(|root| full.starts_with(root) && full != *root);
        if below { Ok(full) } else { Err(refused()) }
    }

    /// Starts a run, unless it lives.
    pub async fn start(&self, run: &RunId, task: Task) -> Result<(), ReconcileError> {
        let (executor, run) = (Arc::clone(&self.executor), run.clone());
        blocking(executor.blocks(), move || executor.start(&run, &task)).await
    }

    /// What is seen of a run.
    pub async fn observe(&self, run: &RunId) -> Result<Sighting, ReconcileError> {
        let (executor, run) = (Arc::clone(&self.executor), run.clone());
        blocking(executor.blocks(), move || executor.observe(&run)).await
    }

    /// Every run of an object.
    pub async fn runs_of(&self, uid: &str) -> Result<Vec<RunId>, ReconcileError> {
        let (executor, uid) = (Arc::clone(&self.executor), uid.to_owned());
        blocking(executor.blocks(), move || executor.of(&uid)).await
    }

    /// Asks a run to stop.
    pub async fn cancel(&self, run: &RunId) -> Result<(), ReconcileError> {
        let (executor, run) = (Arc::clone(&self.executor), run.clone());
        blocking(executor.blocks(), move || executor.cancel(&run)).await
    }

    /// Ends a run that does not listen.
    pub async fn kill(&self, run: &RunId) -> Result<(), ReconcileError> {
        let (executor, run) = (Arc::clone(&self.executor), run.clone());
        blocking(executor.blocks(), move || executor.kill(&run)).await
    }

    /// A file that a run wrote.
    pub async fn file(&self, run: &RunId, name: &'static str) -> Result<Option<Vec<u8>>, ReconcileError> {
        let (executor, run) = (Arc::clone(&self.executor), run.clone());
        blocking(executor.blocks(), move || executor.file(&run, name)).await
    }

    /// Takes everything about a run away.
    pub async fn remove(&self, run: &RunId) -> Result<(), ReconcileError> {
        let (executor, run) = (Arc::clone(&self.executor), run.clone());
        blocking(executor.blocks(), move || executor.remove(&run)).await
    }
}

/// The name of an object's run.
pub fn run_id(uid: Option<&str>, what: &str) -> Result<RunId, ReconcileError> {
    RunId::new(uid.unwrap_or_default(), what).map_err(|e| ReconcileError::Transient(e.to_string()))
}

/// Work with files, away from the threads that everything else runs on, if it blocks.
async fn blocking<T: Send + 'static>(
    blocks: bool,
    work: impl FnOnce() -> Result<T, ExecutorError> + Send + 'static,
) -> Result<T, ReconcileError> {
    if !blocks {
        return work().map_err(|e| ReconcileError::Transient(e.to_string()));
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| ReconcileError::Transient(e.to_string()))?
        .map_err(|e| ReconcileError::Transient(e.to_string()))
}

/// What this operator carries runs out with, if it does.
pub fn of(context: &Context) -> Option<&Recovery> {
    context.recovery.as_deref()
}

#[cfg(test)]
mod tests {
    use super::Recovery;
    use crate::runtime::args::RecoveryArgs;

    fn recovery(root: &std::path::Path) -> Recovery {
        let args = RecoveryArgs {
            recovery_dir: Some(root.join("own")),
            backup_root: vec![root.join("stores")],
            ..RecoveryArgs::default()
        };
        Recovery::from_args(&args).unwrap().unwrap()
    }

    #[test]
    fn a_store_never_leaves_the_roots_of_the_administrator() {
        let dir = std::env::temp_dir().join(format!("zhengyun-roots-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("stores/there")).unwrap();
        std::fs::create_dir_all(dir.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(dir.join("elsewhere"), dir.join("stores/link")).unwrap();
        let recovery = recovery(&dir);
        let path = |rest: &str| format!("{}/{rest}", dir.display());
        for good in ["stores/there", "stores/new", "stores/there/new/below"] {
            assert!(recovery.place(&path(good)).is_ok(), "{good}");
        }
        for bad in
            ["stores", "elsewhere/a", "stores/link", "stores/link/a", "stores/../elsewhere", "stores/new/../../x"]
        {
            let refusal = recovery.place(&path(bad)).unwrap_err();
            assert!(refusal.contains("--backup-root"), "{bad}: {refusal}");
        }
        assert!(recovery.place("stores/there").is_err());
        assert!(recovery.place("/etc").is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn without_a_folder_for_runs_there_is_no_recovery() {
        let args = RecoveryArgs::default();
        assert!(Recovery::from_args(&args).unwrap().is_none());
    }
}
