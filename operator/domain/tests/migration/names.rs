//! Addresses and paths of what movers say do not reach a status.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use zhengyun_crds::Condition;
use zhengyun_crds::migration::{MigrationFinding, SystemMigrationStatus};
use zhengyun_domain::migration::names::Names;

fn names() -> Names {
    let mut names = Names::default();
    names.folder("/srv/room/share/", "old:share");
    names.folder("/srv/room/share/books", "old:share/books");
    names.folder("/cloud/landing", "hohhot:landing");
    names.database("10.20.1.5", 5432, "ledger", "old:books");
    names.database("db.cloud.gov", 5433, "ledger", "hohhot:new-books");
    names.database("ledger", 5434, "ledger", "hohhot:third");
    names
}

#[rstest]
#[case::database("10.20.1.5:5432/ledger holds relation a.b", "old:books/ledger holds relation a.b")]
#[case::another_database("10.20.1.5:5432/other", "old:books/other")]
#[case::quoted(
    "connection to server at \"10.20.1.5\", port 5432 failed",
    "connection to server at old:books, port 5432 failed"
)]
#[case::host("ask db.cloud.gov.", "ask hohhot:new-books.")]
#[case::part_of_a_host("ask mydb.cloud.gov or db.cloud.gov.example", "ask mydb.cloud.gov or db.cloud.gov.example")]
#[case::host_of_one_word("database ledger at ledger:5434", "database ledger at hohhot:third")]
#[case::folder("/srv/room/share: it is empty", "old:share: it is empty")]
#[case::file("\"/srv/room/share/a b/列\" differs", "\"old:share/a b/列\" differs")]
#[case::folder_below("in /srv/room/share/books/1, not", "in old:share/books/1, not")]
#[case::folder_beside(
    "/srv/room/share2 and /srv/room/share.old",
    "(a path of the operator's machine) and (a path of the operator's machine)"
)]
#[case::end_of_a_sentence("look at /cloud/landing.", "look at hohhot:landing.")]
#[case::mount(
    "/srv is a file system (nfs4) that may be written",
    "(a path of the operator's machine) is a file system (nfs4) that may be written"
)]
#[case::own_folder("open /var/lib/zhengyun/runs/x.json: no space", "open (a path of the operator's machine): no space")]
#[case::address("session from 192.168.7.9:40112, ended", "session from (an address), ended")]
#[case::undeclared("192.168.7.9:5432/ledger", "(an address)/ledger")]
#[case::versions("the target is PostgreSQL 15.3, the source 12.1", "the target is PostgreSQL 15.3, the source 12.1")]
#[case::log_position("since the source's 0/16B3748", "since the source's 0/16B3748")]
#[case::pointer("/spec/workloads/0 and read/write and a / b", "/spec/workloads/0 and read/write and a / b")]
#[case::nothing("", "")]
fn texts_name_what_is_declared(#[case] said: &str, #[case] expected: &str) {
    let told = names().told(said);
    assert_eq!(told, expected);
    assert_eq!(names().told(&told), told, "once more changes nothing");
}

#[test]
fn a_host_of_both_sides_is_named_by_both() {
    let mut names = Names::default();
    names.database("127.0.0.1", 5432, "a", "old:books");
    names.database("127.0.0.1", 5433, "a", "hohhot:books");
    assert_eq!(names.told("127.0.0.1:5433/a at 127.0.0.1"), "hohhot:books/a at old:books or hohhot:books");
}

#[test]
fn everything_that_a_status_says_is_changed() {
    let text = "see /srv/room/share/a and 10.20.1.5:5432/ledger";
    let blocker = json!({ "reason": "RunFailed", "owner": "Provider", "message": text });
    let mut status: SystemMigrationStatus = serde_json::from_value(json!({
        "findings": [{
            "workload": "scans", "foundBy": "Assess", "code": "X", "severity": "Info", "subject": text, "evidence": text,
            "remedy": text, "owner": "Provider"
        }],
        "workloads": [{ "name": "scans", "failure": { "reason": "X", "subject": text, "message": text } }],
        "blocker": blocker, "wentBack": blocker,
        "conditions": [{
            "type": "Ready", "status": "False", "lastTransitionTime": "2027-03-05T15:00:00Z", "reason": "RunFailed", "message": text
        }]
    }))
    .unwrap();
    names().keep_to(&mut status);
    let told = serde_json::to_string(&status).unwrap();
    assert_eq!(told.matches("see old:share/a and old:books/ledger").count(), 8, "{told}");
    assert!(!told.contains("/srv") && !told.contains("10.20"), "{told}");
    // What grows stays within what the definition allows.
    let long = "/a,".repeat(600);
    let of = |finding: &MigrationFinding| MigrationFinding { subject: long.clone(), ..finding.clone() };
    status.findings = status.findings.iter().map(of).collect();
    let of = |condition: &Condition| Condition { message: long.clone(), ..condition.clone() };
    status.conditions = status.conditions.iter().map(of).collect();
    names().keep_to(&mut status);
    assert!(status.findings[0].subject.len() <= 512 && status.conditions[0].message.len() <= 2_048);
}

proptest! {
    /// Whatever is said, no declared folder or address is left in it where it stands by itself.
    #[test]
    fn nothing_declared_is_told(words in prop::collection::vec(0_usize..8, 0..20), between in prop::collection::vec("[ ,;()\"']", 20)) {
        let all = ["/srv/room/share", "/srv/room/share/books", "/cloud/landing/x", "10.20.1.5:5432/ledger", "10.20.1.5", "db.cloud.gov", "列", "a.b"];
        let text: String = words.iter().zip(&between).flat_map(|(word, between)| [all[*word], between.as_str()]).collect();
        let told = names().told(&text);
        for secret in ["/srv", "/cloud", "10.20", "db.cloud"] {
            prop_assert!(!told.contains(secret), "{} became {}", text, told);
        }
        prop_assert_eq!(names().told(&told), told);
    }
}
