//! Becoming the program of a run: the step between the operator and a process of its own.
//!
//! The operator starts itself with the hidden command `launch`. That process leaves the operator's session, so that nothing that ends
//! the operator ends it too, writes down who it is, and becomes the program. What is written down is therefore true before the
//! program begins, whoever is killed when.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::folder::{IDENTITY, LOG, ORDER, REPORT};
use super::identity::Identity;

/// What is to be started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// Becomes the program that a run's folder names. Returns only if it cannot.
///
/// # Errors
/// When the folder is none, or another process has taken the run.
pub fn launch(folder: &Path) -> Result<()> {
    let order: Order = serde_json::from_slice(&fs::read(folder.join(ORDER)).context("read the order")?)?;
    // A leader of a group cannot leave its session; then it has one of its own already.
    let _ = rustix::process::setsid();
    claim(folder)?;
    let open = |name: &str| OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join(name));
    let (report, log) = (open(REPORT)?, open(LOG)?);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let error = Command::new(&order.program)
        .args(&order.arguments)
        // Nothing of the operator's surroundings: they may name its own credentials.
        .env_clear()
        .env("PATH", path)
        .env("TMPDIR", folder.join(super::folder::FILES))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(report)
        .stderr(log)
        .exec();
    bail!("{}: {error}", order.program.display())
}

/// Writes down who carries the run out. A second process finds it written and ends.
fn claim(folder: &Path) -> Result<()> {
    let own = Identity::own().context("/proc does not tell who this process is")?;
    let staged = folder.join(format!("{IDENTITY}.{}", std::process::id()));
    fs::write(&staged, serde_json::to_vec(&own)?)?;
    let claimed = fs::hard_link(&staged, folder.join(IDENTITY));
    fs::remove_file(&staged)?;
    match claimed {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!("another process carries this run out"),
        other => other.context("write down who carries the run out"),
    }
}
