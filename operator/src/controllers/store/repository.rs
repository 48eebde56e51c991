//! The repository of one department in a store: made once, aside, and put in its place when its escrow password is safe.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use zhengyun_domain::recovery::run::{Order, Sighting};

use super::{Context, LOOK};
use crate::controllers::recovery::home::{self, Home};
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
    /// Where the store's repositories are.
    pub home: &'a Home,
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
    home: &Home,
    department: &str,
) -> Result<Option<Repository>, ReconcileError> {
    let known = keys::repository(context, store, department).await?;
    Ok(known.filter(|_| match home {
        Home::Folder(folder) => folder.join(department).is_dir(),
        // Whoever opens it says so if it is gone.
        Home::Bucket(_) => true,
    }))
}

/// Makes a repository if there is none.
///
/// In a bucket nothing can be moved, so there it is made in its place; one that is half made is begun anew by the next attempt.
/// In a folder, the order is: it is made in a folder aside; its escrow password becomes a Secret; it is moved to its place; what is known of it is
/// written down. Whatever breaks off in between is done again from what stands.
pub(super) async fn ensure(
    context: &Context,
    recovery: &Recovery,
    wanted: &Wanted<'_>,
) -> Result<Standing, ReconcileError> {
    let run = run_id(wanted.store_uid, &format!("init-{}", wanted.department))?;
    let folder = match wanted.home {
        Home::Folder(folder) => folder,
        Home::Bucket(_) => return in_bucket(context, recovery, wanted, &run).await,
    };
    let (home, aside) = (folder.join(wanted.department), aside(folder, wanted.department));
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
        return finish(context, recovery, wanted, &run, report, Some((&aside, &home))).await;
    }
    if sighting.runs() {
        return Ok(Standing::Coming);
    }
    if let Some(standing) = rests(&sighting) {
        return Ok(standing);
    }
    if home.exists() {
        return Ok(Standing::Blocked(format!(
            "{} is there already and this hub does not know it; move it away, or bring the Secret about it back from your backup of the hub",
            home.display()
        )));
    }
    let key = match keys::department(context, wanted.key, wanted.department).await? {
        Ok(key) => key,
        Err(missing) => return Ok(Standing::Blocked(missing)),
    };
    // What a failed attempt left is not in anybody's use.
    discard(&aside)?;
    let mut task = Task::of(WORKER, "init");
    task.option("--store", aside.display().to_string());
    task.secret("--key-file", "department-key", key);
    task.secret("--signing-key-file", "signing-key", keys::signing(context).await?);
    task.file("--escrow-out", ESCROW);
    recovery.start(&run, task).await?;
    Ok(Standing::Coming)
}

/// The same in a bucket.
async fn in_bucket(
    context: &Context,
    recovery: &Recovery,
    wanted: &Wanted<'_>,
    run: &crate::executor::RunId,
) -> Result<Standing, ReconcileError> {
    if let Some(known) = keys::repository(context, wanted.store, wanted.department).await? {
        recovery.remove(run).await?;
        return Ok(Standing::There(known));
    }
    let sighting = recovery.observe(run).await?;
    if let Sighting::Done(report) = &sighting {
        return finish(context, recovery, wanted, run, report, None).await;
    }
    if sighting.runs() {
        return Ok(Standing::Coming);
    }
    if let Some(standing) = rests(&sighting) {
        return Ok(standing);
    }
    let key = match keys::department(context, wanted.key, wanted.department).await? {
        Ok(key) => key,
        Err(missing) => return Ok(Standing::Blocked(missing)),
    };
    let mut task = Task::of(WORKER, "init");
    if let Err(missing) = wanted.home.tell(context, recovery, wanted.department, &home::STORE, &mut task).await? {
        return Ok(Standing::Blocked(missing));
    }
    task.secret("--key-file", "department-key", key);
    task.secret("--signing-key-file", "signing-key", keys::signing(context).await?);
    // Kept, so that an attempt that follows a killed one knows the password that is in the bucket already.
    task.kept("--escrow-out", ESCROW);
    recovery.start(run, task).await?;
    Ok(Standing::Coming)
}

/// How it stands while a failed attempt is left to rest.
///
/// The attempt stays where it is: writing down why it failed makes the store be looked at again at once, and what it kept is the one
/// place where the password of a half made repository is known.
fn rests(sighting: &Sighting) -> Option<Standing> {
    let Sighting::Failed(fault) = sighting else { return None };
    if fault.transient {
        return (fault.order() == Order::StartLater).then_some(Standing::Coming);
    }
    (fault.seconds_ago < LOOK.as_secs()).then(|| {
        Standing::Blocked(format!(
            "its repository could not be made: {} ({}); it is tried again every {} seconds",
            fault.message,
            fault.reason,
            LOOK.as_secs()
        ))
    })
}

fn aside(folder: &Path, department: &str) -> PathBuf {
    // A department's name begins with a letter or digit, so no other one has a home of this name.
    folder.join(format!(".new-{department}"))
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
    moved: Option<(&Path, &Path)>,
) -> Result<Standing, ReconcileError> {
    let unreadable = |e: serde_json::Error| ReconcileError::Transient(format!("the report of init: {e}"));
    let made: Made = serde_json::from_value(report.clone()).map_err(unreadable)?;
    let Some(password) = recovery.file(run, ESCROW).await? else {
        // Without its escrow password it is never put into service.
        if let Some((aside, _)) = moved {
            discard(aside)?;
        }
        recovery.remove(run).await?;
        return Ok(Standing::Coming);
    };
    keys::show_escrow(context, wanted.store, wanted.department, &password, &made.escrow_key).await?;
    if let Some((aside, home)) = moved
        && aside.exists()
    {
        fs::rename(aside, home).map_err(|e| ReconcileError::Transient(format!("{}: {e}", home.display())))?;
    }
    let known = Repository {
        public_key: made.public_key,
        known_head: made.chain.to_string(),
        escrow_key: made.escrow_key,
        measured: None,
        version: None,
    };
    keys::remember(context, wanted.store, wanted.department, &known).await?;
    recovery.remove(run).await?;
    Ok(Standing::There(known))
}
