//! Makes the target ready: closed, empty or ours, with room, and able to carry what is in the source.

use std::os::fd::OwnedFd;
use std::path::Path;

use clap::Args;
use rustix::fs::{Dir, Mode};
use rustix::io::Errno;
use serde::Serialize;

use super::carry::try_out;
use super::inventory::{Inventory, count};
use super::known::Lists;
use super::place::{LOST_FOUND, Place, Roots, STATE, Sides, beside, is_mount, open_source, unusable};
use super::record::{RECORD, Record, read};
use super::{findings, gate};
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::evidence::items::path_text;
use crate::mover::{Finding, Mark, Severity, blocking};
use crate::source::files::{directory_flags, make_directory};

/// What is accepted, besides the sides.
#[derive(Clone, Debug, Args)]
pub struct PrepareArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// Code of a blocking finding that somebody accepts; may be given several times.
    #[arg(long, value_name = "CODE")]
    pub accept: Vec<String>,
}

/// What can be accepted: copying goes on without it. Without anything else, copying would fail.
const ACCEPTABLE: [&str; 4] = ["AttributesNotCarried", "AclsNotCarried", "OwnersNotCarried", "HardLinksNotCarried"];

/// What was found and made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "whether it is prepared is what readers of the report look for")]
pub(super) struct Prepared {
    #[serde(flatten)]
    mark: Mark,
    prepared: bool,
    findings: Vec<Finding>,
    inventory: Inventory,
    carries: super::carry::Carries,
    made: Vec<String>,
    source_record: String,
}

/// Prepares the target; what blocks is in the report and the error.
pub(super) fn prepare(args: &PrepareArgs, control: &Control) -> Result<(Prepared, Result<()>)> {
    control.enter("preparing");
    if let Some(code) = args.accept.iter().find(|code| !ACCEPTABLE.contains(&code.as_str())) {
        let fix = format!("give one of {}", ACCEPTABLE.join(", "));
        return Err(WorkerError::input("--accept", format!("\"{code}\" cannot be accepted"), fix));
    }
    let sides = &args.sides;
    let source = open_source(&sides.source)?;
    apart(sides, &source)?;
    // A source that belongs to another migration is known before anything is made.
    beside(sides, &source)?;
    let target = make_directory(&sides.target).map_err(|e| unusable(&sides.target, e))?;
    let roots = Roots { source, target };
    let mut made = Vec::new();
    let state = claim(sides, &roots, &mut made)?;
    let stat = rustix::fs::fstat(&roots.target).map_err(|e| unusable(&sides.target, e.to_string()))?;
    let mut place = Place::hold(sides, roots, state, control, |found| {
        let ticket = &sides.ticket;
        match found {
            Some(record) if !record.dropped => Ok(record),
            // Whoever comes late to what is over does not begin it again.
            Some(record) if record.mark.migration == ticket.migration => {
                record.mark.admit(&sides.target.display().to_string(), ticket)?;
                Ok(Record::new(ticket, path_text(&sides.source)))
            }
            _ => Ok(Record::new(ticket, path_text(&sides.source))),
        }
    })?;
    place.not_open()?;
    gate::shut(&place)?;
    let carries =
        try_out(place.state_root()).map_err(|e| WorkerError::local(sides.target.join("its state folder"), e))?;
    let other = Some((stat.st_dev, stat.st_ino));
    let inventory = count(&sides.source, place.source()?, &place.left_out(), other, control)?;
    let mut found = findings::of_source(&inventory);
    found.extend(findings::of_target(&inventory, carries));
    found.extend(inventory.holds_other.as_ref().map(|path| inside(sides, path)));
    found.extend(room(&place, &inventory)?);
    for finding in &mut found {
        if args.accept.iter().any(|code| code == finding.code) {
            finding.severity = Severity::Warning;
        }
    }
    found.sort_by_key(|finding| finding.severity as u8);
    let blocked = blocking(&found);
    let record = place.update(|record| {
        record.prepared = blocked.is_none();
        record.carries = carries;
        record.inventory = (inventory.items(), inventory.bytes);
    })?;
    let report = Prepared {
        mark: record.mark,
        prepared: record.prepared,
        findings: found,
        inventory,
        carries,
        made,
        source_record: place.source_record(),
    };
    Ok((report, blocked.map_or(Ok(()), Err)))
}

/// Refuses a side that lies in the other.
fn apart(sides: &Sides, source: &OwnedFd) -> Result<()> {
    let told = |problem: String| WorkerError::Target {
        target: sides.target.display().to_string(),
        problem,
        fix: "name directories of which neither lies in the other".to_owned(),
    };
    // The target need not be there yet; then whatever is above it counts.
    let (found, identity) =
        crate::source::files::find_directory(&sides.target).map_err(|e| unusable(&sides.target, e))?;
    let of = |directory: &OwnedFd| rustix::fs::fstat(directory).map(|stat| (stat.st_dev, stat.st_ino));
    let broken = |e: Errno| WorkerError::local(&sides.source, e);
    let source_identity = of(source).map_err(broken)?;
    let above = if let Some(target) = found {
        let target_identity = of(&target).map_err(broken)?;
        if target_identity == source_identity {
            return Err(told("it is the source itself".to_owned()));
        }
        if ancestors(source)?.contains(&target_identity) {
            return Err(told("the source lies in it".to_owned()));
        }
        ancestors(&target)?
    } else {
        let parent = sides.target.parent().unwrap_or(Path::new("/"));
        let parent = crate::source::files::open_directory(parent).map_err(|e| unusable(&sides.target, e))?;
        let mut above = ancestors(&parent)?;
        above.push(identity);
        above
    };
    if above.contains(&source_identity) { Err(told("it lies in the source".to_owned())) } else { Ok(()) }
}

/// The directories above one, by device and inode.
fn ancestors(directory: &OwnedFd) -> Result<Vec<(u64, u64)>> {
    let broken = |e: Errno| WorkerError::engine("looking at the directories above", e);
    let mut at = rustix::io::fcntl_dupfd_cloexec(directory, 0).map_err(broken)?;
    let mut identity = rustix::fs::fstat(&at).map(|stat| (stat.st_dev, stat.st_ino)).map_err(broken)?;
    let mut all = Vec::new();
    loop {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, c"..", flags, Mode::empty()).map_err(broken)?;
        let above = rustix::fs::fstat(&at).map(|stat| (stat.st_dev, stat.st_ino)).map_err(broken)?;
        // Above the root of all directories there is only itself.
        if above == identity {
            return Ok(all);
        }
        all.push(above);
        identity = above;
    }
}

fn inside(sides: &Sides, path: &str) -> Finding {
    Finding {
        code: "TargetInSource",
        severity: Severity::Blocking,
        subject: sides.target.display().to_string(),
        evidence: format!("it lies in the source as {path}"),
        remedy: "name directories of which neither lies in the other".to_owned(),
    }
}

/// Makes sure that nothing else is in the target, and makes the state folder.
fn claim(sides: &Sides, roots: &Roots, made: &mut Vec<String>) -> Result<OwnedFd> {
    let broken = |e: Errno| unusable(&sides.target, e.to_string());
    let state = rustix::fs::openat(&roots.target, STATE, directory_flags(), Mode::empty());
    // With a record, whatever else is there is what this migration copied.
    let found = state.as_ref().ok().map(|state| read::<Record>(state, RECORD)).transpose()?.flatten();
    if let Some(record) = found.as_ref().filter(|record| record.mark.migration == sides.ticket.migration) {
        // Whoever comes late hears that, and not what else is wrong.
        record.mark.admit(&sides.target.display().to_string(), &sides.ticket)?;
    }
    if found.is_none_or(|record| record.dropped) {
        for entry in Dir::read_from(&roots.target).map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = entry.file_name();
            let own = name == LOST_FOUND && is_mount(&roots.target);
            if name != c"." && name != c".." && name != STATE && !own {
                return Err(WorkerError::Target {
                    target: sides.target.display().to_string(),
                    problem: format!("it is not empty: {} is in it", name.to_string_lossy().escape_debug()),
                    fix: "name an empty directory, or the one that this migration was prepared with".to_owned(),
                });
            }
        }
    }
    if let Ok(state) = state {
        return Ok(state);
    }
    gate::shut_root(&roots.target).map_err(broken)?;
    rustix::fs::mkdirat(&roots.target, STATE, Mode::RWXU).map_err(broken)?;
    made.push(path_text(&sides.target.join(STATE.to_string_lossy().as_ref())));
    rustix::fs::openat(&roots.target, STATE, directory_flags(), Mode::empty()).map_err(broken)
}

/// Whether there is room for what is not copied yet.
fn room(place: &Place, inventory: &Inventory) -> Result<Vec<Finding>> {
    let target = place.sides.target.display().to_string();
    let room = rustix::fs::fstatvfs(place.target_root()).map_err(|e| WorkerError::local(&place.sides.target, e))?;
    let (items, bytes) = Lists::new(&place.state()).count()?;
    // A file that is replaced stands there twice for a moment.
    let needed = inventory.bytes.min(inventory.allocated).saturating_sub(bytes) + inventory.biggest.bytes;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let short = |evidence: String, remedy: &str| Finding {
        code: "NoRoom",
        severity: Severity::Blocking,
        subject: target.clone(),
        evidence,
        remedy: remedy.to_owned(),
    };
    let mut found = Vec::new();
    if needed > free {
        found.push(short(format!("{needed} bytes are needed, {free} are free"), "give the target more room"));
    }
    // File systems that make inodes as they go say that they have none.
    let names = inventory.items().saturating_sub(items);
    if room.f_files > 0 && names > room.f_favail {
        let evidence = format!("{names} inodes are needed, {} are free", room.f_favail);
        found.push(short(evidence, "use a target with more inodes"));
    }
    Ok(found)
}
