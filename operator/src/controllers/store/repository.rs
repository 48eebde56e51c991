//! The repository of one department in a store: made once, aside, and put in its place when its escrow password is safe.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use zhengyun_domain::recovery::run::Sighting;

use super::Context;
use crate::controllers::recovery::keys::{self, Repository};
use crate::controllers::recovery::{Recovery, WORKER, run_id};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// File of the run that holds the escrow password until it is a Secret.
const ESCROW: &str = "escrow";

/// A repository that is asked for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// Store.
    pub store: &'a str,
    /// UID of the store.
    pub store_uid: Option<&'a str>,
    /// Folder of the store.
    pub folder: &'a Path,
    /// Department.
    pub department: &'a str,
    /// Secret with its key.
    pub key: &'a str,
}

/// How a repository stands.
#[derive(Debug)]
pub enum Standing {
    /// It is there.
    There(Repository),
    /// It is being made.
    Coming,
    /// It cannot be made, for this reason.
    Blocked(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    escrow_key: String,
    public_key: String,
    chain: Value,
}

/// How a repository stands, without doing anything about it.
pub async fn standing(
    context: &Context,
    store: &str,
    folder: &Path,
    department: &str,
) -> Result<Option<Repository>, ReconcileError> {
    let known = keys::repository(context, store, department).await?;
    Ok(known.filter(|_| folder.join(department).is_dir()))
}

/// Makes a repository if there is none.
///
/// Order: it is made in a folder aside; its escrow password becomes a Secret; it is moved to its place; what is known of it is
/// written down. Whatever breaks off in between is done again from what stands.
pub(super) async fn ensure(
    context: &Context,
    recovery: &Recovery,
    wanted: &Wanted<'_>,
) -> Result<Standing, ReconcileError> {
    let (home, aside) = (wanted.folder.join(wanted.department), aside(wanted));
    let run = run_id(wanted.store_uid, &format!("init-{}", wanted.department))?;
    match keys::repository(context, wanted.store, wanted.department).await? {
        Some(known) if home.is_dir() => {
            recovery.remove(&run).await?;
            return Ok(Standing::There(known));
        }
        Some(_) => {
            return Ok(Standing::Blocked(format!(
                "its repository is not in the store any more; bring {} back from another copy",
                home.display()
            )));
        }
        None => {}
    }
    let sighting = recovery.observe(&run).await?;
    if let Sighting::Done(report) = &sighting {
        return finish(context, recovery, wanted, &run, report, &aside, &home).await;
    }
    if sighting.runs() {
        return Ok(Standing::Coming);
    }
    if home.exists() {
        return Ok(Standing::Blocked(format!(
            "{} is there already and this hub does not know it; move it away, or bring the Secret about it back from your backup of the hub",
            home.display()
        )));
    }
    if let Sighting::Failed(fault) = &sighting
        && !fault.transient
    {
        // What a failed attempt left is not in anybody's use; the next look begins anew and says the same if it stays so.
        discard(&aside)?;
        recovery.remove(&run).await?;
        return Ok(Standing::Blocked(format!("its repository could not be made: {}", fault.message)));
    }
    let key = match keys::department(context, wanted.key, wanted.department).await? {
        Ok(key) => key,
        Err(missing) => return Ok(Standing::Blocked(missing)),
    };
    discard(&aside)?;
    let mut task = Task::of(WORKER, "init");
    task.option("--store", aside.display().to_string());
    task.secret("--key-file", "department-key", key);
    task.secret("--signing-key-file", "signing-key", keys::signing(context).await?);
    task.file("--escrow-out", ESCROW);
    recovery.start(&run, task).await?;
    Ok(Standing::Coming)
}

fn aside(wanted: &Wanted<'_>) -> PathBuf {
    // A department's name begins with a letter or digit, so no other one has a home of this name.
    wanted.folder.join(format!(".new-{}", wanted.department))
}

fn discard(aside: &Path) -> Result<(), ReconcileError> {
    match fs::remove_dir_all(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ReconcileError::Transient(format!("{}: {error}", aside.display())))
        }
        _ => Ok(()),
    }
}

async fn finish(
    context: &Context,
    recovery: &Recovery,
    wanted: &Wanted<'_>,
    run: &crate::executor::RunId,
    report: &Value,
    aside: &Path,
    home: &Path,
) -> Result<Standing, ReconcileError> {
    let unreadable = |e: serde_json::Error| ReconcileError::Transient(format!("the report of init: {e}"));
    let made: Made = serde_json::from_value(report.clone()).map_err(unreadable)?;
    let Some(password) = recovery.file(run, ESCROW).await? else {
        // Without its escrow password it is never put into service.
        discard(aside)?;
        recovery.remove(run).await?;
        return Ok(Standing::Coming);
    };
    keys::show_escrow(context, wanted.store, wanted.department, &password, &made.escrow_key).await?;
    if aside.exists() {
        fs::rename(aside, home).map_err(|e| ReconcileError::Transient(format!("{}: {e}", home.display())))?;
    }
    let known =
        Repository { public_key: made.public_key, known_head: made.chain.to_string(), escrow_key: made.escrow_key };
    keys::remember(context, wanted.store, wanted.department, &known).await?;
    recovery.remove(run).await?;
    Ok(Standing::There(known))
}
