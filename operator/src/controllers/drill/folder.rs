//! The folder of a drill: file trees are restored there, below the one that the administrator named for the site, and it is gone before
//! the drill ends.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use kube::ResourceExt;
use zhengyun_crds::{Reason, RecoveryDrill};
use zhengyun_domain::digest;
use zhengyun_domain::recovery::drill::no_room_for_files;

use super::super::Context;
use super::super::recovery::order::{Refusal, refused};
use crate::controllers::recovery::{self, Recovery};
use crate::runtime::controller::ReconcileError;

/// A drill's folder; none where the administrator named none for its site.
pub(super) fn of(context: &Context, drill: &RecoveryDrill) -> Option<PathBuf> {
    let site = recovery::of(context).map(Recovery::folders)?.for_drills(&drill.spec.site)?;
    Some(site.join(format!("zy-drill-{}-{}", drill.uid()?, mark(site))))
}

/// Tells one folder of a site from another without naming it: paths of this machine are not for departments to read.
fn mark(site: &Path) -> String {
    let digest = digest::of(&site.display().to_string());
    digest.trim_start_matches("sha256:").chars().take(8).collect()
}

/// The same where there must be one.
pub(super) fn needed(context: &Context, drill: &RecoveryDrill) -> Result<PathBuf, Refusal> {
    let site = &drill.spec.site;
    let missing = || {
        let message = format!(
            "/spec/site: the backup holds file trees, and no folder of site {site} is named for drills of them: the cloud administrator starts the operator with --drill-folder {site}=PATH; 控制器未设置该站点的文件演练目录"
        );
        refused(Reason::ActionNotAvailable, message)
    };
    of(context, drill).ok_or_else(missing)
}

/// Why so many bytes have no room there, if so.
pub(super) fn no_room(own: &Path, bytes: u64, site: &str) -> Result<Option<String>, ReconcileError> {
    let folder = own.parent().unwrap_or(own);
    let found = rustix::fs::statvfs(folder).map_err(|e| at(folder, &e.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    Ok(no_room_for_files(bytes, free, site))
}

/// Makes it, for nobody else to look into.
pub(super) fn make(own: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(own) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// As it stands in a status.
pub(super) fn shown(own: &Path) -> String {
    own.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Removes the folder of a drill, if it has one, with everything in it, and gives the check that showed it; or says why it cannot be.
/// Nobody writes to it any more.
pub(super) async fn end(
    context: &Context,
    drill: &RecoveryDrill,
) -> Result<Result<Option<String>, String>, ReconcileError> {
    let Some(recorded) = drill.status.as_ref().and_then(|status| status.folder.as_ref()) else { return Ok(Ok(None)) };
    // What stands in an object decides nothing about what is removed here: it must be the place that the command line makes.
    let Some(own) = of(context, drill).filter(|own| shown(own) == *recorded) else {
        return Ok(Err(format!(
            "the folder {recorded} of this drill is not below the one that is named for site {site} now: the cloud administrator starts the operator with the --drill-folder {site}=PATH that it had",
            site = drill.spec.site
        )));
    };
    remove(own).await?;
    Ok(Ok(Some(format!("folder {recorded} for drills: not found"))))
}

async fn remove(own: PathBuf) -> Result<(), ReconcileError> {
    // Without a thread of its own where there is nothing to do, which is most looks.
    if !stands(&own)? {
        return Ok(());
    }
    let gone = tokio::task::spawn_blocking(move || {
        let removed = match fs::remove_dir_all(&own) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                enter(&own).and_then(|()| fs::remove_dir_all(&own))
            }
            other => other,
        };
        removed.map_err(|e| at(&own, &e))?;
        if stands(&own)? { Err(at(&own, &io::Error::other("it is still there"))) } else { Ok(()) }
    });
    gone.await.map_err(|e| ReconcileError::Transient(format!("removing the folder of the drill: {e}")))?
}

fn stands(own: &Path) -> Result<bool, ReconcileError> {
    match fs::symlink_metadata(own) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at(own, &error)),
    }
}

/// Restored directories have the modes of the source, which may keep their own owner out.
fn enter(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // No link is followed.
        if entry.file_type()?.is_dir() {
            enter(&entry.path())?;
        }
    }
    Ok(())
}

fn at(path: &Path, error: &io::Error) -> ReconcileError {
    ReconcileError::Transient(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{fs, make, no_room, remove, stands};
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn what_a_drill_left_is_gone_whatever_its_modes_and_nothing_beside_it() {
        let site = std::env::temp_dir().join(format!("zhengyun-drill-folder-{}", std::process::id()));
        let (own, other) = (site.join("zy-drill-1"), site.join("other"));
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("precious"), "theirs").unwrap();
        make(&own).unwrap();
        make(&own).unwrap();
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir_all(own.join("scans/closed/deep")).unwrap();
        fs::write(own.join("scans/closed/deep/file"), "x").unwrap();
        symlink(&other, own.join("scans/closed/way-out")).unwrap();
        for (path, mode) in [("scans/closed/deep", 0o000), ("scans/closed", 0o500), ("scans", 0o000)] {
            fs::set_permissions(own.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        remove(own.clone()).await.unwrap();
        assert!(!stands(&own).unwrap());
        assert_eq!(fs::read_to_string(other.join("precious")).unwrap(), "theirs");
        remove(own.clone()).await.unwrap();
        assert_eq!(no_room(&own, 0, "ulanqab").unwrap(), None);
        let message = no_room(&own, u64::MAX, "ulanqab").unwrap().unwrap();
        assert!(message.contains("--drill-folder ulanqab"), "{message}");
        assert!(!message.contains(&site.display().to_string()), "the path is nobody's business: {message}");
        fs::remove_dir_all(&site).unwrap();
    }
}
