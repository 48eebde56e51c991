//! A repository of the worker in a folder, with its keys.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use zhengyun_tests::lab::component;

use crate::program::{self, Took};
use crate::tree::files_below;

/// A repository.
#[derive(Debug)]
pub(super) struct Repository {
    folder: PathBuf,
    worker: PathBuf,
}

impl Repository {
    /// A new one.
    ///
    /// # Errors
    /// When the worker is not built or refuses.
    pub(super) fn create(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let repository = Self { folder, worker: component::binary("zhengyun-worker")? };
        let mut init = repository.command("init");
        init.arg("--generate").arg("--signing-key-file").arg(repository.path("signing"));
        init.arg("--escrow-out").arg(repository.path("escrow"));
        program::run(&mut init)?.succeeded("init")?;
        Ok(repository)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where the store is.
    pub(super) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// The worker on the repository.
    pub(super) fn command(&self, command: &str) -> Command {
        let mut worker = Command::new(&self.worker);
        worker.args(["--progress", "json", command, "--store"]).arg(self.store());
        worker.arg("--key-file").arg(self.path("key"));
        worker
    }

    /// A backup, without its sources.
    pub(super) fn backup(&self) -> Command {
        let mut worker = self.command("backup");
        worker.arg("--signing-key-file").arg(self.path("signing")).arg("--state-dir").arg(self.path("state"));
        worker
    }

    /// Reads everything and computes the evidence again.
    pub(super) fn verify(&self) -> Result<Took> {
        program::run(&mut self.command("verify"))?.succeeded("verify")
    }

    /// Megabytes in the store.
    pub(super) fn stored_mb(&self) -> Result<f64> {
        Ok(files_below(&self.store())?.iter().map(|(_, bytes)| *bytes).sum::<u64>() as f64 / 1e6)
    }
}
