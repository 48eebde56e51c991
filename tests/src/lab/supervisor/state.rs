//! `state.json` in the lab's folder: what runs, where it listens, and with which kubeconfig to reach it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::lab::{
    control_plane::write_private,
    proc::{ProcessId, boot_id},
};

/// How far the lab has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Being started; `steps` tells how far.
    Starting,
    /// Everything runs.
    Ready,
    /// The start failed; the last step says why.
    Failed,
    /// Ended on purpose.
    Stopped,
}

/// One process of the lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessRecord {
    /// Such as `hub/etcd` or `zhengyun-operator`.
    pub name: String,
    /// Process id and start time.
    #[serde(flatten)]
    pub id: ProcessId,
    /// Where its output goes.
    pub log: PathBuf,
}

/// What the lab's folder says about the lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// How far it has come.
    pub phase: Phase,
    /// What was done so far, a line each.
    pub steps: Vec<String>,
    /// The boot under which the process ids hold.
    pub boot_id: String,
    /// The names of the sites.
    pub sites: Vec<String>,
    /// The supervisor first, then everything it owns.
    pub processes: Vec<ProcessRecord>,
    /// Where the supervisor listens for commands.
    pub socket: PathBuf,
    /// By use: `hub`, `site/<site>`, `person/<user name>`, `zhengyun-operator`, `zhengyun-api`.
    pub kubeconfigs: BTreeMap<String, PathBuf>,
    /// By use: `hub`, `site/<site>`, `api`, `api-metrics`, `operator-metrics`.
    pub urls: BTreeMap<String, String>,
}

impl State {
    pub(super) fn starting(sites: &[String], socket: PathBuf, supervisor: ProcessRecord) -> Result<Self> {
        Ok(Self {
            phase: Phase::Starting,
            steps: Vec::new(),
            boot_id: boot_id()?,
            sites: sites.to_vec(),
            processes: vec![supervisor],
            socket,
            kubeconfigs: BTreeMap::new(),
            urls: BTreeMap::new(),
        })
    }

    /// What the folder says; `None` where no lab ever was.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join("state.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| format!("read {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// The state of a lab that is up; an error that says how to start it otherwise.
    pub fn of_running(dir: &Path) -> Result<Self> {
        match Self::read(dir)? {
            Some(state) if state.phase == Phase::Ready && state.supervisor().is_some() => Ok(state),
            _ => bail!("no lab runs in {}. Fix: make lab-up", dir.display()),
        }
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        write_private(&dir.join("state.json"), &serde_json::to_vec_pretty(self)?)
    }

    /// The processes that run at this moment; numbers reused by others, or of an earlier boot, do not count.
    pub fn alive(&self) -> Vec<&ProcessRecord> {
        if boot_id().ok().as_ref() != Some(&self.boot_id) {
            return Vec::new();
        }
        self.processes.iter().filter(|process| process.id.is_alive()).collect()
    }

    /// The supervisor, if it runs.
    pub fn supervisor(&self) -> Option<ProcessId> {
        let first = self.processes.first()?.id;
        self.alive().iter().any(|process| process.id == first).then_some(first)
    }

    /// A kubeconfig by its use; an error that names the uses there are.
    pub fn kubeconfig(&self, usage: &str) -> Result<&Path> {
        match self.kubeconfigs.get(usage) {
            Some(path) => Ok(path),
            None => bail!(
                "there is no kubeconfig {usage}; there are: {}",
                self.kubeconfigs.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
        }
    }
}
