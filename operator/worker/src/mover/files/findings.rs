//! What the contents of a source mean for its migration.

use super::carry::Carries;
use super::inventory::{Counted, Inventory};
use crate::mover::{Finding, Severity};

/// The longest path that programs can name.
const PATH_MAX: u64 = 4095;

fn finding(code: &'static str, severity: Severity, some: &Counted, what: &str, remedy: &str) -> Option<Finding> {
    let subject = some.first.first()?.clone();
    let evidence = format!("{} {what}, first: {}", some.count, some.first.join(", "));
    Some(Finding { code, severity, subject, evidence, remedy: remedy.to_owned() })
}

/// What is to be said of a source by itself.
pub(super) fn of_source(found: &Inventory) -> Vec<Finding> {
    use Severity::{Blocking, Info, Warning};
    let mut all: Vec<Finding> = [
        finding(
            "Unreadable",
            Blocking,
            &found.unreadable,
            "cannot be read by this user",
            "run the mover as root or as their owner, or take them out of the tree",
        ),
        finding(
            "AttributeNameNotUtf8",
            Blocking,
            &found.attributes_not_utf8,
            "have an extended attribute whose name is not UTF-8",
            "rename the attribute or remove it",
        ),
        finding(
            "AttributeNotCarried",
            Warning,
            &found.attributes_not_carried,
            "have extended attributes that belong to their file system",
            "find out whether the application reads them",
        ),
        finding(
            "LinkLeadsOut",
            Warning,
            &found.links_outside,
            "symbolic links lead out of the tree",
            "they are copied as they are: move what they lead to as well, or change them",
        ),
        finding(
            "HardLinkOutside",
            Warning,
            &found.hard_links_outside,
            "files have names outside the tree too",
            "after the move they are files of their own: move both trees as one, or make sure that nobody relies on it",
        ),
        finding(
            "Device",
            Warning,
            &found.devices,
            "devices",
            "find out why they are there; making them needs root on the target",
        ),
        finding(
            "MountWithin",
            Warning,
            &found.mounts,
            "directories are on another file system",
            "they are copied along; a freeze must close each of them",
        ),
        finding("Socket", Info, &found.sockets, "sockets", "they are left out: their programs make them anew"),
        finding("Fifo", Info, &found.fifos, "FIFOs", "they are made anew, without what is in them"),
        finding("NameNotUtf8", Info, &found.names_not_utf8, "names are not UTF-8", "they are carried byte by byte"),
        finding("SetUserId", Info, &found.set_user_id, "programs run as their owner or group", "see that they should"),
        finding("HardLink", Info, &found.hard_links, "further names of files", "they stay names of the same file"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut one = |code, severity, subject: &str, evidence: String, remedy: &str| {
        all.push(Finding { code, severity, subject: subject.to_owned(), evidence, remedy: remedy.to_owned() });
    };
    if found.reserved {
        let name = super::place::STATE.to_string_lossy();
        let evidence = "it is the state of a migration to this directory".to_owned();
        one("ReservedName", Blocking, &name, evidence, "end that migration with `drop` first");
    }
    if found.longest_path.bytes > PATH_MAX {
        let evidence = format!("{} bytes; programs can name {PATH_MAX}", found.longest_path.bytes);
        one(
            "PathTooLong",
            Warning,
            &found.longest_path.path,
            evidence,
            "it is copied; see whether anybody can open it",
        );
    }
    all.sort_by_key(|finding| finding.severity as u8);
    all
}

/// What the target does not carry of what is in the source.
pub(super) fn of_target(found: &Inventory, carries: Carries) -> Vec<Finding> {
    use Severity::{Blocking, Info, Warning};
    let other = "use a target of another file system, or accept it: it is then left out of the comparison";
    let needed = |lacks: bool, finding: Option<Finding>| finding.filter(|_| lacks);
    let mut all: Vec<Finding> = [
        needed(
            !carries.odd_names,
            finding(
                "NamesNotCarried",
                Blocking,
                &found.names_not_utf8,
                "names are not UTF-8",
                "rename them, or use a target of another file system",
            ),
        ),
        needed(
            !carries.exact_names,
            finding(
                "CaseNotCarried",
                Blocking,
                &found.names_by_case,
                "names differ in case only",
                "rename them, or use a target of another file system",
            ),
        ),
        needed(
            !carries.attributes,
            finding("AttributesNotCarried", Blocking, &found.attributes, "have extended attributes", other),
        ),
        needed(!carries.acls, finding("AclsNotCarried", Blocking, &found.acls, "have access control lists", other)),
        needed(
            !carries.owners,
            finding(
                "OwnersNotCarried",
                Blocking,
                &found.foreign,
                "belong to others than this user",
                "run the mover as root, or accept it: all belong to this user then",
            ),
        ),
        needed(
            !carries.hard_links,
            finding("HardLinksNotCarried", Blocking, &found.hard_links, "further names of files", other),
        ),
        needed(!carries.fifos, finding("FifosNotCarried", Warning, &found.fifos, "FIFOs", "they are left out")),
        needed(
            !carries.devices,
            finding(
                "DevicesNotCarried",
                Warning,
                &found.devices,
                "devices",
                "they are left out: run the mover as root where they are needed",
            ),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut one = |code, severity, subject: &str, evidence: String, remedy: &str| {
        all.push(Finding { code, severity, subject: subject.to_owned(), evidence, remedy: remedy.to_owned() });
    };
    if !carries.links && found.links > 0 {
        let evidence = format!("{} symbolic links", found.links);
        one("LinksNotCarried", Blocking, "symbolic links", evidence, "use a target of another file system");
    }
    if !carries.long_names && found.longest_path.bytes > 0 {
        let evidence = "names of 255 bytes cannot be made".to_owned();
        one("LongNamesNotCarried", Warning, "names", evidence, "see that none is so long, or use another file system");
    }
    if !carries.holes && found.sparse > 0 {
        let evidence = format!("{} files have holes, which take room in the target", found.sparse);
        one("HolesNotCarried", Warning, "holes", evidence, "give the target room for all bytes");
    }
    if !carries.nanoseconds {
        let evidence = "times are kept to the second or worse".to_owned();
        one("TimesCut", Info, "times", evidence, "find out whether the application compares them");
    }
    all.sort_by_key(|finding| finding.severity as u8);
    all
}
