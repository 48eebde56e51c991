//! Derived names are valid, fit, and differ where their sources differ.

use proptest::prelude::*;
use rstest::rstest;
use zhengyun_domain::naming::{check_label, department_namespace, grant_name, is_label, run_name, site_namespace};

#[rstest]
#[case("a", true)]
#[case("0-9", true)]
#[case("yingji-guanli", true)]
#[case("", false)]
#[case("-a", false)]
#[case("a-", false)]
#[case("a.b", false)]
#[case("A", false)]
#[case("\u{653f}", false)]
#[case("a23456789012345678901234567890123456789012345678901234567890123", true)]
#[case("a234567890123456789012345678901234567890123456789012345678901234", false)]
fn labels(#[case] name: &str, #[case] valid: bool) {
    assert_eq!(is_label(name), valid);
    assert_eq!(check_label(name).is_ok(), valid);
}

/// The exact names must never change: a changed digest would orphan every namespace already delivered.
#[test]
fn names_do_not_change_between_versions() {
    let uid = "3d2c8a52-5d0c-4f0e-9d53-0a3b7c1e2f11";
    assert_eq!(grant_name("smart-emergency", uid), "smart-emergency-nqanzk");
    assert_eq!(
        site_namespace("emergency-management-department", "smart-emergency-abc234", "hub-uid", uid),
        "zy-emergency-management-smart-emergency-abc2-qacvxojlkd"
    );
}

#[test]
fn names_alike_after_cutting_differ() {
    let (hub, one, two) = ("hub", "uid-1", "uid-2");
    assert_ne!(site_namespace("a-b", "c", hub, one), site_namespace("a", "b-c", hub, two));
    assert_ne!(site_namespace("a", "b", "a-b", "c"), site_namespace("a", "b", "a", "b-c"));
    assert_ne!(site_namespace("a", "b", "ab", "c"), site_namespace("a", "b", "a", "bc"));
    let long = "department-with-a-very-long-name";
    assert_ne!(site_namespace(long, "g", hub, one), site_namespace(&long[..21], "g", hub, two));
    assert_ne!(grant_name("same", one), grant_name("same", two));
}

#[test]
fn a_cut_never_leaves_a_hyphen_before_the_next_part() {
    let name = site_namespace("nineteen-characters-x", "also-nineteen-char-s-x", "hub", "uid");
    assert!(name.starts_with("zy-nineteen-characters-also-nineteen-char-s-"), "{name}");
    assert!(!name.contains("--"), "{name}");
}

#[test]
fn runs_of_recovery_plans() {
    let due = "2026-11-26T02:00:00Z".parse().unwrap();
    let name = run_name("SystemBackup", "fiscal-e-bills", "uid-1", "", due);
    assert!(name.starts_with("fiscal-e-bills-20261126t020000-"), "{name}");
    assert_eq!(name, run_name("SystemBackup", "fiscal-e-bills", "uid-1", "", due), "the same run, the same name");
    for other in [
        run_name("SystemBackup", "fiscal-e-bills", "uid-2", "", due),
        run_name("RecoveryDrill", "fiscal-e-bills", "uid-1", "", due),
        run_name("SystemBackup", "fiscal-e-bills", "uid-1", "far", due),
    ] {
        assert_ne!(name, other);
    }
    assert_eq!(run_name("SystemBackup", &"p".repeat(40), "u", "", due).len(), 63);
}

#[test]
fn department_namespaces() {
    assert_eq!(department_namespace("finance").unwrap(), "dept-finance");
    let longest = "d".repeat(58);
    assert!(is_label(&department_namespace(&longest).unwrap()));
    let error = department_namespace(&"d".repeat(59)).unwrap_err().to_string();
    assert!(error.contains("has 59 characters, a department's name has at most 58"), "{error}");
    assert!(department_namespace("Finance").is_err());
}

proptest! {
    #[test]
    fn every_name_is_a_label(
        department in "[a-z0-9]([a-z0-9-]{0,56}[a-z0-9])?",
        request in "[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?",
        hub in "\\PC{0,40}",
        uid in "\\PC{0,40}",
    ) {
        let grant = grant_name(&request, &uid);
        prop_assert!(is_label(&grant), "{}", grant);
        let namespace = site_namespace(&department, &grant, &hub, &uid);
        prop_assert!(is_label(&namespace), "{}", namespace);
        prop_assert!(is_label(&department_namespace(&department).unwrap()));
    }

    #[test]
    fn even_unfit_sources_give_labels(department in "\\PC{0,40}", request in "\\PC{0,90}", uid in "\\PC{0,9}") {
        prop_assert!(is_label(&grant_name(&request, &uid)));
        prop_assert!(is_label(&site_namespace(&department, &request, "hub", &uid)));
    }

    #[test]
    fn moving_a_part_of_one_source_to_the_other_changes_the_name(
        head in "[a-z]{1,4}", middle in "-[a-z]{1,4}", tail in "[a-z]{1,4}",
    ) {
        // The same text in one line, split at different places between hub and grant UID.
        let one = site_namespace("d", "g", &format!("{head}{middle}"), &tail);
        let two = site_namespace("d", "g", &head, &format!("{middle}{tail}"));
        prop_assert_ne!(one, two);
    }
}
