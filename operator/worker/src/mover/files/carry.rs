//! What a file system carries, found out by trying.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::put::remove;
use crate::source::files::directory_flags;

/// What the target's file system carries for this user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that was tried")]
pub(super) struct Carries {
    /// Names that are not UTF-8.
    pub(super) odd_names: bool,
    /// Names of 255 bytes.
    pub(super) long_names: bool,
    /// Names that differ in case only, or in the form of their accents.
    pub(super) exact_names: bool,
    /// Several names of one file.
    pub(super) hard_links: bool,
    /// Symbolic links.
    pub(super) links: bool,
    /// Extended attributes of users.
    pub(super) attributes: bool,
    /// Access control lists.
    pub(super) acls: bool,
    /// Owners other than this user.
    pub(super) owners: bool,
    /// FIFOs.
    pub(super) fifos: bool,
    /// Devices.
    pub(super) devices: bool,
    /// Times to the nanosecond.
    pub(super) nanoseconds: bool,
    /// Holes.
    pub(super) holes: bool,
}

impl Carries {
    /// Whether something of a kind is copied at all.
    pub(super) fn carry(self, kind: FileType) -> bool {
        match kind {
            FileType::Socket => false,
            FileType::Fifo => self.fifos,
            FileType::BlockDevice | FileType::CharacterDevice => self.devices,
            _ => true,
        }
    }

    /// What is not compared, because the target does not carry it.
    pub(super) fn not_compared(self) -> Vec<&'static str> {
        let all = [
            (self.owners, "owners"),
            (self.attributes, "extended attributes"),
            (self.acls, "access control lists"),
            (self.hard_links, "hard links"),
            (self.fifos, "FIFOs"),
            (self.devices, "devices"),
            (self.nanoseconds, "fractions of seconds"),
        ];
        all.into_iter().filter(|(carried, _)| !carried).map(|(_, what)| what).collect()
    }
}

/// An access control list that lets one more user read, as the kernel takes it: its version; then owner, a user, group, mask and
/// others, each as tag, permissions, and who is meant.
const ACL: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x01\0\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

/// Tries everything in a directory of its own, which is gone afterwards.
pub(super) fn try_out(state: &OwnedFd) -> rustix::io::Result<Carries> {
    remove(state, c"probe")?;
    rustix::fs::mkdirat(state, c"probe", Mode::RWXU)?;
    let probe = rustix::fs::openat(state, c"probe", directory_flags(), Mode::empty())?;
    let carries = tried(&probe);
    remove(state, c"probe")?;
    carries
}

fn tried(probe: &OwnedFd) -> rustix::io::Result<Carries> {
    let make = |name: &[u8]| {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(probe, name, flags, Mode::RUSR | Mode::WUSR)
    };
    let file = make(b"file")?;
    let fifo = rustix::fs::mknodat(probe, c"fifo", FileType::Fifo, Mode::RUSR, 0);
    let device = rustix::fs::mknodat(probe, c"null", FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3));
    let times = Timespec { tv_sec: 1_000_000_001, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: times, last_modification: times };
    let nanoseconds = rustix::fs::futimens(&file, &times).is_ok()
        && rustix::fs::fstat(&file)
            .is_ok_and(|stat| (stat.st_mtime, stat.st_mtime_nsec) == (1_000_000_001, 123_456_789));
    let holes =
        rustix::fs::ftruncate(&file, 1 << 20).is_ok() && rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_blocks < 64);
    let attributes = rustix::fs::fsetxattr(&file, "user.zhengyun", b"1", XattrFlags::empty()).is_ok();
    let acls = rustix::fs::fsetxattr(&file, "system.posix_acl_access", ACL, XattrFlags::empty()).is_ok();
    Ok(Carries {
        odd_names: stands(make(b"bad\xff\xfe"))?,
        long_names: stands(make(&[b'n'; 255]))?,
        // The second form of the same accent, and of the same letter.
        exact_names: stands(make("\u{e9}".as_bytes()))?
            && stands(make("e\u{301}".as_bytes()))?
            && stands(make(b"FILE"))?,
        hard_links: stands(rustix::fs::linkat(probe, c"file", probe, c"link", AtFlags::empty()))?,
        links: stands(rustix::fs::symlinkat(c"nowhere", probe, c"symlink"))?,
        attributes,
        acls,
        owners: rustix::fs::fchown(&file, Some(Uid::from_raw(54_321)), Some(Gid::from_raw(54_321))).is_ok(),
        fifos: stands(fifo)?,
        devices: stands(device)?,
        nanoseconds,
        holes,
    })
}

/// Whether something could be made. A disk that is full says nothing about that.
fn stands<T>(made: rustix::io::Result<T>) -> rustix::io::Result<bool> {
    match made {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::IO)) => Err(error),
        other => Ok(other.is_ok()),
    }
}
