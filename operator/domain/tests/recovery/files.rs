//! Which folder a file tree is in, and who may have it.

use std::collections::BTreeMap;

use rstest::rstest;
use zhengyun_crds::recovery::FileSource;
use zhengyun_crds::site::{ExternalFileRoot, ExternalSources};
use zhengyun_domain::recovery::files::{FilePlace, Folder, Known, NoPlace, Use, place};

fn root(name: &str, department: &str, folder: &str, subpath: &str) -> ExternalFileRoot {
    ExternalFileRoot {
        name: name.to_owned(),
        department: department.to_owned(),
        folder: folder.to_owned(),
        subpath: subpath.to_owned(),
    }
}

fn from(root: &str, subpath: &str) -> FileSource {
    FileSource { site: "hohhot".to_owned(), root: root.to_owned(), subpath: subpath.to_owned() }
}

/// What finance gets of a site with roots of two departments in a folder that is read and one that is written.
fn asked(what: &FileSource, usage: Use) -> Result<FilePlace, NoPlace> {
    let file_roots = vec![
        root("scans", "finance", "exports", "finance/scans"),
        root("all", "finance", "returns", ""),
        root("theirs", "emergency", "exports", "emergency"),
        root("lost", "finance", "gone", ""),
        root("wild", "finance", "exports", "../emergency"),
    ];
    let declared = BTreeMap::from([("hohhot".to_owned(), ExternalSources { databases: Vec::new(), file_roots })]);
    let folders = BTreeMap::from([
        ("exports".to_owned(), Folder { writable: false }),
        ("returns".to_owned(), Folder { writable: true }),
    ]);
    place(what, &Known { department: "finance", declared: &declared, folders: &folders }, usage)
}

#[rstest]
#[case(from("scans", "2026/11"), Use::Read, "exports", "finance/scans/2026/11", "files scans/2026/11")]
#[case(from("scans", ""), Use::Read, "exports", "finance/scans", "files scans")]
#[case(from("all", "new"), Use::Write, "returns", "new", "files all/new")]
#[case(from("all", ""), Use::Read, "returns", "", "files all")]
#[case(from("scans", "..hidden/.x"), Use::Read, "exports", "finance/scans/..hidden/.x", "files scans/..hidden/.x")]
fn a_name_and_a_path_stand_for_a_folder(
    #[case] what: FileSource,
    #[case] usage: Use,
    #[case] folder: &str,
    #[case] below: &str,
    #[case] shown: &str,
) {
    let found = asked(&what, usage).unwrap();
    assert_eq!((found.folder.as_str(), found.below.as_str(), found.shown().as_str()), (folder, below, shown));
}

#[rstest]
#[case::undeclared(from("nothing", ""), Use::Read, "root", "SourceRefused", "declares no file root nothing")]
#[case::another_departments(from("theirs", ""), Use::Read, "root", "SourceRefused", "declares no file root theirs")]
#[case::upwards(from("scans", "a/../../x"), Use::Read, "subpath", "SourceRefused", "a/../../x")]
#[case::absolute(from("scans", "/etc"), Use::Read, "subpath", "SourceRefused", "/etc")]
#[case::here(from("scans", "./a"), Use::Read, "subpath", "SourceRefused", "relative path")]
#[case::a_line_more(from("scans", "a\nb"), Use::Read, "subpath", "SourceRefused", "leaves the root")]
#[case::declared_upwards(from("wild", ""), Use::Read, "root", "SourceRefused", "../emergency")]
#[case::not_started_with(from("lost", ""), Use::Read, "root", "ActionNotAvailable", "--file-root gone=PATH")]
#[case::for_reading_alone(from("scans", "x"), Use::Write, "root", "ActionNotAvailable", "--writable-file-root exports")]
fn what_is_refused_says_field_value_and_fix(
    #[case] what: FileSource,
    #[case] usage: Use,
    #[case] field: &str,
    #[case] reason: &str,
    #[case] told: &str,
) {
    let no = asked(&what, usage).unwrap_err();
    assert_eq!((no.field, no.reason.as_str()), (field, reason), "{no:?}");
    assert!(no.message.contains(told), "{no:?}");
    // Nothing of another department shows, and of the fix for writing only folders that are written.
    assert!(!no.message.contains("emergency") || told == "../emergency", "{no:?}");
    assert!(usage == Use::Read || no.message.contains("may write to: returns"), "{no:?}");
}

#[test]
fn a_site_that_declares_nothing_refuses() {
    let elsewhere = FileSource { site: "ulanqab".to_owned(), ..from("scans", "") };
    assert_eq!(asked(&elsewhere, Use::Read).unwrap_err().field, "root");
}
