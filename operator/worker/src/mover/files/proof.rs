//! Whether nobody can write to a source, proved by its mounts and by trying.
//!
//! A mount that is read-only proves nothing while its file system can be written by another mount: so it is the file system that must
//! be read-only, and it must be one that only this machine writes to.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick};

use crate::error::{Result, WorkerError};

/// File systems of which this machine has all that can write to them.
const OWN: [&str; 12] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs", "ramfs", "squashfs", "erofs", "iso9660"];

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) evidence: Vec<String>,
    /// Why it is no proof.
    pub(super) against: Option<String>,
}

/// A mount as the kernel tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    id: String,
    /// What of its file system is mounted.
    root: String,
    at: PathBuf,
    read_only: bool,
    kind: String,
    file_system_read_only: bool,
}

/// Looks whether the file system below a directory, and every one that is mounted within, is read-only.
pub(super) fn read_only(root: &OwnedFd) -> Result<Proof> {
    let (own, within) = mounts(root)?;
    let mut proof = Proof { evidence: Vec::new(), against: None };
    for mount in std::iter::once(&own).chain(&within) {
        let word = |read_only: bool| if read_only { "read-only" } else { "writable" };
        let (at, kind) = (mount.at.display(), &mount.kind);
        proof.evidence.push(format!(
            "mount {at} is {}, its file system ({kind}) is {}",
            word(mount.read_only),
            word(mount.file_system_read_only)
        ));
        let against = if !mount.file_system_read_only && mount.read_only {
            Some(format!("{at} is mounted read-only, but its file system can be written by another mount"))
        } else if !mount.file_system_read_only {
            Some(format!("{at} can be written"))
        } else if !OWN.contains(&kind.as_str()) {
            Some(format!("{at} is a file system ({kind}) that may be written from elsewhere"))
        } else {
            None
        };
        proof.against = proof.against.or(against);
    }
    let tried = try_to_write(root);
    proof.evidence.push(match tried {
        Err(error) => format!("a file opened for writing in its root is refused: {error}"),
        Ok(()) => "a file could be opened for writing in its root".to_owned(),
    });
    if tried != Err(Errno::ROFS) {
        proof.against.get_or_insert_with(|| "its root does not refuse writes as a read-only one".to_owned());
    }
    Ok(proof)
}

/// Opens a file for writing that gets no name; where that cannot be, one that is removed at once.
fn try_to_write(root: &OwnedFd) -> rustix::io::Result<()> {
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::openat(root, c".", OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        other => return other.map(drop),
    }
    let name = format!(".zhengyun-move-{}.part", rustix::process::getpid().as_raw_nonzero());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(root, name.as_str(), flags, mode)?;
    rustix::fs::unlinkat(root, name.as_str(), AtFlags::empty())
}

/// Makes the file system of a directory read-only, or writable again. The directory must be all of it: nothing else stops with it.
pub(super) fn set(root: &OwnedFd, source: &Path, read_only: bool) -> Result<()> {
    let told =
        |problem: String, fix: &str| WorkerError::moving("NotFrozen", source.display().to_string(), problem, fix);
    let (own, _) = mounts(root)?;
    let is_mount_point = fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd())).is_ok_and(|path| path == own.at);
    if own.root != "/" || !is_mount_point {
        return Err(told(
            "it is not the root of its file system: making that read-only would stop others too".to_owned(),
            "make it read-only yourself and run `freeze` without --remount, or declare it with --declared-by",
        ));
    }
    let word = if read_only { c"ro" } else { c"rw" };
    let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
    let set = fspick(root, c"", flags).and_then(|picked| {
        fsconfig_set_flag(&picked, word)?;
        fsconfig_reconfigure(&picked)
    });
    set.map_err(|error| match error {
        Errno::BUSY => told(
            "files on it are open for writing".to_owned(),
            "stop the applications that have them open and run the command again",
        ),
        other => told(
            format!("its file system cannot be made {}: {other}", if read_only { "read-only" } else { "writable" }),
            "run the mover with CAP_SYS_ADMIN on the machine that has it mounted, or do it by hand",
        ),
    })
}

/// The mount that a directory lies in, and those within the directory.
fn mounts(root: &OwnedFd) -> Result<(Mount, Vec<Mount>)> {
    let broken = |e: std::io::Error| WorkerError::local("/proc/self", e);
    let lost = || WorkerError::engine("finding the mount of a directory", "the kernel does not list it");
    let descriptor = root.as_raw_fd();
    let information = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).map_err(broken)?;
    let id = information.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim).ok_or_else(lost)?;
    let path = fs::read_link(format!("/proc/self/fd/{descriptor}")).map_err(broken)?;
    let all = fs::read("/proc/self/mountinfo").map_err(broken)?;
    let all: Vec<Mount> = String::from_utf8_lossy(&all).lines().filter_map(parse).collect();
    let own = all.iter().find(|mount| mount.id == id).cloned().ok_or_else(lost)?;
    let within = all.into_iter().filter(|mount| mount.at != path && mount.at.starts_with(&path)).collect();
    Ok((own, within))
}

/// A line of `/proc/self/mountinfo`.
fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let file_system: Vec<&str> = file_system.split(' ').collect();
    let says = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        id: (*mount.first()?).to_owned(),
        root: (*mount.get(3)?).to_owned(),
        at: unescaped(mount.get(4)?).into(),
        read_only: says(mount.get(5)?),
        kind: (*file_system.first()?).to_owned(),
        file_system_read_only: says(file_system.get(2)?),
    })
}

/// Spaces and the like stand as three octal digits.
fn unescaped(text: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_its_file_system() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402 ro,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = parse(line).unwrap();
        assert_eq!((mount.at.as_path(), mount.root.as_str()), (Path::new("/mnt 2"), "/mnt1"));
        assert_eq!((mount.read_only, mount.file_system_read_only, mount.kind.as_str()), (true, false, "ext3"));
    }
}
