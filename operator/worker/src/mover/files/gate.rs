//! Whether applications reach the target: what can be said of a directory tree, and how it is proved.
//!
//! Closed means that the root belongs to the mover's user and that nobody else may enter it, and that no process has anything below it
//! open from before. That keeps out everybody but root and the mover's own user; of processes that cannot be seen from here, nothing
//! is claimed.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use serde::{Deserialize, Serialize};

use super::place::{Place, is_mount};
use crate::error::{Result, WorkerError};
use crate::evidence::items::path_text;
use crate::mover::Strength;

/// The number of the process namespace that a machine starts with.
const FIRST_NAMESPACE: u64 = 0xEFFF_FFFC;
/// Processes that are named.
const MAX_NAMED: usize = 10;

/// How closed the target is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Closed {
    /// `Proven` if nothing else can be, `Declared` if processes may have it open that cannot be seen from here.
    pub(super) strength: Strength,
    pub(super) evidence: Vec<String>,
}

/// Lets nobody but this user enter a directory.
pub(super) fn shut_root(root: &OwnedFd) -> rustix::io::Result<()> {
    // The mode first: between the two, nobody gets more than before.
    rustix::fs::fchmod(root, Mode::RWXU)?;
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    rustix::fs::fchown(root, Some(user), Some(group))?;
    rustix::fs::fchmod(root, Mode::RWXU)
}

pub(super) fn shut(place: &Place) -> Result<()> {
    shut_root(place.target_root()).map_err(|e| {
        WorkerError::moving(
            "TargetNotClosed",
            place.sides.target.display().to_string(),
            format!("its mode and owner cannot be set: {e}"),
            "run the mover as root or as the owner of the directory",
        )
    })
}

/// Refuses a target whose root somebody else may enter.
pub(super) fn still_shut(place: &Place) -> Result<String> {
    let told = |problem: String| {
        WorkerError::moving(
            "TargetNotClosed",
            place.sides.target.display().to_string(),
            problem,
            "run `close`, or `prepare` if applications never had it",
        )
    };
    let stat = rustix::fs::fstat(place.target_root()).map_err(|e| told(e.to_string()))?;
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user || stat.st_mode & 0o077 != 0 {
        return Err(told(format!("its mode is {:o} and its owner {}", stat.st_mode & 0o7777, stat.st_uid)));
    }
    Ok(format!("the root has mode {:o} and belongs to user {user}, this user", stat.st_mode & 0o7777))
}

/// Proves that nobody reaches the target and nobody has anything of it open, as far as that can be seen.
pub(super) fn prove_shut(place: &Place) -> Result<Closed> {
    let mut evidence = vec![still_shut(place)?];
    let seen = look(place)?;
    if !seen.holders.is_empty() {
        return Err(WorkerError::moving(
            "TargetInUse",
            place.sides.target.display().to_string(),
            format!("processes have it open: {}", seen.holders.join(", ")),
            "end them and run the command again",
        ));
    }
    let was_open = place.record()?.was_open;
    evidence.push(format!("none of the {} processes that can be seen has anything in it open", seen.looked));
    if !was_open {
        evidence.push("applications never had it".to_owned());
    }
    if !seen.whole_machine {
        evidence.push("processes outside this container cannot be seen".to_owned());
    }
    if seen.hidden > 0 {
        evidence.push(format!("{} processes of other users could not be looked into", seen.hidden));
    }
    let proven = !was_open || (seen.whole_machine && seen.hidden == 0);
    Ok(Closed { strength: if proven { Strength::Proven } else { Strength::Declared }, evidence })
}

struct Seen {
    holders: Vec<String>,
    looked: u64,
    hidden: u64,
    whole_machine: bool,
}

/// Looks into every process.
fn look(place: &Place) -> Result<Seen> {
    let root = place.target_root();
    let broken = |e: std::io::Error| WorkerError::local("/proc", e);
    let path = fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd())).map_err(broken)?;
    let stat = rustix::fs::fstat(root).map_err(|e| broken(e.into()))?;
    // On a volume of its own, the device alone tells, whatever a process calls the directory.
    let target = Target { path, device: stat.st_dev, whole: is_mount(root) };
    let namespace = fs::metadata("/proc/self/ns/pid").map(|meta| meta.ino()).map_err(broken)?;
    let mut seen = Seen { holders: Vec::new(), looked: 0, hidden: 0, whole_machine: namespace == FIRST_NAMESPACE };
    for entry in fs::read_dir("/proc").map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if id == std::process::id() {
            continue;
        }
        match target.held_by(&entry.path()) {
            Ok(Some(what)) => {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                if seen.holders.len() < MAX_NAMED {
                    seen.holders.push(format!("{} {id} ({what})", name.trim_end()));
                }
                seen.looked += 1;
            }
            Ok(None) => seen.looked += 1,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => seen.hidden += 1,
            // It ended meanwhile.
            Err(_) => {}
        }
    }
    Ok(seen)
}

struct Target {
    path: PathBuf,
    device: u64,
    whole: bool,
}

impl Target {
    fn held_by(&self, process: &Path) -> std::io::Result<Option<String>> {
        for name in ["cwd", "root"] {
            if self.holds(&process.join(name)) {
                return Ok(Some(name.to_owned()));
            }
        }
        for entry in fs::read_dir(process.join("fd"))? {
            let link = entry?.path();
            if self.holds(&link) {
                return Ok(Some(path_text(&fs::read_link(&link).unwrap_or(link))));
            }
        }
        let maps = fs::read(process.join("maps"))?;
        let prefix = [self.path.as_os_str().as_encoded_bytes(), b"/"].concat();
        let is_in = |line: &[u8]| {
            let at = line.iter().position(|byte| *byte == b'/');
            at.is_some_and(|at| line.get(at..).unwrap_or_default().starts_with(&prefix))
        };
        Ok(maps.split(|byte| *byte == b'\n').any(is_in).then(|| "mapped into memory".to_owned()))
    }

    fn holds(&self, link: &Path) -> bool {
        let on_it = fs::metadata(link).is_ok_and(|meta| meta.dev() == self.device);
        on_it && (self.whole || fs::read_link(link).is_ok_and(|to| to.starts_with(&self.path)))
    }
}
