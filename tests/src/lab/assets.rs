//! The binaries and schemas of the lab, found or built by `tests/lab/up`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Where the real control plane's binaries are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    /// The store.
    pub etcd: PathBuf,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The built-in controllers.
    pub kube_controller_manager: PathBuf,
    /// For people; nothing in the lab runs it.
    pub kubectl: PathBuf,
    /// Folders of the CRDs that the sites get: `cloudnative-pg`, `container-object-storage-interface-api`, `external-snapshotter`.
    pub schemas: PathBuf,
}

impl Assets {
    /// Finds them, building what is missing (minutes on a fresh machine, with progress on standard error).
    ///
    /// `ZHENGYUN_LAB_ASSETS`, set by `tests/lab/up`, spares the search.
    pub fn find() -> Result<Self> {
        if let Some(dir) = env::var_os("ZHENGYUN_LAB_ASSETS") {
            return Self::in_dir(Path::new(&dir));
        }
        let script = super::project_root().join("tests/lab/up");
        let output = Command::new(&script)
            .arg("--assets-only")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("run {}", script.display()))?;
        let text = String::from_utf8(output.stdout).context("the answer of tests/lab/up")?;
        match text.lines().last() {
            Some(dir) if output.status.success() => Self::in_dir(Path::new(dir)),
            _ => bail!("tests/lab/up --assets-only failed ({}); what to do is above", output.status),
        }
    }

    /// Takes them from one folder, whose sibling `schemas` holds the sites' CRDs.
    pub fn in_dir(dir: &Path) -> Result<Self> {
        let tool = |name: &str| {
            let path = dir.join(name);
            if path.is_file() {
                Ok(path)
            } else {
                bail!("{} is missing; run tests/lab/up --assets-only", path.display())
            }
        };
        Ok(Self {
            etcd: tool("etcd")?,
            kube_apiserver: tool("kube-apiserver")?,
            kube_controller_manager: tool("kube-controller-manager")?,
            kubectl: tool("kubectl").ok().or_else(|| on_path("kubectl")).unwrap_or_else(|| "kubectl".into()),
            schemas: dir.parent().unwrap_or(dir).join("schemas"),
        })
    }
}

/// The first file of this name on PATH.
fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}
