//! What came of reading one repository through, in words that people of every department may see.

use serde::Deserialize;
use zhengyun_crds::recovery::{CheckOutcome, RepositoryCheck};

use crate::condition::cut;
use crate::recovery::run::Fault;

/// How many damaged parts are told.
pub(super) const PARTS_TOLD: usize = 16;
/// Longest text about one repository.
const MESSAGE: usize = 1024;

/// What a process reports that read a repository through.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    findings: Vec<Found>,
    #[serde(default)]
    bytes_read: u64,
}

#[derive(Deserialize)]
struct Found {
    part: String,
    problem: String,
}

pub(super) fn judged(department: &str, report: &serde_json::Value) -> RepositoryCheck {
    let report: Report = match serde_json::from_value(report.clone()) {
        Ok(report) => report,
        Err(error) => return unread(department, format!("its report cannot be read: {error}")),
    };
    let bytes_read = i64::try_from(report.bytes_read).unwrap_or(i64::MAX);
    let Some(first) = report.findings.first() else {
        return RepositoryCheck { bytes_read, ..of(department, CheckOutcome::Intact, String::new()) };
    };
    let message = match shown(&first.part) {
        Some(part) => format!("{part}: {}", first.problem),
        None => format!("{ITEM} is not what its manifest says"),
    };
    let mut parts: Vec<String> =
        report.findings.iter().map(|found| shown(&found.part).unwrap_or(ITEM).to_owned()).collect();
    parts.dedup();
    parts.truncate(PARTS_TOLD);
    RepositoryCheck {
        bytes_read,
        damaged_count: i64::try_from(report.findings.len()).unwrap_or(i64::MAX),
        damaged: parts,
        ..of(department, CheckOutcome::Damaged, message)
    }
}

/// What is told instead of the name of an item: a store is seen by people of every department.
const ITEM: &str = "an item of a backup";

/// The name of an object of a repository, which tells nothing of what is in it; none for anything else, such as the path of a file.
fn shown(part: &str) -> Option<&str> {
    let hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let is_object = match part.split('/').collect::<Vec<_>>().as_slice() {
        ["config" | "the chain"] | ["zhengyun", "key.json" | "prune.json"] => true,
        ["data", directory, id] => hex(directory, 2) && hex(id, 64),
        ["index" | "snapshots" | "keys", id] => hex(id, 64),
        ["zhengyun", "chain" | "lease" | "heads", name] => plain(name),
        _ => false,
    };
    is_object.then_some(part)
}

pub(super) fn damaged(department: &str, fault: &Fault) -> RepositoryCheck {
    let message = format!("{} ({})", fault.message, fault.reason);
    RepositoryCheck { damaged_count: 1, ..of(department, CheckOutcome::Damaged, message) }
}

pub(super) fn unread(department: &str, message: String) -> RepositoryCheck {
    of(department, CheckOutcome::Unread, message)
}

fn of(department: &str, outcome: CheckOutcome, message: String) -> RepositoryCheck {
    RepositoryCheck {
        department: department.to_owned(),
        outcome,
        bytes_read: 0,
        damaged_count: 0,
        damaged: Vec::new(),
        message: cut(message, MESSAGE),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ITEM, judged, shown};

    #[test]
    fn no_name_of_what_a_department_keeps_gets_into_a_store() {
        let report = json!({ "bytesRead": 1, "findings": [
            { "part": "space/secrets/payroll-2026", "problem": "payroll-2026 is not what the manifest says", "needed": true },
            { "part": "data/secrets/payroll-2026", "problem": "x", "needed": true },
            { "part": "snapshots/payroll-2026", "problem": "x", "needed": true },
        ] });
        let told = format!("{:?}", judged("a", &report));
        assert!(!told.contains("payroll") && told.contains(ITEM), "{told}");
        let pack = format!("data/ab/ab{}", "0".repeat(62));
        for part in [pack.as_str(), "config", "zhengyun/chain/12.json", "zhengyun/key.json", "the chain"] {
            assert_eq!(shown(part), Some(part));
        }
    }
}
