//! Owner, mode, times and attributes.
//!
//! What an ordinary user may not set does not make a restore fail; it is counted.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, Timespec, Timestamps, XattrFlags};
use rustix::process::{Gid, Uid};

use crate::engine::{Kind, Meta};

/// Sets everything on something that is open; false if a part was refused.
pub(crate) fn apply(target: &OwnedFd, meta: &Meta) -> bool {
    let owner = rustix::fs::fchown(target, meta.uid.map(Uid::from_raw), meta.gid.map(Gid::from_raw)).is_ok();
    let attributes = meta
        .xattrs
        .iter()
        .filter(|(name, value)| rustix::fs::fsetxattr(target, name.as_str(), value, XattrFlags::empty()).is_err())
        .count()
        == 0;
    // After the owner, whose change takes set-user-ID away; without the owner, nobody shall get a set-user-ID file of another.
    let mode = if owner { meta.mode } else { meta.mode & 0o1777 };
    let mode = rustix::fs::fchmod(target, Mode::from_raw_mode(mode)).is_ok();
    let times = rustix::fs::futimens(target, &times(meta)).is_ok();
    owner && attributes && mode && times
}

/// Sets what can be set on something that cannot be opened.
pub(crate) fn apply_to_name(parent: &OwnedFd, name: &OsStr, kind: &Kind, meta: &Meta) -> bool {
    let (uid, gid) = (meta.uid.map(Uid::from_raw), meta.gid.map(Gid::from_raw));
    let owner = rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    // A link has no mode of its own, and what is no link was made by us a moment ago.
    let mode = matches!(kind, Kind::Link(_))
        || rustix::fs::chmodat(parent, name, Mode::from_raw_mode(meta.mode), AtFlags::empty()).is_ok();
    let times = rustix::fs::utimensat(parent, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW).is_ok();
    owner && mode && times
}

fn times(meta: &Meta) -> Timestamps {
    let time = meta.mtime.map_or(Timespec { tv_sec: 0, tv_nsec: 0 }, |t| {
        // The nanoseconds of a time before 1970 count backwards; the kernel's count forwards.
        let nanos = t.subsec_nanosecond();
        let (seconds, nanos) =
            if nanos < 0 { (t.as_second() - 1, nanos + 1_000_000_000) } else { (t.as_second(), nanos) };
        Timespec { tv_sec: seconds, tv_nsec: nanos.into() }
    });
    Timestamps { last_access: time, last_modification: time }
}
