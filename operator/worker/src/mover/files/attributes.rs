//! Extended attributes: which are carried, and how a target comes to have those and no others.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::engine::Meta;
use crate::run::restore_files::meta;
use crate::source::files::xattrs;

/// The access control list of a file, and what a directory hands down.
pub(super) const ACLS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

/// Whether an attribute belongs to the file. Others belong to the machine, such as labels of SELinux and signatures of IMA.
pub(super) fn is_carried(name: &str) -> bool {
    name.starts_with("user.")
        || (name.starts_with("trusted.") && !name.starts_with("trusted.overlay."))
        || name == "security.capability"
        || ACLS.contains(&name)
}

/// The attributes of a name that are carried.
pub(super) fn carried(parent: &OwnedFd, name: &CStr) -> rustix::io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = xattrs(parent, name)?;
    found.retain(|(name, _)| is_carried(name));
    Ok(found)
}

/// Sets owner, mode, times and attributes, and takes away attributes that are not wanted: a directory hands some down. False if
/// anything was refused.
pub(super) fn settle(target: &OwnedFd, wanted: &Meta) -> bool {
    let mut complete = true;
    for name in names(target) {
        if is_carried(&name) && !wanted.xattrs.iter().any(|(kept, _)| *kept == name) {
            complete &= matches!(rustix::fs::fremovexattr(target, name.as_str()), Ok(()) | Err(Errno::NODATA));
        }
    }
    meta::apply(target, wanted) && complete
}

/// The names that something open has; one that is not UTF-8 is not ours.
fn names(target: &OwnedFd) -> Vec<String> {
    let length = rustix::fs::flistxattr_query(target).unwrap_or(0);
    if length == 0 {
        return Vec::new();
    }
    // One may be added between the two calls: it is not ours then, and the next pass sees it.
    let mut list = vec![0; length];
    let length = rustix::fs::flistxattr(target, list.as_mut_slice()).unwrap_or(0);
    let names = list.get(..length).unwrap_or_default().split(|b| *b == 0);
    names.filter(|name| !name.is_empty()).filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect()
}
